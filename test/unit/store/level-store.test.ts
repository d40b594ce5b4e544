import { expect, test, vi } from 'vitest';
import { makeEvidence } from '../../../chain/evidence.ts';
import type { BlockId, Certificate, Header, TxId } from '../../../chain/types.ts';
import type { Address } from '../../../crypto/address.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { ENCODING } from '../../../node/store/database.ts';
import { META, txLocationKey } from '../../../node/store/keys.ts';
import type { Store, StoredBlock, VoteProtectionStore } from '../../../node/store/store.ts';
import { MapDatabase, openMapStore } from '../../../sim/map-store.ts';
import {
  addressOfWallet,
  checkpointOf,
  indexOnChain,
  makeChain,
  makeChild,
  makeCommit,
  makeGenesis,
  makeTestVote,
  makeTransfer,
  type TestBlock,
  WALLETS,
} from './chain-builder.ts';
import { FaultyLevel, makeMemory, openDiskStore, openMemoryStore, UNINDEXED, withDirectory } from './open-store.ts';

const { chainId, blocks } = makeChain(6);
const genesis = blocks[0]!;
const tip = blocks[6]!;

/** Every store has both sides; the tests are given the one that nodes see. */
function asProtection(store: Store): Store & VoteProtectionStore {
  return store as Store & VoteProtectionStore;
}

async function saveChain(store: Store, chain: readonly TestBlock[] = blocks): Promise<void> {
  await store.initialize(genesis, genesis.accounts);
  for (const block of chain.slice(1)) await store.commit(makeCommit([block], block.parent!, block));
}

/**
 * Runs on memory, there with everything indexed at once and with nothing, on the simulation's maps, and on LevelDB. On the
 * last two `reopen` really closes and opens; where nothing is indexed the node is killed.
 */
function onBoth(name: string, body: (store: Store, reopen: () => Promise<Store>) => Promise<void>): void {
  test(`${name}, in memory`, async () => {
    const store = await openMemoryStore();
    await body(store, async () => store);
    await store.close();
  });
  test(`${name}, in memory, not indexed before the next start`, async () => {
    const db = makeMemory();
    await body(await openMemoryStore(db, UNINDEXED), async () => {
      const again = await openMemoryStore(db, UNINDEXED);
      await again.load(chainId);
      return again;
    });
    await db.close();
  });
  test(`${name}, as objects`, async () => {
    const db = new MapDatabase();
    let store = openMapStore(db);
    await body(store, async () => {
      await store.close();
      store = openMapStore(db);
      return store;
    });
    await store.close();
  });
  test(`${name}, on disk`, () =>
    withDirectory(async (location) => {
      let store = await openDiskStore(location);
      try {
        await body(store, async () => {
          await store.close();
          store = await openDiskStore(location);
          return store;
        });
      } finally {
        await store.close();
      }
    }));
}

onBoth('a new store is empty', async (store, reopen) => {
  expect(await store.load(chainId)).toBeUndefined();
  await store.savePeers(new Map([['/ip4/127.0.0.1/tcp/1', 5]]));
  store = await reopen();
  expect(await store.load(chainId)).toBeUndefined();
  expect(await store.block(genesis.entry.header.id)).toBeUndefined();
  expect(await store.delta(genesis.entry.header.id)).toBeUndefined();
  expect(await store.certificate(1n)).toBeUndefined();
  expect(await store.voteGuard(addressOfWallet(0))).toBeUndefined();
});

onBoth('load gives back what was committed, parents before children', async (store, reopen) => {
  await saveChain(store);
  store = await reopen();
  const loaded = await store.load(chainId);
  expect(loaded).toEqual({
    chainId,
    entries: blocks.map(({ entry }) => entry),
    tip: tip.entry.header.id,
    accounts: tip.accounts,
    certificates: [],
    final: checkpointOf(genesis.entry.header),
    votes: [],
    evidence: [],
    mempool: [],
    bodiesFrom: 0n,
  });
});

