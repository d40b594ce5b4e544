import { describe, expect, it } from 'vitest';
import { makeHeader } from '../../chain/codec.ts';
import { Accounts, BranchView, connectBlock, PendingState } from '../../chain/state.ts';
import { buildTemplate } from '../../chain/template.ts';
import type { AccountView, Block, BlockDelta, Header, Tx } from '../../chain/types.ts';
import { checkBlockBody } from '../../chain/validate/block-body.ts';
import { checkTxStateful } from '../../chain/validate/tx-stateful.ts';
import { fc } from '../fast-check.ts';
import { blockOn, deltaOf, entryOf, genesis, rules, stateOf, testKey, unsigned } from '../unit/chain/chain-fixtures.ts';

// The first two have a balance in the genesis; the others come into being on the way.
const keys = [1, 2, 3, 4, 5].map(testKey);
const addresses = keys.map(({ address }) => address);
const { params } = genesis;

/** A transfer by indices; `share` of 100 parts of what the sender has. */
const move = fc.record({
  from: fc.nat({ max: keys.length - 1 }),
  to: fc.nat({ max: keys.length - 1 }),
  share: fc.integer({ min: 1, max: 100 }),
  fee: fc.integer({ min: 10, max: 200 }),
});
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;
const plannedBlock = fc.record({
  miner: fc.nat({ max: keys.length - 1 }),
  moves: fc.array(move, { maxLength: 8 }),
});
const plannedChain = fc.array(plannedBlock, { minLength: 1, maxLength: 8 });

/** The transfer that the plan means in this state; undefined where the sender can't pay. */
function txOf({ from, to, share, fee }: Move, accounts: AccountView): Tx | undefined {
  const { balance, nonce } = accounts.get(addresses[from]!);
  const amount = ((balance - BigInt(fee)) * BigInt(share)) / 100n;
  if (amount < 1n) return undefined;
  return unsigned(keys[from]!, { to: addresses[to]!, nonce, amount, fee: BigInt(fee) });
}

/** Makes the planned block valid: each transfer is planned on the state after those before it. */
function realize(plan: { miner: number; moves: readonly Move[] }, parent: Header, accounts: Accounts): Block {
  const pending = new PendingState(accounts);
  const txs: Tx[] = [];
  for (const planned of plan.moves) {
    const tx = txOf(planned, pending);
    if (tx === undefined) continue;
    if (pending.transfer(tx) !== undefined) throw new Error('the plan is not valid');
    txs.push(tx);
  }
  return blockOn(parent, txs, { miner: addresses[plan.miner]! });
}

/** Applies the plans in order; gives the blocks and what each did. */
function grow(
  accounts: Accounts,
  start: Header,
  plans: readonly { miner: number; moves: readonly Move[] }[],
): { block: Block; delta: BlockDelta }[] {
  let parent = start;
  return plans.map((plan) => {
    const block = realize(plan, parent, accounts);
    const delta = deltaOf(accounts, block);
    accounts.apply(delta);
    parent = block.header;
    return { block, delta };
  });
}

function sumOf(accounts: Accounts): bigint {
  return [...accounts.entries()].reduce((sum, [, { balance }]) => sum + balance, 0n);
}

describe('random blocks', () => {
  it('undo is the exact inverse of apply, block by block', () => {
    fc.assert(
      fc.property(plannedChain, (plans) => {
        const accounts = new Accounts(genesis.accounts);
        const states = [stateOf(accounts)];
        let parent = genesis.block.header;
        const deltas: BlockDelta[] = [];
        for (const plan of plans) {
          const block = realize(plan, parent, accounts);
          const delta = deltaOf(accounts, block);
          accounts.apply(delta);
          deltas.push(delta);
          states.push(stateOf(accounts));
          parent = block.header;
        }
        for (const delta of deltas.toReversed()) {
          expect(stateOf(accounts)).toEqual(states.pop());
          accounts.undo(delta);
        }
        expect(stateOf(accounts)).toEqual(states.pop());
        expect(accounts.totalSupply()).toBe(1_500_000n);
      }),
    );
  });

  it('conserve the supply: rewards in, nothing else', () => {
    fc.assert(
      fc.property(plannedChain, (plans) => {
        const accounts = new Accounts(genesis.accounts);
        let parent = genesis.block.header;
        for (const plan of plans) {
          const before = accounts.totalSupply();
          const block = realize(plan, parent, accounts);
          accounts.apply(deltaOf(accounts, block));
          expect(accounts.totalSupply()).toBe(before + params.blockReward);
          expect(sumOf(accounts)).toBe(accounts.totalSupply());
          parent = block.header;
        }
      }),
    );
  });

  it('leave no account that is empty and unused, and no negative balance', () => {
    fc.assert(
      fc.property(plannedChain, (plans) => {
        const accounts = new Accounts(genesis.accounts);
        grow(accounts, genesis.block.header, plans);
        for (const [, { balance, nonce }] of accounts.entries()) {
          expect(balance >= 0n && (balance > 0n || nonce > 0n)).toBe(true);
        }
      }),
    );
  });

  it('are seen through a branch view as if they were applied', () => {
    fc.assert(
      fc.property(plannedChain, plannedChain, plannedChain, (common, ours, theirs) => {
        const base = new Accounts(genesis.accounts);
        const fork = grow(base, genesis.block.header, common).at(-1)!.block.header;
        const other = new Accounts(base.entries());
        const undone = grow(base, fork, ours).map(({ delta }) => delta);
        const applied = grow(other, fork, theirs).map(({ delta }) => delta);
        const view = new BranchView(base, undone.toReversed(), applied);
        for (const address of addresses) expect(view.get(address)).toEqual(other.get(address));
        // A reorganisation, done for real, ends in the same state.
        for (const delta of undone.toReversed()) base.undo(delta);
        for (const delta of applied) base.apply(delta);
        expect(stateOf(base)).toEqual(stateOf(other));
      }),
    );
  });
});

describe('templates from arbitrary candidates', () => {
  const candidate = fc.record({
    from: fc.nat({ max: keys.length - 1 }),
    to: fc.nat({ max: keys.length - 1 }),
    nonce: fc.nat({ max: 3 }),
    amount: fc.integer({ min: 1, max: 2_000_000 }),
    fee: fc.integer({ min: 10, max: 1_000 }),
  });

  it('always connect, and take whatever is valid at once', () => {
    fc.assert(
      fc.property(fc.array(candidate, { maxLength: 12 }), fc.nat({ max: 4 }), (planned, miner) => {
        const view = new Accounts(genesis.accounts);
        const candidates = planned.map(({ from, to, nonce, amount, fee }) =>
          unsigned(keys[from]!, {
            to: addresses[to]!,
            nonce: BigInt(nonce),
            amount: BigInt(amount),
            fee: BigInt(fee),
          }),
        );
        const { header, coinbase, txs } = buildTemplate({
          parent: entryOf(genesis.block.header, genesis.entry),
          bits: params.initialBits,
          timestampMs: 1n,
          miner: addresses[miner]!,
          candidates,
          view,
          params,
        });
        const block: Block = { header: makeHeader({ ...header, nonce: 0n }), coinbase, txs };
        expect(checkBlockBody(block, rules).kind).toBe('accept');
        expect(connectBlock(view, block, params)).toMatchObject({ ok: true });
        const first = candidates.find((tx) => checkTxStateful(tx, view, 0n).kind === 'accept');
        expect(txs[0]?.id).toBe(first?.id);
      }),
    );
  });
});
