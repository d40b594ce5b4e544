import { afterEach, describe, expect, it } from 'vitest';
import { MAX_BLOCK_BYTES, MIN_TX_BYTES } from '../../chain/params.ts';
import { gossipCounts, gossipTxCopies } from '../../node/net/gossip-metrics.ts';
import { peerIdOfSeed } from '../../node/net/identity.ts';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import type { GossipMessage, Network, TopicKind } from '../../node/ports.ts';
import { eventually } from '../eventually.ts';
import type { TestNode, TestNodeInit } from './net-support.ts';
import {
  addressOf,
  bytesOf,
  connectAndMesh,
  createNode,
  KINDS,
  meshed,
  seedOf,
  startNode,
  textOf,
} from './net-support.ts';

const running: TestNode[] = [];

async function node(init: TestNodeInit): Promise<TestNode> {
  const started = await startNode(init);
  running.push(started);
  return started;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map(({ network }) => network.stop()));
});

/** A – B – C, where A and C never meet. */
async function line(
  settleB: (message: GossipMessage) => 'accept' | 'ignore' | 'reject' | undefined,
): Promise<{ a: TestNode; b: TestNode; c: TestNode }> {
  const a = await node({ seed: 1 });
  const b = await node({ seed: 2, settle: settleB });
  const c = await node({ seed: 3 });
  await connectAndMesh(a, b);
  await connectAndMesh(c, b);
  expect(a.network.peers().map(({ peer }) => peer)).toEqual([b.network.self]);
  return { a, b, c };
}

/** Heartbeats of the node's gossipsub so far. */
async function heartbeats({ registry }: TestNode): Promise<number> {
  const metric = await registry.getSingleMetric('gossipsub_heartbeat_duration_seconds')!.get();
  const count = (metric.values as readonly { readonly metricName?: string; readonly value: number }[]).find(
    ({ metricName }) => metricName === 'gossipsub_heartbeat_duration_seconds_count',
  );
  return count!.value;
}

