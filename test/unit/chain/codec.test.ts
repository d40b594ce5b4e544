import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  blockBytes,
  blockIdFromBytes,
  blockIdToBytes,
  chainIdFromBytes,
  chainIdToBytes,
  type Decoded,
  decodeBlock,
  decodeBlockHeader,
  decodeEvidence,
  decodeHeader,
  decodeTx,
  decodeVote,
  encodeBlock,
  encodeEvidence,
  encodeHeader,
  makeHeader,
  makeTx,
  makeVote,
  parseBlockId,
  parseTxId,
  txDigest,
  txIdFromBytes,
  txIdToBytes,
  txRootLeaves,
  txRootOf,
  voteDigest,
  voteIdToBytes,
} from '../../../chain/codec.ts';
import { encodeCompactBlock, makeCompactBlock } from '../../../chain/compact-block.ts';
import { makeEvidence, offendersDigest } from '../../../chain/evidence.ts';
import { HEADER_BYTES, MAX_MEMO_BYTES, MAX_TX_BYTES, MIN_TX_BYTES, VOTE_BYTES } from '../../../chain/params.ts';
import { PoolDigest, shortTxId } from '../../../chain/pool-digest.ts';
import { signVote } from '../../../chain/sign.ts';
import { encodeTxBatch } from '../../../chain/tx-batch.ts';
import { addressToBytes } from '../../../crypto/address.ts';
import { bytesToHex, concatBytes, hexToBytes } from '../../../crypto/bytes.ts';
import { doubleSha256, taggedHash } from '../../../crypto/hash.ts';
import { merkleProof, verifyMerkleProof } from '../../../crypto/merkle.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { alice, blockOn, bob, genesis, miner, transfer, unsigned } from './chain-fixtures.ts';

const tx = transfer(alice, { nonce: 0x0102n, memo: new TextEncoder().encode('hello') });
const block = blockOn(genesis.block.header, [tx, transfer(bob, { to: alice.address })]);
const vote = signVote(
  {
    chainId: genesis.chainId,
    source: { height: 0n, id: genesis.block.header.id },
    target: { height: 1n, id: block.header.id },
  },
  alice.secretKey,
);

/** A copy with one byte set. */
function withByte(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[offset] = value;
  return copy;
}

function detailOf(decoded: Decoded<unknown>): string {
  return decoded.ok ? 'decoded' : decoded.detail;
}

describe('transaction encoding', () => {
  it('is laid out as PROTOCOL.md says', () => {
    const expected = [
      '01',
      genesis.chainId,
      bytesToHex(alice.publicKey),
      '0000000000000102',
      bytesToHex(addressToBytes(bob.address)),
      '0000000000000064',
      '000000000000000a',
      '0005',
      '68656c6c6f',
      bytesToHex(tx.signature),
    ].join('');
    expect(bytesToHex(tx.bytes)).toBe(expected);
    expect(tx.bytes).toHaveLength(MIN_TX_BYTES + 5);
  });

  it('decodes to the same transaction', () => {
    expect(decodeTx(tx.bytes)).toEqual({ ok: true, value: tx });
    expect(tx.from).toBe(alice.address);
  });

  it('signs the tagged hash of everything before the signature, which is its id', () => {
    const digest = taggedHash('grapevine/tx/1', tx.bytes.subarray(0, -64));
    expect(bytesToHex(txDigest(tx))).toBe(bytesToHex(digest));
    expect(tx.id).toBe(bytesToHex(digest));
    expect(nobleBackend.verify({ digest, signature: tx.signature, publicKey: alice.publicKey })).toBe(true);
  });

  it('TX-8: a re-signed twin has the same id, so it is known', () => {
    const twin = makeTx(tx, new Uint8Array(64).fill(7));
    expect(twin.id).toBe(tx.id);
    expect(bytesToHex(twin.bytes)).not.toBe(bytesToHex(tx.bytes));
  });

  it('takes memos from none to the longest', () => {
    for (const length of [0, 1, MAX_MEMO_BYTES]) {
      const { bytes } = unsigned(alice, { memo: new Uint8Array(length).fill(0xff) });
      expect(bytes).toHaveLength(MIN_TX_BYTES + length);
      expect(decodeTx(bytes).ok).toBe(true);
    }
    expect(MAX_TX_BYTES).toBe(MIN_TX_BYTES + MAX_MEMO_BYTES);
  });

  it('keeps nothing of the buffer it came in', () => {
    const buffer = Buffer.from(tx.bytes);
    const decoded = decodeTx(buffer);
    buffer.fill(0);
    expect(decoded).toEqual({ ok: true, value: tx });
  });

  it.each([
    ['nothing', new Uint8Array(), 'transaction cut short'],
    ['a byte missing from the smallest', unsigned(alice).bytes.subarray(0, MIN_TX_BYTES - 1), 'transaction cut short'],
    ['a byte missing after the memo', tx.bytes.subarray(0, -1), 'memo cut short'],
    ['a trailing byte', concatBytes(tx.bytes, Uint8Array.of(0)), 'trailing bytes after the transaction'],
    ['version 0', withByte(tx.bytes, 0, 0), 'unknown transaction version'],
    ['version 2', withByte(tx.bytes, 0, 2), 'unknown transaction version'],
    ['an uncompressed public key', withByte(tx.bytes, 33, 4), 'public key is not compressed'],
    ['a memo length above the bytes', withByte(tx.bytes, 111, 6), 'memo cut short'],
    ['a memo length below the bytes', withByte(tx.bytes, 111, 4), 'trailing bytes after the transaction'],
    ['a memo length of 65,285', withByte(tx.bytes, 110, 255), 'memo too long'],
    ['an over-long memo', unsigned(alice, { memo: new Uint8Array(257) }).bytes, 'memo too long'],
  ])('TX-1: refuses %s', (_, bytes, detail) => {
    expect(detailOf(decodeTx(bytes))).toBe(detail);
  });

  it.each([
    ['negative nonce', { nonce: -1n }],
    ['nonce of 65 bits', { nonce: 1n << 64n }],
    ['amount of 65 bits', { amount: 1n << 64n }],
    ['fee of 65 bits', { fee: 1n << 64n }],
    ['memo above u16', { memo: new Uint8Array(65_536) }],
  ])('throws RangeError when made with a %s', (_, fields) => {
    expect(() => unsigned(alice, fields)).toThrow(RangeError);
  });

  it('throws RangeError when made with a key or signature of another length', () => {
    expect(() => makeTx(tx, new Uint8Array(63))).toThrow(RangeError);
    expect(() => makeTx({ ...tx, publicKey: new Uint8Array(33) }, tx.signature)).toThrow(RangeError);
    expect(() => makeTx({ ...tx, publicKey: alice.publicKey.subarray(1) }, tx.signature)).toThrow(RangeError);
  });
});

