/** Blocks travel without their transactions, and arrive all the same. Rules CMPCT-1..CMPCT-8. */
import { expect, test, vi } from 'vitest';
import { encodeBlock, makeHeader } from '../../chain/codec.ts';
import { encodeCompactBlock, makeCompactBlock } from '../../chain/compact-block.ts';
import { bitsForHashes, meetsTarget } from '../../chain/target.ts';
import type { Block, BlockId, ChainEntry, Header, Tx } from '../../chain/types.ts';
import type { FrameStream, Network, StreamProtocol } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import { BLOCK_TXS, BODIES, STATUS } from '../../node/sync/protocols.ts';
import { requestBlockTxs } from '../../node/sync/requests.ts';
import type { SimNode, World, WorldOptions } from '../../sim/world.ts';
import { blockMessage } from '../node-fixture.ts';
import { branchOn, EASY, feed } from './chain-builder.ts';
import { type Answer, startHostilePeer } from './hostile-peer.ts';
import { boundMethods, expectHealthy, openWorld } from './open-world.ts';

interface Totals {
  /** Blocks by where what the compact block left out came from. */
  readonly mempool: number;
  readonly request: number;
  readonly body: number;
  readonly fetchedBytes: number;
}

async function totalsOf(nodes: readonly SimNode[]): Promise<Totals> {
  const totals = { mempool: 0, request: 0, body: 0, fetchedBytes: 0 };
  for (const { metrics } of nodes) {
    for (const { labels, value } of (await metrics.blockRebuilds.get()).values) {
      totals[labels.source as 'mempool' | 'request' | 'body'] += value;
    }
    totals.fetchedBytes += (await metrics.blockTxBytesFetched.get()).values[0]?.value ?? 0;
  }
  return totals;
}

/** Transactions from all nodes in turn, `perSecond` of them, for so long. Returns the bytes of all of them. */
async function load(world: World, perSecond: number, seconds: number): Promise<number> {
  let bytes = 0;
  for (let at = 0; at < perSecond * seconds; at++) {
    const tx = world.transfer(at % 10);
    bytes += tx.bytes.length;
    // One account's transactions from one node: from two they would overtake each other.
    void world.nodes[(at % 10) % world.nodes.length]!.node.ingest.submitTx(tx.bytes);
    await world.run(1_000 / perSecond);
  }
  return bytes;
}

async function underLoad(link: WorldOptions['link']): Promise<Totals & { readonly once: number }> {
  const world = openWorld({ nodes: 5, ...(link && { link }) });
  await world.start();
  await world.untilFinal(1, 60_000);
  const before = await totalsOf(world.nodes);
  const once = (await load(world, 20, 25)) * (world.nodes.length - 1);
  const after = await totalsOf(world.nodes);
  await expectHealthy(world);
  return {
    mempool: after.mempool - before.mempool,
    request: after.request - before.request,
    body: after.body - before.body,
    fetchedBytes: after.fetchedBytes - before.fetchedBytes,
    once,
  };
}

test('under steady load 95 % of the blocks are rebuilt with no request, and hardly a transaction comes twice', async () => {
  const { mempool, request, body, fetchedBytes, once } = await underLoad(undefined);
  const blocks = mempool + request + body;
  expect(blocks).toBeGreaterThan(30);
  expect(mempool / blocks).toBeGreaterThanOrEqual(0.95);
  expect(fetchedBytes).toBeLessThanOrEqual(0.1 * once);
});

test('with a fifth of all messages lost, what lacks is asked for, and that is little', async () => {
  const { mempool, request, body, fetchedBytes, once } = await underLoad({
    latencyMs: [10, 50],
    jitterMs: 5,
    loss: 0.2,
  });
  expect(mempool + request + body).toBeGreaterThan(30);
  expect(fetchedBytes).toBeLessThanOrEqual(0.1 * once);
});

// One block, and who sends it -----------------------------------------------------------------------------------

interface Lab {
  readonly world: World;
  /** Whom the test sends to; `b` is its neighbour, an honest node. */
  readonly a: SimNode;
  readonly b: SimNode;
  readonly block: Block;
}

const TXS = 5;

