/** Signed transfers to measure with, the same in every run. */

import { signTx } from '../chain/sign.ts';
import type { ChainId, Tx } from '../chain/types.ts';
import { txSignatureItem } from '../chain/validate/tx-stateless.ts';
import { type Address, addressOf } from '../crypto/address.ts';
import { sha256 } from '../crypto/hash.ts';
import { publicKeyOf } from '../crypto/keys.ts';
import type { SignatureParts } from '../crypto/signature.ts';

const SENDERS = 200;

export interface Sender {
  readonly secretKey: Uint8Array;
  readonly address: Address;
}

export function makeSenders(): Sender[] {
  return Array.from({ length: SENDERS }, (_, i) => {
    const secretKey = sha256(Uint8Array.of(i & 0xff, i >> 8));
    return { secretKey, address: addressOf(publicKeyOf(secretKey)) };
  });
}

/** Transfers in nonce order, one of each sender in turn. */
export function makeTransfers(chainId: ChainId, senders: readonly Sender[], count: number): Tx[] {
  return Array.from({ length: count }, (_, i) => {
    const body = {
      chainId,
      nonce: BigInt(Math.floor(i / senders.length)),
      to: senders[(i + 1) % senders.length]!.address,
      amount: 1n,
      fee: 1000n,
      memo: new Uint8Array(0),
    };
    return signTx(body, senders[i % senders.length]!.secretKey);
  });
}

export function itemsOf(txs: readonly Tx[]): SignatureParts[] {
  return txs.map(txSignatureItem);
}
