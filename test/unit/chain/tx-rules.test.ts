import { describe, expect, it } from 'vitest';
import { chainIdFromBytes, decodeTx, makeTx } from '../../../chain/codec.ts';
import { MAX_MEMO_BYTES, MAX_U64 } from '../../../chain/params.ts';
import { Accounts } from '../../../chain/state.ts';
import { checkTxStateful } from '../../../chain/validate/tx-stateful.ts';
import { checkTxStateless, txSignatureItem } from '../../../chain/validate/tx-stateless.ts';
import { accept, ignore, reject } from '../../../chain/verdict.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { alice, bob, carol, rules, transfer, unsigned } from './chain-fixtures.ts';

describe('transactions, whatever the state', () => {
  it('accepts a plain transfer', () => {
    const tx = transfer(alice);
    expect(checkTxStateless(tx, rules)).toEqual(accept(tx));
  });

  it('TX-1: bytes that are no transaction do not decode', () => {
    expect(decodeTx(transfer(alice).bytes.subarray(1))).toMatchObject({ ok: false });
  });

  it("TX-2: rejects another chain's transaction", () => {
    const tx = unsigned(alice, { chainId: chainIdFromBytes(new Uint8Array(32)) });
    expect(checkTxStateless(tx, rules)).toEqual(reject('tx/wrong-chain'));
  });

  it('TX-3: rejects an amount of zero', () => {
    expect(checkTxStateless(unsigned(alice, { amount: 0n }), rules)).toEqual(reject('tx/zero-amount'));
    expect(checkTxStateless(unsigned(alice, { amount: 1n }), rules).kind).toBe('accept');
  });

  it('TX-4: rejects amount + fee above u64, not at it', () => {
    const over = unsigned(alice, { amount: MAX_U64 - 9n, fee: 10n });
    expect(checkTxStateless(over, rules)).toEqual(reject('tx/amount-overflow'));
    const at = unsigned(alice, { amount: MAX_U64 - 10n, fee: 10n });
    expect(checkTxStateless(at, rules)).toEqual(accept(at));
  });

  it('TX-5: rejects a fee below the least, not at it', () => {
    expect(checkTxStateless(unsigned(alice, { fee: 9n }), rules)).toEqual(reject('tx/fee-too-low'));
    expect(checkTxStateless(unsigned(alice, { fee: 10n }), rules).kind).toBe('accept');
  });

  it('TX-6: rejects a memo beyond the bound, not at it', () => {
    const over = unsigned(alice, { memo: new Uint8Array(MAX_MEMO_BYTES + 1) });
    expect(checkTxStateless(over, rules)).toEqual(reject('tx/memo-too-long'));
    const at = unsigned(alice, { memo: new Uint8Array(MAX_MEMO_BYTES) });
    expect(checkTxStateless(at, rules)).toEqual(accept(at));
  });

  it('TX-7: the item to verify holds for the right signature only', () => {
    const tx = transfer(alice);
    expect(nobleBackend.verify(txSignatureItem(tx))).toBe(true);
    expect(nobleBackend.verify(txSignatureItem(unsigned(alice)))).toBe(false);
    const byBob = makeTx({ ...tx, publicKey: bob.publicKey }, tx.signature);
    expect(nobleBackend.verify(txSignatureItem(byBob))).toBe(false);
    const raised = makeTx({ ...tx, amount: tx.amount + 1n }, tx.signature);
    expect(nobleBackend.verify(txSignatureItem(raised))).toBe(false);
  });
});

describe('transactions against the state at our tip', () => {
  const accounts = new Accounts([
    [alice.address, { balance: 1_000n, nonce: 5n }],
    [bob.address, { balance: MAX_U64 - 50n, nonce: 0n }],
  ]);

  it('TX-9: ignores a nonce that is used', () => {
    expect(checkTxStateful(unsigned(alice, { nonce: 4n }), accounts, 10n)).toEqual(ignore('tx/nonce-used'));
  });

  it('TX-10: ignores a nonce beyond the gap, takes one within it', () => {
    const to = carol.address;
    expect(checkTxStateful(unsigned(alice, { nonce: 8n, to }), accounts, 2n)).toEqual(ignore('tx/nonce-gap'));
    expect(checkTxStateful(unsigned(alice, { nonce: 6n, to }), accounts, 0n)).toEqual(ignore('tx/nonce-gap'));
    for (const nonce of [5n, 6n, 7n]) {
      const tx = unsigned(alice, { nonce, to });
      expect(checkTxStateful(tx, accounts, 2n)).toEqual(accept(tx));
    }
  });

  it('TX-11: ignores a cost above the balance, takes one at it', () => {
    const to = carol.address;
    const over = unsigned(alice, { nonce: 5n, to, amount: 991n });
    expect(checkTxStateful(over, accounts, 0n)).toEqual(ignore('tx/balance-low'));
    const at = unsigned(alice, { nonce: 5n, to, amount: 990n });
    expect(checkTxStateful(at, accounts, 0n)).toEqual(accept(at));
  });

  it('TX-11: ignores a sender who has no account', () => {
    expect(checkTxStateful(unsigned(carol), accounts, 0n)).toEqual(ignore('tx/balance-low'));
  });

  it("TX-12: ignores what would take the recipient's balance above u64, takes what fills it", () => {
    const over = unsigned(alice, { nonce: 5n, amount: 51n });
    expect(checkTxStateful(over, accounts, 0n)).toEqual(ignore('tx/recipient-overflow'));
    const at = unsigned(alice, { nonce: 5n, amount: 50n });
    expect(checkTxStateful(at, accounts, 0n)).toEqual(accept(at));
  });

  it('TX-12: a transfer to oneself overflows nothing', () => {
    const rich = unsigned(bob, { to: bob.address, amount: 1_000n });
    expect(checkTxStateless(rich, rules)).toEqual(accept(rich));
    expect(checkTxStateful(rich, accounts, 0n)).toEqual(accept(rich));
  });

  it('TX-9 comes before TX-11: the reason names what will never change', () => {
    const tx = unsigned(alice, { nonce: 0n, amount: MAX_U64 - 10n });
    expect(checkTxStateful(tx, new Accounts([[alice.address, { balance: 1n, nonce: 1n }]]), 0n)).toEqual(
      ignore('tx/nonce-used'),
    );
  });
});
