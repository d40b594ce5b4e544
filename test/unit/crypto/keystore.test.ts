import { describe, expect, test } from 'vitest';
import { addressOf, formatAddress } from '../../../crypto/address.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { sha256, taggedHash } from '../../../crypto/hash.ts';
import { publicKeyOf } from '../../../crypto/keys.ts';
import {
  DEFAULT_SCRYPT,
  decryptKeystore,
  encryptKeystore,
  type Keystore,
  KeystoreError,
  type KeystoreErrorCode,
  parseKeystore,
} from '../../../crypto/keystore.ts';

const utf8 = new TextEncoder();
const QUICK = { n: 16 };
const PASSWORD = 'correct horse';
const secretKey = sha256(utf8.encode('secret'));
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i);
const keystore = await encryptKeystore(secretKey, PASSWORD, counting, QUICK);

/** What someone who alters a file on purpose would do. */
function withChecksum(altered: Keystore): Keystore {
  const { kdf, cipher, address } = altered;
  const fields = [kdf.name, kdf.n, kdf.r, kdf.p, kdf.salt, cipher.name, cipher.nonce, cipher.text, address];
  const hash = taggedHash('grapevine/keystore/1', utf8.encode(fields.join(':')));
  return { ...altered, checksum: bytesToHex(hash.subarray(0, 4)) };
}

async function errorOf(json: unknown, password = PASSWORD): Promise<KeystoreError> {
  const error = await decryptKeystore(json, password).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KeystoreError);
  return error as KeystoreError;
}

async function expectError(json: unknown, code: KeystoreErrorCode, message: string, password = PASSWORD) {
  const error = await errorOf(json, password);
  expect([error.code, error.message]).toEqual([code, message]);
}

describe('keystore', () => {
  test('gives the secret key back, from the object, its JSON text, and reformatted JSON', async () => {
    expect(await decryptKeystore(keystore, PASSWORD)).toEqual(secretKey);
    expect(await decryptKeystore(JSON.stringify(keystore), PASSWORD)).toEqual(secretKey);
    const { version, ...others } = keystore;
    expect(await decryptKeystore(JSON.stringify({ ...others, version }, null, 4), PASSWORD)).toEqual(secretKey);
  });

  test('names its algorithms and its address, and holds no secret in clear', () => {
    expect(keystore).toMatchObject({
      version: 1,
      kdf: { name: 'scrypt', n: 16, r: 8, p: 1 },
      cipher: { name: 'xchacha20-poly1305' },
      address: formatAddress(addressOf(publicKeyOf(secretKey))),
    });
    expect(JSON.stringify(keystore)).not.toContain(bytesToHex(secretKey));
  });

  test('uses scrypt with N = 2^17 unless told otherwise', async () => {
    expect(DEFAULT_SCRYPT).toEqual({ n: 131072, r: 8, p: 1 });
    const costly = await encryptKeystore(secretKey, PASSWORD, counting);
    expect(costly.kdf).toMatchObject(DEFAULT_SCRYPT);
    expect(await decryptKeystore(costly, PASSWORD)).toEqual(secretKey);
  }, 60_000);

  test('takes a password however its letters were composed (NFKC)', async () => {
    const composed = await encryptKeystore(secretKey, 'caf\u00e9', counting, QUICK);
    expect(await decryptKeystore(composed, 'cafe\u0301')).toEqual(secretKey);
  });

  test('draws a fresh salt of 32 and nonce of 24 bytes', async () => {
    const asked: number[] = [];
    const source = (length: number) => {
      asked.push(length);
      return new Uint8Array(length).fill(asked.length);
    };
    const made = await encryptKeystore(secretKey, PASSWORD, source, QUICK);
    expect(asked).toEqual([32, 24]);
    expect([made.kdf.salt, made.cipher.nonce]).toEqual(['01'.repeat(32), '02'.repeat(24)]);
  });

  test('is not made with an empty password, an invalid key or refused parameters', async () => {
    await expect(encryptKeystore(secretKey, '', counting, QUICK)).rejects.toThrow('the password is empty');
    await expect(encryptKeystore(new Uint8Array(32), PASSWORD, counting, QUICK)).rejects.toThrow('secret key');
    await expect(encryptKeystore(secretKey, PASSWORD, counting, { n: 2 ** 19 })).rejects.toThrow('268435456 bytes');
  });
});

