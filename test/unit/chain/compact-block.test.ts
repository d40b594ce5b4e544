/** Rules CMPCT-1, CMPCT-3, CMPCT-4 and CMPCT-7: what a compact block says, and what can be rebuilt from it. */
import { describe, expect, test } from 'vitest';
import { makeHeader, makeTx, txRootOf } from '../../../chain/codec.ts';
import {
  type CompactBlock,
  decodeCompactBlock,
  encodeCompactBlock,
  fillBlock,
  isCompactOf,
  makeCompactBlock,
  rebuildBlock,
} from '../../../chain/compact-block.ts';
import {
  COMPACT_BLOCK_FIXED_BYTES,
  HEADER_BYTES,
  MAX_BLOCK_TXS,
  MAX_COMPACT_BLOCK_BYTES,
} from '../../../chain/params.ts';
import type { Block, Tx } from '../../../chain/types.ts';
import { checkBlockBody } from '../../../chain/validate/block-body.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { alice, bob, genesis, miner, rules, unsigned } from './chain-fixtures.ts';

const txs = Array.from({ length: 20 }, (_, i) => unsigned(i % 2 === 0 ? alice : bob, { nonce: BigInt(i) }));
const block = blockOf(txs);
const compact = makeCompactBlock(block, 5n);

function blockOf(content: readonly Tx[]): Block {
  const body = { height: 1n, miner: miner.address };
  const header = makeHeader({
    ...body,
    parent: genesis.entry.header.id,
    txRoot: txRootOf(body, 5_000n, content),
    timestampMs: 1n,
    bits: genesis.params.initialBits,
    nonce: 0n,
  });
  return { header, coinbase: 5_000n, txs: content };
}

/** The same signed content with another signature: the same TxId. */
function twinOf(tx: Tx): Tx {
  return makeTx(tx, new Uint8Array(64).fill(7));
}

function incomplete(
  of: CompactBlock,
  known: Iterable<Tx>,
): Extract<ReturnType<typeof rebuildBlock>, { kind: 'incomplete' }> {
  const rebuilt = rebuildBlock(of, known);
  if (rebuilt.kind !== 'incomplete') throw new Error('was complete');
  return rebuilt;
}

describe('CMPCT-1: the layout', () => {
  test('version, header, coinbase, salt, count, short ids of six bytes', () => {
    const bytes = encodeCompactBlock(compact);
    expect(bytes.length).toBe(COMPACT_BLOCK_FIXED_BYTES + 6 * txs.length);
    expect(bytes[0]).toBe(1);
    expect(bytes.subarray(1, 1 + HEADER_BYTES)).toEqual(block.header.bytes);
    expect(bytesToHex(bytes.subarray(114, 134))).toBe('0000000000001388000000000000000500000014');
    expect(bytesToHex(bytes.subarray(134, 140))).toBe(compact.shortIds[0]!.toString(16).padStart(12, '0'));
    expect(decodeCompactBlock(bytes)).toEqual({ ok: true, value: compact });
  });

  test('the limits: the most transactions a block can hold, and not one more', () => {
    const full = { ...compact, shortIds: new Array<number>(MAX_BLOCK_TXS).fill(2 ** 48 - 1) };
    const bytes = encodeCompactBlock(full);
    expect(bytes.length).toBe(MAX_COMPACT_BLOCK_BYTES);
    expect(decodeCompactBlock(bytes)).toEqual({ ok: true, value: full });
    expect(() => encodeCompactBlock({ ...compact, shortIds: [...full.shortIds, 0] })).toThrow(RangeError);
    const longer = new Uint8Array(MAX_COMPACT_BLOCK_BYTES + 6);
    longer.set(bytes);
    new DataView(longer.buffer).setUint32(130, MAX_BLOCK_TXS + 1);
    expect(decodeCompactBlock(longer)).toMatchObject({ ok: false });
  });

  test.each([-1, 1, 0xffff_ffff])('a count that the bytes do not bear out is refused: %i', (off) => {
    const bytes = encodeCompactBlock(compact);
    new DataView(bytes.buffer).setUint32(130, (txs.length + off) >>> 0);
    expect(decodeCompactBlock(bytes)).toMatchObject({ ok: false });
  });

  test('another version of the message or of its header is refused', () => {
    for (const at of [0, 1]) {
      const bytes = encodeCompactBlock(compact);
      bytes[at] = 2;
      expect(decodeCompactBlock(bytes)).toMatchObject({ ok: false });
    }
  });
});

