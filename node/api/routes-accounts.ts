import { type ApiApp, PROBLEMS, requireAddress, requireUInt64 } from './api-app.ts';
import type { HistoryCursor } from './backend.ts';
import type { PageRouteDeps } from './response-slots.ts';
import { AccountHistory, AccountInfo, AddressParams, DEFAULT_PAGE, HistoryQuery, NoQuery } from './schemas.ts';

export function addAccountRoutes(app: ApiApp, { backend, pages }: PageRouteDeps): void {
  app.get(
    '/v1/accounts/:address',
    {
      schema: {
        operationId: 'getAccount',
        tags: ['accounts'],
        summary: 'Balance and nonces of an address',
        params: AddressParams,
        querystring: NoQuery,
        response: { 200: AccountInfo, ...PROBLEMS },
      },
    },
    async (request) => backend.account(requireAddress(request.params.address)),
  );

  app.get(
    '/v1/accounts/:address/history',
    {
      schema: {
        operationId: 'getAccountHistory',
        tags: ['accounts'],
        summary: 'Mined transfers from and to an address, newest first',
        params: AddressParams,
        querystring: HistoryQuery,
        response: { 200: AccountHistory, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { limit = DEFAULT_PAGE, before } = request.query;
      const cursor = before === undefined ? undefined : parseCursor(before);
      const address = requireAddress(request.params.address);
      return pages.make(reply, () => backend.history(address, limit, cursor));
    },
  );
}

/** `height`, or `height.index` as in a page's `next`. */
function parseCursor(text: string): HistoryCursor {
  const [height, index] = text.split('.');
  const cursor = { height: requireUInt64(height!, 'before') };
  return index === undefined ? cursor : { ...cursor, index: Number(index) };
}
