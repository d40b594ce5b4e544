import { expect, test } from 'vitest';
import { createSystemRng } from '../../../node/adapters.ts';
import { closedNetFlags, planNet } from '../../../scripts/devnet/net-plan.ts';

const addresses = (count: number): string[] => Array.from({ length: count }, (_, i) => `/ip4/127.0.0.1/tcp/${i + 1}`);

test('a devnet whose nodes know all the others is a closed net, a larger one and one alone are not', () => {
  expect(closedNetFlags(addresses(4), 5, [])).toEqual(['--closed-net=true']);
  expect(closedNetFlags(addresses(8), 20, [])).toEqual(['--closed-net=false']);
  expect(closedNetFlags([], 1, [])).toEqual(['--closed-net=false']);
});

test.each([
  [['--bootstrap=/ip4/192.0.2.1/tcp/7501']],
  [['--bootstrap', '/ip4/192.0.2.1/tcp/7501']],
  [['--mesh-degree=4', '--closed-net=true']],
])("nothing is said of it where the user's own flags do: %j", (nodeArgs) => {
  expect(closedNetFlags(addresses(4), 5, nodeArgs)).toEqual([]);
});

test('other flags of the user leave it as it is', () => {
  expect(closedNetFlags(addresses(4), 5, ['--bootstrapped', '--vote=false'])).toEqual(['--closed-net=true']);
});

test.each([
  [1, 0],
  [9, 8],
  [20, 8],
])('of %i nodes each dials %i others, the next one among them: the net is in one piece', async (nodes, peers) => {
  const places = await planNet({ nodes, basePort: 20_000, rng: createSystemRng(), say: () => {} });
  expect(new Set(places.flatMap(({ apiPort, p2pPort }) => [apiPort, p2pPort])).size).toBe(2 * nodes);
  for (const [index, { p2pPort, bootstrap }] of places.entries()) {
    expect(new Set(bootstrap).size).toBe(peers);
    expect(bootstrap.join()).not.toContain(`/tcp/${p2pPort}/`);
    if (nodes > 1) expect(bootstrap.join()).toContain(`/tcp/${places[(index + 1) % nodes]!.p2pPort}/`);
  }
});
