/** Signing what the codec encodes. */
import { createSigner, type Signer } from '../crypto/sign.ts';
import { makeTx, makeVote, txDigest, voteDigest } from './codec.ts';
import type { Tx, TxBody, Vote, VoteBody } from './types.ts';

/**
 * Signs a transfer (RFC 6979, low-S).
 * @param secretKey 32 bytes
 * @throws RangeError where a field does not fit its width, or the key is not a valid scalar.
 */
export function signTx(body: Omit<TxBody, 'publicKey'>, secretKey: Uint8Array): Tx {
  return signTxBy(body, createSigner(secretKey));
}

/**
 * Signs a transfer, for those who sign many.
 * @throws RangeError where a field does not fit its width
 */
export function signTxBy(body: Omit<TxBody, 'publicKey'>, signer: Signer): Tx {
  const full: TxBody = { ...body, publicKey: signer.publicKey };
  return makeTx(full, signer.sign(txDigest(full)));
}

/**
 * Signs a vote (RFC 6979, low-S). Whether the voter may vote so is `agreement.ts`'s business.
 * @param secretKey 32 bytes
 * @throws RangeError where a field does not fit its width, or the key is not a valid scalar.
 */
export function signVote(body: Omit<VoteBody, 'publicKey'>, secretKey: Uint8Array): Vote {
  return signVoteBy(body, createSigner(secretKey));
}

/**
 * Signs a vote, for those who sign many.
 * @throws RangeError where a field does not fit its width
 */
export function signVoteBy(body: Omit<VoteBody, 'publicKey'>, signer: Signer): Vote {
  const full: VoteBody = { ...body, publicKey: signer.publicKey };
  return makeVote(full, signer.sign(voteDigest(full)));
}
