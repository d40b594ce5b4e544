/** Signature checks as one block of bytes, so that a batch travels to a thread without being copied: digest ‖ signature ‖ key. */
import { PUBLIC_KEY_BYTES } from '../../crypto/keys.ts';
import { DIGEST_BYTES, SIGNATURE_BYTES, type SignatureParts } from '../../crypto/signature.ts';

const KEY_AT = DIGEST_BYTES + SIGNATURE_BYTES;
export const PACKED_ITEM_BYTES = KEY_AT + PUBLIC_KEY_BYTES;

/** Writes the `index`-th item. Its lengths are right: `hasItemLengths`. */
export function packItem(target: Uint8Array, index: number, item: SignatureParts): void {
  const at = index * PACKED_ITEM_BYTES;
  target.set(item.digest, at);
  target.set(item.signature, at + DIGEST_BYTES);
  target.set(item.publicKey, at + KEY_AT);
}

/** Views of the `index`-th item. */
export function unpackItem(source: Uint8Array, index: number): SignatureParts {
  const at = index * PACKED_ITEM_BYTES;
  return {
    digest: source.subarray(at, at + DIGEST_BYTES),
    signature: source.subarray(at + DIGEST_BYTES, at + KEY_AT),
    publicKey: source.subarray(at + KEY_AT, at + PACKED_ITEM_BYTES),
  };
}
