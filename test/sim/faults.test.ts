import { expect, test } from 'vitest';
import { encodeEvidence, makeHeader, makeTx } from '../../chain/codec.ts';
import { bitsForHashes, meetsTarget } from '../../chain/target.ts';
import { encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Block, BlockId, ChainEntry, HeaderBody, Tx } from '../../chain/types.ts';
import { LANE_LIMITS } from '../../node/pipeline/priority-queue.ts';
import type { TopicKind } from '../../node/ports.ts';
import { StoreError } from '../../node/store/store.ts';
import { BODIES, HEADERS, STATUS, VOTES } from '../../node/sync/protocols.ts';
import { type SimNode, simulationKey, type World } from '../../sim/world.ts';
import { blockMessage } from '../node-fixture.ts';
import { branchOn, EASY, feed } from './chain-builder.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { doubleVote } from './liars.ts';
import { boundMethods, expectHealthy, expectOneFinalChain, namesOf, openWorld } from './open-world.ts';

const HOURS_2_MS = 7_200_000;

async function submit(world: World, at: string, tx: Tx): Promise<string> {
  const answer = await world.clock.runUntilSettled(world.node(at).node.ingest.submitTx(tx.bytes), 10_000);
  return answer.verdict.kind === 'accept' ? 'accept' : answer.verdict.reason;
}

/** One block at a time, so that each gets its votes. */
async function mineSlowly(world: World, name: string, count: number): Promise<void> {
  for (let mined = 0; mined < count; mined++) {
    await world.clock.runUntilSettled(world.node(name).node.mining.mine(1, new AbortController().signal), 60_000);
    await world.run(2_000);
  }
}

async function counted(sim: SimNode, metric: 'verdicts' | 'queueDropped', labels: object): Promise<number> {
  const { values } = await sim.metrics[metric].get();
  const matches = values.filter(({ labels: each }) =>
    Object.entries(labels).every(([key, value]) => (each as Record<string, unknown>)[key] === value),
  );
  return matches.reduce((sum, { value }) => sum + value, 0);
}

test.each([
  ['ahead', HOURS_2_MS],
  ['behind', -HOURS_2_MS],
])(
  'a node whose clock is two hours %s does not stall the others, does not crash, and says so',
  async (_way, offset) => {
    const world = openWorld({
      nodes: namesOf(5).map((name) => ({ name, ...(name === 'e' && { clockOffsetMs: offset }) })),
    });
    await world.start();
    const honest = ['a', 'b', 'c', 'd'];
    await world.untilFinal(20, 120_000, honest);
    await expectHealthy(
      world,
      honest.map((name) => world.node(name)),
    );
    const off = world.node('e');
    expect(await off.internalErrors()).toBe(0);
    const said = off.log.filter(({ level, message }) => level === 'warn' && message.includes('clock'));
    expect(said.length).toBeGreaterThan(0);
    expect(said.length).toBeLessThan(10);
    expect(Math.sign(said[0]!.fields.offsetMs as number)).toBe(Math.sign(offset));
    for (const name of honest) {
      expect(world.node(name).log.filter(({ message }) => message.includes('clock'))).toEqual([]);
    }
  },
);

/** A block with so much work and an unknown parent. */
function orphanOf(block: Block, hashes: bigint, fields: Partial<HeaderBody>): Block {
  const bits = bitsForHashes(hashes);
  for (let nonce = 0n; ; nonce++) {
    const header = makeHeader({ ...block.header, parent: 'ee'.repeat(32) as BlockId, bits, ...fields, nonce });
    if (meetsTarget(header.id, bits)) return { ...block, header };
  }
}