describe('keystore errors', () => {
  test('a wrong password is called that, an empty one too', async () => {
    const message = 'wrong password (or the keystore was altered on purpose)';
    await expectError(keystore, 'wrong-password', message, 'Correct horse');
    await expectError(keystore, 'wrong-password', message, '');
  });

  test('unknown version, before anything else is looked at', async () => {
    await expectError({ version: 2 }, 'unknown-version', 'keystore version 2, this program reads 1');
    await expectError({ version: '1' }, 'damaged', 'damaged keystore: version is not a number');
    await expectError({}, 'damaged', 'damaged keystore: version is not a number');
  });

  test.each([
    ['not JSON', '{"version":1', 'not JSON'],
    ['empty', '', 'not JSON'],
    ['null', null, 'the keystore is not an object'],
    ['a list', '[]', 'the keystore is not an object'],
    ['no kdf', { ...keystore, kdf: undefined }, 'kdf is not an object'],
    ['no cipher', { ...keystore, cipher: 'none' }, 'cipher is not an object'],
    ['another kdf', { ...keystore, kdf: { ...keystore.kdf, name: 'pbkdf2' } }, "kdf.name is not 'scrypt'"],
    ['n as text', { ...keystore, kdf: { ...keystore.kdf, n: '16' } }, 'kdf.n is not a number'],
    ['short salt', { ...keystore, kdf: { ...keystore.kdf, salt: '00' } }, 'kdf.salt is not 32 bytes of hex'],
    [
      'another cipher',
      { ...keystore, cipher: { ...keystore.cipher, name: 'none' } },
      "cipher.name is not 'xchacha20-poly1305'",
    ],
    [
      'text in upper case',
      { ...keystore, cipher: { ...keystore.cipher, text: keystore.cipher.text.toUpperCase() } },
      'cipher.text is not 48 bytes of hex',
    ],
    ['no address', { ...keystore, address: 7 }, 'address is not a string'],
    ['no checksum', { ...keystore, checksum: undefined }, 'checksum is not a string'],
    ['another checksum', { ...keystore, checksum: '00000000' }, 'checksum does not match'],
    ['another cost', { ...keystore, kdf: { ...keystore.kdf, n: 32 } }, 'checksum does not match'],
    ['no bech32m address', withChecksum({ ...keystore, address: '' }), 'address: empty address'],
  ])('damaged: %s', async (_, json, problem) => {
    await expectError(json, 'damaged', `damaged keystore: ${problem}`);
    // A damaged file never looks like a wrong password.
    await expectError(json, 'damaged', `damaged keystore: ${problem}`, 'another password');
  });

  test('never quote the file', async () => {
    expect((await errorOf('my secret words')).message).not.toContain('secret');
  });

  test('altered on purpose: another address is caught by the seal (AAD)', async () => {
    const address = formatAddress(addressOf(publicKeyOf(sha256(secretKey))));
    expect((await errorOf(withChecksum({ ...keystore, address }))).code).toBe('wrong-password');
  });

  test('altered on purpose: each other field is caught by the seal', async () => {
    const flip = (hex: string) => hex.slice(0, -1) + (hex.endsWith('0') ? '1' : '0');
    const { kdf, cipher } = keystore;
    for (const altered of [
      { ...keystore, kdf: { ...kdf, n: 32 } },
      { ...keystore, kdf: { ...kdf, r: 4 } },
      { ...keystore, kdf: { ...kdf, p: 2 } },
      { ...keystore, kdf: { ...kdf, salt: flip(kdf.salt) } },
      { ...keystore, cipher: { ...cipher, nonce: flip(cipher.nonce) } },
      { ...keystore, cipher: { ...cipher, text: flip(cipher.text) } },
    ]) {
      expect((await errorOf(withChecksum(altered))).code).toBe('wrong-password');
    }
  });

  test.each([
    [{ n: 2 ** 19 }, 'scrypt n 524288, r 8 need more than 268435456 bytes of memory'],
    [{ n: 2 ** 52 }, 'scrypt n 4503599627370496, r 8 need more than 268435456 bytes of memory'],
    [{ n: 2, r: 2 ** 40 }, 'scrypt n 2, r 1099511627776 need more than 268435456 bytes of memory'],
    [{ p: 5 }, 'scrypt p 5, at most 4'],
    [{ p: 0 }, 'scrypt p 0, at most 4'],
    [{ r: 0 }, 'scrypt r 0 is not a positive integer'],
    [{ r: 1.5 }, 'scrypt r 1.5 is not a positive integer'],
    [{ n: 1 }, 'scrypt n 1 is no power of two'],
    [{ n: -16 }, 'scrypt n -16 is no power of two'],
    [{ n: 1000 }, 'scrypt n 1000 is no power of two'],
    [{ n: 1e300 }, 'scrypt n 1e+300 is no power of two'],
  ])('a hostile file cannot demand memory or time: %j', async (params, problem) => {
    const hostile = withChecksum({ ...keystore, kdf: { ...keystore.kdf, ...params } });
    await expectError(hostile, 'too-costly', `keystore refused: ${problem}`);
    expect(() => parseKeystore(hostile)).toThrow(problem);
  });
});
