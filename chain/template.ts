import type { Address } from '../crypto/address.ts';
import { blockBytes, txRootOf } from './codec.ts';
import { type ChainParams, MAX_BLOCK_BYTES, MIN_TX_BYTES } from './params.ts';
import { PendingState } from './state.ts';
import type { AccountView, ChainEntry, HeaderBody, Tx } from './types.ts';

export interface TemplateInput {
  /** The block to build on. */
  readonly parent: ChainEntry;
  /** As `nextBits` gives it for a child of `parent`. */
  readonly bits: number;
  /** Above the parent's median time past (BLK-6). */
  readonly timestampMs: bigint;
  readonly miner: Address;
  /** Statelessly valid, best first, in nonce order per sender. */
  readonly candidates: Iterable<Tx>;
  /** The accounts as of `parent`. */
  readonly view: AccountView;
  readonly params: ChainParams;
}

/** A block that lacks only its nonce. */
export interface BlockTemplate {
  readonly header: Omit<HeaderBody, 'nonce'>;
  readonly coinbase: bigint;
  readonly txs: readonly Tx[];
}

/**
 * Fills a block with the candidates that apply, in order; skips those that do not, or that no longer fit. What it
 * gives passes BLK-2 and BLK-8..BLK-15 once a nonce is found. O(candidates), ends early when the block is full.
 */
export function buildTemplate(input: TemplateInput): BlockTemplate {
  const { parent, bits, timestampMs, miner, candidates, view, params } = input;
  const pending = new PendingState(view);
  const txs: Tx[] = [];
  let roomBytes = MAX_BLOCK_BYTES - blockBytes({ txs: [] });
  let coinbase = params.blockReward;
  for (const tx of candidates) {
    if (roomBytes < MIN_TX_BYTES) break;
    if (tx.bytes.length > roomBytes || pending.transfer(tx) !== undefined) continue;
    txs.push(tx);
    roomBytes -= tx.bytes.length;
    coinbase += tx.fee;
  }
  const height = parent.header.height + 1n;
  const txRoot = txRootOf({ height, miner }, coinbase, txs);
  return { header: { height, parent: parent.header.id, txRoot, timestampMs, bits, miner }, coinbase, txs };
}
