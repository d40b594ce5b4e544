import { MemoryLevel } from 'memory-level';
import { describe, expect, test } from 'vitest';
import { makeTx as encodeTx, makeHeader } from '../../../chain/codec.ts';
import { genesisDoc, parseGenesis } from '../../../chain/genesis.ts';
import { bitsForHashes, meetsTarget } from '../../../chain/target.ts';
import type { Block, BlockId, ChainEntry, Header, HeaderBody, Tx } from '../../../chain/types.ts';
import type { GrapevineNode } from '../../../node/compose.ts';
import type { LevelDatabase } from '../../../node/store/database.ts';
import { openStoreOn } from '../../../node/store/level-store.ts';
import { type ChainCommit, type Store, StoreError } from '../../../node/store/store.ts';
import { branchOn } from '../../sim/chain-builder.ts';
import { openMemoryStore } from '../store/open-store.ts';
import { BLOCK_MS, makeTx, mineBlock, openOffline, receive, START_MS } from '../store/real-chain.ts';

interface Watched {
  readonly node: GrapevineNode;
  /** Blocks of each commit since the start. */
  readonly commits: number[];
  readonly events: string[];
  failNext(): void;
}

async function open(): Promise<Watched> {
  const inner = await openStoreOn(new MemoryLevel<Uint8Array, Uint8Array>() as LevelDatabase);
  const commits: number[] = [];
  const events: string[] = [];
  let isFailing = false;
  const store: Store = Object.create(inner, {
    commit: {
      value: async (change: ChainCommit) => {
        if (isFailing) {
          isFailing = false;
          throw new StoreError('full', 'no room');
        }
        await inner.commit(change);
        commits.push(change.added.length);
      },
    },
    // Private fields are the original's.
    ...Object.fromEntries(
      (['load', 'initialize', 'block', 'encodedBlock', 'delta', 'saveVotes', 'close'] as const).map((name) => [
        name,
        { value: (inner[name] as (...args: never[]) => unknown).bind(inner) },
      ]),
    ),
  });
  const node = await openOffline(store);
  node.events.on('block', ({ entry, from }) => events.push(`block ${entry.header.height} ${from}`));
  node.events.on('tip', ({ entry }) => events.push(`tip ${entry.header.height}`));
  node.events.on('entry', ({ entry }) => events.push(`entry ${entry.header.height}`));
  node.events.on('reorg', ({ from, to }) => events.push(`reorg ${from.height} ${to.height}`));
  return {
    node,
    commits,
    events,
    failNext: () => {
      isFailing = true;
    },
  };
}

/** A run of blocks with one transaction each, built on a node of its own. */
async function makeRun(length: number, laterMs = BLOCK_MS): Promise<Block[]> {
  const { node } = await open();
  const blocks: Block[] = [];
  let parent: ChainEntry = node.chain.tip;
  for (let i = 0; i < length; i++) {
    const block = mineBlock(parent, [makeTx(BigInt(i))], laterMs);
    blocks.push(block);
    parent = await receive(node, block);
  }
  await node.stop();
  return blocks;
}

const kinds = (verdicts: readonly { readonly kind: string; readonly reason?: string }[]): string[] =>
  verdicts.map((verdict) => verdict.reason ?? verdict.kind);

test('BLK-3, BLK-16: a header whose parent is unknown is ignored where its work is done, and rejected where not', async () => {
  const { node } = await open();
  const [, { header }] = (await makeRun(2)) as [Block, Block];
  expect(node.chain.checkHeader(header)).toEqual({ kind: 'ignore', reason: 'block/unknown-parent' });
  let idle = header;
  while (meetsTarget(idle.id, idle.bits)) idle = makeHeader({ ...idle, nonce: idle.nonce + 1n });
  expect(node.chain.checkHeader(idle)).toEqual({ kind: 'reject', reason: 'block/bad-pow' });
  await node.stop();
});

