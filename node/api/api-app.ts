/** What the route files share. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply } from 'fastify';
import { MAX_U64 } from '../../chain/params.ts';
import { type Address, parseAddress } from '../../crypto/address.ts';
import type { AccessRules } from './access.ts';
import type { ApiBackend } from './backend.ts';
import { PROBLEM_MEDIA_TYPE, Problem } from './problem.ts';
import { ProblemDocument } from './schemas.ts';

export type ApiApp = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

export interface RouteDeps {
  readonly backend: ApiBackend;
  readonly access: AccessRules;
}

const problem = (description: string) => ({
  description,
  content: { [PROBLEM_MEDIA_TYPE]: { schema: ProblemDocument } },
});

/** The responses that any route may give. */
export const PROBLEMS = {
  '4xx': problem('The request was refused; `code` says why'),
  '5xx': problem('The node could not answer'),
} as const;

export const ADMIN_SECURITY = [{ adminToken: [] }, {}];

/** Calls `done` when the operating system has taken the whole answer, or its reader is gone; at once where that was before. */
export function onceClosed({ raw }: Pick<FastifyReply, 'raw'>, done: () => void): void {
  if (raw.destroyed) done();
  else raw.once('close', done);
}

/** @throws Problem 400 that says what is wrong with the address */
export function requireAddress(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Problem(400, 'bad-address', parsed.error);
  return parsed.address;
}

/** @throws Problem 400 above 2^64 - 1 */
export function requireUInt64(text: string, name: string): bigint {
  const value = BigInt(text);
  if (value > MAX_U64) throw new Problem(400, 'bad-request', `${name}: above 2^64 - 1`);
  return value;
}
