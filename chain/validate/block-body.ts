import { equalBytes } from '../../crypto/bytes.ts';
import { blockBytes, txRootOf } from '../codec.ts';
import { type ChainParams, MAX_BLOCK_BYTES } from '../params.ts';
import type { BlockReason } from '../reasons.ts';
import type { Block, ChainId, TxId } from '../types.ts';
import { accept, reject, type Verdict } from '../verdict.ts';
import { checkTxStateless } from './tx-stateless.ts';

/**
 * Rules BLK-2, BLK-8, BLK-10, BLK-11: what holds of a body whatever the state. Cheapest first, except that the
 * merkle root comes before what the miner vouches for: a body that is not the header's says nothing about the
 * header. Signatures (BLK-12) are checked by the caller, in batches. O(transactions).
 */
export function checkBlockBody(
  block: Block,
  context: { readonly chainId: ChainId; readonly params: ChainParams },
): Verdict<Block, BlockReason> {
  if (blockBytes(block) > MAX_BLOCK_BYTES) return reject('block/too-large'); // BLK-2
  const root = txRootOf(block.header, block.coinbase, block.txs);
  if (!equalBytes(root, block.header.txRoot)) return reject('block/bad-merkle-root'); // BLK-8
  const seen = new Set<TxId>();
  for (const tx of block.txs) {
    if (seen.has(tx.id)) return reject('block/duplicate-tx'); // BLK-10
    seen.add(tx.id);
    if (checkTxStateless(tx, context).kind !== 'accept') return reject('block/bad-tx'); // BLK-11
  }
  return accept(block);
}
