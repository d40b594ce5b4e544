import { describe, expect, it } from 'vitest';
import {
  blockFrontOf,
  blockIdFromBytes,
  chainIdFromBytes,
  type Decoded,
  decodeBlock,
  decodeBlockFront,
  decodeBlockHeader,
  decodeHeader,
  decodeTx,
  decodeVote,
  encodeBlock,
  encodeHeader,
  makeHeader,
  makeTx,
  makeVote,
  readBlock,
  readEncodedBlock,
  txIdToBytes,
  txRootOf,
  voteIdToBytes,
} from '../../chain/codec.ts';
import {
  decodeCompactBlock,
  encodeCompactBlock,
  fillBlock,
  makeCompactBlock,
  rebuildBlock,
} from '../../chain/compact-block.ts';
import { MAX_U64 } from '../../chain/params.ts';
import { signTx, signVote } from '../../chain/sign.ts';
import { claimedTxCount, decodeTxBatch, encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Block, Header, Tx, Vote } from '../../chain/types.ts';
import { addressFromBytes } from '../../crypto/address.ts';
import { bytesToHex, concatBytes, equalBytes } from '../../crypto/bytes.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { fc } from '../fast-check.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const u64 = fc.oneof(fc.bigInt({ min: 0n, max: MAX_U64 }), fc.constantFrom(0n, 1n, 1n << 32n, 1n << 53n, MAX_U64));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const address = bytes(20).map(addressFromBytes);
const blockId = bytes(32).map(blockIdFromBytes);
const chainId = bytes(32).map(chainIdFromBytes);
const publicKey = fc.tuple(fc.constantFrom(2, 3), bytes(32)).map(([prefix, x]) => Uint8Array.of(prefix, ...x));
const secretKey = fc.integer({ min: 1, max: 254 }).map((byte) => new Uint8Array(32).fill(byte));
const memo = fc.uint8Array({ maxLength: 256 });
const checkpoint = fc.record({ height: u64, id: blockId });

const txFields = { chainId, nonce: u64, to: address, amount: u64, fee: u64, memo };
const tx: fc.Arbitrary<Tx> = fc
  .tuple(fc.record({ ...txFields, publicKey }), bytes(64))
  .map(([body, signature]) => makeTx(body, signature));
const signedTx: fc.Arbitrary<Tx> = fc.tuple(fc.record(txFields), secretKey).map(([body, key]) => signTx(body, key));
const batch = fc.uniqueArray(tx, { minLength: 1, maxLength: 5, selector: ({ id }) => id });
const voteFields = { chainId, source: checkpoint, target: checkpoint };
const vote: fc.Arbitrary<Vote> = fc
  .tuple(fc.record({ ...voteFields, publicKey }), bytes(64))
  .map(([body, signature]) => makeVote(body, signature));
const signedVote: fc.Arbitrary<Vote> = fc
  .tuple(fc.record(voteFields), secretKey)
  .map(([body, key]) => signVote(body, key));
const headerBody = fc.record({
  height: u64,
  parent: blockId,
  txRoot: bytes(32),
  timestampMs: u64,
  bits: u32,
  miner: address,
  nonce: u64,
});
const header: fc.Arbitrary<Header> = headerBody.map(makeHeader);
const block: fc.Arbitrary<Block> = fc
  .tuple(headerBody, u64, fc.array(tx, { maxLength: 5 }))
  .map(([body, coinbase, txs]) => ({
    header: makeHeader({ ...body, txRoot: txRootOf(body, coinbase, txs) }),
    coinbase,
    txs,
  }));

/** One way to damage an encoding: flip bits of one byte, cut it short, or add to it. */
type Damage = (encoding: Uint8Array) => Uint8Array;
const flip: fc.Arbitrary<Damage> = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([place, mask]) => {
  return (encoding) => {
    const copy = new Uint8Array(encoding);
    const offset = place % copy.length;
    copy[offset] = copy[offset]! ^ mask;
    return copy;
  };
});
const resize: fc.Arbitrary<Damage> = fc.oneof(
  fc.nat().map(
    (place): Damage =>
      (encoding) =>
        encoding.subarray(0, place % encoding.length),
  ),
  fc.uint8Array({ minLength: 1, maxLength: 300 }).map(
    (more): Damage =>
      (encoding) =>
        concatBytes(encoding, more),
  ),
);

