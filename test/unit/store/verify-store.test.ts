import { beforeAll, describe, expect, test } from 'vitest';
import { effectiveTimeMs, nextBits } from '../../../chain/asert.ts';
import { encodeBlock, encodeEvidence, makeTx as encodeTx, makeHeader, txRootOf } from '../../../chain/codec.ts';
import { bitsToTarget, meetsTarget, workOfTarget } from '../../../chain/target.ts';
import type { Block, BlockId, ChainEntry, Header, HeaderBody, Tx } from '../../../chain/types.ts';
import { equalBytes } from '../../../crypto/bytes.ts';
import { indexOf } from '../../../node/store/derived-records.ts';
import { FAULTS, type FaultKind } from '../../../node/store/faults.ts';
import * as keys from '../../../node/store/keys.ts';
import { META } from '../../../node/store/keys.ts';
import * as records from '../../../node/store/records.ts';
import { applyFixes } from '../../../node/store/verify-store.ts';
import type { Memory } from './open-store.ts';
import { openMemoryStore } from './open-store.ts';
import { MINER, makeTx, makeVote, openOffline, realGenesis, SENDER, VOTERS } from './real-chain.ts';
import { databaseOf, examine, makeSoundRecords, type RecordPair, seal } from './sound-store.ts';

const LENGTH = 10;
const [VOTER] = VOTERS.map(({ address }) => address);
let sound: readonly RecordPair[];
/** Main chain by height. */
let chain: readonly ChainEntry[];
let blocks: readonly Block[];
let side: ChainEntry;

beforeAll(async () => {
  sound = await makeSoundRecords(LENGTH);
  const node = await openOffline(await openMemoryStore(await databaseOf(sound)));
  const { tree } = node.chain;
  chain = Array.from({ length: LENGTH + 1 }, (_, height) => tree.mainAt(BigInt(height))!);
  blocks = await Promise.all(chain.map(async ({ header }) => (await node.chain.block(header.id))!));
  side = tree.children(chain[2]!.header.id).find(({ header }) => !tree.isOnMain(header.id))!;
});

const idAt = (height: number): BlockId => chain[height]!.header.id;
const flip = async (db: Memory, key: Uint8Array): Promise<void> => {
  const value = Uint8Array.from((await db.get(key))!);
  value[5] = value[5]! ^ 1;
  await db.put(key, value);
};

/** A block with work on `parent`, whatever else it is. */
function mineOn(
  parent: ChainEntry,
  txs: readonly Tx[],
  fields: Partial<HeaderBody> & { readonly coinbase?: bigint },
): Block {
  const { coinbase = realGenesis.params.blockReward, ...rest } = fields;
  const height = parent.header.height + 1n;
  const position = { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs };
  const body = {
    height,
    parent: parent.header.id,
    txRoot: txRootOf({ height, miner: MINER.address }, coinbase, txs),
    timestampMs: parent.header.timestampMs + 2_000n,
    bits: nextBits(realGenesis.params, position, realGenesis.entry.effectiveTimeMs),
    miner: MINER.address,
    ...rest,
  };
  for (let nonce = 0n; ; nonce += 1n) {
    const header = makeHeader({ ...body, nonce });
    if (meetsTarget(header.id, header.bits)) return { header, coinbase, txs };
  }
}

/** Stores a block as if it had been found good, and makes it the tip. */
async function plantTip(db: Memory, parent: ChainEntry, block: Block): Promise<void> {
  const { header } = block;
  const entry = {
    header,
    totalWork: parent.totalWork + workOfTarget(bitsToTarget(header.bits)!),
    effectiveTimeMs: effectiveTimeMs(
      realGenesis.params,
      parent.effectiveTimeMs,
      [parent.header.timestampMs],
      header.timestampMs,
    ),
    arrival: 100,
  };
  await seal(db, keys.entryKey(header.id), records.encodeEntry({ entry, sumChange: 0 }));
  await seal(db, keys.blockKey(header.id), encodeBlock(block));
  await seal(db, keys.deltaKey(header.id), records.encodeDelta({ before: new Map(), after: new Map() }));
  await seal(db, META.tip, keys.entryKey(header.id).subarray(1));
}