onBoth('bodies and deltas come back by block id', async (store, reopen) => {
  await saveChain(store);
  store = await reopen();
  for (const { entry, block, delta } of blocks) {
    expect(await store.block(entry.header.id)).toEqual(block);
    expect(await store.delta(entry.header.id)).toEqual(delta);
  }
});

onBoth('a side branch is kept and moves nothing', async (store, reopen) => {
  await saveChain(store);
  const side = makeChild(blocks[3]!, [], 100);
  await store.commit({ added: [side] });
  store = await reopen();
  const loaded = await store.load(chainId);
  expect(loaded?.entries).toContainEqual(side.entry);
  expect(loaded?.tip).toBe(tip.entry.header.id);
  expect(await store.block(side.entry.header.id)).toEqual(side.block);
});

onBoth('a reorganisation moves tip, accounts, transaction index and history at once', async (store, reopen) => {
  await saveChain(store);
  // The new branch mines one transaction of the old one again, at another place.
  const again = blocks[4]!.block.txs[0]!;
  const fork = blocks[3]!;
  const first = makeChild(fork, [makeTransfer(fork, chainId, 2, 3, 7n)], 101);
  const second = makeChild(first, [makeTransfer(first, chainId, 1, 2, 9n), again], 102);
  const third = makeChild(second, [], 103);
  const fourth = makeChild(third, [], 104);
  const branch = [first, second, third, fourth];
  await store.commit(makeCommit(branch, tip, fourth));
  store = await reopen();

  const loaded = await store.load(chainId);
  expect(loaded?.tip).toBe(fourth.entry.header.id);
  expect(loaded?.accounts).toEqual(fourth.accounts);
  const expected = indexOnChain(fourth);
  const everything = new Set([...expected.keys(), ...indexOnChain(tip).keys()]);
  expect(everything.size).toBeGreaterThan(expected.size);
  for (const id of everything) expect(await store.txLocation(id)).toEqual(expected.get(id));
  expect(await store.txLocation(again.id)).toEqual({ block: second.entry.header.id, index: 1 });
  await expectHistory(store, fourth);
});

onBoth('moving the tip down leaves no trace of the blocks above', async (store, reopen) => {
  await saveChain(store);
  await store.commit(makeCommit([], tip, blocks[2]!));
  store = await reopen();
  expect((await store.load(chainId))?.accounts).toEqual(blocks[2]!.accounts);
  expect(await store.txLocation(tip.block.txs[0]!.id)).toBeUndefined();
  await expectHistory(store, blocks[2]!);
});

onBoth('history is newest first, limited, and older than the place asked for', async (store) => {
  await saveChain(store);
  await expectHistory(store, tip);
  const address = addressOfWallet(2);
  const all = await store.history(address, 100);
  expect(all.length).toBeGreaterThan(2);
  expect(await store.history(address, 2)).toEqual(all.slice(0, 2));
  expect(await store.history(address, 0)).toEqual([]);
  for (const place of all) {
    const { height, index } = place;
    expect(await store.history(address, 100, place)).toEqual(all.slice(all.indexOf(place) + 1));
    expect(await store.history(address, 100, { height, index: index + 1 })).toEqual(all.slice(all.indexOf(place)));
    expect(await store.history(address, 100, { height })).toEqual(all.filter((item) => item.height < height));
  }
  expect(all.some(({ index }) => index > 0)).toBe(true);
  expect(await store.history(address, 100, { height: 0n })).toEqual([]);
  expect(await store.history('ff'.repeat(20) as Address, 100)).toEqual([]);
});

onBoth('an account that a block made is gone when the block is', async (store) => {
  await store.initialize(genesis, genesis.accounts);
  const child = makeChild(genesis, [makeTransfer(genesis, chainId, 0, 77, 5n)], 1);
  await store.commit(makeCommit([child], genesis, child));
  expect((await store.load(chainId))?.accounts.get(addressOfWallet(77))).toEqual({ balance: 5n, nonce: 0n });
  await store.commit(makeCommit([], child, genesis));
  expect((await store.load(chainId))?.accounts).toEqual(genesis.accounts);
});

