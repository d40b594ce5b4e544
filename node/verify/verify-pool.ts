/**
 * Signature checks on worker threads.
 *
 * Specification: every request gets one verdict per item, whatever becomes of the threads; urgent items are sent to
 * the threads before bulk ones. Bulk requests beyond `maxBulkItems` are refused with {@link VerifierBusyError};
 * urgent ones never are, their callers are bounded (blocks: one at a time; votes: their lane).
 *
 * Rationale: a thread gets a batch at once while it is idle; while it works, what comes in gathers, so that batches
 * grow with the load by themselves. Half-empty bulk batches leave at most once per `LINGER_MS`. Each thread has some
 * batches of `BATCH_MS` waiting, so that it does not idle while this thread is busy or collects garbage; it puts urgent
 * ones first itself. A request that takes less time than the round trip to a thread is checked right here, within an
 * allowance that keeps the event loop free; where no thread runs, one that is not worth starting it, and a thread that
 * did too little ends. It takes 15 to 20 MB, which a quiet node so does without.
 */
import { hasItemLengths, type SignatureBackend } from '../../crypto/signature.ts';
import type { Clock, Logger, SignatureItem, SignatureVerifier, VerifyPriority } from '../ports.ts';
import { createInlineVerifier } from './inline-verifier.ts';
import { PACKED_ITEM_BYTES, packItem } from './packed-items.ts';
import { VerifierBusyError } from './verifier-busy-error.ts';
import { type BatchReply, spawnVerifyThread, type VerifyThread, type VerifyThreadEvents } from './verify-thread.ts';

const MAX_BATCH = 256;
/** Less is not worth another thread, nor being shared out. */
const MIN_BATCH = 16;
/** How long a thread should take over a batch. */
const BATCH_MS = 8;
/** Batches of a priority sent to a thread and not answered. */
const DEPTH = 4;
/** Half-empty bulk batches are this far apart. */
const LINGER_MS = 2;
/** Bulk items that may wait: about a second's work of one native thread. */
const MAX_BULK_ITEMS = 16_384;
/** A round trip to an idle thread costs 0.35–0.43 ms: what takes less is done here. */
const INLINE_MS = 0.35;
/** The same while no thread runs; no more than can be saved up. */
const UNTHREADED_MS = 2;
/** Share of this thread's time that may go into signatures checked here, and how much may be saved up, with threads and without. */
const INLINE_SHARE = 0.1;
const INLINE_SAVED_MS = 2;
const UNTHREADED_SAVED_MS = 6;
/** First guess at one check, between the backends'; measured from then on. */
const FIRST_GUESS_MS = 0.2;
/** A check that took so many times what was expected was interrupted: more says nothing of the backend. */
const MAX_SURPRISE = 4;
/** So often is looked for threads that did less than this since, and nothing but what can be done here: they end. */
const LOOK_MS = 30_000;
const WORTH_MS = 0.01 * LOOK_MS;
/** Items of a batch whose thread died this often are checked here: they may be what it died of. */
const MAX_TRIES = 2;
/** Threads that died in a row without an answer: from then on, and after one that did not start, one is tried only so often. */
const MAX_DEATHS = 3;
const RESPAWN_MS = 10_000;

export interface VerifyPoolOptions {
  /** Threads at most; they are started as the load needs them. */
  readonly size: number;
  readonly backend: SignatureBackend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A thread died, and its batches are checked again; or one could not be started. */
  readonly onThreadDeath?: (error: unknown) => void;
  readonly maxBulkItems?: number;
  readonly spawn?: (backend: string, events: VerifyThreadEvents) => VerifyThread;
}