test('a peer that has a few orphans cannot have it that a clock is off: the node stays ready', async () => {
  const world = openWorld({
    nodes: 5,
    params: { initialBits: bitsForHashes(4_096n), powLimitBits: bitsForHashes(2n) },
  });
  await world.start();
  await world.untilFinal(20, 200_000);
  const a = world.node('a');
  expect(a.node.missing()).toEqual([]);
  const peer = await startHostilePeer(world, { name: 'liar', links: ['a'] });
  await world.until('connected', () => peer.peers().length === 1, 5_000);
  await world.run(3_000);
  const [real] = branchOn(world.genesis, world.genesis.entry, 1, { miner: 'm' });
  for (let at = 0; at < 40; at++) {
    const { address: miner } = simulationKey(`liar ${at}`);
    const orphan = orphanOf(real!.block, 2_048n, { miner, timestampMs: 4_000_000_000_000n });
    await peer.publish('block', blockMessage(orphan));
    await world.run(20);
  }
  await world.run(1_000);
  expect(await counted(a, 'verdicts', { kind: 'block', reason: 'block/unknown-parent' })).toBeGreaterThanOrEqual(40);
  expect(a.node.missing()).toEqual([]);
  expect(a.log.filter(({ message }) => message.includes('clock'))).toEqual([]);
  await expectHealthy(world);
});

test('BLK-7: blocks too new say that the clock is behind where they cost a block on our tip, and only there', async () => {
  const world = openWorld({ nodes: [{ name: 'a', mine: 'off', voter: false }], params: EASY });
  await world.run(60_000);
  await world.start();
  const { genesis } = world;
  const a = world.node('a');
  const chain = branchOn(genesis, genesis.entry, 3, { miner: 'm' });
  await feed(a, chain);
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  await world.until('connected', () => peer.peers().length === 1, 5_000);
  await world.run(700_000); // the three are not counted any more
  const tooNewOn = async (parent: ChainEntry): Promise<void> => {
    const stepMs = world.clock.nowMs() + HOURS_2_MS - Number(parent.header.timestampMs);
    for (let at = 0; at < 8; at++) {
      const [built] = branchOn(genesis, parent, 1, { miner: `n ${at}`, stepMs });
      await peer.publish('block', blockMessage(built!.block));
      await world.run(20);
    }
    await world.run(100);
  };
  const clock = (): string[] => a.node.missing().filter((what) => what.startsWith('clock'));
  await tooNewOn(chain[1]!.entry); // rivals of the tip: of no more work
  expect(await counted(a, 'verdicts', { reason: 'block/timestamp-too-new' })).toBe(8);
  expect(clock()).toEqual([]);
  await tooNewOn(chain[2]!.entry);
  expect(await counted(a, 'verdicts', { reason: 'block/timestamp-too-new' })).toBe(16);
  expect(clock()).toEqual([expect.stringMatching(/at least 7200 s behind/)]);
});

test('a node that is killed and started again keeps tip, mempool and votes', async () => {
  const world = openWorld({ nodes: namesOf(3).map((name) => ({ name, mine: 'on-demand' as const })) });
  await world.start();
  await world.run(2_000);
  await mineSlowly(world, 'a', 3);
  await world.untilFinal(2, 20_000);
  const tx = world.transfer(0);
  expect(await submit(world, 'b', tx)).toBe('accept');
  await world.run(2_000);

  const b = world.node('b');
  const before = { tip: b.tipId, final: b.node.agreement.final, agreed: b.node.agreement.agreed };
  const votes = b.node.agreement.rules
    .votesFrom(0n)
    .map(({ id }) => id)
    .sort();
  b.kill();
  world.hub.partition([['a', 'c'], ['b']]); // what it knows is from its store
  await b.start();
  expect({ tip: b.tipId, final: b.node.agreement.final, agreed: b.node.agreement.agreed }).toEqual(before);
  expect(b.node.mempool.pool.has(tx.id)).toBe(true);
  const kept = b.node.agreement.rules.votesFrom(before.final.height + 1n).map(({ id }) => id);
  for (const id of kept) expect(votes).toContain(id);
  expect(kept.length).toBeGreaterThan(0);
  world.hub.healAll();
  await world.run(3_000);
  await mineSlowly(world, 'c', 3);
  await world.untilFinal(5, 20_000);
  expect(b.node.chain.accounts.get(tx.from).nonce).toBe(1n);
  await expectHealthy(world);
});