/** As a node leaves it that was killed before, or while, it indexed the topmost blocks. */
async function unindex(db: Memory, heights: readonly number[], left: number): Promise<void> {
  const items = heights.flatMap((height) => [...indexOf(blocks[height]!)]);
  for (const [key] of items.slice(left)) await db.del(key);
  await seal(db, META.unindexed, records.encodeBlockIds(heights.map(idAt)));
}

async function historyKeyOf(db: Memory): Promise<Uint8Array> {
  for await (const key of db.keys(keys.rangeOf(keys.KIND.history))) return key;
  throw new Error('no history');
}

interface Planted {
  readonly name: string;
  /** The fault that must be among those found. */
  readonly kind: FaultKind;
  readonly plant: (db: Memory) => Promise<void>;
  /** Height of the tip after repair; all of it where not given. */
  readonly tip?: number;
}

const unsignedTx = (): Tx => encodeTx({ ...makeTx(5n), publicKey: SENDER.publicKey }, new Uint8Array(64).fill(1));
const double = (db: Memory, kind: 'double' | 'surround') => {
  const first = makeVote(VOTERS[1]!, chain[1]!.header, chain[3]!.header);
  const second = makeVote(VOTERS[1]!, chain[4]!.header, chain[5]!.header);
  const evidence = { kind, voter: first.voter, first, second };
  return seal(db, keys.evidenceKey(evidence), encodeEvidence(evidence));
};

