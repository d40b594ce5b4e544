/** Checks a run of headers before their bodies are asked for. Pure. */
import type { Genesis } from '../../chain/genesis.ts';
import { type EntryView, recentTimestamps } from '../../chain/median-time.ts';
import { MEDIAN_TIME_SPAN } from '../../chain/params.ts';
import type { BlockReason } from '../../chain/reasons.ts';
import type { BlockId, ChainEntry, Header } from '../../chain/types.ts';
import { checkHeader } from '../../chain/validate/header.ts';
import { accept, ignore, reject, type Verdict } from '../../chain/verdict.ts';

/**
 * Checks headers that follow one another from a known block.
 * @returns the entries not yet known, in order, up to one that is ahead of our clock (BLK-7), which may be ours that is
 * slow; `arrival` is 0, they have not arrived yet
 */
export function checkHeaderChain(
  headers: readonly Header[],
  context: {
    /** Blocks of the tree, and headers that have been checked and are about to be fetched. */
    readonly view: EntryView;
    /** FORK-1 for a known block: it is the last final one, or descends from it. */
    readonly continuesFinal: (id: BlockId) => boolean;
    readonly genesis: Genesis;
    readonly nowMs: bigint;
  },
): Verdict<readonly ChainEntry[], BlockReason> {
  const { view, continuesFinal, genesis, nowMs } = context;
  const first = headers[0];
  if (first === undefined) return accept([]);
  let parent = view.get(first.parent);
  if (parent === undefined) return reject('block/unknown-parent');
  const fresh: ChainEntry[] = [];
  let recentTimesMs = recentTimestamps(view, parent);
  for (const header of headers) {
    if (header.parent !== parent.header.id) return reject('block/unknown-parent');
    const known: ChainEntry | undefined = fresh.length === 0 ? view.get(header.id) : undefined;
    if (known !== undefined) {
      parent = known;
      recentTimesMs = recentTimestamps(view, parent);
      continue;
    }
    if (fresh.length === 0 && !continuesFinal(parent.header.id)) return ignore('block/conflicts-final');
    const verdict = checkHeader(header, {
      parent,
      recentTimesMs,
      nowMs,
      params: genesis.params,
      genesisEffectiveTimeMs: genesis.entry.effectiveTimeMs,
    });
    if (verdict.kind === 'ignore' && fresh.length > 0) break;
    if (verdict.kind !== 'accept') return verdict;
    parent = { ...verdict.value, arrival: 0 };
    fresh.push(parent);
    recentTimesMs = [header.timestampMs, ...recentTimesMs].slice(0, MEDIAN_TIME_SPAN);
  }
  return accept(fresh);
}