describe('header encoding', () => {
  const { header } = block;

  it('is laid out as PROTOCOL.md says, nonce last', () => {
    const made = makeHeader({ ...header, nonce: 0x0807060504030201n });
    const expected = [
      '01',
      '0000000000000001',
      genesis.chainId,
      bytesToHex(header.txRoot),
      header.timestampMs.toString(16).padStart(16, '0'),
      header.bits.toString(16).padStart(8, '0'),
      bytesToHex(addressToBytes(miner.address)),
      '0807060504030201',
    ].join('');
    expect(bytesToHex(made.bytes)).toBe(expected);
    expect(bytesToHex(encodeHeader(made))).toBe(expected);
    expect(made.bytes).toHaveLength(HEADER_BYTES);
  });

  it('has the double SHA-256 of its bytes as id', () => {
    expect(header.id).toBe(bytesToHex(doubleSha256(header.bytes)));
  });

  it('decodes to the same header', () => {
    expect(decodeHeader(header.bytes)).toEqual({ ok: true, value: header });
  });

  it.each([
    ['a byte missing', header.bytes.subarray(1), 'header cut short'],
    ['a trailing byte', concatBytes(header.bytes, Uint8Array.of(0)), 'trailing bytes after the header'],
    ['another version', withByte(header.bytes, 0, 9), 'unknown header version'],
  ])('BLK-1: refuses a header with %s', (_, bytes, detail) => {
    expect(detailOf(decodeHeader(bytes))).toBe(detail);
  });

  it.each([
    ['height', { height: -1n }],
    ['root', { txRoot: new Uint8Array(31) }],
    ['bits', { bits: 2 ** 32 }],
    ['bits that are no integer', { bits: 1.5 }],
    ['nonce', { nonce: 1n << 64n }],
  ])('throws RangeError when made with a %s that does not fit', (_, fields) => {
    expect(() => makeHeader({ ...header, ...fields })).toThrow(RangeError);
  });
});

