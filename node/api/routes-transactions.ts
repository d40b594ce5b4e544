import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { parseTxId } from '../../chain/codec.ts';
import { MAX_TX_BYTES } from '../../chain/params.ts';
import { decodeTxBatch } from '../../chain/tx-batch.ts';
import type { Tx } from '../../chain/types.ts';
import { hexToBytes } from '../../crypto/bytes.ts';
import { type ApiApp, PROBLEMS, type RouteDeps } from './api-app.ts';
import type { SubmitOutcome } from './backend.ts';
import { MAX_SUBMIT_BATCH } from './limits.ts';
import { Problem, retryAfter } from './problem.ts';
import { TX_REFUSALS } from './refusals.ts';
import {
  NoQuery,
  SubmitBatchRequest,
  SubmitBatchResult,
  type SubmitRefusal,
  SubmitRequest,
  SubmitResult,
  TransactionStatus,
  TxIdParams,
} from './schemas.ts';

/** Hex, quotes and commas, and room for what is over-long and gets a reason of its own. */
const MAX_BATCH_BODY_BYTES = MAX_SUBMIT_BATCH * (2 * MAX_TX_BYTES + 64);

export function addTransactionRoutes(app: ApiApp, { backend }: RouteDeps): void {
  // A scope of its own: no other route takes raw bytes.
  app.register(async (bare) => {
    const scope = bare.withTypeProvider<TypeBoxTypeProvider>();
    scope.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => {
      done(null, body);
    });
    scope.post(
      '/v1/transactions',
      {
        schema: {
          operationId: 'submitTransaction',
          tags: ['transactions'],
          summary: 'Submit a signed transaction',
          description: 'Checked, then gossiped; a nonce gap is parked and answered with `parked: true`',
          querystring: NoQuery,
          body: {
            content: {
              'application/json': { schema: SubmitRequest },
              'application/octet-stream': { schema: Type.Unknown({ description: 'The canonical encoding' }) },
            },
          },
          response: {
            200: { ...SubmitResult, description: 'The node has it already' },
            202: { ...SubmitResult, description: 'Accepted and on its way' },
            ...PROBLEMS,
          },
        },
      },
      async (request, reply) => {
        const outcome = await backend.submitTransaction(submittedBytes(request.body));
        return reply.code(outcome.kind === 'known' ? 200 : 202).send(submitResult(outcome));
      },
    );
    scope.post(
      '/v1/transactions/batch',
      {
        bodyLimit: MAX_BATCH_BODY_BYTES,
        schema: {
          operationId: 'submitTransactions',
          tags: ['transactions'],
          summary: 'Submit several signed transactions',
          description: 'Each has its own result, as if it had been sent alone, in the order given',
          querystring: NoQuery,
          body: {
            content: {
              'application/json': { schema: SubmitBatchRequest },
              'application/octet-stream': { schema: Type.Unknown({ description: 'The encoding that gossip uses' }) },
            },
          },
          response: { 200: SubmitBatchResult, ...PROBLEMS },
        },
      },
      async (request) => {
        const outcomes = await Promise.all(
          submittedBatch(request.body).map((submitted) => backend.submitTransaction(submitted)),
        );
        const [first] = outcomes;
        // Nothing was taken, and all for one reason: the answer of a single one says when to come again.
        const isBusy = (kind: SubmitOutcome['kind']): boolean => kind === 'overloaded' || kind === 'unavailable';
        if (first !== undefined && outcomes.every(({ kind }) => isBusy(kind))) submitResult(first);
        return { results: outcomes.map(submitResultOrRefusal) };
      },
    );
  });

  app.get(
    '/v1/transactions/:id',
    {
      schema: {
        operationId: 'getTransaction',
        tags: ['transactions'],
        summary: 'State and fields of a transaction',
        params: TxIdParams,
        querystring: NoQuery,
        response: { 200: TransactionStatus, ...PROBLEMS },
      },
    },
    async (request) => {
      const id = request.params.id.toLowerCase();
      const known = parseTxId(id);
      const status = known && (await backend.transaction(known));
      if (status === undefined) throw new Problem(404, 'not-found', 'no such transaction here', { id });
      return status;
    },
  );
}

/** @throws Problem 422 for bytes that are no batch */
function submittedBatch(body: unknown): readonly (Uint8Array | Tx)[] {
  if (body instanceof Uint8Array) {
    const batch = decodeTxBatch(body);
    if (!batch.ok) throw new Problem(422, 'batch/malformed', batch.detail);
    return batch.value;
  }
  // Without a content type nothing was parsed, and no schema was asked.
  if (typeof body === 'object' && body !== null && 'txs' in body) return (body.txs as string[]).map(hexToBytes);
  throw new Problem(
    415,
    'unsupported-media-type',
    'send {"txs":["<hex>"]} as application/json, or an encoded batch as application/octet-stream',
  );
}

function submittedBytes(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  // Without a content type nothing was parsed, and no schema was asked.
  if (typeof body === 'object' && body !== null && 'tx' in body && typeof body.tx === 'string') {
    return hexToBytes(body.tx);
  }
  throw new Problem(
    415,
    'unsupported-media-type',
    'send {"tx":"<hex>"} as application/json, or the bytes as application/octet-stream',
  );
}

function submitResultOrRefusal(outcome: SubmitOutcome): SubmitResult | SubmitRefusal {
  try {
    return submitResult(outcome);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code, message } = error;
    return { code, detail: message, ...('id' in outcome && outcome.id !== undefined && { id: outcome.id }) };
  }
}

/** @throws Problem for what is neither accepted nor known */
function submitResult(outcome: SubmitOutcome): SubmitResult {
  switch (outcome.kind) {
    case 'accepted':
      return { id: outcome.id, state: 'pending', parked: outcome.parked };
    case 'known':
      return { id: outcome.id, state: outcome.state, parked: outcome.parked };
    case 'refused':
      throw new Problem(
        422,
        outcome.reason,
        outcome.detail ?? TX_REFUSALS[outcome.reason],
        outcome.id === undefined ? {} : { id: outcome.id },
      );
    case 'overloaded':
      throw new Problem(
        429,
        'overloaded',
        'the node has more to do than it can; try again',
        retryAfter(outcome.retryAfterS),
      );
    case 'unavailable':
      throw new Problem(503, outcome.code, outcome.detail, retryAfter(outcome.code === 'disk-full' ? 30 : 2));
    default:
      return outcome satisfies never;
  }
}
