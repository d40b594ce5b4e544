/**
 * What is under way on all links, by the time of its arrival: one timer of the clock for each time at which something
 * arrives, and no allocation per thing. Callers round the times, so that there are few. What arrives at one time is
 * handed over in the order in which it was sent, and the promises this sets going run afterwards.
 */
import type { VirtualClock } from './virtual-clock.ts';

/** Its arrays stay as long as they have been: emptied, an array would grow anew with every use. */
interface Bucket<E, P> {
  readonly ends: (E | undefined)[];
  readonly payloads: (P | undefined)[];
  /** How many of their places are taken. */
  size: number;
}

const KEPT_BUCKETS = 256;

/** What is pushed cannot be taken back: whoever delivers looks whether there is still somebody to take it. */
export class DeliveryQueue<E, P> {
  readonly #clock: VirtualClock;
  readonly #deliver: (end: E, payload: P) => boolean;
  readonly #buckets = new Map<number, Bucket<E, P>>();
  readonly #spare: Bucket<E, P>[] = [];

  /** @param deliver returns whether a node's own code ran */
  constructor(clock: VirtualClock, deliver: (end: E, payload: P) => boolean) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  /** @param atMs not in the past; a multiple of the caller's resolution */
  push(atMs: number, end: E, payload: P): void {
    let bucket = this.#buckets.get(atMs);
    if (bucket === undefined) {
      bucket = this.#spare.pop() ?? { ends: [], payloads: [], size: 0 };
      this.#buckets.set(atMs, bucket);
      const due = bucket;
      this.#clock.atQuietly(atMs, () => this.#run(atMs, due));
    }
    bucket.ends[bucket.size] = end;
    bucket.payloads[bucket.size] = payload;
    bucket.size += 1;
  }

  #run(atMs: number, bucket: Bucket<E, P>): boolean {
    this.#buckets.delete(atMs); // what is sent now and takes no time gets a bucket of its own
    const { ends, payloads } = bucket;
    let ran = false;
    for (let at = 0; at < bucket.size; at++) {
      if (this.#deliver(ends[at]!, payloads[at]!)) ran = true;
      ends[at] = undefined;
      payloads[at] = undefined;
    }
    bucket.size = 0;
    if (this.#spare.length < KEPT_BUCKETS) this.#spare.push(bucket);
    return ran;
  }
}