onBoth('what a reorganisation takes out of the chain is in the mempool with it', async (store, reopen) => {
  await store.initialize(genesis, genesis.accounts);
  const [again, lost] = [0, 1].map((from) => makeTransfer(genesis, chainId, from, 5, 1n));
  const old = makeChild(genesis, [again!, lost!], 1);
  await store.commit(makeCommit([old], genesis, old));
  const rival = makeChild(genesis, [again!], 2);
  const tipNow = makeChild(rival, [], 3);
  await store.commit(makeCommit([rival, tipNow], old, tipNow));
  store = await reopen();
  const loaded = await store.load(chainId);
  expect([loaded?.tip, loaded?.mempool]).toEqual([tipNow.entry.header.id, [lost]]);
});

onBoth('votes above the final height are loaded, both of a double vote', async (store, reopen) => {
  await saveChain(store);
  const [, one, two, three] = blocks.map(({ entry }) => entry.header);
  const vote = makeTestVote(chainId, 0, genesis.entry.header, two!);
  const double = makeTestVote(chainId, 0, one!, two!);
  const low = makeTestVote(chainId, 1, genesis.entry.header, one!);
  await store.saveVotes([vote, double, low]);
  await store.saveVotes([]);
  store = await reopen();
  expect((await store.load(chainId))?.votes.toSorted(byId)).toEqual([vote, double, low].toSorted(byId));

  const certificate: Certificate = { source: checkpointOf(one!), target: checkpointOf(two!), votes: [double] };
  await store.saveAgreement([certificate], checkpointOf(one!));
  store = await reopen();
  const loaded = await store.load(chainId);
  expect(loaded?.final).toEqual(checkpointOf(one!));
  expect(loaded?.votes.toSorted(byId)).toEqual([vote, double].toSorted(byId));
  await store.saveAgreement([{ source: checkpointOf(two!), target: checkpointOf(three!), votes: [] }], undefined);
  expect((await store.load(chainId))?.final).toEqual(checkpointOf(one!));
});

onBoth('certificates come back by height, and from the final one on at load, lowest first', async (store, reopen) => {
  await saveChain(store);
  const headers = blocks.map(({ entry }) => entry.header);
  const certificates = [1, 2, 3].map((height): Certificate => {
    const [source, target] = [checkpointOf(headers[height - 1]!), checkpointOf(headers[height]!)];
    return { source, target, votes: [0, 1, 2, 3].map((voter) => makeTestVote(chainId, voter, source, target)) };
  });
  for (const certificate of certificates.toReversed()) await store.saveAgreement([certificate], undefined);
  await store.saveAgreement([certificates[2]!], checkpointOf(headers[2]!));
  store = await reopen();
  expect((await store.load(chainId))?.certificates).toEqual(certificates.slice(1));
  for (const certificate of certificates) {
    expect(await store.certificate(certificate.target.height)).toEqual(certificate);
  }
  expect(await store.certificate(4n)).toBeUndefined();
});

onBoth('evidence comes back, once however often it was saved', async (store, reopen) => {
  await saveChain(store);
  const [, one, two] = blocks.map(({ entry }) => entry.header);
  const three = blocks[3]!.entry.header;
  const vote = (voter: number, source: Header, target: Header) => makeTestVote(chainId, voter, source, target);
  const double = makeEvidence(vote(3, genesis.entry.header, two!), vote(3, one!, two!))!;
  const surround = makeEvidence(vote(2, genesis.entry.header, three), vote(2, one!, two!))!;
  for (const evidence of [double, surround, double]) await store.saveEvidence(evidence);
  store = await reopen();
  const loaded = (await store.load(chainId))?.evidence ?? [];
  expect(loaded.toSorted((a, b) => a.kind.localeCompare(b.kind))).toEqual([double, surround]);
});