/** @param known how many of the block's transactions `a` has in its mempool */
async function openLab(known: number): Promise<Lab> {
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'off', voter: false },
      { name: 'b', mine: 'off', voter: false },
      { name: 'elector', late: true, mine: 'off' },
    ],
    params: EASY,
    link: { latencyMs: [10, 20], jitterMs: 0, loss: 0 },
  });
  await world.run(60_000);
  await world.start();
  const [a, b] = [world.node('a'), world.node('b')];
  await world.until('connected', () => a.network.peers().length === 1, 5_000);
  const txs = Array.from({ length: TXS }, (_, account) => world.transfer(account));
  for (const tx of txs.slice(0, known)) expect(a.node.mempool.add(tx, 'api').verdict.kind).toBe('accept');
  const [built] = branchOn(world.genesis, world.genesis.entry, 1, { miner: 'm', txs: () => txs });
  return { world, a, b, block: built!.block };
}

/** A peer of `a` that answers as the test says; never for a protocol that is not named. */
async function peerOf(lab: Lab, name: string, answers: readonly [StreamProtocol, Answer][] = []): Promise<Network> {
  const peer = await startHostilePeer(lab.world, { name, links: ['a'], answers: new Map(answers) });
  await lab.world.until(`${name} is connected`, () => peer.peers().length === 1, 5_000);
  await lab.world.run(2_000); // its mesh forms
  return peer;
}

const stall: Answer = () => new Promise(() => {});

/** As a node that has the block, or says that these are its transactions. */
function giveTxs(txs: readonly Tx[]): Answer {
  return async (request, stream: FrameStream) => {
    const { indexes } = messages.decodeBlockTxsRequest(request)!;
    await stream.send(messages.encodeBlockTxsReply(indexes.map((index) => txs[index]!.bytes)));
    await stream.close();
  };
}

function opened(lab: Lab, protocol: StreamProtocol): string[] {
  const lines = lab.world.trace.lines().filter((line) => line.includes(' a open ') && line.includes(protocol.name));
  return lines.map((line) => / a open (\S+) /.exec(line)![1]!);
}

/** A message with the block's header that is not of the block. */
function falseMessage(block: Block, salt = 9n): Uint8Array {
  const compact = makeCompactBlock(block, salt);
  return encodeCompactBlock({ ...compact, shortIds: compact.shortIds.map((id) => (id + 1) % 2 ** 48) });
}

async function blockVerdicts(sim: SimNode): Promise<Record<string, number>> {
  const { values } = await sim.metrics.verdicts.get();
  const own = values.filter(({ labels, value }) => labels.kind === 'block' && value > 0);
  return Object.fromEntries(own.map(({ labels, value }) => [`${labels.verdict} ${labels.reason}`.trim(), value]));
}

async function untilTaken(lab: Lab, sim: SimNode, withinMs: number): Promise<void> {
  const { id } = lab.block.header;
  await lab.world.until(`${sim.name} has the block`, () => sim.node.chain.tree.get(id) !== undefined, withinMs);
}

test('CMPCT-4: a block of known transactions is taken and forwarded without asking anybody', async () => {
  const lab = await openLab(TXS);
  const peer = await peerOf(lab, 'peer');
  await peer.publish('block', blockMessage(lab.block));
  await untilTaken(lab, lab.a, 100);
  await untilTaken(lab, lab.b, 1_000);
  expect(opened(lab, BLOCK_TXS)).toEqual([]);
  expect(await blockVerdicts(lab.a)).toEqual({ accept: 1 });
  expect(await totalsOf([lab.a])).toEqual({ mempool: 1, request: 0, body: 0, fetchedBytes: 0 });
  // b knew none of them, and a gave them, though it may have been writing still.
  expect(await totalsOf([lab.b])).toMatchObject({ request: 1, fetchedBytes: 5 * lab.block.txs[0]!.bytes.length });
  await expectHealthy(lab.world);
});

test.each([0, 3])('CMPCT-5: of %i known transactions the rest comes from the sender in one request', async (known) => {
  const lab = await openLab(known);
  const peer = await peerOf(lab, 'peer', [[BLOCK_TXS, giveTxs(lab.block.txs)]]);
  await peer.publish('block', blockMessage(lab.block));
  await untilTaken(lab, lab.a, 500);
  expect(opened(lab, BLOCK_TXS)).toEqual(['peer']);
  const fetchedBytes = (TXS - known) * lab.block.txs[0]!.bytes.length;
  expect(await totalsOf([lab.a])).toEqual({ mempool: 0, request: 1, body: 0, fetchedBytes });
  await expectHealthy(lab.world);
});

