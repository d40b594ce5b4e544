/**
 * How long a grinder rests so that it uses `budget` of one core. It keeps an account: time that passes pays in
 * `budget` of its length, processor time is drawn. Timers that fire late and other processes that take the core
 * so even out. What is saved up is bounded: after an idle hour the grinder does not run flat out for minutes.
 */
const MAX_SAVED_MS = 20;

/** The account of one grinder; asked between two bursts, with times that do not go back. */
export class HashBudget {
  readonly #budget: number;
  #balanceMs = 0;
  #atMs: number;
  #usedMs: number;

  /**
   * @param budget share of one core, 0 < budget ≤ 1
   * @param nowMs monotonic time
   * @param usedMs processor time of the thread so far
   */
  constructor(budget: number, nowMs: number, usedMs: number) {
    this.#budget = budget;
    this.#atMs = nowMs;
    this.#usedMs = usedMs;
  }

  /** @returns milliseconds to rest before the next burst */
  rest(nowMs: number, usedMs: number): number {
    const earned = (nowMs - this.#atMs) * this.#budget;
    this.#balanceMs = Math.min(MAX_SAVED_MS, this.#balanceMs + earned - (usedMs - this.#usedMs));
    this.#atMs = nowMs;
    this.#usedMs = usedMs;
    return Math.max(0, -this.#balanceMs / this.#budget);
  }
}
