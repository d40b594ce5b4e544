/**
 * A typed client of a node's HTTP API: `grapevine/client`. Uses fetch, or what it is given instead, and WebSocket as the
 * platform has them.
 *
 * ```ts
 * const client = new GrapevineClient({ url: 'http://127.0.0.1:7401' });
 * const { id } = await client.sendTransaction({ secretKey, to: 'gv1p…', amount: 150_000_000n });
 * await client.waitFor(id, 'final');
 * ```
 */
import type { CertificateDocument } from '../chain/certificate-document.ts';
import { signTx } from '../chain/sign.ts';
import { encodeTxBatches } from '../chain/tx-batch.ts';
import type { ChainId, Tx } from '../chain/types.ts';
import { addressOf, formatAddress, parseAddress } from '../crypto/address.ts';
import { bytesToHex } from '../crypto/bytes.ts';
import { publicKeyOf } from '../crypto/keys.ts';
import { createSystemClock } from '../node/adapters.ts';
import type {
  AccountHistory,
  AccountInfo,
  BlockInfo,
  BlockList,
  ChainEvent,
  ConnectResult,
  EventType,
  EvidenceList,
  HelloEvent,
  MempoolInfo,
  MineResult,
  NodeStatus,
  PeerList,
  ProblemDocument,
  Readiness,
  SubmitBatchResult,
  SubmitRefusal,
  SubmitResult,
  TipInfo,
  TransactionState,
  TransactionStatus,
} from '../node/api/schemas.ts';
import type { Clock } from '../node/ports.ts';
import { EventFeed } from './event-feed.ts';

export type {
  AccountHistory,
  AccountInfo,
  BlockInfo,
  BlockList,
  ChainEvent,
  EventType,
  EvidenceList,
  HelloEvent,
  MempoolInfo,
  NodeStatus,
  PeerList,
  ProblemDocument,
  SubmitRefusal,
  SubmitResult,
  TipInfo,
  TransactionState,
  TransactionStatus,
};

export const DEFAULT_API_URL = 'http://127.0.0.1:7401';

/** Codes that the client itself gives; all others are the node's. */
export type ClientErrorCode = 'client/no-answer' | 'client/timeout' | 'client/not-grapevine' | 'client/bad-argument';

/** Waits that are believed: whoever heeded 0 would ask without a pause; a node asks for half of the longest at most. */
const MIN_RETRY_AFTER_S = 1;
const MAX_RETRY_AFTER_S = 60;

/** Whether a node that refuses with this code takes nothing for now, whatever it is. */
export function isForNow(code: string): boolean {
  return code === 'overloaded' || code === 'not-ready' || code === 'disk-full' || code === 'stopping';
}

/** Why one of several was refused. */
export interface BatchRefusal extends SubmitRefusal {
  /** When to come again, where the node took none of its request. */
  readonly retryAfterS?: number | undefined;
}

/** The node refused, or there was no answer (`status` 0). */
export class GrapevineError extends Error {
  /** A reason code (`tx/balance-low`), another code of the API, or one of the client's. */
  readonly code: string;
  /** HTTP status; 0 where there was none. */
  readonly status: number;
  readonly problem: ProblemDocument | undefined;
  /** When to come again, 1 to 60; undefined where nothing is said of it. */
  readonly retryAfterS: number | undefined;

  constructor(
    code: string,
    message: string,
    details: {
      readonly status?: number;
      readonly problem?: ProblemDocument | undefined;
      readonly retryAfterS?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = 'GrapevineError';
    this.code = code;
    this.status = details.status ?? 0;
    this.problem = details.problem;
    this.retryAfterS = details.retryAfterS;
  }
}

/** What the client needs of an answer; `Response` is one. */
export interface HttpAnswer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}

/** What the client needs of `fetch`. Rejects where no answer comes, with what says why in its `code` or its causes. */
export type HttpRequest = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: string | Uint8Array<ArrayBuffer>;
    readonly signal: AbortSignal;
  },
) => Promise<HttpAnswer>;

