/** Peers that do not keep to gossipsub's manners: a bare libp2p host that writes what it likes. */
import { createHash } from 'node:crypto';
import { RPC } from '@chainsafe/libp2p-gossipsub/message';
import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { decode, encode } from 'it-length-prefixed';
import { Uint8ArrayList } from 'uint8arraylist';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSystemClock } from '../../node/adapters.ts';
import { MAX_CONTROL_MESSAGES } from '../../node/net/gossip-bounds.ts';
import { MAX_RPC_BYTES } from '../../node/net/gossipsub.ts';
import type { Host } from '../../node/net/host.ts';
import { createHost } from '../../node/net/host.ts';
import { identityOfSeed } from '../../node/net/identity.ts';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import { MIN_IDONTWANT_BYTES } from '../../node/net/message-cache.ts';
import { topicName } from '../../node/net/topics.ts';
import { eventually } from '../eventually.ts';
import type { TestNode } from './net-support.ts';
import { addressOf, bytesOf, connectAndMesh, seedOf, startNode, TEST_CHAIN_ID, textOf } from './net-support.ts';

const MESHSUB = '/meshsub/1.2.0';
const TX = topicName(TEST_CHAIN_ID, 'tx');

let a: TestNode;
let b: TestNode;
let c: TestNode;
let hostile: Host<unknown>;
let connection: Connection;
let out: Stream;
/** What B sent to the hostile peer, and the streams it sent it on. */
let inbox: RPC[];
let inbound: Stream[];

const EMPTY_CONTROL = { ihave: [], iwant: [], graft: [], prune: [], idontwant: [] };

/** No connection ends because a probe was not answered. */
const UNPROBED = { ...DEVNET_NETWORK, host: { ...DEVNET_NETWORK.host, pingIntervalMs: 3_600_000 } };

function send(rpc: Partial<RPC>): void {
  out.send(encode.single(RPC.encode({ subscriptions: [], messages: [], ...rpc })));
}

function message(text: string, topic = TX) {
  return { topic, data: bytesOf(text) as Uint8Array<ArrayBuffer> };
}

function idOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(`${TX}\0${text}`).digest().subarray(0, 20));
}

function inMesh(): boolean {
  return b.network.peers().some(({ peer, mesh }) => peer === hostile.peerId.toString() && mesh.length > 0);
}

beforeEach(async () => {
  b = await startNode({
    seed: 2,
    options: UNPROBED,
    settle: (m) => (textOf(m.data).startsWith('held') ? undefined : 'accept'),
  });
  a = await startNode({ seed: 1 });
  c = await startNode({ seed: 3 });
  await connectAndMesh(a, b);
  await connectAndMesh(c, b);
  hostile = await createHost<unknown>({
    privateKey: identityOfSeed(seedOf(66)),
    listen: [],
    announce: [],
    options: UNPROBED.host,
    clock: createSystemClock(),
    isRefused: () => false,
    socketBytes: { sent: 0, received: 0 },
    pubsub: () => ({}),
  });
  inbox = [];
  inbound = [];
  await hostile.handle(MESHSUB, async (stream) => {
    inbound.push(stream);
    try {
      for await (const frame of decode(stream)) inbox.push(RPC.decode(frame));
    } catch {
      // reset by B or by the test
    }
  });
  await hostile.start();
  connection = await hostile.dial(multiaddr(addressOf(b)));
  out = await connection.newStream([MESHSUB]);
  await eventually('B opens its stream', () => inbox.some(({ subscriptions }) => subscriptions.length > 0));
});

afterEach(async () => {
  await Promise.all([hostile.stop(), ...[a, b, c].map(({ network }) => network.stop())]);
});

