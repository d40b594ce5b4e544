/**
 * Encrypted keystores: scrypt (RFC 7914) makes a key of the password, XChaCha20-Poly1305 seals the secret key with
 * it. The address stands in clear, so that a wallet can list its keys, and is bound as associated data, so that it
 * cannot be exchanged.
 *
 * A failed seal cannot tell a wrong password from a damaged file; the checksum, which needs no password, can. It
 * guards against accidents only: whoever alters the file on purpose can make it match, and is caught by the seal.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { scryptAsync } from '@noble/hashes/scrypt.js';
import { type Address, addressOf, formatAddress, parseAddress } from './address.ts';
import { bytesToHex, hexToBytes } from './bytes.ts';
import { taggedHash } from './hash.ts';
import { publicKeyOf, SECRET_KEY_BYTES } from './keys.ts';

export interface ScryptParams {
  /** Cost, a power of two. */
  readonly n: number;
  /** Block size. */
  readonly r: number;
  /** Parallelism. */
  readonly p: number;
}

/** What is stored, as JSON. Byte strings are lower-case hex. */
export interface Keystore {
  readonly version: 1;
  readonly kdf: ScryptParams & { readonly name: 'scrypt'; readonly salt: string };
  readonly cipher: { readonly name: 'xchacha20-poly1305'; readonly nonce: string; readonly text: string };
  /** bech32m */
  readonly address: string;
  /** First four bytes of a hash of all other fields. */
  readonly checksum: string;
}

export type KeystoreErrorCode = 'wrong-password' | 'damaged' | 'unknown-version' | 'too-costly';

/** The keystore cannot be opened, or is none; `code` says why, for programs. */
export class KeystoreError extends Error {
  override readonly name = 'KeystoreError';
  readonly code: KeystoreErrorCode;