describe('block encoding', () => {
  const bytes = encodeBlock(block);

  it('is header, coinbase, count, transactions', () => {
    const tail = concatBytes(...block.txs.map((each) => each.bytes));
    const coinbase = block.coinbase.toString(16).padStart(16, '0');
    expect(bytesToHex(bytes)).toBe(`${bytesToHex(block.header.bytes)}${coinbase}00000002${bytesToHex(tail)}`);
    expect(blockBytes(block)).toBe(bytes.length);
  });

  it('decodes to the same block', () => {
    expect(decodeBlock(bytes)).toEqual({ ok: true, value: block });
    expect(decodeBlock(encodeBlock(genesis.block))).toEqual({ ok: true, value: genesis.block });
  });

  it('gives its header from the front alone', () => {
    expect(decodeBlockHeader(bytes)).toEqual({ ok: true, value: block.header });
    expect(decodeBlockHeader(bytes.subarray(0, HEADER_BYTES))).toEqual({ ok: true, value: block.header });
  });

  it.each([
    ['without a body', bytes.subarray(0, HEADER_BYTES), 'block cut short'],
    ['cut in its header', bytes.subarray(0, HEADER_BYTES - 1), 'header cut short'],
    ['cut in its last transaction', bytes.subarray(0, -1), 'transaction cut short'],
    ['with a trailing byte', concatBytes(bytes, Uint8Array.of(0)), 'trailing bytes after the transactions'],
    ['with a transaction more than it counts', withByte(bytes, 124, 1), 'trailing bytes after the transactions'],
    ['that counts one transaction too many', withByte(bytes, 124, 3), 'more transactions claimed than bytes for them'],
    ['that counts four billion', withByte(bytes, 121, 255), 'more transactions claimed than bytes for them'],
    ['with a malformed transaction', withByte(bytes, 125, 0), 'unknown transaction version'],
  ])('BLK-1: refuses a block %s', (_, given, detail) => {
    expect(detailOf(decodeBlock(given))).toBe(detail);
  });

  it('commits to signatures, coinbase, miner and height through the root', () => {
    const roots = [
      txRootOf(block.header, block.coinbase, block.txs),
      txRootOf(block.header, block.coinbase, [makeTx(tx, new Uint8Array(64)), block.txs[1]!]),
      txRootOf(block.header, block.coinbase + 1n, block.txs),
      txRootOf({ height: 1n, miner: bob.address }, block.coinbase, block.txs),
      txRootOf({ height: 2n, miner: miner.address }, block.coinbase, block.txs),
      txRootOf(block.header, block.coinbase, [...block.txs, block.txs[1]!]),
    ].map(bytesToHex);
    expect(new Set(roots).size).toBe(roots.length);
  });

  it('proves a transaction by its leaf', () => {
    const leaves = txRootLeaves(block.header, block.coinbase, block.txs);
    expect(bytesToHex(leaves[0]!)).toHaveLength(2 * 36);
    expect(verifyMerkleProof(block.header.txRoot, tx.bytes, merkleProof(leaves, 1))).toBe(true);
  });
});

describe('vote encoding', () => {
  it('is laid out as PROTOCOL.md says', () => {
    const expected = [
      '01',
      genesis.chainId,
      bytesToHex(alice.publicKey),
      '0000000000000000',
      genesis.block.header.id,
      '0000000000000001',
      block.header.id,
      bytesToHex(vote.signature),
    ].join('');
    expect(bytesToHex(vote.bytes)).toBe(expected);
    expect(vote.bytes).toHaveLength(VOTE_BYTES);
  });

  it('decodes to the same vote, whose id is what was signed', () => {
    expect(decodeVote(vote.bytes)).toEqual({ ok: true, value: vote });
    expect(vote.voter).toBe(alice.address);
    expect(bytesToHex(voteDigest(vote))).toBe(vote.id);
    const item = { digest: voteIdToBytes(vote.id), signature: vote.signature, publicKey: vote.publicKey };
    expect(nobleBackend.verify(item)).toBe(true);
  });

  it.each([
    ['a byte missing', vote.bytes.subarray(1), 'a vote is 210 bytes'],
    ['a trailing byte', concatBytes(vote.bytes, Uint8Array.of(0)), 'a vote is 210 bytes'],
    ['another version', withByte(vote.bytes, 0, 2), 'unknown vote version'],
    ['an uncompressed public key', withByte(vote.bytes, 33, 6), 'public key is not compressed'],
  ])('VOTE-1: refuses %s', (_, bytes, detail) => {
    expect(detailOf(decodeVote(bytes))).toBe(detail);
  });

  it('throws RangeError when made with what does not fit', () => {
    expect(() => makeVote(vote, new Uint8Array(65))).toThrow(RangeError);
    expect(() => makeVote({ ...vote, target: { ...vote.target, height: -1n } }, vote.signature)).toThrow(RangeError);
  });
});