describe('wrong bytes on gossip', () => {
  it('in frames that are no RPC change nothing: what follows is heard', async () => {
    for (const bytes of [[], [0], [255, 255, 255, 255], [10, 200, 1], [18, 2, 10, 9]]) {
      out.send(encode.single(Uint8Array.from(bytes)));
    }
    for (let i = 0; i < 200; i += 1) {
      out.send(
        encode.single(
          createHash('sha512')
            .update(String(i))
            .digest()
            .subarray(0, i % 64),
        ),
      );
    }
    send({ messages: [message('after the noise')] });
    await eventually('C hears it', () => c.heard.includes('after the noise'));
    expect(b.heard).toEqual(['after the noise']);
    expect(b.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('on other topics, with signature fields, or over the list limits are not handed in', async () => {
    send({ messages: [message('elsewhere', '/other')] });
    send({ messages: [{ ...message('signed'), signature: idOf('x'), seqno: idOf('y'), key: idOf('z') }] });
    send({
      subscriptions: Array.from({ length: 17 }, () => ({ subscribe: true, topic: TX })),
      messages: [message('limit')],
    });
    send({ messages: [message('plain')] });
    await eventually('C hears the plain one', () => c.heard.includes('plain'));
    expect(b.heard).toEqual(['plain']);
  });

  it('an over-long frame costs the peer its connection', async () => {
    send({
      subscriptions: [{ subscribe: true, topic: TX }],
      control: { ...EMPTY_CONTROL, graft: [{ topicID: TX }] }, // B has peers enough, and does not ask for more
    });
    await eventually('B has it in its mesh', inMesh);
    const heartbeats = async (): Promise<number> => {
      const text = await b.registry.metrics();
      return Number(/^gossipsub_heartbeat_duration_seconds_count (\d+)$/m.exec(text)?.[1]);
    };
    const before = await heartbeats();
    let now = before;
    await eventually('B has looked at it', () => {
      void heartbeats().then((count) => {
        now = count;
      });
      return now >= before + 2;
    });
    out.send(encode.single(new Uint8Array(2_900_000)));
    await eventually('disconnected', () => b.disconnected.includes(hostile.peerId.toString()));
    await a.network.publish('tx', bytesOf('life goes on'));
    await eventually('C hears', () => c.heard.includes('life goes on'));
    expect(b.network.peers()).toHaveLength(2);
  });
});

/** Below libp2p's streams: what the muxer says to the muxer at the other end. */
interface MuxerInside {
  send(bytes: Uint8Array): void;
  handlePing(header: object): void;
  readonly maConn: { readonly maxWriteBufferLength?: number };
}

describe('below the streams', () => {
  const muxer = (): MuxerInside => (connection as unknown as { readonly muxer: MuxerInside }).muxer;
  /** Version 0, type, flags, stream, length. */
  const header = (type: number, flags: number, stream: number, length: number): Uint8Array => {
    const bytes = new DataView(new ArrayBuffer(12));
    bytes.setUint8(1, type);
    bytes.setUint16(2, flags);
    bytes.setUint32(4, stream);
    bytes.setUint32(8, length);
    return new Uint8Array(bytes.buffer);
  };

  it('a frame that is longer than any window is not waited for', async () => {
    muxer().send(header(0, 0, 1, DEVNET_NETWORK.host.maxStreamWindowBytes + 1));
    await eventually('disconnected', () => b.disconnected.includes(hostile.peerId.toString()));
    await a.network.publish('tx', bytesOf('life goes on'));
    await eventually('C hears', () => c.heard.includes('life goes on'));
    expect(b.network.peers()).toHaveLength(2);
  });

  it('what waits for a peer that does not read is bounded, by libp2p, for the connection as a whole', () => {
    expect(muxer().maConn.maxWriteBufferLength).toBe(UNPROBED.host.maxConnectionWriteBufferBytes);
  });

  it('some pings are answered, and a flood of them costs the peer its connection', async () => {
    const ping = (id: number): Uint8Array => header(2, 1, 0, id);
    let answers = 0;
    muxer().handlePing = () => {
      answers += 1; // yamux would close the connection, as it has asked nothing
    };
    for (let id = 0; id < 20; id++) muxer().send(ping(id));
    send({ messages: [message('still here')] });
    await eventually('heard', () => b.heard.includes('still here'));
    await eventually('answered', () => answers === 20);
    for (let id = 0; id < 100 && connection.status === 'open'; id++) muxer().send(ping(id));
    await eventually('disconnected', () => b.disconnected.includes(hostile.peerId.toString()));
    await a.network.publish('tx', bytesOf('life goes on'));
    await eventually('C hears', () => c.heard.includes('life goes on'));
    expect(b.network.peers()).toHaveLength(2);
  });
});

describe('more than a node reads', () => {
  it('of frames without anything in them: the others have their turn meanwhile, and the peer is hung up on', async () => {
    const peer = hostile.peerId.toString();
    let turns = 0;
    const count = (): void => {
      turns += 1;
      if (!b.disconnected.includes(peer)) setImmediate(count);
    };
    setImmediate(count);
    for (let i = 0; i < 10; i++) out.send(new Uint8Array(10_000)); // a length of zero, and nothing: each byte is an RPC
    await eventually('disconnected', () => b.disconnected.includes(peer), 20_000);
    expect(turns).toBeGreaterThan(100);
    await a.network.publish('tx', bytesOf('life goes on'));
    await eventually('C hears', () => c.heard.includes('life goes on'));
    expect(b.logs.filter(({ message }) => message === 'peer penalized')).toEqual([]);
  });

  it('of frames that are no RPC: the peer is hung up on', async () => {
    const peer = hostile.peerId.toString();
    const noise = new Uint8Array(10_000).fill(255); // no RPC can begin so
    const frames = noise.map((byte, at) => (at % 2 === 0 ? 1 : byte)); // each of one byte
    await eventually('disconnected', () => {
      if (out.status === 'open') out.send(frames);
      return b.disconnected.includes(peer);
    });
    await a.network.publish('tx', bytesOf('life goes on'));
    await eventually('C hears', () => c.heard.includes('life goes on'));
    expect(b.logs.filter(({ message }) => message === 'peer penalized')).toEqual([]);
  });

  it('of one message again and again: the peer is hung up on', async () => {
    const peer = hostile.peerId.toString();
    const copies = Array.from({ length: 5_000 }, () => message('again'));
    // Until it is: what it may send meanwhile comes back with time, and a busy machine takes its own.
    await eventually('disconnected', () => {
      if (out.status === 'open') send({ messages: copies });
      return b.disconnected.includes(peer);
    });
    expect(b.heard.filter((text) => text === 'again')).toHaveLength(1);
  });

  it.each(['prune', 'graft'] as const)('of %ss: the peer is hung up on', async (kind) => {
    const peer = hostile.peerId.toString();
    const many = Array.from({ length: MAX_CONTROL_MESSAGES }, () => ({ topicID: TX, peers: [] }));
    const rpc = encode.single(
      RPC.encode({ subscriptions: [], messages: [], control: { ...EMPTY_CONTROL, [kind]: many } }),
    );
    const frames = new Uint8ArrayList(...Array.from({ length: 100 }, () => rpc)).subarray();
    await eventually('disconnected', () => {
      if (out.status === 'open') out.send(frames);
      return b.disconnected.includes(peer);
    });
    await a.network.publish('tx', bytesOf('life goes on'));
    await eventually('C hears', () => c.heard.includes('life goes on'));
    expect(b.network.peers()).toHaveLength(2);
  });

  it('of ids that no message can have: none is kept', async () => {
    const kept = async (): Promise<number> => {
      const text = await b.registry.metrics();
      return Number(/^gossipsub_cache_size\{cache="idontwants"\} (\d+)$/m.exec(text)?.[1]);
    };
    const named = (bytes: number) => ({
      control: { ...EMPTY_CONTROL, idontwant: [{ messageIDs: [new Uint8Array(bytes).fill(bytes)] }] },
    });
    for (const bytes of [0, 19, 21, 4_000]) send(named(bytes));
    send(named(20));
    await eventually('the good one is', async () => (await kept()) === 1);
    expect(await kept()).toBe(1);
  });

  it.each(['vote', 'block'] as const)('keeps no %s from it that another peer sends', async (kind) => {
    const topic = topicName(TEST_CHAIN_ID, kind);
    const { maxUnsettledPerPeer, maxUnsettledBlocksPerPeer } = DEVNET_NETWORK.gossip;
    const room = kind === 'block' ? maxUnsettledBlocksPerPeer : maxUnsettledPerPeer;
    const held = Array.from({ length: room }, (_, at) => message(`held ${at}`, topic));
    send({ messages: [...held, message('news', topic)] });
    await eventually('B has them', () => b.heard.length === room);
    expect(b.heard).not.toContain('news');
    await a.network.publish(kind, bytesOf('news'));
    await eventually('C hears', () => c.heard.includes('news'));
  });

  it('has nobody keep back a block that there was no room for', async () => {
    const topic = topicName(TEST_CHAIN_ID, 'block');
    const news = `news ${'x'.repeat(1_000)}`; // long enough that the mesh is told not to send copies
    const held = Array.from({ length: DEVNET_NETWORK.gossip.maxUnsettledBlocksPerPeer }, (_, at) =>
      message(`held ${at}`, topic),
    );
    send({ messages: [...held, message(news, topic)] });
    await eventually('B has them', () => b.heard.length === held.length);
    const d = await startNode({ seed: 4 });
    try {
      await connectAndMesh(d, a);
      await d.network.publish('block', bytesOf(news));
      await eventually('B hears it from A', () => b.heard.includes(news));
      expect(b.messages.at(-1)?.from).toBe(a.network.self);
    } finally {
      await d.network.stop();
    }
  });

  it('of transactions leaves room for a block', async () => {
    const held = Array.from({ length: DEVNET_NETWORK.gossip.maxUnsettledPerPeer }, (_, at) => message(`held ${at}`));
    send({ messages: [...held, message('a block', topicName(TEST_CHAIN_ID, 'block'))] });
    await eventually('C hears', () => c.heard.includes('a block'));
    expect(b.heard).toHaveLength(held.length + 1);
  });
});

describe('IWANT', () => {
  it('for a message without verdict is not answered, for an accepted one it is', async () => {
    await a.network.publish('tx', bytesOf('held'));
    await a.network.publish('tx', bytesOf('free'));
    await eventually('B has both', () => b.heard.length === 2);
    const wanted = (): string[] => inbox.flatMap(({ messages }) => messages.map(({ data }) => textOf(data!)));
    send({ control: { ...EMPTY_CONTROL, iwant: [{ messageIDs: [idOf('held'), idOf('free')] }] } });
    await eventually('an answer', () => wanted().length > 0);
    expect(wanted()).toEqual(['free']);
    b.messages[0]!.settle('accept');
    send({ control: { ...EMPTY_CONTROL, iwant: [{ messageIDs: [idOf('held')] }] } });
    await eventually('the other', () => wanted().length === 2);
    expect(wanted()).toEqual(['free', 'held']);
  });

  it('is answered in the order in which the messages came, whatever the order of its ids', async () => {
    const texts = Array.from({ length: 20 }, (_, at) => `free ${at}`);
    for (const text of texts) await a.network.publish('tx', bytesOf(text));
    await eventually('B has all', () => b.heard.length === texts.length);
    send({ control: { ...EMPTY_CONTROL, iwant: [{ messageIDs: texts.map(idOf).reverse() }] } });
    await eventually('an answer', () => inbox.some(({ messages }) => messages.length > 0));
    expect(inbox.flatMap(({ messages }) => messages.map(({ data }) => textOf(data!)))).toEqual(b.heard);
  });

  it('for more than an RPC holds is answered with the first of them', async () => {
    const bytes = 60_000;
    const fit = Math.floor(MAX_RPC_BYTES / bytes);
    const texts = Array.from({ length: fit + 5 }, (_, at) => `free ${at} `.padEnd(bytes, '.'));
    for (const text of texts) {
      await a.network.publish('tx', bytesOf(text));
      await eventually('B has it', () => b.heard.includes(text));
    }
    send({ control: { ...EMPTY_CONTROL, iwant: [{ messageIDs: texts.map(idOf).reverse() }] } });
    await eventually('an answer', () => inbox.some(({ messages }) => messages.length > 0));
    const answer = inbox.flatMap(({ messages }) => messages.map(({ data }) => textOf(data!)));
    expect(answer.map((text) => text.trimEnd().slice(0, 10))).toEqual(
      texts.slice(0, fit).map((text) => text.slice(0, 10)),
    );
  });
});

describe('IHAVE', () => {
  const named = () => inbox.flatMap(({ control }) => control?.ihave.flatMap(({ messageIDs }) => messageIDs) ?? []);
  const isNamed = (text: string) => named().some((id) => Buffer.from(id).equals(idOf(text)));

  it('names a message once to a peer, though it is in the window for two heartbeats', async () => {
    send({ subscriptions: [{ subscribe: true, topic: TX }] });
    await eventually('B knows that the peer hears transactions', () =>
      b.network.peers().some(({ peer }) => peer === hostile.peerId.toString()),
    );
    await a.network.publish('tx', bytesOf('named'));
    await eventually('B names it', () => isNamed('named'));
    // A heartbeat later it is in the window still, and another message is named then.
    await a.network.publish('tx', bytesOf('later'));
    await eventually('B names that one', () => isNamed('later'));
    expect(named()).toHaveLength(2);
  });
});

describe('IDONTWANT', () => {
  it('is said of a long message that there was room for', async () => {
    send({ subscriptions: [{ subscribe: true, topic: TX }], control: { ...EMPTY_CONTROL, graft: [{ topicID: TX }] } });
    await eventually('B has it in its mesh', inMesh);
    const [long, short] = ['x'.repeat(MIN_IDONTWANT_BYTES), 'x'.repeat(MIN_IDONTWANT_BYTES - 1)];
    await a.network.publish('tx', bytesOf(short));
    await a.network.publish('tx', bytesOf(long));
    const unwanted = () =>
      inbox.flatMap(({ control }) => control?.idontwant.flatMap(({ messageIDs }) => messageIDs) ?? []);
    await eventually('B says so', () => unwanted().length > 0);
    expect(unwanted().map((id) => new Uint8Array(id))).toEqual([idOf(long)]);
  });
});

describe('a gossip stream that breaks while the connection lives', () => {
  it('is opened again at a heartbeat, and carries messages', async () => {
    expect(inbound).toHaveLength(1);
    inbound[0]!.abort(new Error('lost'));
    await eventually('B opens another', () => inbound.length === 2);
    send({
      subscriptions: [{ subscribe: true, topic: TX }],
      control: { ...EMPTY_CONTROL, graft: [{ topicID: TX }] }, // B has peers enough, and does not ask for more
    });
    await eventually('B has it in its mesh', inMesh);
    await b.network.publish('tx', bytesOf('hello again'));
    await eventually('it arrives', () =>
      inbox.some(({ messages }) => messages.some(({ data }) => textOf(data!) === 'hello again')),
    );
    expect(b.disconnected).toEqual([]);
  });
});
