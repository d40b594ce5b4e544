import { bech32, bech32m } from '@scure/base';
import { describe, expect, test } from 'vitest';
import {
  addressFromBytes,
  addressOf,
  addressToBytes,
  formatAddress,
  type ParsedAddress,
  parseAddress,
} from '../../../crypto/address.ts';
import { hexToBytes } from '../../../crypto/bytes.ts';
import { taggedHash } from '../../../crypto/hash.ts';
import vectors from '../../vectors/bip350.json' with { type: 'json' };

/** The generator point: secret key 1. */
const publicKey = hexToBytes('0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798');
const address = addressOf(publicKey);
const text = formatAddress(address);

const wrong = (error: string): ParsedAddress => ({ ok: false, error });
const replace = (position: number, character: string) =>
  text.slice(0, position - 1) + character + text.slice(position - 1 + character.length);

describe('addresses', () => {
  test('are the first 20 bytes of the tagged hash of the key', () => {
    expect(addressToBytes(address)).toEqual(taggedHash('grapevine/address/1', publicKey).subarray(0, 20));
    expect(address).toBe('19b2092173e7dfcbd7defb34cf2ef7acab7ec0d1');
  });

  test('are written in bech32m with prefix gv and version character p, 42 characters', () => {
    expect(text).toBe('gv1prxeqjgtnul0uh477lv6v7thh4j4hasx35fr67m');
    expect(text).toHaveLength(42);
  });

  test('are read in lower or upper case, to the same value', () => {
    expect(parseAddress(text)).toEqual({ ok: true, address });
    expect(parseAddress(text.toUpperCase())).toEqual({ ok: true, address });
  });

  test('need 20 bytes, keys 33', () => {
    expect(() => addressFromBytes(new Uint8Array(19))).toThrow('address of 19 bytes, expected 20');
    expect(() => addressFromBytes(new Uint8Array(32))).toThrow('address of 32 bytes, expected 20');
    expect(() => addressOf(new Uint8Array(65))).toThrow('public key of 65 bytes, expected 33');
  });
});

describe('reading an address says what is wrong', () => {
  const words = bech32m.toWords(addressToBytes(address));

  test.each([
    ['nothing', '', 'empty address'],
    ['another prefix', bech32m.encode('bc', [1, ...words]), "wrong prefix 'bc', expected 'gv'"],
    ['a typo in the prefix', replace(2, 'w'), "wrong prefix 'gw', expected 'gv'"],
    ['an empty prefix', text.slice(2), "wrong prefix '', expected 'gv'"],
    ['no separator', 'hello', "no separator '1': an address begins with 'gv1'"],
    ['hex', `0x${'ab'.repeat(20)}`, "no separator '1': an address begins with 'gv1'"],
    ['mixed case', replace(5, 'X'), 'mixed case: write it all in lower case or all in upper case'],
    ["'b' at position 7", replace(7, 'b'), "character 'b' at position 7 is not used in addresses"],
    ["'O' in upper case", replace(9, 'o').toUpperCase(), "character 'O' at position 9 is not used in addresses"],
    ["'1' in the data", replace(9, '1'), "character '1' at position 9 is not used in addresses"],
    ["'i' in the checksum", replace(42, 'i'), "character 'i' at position 42 is not used in addresses"],
    ['a space before', ` ${text}`, "character ' ' at position 1 is not used in addresses"],
    ['a line break after', `${text}\n`, 'character U+000A at position 43 is not used in addresses'],
    ['a terminal escape', replace(8, '\u001b'), 'character U+001B at position 8 is not used in addresses'],
    ['a C1 control', replace(8, '\u009b'), 'character U+009B at position 8 is not used in addresses'],
    ['a Cyrillic letter', replace(7, 'е'), "character 'е' at position 7 is not used in addresses"],
    ['an emoji', replace(7, '🍇'), "character '🍇' at position 7 is not used in addresses"],
    ['a letter that grows in upper case', replace(7, 'ß'), "character 'ß' at position 7 is not used in addresses"],
    ['a missing end', text.slice(0, -1), 'too short: 41 characters, expected 42'],
    ['prefix and separator only', 'gv1', 'too short: 3 characters, expected 42'],
    ['one character more', `${text}q`, 'too long: 43 characters, expected 42'],
    ['a megabyte', 'q'.repeat(1_000_000), 'too long: 1000000 characters, expected 42'],
    ['32 bytes, well formed', encode(32), 'too long: 62 characters, expected 42'],
    ['19 bytes, well formed', encode(19), 'too short: 41 characters, expected 42'],
    ['no data, well formed', bech32m.encode('gv', []), 'too short: 9 characters, expected 42'],
    ['bech32', bech32.encode('gv', [1, ...words]), 'it is bech32, not bech32m'],
    ['version 0', bech32m.encode('gv', [0, ...words]), 'unknown address version 0, expected 1'],
    ['version 31', bech32m.encode('gv', [31, ...words]), 'unknown address version 31, expected 1'],
    ['version 2 of another length', bech32m.encode('gv', [2]), 'unknown address version 2, expected 1'],
    ['many errors', replace(6, 'qqqqqqqq'), 'checksum does not match'],
    [
      'one error in the data',
      replace(11, 'q'),
      'checksum does not match: probably only the character at position 11 is wrong',
    ],
    [
      'one error in the version',
      replace(4, 'q'),
      'checksum does not match: probably only the character at position 4 is wrong',
    ],
    [
      'one error in the checksum',
      replace(42, 'q'),
      'checksum does not match: probably only the character at position 42 is wrong',
    ],
  ])('%s', (_, text, error) => {
    expect(parseAddress(text)).toEqual(wrong(error));
  });

  test('two neighbours swapped: never read, never repaired', () => {
    for (let i = 3; i < text.length - 1; i++) {
      if (text[i] === text[i + 1]) continue;
      const swapped = text.slice(0, i) + text[i + 1] + text[i] + text.slice(i + 2);
      expect(parseAddress(swapped)).toEqual(wrong('checksum does not match'));
    }
  });
});

describe('bech32m (BIP350)', () => {
  test.each(vectors.valid)('the decoder below takes %s', (valid) => {
    expect(bech32m.decodeUnsafe(valid, 90)).toBeDefined();
    expect(bech32.decodeUnsafe(valid, 90)).toBeUndefined();
  });

  test.each(vectors.invalid)('$why: refused', ({ text }) => {
    expect(bech32m.decodeUnsafe(text, 90)).toBeUndefined();
    expect(parseAddress(text).ok).toBe(false);
  });

  test.each([...vectors.valid, ...vectors.addresses])('%s is no address of ours', (valid) => {
    expect(parseAddress(valid)).toEqual(wrong(expectedPrefixError(valid)));
  });
});

function expectedPrefixError(valid: string): string {
  const prefix = valid.slice(0, valid.lastIndexOf('1')).toLowerCase();
  return `wrong prefix '${prefix}', expected 'gv'`;
}

function encode(bytes: number): string {
  return bech32m.encode('gv', [1, ...bech32m.toWords(new Uint8Array(bytes))]);
}
