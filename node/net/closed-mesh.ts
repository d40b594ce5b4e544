/**
 * The mesh of a small net that is closed: all its nodes are connected with each other, and know how many they are.
 *
 * Half of the others are enough there. Where each of N nodes has ⌊N/2⌋ neighbours the mesh is connected: two parts of it
 * would have ⌊N/2⌋ + 1 nodes each, more than N together. Such a mesh has no neighbour to spare, and pruning at random
 * takes long to find it: whoever is pruned looks for another, which prunes in its turn, and with D 2 some meshes of five
 * nodes were in two parts for twenty seconds. So all prune by one rule. They stand in a circle in the order of their
 * peer ids, and each prefers those next to it; who is preferred prefers back, so that neither prunes the other.
 */
import type { PeerKey } from '../ports.ts';
import type { MeshDegrees } from './mesh-degrees.ts';

export interface ClosedMesh {
  readonly degrees: MeshDegrees;
  /** Those to keep before all others. */
  readonly preferred: ReadonlySet<PeerKey>;
}

/**
 * @param peers all that the node is connected with
 * @param nodes of the net, this one included; 0: not known
 * @param wanted the degrees of a net of any size
 * @returns undefined where the net is not seen whole, or is no smaller than the wanted mesh
 */
export function closedMesh(
  self: PeerKey,
  peers: readonly PeerKey[],
  nodes: number,
  wanted: MeshDegrees,
): ClosedMesh | undefined {
  const D = Math.floor(nodes / 2);
  if (peers.length !== nodes - 1 || D < 1 || D >= wanted.D) return undefined;
  // Of an odd number of nodes not all can have the same odd number of neighbours: one has one more.
  const Dhi = (nodes * D) % 2 === 0 ? D : D + 1;
  return {
    degrees: { D, Dlo: D, Dhi, Dmax: wanted.Dmax, Dout: 0 },
    preferred: nextInCircle(self, peers, Math.ceil(D / 2)),
  };
}

/** The `reach` peers before `self` and as many after it, in the circle of all of them by peer id. */
function nextInCircle(self: PeerKey, peers: readonly PeerKey[], reach: number): ReadonlySet<PeerKey> {
  const circle = [...peers, self].sort();
  const at = circle.indexOf(self);
  const next = new Set<PeerKey>();
  for (let step = 1; step <= reach; step++) {
    next.add(circle[(at + step) % circle.length]!);
    next.add(circle.at(at - step)!);
  }
  return next;
}