onBoth('VOTE-8: own vote and guard come back, and a guard that goes back is refused', async (store, reopen) => {
  await saveChain(store);
  const headers = blocks.map(({ entry }) => entry.header);
  const vote = makeTestVote(chainId, 2, headers[1]!, headers[3]!);
  await store.saveOwnVote(vote, { sourceHeight: 1n, targetHeight: 3n });
  store = await reopen();
  expect(await store.voteGuard(vote.voter)).toEqual({ sourceHeight: 1n, targetHeight: 3n });
  expect((await store.load(chainId))?.votes).toEqual([vote]);

  const back = makeTestVote(chainId, 2, headers[1]!, headers[2]!);
  await expect(store.saveOwnVote(back, { sourceHeight: 1n, targetHeight: 2n })).rejects.toThrow(
    /VOTE-8.*1 -> 3 to 1 -> 2/,
  );
  await expect(store.saveOwnVote(back, { sourceHeight: 0n, targetHeight: 4n })).rejects.toThrow(RangeError);
  // A second vote for one height is a double vote, or says nothing new.
  await expect(store.saveOwnVote(vote, { sourceHeight: 2n, targetHeight: 3n })).rejects.toThrow(/VOTE-8.*for height 3/);
  expect(await store.voteGuard(vote.voter)).toEqual({ sourceHeight: 1n, targetHeight: 3n });
  expect((await store.load(chainId))?.votes).toEqual([vote]);
  await store.saveOwnVote(makeTestVote(chainId, 2, headers[1]!, headers[4]!), { sourceHeight: 1n, targetHeight: 4n });
  expect(await store.voteGuard(vote.voter)).toEqual({ sourceHeight: 1n, targetHeight: 4n });
});

onBoth(
  'certificates come as a range: from a height, lowest first, one a height, as many as hold the votes asked for',
  async (store, reopen) => {
    await saveChain(store);
    const [root, child] = blocks.map(({ entry }) => entry.header);
    const at = (height: bigint, id: string): Certificate => ({
      source: { height: 0n, id: blocks[0]!.entry.header.id },
      target: { height, id: id.repeat(32) as BlockId },
      votes: [1, 2].map((voter) => makeTestVote(chainId, voter, root!, child!)),
    });
    const [low, twin, other, high] = [at(2n, 'aa'), at(700n, 'bb'), at(700n, 'cc'), at(90_000n, 'dd')];
    await store.saveAgreement([high, other, low, twin], undefined);
    store = await reopen();
    const targets = async (from: bigint, votes: number) =>
      (await store.certificatesFrom(from, votes)).map(({ target }) => target.id.slice(0, 2));
    expect(await targets(0n, 10)).toEqual(['aa', 'bb', 'dd']);
    expect(await targets(3n, 10)).toEqual(['bb', 'dd']);
    expect(await targets(0n, 1)).toEqual(['aa']);
    expect(await targets(0n, 2)).toEqual(['aa']);
    expect(await targets(0n, 3)).toEqual(['aa', 'bb']);
    expect(await targets(90_001n, 2)).toEqual([]);
    expect(await targets(0n, 0)).toEqual([]);
    for (const limit of [10, 3, 1, 0]) {
      const votes = (await store.certificatesFrom(3n, limit)).flatMap((certificate) => certificate.votes);
      const encoded = await store.encodedVotesFrom(3n, limit);
      expect(encoded.map(bytesToHex)).toEqual(votes.map(({ bytes }) => bytesToHex(bytes)));
    }
  },
);