export interface GrapevineClientOptions {
  /** Default `http://127.0.0.1:7401`. */
  readonly url?: string;
  /** Bearer token of administrative calls. */
  readonly token?: string;
  /** Longest wait for an answer; default 30 s. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** Default: the platform's `fetch`. */
  readonly request?: HttpRequest;
}

export interface SendOptions {
  /** 32 bytes. */
  readonly secretKey: Uint8Array;
  /** bech32m. */
  readonly to: string;
  /** In the smallest unit. */
  readonly amount: bigint;
  /** In the smallest unit; default: the network's minimum. */
  readonly fee?: bigint;
  /** Text (as UTF-8) or bytes, at most 256. */
  readonly memo?: string | Uint8Array;
  /** Default: the sender's next one, counting what waits in the node's mempool. */
  readonly nonce?: bigint;
}

export interface SentTransaction extends SubmitResult {
  readonly from: string;
  readonly nonce: bigint;
  readonly fee: bigint;
}

export interface WaitOptions {
  /** Default 60 s. */
  readonly timeoutMs?: number;
  readonly pollMs?: number;
  readonly signal?: AbortSignal;
}

export interface EventOptions {
  readonly signal?: AbortSignal;
  /** Of the `tx` events one in so many, by id: the same transactions at every node. Default 1: all. */
  readonly sample?: number;
  /** Called when the connection is lost and another is about to be tried. */
  readonly onReconnect?: (why: string) => void;
}

/** What the event iterator yields: `hello` on each connection (after the first: events may be missing before it). */
export type ClientEvent = HelloEvent | ChainEvent;

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_WAIT_MS = 60_000;
const DEFAULT_POLL_MS = 200;
const RECONNECT_MS = [250, 500, 1000, 2000, 5000] as const;
/** How far along a transaction is. */
const PROGRESS: Readonly<Record<TransactionState, number>> = { dropped: -1, pending: 0, mined: 1, agreed: 2, final: 3 };

interface NetworkFacts {
  readonly chainId: ChainId;
  readonly minFee: bigint;
}

/**
 * The API from TypeScript; any number of calls may be under way. A request that fails rejects with a GrapevineError:
 * its code is the node's where that refused, else a `ClientErrorCode`. In answers heights and amounts are decimal
 * strings, as the API has them. No request is made again, but as `events` and `waitFor` say.
 */
export class GrapevineClient {
  readonly url: string;
  readonly #token: string | undefined;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #send: HttpRequest;
  #network: Promise<NetworkFacts> | undefined;

  /** @throws GrapevineError `client/bad-argument` when the URL is none of http or https */
  constructor(options: GrapevineClientOptions = {}) {
    this.url = checkUrl(options.url ?? DEFAULT_API_URL);
    this.#token = options.token;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#clock = options.clock ?? createSystemClock();
    this.#send = options.request ?? ((url, init) => fetch(url, init));
  }

  status(): Promise<NodeStatus> {
    return this.#get('/v1/status');
  }

  tip(): Promise<TipInfo> {
    return this.#get('/v1/tip');
  }

  /** What proves the block at a height; its upper piece where the whole is too long for one answer. */
  certificate(height: string | bigint | number, state?: 'agreed' | 'final'): Promise<CertificateDocument> {
    return this.#get(`/v1/agreement/certificate/${encodeURIComponent(String(height))}${query({ state })}`);
  }

  /** @param page `after` is the `next` of the page before */
  evidence(page: { readonly limit?: number; readonly after?: string } = {}): Promise<EvidenceList> {
    return this.#get(`/v1/agreement/evidence${query(page)}`);
  }

  /** The genesis document, as make-genesis wrote it. */
  genesis(): Promise<unknown> {
    return this.#get('/v1/genesis');
  }

