/** What becomes of the load on the devnet: how much is mined and agreed, and how long each takes to be at every node. */
import { isSampled } from '../../node/api/limits.ts';
import type { Clock } from '../../node/ports.ts';
import type { ChainEvent, GrapevineClient } from '../client.ts';
import { AgreedBlocks } from './agreed-blocks.ts';
import { BlockRate } from './block-rate.ts';
import type { LoadListener } from './load-sender.ts';

export interface TrafficCounts {
  readonly submitted: number;
  readonly mined: number;
  /** In agreed blocks. */
  readonly agreed: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Latencies kept for the percentiles: a day at 1 tx/s, ten minutes at 140. */
const MAX_SAMPLES = 86_400;
/** A transaction that some node has not shown by then (it was down) is no longer timed. */
const FORGET_MS = 60_000;
/** Blocks remembered as counted: every node tells of each, one that lags later than the others. */
const MAX_COUNTED = 1_000;
/** Timed transactions a second, about: at higher rates a sample is. */
const TIMED_PER_S = 25;

interface Timing {
  /** Monotonic. */
  readonly sinceMs: number;
  readonly seenBy: Set<string>;
  /** Those it must reach. */
  readonly expected: ReadonlySet<string>;
}

/**
 * Counts transactions by id: what several nodes tell of counts once. Keeps the id of each that was sent and taken, to
 * the end of the run; times a sample.
 */
export class Traffic implements LoadListener {
  readonly #clock: Clock;
  readonly #sample: number;
  readonly #timings = new Map<string, Timing>();
  readonly #latenciesMs: number[] = [];
  #measuredFromMs = Number.NEGATIVE_INFINITY;
  readonly #ids = new Set<string>();
  readonly #mined = new Set<string>();
  #minedRate = new BlockRate();
  readonly #blocks = new AgreedBlocks();
  readonly #agreed = new Set<string>();
  #agreedRate = new BlockRate();
  readonly #counted = new Set<string>();
  #txsInBlocks = 0;

  /** @param rate transactions a second that are sent */
  constructor(clock: Clock, rate: number) {
    this.#clock = clock;
    this.#sample = Math.max(1, Math.round(rate / TIMED_PER_S));
  }

  /** Rates and latencies begin anew: what has fallen due before is counted, but no longer timed. */
  beginMeasuring(): void {
    this.#measuredFromMs = this.#clock.monotonicMs();
    this.#latenciesMs.length = 0;
    this.#minedRate = new BlockRate();
    this.#agreedRate = new BlockRate();
  }

  get counts(): TrafficCounts {
    return {
      submitted: this.#ids.size,
      mined: this.#mined.size,
      agreed: this.#agreed.size,
    };
  }

  /**
   * Transactions in the blocks that nodes told of, whoever sent them. What a reorganisation puts into a second block
   * counts twice: it was mined twice.
   */
  get txsInBlocks(): number {
    return this.#txsInBlocks;
  }

  /** Transactions of the load that were mined in a second, while it ran. */
  get minedPerS(): number {
    return round(this.#minedRate.perS);
  }

  /** And that were in agreed blocks. */
  get agreedPerS(): number {
    return round(this.#agreedRate.perS);
  }

  /** Submission at one node → in every node's mempool or chain, in milliseconds. */
  get propagationMs(): Percentiles {
    const sorted = [...this.#latenciesMs].sort((a, b) => a - b);
    const at = (share: number): number =>
      round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
    return { p50: at(0.5), p99: at(0.99), max: round(sorted.at(-1) ?? 0) };
  }

  onSent(id: string, sinceMs: number, expected: ReadonlySet<string>): void {
    this.#forgetOld();
    if (!isSampled(id, this.#sample) || this.#timings.has(id)) return;
    this.#timings.set(id, { sinceMs, seenBy: new Set(), expected });
  }

  onTaken(id: string): void {
    this.#ids.add(id);
  }

  onRefused(id: string): void {
    this.#timings.delete(id);
  }

  /** One transaction in so many is timed; the events of the others are not needed. */
  get sample(): number {
    return this.#sample;
  }

  /** What a node said: it has the transaction, or has mined it, or a block is agreed. */
  onEvent(node: string, event: ChainEvent): void {
    if (event.type === 'tx' && event.state === 'pending') this.#seen(node, event.id);
    if (event.type === 'block') {
      this.#countBlock(event.id, event.txCount);
      this.#blocks.addBlock(event.id, event.parent, event.transactions);
      const before = this.#mined.size;
      for (const id of event.transactions) {
        this.#seen(node, id);
        if (this.#ids.has(id)) this.#mined.add(id);
      }
      if (this.#mined.size > before) this.#minedRate.add(event.id, this.#clock.monotonicMs(), this.#mined.size);
    }
    if (event.type === 'agreed') this.#noteAgreed(event.id);
    if (event.type === 'reorg') {
      // Another node's block event, or this one's for the new branch, counts them again.
      for (const id of event.abandonedTransactions) this.#mined.delete(id);
    }
  }

  /** Asks a node for the state of what no event has shown as mined: events can be missed, answers cannot. */
  async recount(client: GrapevineClient, signal: AbortSignal): Promise<void> {
    await this.#askFor(client, this.#mined, signal);
  }

  /** The same for agreement. For when next to all is agreed: it is a request for each that is not known to be. */
  async recountAgreed(client: GrapevineClient, signal: AbortSignal): Promise<void> {
    await this.#askFor(client, this.#agreed, signal);
  }

  async #askFor(client: GrapevineClient, known: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    for (const id of this.#ids) {
      if (signal.aborted) return;
      if (known.has(id)) continue;
      const found = await client.transaction(id).catch(() => undefined); // unknown there, or no answer: asked again
      if (found === undefined || found.state === 'pending' || found.state === 'dropped') continue;
      this.#mined.add(id);
      if (found.state !== 'mined') this.#agreed.add(id);
    }
  }

  #countBlock(id: string, txCount: number): void {
    if (this.#counted.has(id)) return;
    this.#counted.add(id);
    this.#txsInBlocks += txCount;
    if (this.#counted.size > MAX_COUNTED) this.#counted.delete(this.#counted.values().next().value!);
  }

  #noteAgreed(id: string): void {
    const before = this.#agreed.size;
    for (const tx of this.#blocks.addAgreed(id)) if (this.#ids.has(tx)) this.#agreed.add(tx);
    if (this.#agreed.size > before) this.#agreedRate.add(id, this.#clock.monotonicMs(), this.#agreed.size);
  }

  #seen(node: string, id: string): void {
    const timing = this.#timings.get(id);
    if (timing === undefined || !timing.expected.has(node)) return;
    timing.seenBy.add(node);
    if (timing.seenBy.size < timing.expected.size) return;
    this.#timings.delete(id);
    if (timing.sinceMs < this.#measuredFromMs) return;
    if (this.#latenciesMs.length < MAX_SAMPLES) this.#latenciesMs.push(this.#clock.monotonicMs() - timing.sinceMs);
  }

  #forgetOld(): void {
    const limit = this.#clock.monotonicMs() - FORGET_MS;
    for (const [id, { sinceMs }] of this.#timings) {
      if (sinceMs > limit) return; // about in order
      this.#timings.delete(id);
    }
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
