/**
 * Addresses. In the code: 40 hex digits of 20 bytes, so that they can key a Map. For people: bech32m (BIP350) with
 * the prefix `gv` and a version character, 42 characters: `gv1p…`. Reading says what is wrong and where, and never
 * repairs: whoever sends to a repaired address sends to a guess.
 */
import { bech32, bech32m } from '@scure/base';
import { bytesToHex, hexToBytes } from './bytes.ts';
import { taggedHash } from './hash.ts';
import { PUBLIC_KEY_BYTES } from './keys.ts';

declare const brand: unique symbol;
/** 40 lower-case hex digits. Minted here only. */
export type Address = string & { readonly [brand]: 'Address' };

export type ParsedAddress =
  | { readonly ok: true; readonly address: Address }
  | { readonly ok: false; readonly error: string };

export const ADDRESS_BYTES = 20;
const TAG = 'grapevine/address/1';
const PREFIX = 'gv';
/** The version character is the first of the data part, as in BIP173 and BIP350: 1 is written `p`. */
const VERSION = 1;
const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const CHECKSUM_CHARS = 6;
/** prefix, separator, version, 160 bits in groups of five, checksum */
const TEXT_CHARS = PREFIX.length + 1 + 1 + (ADDRESS_BYTES * 8) / 5 + CHECKSUM_CHARS;
/** BIP173's limit: the checksum's guarantees end there. */
const MAX_CHARS = 90;
/** BIP173: characters from 33 to 126 only. Spaces are not trimmed: they show that something else was copied. */
const UNPRINTABLE = /[^!-~]/;

/**
 * The first 20 bytes of the tagged hash of the key.
 *
 * @param publicKey compressed, 33 bytes; not checked to be on the curve
 * @throws RangeError on any other length
 */
export function addressOf(publicKey: Uint8Array): Address {
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw new RangeError(`public key of ${publicKey.length} bytes, expected ${PUBLIC_KEY_BYTES}`);
  }
  return addressFromBytes(taggedHash(TAG, publicKey).subarray(0, ADDRESS_BYTES));
}

/**
 * @param bytes 20 bytes
 * @throws RangeError on any other length
 */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length !== ADDRESS_BYTES)
    throw new RangeError(`address of ${bytes.length} bytes, expected ${ADDRESS_BYTES}`);
  return bytesToHex(bytes) as Address;
}

/** @returns 20 bytes */
export function addressToBytes(address: Address): Uint8Array {
  return hexToBytes(address);
}

/** @returns 42 lower-case characters, `gv1p…` */
export function formatAddress(address: Address): string {
  return bech32m.encode(PREFIX, [VERSION, ...bech32m.toWords(hexToBytes(address))]);
}

/**
 * Reads what `formatAddress` writes, or the same in upper case (as QR codes carry it). Positions in errors count
 * from 1.
 *
 * @param text as a person typed it; not trimmed
 * @returns the address, or what is wrong with the text
 */
export function parseAddress(text: string): ParsedAddress {
  if (text === '') return wrong('empty address');
  if (text.length > MAX_CHARS) return wrong(`too long: ${text.length} characters, expected ${TEXT_CHARS}`);
  const unprintable = text.search(UNPRINTABLE);
  if (unprintable !== -1) {
    return wrong(`character ${describeCharacter(text, unprintable)} is not used in addresses`);
  }
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) {
    return wrong('mixed case: write it all in lower case or all in upper case');
  }
  const lower = text.toLowerCase();
  // A stray '1' in the data must not be taken for the separator when the prefix is ours.
  const separator = lower.startsWith(`${PREFIX}1`) ? PREFIX.length : lower.lastIndexOf('1');
  if (separator === -1) return wrong(`no separator '1': an address begins with '${PREFIX}1'`);
  const prefix = lower.slice(0, separator);
  if (prefix !== PREFIX) return wrong(`wrong prefix '${prefix}', expected '${PREFIX}'`);
  for (let i = separator + 1; i < text.length; i++) {
    if (!CHARSET.includes(lower.charAt(i))) {
      return wrong(`character ${describeCharacter(text, i)} is not used in addresses`);
    }
  }

  const decoded = bech32m.decodeUnsafe(lower, MAX_CHARS);
  if (decoded !== undefined) {
    const version = decoded.words[0];
    if (version !== undefined && version !== VERSION) {
      return wrong(`unknown address version ${version}, expected ${VERSION}`);
    }
  }
  if (text.length < TEXT_CHARS) return wrong(`too short: ${text.length} characters, expected ${TEXT_CHARS}`);
  if (text.length > TEXT_CHARS) return wrong(`too long: ${text.length} characters, expected ${TEXT_CHARS}`);
  if (decoded === undefined) return wrong(describeChecksum(lower));
  // 160 bits are 32 groups of five: there is no padding that could differ.
  return { ok: true, address: addressFromBytes(bech32m.fromWords(decoded.words.slice(1))) };
}

function wrong(error: string): ParsedAddress {
  return { ok: false, error };
}

function describeCharacter(text: string, index: number): string {
  const code = text.codePointAt(index) ?? 0;
  const printable = code >= 0x20 && code !== 0x7f && (code < 0x80 || code > 0x9f); // else a terminal would obey it
  const shown = printable ? `'${String.fromCodePoint(code)}'` : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
  return `${shown} at position ${index + 1}`;
}

function describeChecksum(lower: string): string {
  if (bech32.decodeUnsafe(lower, MAX_CHARS) !== undefined) return 'it is bech32, not bech32m';
  const position = singleErrorPosition(lower);
  if (position === undefined) return 'checksum does not match';
  return `checksum does not match: probably only the character at position ${position} is wrong`;
}

/**
 * The position (from 1) of the one character whose substitution makes the checksum right. Two valid texts of this
 * length differ in at least five places (BIP173's BCH code), so there is at most one such position. About 1,200
 * decodes, well under the time a person notices.
 */
function singleErrorPosition(lower: string): number | undefined {
  for (let i = PREFIX.length + 1; i < lower.length; i++) {
    for (const character of CHARSET) {
      const candidate = lower.slice(0, i) + character + lower.slice(i + 1);
      if (bech32m.decodeUnsafe(candidate as `${string}1${string}`, MAX_CHARS) !== undefined) return i + 1;
    }
  }
  return undefined;
}