test('CMPCT-5: a sender that stalls is replaced by another peer that has the block', async () => {
  const lab = await openLab(3);
  const peer = await peerOf(lab, 'peer', [[BLOCK_TXS, stall]]);
  await peerOf(lab, 'helper', [[BLOCK_TXS, giveTxs(lab.block.txs)]]);
  await peer.publish('block', blockMessage(lab.block));
  await untilTaken(lab, lab.a, 2_500);
  expect(opened(lab, BLOCK_TXS)).toEqual(['peer', 'b', 'helper']); // b has not got it, and says so
  expect(await blockVerdicts(lab.a)).toEqual({ accept: 1 });
  expect(peer.peers()).toHaveLength(1);
  await expectHealthy(lab.world);
});

test('CMPCT-5: peers that stall on one block are asked last on the next, however many they are and however early', async () => {
  const lab = await openLab(0);
  const [genesis, spare] = [
    lab.world.genesis,
    Array.from({ length: TXS }, (_, at) => lab.world.transferOnce(at, 0, 2n)),
  ];
  const [second] = branchOn(genesis, genesis.entry, 1, { miner: 'n', txs: () => spare });
  const stallers = [];
  for (let at = 0; at < 6; at++) {
    stallers.push(
      await peerOf(lab, `staller ${at}`, [
        [BLOCK_TXS, stall],
        [BODIES, stall],
      ]),
    );
  }
  const honest = await peerOf(lab, 'zealous', [[BLOCK_TXS, giveTxs(spare)]]);
  for (const [at, staller] of stallers.entries()) await staller.publish('block', blockMessage(lab.block, BigInt(at)));
  await lab.world.run(9_000);
  expect(await blockVerdicts(lab.a)).toEqual({ 'ignore block/incomplete': 6 });
  for (const [at, staller] of stallers.entries()) {
    await staller.publish('block', falseMessage(second!.block, BigInt(at)));
  }
  await lab.world.run(60); // the true message comes last
  await honest.publish('block', blockMessage(second!.block));
  const { id } = second!.block.header;
  await lab.world.until('taken', () => lab.a.node.chain.tree.get(id) !== undefined, 2_500); // one had no time to stall
  await expectHealthy(lab.world);
});

test('CMPCT-5: a sender that gives other transactions than its own message says is banned; the body comes instead', async () => {
  const lab = await openLab(3);
  const others = Array.from({ length: TXS }, (_, account) => lab.world.transferOnce(account, 7));
  const liar = await peerOf(lab, 'liar', [[BLOCK_TXS, giveTxs(others)]]);
  await feed(lab.b, [{ block: lab.block, entry: lab.world.genesis.entry }]);
  await liar.publish('block', blockMessage(lab.block));
  await untilTaken(lab, lab.a, 2_500);
  await lab.world.until('banned', () => liar.peers().length === 0, 2_000);
  expect(lab.a.network.peers().map(({ peer }) => peer)).toEqual(['b']);
  await expectHealthy(lab.world);
});

test('CMPCT-5: with nobody to give the transactions the message is given up within its time, and may be had by sync', async () => {
  const lab = await openLab(3);
  const peer = await peerOf(lab, 'peer', [
    [BLOCK_TXS, stall],
    [BODIES, stall],
  ]);
  await peer.publish('block', blockMessage(lab.block));
  await lab.world.run(9_000);
  expect(await blockVerdicts(lab.a)).toEqual({ 'ignore block/incomplete': 1 });
  await feed(lab.b, [{ block: lab.block, entry: lab.world.genesis.entry }]);
  await untilTaken(lab, lab.a, 10_000);
  await expectHealthy(lab.world);
});

test('CMPCT-5: a block that comes by sync meanwhile ends the waiting, and its message is forwarded', async () => {
  const lab = await openLab(3);
  const peer = await peerOf(lab, 'peer', [[BLOCK_TXS, stall]]);
  await peer.publish('block', blockMessage(lab.block));
  await lab.world.run(100);
  await feed(lab.a, [{ block: lab.block, entry: lab.world.genesis.entry }]);
  await lab.world.run(100);
  expect(await blockVerdicts(lab.a)).toEqual({ accept: 1 });
  expect(await totalsOf([lab.a])).toEqual({ mempool: 0, request: 0, body: 0, fetchedBytes: 0 });
  await untilTaken(lab, lab.b, 1_000);
  await expectHealthy(lab.world);
});

