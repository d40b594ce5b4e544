import { describe, expect, it } from 'vitest';
import { blockBytes, makeHeader } from '../../../chain/codec.ts';
import { MAX_BLOCK_BYTES } from '../../../chain/params.ts';
import { Accounts, connectBlock } from '../../../chain/state.ts';
import { buildTemplate } from '../../../chain/template.ts';
import type { Block, Tx } from '../../../chain/types.ts';
import { checkBlockBody } from '../../../chain/validate/block-body.ts';
import { alice, bob, carol, genesis, miner, rules, unsigned } from './chain-fixtures.ts';

const view = new Accounts(genesis.accounts);

function blockFrom(candidates: Iterable<Tx>): Block {
  const template = buildTemplate({
    parent: genesis.entry,
    bits: genesis.params.initialBits,
    timestampMs: genesis.entry.header.timestampMs + 1n,
    miner: miner.address,
    candidates,
    view,
    params: genesis.params,
  });
  const { header, coinbase, txs } = template;
  return { header: makeHeader({ ...header, nonce: 0n }), coinbase, txs };
}

describe('block template', () => {
  it('is an empty block on the parent when there is nothing to put in', () => {
    const block = blockFrom([]);
    expect(block.header).toMatchObject({ height: 1n, parent: genesis.entry.header.id, miner: miner.address });
    expect(block).toMatchObject({ coinbase: genesis.params.blockReward, txs: [] });
    expect(checkBlockBody(block, rules).kind).toBe('accept');
  });

  it('keeps the order given, pays reward and fees, and connects', () => {
    const candidates = [
      unsigned(bob, { fee: 90n, to: alice.address }),
      unsigned(alice, { fee: 80n }),
      unsigned(alice, { fee: 85n, nonce: 1n }),
    ];
    const block = blockFrom(candidates);
    expect(block.txs).toEqual(candidates);
    expect(block.coinbase).toBe(genesis.params.blockReward + 255n);
    expect(checkBlockBody(block, rules).kind).toBe('accept');
    expect(connectBlock(view, block, genesis.params).ok).toBe(true);
  });

  it('skips what does not apply, and what hangs on it', () => {
    const good = unsigned(alice);
    const candidates = [
      unsigned(carol), // no account
      unsigned(bob, { amount: 10_000_000n }), // not affordable
      unsigned(bob, { nonce: 1n }), // follows it
      good,
      good, // used by now
      unsigned(alice, { nonce: 2n }), // gap
    ];
    expect(blockFrom(candidates).txs).toEqual([good]);
  });

  it('fills the block to the bound with what fits, and stops asking then', () => {
    let asked = 0;
    function* candidates(): Iterable<Tx> {
      const memo = new Uint8Array(256);
      for (let nonce = 0n; nonce < 10_000n; nonce += 1n) {
        asked += 1;
        yield unsigned(alice, { nonce, amount: 1n, memo });
        asked += 1;
        yield unsigned(bob, { nonce, amount: 1n });
      }
    }
    const block = blockFrom(candidates());
    expect(blockBytes(block)).toBeLessThanOrEqual(MAX_BLOCK_BYTES);
    expect(blockBytes(block)).toBeGreaterThan(MAX_BLOCK_BYTES - 176);
    expect(asked).toBeLessThan(block.txs.length + 10);
    expect(checkBlockBody(block, rules).kind).toBe('accept');
  });
});
