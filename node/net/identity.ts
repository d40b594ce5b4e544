/** Identities from seeds. Apart from the host, so that a command can name a peer without loading the whole of libp2p. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { PeerKey } from '../ports.ts';

/** DER of an Ed25519 PKCS#8 key up to the seed, RFC 8410 §7. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_BYTES = 32;

/**
 * The libp2p identity of a 32-byte Ed25519 seed (RFC 8032 §5.1.5).
 *
 * @throws RangeError when the seed is not 32 bytes
 */
export function identityOfSeed(seed: Uint8Array): PrivateKey {
  if (seed.byteLength !== SEED_BYTES) throw new RangeError(`identity seed must be ${SEED_BYTES} bytes`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-SEED_BYTES);
  return privateKeyFromRaw(Buffer.concat([seed, publicKey]));
}

/**
 * The peer id of a node with this identity seed, so that a devnet can write multiaddrs before any node runs.
 *
 * @param seed 32 bytes
 * @throws RangeError when the seed is not 32 bytes
 */
export function peerIdOfSeed(seed: Uint8Array): PeerKey {
  return peerIdFromPrivateKey(identityOfSeed(seed)).toString();
}