const PLANTED: readonly Planted[] = [
  { name: 'a key of no kind', kind: 'unknown-record', plant: (db) => db.put(Uint8Array.of(0x77, 1), Uint8Array.of(1)) },
  {
    name: 'a key too long',
    kind: 'unknown-record',
    plant: (db) => db.put(new Uint8Array(40).fill(6), Uint8Array.of(1)),
  },
  {
    name: 'a meta field of no name',
    kind: 'unknown-record',
    plant: (db) => seal(db, Uint8Array.of(0, 99), Uint8Array.of(1)),
  },
  { name: 'a header with a flipped bit', kind: 'bad-record', plant: (db) => flip(db, keys.entryKey(idAt(4))) },
  { name: 'a body with a flipped bit', kind: 'bad-record', plant: (db) => flip(db, keys.blockKey(idAt(4))), tip: 3 },
  { name: 'a delta with a flipped bit', kind: 'bad-record', plant: (db) => flip(db, keys.deltaKey(idAt(4))) },
  {
    name: 'an account with a flipped bit',
    kind: 'bad-record',
    plant: (db) => flip(db, keys.accountKey(SENDER.address)),
  },
  { name: 'a tip record with a flipped bit', kind: 'bad-record', plant: (db) => flip(db, META.tip) },
  { name: 'no chain id', kind: 'meta', plant: (db) => db.del(META.chain) },
  { name: 'no tip', kind: 'meta', plant: (db) => db.del(META.tip) },
  { name: 'no final block', kind: 'meta', plant: (db) => db.del(META.final) },
  { name: 'no schema', kind: 'meta', plant: (db) => db.del(META.schema) },
  { name: 'no number of batches', kind: 'meta', plant: (db) => db.del(META.batch) },
  { name: 'no record of what was pruned', kind: 'pruned', plant: (db) => db.del(META.pruned) },
  { name: 'a repair cut short', kind: 'cut-short', plant: (db) => seal(db, META.repairing, records.encodeU32(2)) },
  { name: 'a header that is gone', kind: 'header-missing', plant: (db) => db.del(keys.entryKey(idAt(6))) },
  { name: 'the genesis header gone', kind: 'header-missing', plant: (db) => db.del(keys.entryKey(idAt(0))) },
  {
    name: 'header and body gone',
    kind: 'header-parent',
    plant: async (db) => {
      await db.del(keys.entryKey(idAt(6)));
      await db.del(keys.blockKey(idAt(6)));
    },
    tip: 5,
  },
  {
    name: 'a header that is older than the median',
    kind: 'header-invalid',
    plant: (db) =>
      plantTip(db, chain[LENGTH]!, mineOn(chain[LENGTH]!, [], { timestampMs: chain[1]!.header.timestampMs })),
  },
  {
    name: 'a header with another target',
    kind: 'header-invalid',
    plant: (db) => plantTip(db, chain[LENGTH]!, mineOn(chain[LENGTH]!, [], { bits: 0x2100ffff })),
  },
  {
    name: 'a wrong total work',
    kind: 'header-derived',
    plant: async (db) => {
      const entry = { ...chain[4]!, totalWork: 1n };
      await seal(db, keys.entryKey(idAt(4)), records.encodeEntry({ entry, sumChange: 0 }));
    },
  },
  { name: 'a body gone', kind: 'body-missing', plant: (db) => db.del(keys.blockKey(idAt(7))), tip: 6 },
  {
    name: "the tip's body gone",
    kind: 'body-missing',
    plant: (db) => db.del(keys.blockKey(idAt(LENGTH))),
    tip: LENGTH - 1,
  },
  { name: "a side branch's body gone", kind: 'body-missing', plant: (db) => db.del(keys.blockKey(side.header.id)) },
  {
    name: 'a body of another block',
    kind: 'body-invalid',
    plant: (db) => seal(db, keys.blockKey(idAt(7)), encodeBlock(blocks[6]!)),
    tip: 6,
  },
  {
    name: 'a body that its header does not name',
    kind: 'body-invalid',
    plant: (db) => seal(db, keys.blockKey(idAt(7)), encodeBlock({ ...blocks[7]!, coinbase: 1n })),
    tip: 6,
  },
  {
    name: 'a transaction with a bad signature',
    kind: 'body-signature',
    plant: (db) => plantTip(db, chain[LENGTH]!, mineOn(chain[LENGTH]!, [unsignedTx()], { coinbase: 5_010n })),
  },
  {
    name: 'a block that pays too much',
    kind: 'body-state',
    plant: (db) => plantTip(db, chain[LENGTH]!, mineOn(chain[LENGTH]!, [], { coinbase: 6_000n })),
  },
  {
    name: 'a pruned store whose accounts are wrong',
    kind: 'base-state',
    plant: async (db) => {
      for (let height = 1; height < 4; height += 1) {
        await db.del(keys.blockKey(idAt(height)));
        await db.del(keys.deltaKey(idAt(height)));
        for (const { id, from, to } of blocks[height]!.txs) {
          await db.del(keys.txLocationKey(id));
          for (const address of [from, to]) await db.del(keys.historyKey(address, BigInt(height)));
        }
      }
      await seal(db, META.pruned, records.encodePruned({ bodiesFrom: 4n, undoFrom: 4n }));
      await db.del(keys.accountKey(MINER.address));
    },
    tip: 0,
  },
  { name: 'a delta gone', kind: 'delta-missing', plant: (db) => db.del(keys.deltaKey(idAt(5))) },
  {
    name: 'a delta of another block',
    kind: 'delta-wrong',
    plant: async (db) => {
      const key = keys.deltaKey(idAt(5));
      await seal(db, key, records.encodeDelta({ before: new Map(), after: new Map() }));
    },
  },
  {
    name: 'a delta of no block',
    kind: 'delta-orphan',
    plant: (db) =>
      seal(db, keys.deltaKey('07'.repeat(32) as BlockId), records.encodeDelta({ before: new Map(), after: new Map() })),
  },
  { name: 'an account gone', kind: 'account-missing', plant: (db) => db.del(keys.accountKey(MINER.address)) },
  {
    name: 'a stale account',
    kind: 'account-wrong',
    plant: (db) => seal(db, keys.accountKey(SENDER.address), records.encodeAccount({ balance: 1_000_000n, nonce: 0n })),
  },
  {
    name: 'money from nowhere',
    kind: 'account-extra',
    plant: (db) => seal(db, keys.accountKey(VOTER!), records.encodeAccount({ balance: 1n, nonce: 0n })),
  },
  {
    name: 'balances that come to more than was paid',
    kind: 'supply',
    plant: (db) => seal(db, keys.accountKey(VOTER!), records.encodeAccount({ balance: 1n, nonce: 0n })),
  },
  {
    name: "a transaction's place gone",
    kind: 'tx-index',
    plant: (db) => db.del(keys.txLocationKey(blocks[2]!.txs[0]!.id)),
  },
  {
    name: "a transaction's place wrong",
    kind: 'tx-index',
    plant: (db) =>
      seal(db, keys.txLocationKey(blocks[2]!.txs[0]!.id), records.encodeTxLocation({ block: idAt(4), index: 0 })),
  },
  {
    name: 'a place of a transaction that nobody mined',
    kind: 'tx-index',
    plant: (db) => seal(db, keys.txLocationKey(makeTx(9n).id), records.encodeTxLocation({ block: idAt(4), index: 0 })),
  },
  {
    name: 'a place gone of a block below those that are to be indexed',
    kind: 'tx-index',
    plant: async (db) => {
      await db.del(keys.txLocationKey(blocks[2]!.txs[0]!.id));
      await seal(db, META.unindexed, records.encodeBlockIds([idAt(LENGTH)]));
    },
  },
  {
    name: 'a block to be indexed that is not on the main chain',
    kind: 'tx-index',
    plant: (db) => seal(db, META.unindexed, records.encodeBlockIds([side.header.id])),
  },
  {
    name: 'a list of blocks to be indexed that is none',
    kind: 'bad-record',
    plant: (db) => seal(db, META.unindexed, new Uint8Array(33)),
  },
  { name: 'a history item gone', kind: 'history', plant: async (db) => db.del(await historyKeyOf(db)) },
  {
    name: 'a history of fewer transactions than there are',
    kind: 'history',
    plant: async (db) => seal(db, await historyKeyOf(db), records.encodeHistory({ block: idAt(2), indices: [] })),
  },
  {
    name: 'a history item of nothing',
    kind: 'history',
    plant: (db) => seal(db, keys.historyKey(VOTER!, 3n), records.encodeHistory({ block: idAt(3), indices: [7] })),
  },
  { name: 'a tip that is nowhere', kind: 'tip', plant: (db) => seal(db, META.tip, new Uint8Array(32).fill(7)) },
  {
    name: 'a certificate with too few votes',
    kind: 'certificate-invalid',
    plant: async (db) => {
      const ends = { source: chain[3]!.header, target: chain[4]!.header };
      const votes = [makeVote(VOTERS[0]!, ends.source, ends.target)];
      await seal(db, keys.certificateKey(ends.target), records.encodeCertificate({ ...ends, votes }));
    },
  },
  {
    name: 'a certificate with a bad signature',
    kind: 'certificate-invalid',
    plant: async (db) => {
      const ends = { source: chain[3]!.header, target: chain[4]!.header };
      const votes = VOTERS.map((voter) => makeVote(voter, ends.source, ends.target));
      const bytes = records.encodeCertificate({ ...ends, votes });
      bytes[bytes.length - 1] = bytes.at(-1)! ^ 1;
      await seal(db, keys.certificateKey(ends.target), bytes);
    },
  },
  {
    name: 'a certificate gone that others rest on',
    kind: 'certificate-unproved',
    plant: (db) => db.del(keys.certificateKey(chain[4]!.header)),
  },
  {
    name: 'a final block beside the main chain',
    kind: 'final',
    plant: (db) => seal(db, META.final, records.encodeCheckpoint(side.header)),
  },
  {
    name: 'a final block that nothing proves',
    kind: 'final',
    plant: (db) => seal(db, META.final, records.encodeCheckpoint(chain[LENGTH]!.header)),
  },
  {
    name: 'a vote with a bad signature',
    kind: 'vote-invalid',
    plant: (db) => {
      const vote = makeVote(VOTERS[1]!, chain[1]!.header, chain[9]!.header);
      const bytes = Uint8Array.from(vote.bytes);
      bytes[bytes.length - 1] = bytes.at(-1)! ^ 1;
      return seal(db, keys.voteKey(vote), bytes);
    },
  },
  {
    name: 'a vote of no elector',
    kind: 'vote-invalid',
    plant: (db) => {
      const vote = makeVote(MINER, chain[1]!.header, chain[9]!.header);
      return seal(db, keys.voteKey(vote), vote.bytes);
    },
  },
  { name: 'a guard with a flipped bit', kind: 'guard-unreadable', plant: (db) => flip(db, keys.guardKey(VOTER!)) },
  {
    name: 'a guard that forgets a vote',
    kind: 'guard-behind',
    plant: (db) => seal(db, keys.guardKey(VOTER!), records.encodeGuard({ sourceHeight: 1n, targetHeight: 2n })),
  },
  { name: 'evidence that proves nothing', kind: 'evidence-invalid', plant: (db) => double(db, 'surround') },
  {
    name: 'a waiting transaction with a bad signature',
    kind: 'mempool-invalid',
    plant: (db) => seal(db, keys.mempoolKey(unsignedTx().id), unsignedTx().bytes),
  },
  { name: 'an address book with a flipped bit', kind: 'peers-unreadable', plant: (db) => flip(db, keys.PEERS_KEY) },
  {
    name: 'LevelDB that can not read on',
    kind: 'unreadable',
    plant: async (db) => {
      const read = db.get.bind(db) as (key: Uint8Array, options?: object) => Promise<Uint8Array | undefined>;
      let isBroken = true;
      Object.assign(db, {
        get: async (key: Uint8Array, options: object) => {
          const isHit = isBroken && key[0] === keys.KIND.delta;
          if (!isHit) return read(key, options);
          isBroken = false;
          throw Object.assign(new Error('Corruption: block checksum mismatch'), { code: 'LEVEL_CORRUPTION' });
        },
      });
    },
  },
];

