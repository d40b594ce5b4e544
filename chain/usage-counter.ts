/** How much of something bounded each holds: places, messages, bytes, by peer or address. */

/** O(1) a call; keeps a number for each who holds any. */
export class UsageCounter<K> {
  readonly #held = new Map<K, number>();

  of(holder: K): number {
    return this.#held.get(holder) ?? 0;
  }

  /** @param change added to what it holds; negative: given back. What it holds never falls below zero. */
  change(holder: K, change: number): void {
    const held = this.of(holder) + change;
    if (held < 0) throw new RangeError('more is given back than was held');
    if (held === 0) this.#held.delete(holder);
    else this.#held.set(holder, held);
  }

  clear(): void {
    this.#held.clear();
  }

  /** Of those who hold any. */
  get holders(): number {
    return this.#held.size;
  }
}
