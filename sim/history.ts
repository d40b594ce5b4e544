/** A chain from before the world began: valid blocks, one at each block time, with real work, and no votes. */
import { nextBits } from '../chain/asert.ts';
import { makeHeader } from '../chain/codec.ts';
import type { Genesis } from '../chain/genesis.ts';
import { Accounts, connectBlock } from '../chain/state.ts';
import { bitsToTarget } from '../chain/target.ts';
import { buildTemplate } from '../chain/template.ts';
import type { Account, ChainEntry } from '../chain/types.ts';
import { checkHeader } from '../chain/validate/header.ts';
import type { Address } from '../crypto/address.ts';
import type { Store, StoredBlock } from '../node/store/store.ts';
import { grind } from './drawn-solver.ts';
import { simulationKey } from './world.ts';

/** Blocks a batch: a history is written as fast as it can be, not as it came. */
const BATCH_BLOCKS = 500;

/** @param count blocks on top of genesis */
export function buildHistory(genesis: Genesis, count: number): readonly StoredBlock[] {
  const { params } = genesis;
  const accounts = new Accounts(genesis.accounts);
  const miner = simulationKey('history').address;
  const blocks: StoredBlock[] = [];
  let parent: ChainEntry = genesis.entry;
  for (let at = 1; at <= count; at++) {
    const bits = nextBits(
      params,
      { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs },
      genesis.entry.effectiveTimeMs,
    );
    const timestampMs = parent.header.timestampMs + BigInt(params.blockTimeMs);
    const template = buildTemplate({ parent, bits, timestampMs, miner, candidates: [], view: accounts, params });
    const { nonce } = grind(makeHeader({ ...template.header, nonce: 0n }).bytes, bitsToTarget(bits)!);
    const block = { header: makeHeader({ ...template.header, nonce }), coinbase: template.coinbase, txs: template.txs };
    const verdict = checkHeader(block.header, {
      parent,
      recentTimesMs: [parent.header.timestampMs], // each later than the one before
      nowMs: timestampMs,
      params,
      genesisEffectiveTimeMs: genesis.entry.effectiveTimeMs,
    });
    const connected = connectBlock(accounts, block, params);
    if (verdict.kind !== 'accept' || !connected.ok) throw new Error(`block ${at} of the history is not valid`);
    accounts.apply(connected.delta);
    parent = { ...verdict.value, arrival: at };
    blocks.push({ entry: parent, block, delta: connected.delta });
  }
  return blocks;
}

/**
 * Writes genesis and a history, and closes the store: its node opens another on the same disk.
 *
 * @param store empty
 * @param blocks as `buildHistory` gives them
 */
export async function saveHistory(store: Store, genesis: Genesis, blocks: readonly StoredBlock[]): Promise<void> {
  const first: StoredBlock = {
    entry: genesis.entry,
    block: genesis.block,
    delta: { before: new Map(), after: genesis.accounts },
  };
  await store.initialize(first, genesis.accounts);
  for (let at = 0; at < blocks.length; at += BATCH_BLOCKS) {
    const added = blocks.slice(at, at + BATCH_BLOCKS);
    const accounts = new Map<Address, Account | undefined>();
    for (const { delta } of added) for (const [address, account] of delta.after) accounts.set(address, account);
    const connected = added.map(({ block }) => block);
    await store.commit({ added, move: { tip: connected.at(-1)!.header.id, disconnected: [], connected, accounts } });
  }
  await store.close();
}
