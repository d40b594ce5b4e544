import { addressToBytes } from '../../crypto/address.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import { type ApiApp, PROBLEMS, type RouteDeps, requireAddress, requireUInt64 } from './api-app.ts';
import { Problem } from './problem.ts';
import {
  CertificateInfo,
  CertificateParams,
  CertificateQuery,
  EvidenceList,
  EvidenceQuery,
  MAX_PAGE,
} from './schemas.ts';

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
    async (request) => {
      const { state } = request.query;
      const certificate = await backend.certificate(requireUInt64(request.params.height, 'height'), state);
      if (certificate !== undefined) return certificate as CertificateInfo;
      throw new Problem(404, 'not-found', `no votes here prove the block at that height ${state ?? 'agreed'}`);
    },
  );
}
