import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bytesToHex, hexToBytes } from '../../../crypto/bytes.ts';
import { doubleSha256, sha256 } from '../../../crypto/hash.ts';
import { loadPowKernel, POW_KERNELS } from '../../../crypto/pow.ts';
import { powKernelsSource } from '../../../tools/build-pow-kernels.ts';
import { fc } from '../../fast-check.ts';

const HEADER_BYTES = 113;
const target = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'));
const EASIEST = target(2n ** 256n - 1n);
const header = sha256(Uint8Array.of(1)).reduce((all, byte, i) => all.fill(byte, i * 4), new Uint8Array(HEADER_BYTES));

/** The id by the reference hash. */
function idOf(nonce: bigint, head = header): Uint8Array {
  const full = head.slice();
  new DataView(full.buffer).setBigUint64(full.length - 8, nonce);
  return doubleSha256(full);
}

/** The first solution, found the slow way. */
function firstSolution(limit: bigint, start: bigint, count: number, head = header): bigint | undefined {
  for (let i = 0; i < count; i++) {
    const nonce = start + BigInt(i);
    if (BigInt(`0x${bytesToHex(idOf(nonce, head))}`) <= limit) return nonce;
  }
  return undefined;
}

describe.each(POW_KERNELS)('the %s kernel', (name) => {
  const kernel = loadPowKernel(name);

  test('says which one it is', () => {
    expect(kernel.name).toBe(name);
  });

  test('computes double SHA-256: finds a nonce at its own hash as target, and not at one less', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: HEADER_BYTES, maxLength: HEADER_BYTES }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (head, nonce) => {
          const full = head.slice();
          new DataView(full.buffer).setBigUint64(HEADER_BYTES - 8, nonce);
          const once = createHash('sha256').update(full).digest();
          const id = BigInt(`0x${createHash('sha256').update(once).digest('hex')}`);
          expect(kernel.prepare(head, target(id)).search(nonce, 1)).toBe(nonce);
          if (id > 0n) expect(kernel.prepare(head, target(id - 1n)).search(nonce, 1)).toBeUndefined();
        },
      ),
      { numRuns: 200 },
    );
  });

  test('finds the first nonce of any range, across bytes and words of the nonce', () => {
    const starts = [0n, 1n, 255n, 2n ** 16n - 3n, 2n ** 24n - 130n, 2n ** 32n - 5n, 2n ** 40n - 200n, 2n ** 63n + 7n];
    for (const bits of [2, 5, 9]) {
      const limit = 2n ** BigInt(256 - bits) - 1n;
      for (const start of starts) {
        for (const count of [1, 2, 3, 4, 5, 255, 600]) {
          const found = kernel.prepare(header, target(limit)).search(start, count);
          expect(found, `${bits} bits from ${start}, ${count} nonces`).toBe(firstSolution(limit, start, count));
        }
      }
    }
  });

  test('lists every solution when told to go on after each', () => {
    const limit = 2n ** 250n;
    const search = kernel.prepare(header, target(limit));
    const expected = Array.from({ length: 1000 }, (_, i) => BigInt(i) + 77n).filter(
      (nonce) => firstSolution(limit, nonce, 1) !== undefined,
    );
    const found: bigint[] = [];
    for (let next = 77n; next < 1077n; next = (found.at(-1) ?? 1077n) + 1n) {
      const nonce = search.search(next, Number(1077n - next));
      if (nonce === undefined) break;
      found.push(nonce);
    }
    expect(expected.length).toBeGreaterThan(5);
    expect(found).toEqual(expected);
  });

  test('compares the whole target, not its first word', () => {
    const nonce = firstSolution(2n ** 248n, 0n, 5000)!;
    const id = BigInt(`0x${bytesToHex(idOf(nonce))}`);
    expect(kernel.prepare(header, target(id)).search(nonce, 1)).toBe(nonce);
    expect(kernel.prepare(header, target(id - 1n)).search(nonce, 1)).toBeUndefined();
    expect(kernel.prepare(header, target(id - 1n)).search(0n, Number(nonce) + 1)).toBeUndefined();
  });

  test('finds the last nonce there is, 2^64 - 1', () => {
    expect(kernel.prepare(header, EASIEST).search(2n ** 64n - 1n, 1)).toBe(2n ** 64n - 1n);
  });

  test('two searches at once do not disturb each other', () => {
    const other = header.slice().fill(9, 0, 100);
    const limit = 2n ** 248n;
    const searches = [kernel.prepare(header, target(limit)), kernel.prepare(other, target(limit * 2n))] as const;
    for (let i = 0; i < 4; i++) {
      const start = BigInt(i) * 300n;
      expect(searches[0].search(start, 300)).toBe(firstSolution(limit, start, 300));
      expect(searches[1].search(start, 300)).toBe(firstSolution(limit * 2n, start, 300, other));
    }
  });

  test('takes headers of other lengths too', () => {
    const short = header.slice(0, 80);
    const limit = 2n ** 250n;
    expect(kernel.prepare(short, target(limit)).search(0n, 500)).toBe(firstSolution(limit, 0n, 500, short));
  });

  test('refuses what is no header, and what is no target', () => {
    expect(() => kernel.prepare(new Uint8Array(71), EASIEST)).toThrow(RangeError);
    expect(() => kernel.prepare(header, new Uint8Array(31))).toThrow(RangeError);
  });
});

test('auto is the fastest one', () => {
  expect(loadPowKernel('auto').name).toBe('simd');
});

test('the kernels are what their source makes: node tools/build-pow-kernels.ts', () => {
  const committed = readFileSync(new URL('../../../crypto/pow-kernels.generated.js', import.meta.url), 'utf8');
  expect(powKernelsSource() === committed).toBe(true);
});