describe('three nodes in a line', () => {
  it('the middle one forwards neither a rejected nor an ignored message, and forwards an accepted one', async () => {
    const { a, b, c } = await line((message) => {
      const text = textOf(message.data);
      if (text === 'bad') return 'reject';
      if (text === 'meh') return 'ignore';
      return 'accept';
    });
    await a.network.publish('tx', bytesOf('bad'));
    await a.network.publish('tx', bytesOf('meh'));
    await a.network.publish('tx', bytesOf('good'));
    await eventually('C hears', () => c.heard.includes('good'));
    expect(b.heard).toEqual(['bad', 'meh', 'good']);
    expect(c.heard).toEqual(['good']); // same stream, in order: what had been forwarded would have come before
    const counts = await gossipCounts(c.registry);
    expect(counts.tx).toEqual({ received: 1, duplicates: 0 });
    expect(c.messages[0]?.from).toBe(b.network.self);
    expect(a.heard).toEqual([]); // own messages don't come back
  });

  it('transactions are counted in each copy of a batch, without being decoded', async () => {
    const { a, b, c } = await line(() => 'accept');
    // Version, count, and room for as many; what claims more than it has room for counts for its room.
    const claims = (count: number, room: number): Uint8Array =>
      Uint8Array.from([1, count >> 8, count & 255, ...new Uint8Array(room * MIN_TX_BYTES)]);
    await a.network.publish('tx', claims(3, 3));
    await a.network.publish('tx', claims(60_000, 2));
    await a.network.publish('tx', bytesOf('nonsense'));
    await a.network.publish('vote', claims(9, 9));
    await eventually('C hears', () => c.heard.length === 4);
    expect(await gossipTxCopies(b.registry)).toBe(5);
    expect(await gossipTxCopies(c.registry)).toBe(5);
    expect(await gossipTxCopies(a.registry)).toBe(0);
  });

  it('the middle one does not forward a message before its verdict', async () => {
    const { a, b, c } = await line((message) => (textOf(message.data) === 'held' ? undefined : 'accept'));
    await a.network.publish('block', bytesOf('held'));
    await a.network.publish('block', bytesOf('next'));
    await eventually('C hears the later one', () => c.heard.includes('next'));
    expect(c.heard).toEqual(['next']);
    b.messages.find((message) => textOf(message.data) === 'held')!.settle('accept');
    await eventually('C hears the held one', () => c.heard.includes('held'));
    expect((await gossipCounts(c.registry)).block).toEqual({ received: 2, duplicates: 0 });
  });

  it('the middle one does not hand in or forward a duplicate, nor a message that was settled twice', async () => {
    const { a, b, c } = await line((message) => {
      message.settle('accept');
      return 'accept';
    });
    await a.network.publish('tx', bytesOf('once'));
    await eventually('C hears', () => c.heard.length === 1);
    // C had it from B: publishing it again reaches nobody.
    expect(await c.network.publish('tx', bytesOf('once'))).toEqual({ kind: 'sent', recipients: 0 });
    expect(await a.network.publish('tx', bytesOf('once'))).toEqual({ kind: 'sent', recipients: 0 });
    await a.network.publish('tx', bytesOf('then'));
    await eventually('C hears on', () => c.heard.length === 2);
    expect(b.heard).toEqual(['once', 'then']);
    expect(c.heard).toEqual(['once', 'then']);
    expect((await gossipCounts(c.registry)).tx).toEqual({ received: 2, duplicates: 0 });
  });

  it('a message that is never settled is released after its time, and its late acceptance is not forwarded', async () => {
    const options = { ...DEVNET_NETWORK, gossip: { ...DEVNET_NETWORK.gossip, messageTtlMs: 600, maxUnsettled: 2 } };
    const a = await node({ seed: 1 });
    const b = await node({
      seed: 2,
      options,
      settle: (m) => (textOf(m.data).startsWith('held') ? undefined : 'accept'),
    });
    const c = await node({ seed: 3 });
    await connectAndMesh(a, b);
    await connectAndMesh(c, b);
    await a.network.publish('tx', bytesOf('held 1'));
    await a.network.publish('tx', bytesOf('held 2'));
    await eventually('B holds both', () => b.heard.length === 2);
    await a.network.publish('tx', bytesOf('over the bound'));
    let attempt = 0;
    await eventually('there is room again', () => {
      attempt += 1;
      void a.network.publish('tx', bytesOf(`room ${attempt}`));
      return c.heard.length > 0;
    });
    expect(b.heard).not.toContain('over the bound');
    expect(await b.registry.metrics()).toMatch(/^grapevine_gossip_refused_total [1-9]/m);
    for (const message of b.messages) if (textOf(message.data).startsWith('held')) message.settle('accept');
    await a.network.publish('tx', bytesOf('last'));
    await eventually('C hears the last', () => c.heard.includes('last'));
    expect(c.heard.filter((text) => text.startsWith('held'))).toEqual([]);
  });

  it('three topics are kept apart, and a block of the largest size gets through', async () => {
    const { a, c } = await line(() => 'accept');
    const block = new Uint8Array(MAX_BLOCK_BYTES).fill(7);
    await a.network.publish('block', block);
    await a.network.publish('vote', bytesOf('same'));
    await a.network.publish('tx', bytesOf('same'));
    await eventually('C hears all', () => c.messages.length === 3);
    expect(c.messages.map(({ kind }) => kind).sort()).toEqual(['block', 'tx', 'vote']);
    expect(c.messages.find(({ kind }) => kind === 'block')?.data.byteLength).toBe(MAX_BLOCK_BYTES);
    await expect(a.network.publish('block', new Uint8Array(MAX_BLOCK_BYTES + 1))).rejects.toThrow(RangeError);
  });
});

describe('publishing', () => {
  it('before there is any peer queues the message, and delivers it once one comes', async () => {
    const a = await node({ seed: 1 });
    expect(await a.network.publish('tx', bytesOf('early'))).toEqual({ kind: 'queued' });
    const b = await node({ seed: 2 });
    await b.network.connect(addressOf(a));
    await eventually('B hears', () => b.heard.includes('early'));
    expect(b.heard).toEqual(['early']);
  });

  it('right after connecting, before the streams are up, loses nothing', async () => {
    const a = await node({ seed: 1 });
    const b = await node({ seed: 2 });
    let sent = 0;
    const connecting = a.network.connect(addressOf(b));
    await eventually('connected', () => {
      sent += 1;
      void a.network.publish('vote', bytesOf(`v${sent}`));
      return a.network.peers()[0]?.mesh.length === KINDS.length;
    });
    await connecting;
    await eventually('B hears all', () => b.heard.length === sent);
    expect(new Set(b.heard).size).toBe(sent);
  });

  it('keeps the newest when too many wait', async () => {
    const options = { ...DEVNET_NETWORK, gossip: { ...DEVNET_NETWORK.gossip, maxQueued: 2 } };
    const a = await node({ seed: 1, options });
    for (const text of ['1', '2', '3']) await a.network.publish('tx', bytesOf(text));
    const lines = (await a.registry.metrics()).split('\n');
    expect(lines).toContain('grapevine_gossip_queued 2');
    expect(lines).toContain('grapevine_gossip_dropped_total 1');
    const b = await node({ seed: 2 });
    await b.network.connect(addressOf(a));
    await eventually('B hears', () => b.heard.includes('3'));
    expect(b.heard).toEqual(['2', '3']);
  });
});

