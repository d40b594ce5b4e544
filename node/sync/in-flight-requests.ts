/** What peers are being asked, one thing each, several at once, and their answers in the order in which these come. */
import type { Clock, PeerKey } from '../ports.ts';

export interface PeerAnswer<T> {
  readonly peer: PeerKey;
  /** How long it took, ms. */
  readonly tookMs: number;
  readonly value: T;
}

/** Knows nothing of what is asked. A peer counts as being asked until its answer has been taken by `next`. */
export class InFlightRequests<T> {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** Asked, and its answer not taken yet. */
  readonly #underway = new Map<PeerKey, Promise<void>>();
  readonly #answers: PeerAnswer<T>[] = [];
  #notify = (): void => {};

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>) {
    this.#clock = clock;
  }

  /** Peers that are being asked, or whose answer has not been taken. */
  get peers(): Iterable<PeerKey> {
    return this.#underway.keys();
  }

  get size(): number {
    return this.#underway.size;
  }

  has(peer: PeerKey): boolean {
    return this.#underway.has(peer);
  }

  /**
   * @param answer never rejects
   * @throws Error where the peer is being asked already
   */
  ask(peer: PeerKey, answer: Promise<T>): void {
    if (this.has(peer)) throw new Error(`${peer} is being asked already`);
    const sinceMs = this.#clock.monotonicMs();
    const noted = answer.then((value) => {
      this.#answers.push({ peer, tookMs: this.#clock.monotonicMs() - sinceMs, value });
      this.#notify();
    });
    this.#underway.set(peer, noted);
  }

  /**
   * The next answer. Undefined where none has come within `waitMs`, or before `wake` was called. For one caller at a time.
   *
   * @param waitMs Infinity: for as long as it takes
   */
  async next(waitMs: number): Promise<PeerAnswer<T> | undefined> {
    if (this.#answers.length === 0) {
      let cancel = (): void => {};
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
        if (waitMs !== Number.POSITIVE_INFINITY) cancel = this.#clock.after(waitMs, resolve);
      });
      cancel();
    }
    const answer = this.#answers.shift();
    if (answer !== undefined) this.#underway.delete(answer.peer);
    return answer;
  }

  /** Ends the wait of `next`: there is something else to think of than answers. */
  wake(): void {
    this.#notify();
  }

  /** Resolves when nobody is being asked any more. What they answered is dropped. */
  async ended(): Promise<void> {
    await Promise.all(this.#underway.values());
    this.#underway.clear();
    this.#answers.length = 0;
  }
}