  constructor(code: KeystoreErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** 128 MiB and about half a second to a second in JavaScript. */
export const DEFAULT_SCRYPT: ScryptParams = { n: 2 ** 17, r: 8, p: 1 };
/** scrypt needs 128·n·r bytes: a file may not ask for more than twice the default. */
const MAX_SCRYPT_BYTES = 2 ** 28;
/** Bounds the time, which is proportional to n·r·p. */
const MAX_PARALLELISM = 4;

const VERSION = 1;
const SALT_BYTES = 32;
const NONCE_BYTES = 24;
const SEAL_BYTES = 16;
const CHECKSUM_BYTES = 4;
const TAG = `grapevine/keystore/${VERSION}`;
const utf8 = new TextEncoder();

/**
 * @param secretKey 32 bytes
 * @param password not empty; compared after Unicode normalisation (NFKC)
 * @param randomBytes cryptographically strong source
 * @param options scrypt's cost, for tests and for slow machines; default `DEFAULT_SCRYPT`
 * @throws RangeError on an empty password, an invalid key, or parameters that `decryptKeystore` would refuse
 */
export async function encryptKeystore(
  secretKey: Uint8Array,
  password: string,
  randomBytes: (length: number) => Uint8Array,
  options: Partial<ScryptParams> = {},
): Promise<Keystore> {
  if (password === '') throw new RangeError('the password is empty');
  const params = { ...DEFAULT_SCRYPT, ...options };
  const problem = checkScrypt(params);
  if (problem !== undefined) throw new RangeError(problem);
  const address = formatAddress(addressOf(publicKeyOf(secretKey)));
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const key = await deriveKey(password, salt, params);
  const text = xchacha20poly1305(key, nonce, associatedData(address)).encrypt(secretKey);
  key.fill(0);
  const fields: Omit<Keystore, 'checksum'> = {
    version: VERSION,
    kdf: { name: 'scrypt', n: params.n, r: params.r, p: params.p, salt: bytesToHex(salt) },
    cipher: { name: 'xchacha20-poly1305', nonce: bytesToHex(nonce), text: bytesToHex(text) },
    address,
  };
  return { ...fields, checksum: checksumOf(fields) };
}

/**
 * @param json the file's text, or its parsed JSON
 * @returns the secret key, 32 bytes, which belongs to `parseKeystore(json).address`
 * @throws KeystoreError with code `wrong-password`, or as `parseKeystore`
 */
export async function decryptKeystore(json: unknown, password: string): Promise<Uint8Array> {
  const { kdf, cipher, address } = parseKeystore(json);
  const key = await deriveKey(password, hexToBytes(kdf.salt), kdf);
  const box = xchacha20poly1305(key, hexToBytes(cipher.nonce), associatedData(address));
  let secretKey: Uint8Array;
  try {
    secretKey = box.decrypt(hexToBytes(cipher.text));
  } catch {
    throw new KeystoreError('wrong-password', 'wrong password (or the keystore was altered on purpose)');
  } finally {
    key.fill(0);
  }
  if (addressOfSecret(secretKey) !== keystoreAddress(address)) {
    throw damaged('the sealed key does not belong to the address');
  }
  return secretKey;
}

/**
 * Reads a keystore without its password.
 *
 * @param json the file's text, or its parsed JSON
 * @throws KeystoreError with code `unknown-version`, `too-costly` (asks for more memory or time than we allow), or
 *   `damaged`
 */
export function parseKeystore(json: unknown): Keystore {
  const root = readRecord(typeof json === 'string' ? readJson(json) : json, 'the keystore');
  // First of all: another version may have other fields.
  if (root.version !== VERSION) {
    if (!Number.isSafeInteger(root.version)) throw damaged('version is not a number');
    throw new KeystoreError('unknown-version', `keystore version ${root.version}, this program reads ${VERSION}`);
  }
  const kdf = readRecord(root.kdf, 'kdf');
  const cipher = readRecord(root.cipher, 'cipher');
  const fields: Omit<Keystore, 'checksum'> = {
    version: VERSION,
    kdf: {
      name: readName(kdf.name, 'scrypt', 'kdf.name'),
      n: readNumber(kdf.n, 'kdf.n'),
      r: readNumber(kdf.r, 'kdf.r'),
      p: readNumber(kdf.p, 'kdf.p'),
      salt: readHex(kdf.salt, SALT_BYTES, 'kdf.salt'),
    },
    cipher: {
      name: readName(cipher.name, 'xchacha20-poly1305', 'cipher.name'),
      nonce: readHex(cipher.nonce, NONCE_BYTES, 'cipher.nonce'),
      text: readHex(cipher.text, SECRET_KEY_BYTES + SEAL_BYTES, 'cipher.text'),
    },
    address: readText(root.address, 'address'),
  };
  const checksum = readHex(root.checksum, CHECKSUM_BYTES, 'checksum');
  if (checksum !== checksumOf(fields)) throw damaged('checksum does not match');
  keystoreAddress(fields.address);
  const problem = checkScrypt(fields.kdf);
  if (problem !== undefined) throw new KeystoreError('too-costly', `keystore refused: ${problem}`);
  return { ...fields, checksum };
}

function deriveKey(password: string, salt: Uint8Array, { n, r, p }: ScryptParams): Promise<Uint8Array> {
  // NFKC: one password typed on two systems may arrive as different code points.
  return scryptAsync(utf8.encode(password.normalize('NFKC')), salt, { N: n, r, p, dkLen: 32 });
}

function associatedData(address: string): Uint8Array {
  return utf8.encode(`${TAG}:${address}`);
}

/** Over the fields in a fixed order: a file that was only reformatted still matches. */
function checksumOf({ kdf, cipher, address }: Omit<Keystore, 'checksum'>): string {
  const fields = [kdf.name, kdf.n, kdf.r, kdf.p, kdf.salt, cipher.name, cipher.nonce, cipher.text, address];
  return bytesToHex(taggedHash(TAG, utf8.encode(fields.join(':'))).subarray(0, CHECKSUM_BYTES));
}

function checkScrypt({ n, r, p }: ScryptParams): string | undefined {
  if (!Number.isSafeInteger(n) || n < 2 || !Number.isInteger(Math.log2(n))) return `scrypt n ${n} is no power of two`;
  if (!Number.isSafeInteger(r) || r < 1) return `scrypt r ${r} is not a positive integer`;
  if (!Number.isSafeInteger(p) || p < 1 || p > MAX_PARALLELISM) return `scrypt p ${p}, at most ${MAX_PARALLELISM}`;
  if (128 * n * r > MAX_SCRYPT_BYTES) return `scrypt n ${n}, r ${r} need more than ${MAX_SCRYPT_BYTES} bytes of memory`;
  return undefined;
}

function keystoreAddress(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw damaged(`address: ${parsed.error}`);
  return parsed.address;
}

function addressOfSecret(secretKey: Uint8Array): Address | undefined {
  try {
    return addressOf(publicKeyOf(secretKey));
  } catch {
    return undefined;
  }
}

function damaged(what: string): KeystoreError {
  return new KeystoreError('damaged', `damaged keystore: ${what}`);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged('not JSON'); // JSON.parse would quote the file's content
  }
}

function readRecord(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damaged(`${name} is not an object`);
  return value as Record<string, unknown>;
}

function readText(value: unknown, name: string): string {
  if (typeof value !== 'string') throw damaged(`${name} is not a string`);
  return value;
}

function readNumber(value: unknown, name: string): number {
  if (typeof value !== 'number') throw damaged(`${name} is not a number`);
  return value;
}

function readName<T extends string>(value: unknown, expected: T, name: string): T {
  if (value !== expected) throw damaged(`${name} is not '${expected}'`);
  return expected;
}

function readHex(value: unknown, bytes: number, name: string): string {
  const text = readText(value, name);
  if (text.length !== 2 * bytes || !/^[0-9a-f]*$/.test(text)) throw damaged(`${name} is not ${bytes} bytes of hex`);
  return text;
}
