import { expect, test } from 'vitest';
import { closedNetFlags } from '../../../scripts/devnet/devnet.ts';

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