  /** Also where the node is not ready. */
  async readiness(): Promise<Readiness> {
    try {
      return await this.#get('/readyz');
    } catch (error) {
      if (!(error instanceof GrapevineError) || error.code !== 'not-ready') throw error;
      return { ready: false, missing: error.problem?.missing ?? [] };
    }
  }

  metrics(): Promise<string> {
    return this.#request('GET', '/metrics', undefined, (response) => response.text());
  }

  /** @param address bech32m */
  account(address: string): Promise<AccountInfo> {
    return this.#get(`/v1/accounts/${encodeURIComponent(address)}`);
  }

  /** @param page `before` is the `next` of the page before */
  history(address: string, page: { readonly limit?: number; readonly before?: string } = {}): Promise<AccountHistory> {
    return this.#get(`/v1/accounts/${encodeURIComponent(address)}/history${query(page)}`);
  }

  block(idOrHeight: string | bigint | number): Promise<BlockInfo> {
    return this.#get(`/v1/blocks/${encodeURIComponent(String(idOrHeight))}`);
  }

  blocks(page: { readonly from?: string | bigint; readonly limit?: number } = {}): Promise<BlockList> {
    return this.#get(`/v1/blocks${query(page)}`);
  }

  mempool(page: { readonly limit?: number } = {}): Promise<MempoolInfo> {
    return this.#get(`/v1/mempool${query(page)}`);
  }

  transaction(id: string): Promise<TransactionStatus> {
    return this.#get(`/v1/transactions/${encodeURIComponent(id)}`);
  }

  peers(): Promise<PeerList> {
    return this.#get('/v1/peers');
  }

  connectPeer(address: string): Promise<ConnectResult> {
    return this.#request('POST', '/v1/peers', { address }, readJson<ConnectResult>);
  }

