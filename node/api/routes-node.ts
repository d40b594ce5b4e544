import { Type } from 'typebox';
import { checkAdmin } from './access.ts';
import { ADMIN_SECURITY, type ApiApp, PROBLEMS } from './api-app.ts';
import { Problem } from './problem.ts';
import type { PageRouteDeps } from './response-slots.ts';
import {
  ConnectRequest,
  ConnectResult,
  GenesisDocument,
  MAX_PAGE,
  MempoolInfo,
  MempoolQuery,
  MineRequest,
  MineResult,
  NodeStatus,
  NoQuery,
  PeerList,
  PeerParams,
} from './schemas.ts';

export function addNodeRoutes(app: ApiApp, { backend, access, pages }: PageRouteDeps): void {
  app.get(
    '/v1/status',
    {
      schema: {
        operationId: 'getStatus',
        tags: ['node'],
        summary: 'The node at a glance',
        querystring: NoQuery,
        response: { 200: NodeStatus, ...PROBLEMS },
      },
    },
    async () => backend.status(),
  );

  app.get(
    '/v1/mempool',
    {
      schema: {
        operationId: 'getMempool',
        tags: ['transactions'],
        summary: 'What waits to be mined',
        querystring: MempoolQuery,
        response: { 200: MempoolInfo, ...PROBLEMS },
      },
    },
    async (request, reply) => pages.make(reply, () => backend.mempool(request.query.limit ?? MAX_PAGE)),
  );

  app.get(
    '/v1/genesis',
    {
      schema: {
        operationId: 'getGenesis',
        tags: ['blocks'],
        summary: 'The genesis document, fit to be saved and given to another node',
        querystring: NoQuery,
        response: { 200: GenesisDocument, ...PROBLEMS },
      },
    },
    async () => backend.genesis,
  );

  app.get(
    '/v1/peers',
    {
      schema: {
        operationId: 'listPeers',
        tags: ['node'],
        summary: 'Connected peers',
        querystring: NoQuery,
        response: { 200: PeerList, ...PROBLEMS },
      },
    },
    async () => backend.peers(),
  );

  app.post(
    '/v1/peers',
    {
      onRequest: async (request) => checkAdmin(request, access),
      schema: {
        operationId: 'connectPeer',
        tags: ['admin'],
        summary: 'Add a peer to the address book and dial it',
        security: ADMIN_SECURITY,
        querystring: NoQuery,
        body: ConnectRequest,
        response: { 202: { ...ConnectResult, description: 'Being dialled' }, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { address } = request.body;
      const outcome = await backend.connectPeer(address);
      if (outcome.kind === 'bad-address') throw new Problem(400, 'bad-peer-address', outcome.detail);
      return reply.code(202).send({ address });
    },
  );

  app.delete(
    '/v1/peers/:id',
    {
      onRequest: async (request) => checkAdmin(request, access),
      schema: {
        operationId: 'disconnectPeer',
        tags: ['admin'],
        summary: 'Disconnect a peer',
        security: ADMIN_SECURITY,
        params: PeerParams,
        querystring: NoQuery,
        response: { 204: Type.Null({ description: 'Disconnected' }), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      if (!(await backend.disconnectPeer(request.params.id))) throw new Problem(404, 'not-found', 'no such peer');
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/mine',
    {
      onRequest: async (request) => checkAdmin(request, access),
      preValidation: async (request) => {
        request.body ??= {}; // `curl -X POST` sends none: one block
      },
      schema: {
        operationId: 'mine',
        tags: ['admin'],
        summary: 'Mine blocks now (mining mode on-demand)',
        security: ADMIN_SECURITY,
        querystring: NoQuery,
        body: MineRequest,
        response: { 200: MineResult, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const gone = new AbortController();
      const onClose = () => gone.abort(new Error('the caller is gone'));
      reply.raw.once('close', onClose);
      try {
        const outcome = await backend.mine(request.body.blocks ?? 1, gone.signal);
        if (outcome.kind === 'refused') throw new Problem(409, 'mine-refused', outcome.detail);
        return { blocks: [...outcome.blocks] };
      } finally {
        reply.raw.removeListener('close', onClose);
      }
    },
  );
}
