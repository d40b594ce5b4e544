import { describe, expect, test } from 'vitest';
import { blockFrontOf } from '../../../chain/codec.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import {
  blockStanding,
  blockSummaryDto,
  entryRefDto,
  historyEntryDto,
  memoText,
  transactionDto,
} from '../../../node/api/dto.ts';
import { alice, blockOn, bob, entryOf, genesis, miner, transfer } from '../chain/chain-fixtures.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each([
  ['text', utf8('rent, März – 家賃 🎉'), 'rent, März – 家賃 🎉'],
  ['nothing', new Uint8Array(), undefined],
  ['a line break', utf8('two\nlines'), undefined],
  ['a terminal’s escape', utf8('\u001b[2Jgone'), undefined],
  ['a C1 control character', utf8('\u009b2J'), undefined],
  ['bytes that are no UTF-8', Uint8Array.of(0xc3, 0x28), undefined],
  ['a byte order mark, which stays', utf8('\ufeffx'), '\ufeffx'],
])('a memo of %s', (_what, memo, text) => {
  expect(memoText(memo)).toBe(text);
});

test('a transaction: amounts and nonces as decimal text, bytes as hex, the memo as text where it is some', () => {
  const tx = transfer(alice, { nonce: 2n ** 63n, amount: 2n ** 60n + 1n, memo: utf8('hi') });
  expect(transactionDto(tx)).toEqual({
    id: tx.id,
    chainId: genesis.chainId,
    from: formatAddress(alice.address),
    publicKey: bytesToHex(alice.publicKey),
    nonce: '9223372036854775808',
    to: formatAddress(bob.address),
    amount: '1152921504606846977',
    fee: '10',
    memo: '6869',
    memoText: 'hi',
    signature: bytesToHex(tx.signature),
    sizeBytes: tx.bytes.length,
  });
  expect(transactionDto(transfer(alice))).toMatchObject({ memo: '' });
  expect(transactionDto(transfer(alice))).not.toHaveProperty('memoText');
});

describe('how a block stands', () => {
  const heights = { tip: 10n, agreed: 8n, final: 7n };
  test.each([
    [10n, true, { state: 'mined', confirmations: 1 }],
    [9n, true, { state: 'mined', confirmations: 2 }],
    [8n, true, { state: 'agreed', confirmations: 3 }],
    [7n, true, { state: 'final', confirmations: 4 }],
    [0n, true, { state: 'final', confirmations: 11 }],
    [7n, false, { state: 'side', confirmations: 0 }],
  ] as const)('height %i, on the main chain: %s', (height, onMain, standing) => {
    expect(blockStanding(height, onMain, heights)).toEqual(standing);
  });
});

test('a block: its header’s fields and its standing', () => {
  const tx = transfer(alice);
  const block = blockOn(genesis.block.header, [tx]);
  const standing = { state: 'mined', confirmations: 1 } as const;
  const summary = {
    id: block.header.id,
    height: '1',
    parent: genesis.block.header.id,
    txRoot: bytesToHex(block.header.txRoot),
    timestampMs: block.header.timestampMs.toString(),
    bits: genesis.params.initialBits,
    miner: formatAddress(miner.address),
    nonce: '0',
    coinbase: '5010',
    txCount: 1,
    ...standing,
  };
  expect(blockSummaryDto(blockFrontOf(block), standing)).toEqual(summary);
  expect(entryRefDto(entryOf(block.header, genesis.entry))).toEqual({ height: '1', id: block.header.id });
});

test.each([
  ['out', alice, bob],
  ['in', bob, bob],
  ['out', alice, alice],
])('a history entry is %s by whose history it is; to oneself it is out', (direction, owner, to) => {
  const tx = transfer(alice, { to: to.address, memo: utf8('x') });
  const block = { height: 4n, id: genesis.block.header.id };
  const place = { block, index: 2, timestampMs: 9n, state: 'agreed' } as const;
  expect(historyEntryDto(tx, formatAddress(owner.address), place)).toEqual({
    id: tx.id,
    block: { height: '4', id: block.id },
    index: 2,
    timestampMs: '9',
    state: 'agreed',
    direction,
    from: formatAddress(alice.address),
    to: formatAddress(to.address),
    nonce: '0',
    amount: '100',
    fee: '10',
    memo: '78',
    memoText: 'x',
  });
});
