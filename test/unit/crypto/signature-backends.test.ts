import { beforeAll, describe, expect, test } from 'vitest';
import { bytesToHex, hexToBytes } from '../../../crypto/bytes.ts';
import { sha256 } from '../../../crypto/hash.ts';
import { publicKeyOf } from '../../../crypto/keys.ts';
import { BackendError, KNOWN_ANSWER, loadSignatureBackend, SIGNATURE_BACKENDS } from '../../../crypto/load-backend.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { signDigest } from '../../../crypto/sign.ts';
import type { SignatureBackend } from '../../../crypto/signature.ts';
import rfc6979 from '../../vectors/rfc6979-secp256k1.json' with { type: 'json' };
import wycheproof from '../../vectors/wycheproof-secp256k1.json' with { type: 'json' };

const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const utf8 = new TextEncoder();
const scalar = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'));
const secretKey = sha256(utf8.encode('secret'));
const publicKey = publicKeyOf(secretKey);
const digest = sha256(utf8.encode('message'));
const signature = signDigest(digest, secretKey);
const r = signature.subarray(0, 32);
const s = signature.subarray(32);

/** Platforms that `secp256k1` ships a binary for. Elsewhere it is there only where it was compiled. */
const HAS_BINARY = ['linux-x64', 'darwin-arm64', 'win32-x64'].includes(`${process.platform}-${process.arch}`);
const { passedOver } = await loadSignatureBackend('auto');
const available = SIGNATURE_BACKENDS.filter((name) => !passedOver.some((each) => each.name === name));

test('all load, but for native on a platform without its binary', () => {
  expect(available).toEqual(expect.arrayContaining(HAS_BINARY ? [...SIGNATURE_BACKENDS] : ['wasm', 'noble']));
});

describe.each(available)('the %s backend', (name) => {
  let backend: SignatureBackend;
  beforeAll(async () => {
    ({ backend } = await loadSignatureBackend(name));
  });

  test('says which one it is', () => {
    expect(backend.name).toBe(name);
  });

  test.each(rfc6979.vectors)('RFC 6979: $message', ({ secretKey, message, signature }) => {
    const item = { digest: sha256(utf8.encode(message)), publicKey: publicKeyOf(hexToBytes(secretKey)) };
    expect(backend.verify({ ...item, signature: hexToBytes(signature) })).toBe(true);
  });

  test.each(wycheproof.vectors)('Wycheproof $tcId: $comment', ({ publicKey, message, signature, result }) => {
    const item = { digest: sha256(hexToBytes(message)), publicKey: hexToBytes(publicKey) };
    const bytes = hexToBytes(signature);
    const isHigh = bytes.length === 64 && BigInt(`0x${bytesToHex(bytes.subarray(32))}`) > N / 2n;
    expect(backend.verify({ ...item, signature: bytes })).toBe(result === 'valid' && !isHigh);
    if (result === 'valid') expect(backend.verify({ ...item, signature: isHigh ? twin(bytes) : bytes })).toBe(true);
  });

  test('takes the digest as it is, from a view into a larger buffer too', () => {
    expect(backend.verify({ digest, signature, publicKey })).toBe(true);
    const packed = Uint8Array.of(7, ...digest, ...signature, ...publicKey, 7);
    const item = {
      digest: packed.subarray(1, 33),
      signature: packed.subarray(33, 97),
      publicKey: packed.subarray(97, 130),
    };
    expect(backend.verify(item)).toBe(true);
    expect(backend.verify({ digest: sha256(digest), signature, publicKey })).toBe(false);
  });

  test('the high-S twin is false', () => {
    expect(backend.verify({ digest, signature: twin(signature), publicKey })).toBe(false);
  });

  const limits = [0n, 1n, N / 2n, N / 2n + 1n, N - 1n, N, N + 1n, P, 2n ** 256n - 1n];
  test.each(limits)('r or s = %d is false, never a throw', (limit) => {
    const other = scalar(limit);
    for (const each of [
      [other, s],
      [r, other],
      [other, other],
    ] as const) {
      expect(backend.verify({ digest, signature: Uint8Array.of(...each[0], ...each[1]), publicKey })).toBe(false);
    }
  });

  test.each([0n, N - 1n, N, 2n ** 256n - 1n])('a digest of value %d is a number modulo n', (value) => {
    const item = { digest: scalar(value), signature: signDigest(scalar(value), secretKey), publicKey };
    expect(backend.verify(item)).toBe(true);
    const same = value >= N ? scalar(value - N) : value + N < 2n ** 256n ? scalar(value + N) : undefined;
    if (same !== undefined) expect(backend.verify({ ...item, digest: same })).toBe(true);
  });

  test.each([
    ['uncompressed', Uint8Array.of(4, ...new Uint8Array(64))],
    ['hybrid prefix 06', Uint8Array.of(6, ...publicKey.subarray(1))],
    ['hybrid prefix 07, 65 bytes', Uint8Array.of(7, ...publicKey.subarray(1), ...new Uint8Array(32))],
    ['x-only', publicKey.subarray(1)],
    ['prefix 00', Uint8Array.of(0, ...publicKey.subarray(1))],
    ['infinity, one byte', Uint8Array.of(0)],
    ['infinity, 33 zeros', new Uint8Array(33)],
    ['x = 0 (not on the curve)', Uint8Array.of(2, ...scalar(0n))],
    ['x = 5 (not on the curve)', Uint8Array.of(2, ...scalar(5n))],
    ['x = p', Uint8Array.of(2, ...scalar(P))],
    ['x = p + 1 (x = 1 would be on the curve)', Uint8Array.of(2, ...scalar(P + 1n))],
    ['x = 2^256 - 1', Uint8Array.of(3, ...scalar(2n ** 256n - 1n))],
    ['empty', new Uint8Array(0)],
    ['34 bytes', Uint8Array.of(...publicKey, 0)],
  ])('public key %s is false, never a throw', (_, key) => {
    expect(backend.verify({ digest, signature, publicKey: key })).toBe(false);
  });

  test('wrong lengths are false, never a throw', () => {
    for (const length of [0, 31, 33, 64]) {
      expect(backend.verify({ digest: new Uint8Array(length), signature, publicKey })).toBe(false);
    }
    for (const length of [0, 63, 65, 72]) {
      expect(backend.verify({ digest, signature: new Uint8Array(length), publicKey })).toBe(false);
    }
  });

  test('a sum that is the point at infinity is false, never a throw', () => {
    // u1·G + u2·P = 0 where P = -(digest / r)·G: for key 1, digest = n - r.
    const item = { digest: scalar(N - 1n), publicKey: publicKeyOf(scalar(1n)) };
    expect(backend.verify({ ...item, signature: Uint8Array.of(...scalar(1n), ...scalar(1n)) })).toBe(false);
  });
});

