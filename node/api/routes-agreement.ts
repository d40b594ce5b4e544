import { addressToBytes } from '../../crypto/address.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import { type ApiApp, PROBLEMS, type RouteDeps, requireAddress } from './api-app.ts';
import { EvidenceList, EvidenceQuery, MAX_PAGE } from './schemas.ts';

export function addAgreementRoutes(app: ApiApp, { backend }: RouteDeps): void {
  app.get(
    '/v1/agreement/evidence',
    {
      schema: {
        operationId: 'listEvidence',
        tags: ['agreement'],
        summary: 'Votes that contradict each other, and whose they are',
        querystring: EvidenceQuery,
        response: { 200: EvidenceList, ...PROBLEMS },
      },
    },
    async (request) => {
      const { after, limit = MAX_PAGE } = request.query;
      const from = after === undefined ? '' : bytesToHex(addressToBytes(requireAddress(after)));
      return backend.evidence(limit, from);
    },
  );
}