/** Planted where there are files: `repair-store.test.ts`. */
const ON_DISK: readonly FaultKind[] = ['files', 'guard-file'];

describe('db verify', () => {
  test('finds nothing in a sound store', async () => {
    const found = await examine(await databaseOf(sound));
    expect(found.faults).toEqual([]);
    expect(found.fixes).toEqual([]);
    expect(found).toMatchObject({
      blocks: LENGTH + 2,
      transactions: 5,
      certificates: LENGTH - 1,
      votes: 3 * (LENGTH - 1),
    });
  });

  for (const { name, kind, plant, tip = LENGTH } of PLANTED) {
    test(`${kind}: ${name} is found, and repair leaves a sound store that a node loads`, async () => {
      const db = await databaseOf(sound);
      await plant(db);
      const found = await examine(db);
      expect(found.faults.map((fault) => fault.kind)).toContain(kind);
      for (const fault of found.faults) expect(fault.repair).toBe(FAULTS[fault.kind]);
      if (tip < LENGTH) expect(found.lost).toEqual({ from: BigInt(tip + 1), to: BigInt(LENGTH) });
      await applyFixes(db, found.fixes);

      const after = await examine(db);
      expect(after.faults).toEqual([]);
      expect(after.tip.header.height).toBe(BigInt(tip));
      const store = await openMemoryStore(db);
      const loaded = await store.load(realGenesis.chainId);
      expect(loaded?.tip).toBe(idAt(tip));
      const guard = await store.voteGuard(VOTER!);
      expect(guard!.targetHeight).toBeGreaterThanOrEqual(BigInt(LENGTH - 1));
      expect(guard!.sourceHeight).toBeGreaterThanOrEqual(BigInt(LENGTH - 2));
    });
  }

  test('every fault that it knows is planted by a test', () => {
    const planted = new Set<FaultKind>([...PLANTED.map(({ kind }) => kind), ...ON_DISK]);
    expect([...planted].sort()).toEqual(Object.keys(FAULTS).sort());
  });

  test('signatures of transactions are left out unless asked for', async () => {
    const db = await databaseOf(sound);
    await plantTip(db, chain[LENGTH]!, mineOn(chain[LENGTH]!, [unsignedTx()], { coinbase: 5_010n }));
    const kinds = (await examine(db, { signatures: false })).faults.map(({ kind }) => kind);
    expect(kinds).not.toContain('body-signature');
  });

  test("another chain's store is refused", async () => {
    const db = await databaseOf(sound);
    await seal(db, META.chain, new Uint8Array(32).fill(7));
    await expect(examine(db)).rejects.toMatchObject({ name: 'StoreError', code: 'wrong-chain' });
  });
});

