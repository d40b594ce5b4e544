import { describe, expect, it } from 'vitest';
import { blockBytes, chainIdFromBytes, decodeBlock, encodeBlock, makeHeader, makeTx } from '../../../chain/codec.ts';
import { MAX_BLOCK_BYTES, MAX_BLOCK_TXS, MAX_U64 } from '../../../chain/params.ts';
import { Accounts, connectBlock } from '../../../chain/state.ts';
import type { Block, Tx } from '../../../chain/types.ts';
import { checkBlockBody } from '../../../chain/validate/block-body.ts';
import { txSignatureItem } from '../../../chain/validate/tx-stateless.ts';
import { accept, reject } from '../../../chain/verdict.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { alice, blockOn, bob, carol, genesis, miner, rules, transfer, unsigned } from './chain-fixtures.ts';

const parent = genesis.block.header;
const { params } = genesis;
const accounts = (): Accounts => new Accounts(genesis.accounts);
const refused = (reason: string, tx?: Tx): object => ({ ok: false, reason, ...(tx && { txId: tx.id }) });

describe('block bodies, whatever the state', () => {
  it('accepts an empty block and one with transfers', () => {
    for (const block of [blockOn(parent, []), blockOn(parent, [unsigned(alice), unsigned(bob)])]) {
      expect(checkBlockBody(block, rules)).toEqual(accept(block));
    }
  });

  it('BLK-1: bytes that are no block do not decode', () => {
    expect(decodeBlock(encodeBlock(blockOn(parent, [])).subarray(1))).toMatchObject({ ok: false });
  });

  it('BLK-2: rejects a block above the size bound, takes one at it', () => {
    // 125 bytes around the transactions: 5,681 of them leave room for 19 bytes of memo.
    const filling = Array.from({ length: MAX_BLOCK_TXS - 1 }, (_, nonce) => unsigned(alice, { nonce: BigInt(nonce) }));
    const last = (memoBytes: number): Tx => unsigned(bob, { memo: new Uint8Array(memoBytes) });
    const at = blockOn(parent, [...filling, last(19)]);
    expect(blockBytes(at)).toBe(MAX_BLOCK_BYTES);
    expect(checkBlockBody(at, rules)).toEqual(accept(at));
    const over = blockOn(parent, [...filling, last(20)]);
    expect(checkBlockBody(over, rules)).toEqual(reject('block/too-large'));
  });

  it('BLK-8: rejects a body that is not the one of the header', () => {
    const block = blockOn(parent, [unsigned(alice), unsigned(bob)]);
    const others: Block[] = [
      { ...block, txs: block.txs.slice(0, 1) },
      { ...block, txs: block.txs.toReversed() },
      { ...block, txs: [...block.txs, block.txs[1]!] }, // the twin of CVE-2012-2459
      { ...block, txs: [transfer(alice), block.txs[1]!] }, // another signature
      { ...block, coinbase: block.coinbase + 1n },
      { ...block, header: makeHeader({ ...block.header, miner: bob.address }) },
    ];
    for (const other of others) expect(checkBlockBody(other, rules)).toEqual(reject('block/bad-merkle-root'));
  });

  it('BLK-10: rejects two transactions of one id, re-signed or not', () => {
    const tx = unsigned(alice);
    const twin = makeTx(tx, new Uint8Array(64).fill(1));
    for (const second of [tx, twin]) {
      expect(checkBlockBody(blockOn(parent, [tx, second]), rules)).toEqual(reject('block/duplicate-tx'));
    }
  });

  it.each([
    ['TX-2', unsigned(alice, { chainId: chainIdFromBytes(new Uint8Array(32)) })],
    ['TX-3', unsigned(alice, { amount: 0n })],
    ['TX-4', unsigned(alice, { amount: MAX_U64 })],
    ['TX-5', unsigned(alice, { fee: 0n })],
    ['TX-6', unsigned(alice, { memo: new Uint8Array(257) })],
  ])('BLK-11: rejects a block with a transaction that breaks %s', (_, tx) => {
    const block = blockOn(parent, [unsigned(bob), tx], { coinbase: 0n });
    expect(checkBlockBody(block, rules)).toEqual(reject('block/bad-tx'));
  });

  it('BLK-12: the items to verify show which signature is bad', () => {
    const block = blockOn(parent, [transfer(alice), unsigned(bob)]);
    expect(checkBlockBody(block, rules)).toEqual(accept(block));
    expect(block.txs.map((tx) => nobleBackend.verify(txSignatureItem(tx)))).toEqual([true, false]);
  });
});