test.each(['before', 'after'])(
  'a voter killed %s each of its votes is on disk never contradicts itself',
  async (when) => {
    let votesLeft = 3;
    let kills = 0;
    const world = openWorld({
      nodes: 4,
      wrapStore: (name, store) =>
        name !== 'a'
          ? store
          : {
              ...boundMethods(store),
              async saveOwnVote(vote, guard) {
                if (when === 'after') await store.saveOwnVote(vote, guard);
                votesLeft -= 1;
                if (votesLeft === 0 && world.node('a').isRunning) {
                  kills += 1;
                  world.node('a').kill();
                  return;
                }
                if (when === 'before') await store.saveOwnVote(vote, guard);
              },
            },
    });
    await world.start();
    for (let round = 0; round < 6; round++) {
      votesLeft = 1 + (round % 3);
      await world.until('killed', () => !world.node('a').isRunning, 60_000);
      // Others go on, and a new tip tempts the voter to vote otherwise.
      await world.run(500 * round);
      await world.node('a').start();
    }
    expect(kills).toBe(6);
    votesLeft = -1;
    const height = world.node('b').height;
    await world.untilFinal(height + 2, 60_000);
    await expectHealthy(world);
  },
);

const FULL = (): StoreError => new StoreError('full', 'no space left on device');

test('a full store: the node stays at its tip, not ready, answers; with room again it catches up', async () => {
  let isFull = false;
  const world = openWorld({
    nodes: 4,
    wrapStore: (name, store) => {
      if (name !== 'd') return store;
      const refuse =
        <A extends unknown[], R>(write: (...args: A) => Promise<R>) =>
        (...args: A): Promise<R> =>
          isFull ? Promise.reject(FULL()) : write(...args);
      const inner = boundMethods(store);
      return {
        ...inner,
        commit: refuse(inner.commit),
        saveVotes: refuse(inner.saveVotes),
        saveAgreement: refuse(inner.saveAgreement),
        saveOwnVote: refuse(inner.saveOwnVote),
        saveMempool: refuse(inner.saveMempool),
      };
    },
  });
  await world.start();
  await world.untilFinal(3, 60_000);
  const d = world.node('d');
  isFull = true;
  const height = d.height;
  const { tip } = d.node.chain;
  await world.until('others go on', () => world.node('a').finalHeight >= height + 6, 120_000);
  expect(d.node.chain.tip).toBe(tip);
  expect(d.node.missing().join()).toMatch(/^store: /);
  expect((await d.node.chain.block(tip.header.id))?.header.id).toBe(tip.header.id);
  expect(await submit(world, 'd', world.transfer(0))).toBe('accept');
  // A full disk is the owner's trouble, not a bug of the node.
  expect(await d.internalErrors()).toBe(0);
  isFull = false;
  const target = world.node('a').finalHeight;
  await world.untilFinal(target, 60_000);
  await world.until('ready', () => d.node.missing().length === 0, 20_000);
  d.kill();
  await d.start();
  await world.untilFinal(target + 3, 60_000);
  expectOneFinalChain(world.running);
  for (const each of world.running) expect(await each.internalErrors(), each.name).toBe(0);
});

test('own votes that cannot be written: the node says so, is not ready, and votes again once they can', async () => {
  let isBroken = false;
  const world = openWorld({
    nodes: 4,
    wrapStore: (name, store) => ({
      ...boundMethods(store),
      saveOwnVote: (vote, guard) =>
        isBroken && name === 'd'
          ? Promise.reject(new StoreError('unwritable', 'read-only file system'))
          : store.saveOwnVote(vote, guard),
    }),
  });
  await world.start();
  await world.untilFinal(3, 60_000);
  const d = world.node('d');
  await world.until('ready', () => d.node.missing().length === 0, 20_000);
  isBroken = true;
  const height = d.height;
  await world.untilFinal(height + 3, 60_000); // three of four are enough
  expect(d.node.missing()).toEqual(['vote: read-only file system']);
  expect(await d.internalErrors()).toBe(0);
  isBroken = false;
  await world.until('ready again', () => d.node.missing().length === 0, 20_000);
  expectOneFinalChain(world.running);
});

