/** Byte strings: hex, concatenation, order. Node's Buffer stays out, so that this runs in a browser too. */

const CODE_OF_DIGIT = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
/** Bytes turned into text by one call: its arguments stand on the stack. */
const PIECE_BYTES = 1_024;
const NOT_HEX = /[^0-9a-fA-F]/;

/**
 * @param bytes any length
 * @returns two lower-case hex digits per byte
 */
export function bytesToHex(bytes: Uint8Array): string {
  if (bytes.length <= PIECE_BYTES) return hexOf(bytes);
  let hex = '';
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) hex += hexOf(bytes.subarray(at, at + PIECE_BYTES));
  return hex;
}

/** Ids are made for every transaction: text put together digit by digit would be a tree of pieces. */
function hexOf(bytes: Uint8Array): string {
  const codes = new Array<number>(2 * bytes.length);
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    codes[2 * at] = CODE_OF_DIGIT[byte >> 4]!;
    codes[2 * at + 1] = CODE_OF_DIGIT[byte & 0x0f]!;
  }
  return String.fromCharCode(...codes);
}

/**
 * @param hex an even number of hex digits, either case, no `0x`
 * @returns half as many bytes
 * @throws RangeError when a character is not a hex digit or the length is odd
 */
export function hexToBytes(hex: string): Uint8Array {
  if (hex.length % 2 !== 0) throw new RangeError(`hex of odd length ${hex.length}`);
  const bytes = new Uint8Array(hex.length / 2);
  let wrong = 0;
  for (let i = 0; i < bytes.length; i++) {
    const high = digit(hex, 2 * i);
    const low = digit(hex, 2 * i + 1);
    wrong |= high | low;
    bytes[i] = (high << 4) | low;
  }
  if (wrong > 0x0f) {
    const bad = hex.search(NOT_HEX);
    throw new RangeError(`not a hex digit: '${hex.charAt(bad)}' at position ${bad + 1}`);
  }
  return bytes;
}

/**
 * The number that some digits in the middle of a hex string stand for, big-endian. Nothing is checked: it is for ids, which
 * are hex by their type.
 *
 * @param digits at most 8
 * @returns 0 to 2^32 - 1
 */
export function hexToUint(hex: string, at: number, digits: number): number {
  let value = 0;
  for (let index = at; index < at + digits; index++) value = (value << 4) | digit(hex, index);
  return value >>> 0;
}

const NO_DIGIT = 0xff;
const DIGIT_OF_CODE = new Uint8Array(128).fill(NO_DIGIT);
for (let value = 0; value < 16; value++) {
  const text = value.toString(16);
  for (const character of [text, text.toUpperCase()]) DIGIT_OF_CODE[character.charCodeAt(0)] = value;
}

/** Ids are converted for every transaction: no pattern is searched and nothing parsed. */
function digit(hex: string, index: number): number {
  return DIGIT_OF_CODE[hex.charCodeAt(index)] ?? NO_DIGIT;
}

/** @returns a new array with all parts, in order */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Not constant-time: for public data only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/**
 * Lexicographic order of unsigned bytes; a prefix comes before what it begins. Not constant-time.
 *
 * @returns negative, zero or positive, as `Array.prototype.sort` wants it
 */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
