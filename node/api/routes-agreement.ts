import { addressToBytes } from '../../crypto/address.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import { type ApiApp, PROBLEMS, type RouteDeps, requireAddress, requireUInt64 } from './api-app.ts';
import { Problem } from './problem.ts';
import { ResponseSlots } from './response-slots.ts';
import {
  CertificateInfo,
  CertificateParams,
  CertificateQuery,
  EvidenceList,
  EvidenceQuery,
  MAX_PAGE,
} from './schemas.ts';

/** Each may be some 20 MB of JSON, which stay in memory until the reader has them, and as many votes and headers to look up. */
const MAX_CERTIFICATES_AT_ONCE = 3;

export function addAgreementRoutes(app: ApiApp, { backend }: RouteDeps): void {
  const certificates = new ResponseSlots('certificates', MAX_CERTIFICATES_AT_ONCE);

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

  app.get(
    '/v1/agreement/certificate/:height',
    {
      schema: {
        operationId: 'getCertificate',
        tags: ['agreement'],
        summary: 'Votes and headers that prove a block agreed or final to whoever has the genesis',
        params: CertificateParams,
        querystring: CertificateQuery,
        response: { 200: CertificateInfo, ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { state } = request.query;
      const height = requireUInt64(request.params.height, 'height');
      const certificate = await certificates.make(reply, () => backend.certificate(height, state));
      if (certificate !== undefined) return certificate as CertificateInfo;
      const { tip } = await backend.tip();
      const why =
        height > BigInt(tip.height) ? `the tip is at ${tip.height}` : `no votes here prove it ${state ?? 'agreed'}`;
      throw new Problem(404, 'not-found', `block ${height}: ${why}`);
    },
  );
}
