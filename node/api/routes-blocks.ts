import { parseBlockId } from '../../chain/codec.ts';
import { type ApiApp, PROBLEMS, requireUInt64 } from './api-app.ts';
import { Problem } from './problem.ts';
import { type PageRouteDeps, ResponseSlots } from './response-slots.ts';
import { BlockInfo, BlockList, BlockParams, BlocksQuery, DEFAULT_PAGE, NoQuery, TipInfo } from './schemas.ts';

/** With a thousand voters each is nearly a megabyte. Not among the pages: it tells how the node is. */
const MAX_TIPS_AT_ONCE = 16;

export function addBlockRoutes(app: ApiApp, { backend, pages }: PageRouteDeps): void {
  const tips = new ResponseSlots('answers to this', MAX_TIPS_AT_ONCE);

  app.get(
    '/v1/blocks',
    {
      schema: {
        operationId: 'listBlocks',
        tags: ['blocks'],
        summary: 'Blocks of the main chain, highest first',
        querystring: BlocksQuery,
        response: { 200: BlockList, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { from, limit = DEFAULT_PAGE } = request.query;
      const top = from === undefined ? undefined : requireUInt64(from, 'from');
      return pages.make(reply, () => backend.blocks(top, limit));
    },
  );

  app.get(
    '/v1/blocks/:idOrHeight',
    {
      schema: {
        operationId: 'getBlock',
        tags: ['blocks'],
        summary: 'A block with its transactions',
        params: BlockParams,
        querystring: NoQuery,
        response: { 200: BlockInfo, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const ref = request.params.idOrHeight;
      const id = parseBlockId(ref.toLowerCase());
      const wanted = id === undefined ? { height: requireUInt64(ref, 'height') } : { id };
      const block = await pages.make(reply, () => backend.block(wanted));
      if (block === undefined) throw new Problem(404, 'not-found', 'no such block here');
      return block;
    },
  );

  app.get(
    '/v1/tip',
    {
      schema: {
        operationId: 'getTip',
        tags: ['blocks'],
        summary: 'Tip, last agreed and last final block, and who voted for what',
        querystring: NoQuery,
        response: { 200: TipInfo, ...PROBLEMS },
      },
    },
    async (_request, reply) => tips.make(reply, () => backend.tip()),
  );
}