test('a full store while transactions come: the mempool is journalled when there is room', async () => {
  let isFull = false;
  const world = openWorld({
    nodes: [{ name: 'a', mine: 'on-demand' }],
    wrapStore: (_name, store) => ({
      ...boundMethods(store),
      saveMempool: (added, removed) => (isFull ? Promise.reject(FULL()) : store.saveMempool(added, removed)),
    }),
  });
  await world.start();
  const a = world.node('a');
  const [first, second, third, fourth] = [0, 0, 1, 1].map((sender) => world.transfer(sender)) as [Tx, Tx, Tx, Tx];
  expect(await submit(world, 'a', first)).toBe('accept');
  isFull = true;
  for (const tx of [second, third]) expect(await submit(world, 'a', tx)).toBe('accept');
  await world.run(1_000);
  isFull = false;
  expect(await submit(world, 'a', fourth)).toBe('accept');
  await world.run(1_000);
  // Said once, however often it was tried.
  const errors = a.log.filter(({ level }) => level === 'error').map(({ message }) => message);
  expect(errors).toEqual(['not written: the store refused']);
  await a.restart();
  for (const tx of [first, second, third, fourth]) expect(a.node.mempool.pool.has(tx.id)).toBe(true);
  expect(await a.internalErrors()).toBe(0);
});

test('full stores everywhere at once: mining goes on when there is room', async () => {
  let isFull = false;
  const world = openWorld({
    nodes: 3,
    wrapStore: (_name, store) => ({
      ...boundMethods(store),
      commit: (change) => (isFull ? Promise.reject(FULL()) : store.commit(change)),
    }),
  });
  await world.start();
  await world.untilFinal(3, 60_000);
  isFull = true;
  await world.run(60_000);
  const heights = world.running.map((each) => each.height);
  isFull = false;
  await world.untilFinal(Math.max(...heights) + 3, 60_000);
  for (const each of world.running) expect(await each.internalErrors(), each.name).toBe(0);
});

test('a queue that is full refuses and counts; what waits is served', async () => {
  const world = openWorld({ nodes: 1 });
  await world.start();
  const a = world.node('a');
  const valid = world.transfer(0);
  const zero = makeTx({ ...valid, amount: 0n }, valid.signature);
  const flood = Array.from({ length: 10_000 }, () => a.node.ingest.submitTx(zero.bytes));
  expect(a.node.ingest.queueLength('api')).toBe(LANE_LIMITS.api);
  expect(await counted(a, 'queueDropped', { kind: 'api' })).toBe(10_000 - LANE_LIMITS.api);
  const answers = await world.clock.runUntilSettled(Promise.all(flood), 10_000);
  const reasons = Map.groupBy(answers, ({ verdict }) => (verdict.kind === 'accept' ? 'accept' : verdict.reason));
  expect(reasons.get('tx/zero-amount')).toHaveLength(LANE_LIMITS.api);
  expect(reasons.get('overloaded')).toHaveLength(10_000 - LANE_LIMITS.api);
  expect(a.node.ingest.queueLength('api')).toBe(0);
  expect(await submit(world, 'a', valid)).toBe('accept');
  await expectHealthy(world);
});

test('10,000 invalid transactions from one peer: it is disconnected, others are unaffected', async () => {
  const world = openWorld({ nodes: 4 });
  await world.start();
  await world.untilFinal(3, 60_000);
  const flooder = await startHostilePeer(world, { name: 'flooder', links: ['a'] });
  await world.until('connected', () => flooder.peers().length === 1, 5_000);
  const valid = world.transfer(0);
  for (let index = 0; index < 10_000; index++) {
    const signature = valid.signature.slice();
    signature[index % 64]! ^= 1 + (index >> 6);
    const memo = new TextEncoder().encode(`${index}`);
    const body = { ...valid, memo, ...(index % 3 === 0 && { amount: 0n }) };
    const bytes = encodeTxBatch([makeTx(body, signature)]);
    await flooder.publish('tx', index % 3 === 1 ? bytes.subarray(0, 150) : bytes);
  }
  await world.run(5_000);
  expect(flooder.peers()).toEqual([]);
  const a = world.node('a');
  expect(world.trace.lines().filter((line) => line.includes(' a banned flooder'))).toHaveLength(1);
  expect(await counted(a, 'verdicts', { kind: 'batch', verdict: 'reject' })).toBeLessThanOrEqual(1_100);
  expect(world.trace.lines().filter((line) => / [bcd] penalized /.test(line))).toEqual([]);
  expect(await submit(world, 'a', valid)).toBe('accept');
  await world.until(
    'mined everywhere',
    () => world.running.every((each) => each.node.chain.accounts.get(valid.from).nonce === 1n),
    30_000,
  );
  await world.untilFinal(a.height, 30_000);
  await expectHealthy(world);
});

