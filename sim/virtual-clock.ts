/**
 * Time that moves only when told: a queue of timers, run in order of (time, order of creation).
 *
 * Services await promises between timers. After each round, in which every node has at most one timer, the event
 * loop gets one turn, in which Node runs microtasks and `process.nextTick` callbacks until none is left: nothing that
 * awaits only promises, the memory store included, is still on its way when the node's next timer runs or time moves
 * on. So one seed gives one order of events.
 *
 * O(log n) per timer, O(1) for one without delay. Cancelled timers stay in the queue until their time has come.
 */
import type { Clock } from '../node/ports.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  fn: (() => unknown) | undefined;
  /** Whose timer it is; undefined: the simulation's own, see `atQuietly`. */
  readonly owner: Owner | undefined;
}

/** Two timers of one owner never fire in one round. */
interface Owner {
  lastRound: number;
  /** None of its timers fires any more. */
  isDead: boolean;
}

/** Rounds of timers at one instant: more mean that something calls itself without time passing. */
const MAX_ROUNDS_PER_INSTANT = 200_000;

/** A node's view of the clock. */
export interface NodeClock extends Clock {
  /** The node is dead: none of its timers fires any more. */
  kill(): void;
}

/**
 * Time moves in `run`, `runUntil` and `runUntilSettled`, of which one runs at a time. Throws where timers follow one
 * another without end at one instant.
 */
export class VirtualClock implements Clock {
  readonly #epochMs: number;
  readonly #heap: Timer[] = [];
  /**
   * Timers for this very instant, made in it: they come after those of the heap. In order, from `#nowHead` on and up to
   * `#nowEnd`; the array stays as long as it has been, so that it does not grow anew at every instant.
   */
  readonly #now: (Timer | undefined)[] = [];
  #nowHead = 0;
  #nowEnd = 0;
  readonly #owner: Owner = { lastRound: 0, isDead: false };
  #elapsedMs = 0;
  #created = 0;
  #fired = 0;
  #round = 0;

  /** @param epochMs wall-clock time at the beginning */
  constructor(epochMs: number) {
    this.#epochMs = epochMs;
  }

  nowMs(): number {
    return this.#epochMs + Math.floor(this.#elapsedMs);
  }

  /** Virtual milliseconds since the beginning. */
  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Timers that have fired. */
  get fired(): number {
    return this.#fired;
  }

  after(delayMs: number, fn: () => void): () => void {
    return this.#after(delayMs, fn, this.#owner);
  }

  #after(delayMs: number, fn: () => void, owner: Owner): () => void {
    const timer: Timer = { atMs: this.#elapsedMs + Math.max(0, delayMs), order: this.#created, fn, owner };
    this.#created += 1;
    if (delayMs > 0) this.#push(timer);
    else this.#pushNow(timer);
    return () => {
      timer.fn = undefined;
    };
  }

  /**
   * For the simulation's own doings: calls `fn` at that time, no earlier than now. Where it returns false, no code of
   * a node has run, and time goes on at once.
   */
  atQuietly(atMs: number, fn: () => boolean): void {
    const timer: Timer = { atMs: Math.max(atMs, this.#elapsedMs), order: this.#created, fn, owner: undefined };
    this.#created += 1;
    if (atMs > this.#elapsedMs) this.#push(timer);
    else this.#pushNow(timer);
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** The clock as one node sees it: its wall clock is off by that much, and it can die. */
  forNode(offsetMs: () => number): NodeClock {
    const owner: Owner = { lastRound: 0, isDead: false };
    const clock: NodeClock = {
      nowMs: () => this.nowMs() + offsetMs(),
      monotonicMs: () => this.monotonicMs(),
      after: (delayMs, fn) => this.#after(delayMs, fn, owner),
      sleep: (delayMs, signal) => sleepOn(clock, delayMs, signal),
      kill: () => {
        owner.isDead = true;
      },
    };
    return clock;
  }

  /** Runs what is due in the next `durationMs`. */
  async run(durationMs: number): Promise<void> {
    await this.#advance(this.#elapsedMs + durationMs, () => false);
  }

  /**
   * Runs until the condition holds, looked at after the timers of each instant.
   * @returns whether it held within `withinMs`
   */
  runUntil(condition: () => boolean, withinMs: number): Promise<boolean> {
    return this.#advance(this.#elapsedMs + withinMs, condition);
  }

  /** Runs until the promise has settled, and returns or throws what it gave. */
  async runUntilSettled<T>(promise: Promise<T>, withinMs: number): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    if (!(await this.runUntil(() => isSettled, withinMs))) {
      throw new Error(`not settled within ${withinMs} virtual milliseconds`);
    }
    return promise;
  }

  async #advance(untilMs: number, condition: () => boolean): Promise<boolean> {
    let instant = this.#elapsedMs;
    let atInstant = 0;
    await settleMicrotasks();
    if (condition()) return true;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.atMs > untilMs) break;
      atInstant = next.atMs === instant ? atInstant + 1 : 0;
      instant = next.atMs;
      if (atInstant > MAX_ROUNDS_PER_INSTANT) throw new Error(`virtual time stands still at ${instant} ms`);
      if (!this.#runDue(instant)) continue;
      await settleMicrotasks();
      if (condition()) return true;
    }
    this.#elapsedMs = untilMs;
    return condition();
  }

  /**
   * One round: runs the timers of one instant, until one is met that a timer of this round has made, or whose owner
   * has had its turn.
   * @returns whether promises may wait for theirs
   */
  #runDue(instant: number): boolean {
    const made = this.#created;
    let mayWait = false;
    this.#round += 1;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.atMs !== instant || next.order >= made) return mayWait;
      const { fn, owner } = next;
      if (fn !== undefined && owner !== undefined) {
        if (owner.lastRound === this.#round) return mayWait;
        owner.lastRound = this.#round;
      }
      this.#shift(next);
      if (fn === undefined) continue;
      this.#elapsedMs = instant;
      this.#fired += 1;
      if (owner !== undefined) {
        if (!owner.isDead) fn();
        mayWait = true;
      } else if (fn() !== false) mayWait = true;
    }
  }

  /** Whatever is first: a timer of the heap, if it is not for later than those made for this instant. */
  #next(): Timer | undefined {
    const made = this.#now[this.#nowHead];
    const waiting = this.#heap[0];
    if (made === undefined) return waiting;
    return waiting !== undefined && isBefore(waiting, made) ? waiting : made;
  }

  #shift(next: Timer): void {
    if (next !== this.#now[this.#nowHead]) {
      this.#pop();
      return;
    }
    this.#now[this.#nowHead] = undefined;
    this.#nowHead += 1;
    if (this.#nowHead < this.#nowEnd) return;
    this.#nowHead = 0;
    this.#nowEnd = 0;
  }

  #pushNow(timer: Timer): void {
    this.#now[this.#nowEnd] = timer;
    this.#nowEnd += 1;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function sleepOn(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** One turn of the event loop: microtasks and next ticks run to the end before it comes. */
function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
