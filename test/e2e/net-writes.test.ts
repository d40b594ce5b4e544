import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { ComponentLogger, Connection, Logger, MultiaddrConnection, Upgrader } from '@libp2p/interface';
import type { NoiseComponents } from '@libp2p/noise';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { Uint8ArrayList } from 'uint8arraylist';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { noiseEncryption } from '../../node/net/encryption.ts';
import { identityOfSeed } from '../../node/net/identity.ts';
import { writeWhole } from '../../node/net/socket-writes.ts';

/** More than the kernel takes of what nobody reads, as the frames of Noise. */
const FRAMES = Array.from({ length: 512 }, () => new Uint8Array(65_519));
const SENT_BYTES = 512 * 65_519;

let server: Server;
let peer: Socket;
let connection: MultiaddrConnection & { readonly writeBufferLength: number };

const NOTHING = (): void => undefined;
const LOG: Logger = Object.assign(NOTHING, { error: NOTHING, trace: NOTHING, enabled: false, newScope: () => LOG });
const SILENT: ComponentLogger = { forComponent: () => LOG };

/** libp2p's own connection over TCP, before anything is negotiated. */
async function dial(port: number): Promise<typeof connection> {
  let dialled: MultiaddrConnection | undefined;
  const upgradeOutbound = async (socket: MultiaddrConnection): Promise<Connection> => {
    dialled = socket;
    return { remoteAddr: socket.remoteAddr } as unknown as Connection;
  };
  const transport = tcp()({ logger: SILENT });
  await transport.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}`), {
    signal: new AbortController().signal,
    upgrader: { upgradeOutbound } as unknown as Upgrader,
  });
  return dialled as typeof connection;
}

beforeEach(async () => {
  const accepted = Promise.withResolvers<Socket>();
  server = createServer({ pauseOnConnect: true }, (socket) => accepted.resolve(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  connection = await dial((server.address() as AddressInfo).port);
  peer = await accepted.promise;
});

afterEach(() => {
  connection.abort(new Error('the test is over'));
  peer.destroy();
  server.close();
});

it('each connection that a node encrypts is such', async () => {
  const upgrader = { getStreamMuxers: () => new Map() } as unknown as Upgrader;
  const privateKey = identityOfSeed(new Uint8Array(32).fill(1));
  const peerId = peerIdFromPrivateKey(privateKey);
  const encrypter = noiseEncryption(
    { sent: 0, received: 0 },
    1,
  )({ peerId, privateKey, logger: SILENT, upgrader } as unknown as NoiseComponents);
  const securing = encrypter.secureOutbound(connection); // the peer never answers
  securing.catch(() => undefined);
  connection.send(new Uint8ArrayList(...FRAMES));
  expect(connection.writeBufferLength).toBe(0);
  connection.abort(new Error('seen'));
  await expect(securing).rejects.toThrow();
});

it('a connection keeps nothing of what its socket was handed, and drains when the peer has taken all of it', async () => {
  writeWhole(connection);
  let received = 0;
  let drained: number | undefined;
  connection.addEventListener('drain', () => {
    drained ??= received;
  });
  expect(connection.send(new Uint8ArrayList(...FRAMES))).toBe(false);
  expect(connection.writeBufferLength).toBe(0);
  peer.on('data', ({ byteLength }) => {
    received += byteLength;
  });
  peer.resume();
  while (received < SENT_BYTES) await once(peer, 'data');
  if (drained === undefined) await once(connection, 'drain');
  expect(received).toBe(SENT_BYTES);
  // All but what the kernel may hold, which is a few megabytes.
  expect(drained ?? received).toBeGreaterThan(SENT_BYTES / 2);
});