test('garbage, cut and over-long bytes on each topic are rejected, and their sender is hung up on', async () => {
  const world = openWorld({ nodes: 2 });
  await world.start();
  await world.untilFinal(3, 60_000);
  const a = world.node('a');
  const tip = await a.node.chain.block(a.tipId);
  const good: Record<TopicKind, Uint8Array> = {
    tx: encodeTxBatch([world.transfer(0)]),
    block: blockMessage(tip!),
    vote: a.node.agreement.rules.votesFrom(0n)[0]!.bytes,
    evidence: encodeEvidence(doubleVote(world, 'b', a.height)),
  };
  let peers = 0;
  for (const [topic, bytes] of Object.entries(good) as [TopicKind, Uint8Array][]) {
    const kind = topic === 'tx' ? 'batch' : topic;
    const spoilt = [
      new Uint8Array(0),
      Uint8Array.of(1),
      new Uint8Array(bytes.length).fill(0xff),
      bytes.subarray(0, bytes.length - 1),
      bytes.subarray(0, bytes.length >> 1),
      Uint8Array.of(...bytes, 0),
      Uint8Array.of(2, ...bytes.subarray(1)),
      new Uint8Array(1_100_000),
    ];
    for (const [index, each] of spoilt.entries()) {
      peers += 1;
      const peer = await startHostilePeer(world, { name: `evil${peers}`, links: ['a'] });
      await world.until('connected', () => peer.peers().length === 1, 5_000);
      const before = await counted(a, 'verdicts', { kind, verdict: 'reject', reason: `${kind}/malformed` });
      await peer.publish(topic, each);
      await world.run(500);
      const after = await counted(a, 'verdicts', { kind, verdict: 'reject', reason: `${kind}/malformed` });
      expect(after - before, `${kind} ${index}`).toBe(1);
      for (let more = 0; more < 12; more++) await peer.publish(topic, Uint8Array.of(0xff, more, index));
      await world.run(500);
      expect(peer.peers(), `${kind} ${index}`).toEqual([]);
    }
  }
  expect(world.trace.lines().some((line) => line.includes(' b penalized '))).toBe(false);
  await world.untilFinal(a.height + 1, 60_000);
  await expectHealthy(world);
});

test('garbage, over-long and unending requests on each stream protocol cost the node nothing', async () => {
  const world = openWorld({ nodes: 2 });
  await world.start();
  await world.untilFinal(3, 60_000);
  let peers = 0;
  for (const protocol of [STATUS, HEADERS, BODIES, VOTES]) {
    const requests = [Uint8Array.of(0xff, 0xff, 0xff), new Uint8Array(protocol.maxRequestBytes + 1)];
    for (const request of requests) {
      peers += 1;
      const peer = await startHostilePeer(world, { name: `evil${peers}`, links: ['a'] });
      await world.until('connected', () => peer.peers().length === 1, 5_000);
      const open = peer.open('a', { ...protocol, maxRequestBytes: 10_000_000 }, new AbortController().signal);
      const stream = await world.clock.runUntilSettled(open, 5_000);
      stream.send(request).catch(() => undefined);
      const ended = (async () => {
        for await (const frame of stream.frames) return frame;
        return undefined;
      })().catch((error: Error) => error.message);
      expect(await world.clock.runUntilSettled(ended, 5_000), protocol.name).toMatch(/reset|closed/);
    }
    // More streams at once than the protocol allows are refused, and none of them holds anything up.
    const crowd = await startHostilePeer(world, { name: `crowd${peers}`, links: ['a'] });
    await world.until('connected', () => crowd.peers().length === 1, 5_000);
    const opening = Array.from({ length: protocol.maxInboundStreams + 3 }, () =>
      crowd.open('a', protocol, new AbortController().signal).then(
        () => 'open',
        () => 'refused',
      ),
    );
    const opened = await world.clock.runUntilSettled(Promise.all(opening), 5_000);
    expect(opened.filter((each) => each === 'open')).toHaveLength(protocol.maxInboundStreams);
  }
  await world.untilFinal(world.node('a').height + 2, 60_000);
  await expectHealthy(world);
});