onBoth('the mempool comes back, each sender in nonce order', async (store, reopen) => {
  await saveChain(store);
  const txs = [4n, 2n, 0n, 3n, 1n].map((ahead) => makeTransfer(tip, chainId, 0, 1, 1n, ahead));
  await store.saveMempool(txs, []);
  const gone = txs[3]!;
  const replacement = makeTransfer(tip, chainId, 0, 2, 8n, 3n);
  await store.saveMempool([replacement], [gone.id, '00'.repeat(32) as TxId]);
  store = await reopen();
  const expected = [txs[2]!, txs[4]!, txs[1]!, replacement, txs[0]!];
  expect((await store.load(chainId))?.mempool).toEqual(expected);
});

onBoth('peers are replaced whole', async (store, reopen) => {
  expect(await store.loadPeers()).toEqual(new Map());
  await store.savePeers(
    new Map([
      ['/dns4/é.example/tcp/1', 1_700_000_000_000.5],
      ['/ip4/10.0.0.1/tcp/2', 0],
    ]),
  );
  await store.savePeers(new Map([['/dns4/é.example/tcp/1', 1_700_000_000_001.5]]));
  store = await reopen();
  expect(await store.loadPeers()).toEqual(new Map([['/dns4/é.example/tcp/1', 1_700_000_000_001.5]]));
});

onBoth('a closed store says so, and closes once', async (store) => {
  await saveChain(store);
  const write = store.saveMempool([makeTransfer(tip, chainId, 0, 1, 1n)], []);
  await Promise.all([store.close(), store.close()]);
  await write;
  await expect(store.load(chainId)).rejects.toMatchObject({ name: 'StoreError', code: 'closed' });
  await expect(store.commit({ added: [] })).rejects.toMatchObject({ name: 'StoreError', code: 'closed' });
});

onBoth("a caller's fault throws and changes nothing", async (store) => {
  await saveChain(store);
  await expect(store.initialize(genesis, genesis.accounts)).rejects.toThrow('the store holds a chain');
  const child: StoredBlock = makeChild(tip, [], 50);
  const move = { tip: genesis.entry.header.id, disconnected: [], connected: [child.block], accounts: new Map() };
  await expect(store.commit({ added: [child], move })).rejects.toThrow('the tip is not the last block');
  expect((await store.load(chainId))?.entries).toHaveLength(blocks.length);
});

onBoth('another chain is refused, by name, and the way out told', async (store, reopen) => {
  await saveChain(store);
  store = await reopen();
  const other = makeGenesis(1n).entry.header.id as string as typeof chainId;
  const message = expect.stringMatching(`belongs to chain ${chainId}.*makes chain ${other}.*--data-dir`);
  await expect(store.load(other)).rejects.toMatchObject({ name: 'StoreError', code: 'wrong-chain', message });
  expect((await store.load(chainId))?.tip).toBe(tip.entry.header.id);
});

onBoth('VOTE-8: a voter that has moved away casts no vote here, and moves are never undone', async (store, reopen) => {
  await saveChain(store);
  const headers = blocks.map(({ entry }) => entry.header);
  const { voter } = makeTestVote(chainId, 2, headers[1]!, headers[3]!);
  const left = { sourceHeight: 1n, targetHeight: 3n, disabled: true, moves: 1 };
  const back = { sourceHeight: 2n, targetHeight: 4n, disabled: false, moves: 2 };
  const next = makeTestVote(chainId, 2, headers[2]!, headers[5]!);
  await asProtection(store).saveVoteGuard(voter, left);
  store = await reopen();
  expect(await asProtection(store).voteGuards()).toEqual(new Map([[voter, left]]));
  expect(await asProtection(store).chainId()).toBe(chainId);
  await expect(store.saveOwnVote(next, { sourceHeight: 2n, targetHeight: 5n, moves: 1 })).rejects.toThrow('VOTE-8');
  expect((await store.load(chainId))?.votes).toEqual([]);
  await asProtection(store).saveVoteGuard(voter, back);
  await expect(asProtection(store).saveVoteGuard(voter, left)).rejects.toThrow(RangeError);
  await expect(store.saveOwnVote(next, { sourceHeight: 2n, targetHeight: 5n })).rejects.toThrow(RangeError);
  await store.saveOwnVote(next, { sourceHeight: 2n, targetHeight: 5n, moves: 2 });
  expect(await store.voteGuard(voter)).toEqual({ sourceHeight: 2n, targetHeight: 5n, disabled: false, moves: 2 });
});

