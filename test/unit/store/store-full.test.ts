import { expect, test } from 'vitest';
import type { Store } from '../../../node/store/store.ts';
import { checkpointOf, makeChain, makeChild, makeCommit, makeTestVote, makeTransfer } from './chain-builder.ts';
import { FaultyLevel, openMemoryStore, UNINDEXED } from './open-store.ts';

const { chainId, blocks } = makeChain(3);
const [genesis, first, second, third] = blocks as [
  (typeof blocks)[0],
  (typeof blocks)[0],
  (typeof blocks)[0],
  (typeof blocks)[0],
];
const vote = makeTestVote(chainId, 1, genesis.entry.header, first.entry.header);

const WRITES: readonly (readonly [string, (store: Store) => Promise<void>])[] = [
  ['commit', (store) => store.commit(makeCommit([second, third], first, third))],
  [
    'commit of a reorganisation',
    (store) => {
      const other = makeChild(genesis, [makeTransfer(genesis, chainId, 3, 4, 1n)], 9);
      return store.commit(makeCommit([other], first, other));
    },
  ],
  ['saveOwnVote', (store) => store.saveOwnVote(vote, { sourceHeight: 0n, targetHeight: 1n })],
  ['saveVotes', (store) => store.saveVotes([vote])],
  [
    'saveAgreement',
    (store) => {
      const target = checkpointOf(first.entry.header);
      return store.saveAgreement([{ source: checkpointOf(genesis.entry.header), target, votes: [vote] }], target);
    },
  ],
  ['saveEvidence', (store) => store.saveEvidence({ kind: 'double', voter: vote.voter, first: vote, second: vote })],
  ['saveMempool', (store) => store.saveMempool([makeTransfer(first, chainId, 0, 1, 1n)], [])],
  ['savePeers', (store) => store.savePeers(new Map([['a', 1]]))],
];

for (const arrivesLate of [false, true]) {
  const how = arrivesLate ? 'that turns up in the log later' : 'that is gone';
  for (const [name, write] of WRITES) {
    test(`a full disk during ${name}, ${how}: 'full', nothing of it is kept, and later writes go on`, async () => {
      const db = new FaultyLevel();
      const store = await openMemoryStore(db, UNINDEXED);
      await store.initialize(genesis, genesis.accounts);
      await store.commit(makeCommit([first], genesis, first));
      const before = await db.iterator().all();

      db.batchesLeft = 0;
      db.arrivesLate = arrivesLate;
      await expect(write(store)).rejects.toMatchObject({ name: 'StoreError', code: 'full' });
      expect(await db.iterator().all()).toEqual(before);
      expect((await store.load(chainId))?.tip).toBe(first.entry.header.id);
      expect(await store.voteGuard(vote.voter)).toBeUndefined();

      db.arrivesLate = false;
      db.batchesLeft = Number.POSITIVE_INFINITY;
      const sibling = makeChild(first, [makeTransfer(first, chainId, 4, 3, 2n)], 8);
      await store.commit(makeCommit([sibling], first, sibling));
      const expected = new FaultyLevel();
      const never = await openMemoryStore(expected, UNINDEXED);
      await never.initialize(genesis, genesis.accounts);
      await never.commit(makeCommit([first], genesis, first));
      await never.commit(makeCommit([sibling], first, sibling));
      expect(await db.iterator().all()).toEqual(await expected.iterator().all());
      expect((await store.load(chainId))?.accounts).toEqual(sibling.accounts);
    });
  }
}

test('a full disk while the chain begins leaves a new store', async () => {
  const db = new FaultyLevel();
  db.batchesLeft = 0;
  const store = await openMemoryStore(db);
  await expect(store.initialize(genesis, genesis.accounts)).rejects.toMatchObject({ code: 'full' });
  expect(await store.load(chainId)).toBeUndefined();
  db.batchesLeft = 1;
  await store.initialize(genesis, genesis.accounts);
  expect((await store.load(chainId))?.tip).toBe(genesis.entry.header.id);
});

test('writes queued behind one that fails are tried on their own', async () => {
  const db = new FaultyLevel();
  const store = await openMemoryStore(db);
  await store.initialize(genesis, genesis.accounts);
  db.batchesLeft = 1;
  const results = await Promise.allSettled([
    store.commit(makeCommit([first], genesis, first)),
    store.saveVotes([vote]),
    store.savePeers(new Map([['a', 1]])),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
  expect((await store.load(chainId))?.tip).toBe(first.entry.header.id);
});

test('while there is no room, writes are refused without touching the database, and reads go on', async () => {
  const db = new FaultyLevel();
  let room = false;
  const store = await openMemoryStore(db, { hasRoom: async () => room });
  await store.initialize(genesis, genesis.accounts);
  db.batchesLeft = 0;
  await expect(store.saveVotes([vote])).rejects.toMatchObject({ code: 'full' });
  let opened = 0;
  db.on('opening', () => {
    opened += 1;
  });
  await expect(store.saveVotes([vote])).rejects.toMatchObject({ code: 'full' });
  expect(opened).toBe(0);
  expect(await store.block(genesis.entry.header.id)).toEqual(genesis.block);
  room = true;
  db.batchesLeft = 5;
  await store.saveVotes([vote]);
  expect(opened).toBe(1);
  expect((await store.load(chainId))?.votes).toEqual([vote]);
});

test('a store closed after a failed write claims no clean stop', async () => {
  const stops: string[] = [];
  const options = {
    afterChainStored: async () => void stops.push('chain'),
    afterClose: async () => void stops.push('stop'),
  };
  const db = new FaultyLevel();
  const store = await openMemoryStore(db, options);
  await store.initialize(genesis, genesis.accounts);
  db.batchesLeft = 0;
  await expect(store.saveVotes([vote])).rejects.toMatchObject({ code: 'full' });
  await store.close();
  expect(stops).toEqual(['chain']);
  const again = await openMemoryStore(db, options);
  expect((await again.load(chainId))?.tip).toBe(genesis.entry.header.id);
  await again.close();
  expect(stops).toEqual(['chain', 'chain', 'stop']);
});

test.each([
  ['EIO', 'i/o error, fsync'],
  ['EROFS', "read-only file system, open 'GRAPEVINE-GUARDS.tmp'"],
  ['EACCES', "permission denied, open 'GRAPEVINE-GUARDS.tmp'"],
])(
  'a file of guards that cannot be written (%s) is the store’s to say, and no vote is anywhere without it',
  async (code, text) => {
    let isBroken = true;
    const saveGuards = async (): Promise<void> => {
      if (isBroken) throw Object.assign(new Error(`${code}: ${text}`), { code, errno: -5, syscall: 'open' });
    };
    const db = new FaultyLevel();
    // Nothing to file yet at the start: an empty copy is there.
    const store = await openMemoryStore(db, { saveGuards, filedGuards: new Map() });
    await store.initialize(genesis, genesis.accounts);
    const before = await db.iterator().all();
    const guard = { sourceHeight: 0n, targetHeight: 1n };
    await expect(store.saveOwnVote(vote, guard)).rejects.toMatchObject({
      name: 'StoreError',
      code: 'unwritable',
      message: expect.stringContaining(text),
    });
    expect(await db.iterator().all()).toEqual(before);
    expect(await store.voteGuard(vote.voter)).toBeUndefined();
    isBroken = false;
    await store.saveOwnVote(vote, guard);
    expect(await store.voteGuard(vote.voter)).toEqual(guard);
  },
);