test('CMPCT-5: a block that waits for transactions holds up no other block', async () => {
  const lab = await openLab(3);
  const slow = await peerOf(lab, 'slow', [[BLOCK_TXS, stall]]);
  const fast = await peerOf(lab, 'fast');
  await slow.publish('block', blockMessage(lab.block));
  await lab.world.run(100);
  const [rival] = branchOn(lab.world.genesis, lab.world.genesis.entry, 1, { miner: 'rival' });
  await fast.publish('block', blockMessage(rival!.block));
  const { id } = rival!.block.header;
  await lab.world.until('the rival is taken', () => lab.a.node.chain.tree.get(id) !== undefined, 100);
  await expectHealthy(lab.world);
});

test('CMPCT-2: a block waits for its parent, whose transactions are being fetched, and both are forwarded', async () => {
  const lab = await openLab(3);
  const [parent, child] = branchOn(lab.world.genesis, lab.world.genesis.entry, 2, {
    miner: 'm',
    txs: (at) => (at === 0 ? lab.block.txs : []),
  });
  const answers: [StreamProtocol, Answer][] = [[BLOCK_TXS, giveTxs(parent!.block.txs)]];
  const peer = await peerOf(lab, 'peer', answers);
  await peer.publish('block', blockMessage(parent!.block));
  await peer.publish('block', blockMessage(child!.block));
  const { id } = child!.block.header;
  await lab.world.until('the child is taken', () => lab.a.node.chain.tree.get(id) !== undefined, 500);
  expect(await blockVerdicts(lab.a)).toEqual({ accept: 2 });
  await expectHealthy(lab.world);
});

test('CMPCT-6, CMPCT-7: a false message sent first, and again, makes nobody deaf to the true one', async () => {
  const lab = await openLab(TXS);
  const liar = await peerOf(lab, 'liar', [[BLOCK_TXS, stall]]);
  const honest = await peerOf(lab, 'honest');
  for (let salt = 1n; salt <= 20n; salt++) {
    await liar.publish('block', falseMessage(lab.block, salt));
    await lab.world.run(1); // more at once have no place in the lane
  }
  await lab.world.run(60);
  expect(await blockVerdicts(lab.a)).toMatchObject({ 'reject block/repeated': 11 });
  expect(liar.peers()).toEqual([]); // banned
  expect(lab.a.node.chain.tree.get(lab.block.header.id)).toBeUndefined();
  await honest.publish('block', blockMessage(lab.block));
  await untilTaken(lab, lab.a, 100);
  await lab.world.run(2_000);
  expect(await blockVerdicts(lab.a)).toMatchObject({ accept: 1, 'reject block/compact-mismatch': 1 });
  expect(honest.peers()).toHaveLength(1);
  expect(lab.b.node.chain.tree.get(lab.block.header.id)).toBeDefined();
  await expectHealthy(lab.world);
});

test('CMPCT-7: a block that came by a false message is still forwarded when the true one comes', async () => {
  const lab = await openLab(TXS);
  const { world, a, b, block } = lab;
  const liar = await peerOf(lab, 'liar', [
    [
      BLOCK_TXS,
      async (_request, stream) => {
        await stream.send(messages.encodeBlockTxsReply([]));
        await stream.close();
      },
    ],
    [
      BODIES,
      async (_request, stream) => {
        const { id } = block.header;
        await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(block) }));
        await stream.close();
      },
    ],
  ]);
  const honest = await peerOf(lab, 'honest');
  world.hub.partition([['a', 'liar', 'honest'], ['b']]); // b hears of it by gossip or not at all
  await liar.publish('block', falseMessage(block));
  await untilTaken(lab, a, 4_000);
  expect(await totalsOf([a])).toMatchObject({ mempool: 0, request: 0, body: 1 });
  await honest.publish('block', blockMessage(block));
  await world.run(500);
  expect(await blockVerdicts(a)).toEqual({ 'reject block/compact-mismatch': 1, accept: 1 });
  expect(b.node.chain.tree.get(block.header.id)).toBeUndefined();
  await expectHealthy(world);
});

