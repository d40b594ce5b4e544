/**
 * Ids whose verdict is known, so that a signature is checked once. Two generations of at most `capacity` ids: when
 * the young one is full it becomes the old one, and what was old is forgotten. An id enters only after its
 * signature has been found good, so nobody can make the node deaf to an object by sending a spoilt twin first.
 */
export class SeenCache<Id extends string> {
  readonly #capacity: number;
  #young = new Set<Id>();
  /** None before the first is full: most nodes never come so far. */
  #old: Set<Id> | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  has(id: Id): boolean {
    return this.#young.has(id) || this.#old?.has(id) === true;
  }

  add(id: Id): void {
    if (this.#young.size >= this.#capacity) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(id);
  }

  /** For what may be heard again with another verdict: a dropped transaction. */
  delete(id: Id): void {
    this.#young.delete(id);
    this.#old?.delete(id);
  }
}
