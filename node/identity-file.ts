/** The node's libp2p identity: an Ed25519 seed in a file that only its owner can read. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { bytesToHex, hexToBytes } from '../crypto/bytes.ts';
import { makeDirectory } from './make-directory.ts';

const SEED = /^[0-9a-f]{64}\s*$/;

/**
 * Reads the seed, or makes and keeps a new one where there is no file.
 * @param random gives that many strong random bytes
 * @returns 32 bytes
 * @throws Error when the file is there but is not a seed: a node must not change its identity silently
 */
export async function loadOrCreateIdentity(path: string, random: (length: number) => Uint8Array): Promise<Uint8Array> {
  try {
    const text = await readFile(path, 'utf8');
    if (!SEED.test(text))
      throw new Error(`${path} is not an identity: expected 64 hex digits; delete it to get a new one`);
    return hexToBytes(text.trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const seed = random(32);
  await makeDirectory(dirname(path));
  await writeFile(path, `${bytesToHex(seed)}\n`, { mode: 0o600, flag: 'wx' });
  return seed;
}