const decoders: readonly (readonly [string, fc.Arbitrary<Uint8Array>, (b: Uint8Array) => Uint8Array | undefined])[] = [
  ['tx', tx.map((value) => value.bytes), (b) => valueIn(decodeTx(b))?.bytes],
  ['batch', batch.map(encodeTxBatch), (b) => encoded(valueIn(decodeTxBatch(b)), encodeTxBatch)],
  ['header', header.map((value) => value.bytes), (b) => encoded(valueIn(decodeHeader(b)), encodeHeader)],
  ['block', block.map(encodeBlock), (b) => encoded(valueIn(decodeBlock(b)), encodeBlock)],
  [
    'compact block',
    fc.tuple(block, u64).map(([x, salt]) => encodeCompactBlock(makeCompactBlock(x, salt))),
    (b) => encoded(valueIn(decodeCompactBlock(b)), encodeCompactBlock),
  ],
  ['vote', vote.map((value) => value.bytes), (b) => valueIn(decodeVote(b))?.bytes],
];

function valueIn<T>(decoded: Decoded<T>): T | undefined {
  return decoded.ok ? decoded.value : undefined;
}

function encoded<T>(value: T | undefined, encode: (value: T) => Uint8Array): Uint8Array | undefined {
  return value === undefined ? undefined : encode(value);
}

describe('a compact block', () => {
  it('and what a node knows give the block, or name what is missing; with that it is the block', () => {
    const knowledge = fc.tuple(block, u64, fc.array(tx, { maxLength: 5 }), fc.nat(31));
    fc.assert(
      fc.property(knowledge, ([x, salt, others, mask]) => {
        const distinct = new Set([...x.txs, ...others].map(({ id }) => id));
        fc.pre(distinct.size === x.txs.length + others.length);
        const compact = makeCompactBlock(x, salt);
        const isMissing = x.txs.map((_, at) => ((mask >> at) & 1) === 1);
        const rebuilt = rebuildBlock(compact, [...others, ...x.txs.filter((_, at) => !isMissing[at])]);
        if (rebuilt.kind === 'complete') {
          expect(rebuilt.block).toEqual(x);
          return;
        }
        expect(rebuilt.missing).toEqual(isMissing.flatMap((missing, at) => (missing ? [at] : [])));
        const fetched = rebuilt.missing.map((at) => x.txs[at]!);
        expect(fillBlock(compact, rebuilt, fetched)).toEqual(x);
      }),
    );
  });
});

describe('decode(encode(x)) = x', () => {
  it('for transactions', () => {
    fc.assert(
      fc.property(tx, (x) => {
        expect(decodeTx(x.bytes)).toEqual({ ok: true, value: x });
      }),
    );
  });

  it('for headers, alone and at the front of a block', () => {
    fc.assert(
      fc.property(header, memo, (x, more) => {
        expect(decodeHeader(x.bytes)).toEqual({ ok: true, value: x });
        expect(decodeBlockHeader(concatBytes(x.bytes, more))).toEqual({ ok: true, value: x });
      }),
    );
  });

  it('for blocks', () => {
    fc.assert(
      fc.property(block, (x) => {
        const bytes = encodeBlock(x);
        expect(decodeBlock(bytes)).toEqual({ ok: true, value: x });
        expect(decodeBlockFront(bytes)).toEqual({ ok: true, value: blockFrontOf(x) });
        const read = readEncodedBlock(bytes);
        if (!read.ok) throw new Error(read.detail);
        for (const { front, sizeBytes, txAt } of [read.value, readBlock(x)]) {
          expect({ front, sizeBytes }).toEqual({ front: blockFrontOf(x), sizeBytes: bytes.length });
          for (const [index, tx] of x.txs.entries()) expect(txAt(index)).toEqual(tx);
          for (const index of [-1, x.txs.length]) expect(txAt(index)).toBeUndefined();
        }
      }),
    );
  });

  it('for batches of transactions, whose count is told without decoding', () => {
    fc.assert(
      fc.property(batch, (txs) => {
        const bytes = encodeTxBatch(txs);
        expect(decodeTxBatch(bytes)).toEqual({ ok: true, value: txs });
        expect(claimedTxCount(bytes)).toBe(txs.length);
      }),
    );
  });

  it('for votes', () => {
    fc.assert(
      fc.property(vote, (x) => {
        expect(decodeVote(x.bytes)).toEqual({ ok: true, value: x });
      }),
    );
  });

  it('also when made again from its own fields', () => {
    fc.assert(
      fc.property(tx, vote, header, (x, y, z) => {
        expect(makeTx(x, x.signature)).toEqual(x);
        expect(makeVote(y, y.signature)).toEqual(y);
        expect(makeHeader(z)).toEqual(z);
      }),
    );
  });
});

