import { loadPowKernel, type PowKernelName, type PowSearch } from '../../crypto/pow.ts';
import type { Clock } from '../ports.ts';
import { HashBudget } from './hash-budget.ts';

/** What a grinder is told. A new search replaces the one before it. */
export type SolverJob =
  | {
      readonly kind: 'search';
      readonly id: number;
      readonly header: Uint8Array;
      readonly target: Uint8Array;
      readonly start: bigint;
    }
  | { readonly kind: 'stop' };

/** What it says. `hashes`: since it last spoke; `total`: for this job. */
export type SolverReply =
  | { readonly kind: 'ready'; readonly kernel: PowKernelName }
  | { readonly kind: 'progress'; readonly hashes: number }
  | {
      readonly kind: 'found';
      readonly id: number;
      readonly nonce: bigint;
      readonly hashes: number;
      readonly total: number;
    };

export interface NonceGrinderDeps {
  /** Share of one core, 0 < budget ≤ 1. */
  readonly budget: number;
  readonly clock: Clock;
  /**
   * Processor time so far of a thread that does nothing else: all of it counts. Undefined: the thread is shared, and
   * bursts count by the clock, for the kernel tells a running thread's processor time to some 4 ms only, but for what other
   * processes take of them.
   */
  readonly usedMs?: () => number;
  readonly say: (reply: SolverReply) => void;
  /** Looked at while grinding, where what it is told cannot reach it during a burst. */
  readonly nextJob?: () => SolverJob | undefined;
  /** Hears what made a burst fail; the grinder has stopped. Undefined: it is thrown, and ends the thread. */
  readonly onFailure?: (error: unknown) => void;
}

/** Time between two looks for a new job: bounds how long the grinder goes on with a tip that is no longer one. */
const LOOK_MS = 1;

/**
 * What a burst costs beside itself on a shared thread: the timer, the loop's turn, falling asleep and waking. 0.2 to
 * 0.4 ms were seen on an idle loop. No clock that a burst reads shows it; bursts of 1 ms went a quarter over their budget.
 */
const WAKE_MS = 0.25;

/**
 * A batch that takes longer than at its usual rate by so much was interrupted: the rest of its time went to other processes.
 * After a rest the first batch takes half as long again, as its code and data have left the caches. Where the core itself
 * is slower by more than this most of the time, but not three quarters of it, the budget is exceeded by as much.
 */
const MAX_SLOWDOWN = 2;
/** Of so many batches, some seconds of them, a quarter ran at the rate that counts as uninterrupted, or faster. */
const RATES_KEPT = 32;

/**
 * How long the grinder holds its thread: short with a small budget, so that the rests are short too; with a large one
 * long, for a timer costs a millisecond.
 */
export function burstMs(budget: number): number {
  return budget < 0.5 ? Math.min(5, Math.max(2.5, 125 * budget)) : 50;
}

/** Searches nonces in short bursts and rests between them, so that over time it uses no more than its budget of one core. */
export class NonceGrinder {
  readonly #deps: NonceGrinderDeps;
  readonly #kernel = loadPowKernel('auto');
  readonly #account: HashBudget;
  readonly #burstMs: number;
  #usedMs = 0;
  #job: { readonly id: number; readonly search: PowSearch; next: bigint; hashes: number } | undefined;
  #batch = 256;
  /** Hashes a millisecond of the last batches. */
  readonly #rates: number[] = [];
  /** While nothing else has the core. */
  #hashesPerMs = 0;
  #cancelBurst: (() => void) | undefined;

  constructor(deps: NonceGrinderDeps) {
    this.#deps = deps;
    this.#usedMs = deps.usedMs?.() ?? 0;
    this.#account = new HashBudget(deps.budget, deps.clock.monotonicMs(), this.#usedMs);
    this.#burstMs = burstMs(deps.budget);
    deps.say({ kind: 'ready', kernel: this.#kernel.name });
  }

  /** @throws RangeError for a header or a target of another length */
  post(message: SolverJob): void {
    this.#take(message);
    if (this.#job !== undefined) this.#schedule();
  }

  stop(): void {
    this.#job = undefined;
    this.#cancelBurst?.();
    this.#cancelBurst = undefined;
  }

  #take(message: SolverJob): void {
    this.#job =
      message.kind === 'stop'
        ? undefined
        : {
            id: message.id,
            search: this.#kernel.prepare(message.header, message.target),
            next: message.start,
            hashes: 0,
          };
  }

  #burst(): void {
    const { clock, say, nextJob } = this.#deps;
    const begin = clock.monotonicMs();
    let nowMs = begin;
    let hashed = 0;
    let usedMs = WAKE_MS;
    while (this.#job !== undefined && nowMs - begin < this.#burstMs) {
      const job = this.#job;
      const found = job.search.search(job.next, this.#batch);
      const tried = found === undefined ? this.#batch : Number(found - job.next) + 1;
      job.next += BigInt(this.#batch);
      job.hashes += tried;
      hashed += tried;
      const elapsedMs = clock.monotonicMs() - nowMs;
      nowMs += elapsedMs;
      if (found !== undefined) {
        this.#job = undefined;
        say({ kind: 'found', id: job.id, nonce: found, hashes: hashed, total: job.hashes });
        hashed = 0;
      } else if (elapsedMs > 0) {
        this.#noteRate(tried / elapsedMs);
        // At most doubled: the first batches run before the kernel is compiled well.
        this.#batch = Math.min(2 * this.#batch, 65_536, Math.max(16, Math.round(this.#hashesPerMs * LOOK_MS)));
      }
      usedMs += this.#hashesPerMs > 0 ? Math.min(elapsedMs, (MAX_SLOWDOWN * tried) / this.#hashesPerMs) : elapsedMs;
      const waiting = nextJob?.();
      if (waiting !== undefined) this.#take(waiting);
    }
    if (hashed > 0) say({ kind: 'progress', hashes: hashed });
    this.#usedMs += usedMs;
    if (this.#job !== undefined) this.#schedule();
  }

  #noteRate(hashesPerMs: number): void {
    this.#rates.push(hashesPerMs);
    if (this.#rates.length > RATES_KEPT) this.#rates.shift();
    const fastestFirst = [...this.#rates].sort((a, b) => b - a);
    this.#hashesPerMs = fastestFirst[Math.floor(fastestFirst.length / 4)]!;
  }

  /** Rests after a find too: a template that is solved at once must not turn into a busy loop. */
  #schedule(): void {
    const { clock, usedMs } = this.#deps;
    if (this.#cancelBurst !== undefined) return;
    if (usedMs !== undefined) this.#usedMs = usedMs();
    this.#cancelBurst = clock.after(this.#account.rest(clock.monotonicMs(), this.#usedMs), () => {
      this.#cancelBurst = undefined;
      try {
        this.#burst();
      } catch (error) {
        const { onFailure } = this.#deps;
        if (onFailure === undefined) throw error;
        this.stop();
        onFailure(error);
      }
    });
  }
}
