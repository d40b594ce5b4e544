/** One real node, and everybody who wishes it ill. Each attack has an answer, and others are served all the while. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { RPC } from '@chainsafe/libp2p-gossipsub/message';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { encode } from 'it-length-prefixed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { makeTx } from '../../chain/codec.ts';
import { type Genesis, parseGenesis } from '../../chain/genesis.ts';
import { MAX_BLOCK_BYTES } from '../../chain/params.ts';
import { signTx, signVote } from '../../chain/sign.ts';
import { encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Tx } from '../../chain/types.ts';
import { createSystemClock } from '../../node/adapters.ts';
import type { Host } from '../../node/net/host.ts';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import { topicName } from '../../node/net/topics.ts';
import type { StreamProtocol, TopicKind } from '../../node/ports.ts';
import { Conversations } from '../../node/requests/conversations.ts';
import { decodeStatus, encodeStatus } from '../../node/sync/messages.ts';
import { BLOCK_TXS, BODIES, HEADERS, STATUS, VOTES } from '../../node/sync/protocols.ts';
import type { VerdictKind } from '../../node/verdict-counter.ts';
import { devAccount, devVoter } from '../../scripts/dev-accounts.ts';
import { eventually } from '../eventually.ts';
import { blockMessage } from '../node-fixture.ts';
import * as net from './net-support.ts';
import { makeGenesis, type StartedNode, startNode, untilStarted } from './node-support.ts';
import { internalErrors, metricSum, Workbench } from './process-support.ts';

const MESHSUB = '/meshsub/1.2.0';
const clock = createSystemClock();
const bench = new Workbench();
const hosts: Host<unknown>[] = [];
let genesis: Genesis;
let node: StartedNode;
/** A peer that keeps to the rules. */
let honest: net.TestNode;
let conversations: Conversations;
let nonce = 0n;

beforeAll(async () => {
  const directory = await bench.directory();
  const base = await bench.basePort();
  const path = await makeGenesis(bench, directory, 1, 0.5);
  genesis = parseGenesis(JSON.parse(await readFile(path, 'utf8')));
  node = startNode(bench, {
    index: 0,
    base,
    genesis: path,
    dataDir: join(directory, 'node'),
    flags: ['--mine=on-demand', '--hash-budget=0.5', '--log-level=debug'],
  });
  await untilStarted(node);
  honest = await net.startNode({ seed: 1, topics: { chainId: genesis.chainId }, bootstrap: [node.address] });
  conversations = new Conversations({ network: honest.network, clock }, STATUS);
  await eventually('mesh', () => honest.network.peers()[0]?.mesh.length === net.KINDS.length);
});
afterAll(async () => {
  conversations?.stop();
  await honest?.network.stop();
  await Promise.all(hosts.map((host) => host.stop()));
  await bench.clean();
});

function transfer(ofNonce: bigint): Tx {
  const { chainId, params } = genesis;
  const to = devAccount(1).address;
  const body = { chainId, nonce: ofNonce, to, amount: 1n, fee: params.minFee, memo: new Uint8Array() };
  return signTx(body, devAccount(0).secretKey);
}

/** The node serves its API and its honest peer, and has met no bug of its own. */
async function expectUnharmed(): Promise<void> {
  const tx = transfer(nonce);
  nonce += 1n;
  await honest.network.publish('tx', encodeTxBatch([tx]));
  const state = await eventually("the honest peer's transaction", async () => {
    return (await node.client.transaction(tx.id).catch(() => undefined))?.state; // 404 until it has come
  });
  expect(state).toBe('pending');
  const own = {
    chainId: genesis.chainId,
    software: 'test',
    tip: { height: 0n, id: genesis.entry.header.id },
    totalWork: genesis.entry.totalWork,
    agreed: { height: 0n, id: genesis.entry.header.id },
    final: { height: 0n, id: genesis.entry.header.id },
    offenders: '00'.repeat(32),
    mempool: '00'.repeat(8),
  };
  const [peer] = honest.network.peers();
  const status = await conversations.ask(peer!.peer, encodeStatus(own), decodeStatus);
  expect(status.chainId).toBe(genesis.chainId);
  expect(await internalErrors(node.client)).toBe(0);
  expect(node.running.isRunning).toBe(true);
  expect(node.running.logs().filter(({ level }) => level >= 50)).toEqual([]);
}

