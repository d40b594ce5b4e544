/** Keystore files: readable by their owner only, whole or absent, never overwritten. */
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Keystore, parseKeystore } from '../crypto/keystore.ts';
import { makeDirectory } from '../node/make-directory.ts';
import { saveNewFile } from './new-file.ts';

export type KeystoreFileErrorCode = 'exists' | 'missing' | 'not-a-file' | 'permissions' | 'too-large';

/** About the file; what is wrong with a keystore in it is a KeystoreError. */
export class KeystoreFileError extends Error {
  override readonly name = 'KeystoreFileError';
  readonly code: KeystoreFileErrorCode;

  constructor(code: KeystoreFileErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A keystore is about 500 bytes. */
const MAX_FILE_BYTES = 16_384;
const OWNER_ONLY = 0o600;
const OTHERS = 0o077;
/** Windows has no such mode bits: Node reports 0666 for every writable file there. */
const HAS_MODES = process.platform !== 'win32';

/**
 * Writes a keystore with mode 0600, creating its folder (0700) when missing. The file appears whole or not at all, and is
 * never put in the place of another.
 *
 * @throws KeystoreFileError `exists`; the system's own error when the disk refuses
 */
export async function saveKeystore(path: string, keystore: Keystore): Promise<void> {
  await makeDirectory(dirname(path), 0o700);
  try {
    await saveNewFile(path, `${JSON.stringify(keystore, null, 2)}\n`, OWNER_ONLY, 'refuse');
  } catch (error) {
    if (codeOf(error) === 'EEXIST') {
      throw new KeystoreFileError('exists', `${path} exists: a keystore is never overwritten, choose another name`);
    }
    throw error;
  }
}

/**
 * Reads a keystore; its password is not needed yet. On POSIX a file that others may read or write is refused.
 *
 * @throws KeystoreFileError `missing`, `not-a-file`, `permissions`, `too-large`; KeystoreError as `parseKeystore`
 */
export async function loadKeystore(path: string): Promise<Keystore> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new KeystoreFileError('missing', `no keystore at ${path}`);
    throw error;
  }
  try {
    // Asked of the open file, so that what is checked is what is read.
    const stat = await file.stat();
    if (!stat.isFile()) throw new KeystoreFileError('not-a-file', `${path} is not a file`);
    if (HAS_MODES && (stat.mode & OTHERS) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new KeystoreFileError(
        'permissions',
        `${path} is open to others (mode ${mode}): run chmod 600 on it, and consider the key known if they could read it`,
      );
    }
    if (stat.size > MAX_FILE_BYTES) {
      throw new KeystoreFileError(
        'too-large',
        `${path} has ${stat.size} bytes, a keystore has at most ${MAX_FILE_BYTES}`,
      );
    }
    return parseKeystore(await file.readFile('utf8'));
  } finally {
    await file.close();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