describe('the vote guard (VOTE-8)', () => {
  const headerOf = (height: number): Header => chain[height]!.header;

  test('is raised above everything this node can have voted for where it can not be read', async () => {
    const db = await databaseOf(sound);
    await flip(db, keys.guardKey(VOTER!));
    const { raised, fixes } = await examine(db);
    const since = (BigInt(Math.floor(Date.parse('2025-01-02T00:00:00Z'))) - headerOf(LENGTH).timestampMs) / 2_000n;
    expect(raised.map(({ voter }) => voter)).toEqual(expect.arrayContaining(VOTERS.map(({ address }) => address)));
    for (const { height } of raised) expect(height).toBeGreaterThan(BigInt(LENGTH) + since + 1_000n);
    await applyFixes(db, fixes);
    const store = await openMemoryStore(db);
    const guard = await store.voteGuard(VOTER!);
    expect(guard?.sourceHeight).toBe(raised[0]!.height);
    expect(guard?.targetHeight).toBe(raised[0]!.height);
    // The store itself refuses to let the key vote sooner.
    const vote = makeVote(VOTERS[0]!, headerOf(8), headerOf(9));
    const voting = store.saveOwnVote(vote, { sourceHeight: 8n, targetHeight: 9n });
    await expect(voting).rejects.toThrow(/VOTE-8/);
  });

  test('stays as it is where only what follows from blocks is wrong', async () => {
    const db = await databaseOf(sound);
    await db.del(keys.deltaKey(idAt(5)));
    await db.del(keys.txLocationKey(blocks[2]!.txs[0]!.id));
    const { raised, fixes } = await examine(db);
    expect(raised).toEqual([]);
    await applyFixes(db, fixes);
    const guard = await (await openMemoryStore(db)).voteGuard(VOTER!);
    expect(guard).toEqual({ sourceHeight: BigInt(LENGTH - 2), targetHeight: BigInt(LENGTH - 1) });
  });

  test('is written before anything else', async () => {
    const db = await databaseOf(sound);
    await flip(db, keys.guardKey(VOTER!));
    await db.del(keys.deltaKey(idAt(5)));
    const { fixes } = await examine(db);
    const batches: Uint8Array[][] = [];
    const write = db.batch.bind(db) as (operations: object[], options: object) => Promise<void>;
    Object.assign(db, {
      batch: (operations: { readonly key: Uint8Array }[], options: object) => {
        batches.push(operations.map(({ key }) => key));
        return write(operations, options);
      },
    });
    await applyFixes(db, fixes);
    expect(batches[0]!.some((key) => key[0] === keys.KIND.guard)).toBe(true);
    expect(
      batches
        .slice(1)
        .flat()
        .some((key) => key[0] === keys.KIND.guard),
    ).toBe(false);
    expect(batches.at(-1)).toEqual([META.repairing]);
  });
});

describe.each([0, 1])('what a killed node had not indexed, but for %i items,', (left) => {
  const TOPMOST = [LENGTH - 2, LENGTH - 1, LENGTH];

  test('is no fault, and is indexed by the next start', async () => {
    const db = await databaseOf(sound);
    await unindex(db, TOPMOST, left);
    expect(await db.iterator().all()).not.toEqual(sound);
    expect((await examine(db)).faults).toEqual([]);
    await (await openMemoryStore(db)).load(realGenesis.chainId);
    for (const [key, record] of sound) {
      if (equalBytes(key, META.batch)) continue; // the number of the last write
      await expect.poll(() => db.get(key), { interval: 1, timeout: 20_000 }).toEqual(record);
    }
  });

  test('is indexed by a repair of something else', async () => {
    const db = await databaseOf(sound);
    await unindex(db, TOPMOST, left);
    await db.del(keys.deltaKey(idAt(4)));
    const { faults, fixes } = await examine(db);
    expect(faults.map(({ kind }) => kind)).toEqual(['delta-missing']);
    await applyFixes(db, fixes);
    expect(await db.iterator().all()).toEqual(sound);
  });
});
