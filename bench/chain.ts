/** Chains of signed transfers, built on disk for nodes to load or to sync from. */
import { nextBits } from '../chain/asert.ts';
import { makeHeader } from '../chain/codec.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../chain/genesis.ts';
import { bitsForHashes, meetsTarget } from '../chain/target.ts';
import { buildTemplate } from '../chain/template.ts';
import type { Block, ChainEntry, Tx } from '../chain/types.ts';
import type { Address } from '../crypto/address.ts';
import type { SignatureVerifier } from '../node/ports.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import { composeFixture } from '../test/node-fixture.ts';

export const BLOCK_TIME_MS = 2000;

/** Two hashes a block; every account has 10^12. Old enough for `blocks` blocks, one each block time. */
export function oldGenesis(accounts: readonly Address[], voter: Address, blocks: number): Genesis {
  const bits = bitsForHashes(2n);
  return parseGenesis(
    genesisDoc({
      name: 'fixture',
      timestampMs: Date.now() - (blocks + 30) * BLOCK_TIME_MS,
      alloc: accounts.map((address) => ({ address, balance: 1_000_000_000_000n })),
      voters: [voter],
      params: { blockTimeMs: BLOCK_TIME_MS, powLimitBits: bits, initialBits: bits, minFee: 1n, blockReward: 5_000n },
    }),
  );
}

/** Puts the transactions, in order, `perBlock` to a block, into a chain in a store at `location`. */
export async function buildChain(
  location: string,
  genesis: Genesis,
  txs: readonly Tx[],
  perBlock: number,
  verifier: SignatureVerifier,
): Promise<readonly ChainEntry[]> {
  const store = await openLevelStore({ location, dataDir: location });
  const { node } = await composeFixture({ genesis, store, verifier });
  const { chain } = node;
  const entries: ChainEntry[] = [];
  for (let at = 0; at < txs.length; at += perBlock) {
    const block = solve(genesis, chain.tip, txs.slice(at, at + perBlock), (address) => chain.accounts.get(address));
    if (block.txs.length !== Math.min(perBlock, txs.length - at)) throw new Error('a transaction does not apply');
    const verdict = await chain.receiveBlock(block, 'mined');
    if (verdict.kind !== 'accept') throw new Error(`block ${block.header.height}: ${verdict.reason}`);
    entries.push(chain.tip);
  }
  await node.stop();
  return entries;
}

function solve(
  genesis: Genesis,
  parent: ChainEntry,
  candidates: readonly Tx[],
  get: (address: Address) => { readonly balance: bigint; readonly nonce: bigint },
): Block {
  const height = parent.header.height;
  const { params, entry } = genesis;
  const template = buildTemplate({
    parent,
    bits: nextBits(params, { height, effectiveTimeMs: parent.effectiveTimeMs }, entry.effectiveTimeMs),
    timestampMs: entry.header.timestampMs + (height + 1n) * BigInt(BLOCK_TIME_MS),
    miner: genesis.electorate[0]!,
    candidates,
    view: { get },
    params,
  });
  let header = makeHeader({ ...template.header, nonce: 0n });
  while (!meetsTarget(header.id, header.bits)) header = makeHeader({ ...template.header, nonce: header.nonce + 1n });
  return { header, coinbase: template.coinbase, txs: template.txs };
}