describe('ids', () => {
  it('go to bytes and back', () => {
    expect(txIdFromBytes(txIdToBytes(tx.id))).toBe(tx.id);
    expect(blockIdFromBytes(blockIdToBytes(block.header.id))).toBe(block.header.id);
    expect(chainIdFromBytes(chainIdToBytes(genesis.chainId))).toBe(genesis.chainId);
  });

  it('are 32 bytes', () => {
    expect(() => blockIdFromBytes(new Uint8Array(31))).toThrow(RangeError);
    expect(() => txIdFromBytes(hexToBytes('00'))).toThrow(RangeError);
  });

  it('are read from 64 lower-case hex digits only', () => {
    expect(parseTxId(tx.id)).toBe(tx.id);
    expect(parseBlockId(block.header.id)).toBe(block.header.id);
    for (const text of ['', tx.id.slice(1), `${tx.id}0`, tx.id.toUpperCase(), `${tx.id}\n`, `0x${tx.id.slice(2)}`]) {
      expect([parseTxId(text), parseBlockId(text)]).toEqual([undefined, undefined]);
    }
  });
});

describe('the committed vectors: a change to them is a change of protocol', () => {
  const vectors: Record<'tx' | 'header' | 'block' | 'vote', { readonly bytes: string; readonly id: string }> & {
    readonly compactBlock: { readonly salt: string; readonly bytes: string };
    readonly batch: { readonly bytes: string };
    readonly evidence: { readonly bytes: string; readonly offenders: string };
    readonly mempool: { readonly fingerprint: string; readonly shortId: string };
  } = JSON.parse(readFileSync(new URL('../../vectors/codec.json', import.meta.url), 'utf8'));

  it.each([
    ['tx', (bytes: Uint8Array) => decodeTx(bytes)],
    ['header', (bytes: Uint8Array) => decodeHeader(bytes)],
    ['vote', (bytes: Uint8Array) => decodeVote(bytes)],
  ] as const)('%s has its id', (kind, decode) => {
    const { bytes, id } = vectors[kind];
    expect(decode(hexToBytes(bytes))).toMatchObject({ ok: true, value: { id } });
  });

  it('block has its id and keeps its root', () => {
    const decoded = decodeBlock(hexToBytes(vectors.block.bytes));
    if (!decoded.ok) throw new Error(decoded.detail);
    const { header, coinbase, txs } = decoded.value;
    expect(header.id).toBe(vectors.block.id);
    expect(txs.map(({ id }) => id)).toEqual([vectors.tx.id]);
    expect(bytesToHex(txRootOf(header, coinbase, txs))).toBe(bytesToHex(header.txRoot));
    expect(bytesToHex(encodeBlock(decoded.value))).toBe(vectors.block.bytes);
  });

  it('the block as a compact block, its short id under the salt (CMPCT-3)', () => {
    const decoded = decodeBlock(hexToBytes(vectors.block.bytes));
    if (!decoded.ok) throw new Error(decoded.detail);
    const compact = makeCompactBlock(decoded.value, BigInt(`0x${vectors.compactBlock.salt}`));
    expect(bytesToHex(encodeCompactBlock(compact))).toBe(vectors.compactBlock.bytes);
  });

  it('the transaction in a batch, and in a mempool', () => {
    const decoded = decodeTx(hexToBytes(vectors.tx.bytes));
    if (!decoded.ok) throw new Error(decoded.detail);
    const { value } = decoded;
    expect(bytesToHex(encodeTxBatch([value]))).toBe(vectors.batch.bytes);
    const pool = new PoolDigest();
    pool.toggle(value.id);
    expect(pool.fingerprint()).toBe(vectors.mempool.fingerprint);
    expect(shortTxId(value.id)).toBe(vectors.mempool.shortId);
  });

  it('the vote and another of its voter as evidence, and the digest of this offender', () => {
    const decoded = decodeEvidence(hexToBytes(vectors.evidence.bytes));
    if (!decoded.ok) throw new Error(decoded.detail);
    const { first, second, voter } = decoded.value;
    expect([first.id, second.id]).toContain(vectors.vote.id);
    expect(bytesToHex(encodeEvidence(makeEvidence(second, first)!))).toBe(vectors.evidence.bytes);
    expect(bytesToHex(offendersDigest([voter]))).toBe(vectors.evidence.offenders);
  });

  it('the signatures of transaction and vote are good, over their ids', () => {
    const decodedTx = decodeTx(hexToBytes(vectors.tx.bytes));
    const decodedVote = decodeVote(hexToBytes(vectors.vote.bytes));
    if (!decodedTx.ok || !decodedVote.ok) throw new Error('vectors do not decode');
    for (const { id, signature, publicKey } of [decodedTx.value, decodedVote.value]) {
      expect(nobleBackend.verify({ digest: hexToBytes(id), signature, publicKey })).toBe(true);
    }
  });
});
