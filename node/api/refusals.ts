/** What a transaction's reason code means, for those who read the answer: `docs/PROTOCOL.md` has the rules. */
import { MAX_NONCE_GAP } from '../../chain/mempool.ts';
import type { TxReason } from '../../chain/reasons.ts';

export const TX_REFUSALS: Readonly<Record<TxReason, string>> = {
  'tx/malformed': 'these bytes are no transaction',
  'tx/wrong-chain': 'it is for another network: its chain id is not the one of this genesis',
  'tx/zero-amount': 'it moves nothing: the amount must be above zero',
  'tx/amount-overflow': 'amount and fee together are more than there can be',
  'tx/fee-too-low': "its fee is below the network's minimum, see /v1/status",
  'tx/memo-too-long': 'its memo has more than 256 bytes',
  'tx/bad-signature': 'it is not signed by its public key',
  'tx/known': 'it is known already',
  'tx/nonce-used': "its nonce is below the sender's next one, see /v1/accounts",
  'tx/nonce-gap': `its nonce is more than ${MAX_NONCE_GAP} above the sender's next free one, which /v1/accounts has as pendingNonce`,
  'tx/balance-low': "the sender's balance does not cover amount and fee, together with what waits",
  'tx/recipient-overflow': "the recipient's balance would be more than there can be",
  'tx/replacement-underpriced': 'another transaction with this nonce waits; to replace it the fee must be 10 % higher',
  'tx/sender-limit': 'too many transactions of this sender wait already',
  'tx/pool-full':
    'the mempool is full, and this pays too little per byte to take the place of others, or waits for a lower nonce',
  'tx/expired': 'it waited too long to be mined',
  'tx/evicted': 'the mempool was full, and others with higher fees, or with no lower nonce missing, took its place',
  'tx/replaced': 'another transaction with its nonce took its place',
};