  disconnectPeer(id: string): Promise<void> {
    return this.#request('DELETE', `/v1/peers/${encodeURIComponent(id)}`, undefined, async (answer) => {
      await answer.text(); // its connection is free when it has been read
    });
  }

  /**
   * Mines on demand.
   *
   * @param blocks 1 to 1000
   * @param timeoutMs longest wait; mining takes the time it takes
   */
  mine(blocks = 1, timeoutMs = 600_000): Promise<MineResult> {
    return this.#request('POST', '/v1/mine', { blocks }, readJson<MineResult>, timeoutMs);
  }

  /** @param bytes the canonical encoding of a signed transaction */
  submit(bytes: Uint8Array): Promise<SubmitResult> {
    return this.#request('POST', '/v1/transactions', { tx: bytesToHex(bytes) }, readJson<SubmitResult>);
  }

  /**
   * Several at once, which costs the node and the network a fraction of what single requests do.
   *
   * @param txs signed, none twice; 64 KiB of encodings travel in a request, some 300 of the usual size
   * @returns in the same order; one that was refused says why and does not keep back the others, but where the node took no
   *   more for now: what follows that request is not sent, and refused alike, for it would have gaps in its nonces
   * @throws GrapevineError where nothing was taken because the node takes no more, or where a request fails otherwise
   */
  async submitBatch(txs: readonly Tx[]): Promise<readonly (SubmitResult | BatchRefusal)[]> {
    const all: (SubmitResult | BatchRefusal)[] = [];
    for (const batch of encodeTxBatches(txs)) {
      let busy: BatchRefusal | undefined;
      try {
        const body = batch as Uint8Array<ArrayBuffer>;
        const { results } = await this.#request('POST', '/v1/transactions/batch', body, readJson<SubmitBatchResult>);
        all.push(...results);
        busy = results.find((result) => 'code' in result && isForNow(result.code)) as SubmitRefusal | undefined;
      } catch (error) {
        if (all.length === 0 || !(error instanceof GrapevineError) || !isForNow(error.code)) throw error;
        busy = { code: error.code, detail: error.message, retryAfterS: error.retryAfterS };
      }
      if (busy === undefined) continue;
      const { code, detail, retryAfterS } = busy;
      return [...all, ...txs.slice(all.length).map(({ id }) => ({ id, code, detail, retryAfterS }))];
    }
    return all;
  }

  /**
   * Builds, signs and submits a transfer.
   *
   * @throws GrapevineError with the node's reason code where it refuses
   */
  async sendTransaction(options: SendOptions): Promise<SentTransaction> {
    const to = parseAddress(options.to);
    if (!to.ok) throw new GrapevineError('client/bad-argument', `to: ${to.error}`);
    const from = formatAddress(addressOf(publicKeyOf(options.secretKey)));
    const { chainId, minFee } = await this.network();
    const nonce = options.nonce ?? BigInt((await this.account(from)).pendingNonce);
    const fee = options.fee ?? minFee;
    const { amount } = options;
    const memo = typeof options.memo === 'string' ? new TextEncoder().encode(options.memo) : options.memo;
    const body = { chainId, nonce, to: to.address, amount, fee, memo: memo ?? new Uint8Array() };
    const { bytes } = signTx(body, options.secretKey);
    return { ...(await this.submit(bytes)), from, nonce, fee };
  }

  /** What signing needs to know of the network; asked once. */
  network(): Promise<NetworkFacts> {
    this.#network ??= this.status().then(
      ({ network }) => ({ chainId: network.chainId as ChainId, minFee: BigInt(network.minFee) }),
      (error: unknown) => {
        this.#network = undefined;
        throw error;
      },
    );
    return this.#network;
  }

  /**
   * Waits until a transaction has come at least as far as `state`. One that the node does not know yet is waited
   * for: it may have been submitted elsewhere.
   *
   * @throws GrapevineError with the reason it was dropped for, or `client/timeout`
   */
  async waitFor(
    id: string,
    state: Exclude<TransactionState, 'dropped'> = 'mined',
    options: WaitOptions = {},
  ): Promise<TransactionStatus> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_WAIT_MS;
    const end = this.#clock.monotonicMs() + timeoutMs;
    const signal = options.signal ?? NEVER;
    let seen = 'not seen by this node';
    for (;;) {
      signal.throwIfAborted();
      const status = await this.transaction(id).catch((error: unknown) => {
        if (error instanceof GrapevineError && error.status === 404) return undefined;
        throw error;
      });
      if (status?.state === 'dropped') {
        const reason = status.reason ?? 'tx/evicted';
        throw new GrapevineError(reason, `transaction ${id} was dropped: ${reason}`);
      }
      if (status !== undefined && PROGRESS[status.state] >= PROGRESS[state]) return status;
      if (status !== undefined) seen = status.parked ? 'parked: a lower nonce of the sender is missing' : status.state;
      if (this.#clock.monotonicMs() >= end) {
        throw new GrapevineError('client/timeout', `transaction ${id} is not ${state} after ${timeoutMs} ms: ${seen}`);
      }
      await this.#clock.sleep(options.pollMs ?? DEFAULT_POLL_MS, signal);
    }
  }

  /**
   * Follows what happens on the node, reconnecting where the connection breaks, until the loop is left or the signal
   * aborts. Each connection begins with a `hello`; events between two connections are not repeated.
   *
   * @throws GrapevineError `client/no-answer` when the first connection can't be made
   */
  async *events(types?: readonly EventType[], options: EventOptions = {}): AsyncGenerator<ClientEvent, void, void> {
    const suffix = query({ types: types?.join(','), sample: options.sample });
    const address = `${this.url.replace(/^http/, 'ws')}/v1/events${suffix}`;
    const signal = options.signal ?? NEVER;
    let failures = 0;
    let everConnected = false;
    while (!signal.aborted) {
      const feed = new EventFeed(address, this.#clock, signal);
      try {
        for await (const message of feed) {
          everConnected = true;
          failures = 0;
          if (message.type !== 'heartbeat') yield message;
        }
      } finally {
        feed.close();
      }
      if (signal.aborted) return;
      if (!everConnected) {
        await this.status(); // says more about what is wrong than a socket does
        throw new GrapevineError('client/no-answer', `no event socket at ${address}: ${feed.endedBecause}`);
      }
      options.onReconnect?.(feed.endedBecause);
      const delayMs = RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)]!;
      failures += 1;
      await this.#clock.sleep(delayMs, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  #get<T>(path: string): Promise<T> {
    return this.#request('GET', path, undefined, readJson<T>);
  }

  async #request<T>(
    method: string,
    path: string,
    body: object | Uint8Array<ArrayBuffer> | undefined,
    read: (response: HttpAnswer) => Promise<T>,
    timeoutMs = this.#timeoutMs,
  ): Promise<T> {
    const timeout = new AbortController();
    const cancel = this.#clock.after(timeoutMs, () => timeout.abort());
    try {
      const response = await this.#send(`${this.url}${path}`, {
        method,
        headers: {
          ...(body === undefined
            ? {}
            : { 'content-type': isBytes(body) ? 'application/octet-stream' : 'application/json' }),
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        },
        ...(body === undefined ? {} : { body: isBytes(body) ? body : JSON.stringify(body) }),
        signal: timeout.signal,
      });
      if (!response.ok) throw await refusal(response);
      return await read(response);
    } catch (error) {
      if (error instanceof GrapevineError) throw error;
      if (timeout.signal.aborted) {
        throw new GrapevineError('client/timeout', `no answer from ${this.url} within ${timeoutMs} ms`);
      }
      throw new GrapevineError('client/no-answer', `no node answers at ${this.url}: ${causeOf(error)}`, {
        cause: error,
      });
    } finally {
      cancel();
    }
  }
}