test('CMPCT-5: a node gives the transactions of blocks on any branch, and none for places that a block does not have', async () => {
  const lab = await openLab(0);
  const { world, b, a, block } = lab;
  const rivals = branchOn(world.genesis, world.genesis.entry, 2, { miner: 'rival' });
  await feed(b, [{ block, entry: world.genesis.entry }, ...rivals]);
  expect(b.tipId).toBe(rivals[1]!.block.header.id);
  const ask = (indexes: readonly number[], id = block.header.id): Promise<readonly Tx[]> => {
    const deps = { network: a.network, clock: world.clock };
    const answer = requestBlockTxs(deps, 'b', id, indexes, new AbortController().signal);
    return world.clock.runUntilSettled(answer, 1_000);
  };
  expect((await ask([1, 4])).map(({ id }) => id)).toEqual([1, 4].map((at) => block.txs[at]!.id));
  expect(await ask([1, TXS])).toEqual([]);
  expect(await ask([0], 'ee'.repeat(32) as Block['header']['id'])).toEqual([]);
  expect(world.trace.lines().filter((line) => line.includes('penalized'))).toEqual([]);
  await expectHealthy(world);
});

test('CMPCT-5: transactions of blocks that came long ago are not read from the store for whoever asks', async () => {
  const read: BlockId[] = [];
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'off', voter: false },
      { name: 'b', mine: 'off', voter: false },
    ],
    params: EASY,
    wrapStore: (_name, store) => ({
      ...boundMethods(store),
      block: (id) => {
        read.push(id);
        return store.block(id);
      },
    }),
  });
  await world.run(600_000);
  await world.start();
  const txs = [world.transfer(0)];
  const built = branchOn(world.genesis, world.genesis.entry, 200, { miner: 'm', txs: (at) => (at === 0 ? txs : []) });
  await feed(world.node('b'), built);
  const deps = { network: world.node('a').network, clock: world.clock };
  const { id } = built[0]!.block.header;
  await world.until('connected', () => world.node('a').network.peers().length === 1, 5_000);
  const answer = requestBlockTxs(deps, 'b', id, [0], new AbortController().signal);
  expect(await world.clock.runUntilSettled(answer, 1_000)).toHaveLength(0);
  expect(read).toEqual([]);
  await expectHealthy(world);
});

test('CMPCT-2: a header of next to no work whose parent is unknown costs no search of the mempool', async () => {
  const world = openWorld({
    nodes: [{ name: 'a', mine: 'off', voter: false }],
    params: { initialBits: bitsForHashes(4_096n), powLimitBits: bitsForHashes(2n) },
  });
  await world.run(60_000);
  await world.start();
  const a = world.node('a');
  const lab = { world, a, b: a, block: world.genesis.block };
  const peer = await peerOf(lab, 'peer');
  const search = vi.spyOn(a.node.mempool.pool, 'txs');
  const [real] = branchOn(world.genesis, world.genesis.entry, 1, { miner: 'm' });
  const orphanOf = (hashes: bigint, timestampMs = real!.block.header.timestampMs): Header => {
    const bits = bitsForHashes(hashes);
    for (let nonce = 0n; ; nonce++) {
      const header = makeHeader({
        ...real!.block.header,
        parent: 'ee'.repeat(32) as BlockId,
        bits,
        timestampMs,
        nonce,
      });
      if (meetsTarget(header.id, bits)) return header;
    }
  };
  for (let at = 0n; at < 50n; at++) {
    const header = orphanOf(2n, real!.block.header.timestampMs + at);
    await peer.publish('block', blockMessage({ ...real!.block, header }));
    await world.run(10);
  }
  await world.run(500);
  expect(await blockVerdicts(a)).toEqual({ 'ignore block/unknown-parent': 50 });
  expect(search).not.toHaveBeenCalled();
  await peer.publish('block', blockMessage({ ...real!.block, header: orphanOf(2_048n) }));
  await world.run(500);
  expect(search).toHaveBeenCalled(); // one that cost about what ours cost may be good
  await expectHealthy(world);
});

