import { parseBlockId } from '../../chain/codec.ts';
import { type ApiApp, PROBLEMS, type RouteDeps, requireUInt64 } from './api-app.ts';
import { Problem } from './problem.ts';
import { BlockInfo, BlockList, BlockParams, BlocksQuery, DEFAULT_PAGE, NoQuery, TipInfo } from './schemas.ts';

export function addBlockRoutes(app: ApiApp, { backend }: RouteDeps): void {
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
    async (request) => {
      const { from, limit = DEFAULT_PAGE } = request.query;
      return backend.blocks(from === undefined ? undefined : requireUInt64(from, 'from'), limit);
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
    async (request) => {
      const ref = request.params.idOrHeight;
      const id = parseBlockId(ref.toLowerCase());
      const block = await backend.block(id === undefined ? { height: requireUInt64(ref, 'height') } : { id });
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
    async () => backend.tip(),
  );
}
