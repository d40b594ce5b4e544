import { expect, it } from 'vitest';
import { closedMesh } from '../../../node/net/closed-mesh.ts';
import { gossipSettings } from '../../../node/net/gossip-settings.ts';
import { DEVNET_NETWORK } from '../../../node/net/libp2p-network.ts';
import { meshDegrees } from '../../../node/net/mesh-degrees.ts';

const namesOf = (nodes: number): string[] => Array.from({ length: nodes }, (_, at) => `n${at}`);
const meshOf = (names: readonly string[], self: string, degree = 6) =>
  closedMesh(
    self,
    names.filter((name) => name !== self),
    names.length,
    meshDegrees(degree),
  );

function isConnected(names: readonly string[], areNeighbours: (a: string, b: string) => boolean): boolean {
  const reached = new Set(names.slice(0, 1));
  for (const from of reached) for (const to of names) if (areNeighbours(from, to)) reached.add(to);
  return reached.size === names.length;
}

it('takes as many neighbours as connect every mesh in which all nodes have them', () => {
  for (let nodes = 2; nodes <= 6; nodes++) {
    const names = namesOf(nodes);
    const { D } = meshOf(names, 'n0')!.degrees;
    const pairs = names.flatMap((a, at) => names.slice(at + 1).map((b) => [a, b] as const));
    let meshes = 0;
    for (let bits = 0; bits < 1 << pairs.length; bits++) {
      const links = pairs.filter((_, at) => (bits >> at) & 1);
      const degreeOf = (name: string): number => links.filter((link) => link.includes(name)).length;
      if (!names.every((name) => degreeOf(name) >= D)) continue;
      meshes += 1;
      const areNeighbours = (a: string, b: string): boolean =>
        links.some((link) => a !== b && link.includes(a) && link.includes(b));
      if (!isConnected(names, areNeighbours)) expect.fail(`${nodes} nodes in parts: ${links.join('; ')}`);
    }
    expect(meshes).toBeGreaterThan(0);
    // One neighbour fewer is not enough.
    if (D > 1) expect(2 * D).toBeLessThanOrEqual(nodes);
  }
});

it.each([2, 3, 4, 5, 6, 7, 9, 10, 13])('of %i nodes each prefers who prefers it, and these connect all', (nodes) => {
  const names = namesOf(nodes);
  const preferred = new Map(names.map((name) => [name, meshOf(names, name, 12)!.preferred]));
  for (const [name, of] of preferred) {
    expect(of.has(name)).toBe(false);
    for (const other of of) expect(preferred.get(other)!.has(name)).toBe(true);
    const { D, Dlo, Dhi } = meshOf(names, name, 12)!.degrees;
    expect(Dlo).toBe(D);
    // A mesh of D for each exists, or there is room for one more.
    expect(nodes * D * (Dhi - D + 1)).toSatisfy((ends: number) => ends % 2 === 0);
  }
  expect(isConnected(names, (a, b) => preferred.get(a)!.has(b))).toBe(true);
});

it('leaves the mesh as it is where the net is not seen whole, or not known, or no smaller than the mesh', () => {
  const names = namesOf(5);
  const others = names.slice(1);
  const wanted = meshDegrees(3);
  expect(closedMesh('n0', others, 5, wanted)?.degrees).toEqual({ D: 2, Dlo: 2, Dhi: 2, Dmax: 9, Dout: 0 });
  expect(closedMesh('n0', others.slice(1), 5, wanted)).toBeUndefined();
  expect(closedMesh('n0', [...others, 'observer'], 5, wanted)).toBeUndefined();
  expect(closedMesh('n0', others, 0, wanted)).toBeUndefined();
  expect(closedMesh('n0', others, 5, meshDegrees(2))).toBeUndefined();
  expect(closedMesh('n0', [], 1, wanted)).toBeUndefined();
});

it('keeps who is preferred before all others, unless it has penalty points that count', () => {
  const points: Readonly<Record<string, number>> = { tolerated: 50, penalised: 51, other: 0 };
  const { scoreParams } = gossipSettings({
    options: DEVNET_NETWORK.gossip,
    kinds: new Map([['topic', 'tx']]),
    metricsRegistry: undefined,
    penaltyPoints: (peer) => points[peer]!,
    isPreferred: (peer) => peer !== 'other',
    onTxCopies: () => {},
  });
  const { appSpecificScore, appSpecificWeight = 0, topicScoreCap = 0 } = scoreParams ?? {};
  const scoreOf = (peer: string): number => appSpecificWeight * appSpecificScore!(peer);
  expect(scoreOf('tolerated')).toBeGreaterThan(scoreOf('other') + topicScoreCap);
  expect(scoreOf('other')).toBeCloseTo(0);
  expect(scoreOf('penalised')).toBeLessThan(0);
});