describe('a node outside the mesh', () => {
  it('hears of a vote again for which it had no room at first', async () => {
    /** With room for so many in the mesh. */
    const room = (count: number) => {
      const degrees = { D: count, Dlo: count, Dhi: count, Dmax: count, Dout: 0 };
      return { ...DEVNET_NETWORK, gossip: { ...DEVNET_NETWORK.gossip, ...degrees } };
    };
    const a = await node({ seed: 1, options: room(1) });
    const c = await node({ seed: 3 });
    const timesHeard = (text: string) => b.heard.filter((heard) => heard === text).length;
    const b = await node({
      seed: 2,
      options: room(0),
      settle: (message) => {
        if (timesHeard(textOf(message.data)) > 1) return 'accept';
        message.settle('unread');
        return undefined;
      },
    });
    await connectAndMesh(a, c);
    await a.network.connect(addressOf(b));
    // Not one only: A may hear of it before it knows that B hears votes, and name it to B once.
    let sent = 0;
    await eventually('B hears a vote twice', () => {
      sent += 1;
      void c.network.publish('vote', bytesOf(`vote ${sent}`));
      return b.heard.some((text) => timesHeard(text) === 2);
    });
    expect(a.network.peers().find(({ peer }) => peer === b.network.self)?.mesh).toEqual([]);
  });
});

