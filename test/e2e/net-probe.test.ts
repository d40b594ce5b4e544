/** A pulled cable sends no reset: a relay between two nodes that passes on nothing more plays it. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import type { TestNode } from './net-support.ts';
import { addressOf, startNode, until } from './net-support.ts';

const options = { ...DEVNET_NETWORK, host: { ...DEVNET_NETWORK.host, pingIntervalMs: 100, pingTimeoutMs: 1_000 } };

let dialler: TestNode;
let listener: TestNode;
let relay: Server;
let sockets: Socket[];

beforeEach(async () => {
  listener = await startNode({ seed: 1, options });
  dialler = await startNode({ seed: 2, options });
  sockets = [];
  const port = Number(/\/tcp\/(\d+)/.exec(addressOf(listener))![1]);
  relay = createServer((from) => {
    const to = connect({ host: '127.0.0.1', port });
    sockets.push(from, to);
    for (const socket of [from, to]) socket.on('error', () => undefined); // reset when a node hangs up
    from.pipe(to);
    to.pipe(from);
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  await dialler.network.connect(
    addressOf(listener).replace(`/tcp/${port}/`, `/tcp/${(relay.address() as AddressInfo).port}/`),
  );
  await until('they are connected', () => listener.connected.length > 0 && dialler.connected.length > 0);
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  relay.close();
  await Promise.all([dialler.network.stop(), listener.network.stop()]);
});

it('a connection that no longer carries anything is closed at both ends', async () => {
  expect(dialler.disconnected).toEqual([]);
  for (const socket of sockets) socket.unpipe().pause();
  await until('both have noticed', () => dialler.disconnected.length > 0 && listener.disconnected.length > 0);
});