test('the answer that every backend must give at start is the reference backend’s', () => {
  const secretKey = sha256(Uint8Array.of(1));
  const digest = sha256(Uint8Array.of(2));
  const signature = signDigest(digest, secretKey);
  expect(KNOWN_ANSWER).toEqual({ secretKey, digest, signature, publicKey: publicKeyOf(secretKey) });
});

describe('choosing', () => {
  const broken = () => Promise.reject(new Error('no binary for this machine\n  at some length'));
  const noble = () => Promise.resolve(nobleBackend);

  test('auto takes the fastest that runs here', async () => {
    const { backend, passedOver } = await loadSignatureBackend('auto', { native: noble, wasm: broken, noble });
    expect(backend).toBe(nobleBackend);
    expect(passedOver).toEqual([]);
  });

  test('auto passes over what does not load, and says why in one line', async () => {
    const { backend, passedOver } = await loadSignatureBackend('auto', { native: broken, wasm: broken, noble });
    expect(backend.name).toBe('noble');
    expect(passedOver).toEqual([
      { name: 'native', why: 'no binary for this machine' },
      { name: 'wasm', why: 'no binary for this machine' },
    ]);
  });

  test('a backend that cannot tell good from bad is passed over', async () => {
    const yes = () => Promise.resolve({ name: 'yes', verify: () => true, sign: signDigest });
    const no = () => Promise.resolve({ name: 'no', verify: () => false, sign: signDigest });
    const { backend, passedOver } = await loadSignatureBackend('auto', { native: yes, wasm: no, noble });
    expect(backend.name).toBe('noble');
    expect(passedOver.map(({ why }) => why)).toEqual(['takes a bad signature', 'refuses a good signature']);
  });

  test('one that is forced and does not load is an error that names it', async () => {
    const forced = loadSignatureBackend('native', { native: broken, wasm: noble, noble });
    await expect(forced).rejects.toThrow(BackendError);
    await expect(forced).rejects.toThrow('"native" cannot run here: native: no binary for this machine');
  });
});

function twin(signature: Uint8Array): Uint8Array {
  const s = BigInt(`0x${bytesToHex(signature.subarray(32))}`);
  return Uint8Array.of(...signature.subarray(0, 32), ...scalar(N - s));
}
