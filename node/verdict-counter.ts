/**
 * How many verdicts of each sort there were. Prom-client makes a string of its labels for every `inc`, which is felt
 * where nothing but counting is left to do with a message; here it hears of them when it is read.
 */
import type { Counter } from 'prom-client';

/** Bounded by its callers: kinds, verdicts and reasons are fixed sets. */
export class VerdictCounter {
  readonly #counts = new Map<string, Map<string, Map<string, number>>>();

  /** @param reason `''` for accept */
  count(kind: string, verdict: string, reason: string): void {
    const byReason = inner(inner(this.#counts, kind), verdict);
    byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  }

  /** Moves what was counted since to prom-client's counter. */
  moveTo(counter: Pick<Counter<'kind' | 'verdict' | 'reason'>, 'inc'>): void {
    for (const [kind, byVerdict] of this.#counts) {
      for (const [verdict, byReason] of byVerdict) {
        for (const [reason, count] of byReason) counter.inc({ kind, verdict, reason }, count);
      }
    }
    this.#counts.clear();
  }
}

function inner<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let found = map.get(key);
  if (found === undefined) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}
