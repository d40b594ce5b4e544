/** How messages spread: the share of nodes reached by time and by hop, over all messages of a run. */

interface Arrival {
  readonly messageId: string;
  readonly atMs: number;
  readonly publishedAtMs: number;
  readonly hop: number;
}

export interface SpreadReport {
  readonly messages: number;
  /** Share of (message, node) pairs that came about, of nodes running when the message first arrived. */
  readonly coverage: number;
  readonly hops: { readonly p50: number; readonly p99: number };
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Share of the nodes reached within that time, and within that many hops. */
  readonly byTime: readonly { readonly ms: number; readonly share: number }[];
  readonly byHop: readonly { readonly hop: number; readonly share: number }[];
  /** log₂N + ln N: rounds that push gossip takes to reach all of N nodes (Pittel 1987). */
  readonly rounds: number;
}

const BUCKET_MS = 5;
const BUCKETS = 2_000;
/** Points of the curve by time. */
const POINTS = 60;

/**
 * Learns of a message by its first arrival: one that reaches nobody is not counted, and does not lower the coverage.
 */
export class Spread {
  readonly #expected: () => number;
  readonly #seen = new Set<string>();
  readonly #hops: number[] = [];
  readonly #times = new Float64Array(BUCKETS + 1);
  #arrivals = 0;
  #wanted = 0;

  /** @param expected how many nodes a message published now should reach */
  constructor(expected: () => number) {
    this.#expected = expected;
  }

  add({ messageId, atMs, publishedAtMs, hop }: Arrival): void {
    if (!this.#seen.has(messageId)) {
      this.#seen.add(messageId);
      this.#wanted += this.#expected();
    }
    this.#arrivals += 1;
    this.#hops[hop] = (this.#hops[hop] ?? 0) + 1;
    this.#times[Math.min(BUCKETS, Math.floor((atMs - publishedAtMs) / BUCKET_MS))]! += 1;
  }

  report(nodes: number): SpreadReport {
    const wanted = Math.max(1, this.#wanted);
    const byHop = cumulate(Array.from(this.#hops, (count = 0) => count)).map((sum, hop) => ({
      hop,
      share: Math.min(1, sum / wanted),
    }));
    const times = cumulate(Array.from(this.#times));
    // What waited for a partition to heal would stretch the curve beyond reading.
    const last = Math.ceil(1.3 * times.findIndex((sum) => sum >= 0.98 * this.#arrivals));
    const step = Math.max(1, Math.ceil(last / POINTS));
    const byTime: { ms: number; share: number }[] = [{ ms: 0, share: 0 }];
    for (let at = step - 1; at < last + step && at < times.length; at += step) {
      byTime.push({ ms: (at + 1) * BUCKET_MS, share: Math.min(1, times[at]! / wanted) });
    }
    const percentile = (sums: readonly number[], share: number): number =>
      Math.max(
        0,
        sums.findIndex((sum) => sum >= share * this.#arrivals),
      );
    return {
      messages: this.#seen.size,
      coverage: this.#seen.size === 0 ? 0 : Math.min(1, this.#arrivals / wanted),
      hops: {
        p50: percentile(cumulate(Array.from(this.#hops, (count = 0) => count)), 0.5),
        p99: percentile(cumulate(Array.from(this.#hops, (count = 0) => count)), 0.99),
      },
      latencyMs: {
        p50: (percentile(times, 0.5) + 1) * BUCKET_MS,
        p99: (percentile(times, 0.99) + 1) * BUCKET_MS,
      },
      byTime,
      byHop,
      rounds: nodes < 2 ? 0 : Math.log2(nodes) + Math.log(nodes),
    };
  }
}

function cumulate(counts: readonly number[]): number[] {
  let sum = 0;
  return counts.map((count) => {
    sum += count;
    return sum;
  });
}