describe('receiveBlocks', () => {
  test('writes a run at once, then tells of each block in order', async () => {
    const { node, commits, events } = await open();
    const run = await makeRun(4);
    expect(kinds(await node.chain.receiveBlocks(run, 'sync'))).toEqual(['accept', 'accept', 'accept', 'accept']);
    expect(commits).toEqual([4]);
    expect(events).toEqual([
      ...['block 1 sync', 'block 2 sync', 'block 3 sync', 'block 4 sync', 'tip 4'],
      ...['entry 1', 'entry 2', 'entry 3', 'entry 4'],
    ]);
    const alone = await open();
    for (const block of run) await receive(alone.node, block);
    expect(node.chain.tip.header.id).toBe(alone.node.chain.tip.header.id);
    expect(new Map(node.chain.accounts.entries())).toEqual(new Map(alone.node.chain.accounts.entries()));
    await Promise.all([node.stop(), alone.node.stop()]);
  });

  test('goes on from blocks that are known', async () => {
    const { node, commits } = await open();
    const run = await makeRun(3);
    await receive(node, run[0]!);
    expect(kinds(await node.chain.receiveBlocks(run, 'sync'))).toEqual(['block/known', 'accept', 'accept']);
    expect(commits).toEqual([1, 2]);
    await node.stop();
  });

  test('takes what stands before a bad block, and nothing after it', async () => {
    const { node, commits } = await open();
    const run = await makeRun(4);
    const spoilt = { ...run[2]!, txs: run[2]!.txs.map((tx) => ({ ...tx, signature: new Uint8Array(64) })) };
    const blocks = [run[0]!, run[1]!, spoilt, run[3]!];
    expect(kinds(await node.chain.receiveBlocks(blocks, 'sync'))).toEqual(['accept', 'accept', 'block/bad-signature']);
    expect(commits).toEqual([2]);
    expect(node.chain.tip.header.height).toBe(2n);
    expect(node.chain.tree.get(run[2]!.header.id)).toBeUndefined();
    await node.stop();
  });

  test('checks each block on what those before it leave', async () => {
    const { node } = await open();
    const first = mineBlock(node.chain.tip, [makeTx(0n)]);
    const scout = await open();
    const entry = await receive(scout.node, first);
    const again = mineBlock(entry, [makeTx(0n)]);
    expect(kinds(await node.chain.receiveBlocks([first, again], 'sync'))).toEqual(['accept', 'block/nonce-order']);
    await Promise.all([node.stop(), scout.node.stop()]);
  });

  test('refuses blocks that do not follow one another: a bug of the caller', async () => {
    const { node } = await open();
    const run = await makeRun(3);
    await expect(node.chain.receiveBlocks([run[0]!, run[2]!], 'sync')).rejects.toThrow(RangeError);
    expect(node.chain.tip.header.height).toBe(0n);
    await node.stop();
  });

  test('changes nothing where the write fails, and takes the same run later', async () => {
    const { node, events, failNext } = await open();
    const run = await makeRun(3);
    failNext();
    await expect(node.chain.receiveBlocks(run, 'sync')).rejects.toThrow(StoreError);
    expect(node.chain.tip.header.height).toBe(0n);
    expect(run.map(({ header }) => node.chain.tree.get(header.id))).toEqual([undefined, undefined, undefined]);
    expect(events).toEqual([]);
    expect(kinds(await node.chain.receiveBlocks(run, 'sync'))).toEqual(['accept', 'accept', 'accept']);
    await node.stop();
  });

  test('a longer branch, in runs, stays beside the tip until it has more work, then replaces it in one move', async () => {
    const { node, commits, events } = await open();
    for (const block of await makeRun(3)) await receive(node, block);
    const branch = await makeRun(6, BLOCK_MS + 100);
    events.length = 0;
    commits.length = 0;
    await node.chain.receiveBlocks(branch.slice(0, 2), 'sync');
    expect(node.chain.tip.header.height).toBe(3n);
    await node.chain.receiveBlocks(branch.slice(2, 3), 'sync');
    await node.chain.receiveBlocks(branch.slice(3), 'sync');
    expect(commits).toEqual([2, 1, 3]);
    expect(node.chain.tip.header.id).toBe(branch[5]!.header.id);
    expect(events.filter((event) => event.startsWith('reorg') || event.startsWith('tip'))).toEqual([
      'reorg 3 6',
      'tip 6',
    ]);
    const alone = await open();
    for (const block of branch) await receive(alone.node, block);
    expect(new Map(node.chain.accounts.entries())).toEqual(new Map(alone.node.chain.accounts.entries()));
    await Promise.all([node.stop(), alone.node.stop()]);
  });
});

test('a body that peers ask for has the bytes of its block, from memory and from the store', async () => {
  const { node } = await open();
  const [block] = await makeRun(1);
  expect(await node.chain.encodedBlock(block!.header.id)).toBeUndefined();
  await receive(node, block!);
  const bytes = await node.chain.encodedBlock(block!.header.id);
  expect(bytes?.subarray(0, 113)).toEqual(block!.header.bytes);
  await node.stop();
});