describe.each(decoders)('encode(decode(b)) = b for every b that decodes as a %s', (_, valid, reencode) => {
  it('valid', () => {
    fc.assert(
      fc.property(valid, (b) => {
        expect(bytesToHex(reencode(b)!)).toBe(bytesToHex(b));
      }),
    );
  });

  it('damaged', () => {
    fc.assert(
      fc.property(valid, fc.oneof(flip, resize), (b, damage) => {
        const damaged = damage(b);
        const again = reencode(damaged) ?? damaged;
        expect(bytesToHex(again)).toBe(bytesToHex(damaged));
      }),
      { numRuns: 500 },
    );
  });

  it('random, with the right version', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (b) => {
        if (b.length > 0) b[0] = 1;
        const again = reencode(b) ?? b;
        expect(bytesToHex(again)).toBe(bytesToHex(b));
      }),
      { numRuns: 500 },
    );
  });

  it('never when cut short or followed by anything', () => {
    fc.assert(
      fc.property(valid, resize, (b, damage) => {
        expect(reencode(damage(b))).toBeUndefined();
      }),
    );
  });
});

describe('one changed byte of a valid encoding', () => {
  it('makes a transaction that fails to decode, has another id, or fails its signature', () => {
    fc.assert(
      fc.property(signedTx, flip, (x, damage) => {
        const y = valueIn(decodeTx(damage(x.bytes)));
        if (y === undefined || y.id !== x.id) {
          expect(y?.id).not.toBe(x.id);
          return;
        }
        expect(verifies(txIdToBytes(y.id), y)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it('anywhere in the signature fails the signature', () => {
    fc.assert(
      fc.property(signedTx, fc.nat({ max: 63 }), fc.integer({ min: 1, max: 255 }), (x, offset, mask) => {
        const signature = new Uint8Array(x.signature);
        signature[offset] = signature[offset]! ^ mask;
        expect(verifies(txIdToBytes(x.id), { publicKey: x.publicKey, signature })).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  it('makes a vote that fails to decode, has another id, or fails its signature', () => {
    fc.assert(
      fc.property(signedVote, flip, (x, damage) => {
        const y = valueIn(decodeVote(damage(x.bytes)));
        if (y === undefined || y.id !== x.id) {
          expect(y?.id).not.toBe(x.id);
          return;
        }
        expect(verifies(voteIdToBytes(y.id), y)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it('makes a header that fails to decode or has another id', () => {
    fc.assert(
      fc.property(header, flip, (x, damage) => {
        expect(valueIn(decodeHeader(damage(x.bytes)))?.id).not.toBe(x.id);
      }),
    );
  });

  it('makes a block that fails to decode, has another id, or is not the one its root commits to', () => {
    fc.assert(
      fc.property(block, flip, (x, damage) => {
        const y = valueIn(decodeBlock(damage(encodeBlock(x))));
        const same =
          y !== undefined &&
          y.header.id === x.header.id &&
          equalBytes(txRootOf(y.header, y.coinbase, y.txs), y.header.txRoot);
        expect(same).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

function verifies(digest: Uint8Array, signed: { publicKey: Uint8Array; signature: Uint8Array }): boolean {
  return nobleBackend.verify({ digest, signature: signed.signature, publicKey: signed.publicKey });
}