describe('the mesh', () => {
  it('of five nodes stands within three heartbeats of the connections, and each message reaches all once', async () => {
    const nodes: TestNode[] = [];
    for (let seed = 1; seed <= 5; seed += 1) {
      nodes.push(await node({ seed, bootstrap: nodes.map(addressOf) }));
    }
    await eventually('connections', () => nodes.every(({ network }) => network.peers().length === 4));
    const connected = await heartbeats(nodes[0]!);
    const degree = (network: Network, kind: TopicKind) =>
      network.peers().filter(({ mesh }) => mesh.includes(kind)).length;
    const { Dlo } = DEVNET_NETWORK.gossip;
    await eventually('mesh', () => nodes.every(({ network }) => KINDS.every((kind) => degree(network, kind) >= Dlo)));
    expect((await heartbeats(nodes[0]!)) - connected).toBeLessThanOrEqual(3);
    for (const [index, { network }] of nodes.entries()) await network.publish('tx', bytesOf(`from ${index}`));
    await eventually('all heard all', () => nodes.every(({ heard }) => heard.length === 4));
    for (const { registry } of nodes) {
      const { tx } = await gossipCounts(registry);
      expect(tx.received - tx.duplicates).toBe(4);
    }
  });

  it('takes in a newcomer where every node has as many mesh peers as it wants', async () => {
    const degrees = { D: 6, Dlo: 5, Dhi: 6, Dmax: 12, Dout: 0 };
    const options = { ...DEVNET_NETWORK, gossip: { ...DEVNET_NETWORK.gossip, ...degrees } };
    const join = async (seed: number): Promise<TestNode> => node({ seed, options, bootstrap: running.map(addressOf) });
    const areAllMeshed = (): boolean => running.every((a) => running.every((b) => a === b || meshed(a, b)));
    for (let seed = 1; seed <= 6; seed += 1) await join(seed);
    await eventually('five mesh peers each', areAllMeshed);
    await join(7); // takes six, and is taken in by all
    await eventually('six mesh peers each', areAllMeshed);
    const meshOf = ({ network }: TestNode, kind: TopicKind): string[] =>
      network.peers().flatMap(({ peer, mesh }) => (mesh.includes(kind) ? [peer] : []));
    // Asked of the others: the newcomer counts whom it asked until it is refused.
    const isTakenIn = ({ network }: TestNode): boolean =>
      KINDS.every((kind) => running.some((other) => meshOf(other, kind).includes(network.self)));
    const isWithinBounds = (one: TestNode): boolean => KINDS.every((kind) => meshOf(one, kind).length <= degrees.Dhi);
    const newcomer = await join(8);
    // It can be pruned by all who took it in; each lets it try again after the back-off.
    const deadlineMs = 3 * DEVNET_NETWORK.gossip.pruneBackoffMs;
    await eventually(
      'the newcomer in the mesh',
      () => isTakenIn(newcomer) && running.every(isWithinBounds),
      deadlineMs,
    );
    expect(running).toHaveLength(8);
    await running[0]!.network.publish('tx', bytesOf('hello'));
    await eventually('all hear', () => running.slice(1).every(({ heard }) => heard.includes('hello')));
  });

  it('a closed net of five stands in a ring, closes it without one that is gone, and takes in a stranger', async () => {
    const closedNet = [1, 2, 3, 4, 5].map((seed) => peerIdOfSeed(seedOf(seed)));
    const options = { ...DEVNET_NETWORK, gossip: { ...DEVNET_NETWORK.gossip, closedNet } };
    const join = async (seed: number): Promise<TestNode> => node({ seed, options, bootstrap: running.map(addressOf) });
    const meshOf = ({ network }: TestNode, kind: TopicKind): string[] =>
      network.peers().flatMap(({ peer, mesh }) => (mesh.includes(kind) ? [peer] : []));
    /** Five nodes with two neighbours each stand in one ring. */
    const isRing = (): boolean =>
      KINDS.every((kind) =>
        running.every((each) => {
          const mesh = meshOf(each, kind);
          const back = running.filter((other) => meshOf(other, kind).includes(each.network.self));
          return mesh.length === 2 && back.length === 2 && back.every(({ network }) => mesh.includes(network.self));
        }),
      );
    for (let seed = 1; seed <= 5; seed += 1) await join(seed);
    await eventually('a ring', isRing);
    await running[0]!.network.publish('tx', bytesOf('to the whole net'));
    await eventually('all hear', () => running.slice(1).every(({ heard }) => heard.includes('to the whole net')));
    // Its own two neighbours have it from the sender, and each node sends it on to one.
    let copies = 0;
    for (const { registry } of running) copies += (await gossipCounts(registry)).tx.received;
    expect(copies).toBeLessThanOrEqual(2 + 4);
    const gone = running.pop()!;
    await gone.network.stop();
    const areAllMeshed = (): boolean => running.every((each) => KINDS.every((kind) => meshOf(each, kind).length >= 2));
    await eventually('two mesh peers each without it', areAllMeshed);
    await join(5);
    await eventually('a ring again', isRing);
    await running[4]!.network.publish('tx', bytesOf('from the last'));
    await eventually('all hear it', () => running.slice(0, 4).every(({ heard }) => heard.includes('from the last')));
    await node({ seed: 6, bootstrap: running.map(addressOf) });
    await eventually('the newcomer in the mesh', () => meshOf(running[5]!, 'tx').length >= 2);
    await running[0]!.network.publish('tx', bytesOf('to six'));
    await eventually('six hear', () => running.slice(1).every(({ heard }) => heard.includes('to six')));
    expect(running).toHaveLength(6);
  });

  it('a restarted peer is redialled and back in the mesh of every topic', async () => {
    const a = await node({ seed: 1 });
    const first = await startNode({ seed: 2 });
    const address = addressOf(first);
    const listen = [address.replace(/\/p2p\/.*$/, '')];
    const c = await node({ seed: 3, bootstrap: [address] });
    await connectAndMesh(a, first);
    await eventually('mesh', () => meshed(c, first));
    for (let round = 0; round < 2; round += 1) {
      const before = round === 0 ? first : running.pop()!;
      await before.network.stop();
      await eventually('both noticed', () => [a, c].every((other) => other.network.peers().length === 0));
      const second = await node({ seed: 2, listen });
      await eventually('mesh again', () => meshed(a, second) && meshed(c, second));
      await a.network.publish('tx', bytesOf(`after ${round}`));
      await eventually('C hears through it', () => c.heard.includes(`after ${round}`));
      expect(second.heard).toEqual([`after ${round}`]);
    }
  });

  it('takes in a peer that comes back before its old connection has gone', async () => {
    const a = await node({ seed: 1 });
    const first = await startNode({ seed: 2 });
    await connectAndMesh(first, a);
    const second = await node({ seed: 2 }); // the same identity, while the first still stands
    await second.network.connect(addressOf(a));
    await eventually('two connections', () => second.network.peers().length === 1);
    await first.network.stop();
    await eventually('mesh with the second', () => meshed(a, second));
    await a.network.publish('tx', bytesOf('hello'));
    await second.network.publish('tx', bytesOf('back'));
    await eventually('both hear', () => second.heard.includes('hello') && a.heard.includes('back'));
    expect(a.disconnected).toEqual([]); // the old connection's end was not the peer's
  });

  it('does not wait for messages without a verdict when it stops', async () => {
    const options = { ...DEVNET_NETWORK, gossip: { ...DEVNET_NETWORK.gossip, messageTtlMs: 600_000 } };
    const a = await node({ seed: 1 });
    const b = await node({ seed: 2, options, settle: () => undefined });
    await connectAndMesh(a, b);
    await a.network.publish('tx', bytesOf('held'));
    await eventually('B has it', () => b.heard.length === 1);
    await b.network.stop();
    expect(() => b.messages[0]!.settle('accept')).not.toThrow();
    expect(b.network.peers()).toEqual([]);
  });
});