interface Request {
  readonly items: readonly SignatureItem[];
  readonly results: boolean[];
  missing: number;
  readonly resolve: (results: readonly boolean[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Items [from, to) of a request that are yet to be sent. */
interface Span {
  readonly request: Request;
  from: number;
  readonly to: number;
  readonly tries: number;
}

interface Thread {
  readonly thread: VerifyThread;
  readonly batches: Map<number, { readonly priority: VerifyPriority; readonly spans: readonly Span[] }>;
  /** Batches by priority. */
  readonly owed: Record<VerifyPriority, number>;
  /** Since threads were last looked at, in all and over the largest batch. */
  workedMs: number;
  longestMs: number;
}

/**
 * After `close` it rejects whatever it is asked. That a thread dies, or cannot be started, is no failure to the
 * caller: what it had is checked again, in the end on the calling thread.
 */
export class VerifyPool implements SignatureVerifier {
  readonly #options: VerifyPoolOptions;
  readonly #inline: SignatureVerifier;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Record<VerifyPriority, Span[]> = { urgent: [], bulk: [] };
  readonly #waitingItems: Record<VerifyPriority, number> = { urgent: 0, bulk: 0 };
  #batches = 0;
  #itemMs = FIRST_GUESS_MS;
  #inlineMs = UNTHREADED_SAVED_MS;
  #inlineAt: number;
  #partialAt = Number.NEGATIVE_INFINITY;
  #cancelLinger: (() => void) | undefined;
  #deaths = 0;
  #cancelRespawn: (() => void) | undefined;
  #cancelEnding: (() => void) | undefined;
  #isClosed = false;

  constructor(options: VerifyPoolOptions) {
    this.#options = options;
    this.#inline = createInlineVerifier(options.backend, options.clock);
    this.#inlineAt = options.clock.monotonicMs();
  }

  verify(items: readonly SignatureItem[], priority: VerifyPriority = 'urgent'): Promise<readonly boolean[]> {
    if (items.length === 0) return Promise.resolve([]);
    if (this.#isClosed) return Promise.reject(new Error('the verifier is closed'));
    if (this.#maySpare(items.length)) {
      const done = this.#verifyHere(items);
      if (done.length === items.length) return Promise.resolve(done);
      const left = items.slice(done.length);
      // Where what is left takes little too, it was not the checks that took so long.
      const isSlow = this.#threads.size > 0 || left.length * this.#itemMs > UNTHREADED_MS;
      const rest = isSlow ? this.#handOver(left, priority) : this.#inline.verify(left, priority);
      return rest.then((results) => [...done, ...results]);
    }
    return this.#handOver(items, priority);
  }

  #handOver(items: readonly SignatureItem[], priority: VerifyPriority): Promise<readonly boolean[]> {
    if (this.#isDisabled) return this.#inline.verify(items, priority);
    const waiting = this.#waitingItems.bulk;
    if (priority === 'bulk' && waiting + items.length > (this.#options.maxBulkItems ?? MAX_BULK_ITEMS)) {
      return Promise.reject(new VerifierBusyError(waiting));
    }
    return new Promise((resolve, reject) => {
      const results = new Array<boolean>(items.length).fill(false);
      const request: Request = { items, results, missing: items.length, resolve, reject };
      this.#waiting[priority].push({ request, from: 0, to: items.length, tries: 0 });
      this.#waitingItems[priority] += items.length;
      this.#send();
    });
  }

  /** Ends the threads; what still waits is rejected. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelLinger?.();
    this.#cancelRespawn?.();
    this.#cancelEnding?.();
    const closed = new Error('the verifier is closed');
    const spans = [...this.#waiting.urgent.splice(0), ...this.#waiting.bulk.splice(0)];
    for (const { batches } of this.#threads) for (const batch of batches.values()) spans.push(...batch.spans);
    for (const { request } of spans) request.reject(closed);
    await Promise.all([...this.#threads].map(({ thread }) => thread.terminate()));
  }

  /** Threads die as soon as they start, or do not start: for a while all is checked here. */
  get #isDisabled(): boolean {
    return this.#cancelRespawn !== undefined && this.#threads.size === 0;
  }

  /** Quicker here than over there, nothing waits before it, and this thread has time to spare. */
  #maySpare(count: number): boolean {
    const cost = count * this.#itemMs;
    const [mostMs, savedMs] =
      this.#threads.size === 0 ? [UNTHREADED_MS, UNTHREADED_SAVED_MS] : [INLINE_MS, INLINE_SAVED_MS];
    if (cost > mostMs || this.#waitingItems.urgent + this.#waitingItems.bulk > 0) return false;
    const nowMs = this.#options.clock.monotonicMs();
    this.#inlineMs = Math.min(savedMs, this.#inlineMs + (nowMs - this.#inlineAt) * INLINE_SHARE);
    this.#inlineAt = nowMs;
    return this.#inlineMs >= cost;
  }

  /** @returns the first verdicts: all of them, unless they take longer than was expected */
  #verifyHere(items: readonly SignatureItem[]): readonly boolean[] {
    const { backend, clock } = this.#options;
    const begin = clock.monotonicMs();
    const results: boolean[] = [];
    let elapsedMs = 0;
    for (const item of items) {
      results.push(backend.verify(item));
      elapsedMs = clock.monotonicMs() - begin;
      if (elapsedMs >= UNTHREADED_MS) break;
    }
    this.#learn(elapsedMs / results.length);
    // What it took, of which a pause is only a part: a backend's first checks take many times what is expected.
    this.#inlineMs -= Math.min(elapsedMs, UNTHREADED_MS);
    return results;
  }

  #learn(measuredMs: number): void {
    const itemMs = Math.min(measuredMs, MAX_SURPRISE * this.#itemMs);
    this.#itemMs += (itemMs - this.#itemMs) / 8;
  }

  /** Fills the threads with what waits; checks it here where there are none. */
  #send(): void {
    for (const priority of ['urgent', 'bulk'] as const) {
      // Shared out among the threads, so that a block's signatures are checked by all of them.
      const share = Math.max(MIN_BATCH, Math.ceil(this.#waitingItems[priority] / this.#options.size));
      while (this.#waitingItems[priority] > 0) {
        const thread = this.#freeThread(priority);
        if (thread === undefined) break;
        const full = Math.max(1, Math.min(MAX_BATCH, Math.floor(BATCH_MS / this.#itemMs)));
        if (priority === 'bulk' && this.#waitingItems.bulk < full && !this.#mayLeave(thread)) return;
        this.#post(thread, priority, Math.min(full, share));
      }
    }
    if (!this.#isDisabled) return;
    for (const priority of ['urgent', 'bulk'] as const) {
      for (const span of this.#waiting[priority].splice(0)) this.#checkHere(span);
      this.#waitingItems[priority] = 0;
    }
  }

  /** May a batch that is not full go to this thread now? */
  #mayLeave(thread: Thread): boolean {
    if (thread.batches.size > 0) return false; // its answer will ask again
    const { clock } = this.#options;
    const restMs = this.#partialAt + LINGER_MS - clock.monotonicMs();
    if (restMs <= 0) {
      this.#partialAt = clock.monotonicMs();
      return true;
    }
    this.#cancelLinger ??= clock.after(restMs, () => {
      this.#cancelLinger = undefined;
      this.#partialAt = Number.NEGATIVE_INFINITY;
      this.#send();
    });
    return false;
  }

  /** The thread with the least to do; a new one where none is idle, there may be more, and the work is worth it. */
  #freeThread(priority: VerifyPriority): Thread | undefined {
    let best: Thread | undefined;
    for (const thread of this.#threads) {
      if (thread.owed[priority] < (best?.owed[priority] ?? DEPTH)) best = thread;
    }
    if (best?.batches.size === 0 || this.#threads.size >= this.#options.size) return best;
    const isWorthIt = best === undefined || this.#waitingItems[priority] >= MIN_BATCH;
    return isWorthIt ? (this.#spawn() ?? best) : best;
  }

  #spawn(): Thread | undefined {
    if (this.#cancelRespawn !== undefined) return undefined;
    const { backend, spawn = spawnVerifyThread, logger } = this.#options;
    let started: VerifyThread;
    try {
      started = spawn(backend.name, {
        onReply: (reply) => this.#onReply(thread, reply),
        onExit: (error) => this.#onExit(thread, error),
      });
    } catch (error) {
      // ERR_WORKER_INIT_FAILED: the system has no room for a thread, and will have none at once.
      logger.error({ err: error }, 'a verifying thread could not be started');
      this.#countDeath(error);
      this.#respawnLater();
      return undefined;
    }
    const thread: Thread = {
      thread: started,
      batches: new Map(),
      owed: { urgent: 0, bulk: 0 },
      workedMs: 0,
      longestMs: 0,
    };
    this.#threads.add(thread);
    this.#endIdleLater();
    return thread;
  }

  #endIdleLater(): void {
    this.#cancelEnding ??= this.#options.clock.after(LOOK_MS, () => {
      this.#cancelEnding = undefined;
      for (const each of this.#threads) {
        // One that took a batch too large to be done here would be started again by the next.
        if (each.batches.size === 0 && each.workedMs < WORTH_MS && each.longestMs <= UNTHREADED_MS) {
          this.#threads.delete(each);
          void each.thread.terminate();
        }
        each.workedMs = 0;
        each.longestMs = 0;
      }
      if (this.#threads.size > 0) this.#endIdleLater();
    });
  }

  #post(thread: Thread, priority: VerifyPriority, size: number): void {
    const spans: Span[] = [];
    const lane = this.#waiting[priority];
    let count = 0;
    while (count < size) {
      const head = lane[0];
      if (head === undefined) break;
      const to = Math.min(head.to, head.from + size - count);
      spans.push({ ...head, to });
      count += to - head.from;
      if (to === head.to) lane.shift();
      else head.from = to;
    }
    this.#waitingItems[priority] -= count;
    const packed = new Uint8Array(count * PACKED_ITEM_BYTES); // an item of wrong lengths stays zeros, which are no key
    let index = 0;
    for (const { request, from, to } of spans) {
      for (let i = from; i < to; i++, index++) {
        const item = request.items[i]!;
        if (hasItemLengths(item)) packItem(packed, index, item);
      }
    }
    this.#batches += 1;
    thread.batches.set(this.#batches, { priority, spans });
    thread.owed[priority] += 1;
    thread.thread.post({ id: this.#batches, priority, items: packed.buffer });
  }

  #onReply(thread: Thread, { id, results, elapsedMs }: BatchReply): void {
    const batch = thread.batches.get(id);
    if (batch === undefined) return;
    thread.batches.delete(id);
    thread.owed[batch.priority] -= 1;
    thread.workedMs += elapsedMs;
    thread.longestMs = Math.max(thread.longestMs, elapsedMs);
    this.#deaths = 0;
    const verdicts = new Uint8Array(results);
    this.#learn(elapsedMs / verdicts.length);
    try {
      this.#send(); // first: the thread works while the answers are dealt with
    } finally {
      let index = 0;
      for (const span of batch.spans) {
        const count = span.to - span.from;
        settle(span, (i) => verdicts[index + i - span.from] === 1);
        index += count;
      }
    }
  }

  /** Puts the dead thread's batches back in front; none of their verdicts is lost. */
  #onExit(thread: Thread, error: unknown): void {
    const wasEnded = !this.#threads.delete(thread);
    if (this.#isClosed || wasEnded) return;
    this.#options.logger.error(
      { err: error, batches: thread.batches.size },
      'a verifying thread died; its batches are checked again',
    );
    this.#countDeath(error);
    for (const { priority, spans } of [...thread.batches.values()].reverse()) {
      for (const span of spans.toReversed()) {
        const again: Span = { ...span, tries: span.tries + 1 };
        if (again.tries >= MAX_TRIES) this.#checkHere(again);
        else {
          this.#waiting[priority].unshift(again);
          this.#waitingItems[priority] += again.to - again.from;
        }
      }
    }
    this.#send();
  }

  #countDeath(error: unknown): void {
    this.#deaths += 1;
    this.#options.onThreadDeath?.(error);
    if (this.#deaths >= MAX_DEATHS) this.#respawnLater();
  }

  #respawnLater(): void {
    this.#cancelRespawn ??= this.#options.clock.after(RESPAWN_MS, () => {
      this.#cancelRespawn = undefined;
      this.#send();
    });
  }

  /** Without threads: slower, with pauses for the event loop. */
  #checkHere(span: Span): void {
    const items = span.request.items.slice(span.from, span.to);
    this.#inline.verify(items, 'urgent').then(
      (results) => settle(span, (i) => results[i - span.from] === true),
      (error: unknown) => span.request.reject(error),
    );
  }
}

function settle({ request, from, to }: Span, isGood: (index: number) => boolean): void {
  for (let i = from; i < to; i++) request.results[i] = isGood(i);
  request.missing -= to - from;
  if (request.missing === 0) request.resolve(request.results);
}
