/** xoshiro128** (Blackman, Vigna: https://prng.di.unimi.it/xoshiro128starstar.c), seeded by hashing a text. */
import { sha256 } from '../crypto/hash.ts';
import type { Rng } from '../node/ports.ts';

export interface SeededRng extends Rng {
  /** An independent stream: what one part draws does not shift what another gets. */
  fork(name: string): SeededRng;
  /** Exponential with that mean. */
  exponential(mean: number): number;
  /** Uniform in [min, max). */
  between(min: number, max: number): number;
}

/** The same seed gives the same numbers, on every platform. Not for keys of value. */
export function createSeededRng(seed: string): SeededRng {
  const digest = sha256(new TextEncoder().encode(seed));
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
  const state = Uint32Array.from([0, 4, 8, 12], (at) => view.getUint32(at));

  const next = (): number => {
    const s0 = state[0]!;
    const s1 = state[1]!;
    const s2 = state[2]!;
    const s3 = state[3]!;
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    state[0] = s0 ^ t3;
    state[1] = s1 ^ t2;
    state[2] = t2 ^ (s1 << 9);
    state[3] = rotateLeft(t3, 11);
    return result;
  };

  const unit = (): number => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  return {
    unit,
    bytes(length) {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at++) bytes[at] = next() >>> 24;
      return bytes;
    },
    fork: (name) => createSeededRng(`${seed}/${name}`),
    exponential: (mean) => -Math.log(1 - unit()) * mean,
    between: (min, max) => min + unit() * (max - min),
  };
}

function rotateLeft(value: number, count: number): number {
  return (value << count) | (value >>> (32 - count));
}
