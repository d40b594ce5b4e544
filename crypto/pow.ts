/**
 * The search for a nonce: double SHA-256 of a header whose last 8 bytes count up. The first 64 bytes are hashed
 * once (the midstate). Three kernels give the same nonces: WebAssembly with four nonces at a time, WebAssembly with
 * one, and JavaScript.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { base64 } from '@scure/base';
import { doubleSha256 } from './hash.ts';
import { scalar, simd } from './pow-kernels.generated.js';

const BLOCK_BYTES = 64;
const NONCE_BYTES = 8;

/** Fastest first. */
export const POW_KERNELS = ['simd', 'scalar', 'js'] as const;
export type PowKernelName = (typeof POW_KERNELS)[number];

export interface PowSearch {
  /**
   * Tries `count` nonces from `start` on, `start + count` ≤ 2^64; returns the first whose hash, read big-endian, is at
   * or below the target, else undefined.
   */
  search(start: bigint, count: number): bigint | undefined;
}

export interface PowKernel {
  readonly name: PowKernelName;
  /**
   * Prepares a search.
   * @param header the encoded header, 72 bytes or more; its last 8 bytes are the nonce, big-endian
   * @param target 32 bytes, big-endian
   * @throws {RangeError} for other lengths
   */
  prepare(header: Uint8Array, target: Uint8Array): PowSearch;
}

/**
 * Loads a kernel; `auto`: the fastest that runs here.
 * @throws where the one named cannot run: a processor without SIMD, WebAssembly switched off
 */
export function loadPowKernel(choice: PowKernelName | 'auto'): PowKernel {
  if (choice === 'js') return { name: 'js', prepare: prepareJs };
  if (choice !== 'auto') return loadWasmKernel(choice, choice === 'simd' ? simd : scalar);
  for (const name of POW_KERNELS) {
    try {
      return loadPowKernel(name);
    } catch {
      // not here: the next one
    }
  }
  throw new Error('no proof-of-work kernel runs here');
}

/** Words of a kernel's memory and the one layout it knows: see tools/build-pow-kernels.ts. */
const KERNEL_HEADER_BYTES = 113;
const TAIL_WORD = 8;
const TAIL_WORDS = 12;
const TARGET_WORD = 20;
/** A kernel tries nonces that differ in their last byte, in groups of four. */
const ROUND = 256n;
const GROUP = 4;

function loadWasmKernel(name: 'simd' | 'scalar', encoded: string): PowKernel {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(base64.decode(encoded)));
  const { memory, scan } = exports as {
    readonly memory: { readonly buffer: ArrayBuffer };
    readonly scan: (from: number, to: number) => number;
  };
  const words = new Uint32Array(memory.buffer);

  return {
    name,
    prepare(header, target) {
      checkLengths(header, target);
      if (header.length !== KERNEL_HEADER_BYTES) return prepareJs(header, target);
      const full = header.slice();
      const view = new DataView(full.buffer);
      const nonceAt = full.length - NONCE_BYTES;
      const midstate = stateAfter(full.subarray(0, BLOCK_BYTES));
      const targetWord = new DataView(target.buffer, target.byteOffset).getUint32(0);
      const isSolution = (nonce: bigint): boolean => {
        view.setBigUint64(nonceAt, nonce);
        return isAtMost(doubleSha256(full), target);
      };

      /** Nonces `from` to `to` - 1 of one round, all below it first. */
      const searchRound = (round: bigint, from: number, to: number): bigint | undefined => {
        view.setBigUint64(nonceAt, round);
        for (let i = 0; i < TAIL_WORDS; i++) words[TAIL_WORD + i] = view.getUint32(BLOCK_BYTES + 4 * i);
        for (let at = from; at < to; ) {
          if (at % GROUP !== 0) {
            if (isSolution(round + BigInt(at))) return round + BigInt(at);
            at += 1;
            continue;
          }
          const found = scan(at, to);
          if (found < 0 || found >= to) return undefined;
          // The kernel compares the first word; once in 2^32 the rest decides otherwise.
          if (isSolution(round + BigInt(found))) return round + BigInt(found);
          at = found + 1;
        }
        return undefined;
      };

      return {
        search(start, count) {
          words.set(midstate); // another search may have used the memory since
          words[TARGET_WORD] = targetWord;
          const end = start + BigInt(count);
          for (let round = start - (start % ROUND); round < end; round += ROUND) {
            const from = round < start ? Number(start - round) : 0;
            const to = end - round < ROUND ? Number(end - round) : Number(ROUND);
            const nonce = searchRound(round, from, to);
            if (nonce !== undefined) return nonce;
          }
          return undefined;
        },
      };
    },
  };
}

function prepareJs(header: Uint8Array, target: Uint8Array): PowSearch {
  checkLengths(header, target);
  const midstate = sha256.create().update(header.subarray(0, BLOCK_BYTES));
  const tail = header.slice(BLOCK_BYTES);
  const tailView = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const nonceAt = tail.length - NONCE_BYTES;
  const inner = sha256.create();
  const outer = sha256.create();
  const empty = sha256.create();
  const digest = new Uint8Array(32);

  return {
    search(start, count) {
      for (let i = 0; i < count; i++) {
        const nonce = start + BigInt(i);
        tailView.setBigUint64(nonceAt, nonce);
        midstate._cloneInto(inner).update(tail).digestInto(digest);
        empty._cloneInto(outer).update(digest).digestInto(digest);
        if (isAtMost(digest, target)) return nonce;
      }
      return undefined;
    },
  };
}

function checkLengths(header: Uint8Array, target: Uint8Array): void {
  if (header.length < BLOCK_BYTES + NONCE_BYTES) throw new RangeError(`header of ${header.length} bytes is too short`);
  if (target.length !== 32) throw new RangeError(`target of ${target.length} bytes, expected 32`);
}

/** The eight words of SHA-256's state after one block. noble has them, for its subclasses only. */
function stateAfter(block: Uint8Array): readonly number[] {
  const hasher: unknown = sha256.create().update(block);
  return (hasher as { get(): readonly number[] }).get();
}

/** Both 32 bytes, big-endian. */
function isAtMost(value: Uint8Array, limit: Uint8Array): boolean {
  for (let i = 0; i < 32; i++) {
    const difference = value[i]! - limit[i]!;
    if (difference !== 0) return difference < 0;
  }
  return true;
}
