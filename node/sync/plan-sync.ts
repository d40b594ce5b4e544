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
 * @param peers status of each usable peer; one that failed us is left out by the caller until it speaks again
 */
export function planSync(local: LocalStatus, peers: ReadonlyMap<PeerKey, PeerStatus>): SyncPlan {
  let best: { readonly peer: PeerKey; readonly status: PeerStatus } | undefined;
  for (const [peer, status] of peers) {
    const wanted =
      (status.agreed.height > local.agreed.height || status.totalWork > local.totalWork) && !local.knows(status.tip.id);
    if (wanted && (best === undefined || isAhead(status, best.status))) best = { peer, status };
  }
  if (best !== undefined) return { kind: 'blocks', peer: best.peer };

  for (const [peer, { agreed, final }] of peers) {
    const provable =
      (agreed.height > local.agreed.height && local.knows(agreed.id)) ||
      (final.height > local.final.height && local.knows(final.id));
    if (provable) return { kind: 'votes', peer };
  }
  return { kind: 'idle' };
}

/** By the order of fork choice: agreed height, then work. */
function isAhead(a: PeerStatus, b: PeerStatus): boolean {
  return a.agreed.height !== b.agreed.height ? a.agreed.height > b.agreed.height : a.totalWork > b.totalWork;
}
