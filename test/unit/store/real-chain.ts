/**
 * A small real chain in a store: mined, signed, voted and final, through the node's own services. What `db verify`
 * calls sound.
 */

import { nextBits } from '../../../chain/asert.ts';
import { makeHeader, txRootOf } from '../../../chain/codec.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../../../chain/genesis.ts';
import { signTx, signVote } from '../../../chain/sign.ts';
import { bitsForHashes, meetsTarget } from '../../../chain/target.ts';
import type { Block, ChainEntry, Checkpoint, Tx, Vote } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemRng } from '../../../node/adapters.ts';
import type { GrapevineNode } from '../../../node/compose.ts';
import { composeOffline } from '../../../node/offline-node.ts';
import type { Clock } from '../../../node/ports.ts';
import type { Store } from '../../../node/store/store.ts';
import { createInlineVerifier } from '../../../node/verify/inline-verifier.ts';
import { silentLogger } from '../../loggers.ts';
import { testKey } from '../chain/chain-fixtures.ts';

export const VOTERS = [testKey(11), testKey(12), testKey(13)];
export const SENDER = testKey(21);
export const RECIPIENT = testKey(22);
export const MINER = testKey(23);
export const START_MS = Date.parse('2025-01-01T00:00:00.000Z');
export const BLOCK_MS = 2_000;

/** Two hashes a block. */
export const realGenesis: Genesis = parseGenesis(
  genesisDoc({
    name: 'real',
    timestampMs: START_MS,
    alloc: [
      { address: SENDER.address, balance: 1_000_000n },
      { address: RECIPIENT.address, balance: 7n },
    ],
    voters: VOTERS.map(({ address }) => address),
    params: { powLimitBits: bitsForHashes(2n), initialBits: bitsForHashes(2n), minFee: 10n, blockReward: 5_000n },
  }),
);

/** Stands still a while after the chain. */
export const lateClock: Clock = {
  nowMs: () => START_MS + 86_400_000,
  monotonicMs: () => 0,
  after: (_delayMs, fn) => {
    const timer = setImmediate(fn);
    return () => clearImmediate(timer);
  },
  sleep: async () => {},
};

export function openOffline(store: Store, genesis: Genesis = realGenesis): Promise<GrapevineNode> {
  const verifier = createInlineVerifier(nobleBackend, lateClock);
  return composeOffline(genesis, { store, clock: lateClock, rng: createSystemRng(), logger: silentLogger, verifier });
}

export function makeTx(nonce: bigint, amount = 100n): Tx {
  const { chainId } = realGenesis;
  const fields = { chainId, nonce, to: RECIPIENT.address, amount, fee: 10n, memo: new Uint8Array() };
  return signTx(fields, SENDER.secretKey);
}

export function makeVote(voter: (typeof VOTERS)[number], source: Checkpoint, target: Checkpoint): Vote {
  const ends = { source: { height: source.height, id: source.id }, target: { height: target.height, id: target.id } };
  return signVote({ chainId: realGenesis.chainId, ...ends }, voter.secretKey);
}

/** A mined block on `parent`, `BLOCK_MS` later. */
export function mineBlock(parent: ChainEntry, txs: readonly Tx[], laterMs = BLOCK_MS): Block {
  const { params, entry } = realGenesis;
  const height = parent.header.height + 1n;
  const coinbase = txs.reduce((sum, tx) => sum + tx.fee, params.blockReward);
  const position = { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs };
  const body = {
    height,
    parent: parent.header.id,
    txRoot: txRootOf({ height, miner: MINER.address }, coinbase, txs),
    timestampMs: parent.header.timestampMs + BigInt(laterMs),
    bits: nextBits(params, position, entry.effectiveTimeMs),
    miner: MINER.address,
  };
  for (let nonce = 0n; ; nonce += 1n) {
    const header = makeHeader({ ...body, nonce });
    if (meetsTarget(header.id, header.bits)) return { header, coinbase, txs };
  }
}

/** Hands a block to the node, which must take it. */
export async function receive(node: GrapevineNode, block: Block): Promise<ChainEntry> {
  const verdict = await node.chain.receiveBlock(block, 'mined');
  if (verdict.kind !== 'accept') throw new Error(`the test's block is refused: ${verdict.reason}`);
  return node.chain.tree.get(block.header.id)!;
}

/**
 * Genesis and `length` blocks, every second with a transaction; a side branch of one block at height 3; two of three
 * voters silent never: each height but the last is agreed from the one before it, so the last but one is final.
 */
export async function buildRealChain(store: Store, length: number): Promise<GrapevineNode> {
  const node = await openOffline(store);
  let parent = node.chain.tip;
  let nonce = 0n;
  for (let i = 1; i <= length; i += 1) {
    const txs: Tx[] = [];
    if (i % 2 === 0) {
      txs.push(makeTx(nonce));
      nonce += 1n;
    }
    const fork = parent;
    parent = await receive(node, mineBlock(parent, txs));
    if (i === 3) await receive(node, mineBlock(fork, [], BLOCK_MS + 500));
    if (i === length) break;
    const votes = VOTERS.map((voter) => makeVote(voter, fork.header, parent.header));
    for (const vote of votes.slice(1)) node.agreement.receiveVote(vote);
    // The first voter votes here: with its guard.
    const guard = { sourceHeight: fork.header.height, targetHeight: parent.header.height };
    await store.saveOwnVote(votes[0]!, guard);
    node.agreement.receiveVote(votes[0]!);
    await node.agreement.settled();
  }
  await store.saveMempool([makeTx(nonce), makeTx(nonce + 1n)], []);
  await store.savePeers(new Map([['/ip4/127.0.0.1/tcp/7501', 1]]));
  await node.chain.idle();
  return node;
}