describe('blocks against the state of their parent', () => {
  it('BLK-9: refuses a coinbase other than reward + fees', () => {
    const txs = [unsigned(alice, { fee: 30n }), unsigned(bob, { fee: 12n })];
    const due = params.blockReward + 42n;
    for (const coinbase of [0n, due - 1n, due + 1n, params.blockReward, MAX_U64]) {
      expect(connectBlock(accounts(), blockOn(parent, txs, { coinbase }), params)).toEqual(
        refused('block/wrong-coinbase'),
      );
    }
    expect(connectBlock(accounts(), blockOn(parent, txs, { coinbase: due }), params).ok).toBe(true);
  });

  it.each([
    ['a gap', [1n]],
    ['a used nonce', [0n, 0n]],
    ['the wrong order', [1n, 0n]],
    ['a hole', [0n, 2n]],
  ])("BLK-13: refuses a sender's nonces with %s", (_, nonces) => {
    const txs = nonces.map((nonce, i) => unsigned(alice, { nonce, amount: BigInt(i + 1) }));
    const at = txs.find((tx, i) => tx.nonce !== BigInt(i));
    expect(connectBlock(accounts(), blockOn(parent, txs), params)).toEqual(refused('block/nonce-order', at));
  });

  it('BLK-13: takes nonces in order, other senders in between', () => {
    const txs = [
      unsigned(alice, { nonce: 0n }),
      unsigned(bob, { nonce: 0n }),
      unsigned(alice, { nonce: 1n }),
      unsigned(bob, { nonce: 1n, to: alice.address }),
    ];
    expect(connectBlock(accounts(), blockOn(parent, txs), params).ok).toBe(true);
  });

  it('BLK-14: refuses a transfer its sender cannot afford at its place', () => {
    const first = unsigned(bob, { to: carol.address, amount: 499_000n });
    const second = unsigned(bob, { nonce: 1n, to: carol.address, amount: 981n });
    expect(connectBlock(accounts(), blockOn(parent, [first, second]), params)).toEqual(
      refused('block/balance-low', second),
    );
    const affordable = unsigned(bob, { nonce: 1n, to: carol.address, amount: 980n });
    expect(connectBlock(accounts(), blockOn(parent, [first, affordable]), params).ok).toBe(true);
  });

  it('BLK-14: what came in earlier in the block may be spent, what comes later may not', () => {
    const gift = unsigned(alice, { to: carol.address, amount: 1_000n });
    const spend = unsigned(carol, { to: bob.address, amount: 900n });
    expect(connectBlock(accounts(), blockOn(parent, [gift, spend]), params).ok).toBe(true);
    expect(connectBlock(accounts(), blockOn(parent, [spend, gift]), params)).toEqual(
      refused('block/balance-low', spend),
    );
  });

  it('BLK-14: the coinbase cannot be spent in its own block', () => {
    const spend = unsigned(miner, { amount: 1_000n });
    expect(connectBlock(accounts(), blockOn(parent, [spend]), params)).toEqual(refused('block/balance-low', spend));
  });

  it('BLK-15: refuses a balance above u64, takes one at it', () => {
    const nearly = (room: bigint): Accounts =>
      new Accounts([
        [alice.address, { balance: 1_000n, nonce: 0n }],
        [bob.address, { balance: MAX_U64 - room, nonce: 0n }],
      ]);
    const tx = unsigned(alice, { amount: 100n });
    expect(connectBlock(nearly(99n), blockOn(parent, [tx]), params)).toEqual(refused('block/overflow', tx));
    expect(connectBlock(nearly(100n), blockOn(parent, [tx]), params).ok).toBe(true);
    const empty = blockOn(parent, [], { miner: bob.address });
    expect(connectBlock(nearly(params.blockReward - 1n), empty, params)).toEqual(refused('block/overflow'));
    expect(connectBlock(nearly(params.blockReward), empty, params).ok).toBe(true);
  });

  it('BLK-15: refuses a balance that is above u64 only until its owner spends it, later in the block', () => {
    const state = new Accounts([
      [alice.address, { balance: 1_000n, nonce: 0n }],
      [bob.address, { balance: MAX_U64 - 99n, nonce: 0n }],
    ]);
    const gains = unsigned(alice, { to: bob.address, amount: 100n });
    const spends = unsigned(bob, { to: carol.address, amount: 1_000n });
    expect(connectBlock(state, blockOn(parent, [gains, spends]), params)).toEqual(refused('block/overflow', gains));
    expect(connectBlock(state, blockOn(parent, [spends, gains]), params).ok).toBe(true);
  });

  it('BLK-15: refuses the last nonce, after which there is no next', () => {
    const state = new Accounts([[alice.address, { balance: 1_000n, nonce: MAX_U64 }]]);
    const tx = unsigned(alice, { nonce: MAX_U64 });
    expect(connectBlock(state, blockOn(parent, [tx]), params)).toEqual(refused('block/overflow', tx));
  });
});