/** A bare libp2p host that keeps to nobody's manners, connected to the node. */
class Hostile {
  readonly host: Host<unknown>;
  readonly #gossip: Stream;

  private constructor(host: Host<unknown>, gossip: Stream) {
    this.host = host;
    this.#gossip = gossip;
  }

  static async connect(seed: number): Promise<Hostile> {
    const host = await net.startBareHost(seed);
    hosts.push(host);
    await host.handle(MESHSUB, async (stream) => {
      stream.addEventListener('message', () => undefined); // taken and dropped
    });
    const connection = await host.dial(multiaddr(node.address));
    return new Hostile(host, await connection.newStream([MESHSUB]));
  }

  get id(): string {
    return this.host.peerId.toString();
  }

  get isConnected(): boolean {
    return this.host.getConnections().some(({ status }) => status === 'open');
  }

  gossip(kind: TopicKind, messages: readonly Uint8Array[]): void {
    const topic = topicName(genesis.chainId, kind);
    const rpc = { subscriptions: [], messages: messages.map((data) => ({ topic, data: new Uint8Array(data) })) };
    this.raw(encode.single(RPC.encode(rpc)));
  }

  raw(bytes: Parameters<Stream['send']>[0]): void {
    this.#gossip.send(bytes);
  }

  async open(protocol: StreamProtocol): Promise<Stream> {
    const [connection] = this.host.getConnections();
    return connection!.newStream([protocol.name]);
  }
}

async function isPeer(id: string): Promise<boolean> {
  return (await node.client.peers()).peers.some((peer) => peer.id === id);
}

async function rejected(kind: VerdictKind, reason: string): Promise<number> {
  return metricSum(await node.client.metrics(), 'grapevine_verdicts_total', { kind, verdict: 'reject', reason });
}

