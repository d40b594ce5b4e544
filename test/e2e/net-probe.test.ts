import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import { eventually } from '../eventually.ts';
import { connectThroughRelay, type Relay } from './net-relay.ts';
import { startNode, type TestNode } from './net-support.ts';

const options = { ...DEVNET_NETWORK, host: { ...DEVNET_NETWORK.host, pingIntervalMs: 100, pingTimeoutMs: 1_000 } };

let dialler: TestNode;
let listener: TestNode;
let relay: Relay;

beforeEach(async () => {
  listener = await startNode({ seed: 1, options });
  dialler = await startNode({ seed: 2, options });
  relay = await connectThroughRelay(dialler, listener);
});

afterEach(async () => {
  relay.close();
  await Promise.all([dialler.network.stop(), listener.network.stop()]);
});

it('a connection that no longer carries anything is closed at both ends', async () => {
  expect(dialler.disconnected).toEqual([]);
  relay.pull();
  await eventually('both have noticed', () => dialler.disconnected.length > 0 && listener.disconnected.length > 0);
});
