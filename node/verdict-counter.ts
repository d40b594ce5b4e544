/**
 * How many verdicts of each sort there were. Prom-client makes a string of its labels for every `inc`, which is felt
 * where nothing but counting is left to do with a message; here it hears of them when it is read.
 */
import type { Counter } from 'prom-client';
import type { TopicKind } from './ports.ts';

/** What has a verdict: a message, by topic, but for `tx`, whose messages are batches; and each transaction of a batch. */
export type VerdictKind = TopicKind | 'batch';

/** Bounded by its callers: kinds, verdicts and reasons are fixed sets. */
export class VerdictCounter {
  /** Most of what is news is good: nothing is looked up for it. */
  readonly #accepted: Record<VerdictKind, number> = { tx: 0, batch: 0, block: 0, vote: 0, evidence: 0 };
  readonly #others = new Map<VerdictKind, Map<string, Map<string, number>>>();

  countAccepted(kind: VerdictKind): void {
    this.#accepted[kind] += 1;
  }

  count(kind: VerdictKind, verdict: 'ignore' | 'reject', reason: string): void {
    const byReason = inner(inner(this.#others, kind), verdict);
    byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  }

  /** Moves what was counted since to prom-client's counter. */
  moveTo(counter: Pick<Counter<'kind' | 'verdict' | 'reason'>, 'inc'>): void {
    for (const kind of Object.keys(this.#accepted) as VerdictKind[]) {
      const count = this.#accepted[kind];
      if (count > 0) counter.inc({ kind, verdict: 'accept', reason: '' }, count);
      this.#accepted[kind] = 0;
    }
    for (const [kind, byVerdict] of this.#others) {
      for (const [verdict, byReason] of byVerdict) {
        for (const [reason, count] of byReason) counter.inc({ kind, verdict, reason }, count);
      }
    }
    this.#others.clear();
  }
}

function inner<K, V>(map: Map<K, Map<string, V>>, key: K): Map<string, V> {
  let found = map.get(key);
  if (found === undefined) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}
