/**
 * A map that forgets what was used longest ago. Bounded by count, and by the sum of weights where values have one; the
 * value that came last is kept whatever it weighs.
 */
export class Lru<K, V> {
  readonly #capacity: number;
  readonly #maxWeight: number;
  readonly #weightOf: (value: V) => number;
  readonly #map = new Map<K, V>();
  #weight = 0;

  constructor(
    capacity: number,
    weight: { readonly max: number; readonly of: (value: V) => number } = { max: 0, of: () => 0 },
  ) {
    this.#capacity = capacity;
    this.#maxWeight = weight.max;
    this.#weightOf = weight.of;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    const value = this.#map.get(key);
    if (value === undefined) return undefined;
    this.#map.delete(key);
    this.#map.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.delete(key);
    this.#map.set(key, value);
    this.#weight += this.#weightOf(value);
    while (this.#map.size > this.#capacity || (this.#weight > this.#maxWeight && this.#map.size > 1)) {
      this.delete(this.#map.keys().next().value as K);
    }
  }

  delete(key: K): void {
    const value = this.#map.size === 0 ? undefined : this.#map.get(key);
    if (value === undefined) return;
    this.#weight -= this.#weightOf(value);
    this.#map.delete(key);
  }
}
