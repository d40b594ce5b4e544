import { MAX_U64 } from '../params.ts';
import type { TxReason } from '../reasons.ts';
import type { AccountView, Tx } from '../types.ts';
import { accept, ignore, type Verdict } from '../verdict.ts';

/**
 * Rules TX-9..TX-12, cheapest first. Pure: `accounts` is the state at our tip, and the sender may be honest on a
 * tip we have not seen, so all of them ignore.
 * @param maxGap how far above the sender's next nonce a transaction may be; 0n: it must be the next
 */
export function checkTxStateful(tx: Tx, accounts: AccountView, maxGap: bigint): Verdict<Tx, TxReason> {
  const sender = accounts.get(tx.from);
  if (tx.nonce < sender.nonce) return ignore('tx/nonce-used'); // TX-9
  if (tx.nonce > sender.nonce + maxGap) return ignore('tx/nonce-gap'); // TX-10: the mempool parks it
  if (tx.amount + tx.fee > sender.balance) return ignore('tx/balance-low'); // TX-11
  // TX-12: a transfer to oneself only costs its fee.
  if (tx.to !== tx.from && accounts.get(tx.to).balance + tx.amount > MAX_U64) return ignore('tx/recipient-overflow');
  return accept(tx);
}
