import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { concatBytes } from './bytes.ts';

/** Tags are constants of the code, a handful. The bound only keeps a tag made from input from growing the map. */
const MAX_CACHED_TAGS = 32;
const midstates = new Map<string, ReturnType<typeof nobleSha256.create>>();
const utf8 = new TextEncoder();

/**
 * SHA-256 (FIPS 180-4).
 *
 * @returns 32 bytes
 */
export function sha256(data: Uint8Array): Uint8Array {
  return nobleSha256(data);
}

/**
 * SHA-256 of SHA-256, Bitcoin's block hash.
 *
 * @returns 32 bytes
 */
export function doubleSha256(data: Uint8Array): Uint8Array {
  return nobleSha256(nobleSha256(data));
}

/**
 * BIP340's tagged hash: SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ parts). The two tag hashes fill exactly one
 * 64-byte SHA-256 block, so its midstate is computed once for each tag.
 *
 * @param tag UTF-8 domain name such as `grapevine/tx/1`
 * @param parts hashed in order as if concatenated: the caller makes the boundaries unambiguous
 * @returns 32 bytes
 */
export function taggedHash(tag: string, ...parts: readonly Uint8Array[]): Uint8Array {
  let midstate = midstates.get(tag);
  if (midstate === undefined) {
    const tagHash = nobleSha256(utf8.encode(tag));
    midstate = nobleSha256.create().update(concatBytes(tagHash, tagHash));
    if (midstates.size < MAX_CACHED_TAGS) midstates.set(tag, midstate);
  }
  const state = midstate.clone();
  for (const part of parts) state.update(part);
  return state.digest();
}
