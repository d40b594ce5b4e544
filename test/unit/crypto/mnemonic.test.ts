import { HDKey } from '@scure/bip32';
import { describe, expect, test } from 'vitest';
import { addressOf, formatAddress } from '../../../crypto/address.ts';
import { bytesToHex, hexToBytes } from '../../../crypto/bytes.ts';
import { publicKeyOf } from '../../../crypto/keys.ts';
import { checkMnemonic, generateMnemonic, keyFromMnemonic, keysFromMnemonic } from '../../../crypto/mnemonic.ts';
import bip32 from '../../vectors/bip32.json' with { type: 'json' };
import bip39 from '../../vectors/bip39.json' with { type: 'json' };

const ABOUT = `${'abandon '.repeat(11)}about`;

describe('BIP32', () => {
  const chains = bip32.vectors.flatMap(({ seed, chains }, i) =>
    chains.map((chain) => ({ ...chain, seed, vector: i + 1 })),
  );
  test.each(chains)('vector $vector: $path', ({ seed, path, ...expected }) => {
    const key = HDKey.fromMasterSeed(hexToBytes(seed)).derive(path);
    expect(key.privateExtendedKey).toBe(expected.private);
    expect(key.publicExtendedKey).toBe(expected.public);
  });
});

describe('BIP39', () => {
  test.each(bip39.vectors)('$entropy ↔ words', ({ entropy, mnemonic }) => {
    expect(checkMnemonic(mnemonic)).toBeUndefined();
    if (entropy.length === 32) expect(generateMnemonic(() => hexToBytes(entropy))).toBe(mnemonic);
  });

  test.each(bip39.vectors)("$entropy → seed → m/44'/7337'/0'/0/5", ({ mnemonic, seed }) => {
    const expected = HDKey.fromMasterSeed(hexToBytes(seed)).derive("m/44'/7337'/0'/0/5");
    const key = keyFromMnemonic(mnemonic, 5, bip39.passphrase);
    expect(key.secretKey).toEqual(expected.privateKey);
    expect(key.path).toBe("m/44'/7337'/0'/0/5");
  });

  test('asks the random source for 128 bits', () => {
    const asked: number[] = [];
    generateMnemonic((length) => {
      asked.push(length);
      return new Uint8Array(length);
    });
    expect(asked).toEqual([16]);
  });
});

describe('keys from a mnemonic', () => {
  test('hold together: secret, public key, address, path', () => {
    for (const [index, key] of keysFromMnemonic(ABOUT, 3).entries()) {
      expect(key.publicKey).toEqual(publicKeyOf(key.secretKey));
      expect(key.address).toBe(addressOf(key.publicKey));
      expect(key.path).toBe(`m/44'/7337'/0'/0/${index}`);
      expect(key).toEqual(keyFromMnemonic(ABOUT, index));
    }
  });

  test('stay what they are: a wallet must find its funds again', () => {
    const key = keyFromMnemonic(ABOUT, 0);
    expect(bytesToHex(key.secretKey)).toBe('7610c987f8a2f7c335f86923c24e48379abe42ee280d8725fa1548276236c821');
    expect(formatAddress(key.address)).toBe('gv1pr958lwz5k82zj5kgw72ly02vrgd9wa5g3uayjj');
  });

  test('depend on the passphrase', () => {
    expect(keyFromMnemonic(ABOUT, 0, 'TREZOR').address).not.toBe(keyFromMnemonic(ABOUT, 0).address);
  });

  test('do not depend on white space or case', () => {
    const pasted = `  ${ABOUT.toUpperCase().replaceAll(' ', ' \t\n')}\n`;
    expect(keyFromMnemonic(pasted, 0)).toEqual(keyFromMnemonic(ABOUT, 0));
  });

  test.each([-1, 0.5, 2 ** 31, Number.NaN])('index %d is refused', (index) => {
    expect(() => keyFromMnemonic(ABOUT, index)).toThrow(new RangeError(`key index ${index}, expected 0 to 2147483647`));
  });
});

describe('checkMnemonic says what is wrong', () => {
  test.each([
    ['nothing', '', '0 words, expected one of 12, 15, 18, 21, 24'],
    ['11 words', 'abandon '.repeat(11), '11 words, expected one of 12, 15, 18, 21, 24'],
    ['13 words', `${ABOUT} about`, '13 words, expected one of 12, 15, 18, 21, 24'],
    ['a typo', ABOUT.replace('abandon abandon', 'abandon abandom'), "word 2 is not in BIP39's English list"],
    ['a wrong last word', 'abandon '.repeat(12), 'checksum does not match: a word is wrong, or two are swapped'],
    [
      'two words swapped',
      'winner legal thank year wave sausage worth useful legal winner thank yellow',
      'checksum does not match: a word is wrong, or two are swapped',
    ],
  ])('%s', (_, text, problem) => {
    expect(checkMnemonic(text)).toBe(problem);
    expect(() => keyFromMnemonic(text, 0)).toThrow(new RangeError(`mnemonic: ${problem}`));
  });
});
