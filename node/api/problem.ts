/** Errors as RFC 9457 problem documents, whoever finds them: a route, fastify's validation, or its body limit. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Logger } from '../ports.ts';
import { StoreError } from '../store/store.ts';
import type { ProblemCode, ProblemDocument } from './schemas.ts';
import { STATUS_TEXT } from './status-text.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export interface ProblemExtras {
  /** The transaction it is about. */
  readonly id?: string;
  /** What a node that is not ready waits for. */
  readonly missing?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown by a route to answer with a problem document. */
export class Problem extends Error {
  readonly status: number;
  readonly code: ProblemCode;
  readonly extras: ProblemExtras;

  constructor(status: number, code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.extras = extras;
  }
}

/** Answers without fastify use it too. `headers` of the extras are no part of the document. */
export function problemDocument(problem: Problem): ProblemDocument {
  return {
    type: 'about:blank',
    title: STATUS_TEXT[problem.status] ?? 'Error',
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    ...(problem.extras.id === undefined ? {} : { id: problem.extras.id }),
    ...(problem.extras.missing === undefined ? {} : { missing: [...problem.extras.missing] }),
  };
}

/** Sends status, headers and document at once, as `application/problem+json`. Nothing may be sent on `reply` before. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  // Serialised here: a route's response schema must not be able to turn a problem into another error.
  return reply
    .code(problem.status)
    .headers(problem.extras.headers ?? {})
    .type(PROBLEM_MEDIA_TYPE)
    .serializer((text: string) => text)
    .send(JSON.stringify(problemDocument(problem)));
}

/** Answers every error and every unknown route of `app` with a problem document. */
export function answerWithProblems(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = problemFromError(error);
    if (problem.code === 'internal-error') {
      logger.error({ err: error, method: request.method, url: request.url }, 'request failed');
    }
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new Problem(404, 'not-found', `no ${request.method} ${pathOf(request.url)}; see /openapi.json`)),
  );
}

/** What an exception means to the caller; what is nobody's fault but ours says nothing about itself. */
export function problemFromError(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof StoreError) {
    if (error.code === 'full') return new Problem(503, 'disk-full', "the node's disk is full", retryAfter(30));
    if (error.code === 'unwritable')
      return new Problem(503, 'not-ready', "the node's store cannot be written", retryAfter(30));
    if (error.code === 'closed') return new Problem(503, 'stopping', 'the node is stopping', retryAfter(5));
  }
  if (!(error instanceof Error)) return internalError();
  const { code, statusCode, validation } = error as FrameworkError;
  if (validation !== undefined) return new Problem(400, 'bad-request', describeValidation(error as FrameworkError));
  if (statusCode === undefined || statusCode < 400 || statusCode > 499) return internalError();
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem(413, 'body-too-large', 'the body is larger than this node takes', CLOSE);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem(
        415,
        'unsupported-media-type',
        'send application/json, or application/octet-stream for a transaction',
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new Problem(400, 'bad-request', 'the body is empty, JSON was announced');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new Problem(400, 'bad-request', 'the body is not valid JSON');
    default:
      if (statusCode === 408) return new Problem(408, 'request-timeout', 'the request took too long to arrive', CLOSE);
      return new Problem(400, 'bad-request', error.message);
  }
}

const CLOSE: ProblemExtras = { headers: { connection: 'close' } };

/** The header in whole seconds, rounded up, at least 1 (RFC 9110 §10.2.3). */
export function retryAfter(seconds: number): ProblemExtras {
  return { headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) } };
}

interface FrameworkError extends Error {
  readonly code?: string;
  readonly statusCode?: number;
  readonly validation?: readonly ValidationFinding[];
  readonly validationContext?: string;
}

interface ValidationFinding {
  readonly keyword?: string;
  readonly instancePath?: string;
  readonly message?: string;
  readonly params?: {
    readonly additionalProperties?: readonly string[];
    readonly requiredProperties?: readonly string[];
  };
}

/** Names the first thing that is wrong, and where. */
function describeValidation(error: FrameworkError): string {
  const where = error.validationContext === 'querystring' ? 'query' : (error.validationContext ?? 'request');
  const findings = error.validation ?? [];
  // An unknown key is also reported as `schema is false`; its name is what helps.
  const finding = findings.find((each) => each.params?.additionalProperties !== undefined) ?? findings[0];
  const at = `${where}${(finding?.instancePath ?? '').replaceAll('/', '.')}`;
  const unknown = finding?.params?.additionalProperties;
  if (unknown !== undefined)
    return `${at}: unknown ${unknown
      .slice(0, 5)
      .map((key) => `'${key.slice(0, 40)}'`)
      .join(', ')}`;
  const missing = finding?.params?.requiredProperties;
  if (missing !== undefined) return `${at}: missing ${missing.map((key) => `'${key}'`).join(', ')}`;
  return `${at}: ${finding?.message ?? 'does not match its schema'}`;
}

function internalError(): Problem {
  return new Problem(500, 'internal-error', 'the node failed to answer; its log says why');
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return (query === -1 ? url : url.slice(0, query)).slice(0, 200);
}