test('each call that writes is one batch; fsync for all but votes heard, mempool and peers', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db, UNINDEXED);
  const vote = makeTestVote(chainId, 1, genesis.entry.header, tip.entry.header);
  const checkpoint = checkpointOf(tip.entry.header);
  const calls: readonly (readonly [boolean, () => Promise<void>])[] = [
    [true, () => store.initialize(genesis, genesis.accounts)],
    [true, () => store.commit(makeCommit(blocks.slice(1), genesis, tip))],
    [true, () => store.saveOwnVote(vote, { sourceHeight: 0n, targetHeight: 6n })],
    [true, () => store.saveAgreement([{ source: checkpoint, target: checkpoint, votes: [vote] }], checkpoint)],
    [true, () => store.saveEvidence({ kind: 'double', voter: vote.voter, first: vote, second: vote })],
    [false, () => store.saveVotes([vote, makeTestVote(chainId, 2, genesis.entry.header, tip.entry.header)])],
    [false, () => store.saveMempool([makeTransfer(tip, chainId, 0, 1, 1n)], [])],
    [false, () => store.savePeers(new Map([['a', 1]]))],
  ];
  for (const [, call] of calls) await call();
  expect(db.durability).toEqual(calls.map(([durable]) => durable));
  await store.close();
});

/** They make more records than one slice has, of their places alone. */
const MANY_TXS = Array.from({ length: 2_400 }, (_, i) =>
  makeTransfer(genesis, chainId, i % WALLETS, (i + 1) % WALLETS, 1n, BigInt(Math.floor(i / WALLETS))),
);

/** A store that holds a large block, and writes a slice of its index for each that is called of `rest`. */
async function openLarge() {
  const db = new FaultyLevel();
  const rest: (() => void)[] = [];
  const store = await openMemoryStore(db, { pause: () => new Promise<void>((resolve) => rest.push(resolve)) });
  await store.initialize(genesis, genesis.accounts);
  const block = makeChild(genesis, MANY_TXS, 1);
  await store.commit(makeCommit([block], genesis, block));
  return { db, store, block, rest };
}

test('a large block is one batch, before what came after it; its transactions are indexed later, a slice at a time', async () => {
  const { db, store, block, rest } = await openLarge();
  expect(db.durability).toEqual([true, true]);
  // What is not in the index is answered all the same; and between two slices others have their turn.
  const isIndexed = async ({ id }: { readonly id: TxId }): Promise<boolean> => {
    expect(await store.txLocation(id)).toMatchObject({ block: block.entry.header.id });
    return (await db.get(txLocationKey(id), ENCODING)) !== undefined;
  };
  expect(await isIndexed(MANY_TXS[0]!)).toBe(false);
  const vote = makeTestVote(chainId, 1, genesis.entry.header, block.entry.header);
  rest.shift()!();
  await vi.waitFor(() => expect(rest).toHaveLength(1));
  await store.saveOwnVote(vote, { sourceHeight: 0n, targetHeight: 1n });
  expect(db.durability).toEqual([true, true, false, true]);
  expect([await isIndexed(MANY_TXS[0]!), await isIndexed(MANY_TXS.at(-1)!)]).toEqual([true, false]);
  expect(await db.has(META.unindexed, ENCODING)).toBe(true);
  await store.close();
  await db.open();
  await (await openMemoryStore(db)).load(chainId);
  for (const tx of MANY_TXS) {
    await expect.poll(() => db.has(txLocationKey(tx.id), ENCODING), { interval: 1, timeout: 20_000 }).toBe(true);
  }
  await db.close();
});

