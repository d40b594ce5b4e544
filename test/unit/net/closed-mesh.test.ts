import { expect, it } from 'vitest';
import { ConfigError, PRESETS } from '../../../node/config.ts';
import { closedMesh } from '../../../node/net/closed-mesh.ts';
import { gossipSettings } from '../../../node/net/gossip-settings.ts';
import { DEVNET_NETWORK } from '../../../node/net/libp2p-network.ts';
import { meshDegrees } from '../../../node/net/mesh-degrees.ts';
import { networkOptions } from '../../../node/network-options.ts';

const PEER = '12D3KooWQ3QoZYnjXQHrtHR82jnc1n8MPj5uoR3JEFoSPiJmPJaL';

const namesOf = (nodes: number): string[] => Array.from({ length: nodes }, (_, at) => `n${at}`);
/** Of a node that is connected with all. */
const meshOf = (names: readonly string[], self: string, degree = 12) => {
  const others = names.filter((name) => name !== self);
  return closedMesh(self, others, names, meshDegrees(degree));
};

function isConnected(names: readonly string[], areNeighbours: (a: string, b: string) => boolean): boolean {
  const reached = new Set(names.slice(0, 1));
  for (const from of reached) for (const to of names) if (areNeighbours(from, to)) reached.add(to);
  return reached.size === names.length;
}

it('takes as many neighbours as connect every mesh in which all nodes have them', () => {
  for (let nodes = 3; nodes <= 6; nodes++) {
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
  }
});

it.each([
  [3, 2],
  [4, 2],
  [5, 2],
  [6, 4],
  [7, 4],
  [8, 4],
  [9, 4],
  [10, 6],
  [13, 6],
])('of %i nodes each prefers %i, as many as it keeps, who prefer it, and these connect all', (nodes, D) => {
  const names = namesOf(nodes);
  const preferred = new Map(names.map((name) => [name, meshOf(names, name)!.preferred]));
  for (const [name, of] of preferred) {
    expect(of.size).toBe(D);
    expect(of.has(name)).toBe(false);
    for (const other of of) expect(preferred.get(other)!.has(name)).toBe(true);
    expect(meshOf(names, name)!.degrees).toEqual({ D, Dlo: D, Dhi: D, Dmax: 36, Dout: 0 });
  }
  expect(isConnected(names, (a, b) => preferred.get(a)!.has(b))).toBe(true);
});

it('leaves the mesh as it is while somebody is missing or a stranger is there, also one in the place of another', () => {
  const names = namesOf(5);
  const others = names.slice(1);
  const wanted = meshDegrees(3);
  expect(closedMesh('n0', others, names, wanted)?.degrees.D).toBe(2);
  expect(closedMesh('n0', others, others, wanted)?.degrees.D).toBe(2); // self need not be named
  expect(closedMesh('n0', others.slice(1), names, wanted)).toBeUndefined();
  expect(closedMesh('n0', [...others, 'stranger'], names, wanted)).toBeUndefined();
  expect(closedMesh('n0', [...others.slice(1), 'stranger'], names, wanted)).toBeUndefined();
});

it('leaves the mesh as it is where the net is no larger than its mesh, or that no smaller than the wanted one', () => {
  const wanted = meshDegrees(3);
  expect(closedMesh('n0', [], ['n0'], wanted)).toBeUndefined();
  expect(meshOf(namesOf(2), 'n0')).toBeUndefined();
  expect(meshOf(namesOf(5), 'n0', 2)).toBeUndefined();
  expect(meshOf(namesOf(6), 'n0', 3)).toBeUndefined();
  expect(meshOf(namesOf(6), 'n0', 4)).toBeUndefined();
});

it('takes the peers that the bootstrap addresses name, and none that they do not', () => {
  const { gossip } = networkOptions({
    ...PRESETS.devnet,
    closedNet: true,
    bootstrap: [`/ip4/127.0.0.1/tcp/1/p2p/${PEER}`, `/dns4/node2/tcp/2/p2p/${PEER}`],
  });
  expect(gossip.closedNet).toEqual([PEER, PEER]);
  const unnamed = { ...PRESETS.devnet, bootstrap: ['/ip4/127.0.0.1/tcp/1'] };
  expect(networkOptions(unnamed).gossip.closedNet).toEqual([]);
  expect(() => networkOptions({ ...unnamed, closedNet: true })).toThrow(
    new ConfigError('--bootstrap: /ip4/127.0.0.1/tcp/1 ends without /p2p/<id> (--closed-net)'),
  );
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
