/** Decides which peers are asked for what is missing in front of a gap, and which gap gives way to another. Pure. */
import type { PeerKey } from '../ports.ts';

/** Peers that are asked in a round. */
export const MAX_PEERS = 4;
/** Of these, after a round in vain, who has what follows: it may lack the same. */
const MAX_KNOWN = 2;

/**
 * Whom a round asks, best first: who gave some of it, who has what follows it, and then others, each round other ones.
 *
 * @param gap `failures`: rounds in vain so far
 * @param sound peers that may be asked
 */
export function roundOf(
  {
    giver,
    peers,
    failures,
  }: { readonly giver: PeerKey | undefined; readonly peers: ReadonlySet<PeerKey>; readonly failures: number },
  sound: ReadonlySet<PeerKey>,
): readonly PeerKey[] {
  const told = new Set(giver === undefined ? peers : [giver, ...peers]);
  const known = [...told].filter((peer) => sound.has(peer));
  const first = turned(known, giver === undefined ? failures : 0).slice(0, failures === 0 ? MAX_PEERS : MAX_KNOWN);
  const others = [...sound].filter((peer) => !told.has(peer));
  const room = MAX_PEERS - first.length;
  return [...first, ...turned(others, failures * room).slice(0, room)];
}

/**
 * Which of the gaps is given up for a new one: one whose owner has left or that `isVain`, the oldest of them; else the
 * newest of whoever told of most, but for one of its own.
 *
 * @param gaps in the order in which they were opened
 * @param newcomer who tells of the new one; undefined: nobody did
 * @returns undefined where the new one has to wait
 */
export function toGiveUp<G extends { readonly owner: PeerKey | undefined }>(
  gaps: readonly G[],
  newcomer: PeerKey | undefined,
  isVain: (gap: G) => boolean,
  connected: ReadonlySet<PeerKey>,
): G | undefined {
  const counts = new Map<PeerKey | undefined, number>();
  for (const gap of gaps) {
    if ((gap.owner !== undefined && !connected.has(gap.owner)) || isVain(gap)) return gap;
    counts.set(gap.owner, (counts.get(gap.owner) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  if ((counts.get(newcomer) ?? 0) + 1 >= most) return undefined;
  return gaps.findLast(({ owner }) => counts.get(owner) === most);
}

/** The list, beginning so many places further. */
function turned<T>(list: readonly T[], places: number): readonly T[] {
  const begin = list.length === 0 ? 0 : places % list.length;
  return [...list.slice(begin), ...list.slice(0, begin)];
}
