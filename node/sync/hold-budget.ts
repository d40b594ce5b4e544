/**
 * For how long a node neither votes nor mines because others show that it is behind. A peer can show a branch and give
 * it drop by drop, or keep the votes: who is really behind is given blocks faster than the chain grows, and loses
 * nothing; who is not stays silent for a bounded share of the time, however many peers take turns.
 */
import type { Clock } from '../ports.ts';

/** At most in one piece, beyond what blocks earn. */
export const HOLD_MS = 30_000;
/** Time out of hold gives back that share of it. */
const REFILL = 0.1;

/** Only counts: `CatchUpState` asks it before it says that the node is behind. At least 0, at most `HOLD_MS`. */
export class HoldBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #blockTimeMs: number;
  #leftMs = HOLD_MS;
  /** When `#leftMs` was right. */
  #atMs: number;
  #isHeld = false;

  /** @param blockTimeMs the chain's target: what one connected block earns */
  constructor(clock: Pick<Clock, 'monotonicMs'>, blockTimeMs: number) {
    this.#clock = clock;
    this.#blockTimeMs = blockTimeMs;
    this.#atMs = clock.monotonicMs();
  }

  /** Whether it may be held any longer. */
  get isLeft(): boolean {
    return this.#now() > 0;
  }

  /** The node is held from now on. */
  begin(): void {
    this.#settle();
    this.#isHeld = true;
  }

  /** It is held no longer. */
  end(): void {
    this.#settle();
    this.#isHeld = false;
  }

  /** So many blocks have been connected. */
  earn(blocks: number): void {
    this.#settle();
    this.#leftMs = Math.min(HOLD_MS, this.#leftMs + blocks * this.#blockTimeMs);
  }

  #settle(): void {
    this.#leftMs = this.#now();
    this.#atMs = this.#clock.monotonicMs();
  }

  #now(): number {
    const passedMs = this.#clock.monotonicMs() - this.#atMs;
    if (this.#isHeld) return Math.max(0, this.#leftMs - passedMs);
    return Math.min(HOLD_MS, this.#leftMs + REFILL * passedMs);
  }
}