describe('CMPCT-3: short ids', () => {
  test('depend on the salt and on the header', () => {
    const other = makeCompactBlock(block, 6n);
    expect(other.shortIds).not.toEqual(compact.shortIds);
    const sibling = { ...block, header: makeHeader({ ...block.header, nonce: 1n }) };
    expect(makeCompactBlock(sibling, 5n).shortIds).not.toEqual(compact.shortIds);
  });

  test('tell a re-signed twin from the transaction, whose id it shares', () => {
    const twin = twinOf(txs[3]!);
    expect(twin.id).toBe(txs[3]!.id);
    expect(incomplete(compact, [...txs.slice(0, 3), twin, ...txs.slice(4)]).missing).toEqual([3]);
  });
});

describe('CMPCT-4: rebuilding', () => {
  test('is complete with all transactions, in any order, among others', () => {
    const others = Array.from({ length: 50 }, (_, i) => unsigned(bob, { nonce: 1_000n + BigInt(i) }));
    const rebuilt = rebuildBlock(compact, [...others, ...txs.toReversed()]);
    expect(rebuilt).toEqual({ kind: 'complete', block });
  });

  test('an empty block needs nothing', () => {
    const empty = blockOf([]);
    expect(rebuildBlock(makeCompactBlock(empty, 1n), [])).toEqual({ kind: 'complete', block: empty });
  });

  test('names what is missing, by place', () => {
    expect(
      incomplete(
        compact,
        txs.filter((_, at) => at !== 0 && at !== 7),
      ),
    ).toMatchObject({
      missing: [0, 7],
      collisions: 0,
    });
    expect(incomplete(compact, []).missing).toHaveLength(txs.length);
  });

  test('two known transactions with one short id: neither is taken', () => {
    // A short id that both have cannot be found in a test; a hasher that gives one stands for it.
    const collider = { ...unsigned(bob, { nonce: 99n }), leafHash: txs[4]!.leafHash };
    expect(incomplete(compact, [collider, ...txs])).toMatchObject({ missing: [4], collisions: 1 });
  });

  test('once each place has one, the rest of what is known is not looked at', () => {
    let looked = 0;
    const known = function* () {
      for (const tx of [...txs, ...txs.map((_, at) => unsigned(bob, { nonce: 1_000n + BigInt(at) }))]) {
        looked += 1;
        yield tx;
      }
    };
    expect(rebuildBlock(compact, known()).kind).toBe('complete');
    expect(looked).toBe(txs.length);
  });

  test('one short id in two places: neither is filled', () => {
    const doubled = { ...compact, shortIds: compact.shortIds.with(9, compact.shortIds[2]!) };
    expect(incomplete(doubled, txs)).toMatchObject({ missing: [2, 9], collisions: 2 });
  });

  test('a wrong match is complete, and another block than the header’s', () => {
    const swapped = {
      ...compact,
      shortIds: compact.shortIds.with(0, compact.shortIds[1]!).with(1, compact.shortIds[0]!),
    };
    const rebuilt = rebuildBlock(swapped, txs);
    if (rebuilt.kind !== 'complete') throw new Error('not complete');
    expect(checkBlockBody(rebuilt.block, rules)).toEqual({ kind: 'reject', reason: 'block/bad-merkle-root' });
  });

  test('a stranger’s crowded short ids are no slower to look up than others', () => {
    const crowded = { ...compact, shortIds: Array.from({ length: MAX_BLOCK_TXS }, (_, i) => i * 2 ** 32 + 1) };
    expect(incomplete(crowded, txs).missing).toHaveLength(MAX_BLOCK_TXS);
  });
});

describe('filling in what was fetched', () => {
  const rebuilt = incomplete(compact, txs.slice(2));

  test('gives the block', () => {
    expect(fillBlock(compact, rebuilt, txs.slice(0, 2))).toEqual(block);
  });

  test.each([
    ['in another order', [txs[1]!, txs[0]!]],
    ['too few', [txs[0]!]],
    ['too many', txs.slice(0, 3)],
    ['a twin', [txs[0]!, twinOf(txs[1]!)]],
  ])('refuses %s', (_name, fetched) => {
    expect(fillBlock(compact, rebuilt, fetched)).toBeUndefined();
  });
});

describe('CMPCT-7: a message of the block', () => {
  test('has its coinbase and its short ids under the salt, whatever that is', () => {
    expect(isCompactOf(compact, block)).toBe(true);
    expect(isCompactOf(makeCompactBlock(block, 77n), block)).toBe(true);
  });

  test.each<[string, CompactBlock]>([
    ['another coinbase', { ...compact, coinbase: 1n }],
    ['another salt', { ...compact, salt: 6n }],
    ['one short id changed', { ...compact, shortIds: compact.shortIds.with(19, 0) }],
    ['one short id less', { ...compact, shortIds: compact.shortIds.slice(1) }],
    ['one short id more', { ...compact, shortIds: [...compact.shortIds, 0] }],
  ])('is not one with %s', (_name, message) => {
    expect(isCompactOf(message, block)).toBe(false);
  });
});
