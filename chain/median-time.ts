import { MEDIAN_TIME_SPAN } from './params.ts';
import type { BlockId, ChainEntry } from './types.ts';

/** Entries by id: the tree's, or those of blocks about to join it too. */
export interface EntryView {
  get(id: BlockId): ChainEntry | undefined;
}

/** Timestamps of the entry and its ancestors, newest first, as many as the median takes. */
export function recentTimestamps(view: EntryView, entry: ChainEntry): readonly bigint[] {
  const times: bigint[] = [];
  let at: ChainEntry | undefined = entry;
  while (at !== undefined && times.length < MEDIAN_TIME_SPAN) {
    times.push(at.header.timestampMs);
    at = view.get(at.header.parent);
  }
  return times;
}

/** Median time past (BLK-6, BIP113) of `recentTimestamps`; of an even number, near genesis, the upper middle. */
export function medianTime(times: readonly bigint[]): bigint {
  return [...times].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))[Math.floor(times.length / 2)]!;
}
