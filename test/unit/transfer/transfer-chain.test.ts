import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { createSystemRng } from '../../../node/adapters.ts';
import type { Store } from '../../../node/store/store.ts';
import { exportChain } from '../../../node/transfer/export-chain.ts';
import { type ImportReport, importChain } from '../../../node/transfer/import-chain.ts';
import { StreamDecoder } from '../../../node/transfer/stream-format.ts';
import { silentLogger } from '../../loggers.ts';
import { makeMemory, openMemoryStore } from '../store/open-store.ts';
import { buildRealChain, lateClock, realGenesis } from '../store/real-chain.ts';
import { examine, VERIFY } from '../store/sound-store.ts';

const LENGTH = 12;
let bytes: Uint8Array;

async function exported(store: Store): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  await exportChain(
    store,
    realGenesis,
    async (part) => {
      parts.push(part);
    },
    () => {},
  );
  return Buffer.concat(parts);
}

beforeAll(async () => {
  const store = await openMemoryStore();
  await buildRealChain(store, LENGTH);
  bytes = await exported(store);
});

/** The stream in pieces of odd sizes, as a pipe gives it. */
async function* inPieces(all: Uint8Array, size = 777): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size);
}

async function runImport(store: Store, all: Uint8Array, size?: number): Promise<ImportReport> {
  const stream = new StreamDecoder(inPieces(all, size));
  const genesis = await stream.genesis();
  const ports = { store, clock: lateClock, rng: createSystemRng(), logger: silentLogger, verifier: VERIFY.verifier };
  return importChain(stream, genesis, ports, () => {});
}

function resealed(all: Uint8Array): Uint8Array {
  const body = all.subarray(0, -32);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

describe('export and import', () => {
  test('bring the main chain, what is agreed and what is final into an empty store, which is sound', async () => {
    for (const size of [1, 777, 1_000_000]) {
      const db = makeMemory();
      const store = await openMemoryStore(db);
      const report = await runImport(store, bytes, size);
      expect(report).toMatchObject({ blocks: LENGTH, known: 0, tip: { height: 12n }, final: { height: 10n } });
      expect(report.certificates).toBe(LENGTH - 1);
      expect(report.statedFinal).toEqual(report.final);
      expect(Buffer.from(await exported(store)).equals(bytes)).toBe(true);
      await store.close();
      await db.open();
      expect((await examine(db)).faults).toEqual([]);
    }
  });

  test('begin with the documented magic, version and chain id, and end with the SHA-256 of the rest', () => {
    expect(Buffer.from(bytes.subarray(0, 8)).toString('ascii')).toBe('GVEXPORT');
    expect(Array.from(bytes.subarray(8, 10))).toEqual([0, 1]);
    expect(Buffer.from(bytes.subarray(10, 42)).toString('hex')).toBe(realGenesis.chainId);
    expect(resealed(bytes)).toEqual(Buffer.from(bytes));
  });

  test('a second import goes on where the first was cut off', async () => {
    const store = await openMemoryStore();
    const cut = bytes.subarray(0, Math.floor(bytes.length / 2));
    await expect(runImport(store, cut)).rejects.toMatchObject({ code: 'import/malformed' });
    const before = (await store.load(realGenesis.chainId))!.entries.length - 1;
    expect(before).toBeGreaterThan(2);
    const report = await runImport(store, bytes);
    expect(report).toMatchObject({ known: before, pruned: 0, blocks: LENGTH - before, final: { height: 10n } });
  });

  test('a flipped bit anywhere is refused', async () => {
    for (let at = 0; at < bytes.length; at += 97) {
      const wrong = Uint8Array.from(bytes);
      wrong[at] = wrong[at]! ^ 4;
      const importing = runImport(await openMemoryStore(), wrong);
      await expect(importing, `byte ${at}`).rejects.toMatchObject({ name: 'TransferError' });
    }
  });

  test('a stream with a good checksum and a broken rule is refused, and what came before it stays', async () => {
    const wrong = Uint8Array.from(bytes);
    // The last byte of the last block's content: its transaction's signature.
    const frame = lastBlockFrame(wrong);
    wrong[frame.end - 1] = wrong[frame.end - 1]! ^ 1;
    const store = await openMemoryStore();
    await expect(runImport(store, resealed(wrong))).rejects.toMatchObject({
      code: 'import/invalid',
      message: expect.stringContaining('block/bad-merkle-root'),
    });
    expect((await store.load(realGenesis.chainId))!.entries).toHaveLength(LENGTH);
  });

  test('a certificate with a bad signature is refused', async () => {
    const wrong = Uint8Array.from(bytes);
    const frame = framesOf(wrong).findLast(({ type }) => type === 2)!;
    wrong[frame.end - 1] = wrong[frame.end - 1]! ^ 1;
    await expect(runImport(await openMemoryStore(), resealed(wrong))).rejects.toMatchObject({
      code: 'import/invalid',
      message: expect.stringContaining('vote/bad-signature'),
    });
  });

  test('without its certificates a stream proves nothing final, and the report says so', async () => {
    const parts: Uint8Array[] = [bytes.subarray(0, framesOf(bytes)[0]!.start)];
    for (const { type, start, end } of framesOf(bytes)) if (type !== 2) parts.push(bytes.subarray(start, end));
    const report = await runImport(await openMemoryStore(), resealed(Buffer.concat([...parts, new Uint8Array(32)])));
    expect(report).toMatchObject({ blocks: LENGTH, final: { height: 0n }, statedFinal: { height: 10n } });
  });

  test('something after the checksum, another version and no stream at all are refused', async () => {
    const later = Uint8Array.from(bytes);
    later[9] = 2;
    const cases: readonly (readonly [Uint8Array, RegExp])[] = [
      [Buffer.concat([bytes, Uint8Array.of(0)]), /something follows/],
      [later, /version 2/],
      [new TextEncoder().encode('hello, this is no chain'), /does not begin/],
      [new Uint8Array(), /cut short/],
    ];
    for (const [all, message] of cases) {
      await expect(runImport(await openMemoryStore(), all)).rejects.toThrow(message);
    }
  });

  test('a store with another branch is refused before anything is written', async () => {
    const store = await openMemoryStore();
    const node = await buildRealChain(store, 1);
    const first = node.chain.tip.header.id;
    const other = await openMemoryStore();
    // The same parent, mined half a second later.
    const { openOffline, mineBlock, receive } = await import('../store/real-chain.ts');
    const theirs = await openOffline(other);
    const entry = await receive(theirs, mineBlock(theirs.chain.tip, [], 2_500));
    expect(entry.header.id).not.toBe(first);
    await expect(runImport(other, bytes)).rejects.toMatchObject({ code: 'import/wrong-chain' });
    expect((await other.load(realGenesis.chainId))!.tip).toBe(entry.header.id);
  });

  test('an empty store has nothing to export', async () => {
    await expect(exported(await openMemoryStore())).rejects.toMatchObject({ code: 'export/empty' });
  });
});

interface FrameAt {
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

function framesOf(all: Uint8Array): readonly FrameAt[] {
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  const frames: FrameAt[] = [];
  let at = 46 + view.getUint32(42);
  while (at < all.length - 32) {
    const end = at + 5 + view.getUint32(at + 1);
    frames.push({ type: all[at]!, start: at, end });
    at = end;
  }
  return frames;
}

function lastBlockFrame(all: Uint8Array): FrameAt {
  return framesOf(all).findLast(({ type }) => type === 1)!;
}
