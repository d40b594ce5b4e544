/** Keys from words: BIP39 (English) to a seed, BIP32 from the seed, BIP44's path with our own coin type. */
import { HARDENED_OFFSET, HDKey } from '@scure/bip32';
import { entropyToMnemonic, mnemonicToEntropy, mnemonicToSeedSync } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { type Address, addressOf } from './address.ts';

export interface KeyPair {
  /** 32 bytes. */
  readonly secretKey: Uint8Array;
  /** Compressed, 33 bytes. */
  readonly publicKey: Uint8Array;
  readonly address: Address;
  /** BIP32 path, e.g. `m/44'/7337'/0'/0/0`. */
  readonly path: string;
}

/** 7337 is not registered in SLIP-44: the keys belong to development nets. */
const BRANCH = "m/44'/7337'/0'/0";
const WORDS = new Set(wordlist);
const WORD_COUNTS = [12, 15, 18, 21, 24];
/** 128 bits: 12 words. */
const ENTROPY_BYTES = 16;

/**
 * @param randomBytes cryptographically strong source
 * @returns 12 English words (BIP39)
 */
export function generateMnemonic(randomBytes: (length: number) => Uint8Array): string {
  return entropyToMnemonic(randomBytes(ENTROPY_BYTES), wordlist);
}

/**
 * Says what is wrong with a mnemonic by word position, never quoting a word: errors end up in logs.
 *
 * @param text words between any white space, either case
 * @returns what is wrong, or undefined when the mnemonic is valid
 */
export function checkMnemonic(text: string): string | undefined {
  const words = splitWords(text);
  for (const [i, word] of words.entries()) {
    if (!WORDS.has(word)) return `word ${i + 1} is not in BIP39's English list`;
  }
  if (!WORD_COUNTS.includes(words.length)) return `${words.length} words, expected one of ${WORD_COUNTS.join(', ')}`;
  try {
    mnemonicToEntropy(words.join(' '), wordlist).fill(0);
    return undefined;
  } catch {
    return 'checksum does not match: a word is wrong, or two are swapped';
  }
}

/**
 * The key at m/44'/7337'/0'/0/`index`. Takes tens of milliseconds (PBKDF2, 2048 rounds); for several keys of one
 * mnemonic see `keysFromMnemonic`.
 *
 * @param mnemonic BIP39, English, words between any white space, either case
 * @param index 0 to 2^31 - 1
 * @param passphrase BIP39's optional passphrase
 * @throws RangeError when the mnemonic or the index is not valid; the message contains no words
 */
export function keyFromMnemonic(mnemonic: string, index: number, passphrase = ''): KeyPair {
  return deriveKey(branchOf(mnemonic, passphrase), index);
}

/**
 * The keys at m/44'/7337'/0'/0/0 to `count` - 1, with the slow step done once.
 *
 * @throws RangeError as `keyFromMnemonic`
 */
export function keysFromMnemonic(mnemonic: string, count: number, passphrase = ''): KeyPair[] {
  const branch = branchOf(mnemonic, passphrase);
  return Array.from({ length: count }, (_, index) => deriveKey(branch, index));
}

/**
 * The same for who keeps the extended key of the branch (`branchKeyOf`) instead of the words: a single derivation.
 *
 * @param branchKey BIP32, base58check
 * @throws RangeError where the index is not valid; Error where the key is not
 */
export function keyFromBranchKey(branchKey: string, index: number): KeyPair {
  return deriveKey(HDKey.fromExtendedKey(branchKey), index);
}

/**
 * The extended private key at m/44'/7337'/0'/0, BIP32's base58check text: as secret as the mnemonic.
 *
 * @throws RangeError as `keyFromMnemonic`
 */
export function branchKeyOf(mnemonic: string, passphrase = ''): string {
  return branchOf(mnemonic, passphrase).privateExtendedKey;
}

function branchOf(mnemonic: string, passphrase: string): HDKey {
  const problem = checkMnemonic(mnemonic);
  if (problem !== undefined) throw new RangeError(`mnemonic: ${problem}`);
  return HDKey.fromMasterSeed(mnemonicToSeedSync(splitWords(mnemonic).join(' '), passphrase)).derive(BRANCH);
}

function deriveKey(branch: HDKey, index: number): KeyPair {
  if (!Number.isInteger(index) || index < 0 || index >= HARDENED_OFFSET) {
    throw new RangeError(`key index ${index}, expected 0 to ${HARDENED_OFFSET - 1}`);
  }
  const { privateKey, publicKey } = branch.deriveChild(index);
  if (privateKey === null || publicKey === null) throw new Error('derived a key without its secret');
  return { secretKey: privateKey, publicKey, address: addressOf(publicKey), path: `${BRANCH}/${index}` };
}

function splitWords(text: string): string[] {
  const trimmed = text.normalize('NFKD').trim().toLowerCase();
  return trimmed === '' ? [] : trimmed.split(/\s+/);
}