test('CMPCT-8: a cheap block far below the tip is not looked at, one as deep as branches get is', async () => {
  const lab = await openLab(0);
  const { world, a } = lab;
  await world.run(300_000);
  const chain = branchOn(world.genesis, world.genesis.entry, 130, { miner: 'm' });
  await feed(a, chain);
  const peer = await peerOf(lab, 'peer');
  const on = (parent: ChainEntry) => branchOn(world.genesis, parent, 1, { miner: 'cheap' })[0]!.block;
  const [deep, shallow] = [on(world.genesis.entry), on(chain[0]!.entry)]; // at heights 1 and 2; the tip is at 130
  let reads = 0;
  const { delta } = a.store;
  a.store.delta = (id) => {
    reads += 1;
    return delta(id);
  };
  await peer.publish('block', blockMessage(deep));
  await world.run(1_000);
  expect(await blockVerdicts(a)).toMatchObject({ 'ignore block/too-deep': 1 });
  expect(a.node.chain.tree.get(deep.header.id)).toBeUndefined();
  expect(reads).toBe(0);
  await peer.publish('block', blockMessage(shallow));
  await world.until('taken', () => a.node.chain.tree.get(shallow.header.id) !== undefined, 1_000);
});

test('CMPCT-8: a block far below the tip that has more work is taken', async () => {
  const lab = await openLab(0);
  const { world, a } = lab;
  await world.run(600_000);
  const chain = branchOn(world.genesis, world.genesis.entry, 260, { miner: 'm' });
  await feed(a, chain);
  const { tip } = a.node.chain;
  // Made in no time, and so against targets that get harder.
  const branch = branchOn(world.genesis, world.genesis.entry, 120, { miner: 'fast', stepMs: 10 });
  const at = branch.findIndex(({ entry }) => entry.totalWork > tip.totalWork);
  expect(at).toBeGreaterThan(0);
  expect(at + 1 + 128).toBeLessThan(chain.length);
  await feed(a, branch.slice(0, at));
  expect(a.tipId).toBe(tip.header.id);
  const peer = await peerOf(lab, 'peer');
  await peer.publish('block', blockMessage(branch[at]!.block));
  await world.until('it is the tip', () => a.tipId === branch[at]!.block.header.id, 1_000);
  expect(await blockVerdicts(a)).toEqual({ accept: 1 });
  await expectHealthy(world);
});

test('CMPCT-6: a second message about a block too deep to be looked at costs its sender points, and another peer none', async () => {
  const lab = await openLab(0);
  const { world, a } = lab;
  await world.run(300_000);
  await feed(a, branchOn(world.genesis, world.genesis.entry, 130, { miner: 'm' }));
  const [deep] = branchOn(world.genesis, world.genesis.entry, 1, { miner: 'cheap' });
  const [liar, honest] = [await peerOf(lab, 'liar'), await peerOf(lab, 'honest')];
  const asked = (): number => opened(lab, STATUS).filter((peer) => peer === 'liar').length;
  const before = asked();
  for (let salt = 1n; salt <= 200n; salt++) {
    await liar.publish('block', blockMessage(deep!.block, salt));
    await world.run(1);
  }
  await world.run(100);
  expect(await blockVerdicts(a)).toEqual({ 'ignore block/too-deep': 1, 'reject block/repeated': 11 });
  expect(liar.peers()).toEqual([]); // banned
  expect(asked() - before).toBeLessThanOrEqual(2);
  await honest.publish('block', blockMessage(deep!.block, 201n));
  await world.run(100);
  expect(await blockVerdicts(a)).toEqual({ 'ignore block/too-deep': 2, 'reject block/repeated': 11 });
  expect(honest.peers()).toHaveLength(1);
});

test('CMPCT-6: blocks too deep to be looked at, however many, do not have it forgotten who told of the others', async () => {
  const lab = await openLab(TXS);
  const { world, a, block } = lab;
  await world.run(600_000);
  const liar = await peerOf(lab, 'liar', [[BLOCK_TXS, stall]]);
  const chain = branchOn(world.genesis, world.genesis.entry, 130, { miner: 'm' });
  await feed(a, chain);
  const [fresh] = branchOn(world.genesis, chain.at(-1)!.entry, 1, { miner: 'n', txs: () => block.txs });
  await liar.publish('block', falseMessage(fresh!.block));
  await world.run(10);
  for (let at = 0; at < 300; at++) {
    const [deep] = branchOn(world.genesis, world.genesis.entry, 1, { miner: `cheap ${at}` });
    await liar.publish('block', blockMessage(deep!.block));
    await world.run(1);
  }
  await liar.publish('block', falseMessage(fresh!.block, 10n));
  await world.run(100);
  expect(await blockVerdicts(a)).toMatchObject({ 'ignore block/too-deep': 300, 'reject block/repeated': 1 });
});
