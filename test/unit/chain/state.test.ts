import { describe, expect, it } from 'vitest';
import { Accounts, BranchView, connectBlock, PendingState } from '../../../chain/state.ts';
import type { Block } from '../../../chain/types.ts';
import { alice, blockOn, bob, carol, deltaOf, genesis, miner, stateOf, unsigned } from './chain-fixtures.ts';

const parent = genesis.block.header;

describe('what a block does to the accounts', () => {
  it('moves amounts, burns nothing, pays the miner last', () => {
    const accounts = new Accounts(genesis.accounts);
    accounts.apply(
      deltaOf(accounts, blockOn(parent, [unsigned(alice, { to: carol.address, amount: 700n, fee: 50n })])),
    );
    expect(accounts.get(alice.address)).toEqual({ balance: 999_250n, nonce: 1n });
    expect(accounts.get(carol.address)).toEqual({ balance: 700n, nonce: 0n });
    expect(accounts.get(miner.address)).toEqual({ balance: genesis.params.blockReward + 50n, nonce: 0n });
    expect(accounts.totalSupply()).toBe(1_500_000n + genesis.params.blockReward);
  });

  it('a transfer to oneself costs its fee', () => {
    const accounts = new Accounts(genesis.accounts);
    accounts.apply(deltaOf(accounts, blockOn(parent, [unsigned(alice, { to: alice.address, amount: 999_990n })])));
    expect(accounts.get(alice.address)).toEqual({ balance: 999_990n, nonce: 1n });
  });

  it('a miner may send in its own block, from what it had', () => {
    const accounts = new Accounts(genesis.accounts);
    const tx = unsigned(alice, { to: bob.address, amount: 1_000n, fee: 40n });
    accounts.apply(deltaOf(accounts, blockOn(parent, [tx], { miner: alice.address })));
    expect(accounts.get(alice.address)).toEqual({ balance: 999_000n + genesis.params.blockReward, nonce: 1n });
  });

  it('records as before what was there, and undefined where there was no account', () => {
    const delta = deltaOf(new Accounts(genesis.accounts), blockOn(parent, [unsigned(alice, { to: carol.address })]));
    expect(delta.before).toEqual(
      new Map([
        [alice.address, { balance: 1_000_000n, nonce: 0n }],
        [carol.address, undefined],
        [miner.address, undefined],
      ]),
    );
    expect([...delta.after.keys()].sort()).toEqual([...delta.before.keys()].sort());
  });

  it('undo is the inverse of apply and removes accounts that the block made', () => {
    const accounts = new Accounts(genesis.accounts);
    const before = stateOf(accounts);
    const delta = deltaOf(accounts, blockOn(parent, [unsigned(alice, { to: carol.address })]));
    accounts.apply(delta);
    expect(accounts.size).toBe(4);
    accounts.undo(delta);
    expect(stateOf(accounts)).toEqual(before);
    expect(accounts.size).toBe(2);
  });

  it('a block that pays nothing makes no account', () => {
    const params = { ...genesis.params, blockReward: 0n };
    const result = connectBlock(new Accounts(genesis.accounts), blockOn(parent, [], { coinbase: 0n }), params);
    expect(result).toEqual({ ok: true, delta: { before: new Map(), after: new Map() } });
  });

  it('a refused block changes nothing', () => {
    const accounts = new Accounts(genesis.accounts);
    const before = stateOf(accounts);
    const block = blockOn(parent, [unsigned(alice), unsigned(alice, { nonce: 5n })]);
    expect(connectBlock(accounts, block, genesis.params).ok).toBe(false);
    expect(stateOf(accounts)).toEqual(before);
  });

  it('refuses to apply or undo a delta that does not belong to the state', () => {
    const accounts = new Accounts(genesis.accounts);
    const delta = deltaOf(accounts, blockOn(parent, [unsigned(alice)]));
    expect(() => accounts.undo(delta)).toThrow('does not belong');
    accounts.apply(delta);
    const after = stateOf(accounts);
    expect(() => accounts.apply(delta)).toThrow('does not belong');
    expect(stateOf(accounts)).toEqual(after);
  });
});

describe('pending state', () => {
  it('leaves no trace of a transfer that is refused', () => {
    const pending = new PendingState(new Accounts(genesis.accounts));
    expect(pending.transfer(unsigned(alice, { nonce: 3n }))).toBe('block/nonce-order');
    expect(pending.transfer(unsigned(alice, { amount: 1_000_000n }))).toBe('block/balance-low');
    expect(pending.delta()).toEqual({ before: new Map(), after: new Map() });
    expect(pending.transfer(unsigned(alice))).toBeUndefined();
    expect(pending.get(alice.address).nonce).toBe(1n);
  });
});

describe('a view of another branch', () => {
  // genesis ─ a1 ─ a2 (the base's tip)
  //         └ b1 ─ b2
  const a1 = blockOn(parent, [unsigned(alice, { to: carol.address, amount: 5_000n })]);
  const a2 = blockOn(a1.header, [unsigned(carol, { to: bob.address, amount: 4_000n }), unsigned(alice, { nonce: 1n })]);
  const b1 = blockOn(parent, [unsigned(bob, { to: alice.address, amount: 77n })], { miner: bob.address });
  const b2 = blockOn(b1.header, [unsigned(bob, { nonce: 1n, to: carol.address, amount: 9n })]);

  const deltasOf = (accounts: Accounts, blocks: readonly Block[]): ReturnType<typeof deltaOf>[] =>
    blocks.map((block) => {
      const delta = deltaOf(accounts, block);
      accounts.apply(delta);
      return delta;
    });

  it('reads as if the branch were applied, and leaves the base alone', () => {
    const base = new Accounts(genesis.accounts);
    const undone = deltasOf(base, [a1, a2]).toReversed();
    const baseState = stateOf(base);
    const other = new Accounts(genesis.accounts);
    const applied = deltasOf(other, [b1, b2]);
    const view = new BranchView(base, undone, applied);
    const growing = new BranchView(base, undone, []);
    for (const { address } of [alice, bob, carol, miner]) {
      expect(view.get(address)).toEqual(other.get(address));
      expect(growing.get(address)).toEqual(new Accounts(genesis.accounts).get(address));
    }
    for (const delta of applied) growing.extend(delta);
    for (const { address } of [alice, bob, carol, miner]) expect(growing.get(address)).toEqual(other.get(address));
    expect(stateOf(base)).toEqual(baseState);
  });

  it('lets a block of the branch be connected', () => {
    const base = new Accounts(genesis.accounts);
    const undone = deltasOf(base, [a1, a2]).toReversed();
    const view = new BranchView(base, undone, []);
    expect(connectBlock(view, b1, genesis.params)).toEqual(
      connectBlock(new Accounts(genesis.accounts), b1, genesis.params),
    );
    expect(connectBlock(base, b1, genesis.params).ok).toBe(true);
    expect(connectBlock(view, a2, genesis.params)).toMatchObject({ ok: false, reason: 'block/balance-low' });
  });
});