describe('a block that broke a rule', () => {
  const NO_WORK = 0n;

  async function openWithBad() {
    const { node } = await open();
    const spent = mineBlock(node.chain.tip, [makeTx(0n), makeTx(0n, 101n)]); // one nonce twice
    expect(await node.chain.receiveBlock(spent, 'mined')).toMatchObject({ reason: 'block/nonce-order' });
    const entry = { header: spent.header, effectiveTimeMs: node.chain.tip.effectiveTimeMs + BigInt(BLOCK_MS) };
    return { node, spent, child: mineBlock({ ...node.chain.tip, ...entry }, []) };
  }

  /** A net where a block takes 4,096 hashes and its least is 2; the bad one holds another net's transaction. */
  async function openHard() {
    const genesis = parseGenesis(
      genesisDoc({
        name: 'hard',
        timestampMs: START_MS,
        alloc: [],
        voters: [],
        params: { powLimitBits: bitsForHashes(2n), initialBits: bitsForHashes(4_096n), minFee: 10n },
      }),
    );
    const node = await openOffline(await openMemoryStore(), genesis);
    const [bad] = branchOn(genesis, genesis.entry, 1, { miner: 'm', txs: () => [makeTx(0n)] });
    expect(await node.chain.receiveBlock(bad!.block, 'mined')).toMatchObject({ reason: 'block/bad-tx' });
    return { node, bad: bad!.block };
  }

  /** A header that has the work of so many hashes done, whatever its place asks for. */
  function childOf(parent: Header, hashes: bigint): Header {
    const body: Omit<HeaderBody, 'nonce'> = { ...parent, parent: parent.id, bits: bitsForHashes(hashes) };
    for (let nonce = 0n; ; nonce += 1n) {
      const header = makeHeader({ ...body, nonce });
      if (meetsTarget(header.id, header.bits)) return header;
    }
  }

  test('is refused by its header the next time, for the same reason', async () => {
    const { node, spent } = await openWithBad();
    expect(node.chain.checkHeader(spent.header)).toEqual({ kind: 'reject', reason: 'block/nonce-order' });
    await node.stop();
  });

  test('has no children: they are refused by their headers, and theirs', async () => {
    const { node, child } = await openWithBad();
    const refused = { kind: 'reject', reason: 'block/invalid-ancestor' };
    expect(node.chain.checkHeader(child.header)).toEqual(refused);
    const grandchild = { ...child.header, id: 'ab'.repeat(32) as BlockId, parent: child.header.id };
    expect(node.chain.checkHeader(grandchild)).toEqual(refused);
    await node.stop();
  });

  test('is not forgotten for a chain of headers above it that have no work done', async () => {
    const { node, spent, child } = await openWithBad();
    let parent = spent.header.id;
    for (let at = 0; at < 2_000; at += 1) {
      const id = at.toString(16).padStart(64, 'f') as BlockId; // far above the target
      node.chain.checkHeader({ ...child.header, id, parent, nonce: NO_WORK });
      parent = id;
    }
    expect(node.chain.checkHeader(spent.header)).toEqual({ kind: 'reject', reason: 'block/nonce-order' });
    await node.stop();
  });

  test('is not forgotten for a chain of headers above it that cost next to nothing', async () => {
    const { node, bad } = await openHard();
    let parent = bad.header;
    for (let at = 0; at < 1_100; at += 1) {
      parent = childOf(parent, 2n); // the net's least; a block like the tip takes 4,096
      node.chain.checkHeader(parent);
    }
    expect(node.chain.checkHeader(bad.header)).toEqual({ kind: 'reject', reason: 'block/bad-tx' });
    await node.stop();
  });

  test('of those above it the ones with a quarter of the work of the tip are remembered, and no cheaper ones', async () => {
    const { node, bad } = await openHard();
    for (const [hashes, ofItsChild] of [
      [1_025n, 'block/invalid-ancestor'],
      [1_000n, 'block/unknown-parent'],
    ] as const) {
      const child = childOf(bad.header, hashes);
      expect(node.chain.checkHeader(child)).toEqual({ kind: 'reject', reason: 'block/invalid-ancestor' });
      expect(node.chain.checkHeader(childOf(child, 2n))).toMatchObject({ reason: ofItsChild });
    }
    await node.stop();
  });

  test.each([
    ['BLK-10', 'block/duplicate-tx', () => [makeTx(0n), makeTx(0n)]],
    ['BLK-11', 'block/bad-tx', () => [encodeTx({ ...makeTx(0n), fee: 1n }, makeTx(0n).signature)]],
    ['BLK-12', 'block/bad-signature', () => [encodeTx(makeTx(0n), makeTx(1n).signature)]],
  ] as const)('%s: %s condemns it', async (_rule, reason, txs: () => readonly Tx[]) => {
    const { node } = await open();
    const bad = mineBlock(node.chain.tip, txs());
    expect(await node.chain.receiveBlock(bad, 'mined')).toEqual({ kind: 'reject', reason });
    expect(node.chain.checkHeader(bad.header)).toEqual({ kind: 'reject', reason });
    const child = mineBlock({ ...node.chain.tip, header: bad.header }, []);
    expect(node.chain.checkHeader(child.header)).toEqual({ kind: 'reject', reason: 'block/invalid-ancestor' });
    await node.stop();
  });

  test.each([
    ['BLK-2', 'block/too-large', () => Array<Tx>(6_000).fill(makeTx(0n))],
    ['BLK-8', 'block/bad-merkle-root', () => []],
  ] as const)(
    '%s: is another than one whose header came with a body that gives %s',
    async (_rule, reason, txs: () => readonly Tx[]) => {
      const { node } = await open();
      const good = mineBlock(node.chain.tip, [makeTx(0n)]);
      const other = { ...good, txs: txs() };
      expect(await node.chain.receiveBlock(other, 'mined')).toEqual({ kind: 'reject', reason });
      expect(node.chain.checkBody(other)).toEqual({ kind: 'reject', reason });
      expect(await node.chain.receiveBlock(good, 'mined')).toMatchObject({ kind: 'accept' });
      await node.stop();
    },
  );
});