test('a slice that cannot be written is written later', async () => {
  const { db, store, block, rest } = await openLarge();
  const failed = vi.spyOn(db, 'batch');
  db.batchesLeft = 0;
  rest.shift()!();
  await vi.waitFor(() => expect(failed).toHaveBeenCalled());
  db.batchesLeft = Number.POSITIVE_INFINITY;
  const next = makeChild(block, [], 2);
  await store.commit(makeCommit([next], block, next));
  const isDone = async (): Promise<boolean> => {
    rest.shift()?.();
    return db.has(txLocationKey(MANY_TXS.at(-1)!.id), ENCODING);
  };
  await vi.waitUntil(isDone, { interval: 1, timeout: 20_000 });
  for (const tx of MANY_TXS) expect(await db.has(txLocationKey(tx.id), ENCODING)).toBe(true);
  await store.close();
});

test('the abandoning of a large block gives way while its records are made, and is one batch, before what came after it', async () => {
  const db = new FaultyLevel();
  let turns = 0;
  const others: (() => void)[] = [];
  const giveWay = async (): Promise<void> => {
    turns += 1;
    others.shift()?.();
  };
  const store = await openMemoryStore(db, { ...UNINDEXED, giveWay });
  await store.initialize(genesis, genesis.accounts);
  const block = makeChild(genesis, MANY_TXS, 1);
  await store.commit(makeCommit([block], genesis, block));
  const sibling = makeChild(genesis, [], 2);
  const vote = makeTestVote(chainId, 1, genesis.entry.header, sibling.entry.header);
  let voted: Promise<void> | undefined;
  let closed: Promise<void> | undefined;
  // In the middle of it another write is asked for, and then the end.
  others.push(() => {
    voted = store.saveOwnVote(vote, { sourceHeight: 0n, targetHeight: 1n });
    closed = store.close();
  });
  const order: string[] = [];
  turns = 0;
  await store.commit(makeCommit([sibling], block, sibling)).then(() => order.push('block'));
  expect(turns).toBeGreaterThanOrEqual(2);
  await voted!.then(() => order.push('vote'));
  await closed;
  expect(order).toEqual(['block', 'vote']);
  // Genesis, the block, its sibling, which has no transactions, and the vote.
  expect(db.durability).toEqual([true, true, true, true]);

  await db.open();
  const again = await openMemoryStore(db);
  const loaded = await again.load(chainId);
  expect([loaded?.tip, loaded?.votes.length]).toEqual([sibling.entry.header.id, 1]);
  for (const { id } of MANY_TXS) expect(await again.txLocation(id)).toBeUndefined();
  await again.close();
});

test('a block of many transactions whose write fails leaves nothing, and the next write is whole', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db, { giveWay: async () => {} });
  await store.initialize(genesis, genesis.accounts);
  const block = makeChild(genesis, MANY_TXS, 1);
  db.batchesLeft = 0;
  await expect(store.commit(makeCommit([block], genesis, block))).rejects.toMatchObject({ code: 'full' });
  db.batchesLeft = Number.POSITIVE_INFINITY;
  expect(await store.txLocation(MANY_TXS[0]!.id)).toBeUndefined();
  await store.commit(makeCommit([block], genesis, block));
  expect(await store.txLocation(MANY_TXS.at(-1)!.id)).toEqual({ block: block.entry.header.id, index: 2_399 });
  await store.close();
});

async function expectHistory(store: Store, at: TestBlock): Promise<void> {
  for (let wallet = 0; wallet < 5; wallet += 1) {
    const address = addressOfWallet(wallet);
    const expected: object[] = [];
    for (let block: TestBlock | undefined = at; block !== undefined; block = block.parent) {
      const { id, height } = block.entry.header;
      for (const [index, tx] of [...block.block.txs.entries()].toReversed()) {
        if (tx.from === address || tx.to === address) expected.push({ height, block: id, index });
      }
    }
    expect(await store.history(address, 1_000)).toEqual(expected);
  }
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id.localeCompare(b.id);
}
