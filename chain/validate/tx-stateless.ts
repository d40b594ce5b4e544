import { txIdToBytes } from '../codec.ts';
import { type ChainParams, MAX_MEMO_BYTES, MAX_U64 } from '../params.ts';
import type { TxReason } from '../reasons.ts';
import type { ChainId, Tx } from '../types.ts';
import { accept, reject, type Verdict } from '../verdict.ts';

/**
 * Rules TX-2..TX-6, cheapest first: what holds of a transaction whatever the state. All reject: no honest peer of
 * this net sends one that fails. TX-7 follows, through `txSignatureItem`.
 */
export function checkTxStateless(
  tx: Tx,
  context: { readonly chainId: ChainId; readonly params: ChainParams },
): Verdict<Tx, TxReason> {
  if (tx.chainId !== context.chainId) return reject('tx/wrong-chain'); // TX-2
  if (tx.amount === 0n) return reject('tx/zero-amount'); // TX-3
  if (tx.amount + tx.fee > MAX_U64) return reject('tx/amount-overflow'); // TX-4
  if (tx.fee < context.params.minFee) return reject('tx/fee-too-low'); // TX-5
  if (tx.memo.length > MAX_MEMO_BYTES) return reject('tx/memo-too-long'); // TX-6
  return accept(tx);
}

/** What TX-7 verifies: a 32-byte digest, a 64-byte compact signature, a 33-byte key. */
export function txSignatureItem(tx: Tx): {
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: Uint8Array;
} {
  return { digest: txIdToBytes(tx.id), signature: tx.signature, publicKey: tx.publicKey };
}