describe('HTTP', () => {
  /** Posts so many bytes of JSON, the length told beforehand or not. */
  function post(bytes: number, isChunked: boolean): Promise<{ readonly status: number; readonly problem: unknown }> {
    return new Promise((resolve, reject) => {
      const posting = request(`${node.url}/v1/transactions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(isChunked ? {} : { 'content-length': bytes }) },
      });
      let answered = false;
      posting.on('response', (response) => {
        answered = true;
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => {
          posting.destroy();
          resolve({ status: response.statusCode ?? 0, problem: JSON.parse(text) });
        });
      });
      posting.on('error', (error) => {
        if (!answered) reject(error); // once it has answered, the node reads no further
      });
      const part = Buffer.alloc(64 * 1024, 'f');
      let left = bytes - 8;
      const write = (): void => {
        while (left > 0 && !posting.destroyed) {
          const size = Math.min(part.length, left);
          left -= size;
          if (!posting.write(part.subarray(0, size))) {
            posting.once('drain', write);
            return;
          }
        }
        if (!posting.destroyed) posting.end('"}');
      };
      posting.write('{"tx":"');
      write();
    });
  }

  it.each([false, true])('a body of 10 MB gets 413 body-too-large (chunked: %s)', async (isChunked) => {
    const { status, problem } = await post(10_000_000, isChunked);
    expect(status).toBe(413);
    expect(problem).toMatchObject({ status: 413, code: 'body-too-large' });
    await expectUnharmed();
  });

  it('requests that never end hold up nobody', async () => {
    const sockets: Socket[] = [];
    for (const text of [
      '',
      'GET /v1/status HTT',
      'POST /v1/transactions HTTP/1.1\r\ncontent-length: 9\r\nhost: x\r\n',
    ]) {
      for (let i = 0; i < 60; i += 1) {
        const socket = connect(Number(new URL(node.url).port), '127.0.0.1');
        socket.on('error', () => undefined);
        socket.write(text);
        sockets.push(socket);
      }
    }
    await eventually('all connected', () => sockets.every(({ connecting, destroyed }) => !connecting && !destroyed));
    await expectUnharmed();
    for (const socket of sockets) socket.destroy();
  });
});

describe('the event socket', () => {
  const url = (): string => `${node.url.replace('http', 'ws')}/v1/events`;
  const opened = (socket: WebSocket) =>
    new Promise<string>((resolve) => {
      socket.once('open', () => resolve('open'));
      socket.once('unexpected-response', (_request, response) => resolve(`refused with ${response.statusCode}`));
      socket.on('error', () => resolve('failed'));
    });

  it('takes 64 clients, refuses more with 503, drops what they say, and closes one that says too much', async () => {
    const sockets = Array.from({ length: 80 }, () => new WebSocket(url()));
    const outcomes = await Promise.all(sockets.map(opened));
    expect(outcomes.filter((outcome) => outcome === 'open')).toHaveLength(64);
    expect(outcomes.filter((outcome) => outcome === 'refused with 503')).toHaveLength(16);
    const open = sockets.filter((socket) => socket.readyState === WebSocket.OPEN);
    const [listener, loud, ...flooding] = open;
    const heard: string[] = [];
    listener!.on('message', (data) => heard.push(String(data)));
    const closed = new Promise<number>((resolve) => {
      loud!.once('close', resolve);
    });
    loud!.send('x'.repeat(2_000));
    for (const socket of flooding) for (let i = 0; i < 500; i += 1) socket.send('{"type":"tx"}');
    expect(await closed).toBe(1009); // RFC 6455 §7.4.1: message too big
    await expectUnharmed();
    await eventually('the listener hears on', () => heard.some((text) => text.includes('"type":"tx"')));
    for (const socket of open) socket.terminate();
    await eventually('room again', async () => {
      const socket = new WebSocket(url());
      const outcome = await opened(socket);
      socket.terminate();
      return outcome === 'open';
    });
  });
});

describe('gossip', () => {
  it('10,000 invalid transactions cost their sender the connection, and others nothing', async () => {
    const hostile = await Hostile.connect(66);
    await eventually('connected', () => isPeer(hostile.id));
    const { chainId, publicKey, to, amount, fee, memo } = transfer(0n);
    const invalid = Array.from({ length: 10_000 }, (_, i) => {
      const signature = Uint8Array.from([...randomBytes(32), 0, ...randomBytes(31)]); // a low S, of nothing
      return makeTx({ chainId, publicKey, nonce: BigInt(i), to, amount, fee, memo }, signature);
    });
    const before = await rejected('tx', 'tx/bad-signature');
    for (let at = 0; at < invalid.length; at += 500) {
      const alone = invalid.slice(at, at + 500).map((tx) => encodeTxBatch([tx]));
      hostile.gossip('tx', alone);
    }
    await expectUnharmed();
    await eventually('cut off', async () => !hostile.isConnected && !(await isPeer(hostile.id)));
    expect(node.running.logs().some(({ msg, peer }) => msg === 'peer banned' && peer === hostile.id)).toBe(true);
    // 11 of 10 points each; those already waiting with them are still answered, the rest never handed in.
    const after = (await rejected('tx', 'tx/bad-signature')) - before;
    expect(after).toBeGreaterThanOrEqual(11);
    expect(after).toBeLessThanOrEqual(DEVNET_NETWORK.gossip.maxUnsettledPerPeer);
    // In batches one is enough: ten of its transactions cost as much as ten messages.
    const inBatches = await Hostile.connect(67);
    await eventually('connected', () => isPeer(inBatches.id));
    for (let at = 0; at < invalid.length; at += 100) {
      inBatches.gossip('tx', [encodeTxBatch(invalid.slice(at, at + 100))]);
    }
    await eventually('cut off', async () => !inBatches.isConnected && !(await isPeer(inBatches.id)));
    await hostile.host.dial(multiaddr(node.address)).catch(() => undefined); // refused now, or closed at once
    await eventually('still refused', async () => !hostile.isConnected && !(await isPeer(hostile.id)));
    await expectUnharmed();
  });

  it.each(['tx', 'block', 'vote'] as const)(
    'truncated and over-long bytes on the %s topic are rejected as malformed',
    async (kind) => {
      const hostile = await Hostile.connect(70 + net.KINDS.indexOf(kind));
      const name = kind === 'tx' ? 'batch' : kind;
      const valid = {
        tx: () => encodeTxBatch([transfer(0n)]),
        block: () => blockMessage(genesis.block),
        vote: voteBytes,
      }[kind]();
      const tail = (length: number): Uint8Array => Uint8Array.from([...valid, ...new Uint8Array(length)]);
      const bad = [
        ...[1, Math.floor(valid.length / 2), valid.length - 1].map((length) => valid.slice(0, length)),
        ...[1, 10_000].map(tail),
        Uint8Array.from([...valid, ...new Uint8Array(MAX_BLOCK_BYTES + 1 - valid.length)]),
        new Uint8Array(randomBytes(300)),
      ];
      const before = await rejected(name, `${name}/malformed`);
      hostile.gossip(kind, bad.slice(0, 4));
      for (const data of bad.slice(4)) hostile.gossip(kind, [data]);
      await eventually('all rejected', async () => (await rejected(name, `${name}/malformed`)) === before + bad.length);
      await expectUnharmed();
      expect(await isPeer(hostile.id)).toBe(true); // 70 points, a hundred would be too many
    },
  );

  it('a frame that never ends, and peers that never finish a handshake, hold up nobody', async () => {
    const hostile = await Hostile.connect(80);
    hostile.raw(Uint8Array.from([0x80, 0x80, 0x40, 1, 2, 3])); // 1 MiB announced
    const port = Number(/tcp\/(\d+)/.exec(node.address)?.[1]);
    const sockets = Array.from({ length: 50 }, (_, i) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      if (i % 2 === 0) socket.write('\x13/multistream/1.0.0\n');
      return socket;
    });
    await eventually('all connected', () => sockets.every(({ connecting }) => !connecting));
    await expectUnharmed();
    for (const socket of sockets) socket.destroy();
  });
});

describe('streams', () => {
  const protocols = [STATUS, HEADERS, BODIES, BLOCK_TXS, VOTES];
  it.each(protocols)('wrong bytes on $name are answered with a reset or nothing', async (protocol) => {
    const hostile = await Hostile.connect(90 + protocols.indexOf(protocol));
    const prefixed = (length: number): Uint8Array => encode.single(new Uint8Array(length)).slice(0, 4);
    const noise = encode.single(new Uint8Array(randomBytes(200))).slice();
    for (const bytes of [
      Uint8Array.from([0]), // an empty frame
      Uint8Array.from([100, 1, 2, 3]), // cut short
      prefixed(protocol.maxRequestBytes + 1), // over-long, announced
      encode.single(new Uint8Array(protocol.maxRequestBytes + 1)).slice(), // over-long, sent
      new Uint8Array(20).fill(255), // a length without end
      noise,
    ]) {
      const stream = await hostile.open(protocol);
      const ended = new Promise((resolve) => {
        stream.addEventListener('close', resolve);
      });
      let received = 0;
      stream.addEventListener('message', ({ data }) => {
        received += data.byteLength;
      });
      stream.send(bytes);
      await stream.close().catch(() => undefined); // reset by the node
      await ended;
      expect(received).toBeLessThan(1_000);
    }
    await expectUnharmed();
  });

  it('opened and left open hold up nobody', async () => {
    const hostile = await Hostile.connect(99);
    for (const protocol of protocols) {
      for (let i = 0; i < protocol.maxInboundStreams; i += 1) await hostile.open(protocol);
      const more = await hostile.open(protocol).catch(() => undefined); // reset while or after it opens
      await eventually('one too many', () => more === undefined || more.status !== 'open');
    }
    await expectUnharmed();
  });
});

describe('after all that', () => {
  it('the node mines what the honest peer sent, and stops in good order', async () => {
    const { blocks } = await node.client.mine(1);
    const block = await node.client.block(blocks[0]!.id);
    expect(block.txCount).toBe(Number(nonce));
    await eventually('the honest peer has the block', () => honest.messages.some(({ kind }) => kind === 'block'));
    expect(await node.running.end('SIGTERM')).toEqual({ status: 0, signal: null });
  });
});

function voteBytes(): Uint8Array {
  const { height, id } = genesis.entry.header;
  const source = { height, id };
  return signVote({ chainId: genesis.chainId, source, target: { height: height + 1n, id } }, devVoter(0).secretKey)
    .bytes;
}
