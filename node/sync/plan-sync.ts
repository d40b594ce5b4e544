/** Decides what to ask of whom. Pure: the service acts. */
import type { PeerKey } from '../ports.ts';
import type { LocalStatus, PeerStatus } from './peer-status.ts';

export type SyncPlan =
  | { readonly kind: 'idle' }
  /** The peer's tip is unknown to us and would be ours by fork choice. */
  | { readonly kind: 'blocks'; readonly peer: PeerKey }
  /** We have the peer's agreed or final block, but not the votes that prove it. */
  | { readonly kind: 'votes'; readonly peer: PeerKey };

/**
 * `best-claim`: blocks before votes, and of those that have blocks for us the one that claims most. `in-turn`: the first
 * in the map that has anything, whatever it and the others claim.
 */
export type SyncOrder = 'best-claim' | 'in-turn';

/**
 * @param peers status of each usable peer; one that failed us is left out by the caller until it speaks again
 */
export function planSync(
  local: LocalStatus,
  peers: ReadonlyMap<PeerKey, PeerStatus>,
  order: SyncOrder = 'best-claim',
): SyncPlan {
  let best: { readonly peer: PeerKey; readonly status: PeerStatus } | undefined;
  let votesFrom: PeerKey | undefined;
  for (const [peer, status] of peers) {
    if (hasBlocks(local, status)) {
      if (order === 'in-turn') return { kind: 'blocks', peer };
      if (best === undefined || isAhead(status, best.status)) best = { peer, status };
    } else if (hasVotes(local, status)) {
      if (order === 'in-turn') return { kind: 'votes', peer };
      votesFrom ??= peer;
    }
  }
  if (best !== undefined) return { kind: 'blocks', peer: best.peer };
  return votesFrom === undefined ? { kind: 'idle' } : { kind: 'votes', peer: votesFrom };
}

function hasBlocks(local: LocalStatus, { tip, totalWork, agreed }: PeerStatus): boolean {
  return (agreed.height > local.agreed.height || totalWork > local.totalWork) && !local.knows(tip.id);
}

function hasVotes(local: LocalStatus, { agreed, final }: PeerStatus): boolean {
  return (
    (agreed.height > local.agreed.height && local.knows(agreed.id)) ||
    (final.height > local.final.height && local.knows(final.id))
  );
}

/** By the order of fork choice: agreed height, then work. */
function isAhead(a: PeerStatus, b: PeerStatus): boolean {
  return a.agreed.height !== b.agreed.height ? a.agreed.height > b.agreed.height : a.totalWork > b.totalWork;
}