describe('a peer that sends what no honest peer could', () => {
  it('is disconnected and refused, and others are unaffected', async () => {
    const b = await node({ seed: 2, settle: (m) => (textOf(m.data).startsWith('bad') ? 'reject' : 'accept') });
    const a = await node({ seed: 1, bootstrap: [addressOf(b)] });
    const c = await node({ seed: 3, bootstrap: [addressOf(b)] });
    await eventually('mesh', () => meshed(a, b) && meshed(c, b));
    for (let i = 0; i < 200; i += 1) await a.network.publish('tx', bytesOf(`bad ${i}`));
    await eventually('A is cut off', () => b.disconnected.includes(a.network.self));
    expect(b.heard.length).toBe(11); // 10 points each, decaying: the 11th reaches 100
    expect(b.logs.some(({ message, level }) => level === 'warn' && message === 'peer banned')).toBe(true);
    await a.network.connect(addressOf(b)); // returns when the attempt has ended
    expect(b.network.peers().map(({ peer }) => peer)).toEqual([c.network.self]);
    await c.network.publish('tx', bytesOf('fine'));
    await eventually('B hears C', () => b.heard.includes('fine'));
  });

  it('by our own count is disconnected and refused', async () => {
    const a = await node({ seed: 1 });
    const b = await node({ seed: 2 });
    await connectAndMesh(a, b);
    b.network.penalize(a.network.self, 60, 'test');
    expect(b.network.peers()).toHaveLength(1);
    b.network.penalize(a.network.self, 60, 'test');
    await eventually('disconnected', () => b.network.peers().length === 0 && a.network.peers().length === 0);
    await b.network.connect(addressOf(a));
    expect(b.network.peers()).toEqual([]);
  });
});

describe('a peer whose requests timed out while the network was cut', () => {
  it('stays in the mesh, and in both directions', async () => {
    const a = await node({ seed: 1 });
    const b = await node({ seed: 2 });
    await connectAndMesh(a, b);
    for (let i = 0; i < 4; i += 1) {
      a.network.penalize(b.network.self, 10, 'no answer in time');
      b.network.penalize(a.network.self, 10, 'no answer in time');
    }
    // A heartbeat prunes whoever has a score below zero; the score itself is refreshed once a second.
    const [before] = await Promise.all([heartbeats(a), heartbeats(b)]);
    await eventually('six heartbeats more', async () => (await heartbeats(a)) >= before + 6);
    expect(meshed(a, b)).toBe(true);
    expect(a.network.peers()[0]!.score).toBeGreaterThanOrEqual(0);
  });
});

describe('the handler', () => {
  it('that throws costs that message only', async () => {
    let thrown = 0;
    const b = createNode({
      seed: 2,
      settle: (message) => {
        if (textOf(message.data) !== 'boom') return 'accept';
        thrown += 1;
        throw new Error('handler');
      },
    });
    await b.start();
    running.push(b);
    const a = await node({ seed: 1 });
    const c = await node({ seed: 3 });
    await connectAndMesh(a, b);
    await connectAndMesh(c, b);
    await a.network.publish('tx', bytesOf('boom'));
    await a.network.publish('tx', bytesOf('fine'));
    await eventually('C hears', () => c.heard.length > 0);
    expect(c.heard).toEqual(['fine']);
    expect(thrown).toBe(1);
    expect(b.logs.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual(['handler threw']);
  });
});
