/**
 * The mesh of a small closed net: all its nodes are connected with each other, and each knows who they are.
 *
 * Half of the others are enough there. Where each of N nodes has ⌊N/2⌋ neighbours the mesh is in one piece: of two
 * parts each would have ⌊N/2⌋ + 1 nodes, which is more than N together. Such a mesh has no neighbour to spare, and
 * pruning at random takes long to find it: whoever is pruned looks for another, which prunes in its turn, and meanwhile
 * the mesh can be in parts. So all prune by one rule. They stand in a circle in the order of their peer ids, and each
 * prefers those next to it; who is preferred prefers back, so that neither prunes the other.
 */
import type { PeerKey } from '../ports.ts';
import type { MeshDegrees } from './mesh-degrees.ts';

export interface ClosedMesh {
  readonly degrees: MeshDegrees;
  /** Those to keep before all others: as many as the mesh has. */
  readonly preferred: ReadonlySet<PeerKey>;
}

/**
 * @param peers all that the node is connected with
 * @param net the nodes of the net; `self` may be among them
 * @param wanted the degrees of an open net
 * @returns undefined where a node of the net is missing, where somebody else is there, and where the net is no larger
 *   than its mesh would be, or that no smaller than the wanted one
 */
export function closedMesh(
  self: PeerKey,
  peers: readonly PeerKey[],
  net: readonly PeerKey[],
  wanted: MeshDegrees,
): ClosedMesh | undefined {
  const others = new Set(net);
  others.delete(self);
  if (peers.length !== others.size || !peers.every((peer) => others.has(peer))) return undefined;
  const reach = Math.ceil(Math.floor((others.size + 1) / 2) / 2);
  const D = 2 * reach; // even: of an odd number of nodes not all can have the same odd number of neighbours
  if (D === 0 || D > others.size || D >= wanted.D) return undefined;
  return { degrees: { D, Dlo: D, Dhi: D, Dmax: wanted.Dmax, Dout: 0 }, preferred: nextInCircle(self, others, reach) };
}

/** The `reach` peers before `self` and as many after it, in the circle of all of them by peer id. */
function nextInCircle(self: PeerKey, others: ReadonlySet<PeerKey>, reach: number): ReadonlySet<PeerKey> {
  const circle = [...others, self].sort();
  const at = circle.indexOf(self);
  const next = new Set<PeerKey>();
  for (let step = 1; step <= reach; step++) {
    next.add(circle[(at + step) % circle.length]!);
    next.add(circle.at(at - step)!);
  }
  return next;
}