const NEVER = new AbortController().signal;

function isBytes(body: object): body is Uint8Array<ArrayBuffer> {
  return body instanceof Uint8Array;
}

async function readJson<T>(response: HttpAnswer): Promise<T> {
  const answer = parseObject(await response.text());
  if (answer === undefined) throw notGrapevine(response.status);
  return answer as T;
}

function parseObject(text: string): object | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : undefined;
  } catch {
    return undefined; // not JSON, so nothing that a node says
  }
}

function notGrapevine(status: number, retryAfterS?: number): GrapevineError {
  const message = `HTTP ${status} from what is not a Grapevine node`;
  return new GrapevineError('client/not-grapevine', message, { status, retryAfterS });
}

async function refusal(response: HttpAnswer): Promise<GrapevineError> {
  const { status } = response;
  const text = await response.text();
  const retryAfter = response.headers.get('retry-after');
  // Seconds, as nodes send it; a date (RFC 9110 §10.2.3) can only be from what stands before one.
  const retryAfterS = /^\d{1,9}$/.test(retryAfter ?? '')
    ? Math.max(MIN_RETRY_AFTER_S, Math.min(Number(retryAfter), MAX_RETRY_AFTER_S))
    : undefined;
  if (response.headers.get('content-type')?.startsWith('application/problem+json') === true) {
    const problem = parseObject(text) as ProblemDocument | undefined;
    if (typeof problem?.code === 'string' && typeof problem.detail === 'string')
      return new GrapevineError(problem.code, problem.detail, { status, problem, retryAfterS });
  }
  return notGrapevine(status, retryAfterS);
}

function checkUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new GrapevineError('client/bad-argument', `'${text}' is not the URL of an API; write http://127.0.0.1:7401`);
  }
  return text.replace(/\/+$/, '');
}

/** fetch says `fetch failed`, and hides why in its causes. */
function causeOf(error: unknown): string {
  let cause = error;
  for (let depth = 0; depth < 4 && cause instanceof Error; depth++) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
    if (cause.cause === undefined) return cause.message;
    cause = cause.cause;
  }
  return String(cause);
}

function query(values: Readonly<Record<string, string | number | bigint | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== undefined) search.set(key, String(value));
  return search.size === 0 ? '' : `?${search}`;
}
