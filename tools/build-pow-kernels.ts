/**
 * Writes the proof-of-work kernels, crypto/pow-kernels.generated.js: double SHA-256 (FIPS 180-4) of a header of 113
 * bytes as WebAssembly, four nonces at a time or one.
 *
 *     node tools/build-pow-kernels.ts
 *
 * A kernel tries the nonces that differ in their last byte. The rest of the header is in its memory, so most of what
 * a hash computes is the same for all of them: the first 12 rounds and a part of the message schedule. The generator
 * finds this by itself: what depends on constants alone is folded, what depends on memory alone is computed before
 * the loop. Of the second hash only the first word is computed; whoever calls looks at the rest of a candidate.
 */
import { writeFileSync } from 'node:fs';
import { type Bytes, I32, makeModule, op, V128 } from './wasm-assembler.ts';

/** Words of the memory, little-endian as WebAssembly has them. See crypto/pow-kernel.ts. */
const MIDSTATE_AT = 0;
const TAIL_AT = 32;
const TARGET_AT = 80;
/** Word of the header's second block that begins with the nonce's last byte; the padding follows. */
const NONCE_WORD = 12;
const HEADER_BITS = 113 * 8;

/** The first `count` primes. */
function primes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n);
  return found;
}

/** The first 32 bits of the fractional part of the `k`-th root of `n`, exactly: FIPS 180-4, 4.2.2 and 5.3.3. */
function rootFraction(n: number, k: 2 | 3): number {
  const scaled = BigInt(n) << BigInt(32 * k);
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (middle ** BigInt(k) <= scaled) low = middle;
    else high = middle;
  }
  return Number(low & 0xffff_ffffn);
}

const K = primes(64).map((prime) => rootFraction(prime, 3));
const IV = primes(8).map((prime) => rootFraction(prime, 2));

/** `known`: a constant. `fixed`: the same for every nonce of a call. `moving`: depends on the nonce. */
type Value =
  | { readonly kind: 'known'; readonly word: number }
  | { readonly kind: 'fixed' | 'moving'; readonly code: Bytes };

/** The instructions of one width. */
interface Width {
  readonly lanes: number;
  readonly type: number;
  constant(word: number): Bytes;
  load(offset: number): Bytes;
  readonly add: Bytes;
  readonly and: Bytes;
  readonly xor: Bytes;
  /** `code` pushes the operand and has no side effect. */
  rotr(code: Bytes, bits: number): Bytes;
  shr(code: Bytes, bits: number): Bytes;
  /** The nonce word of each lane; the local holds the first lane's byte. */
  nonceWord(local: number): Bytes;
  /** Returns from the function when a lane's value is at or below the target's. */
  returnIfAtMost(value: Bytes, target: Bytes, byte: number, scratch: number): Bytes;
}

const scalar: Width = {
  lanes: 1,
  type: I32,
  constant: op.i32Const,
  load: (offset) => [...op.i32Const(0), ...op.i32Load(offset)],
  add: op.i32Add,
  and: op.i32And,
  xor: op.i32Xor,
  rotr: (code, bits) => [...code, ...op.i32Const(bits), ...op.i32Rotr],
  shr: (code, bits) => [...code, ...op.i32Const(bits), ...op.i32ShrU],
  nonceWord: (local) => [
    ...[...op.localGet(local), ...op.i32Const(24), ...op.i32Shl],
    ...[...op.i32Const(0x0080_0000), ...op.i32Or],
  ],
  returnIfAtMost: (value, target, byte) => [
    ...[...value, ...target, ...op.i32LeU],
    ...[...op.if, ...op.localGet(byte), ...op.return, ...op.end],
  ],
};

const fourWide: Width = {
  lanes: 4,
  type: V128,
  constant: (word) => op.v128Const([word, word, word, word]),
  load: (offset) => [...op.i32Const(0), ...op.v128Load32Splat(offset)],
  add: op.i32x4Add,
  and: op.v128And,
  xor: op.v128Xor,
  // There is no rotation of lanes.
  rotr: (code, bits) => [
    ...[...code, ...op.i32Const(bits), ...op.i32x4ShrU],
    ...[...code, ...op.i32Const(32 - bits), ...op.i32x4Shl],
    ...op.v128Or,
  ],
  shr: (code, bits) => [...code, ...op.i32Const(bits), ...op.i32x4ShrU],
  nonceWord: (local) => [
    ...[...op.localGet(local), ...op.i32Const(24), ...op.i32Shl, ...op.i32x4Splat],
    ...[...op.v128Const([0x0080_0000, 0x0180_0000, 0x0280_0000, 0x0380_0000]), ...op.i32x4Add],
  ],
  returnIfAtMost: (value, target, byte, scratch) => [
    ...[...value, ...target, ...op.i32x4LeU, ...op.localTee(scratch), ...op.v128AnyTrue],
    ...op.if,
    ...[...op.localGet(byte), ...op.localGet(scratch), ...op.i32x4Bitmask, ...op.i32Ctz, ...op.i32Add, ...op.return],
    ...op.end,
  ],
};

class KernelBuilder {
  readonly #width: Width;
  readonly #before: number[] = [];
  readonly #loop: number[] = [];
  #locals = 0;

  constructor(width: Width) {
    this.#width = width;
  }

  known(word: number): Value {
    return { kind: 'known', word: word >>> 0 };
  }

  load(offset: number): Value {
    return this.#keep(this.#before, 'fixed', this.#width.load(offset));
  }

  nonceWord(): Value {
    return this.#keep(this.#loop, 'moving', this.#width.nonceWord(0));
  }

  /** Gives the value a local, so that it can be used more than once. */
  name(value: Value): Value {
    return value.kind === 'moving' ? this.#keep(this.#loop, 'moving', value.code) : value;
  }

  /** The sum modulo 2^32, constants and what is fixed first, so that they cost nothing in the loop. */
  sum(...values: readonly Value[]): Value {
    let word = 0;
    for (const value of values) if (value.kind === 'known') word = (word + value.word) >>> 0;
    const rank = { known: 0, fixed: 1, moving: 2 };
    const rest = values.filter(({ kind }) => kind !== 'known').sort((a, b) => rank[a.kind] - rank[b.kind]);
    const start = word === 0 && rest.length > 0 ? rest.shift()! : this.known(word);
    return rest.reduce((total, value) => this.#apply(total, value, this.#width.add, (a, b) => a + b), start);
  }

  xor(a: Value, b: Value): Value {
    return this.#apply(a, b, this.#width.xor, (x, y) => x ^ y);
  }

  and(a: Value, b: Value): Value {
    return this.#apply(a, b, this.#width.and, (x, y) => x & y);
  }

  /** `value` is named. */
  rotr(value: Value, bits: number): Value {
    if (value.kind === 'known') return this.known((value.word >>> bits) | (value.word << (32 - bits)));
    return this.#make(value.kind, this.#width.rotr(value.code, bits));
  }

  shr(value: Value, bits: number): Value {
    if (value.kind === 'known') return this.known(value.word >>> bits);
    return this.#make(value.kind, this.#width.shr(value.code, bits));
  }

  /** The module: `scan(from, to)` gives the first last byte in [from, to) that is a candidate, or -1. */
  finish(first: Value, target: Value): Uint8Array {
    const scratch = this.#local();
    const body = [
      ...this.#before,
      ...op.loop,
      ...this.#loop,
      ...this.#width.returnIfAtMost(this.#codeOf(first), this.#codeOf(target), 0, scratch),
      ...[...op.localGet(0), ...op.i32Const(this.#width.lanes), ...op.i32Add, ...op.localTee(0)],
      ...[...op.localGet(1), ...op.i32LtU, ...op.brIf(0)],
      ...op.end,
      ...op.i32Const(-1),
    ];
    const locals = new Array<number>(this.#locals).fill(this.#width.type);
    return makeModule({ name: 'scan', params: [I32, I32], results: [I32], locals, body });
  }

  #apply(a: Value, b: Value, instruction: Bytes, fold: (x: number, y: number) => number): Value {
    if (a.kind === 'known' && b.kind === 'known') return this.known(fold(a.word, b.word));
    const kind = a.kind === 'moving' || b.kind === 'moving' ? 'moving' : 'fixed';
    return this.#make(kind, [...this.#codeOf(a), ...this.#codeOf(b), ...instruction]);
  }

  #make(kind: 'fixed' | 'moving', code: Bytes): Value {
    return kind === 'fixed' ? this.#keep(this.#before, 'fixed', code) : { kind, code };
  }

  #keep(where: number[], kind: 'fixed' | 'moving', code: Bytes): Value {
    const local = this.#local();
    where.push(...code, ...op.localSet(local));
    return { kind, code: op.localGet(local) };
  }

  #local(): number {
    this.#locals += 1;
    return this.#locals + 1; // after the two parameters
  }

  #codeOf(value: Value): Bytes {
    return value.kind === 'known' ? this.#width.constant(value.word) : value.code;
  }
}

/** The compression function. Gives the first `count` words of the new state. */
function compress(b: KernelBuilder, state: readonly Value[], block: readonly Value[], count: number): Value[] {
  const xor3 = (x: Value, y: Value, z: Value): Value => b.xor(b.xor(x, y), z);
  const w = [...block];
  let [a, bb, c, d, e, f, g, h] = state as [Value, Value, Value, Value, Value, Value, Value, Value];
  let bc = b.name(b.xor(bb, c));
  for (let t = 0; t < 64; t++) {
    if (t >= 16) {
      const early = w[t - 15]!;
      const late = w[t - 2]!;
      const s0 = xor3(b.rotr(early, 7), b.rotr(early, 18), b.shr(early, 3));
      const s1 = xor3(b.rotr(late, 17), b.rotr(late, 19), b.shr(late, 10));
      w[t] = b.name(b.sum(s1, w[t - 7]!, s0, w[t - 16]!));
    }
    const choose = b.xor(g, b.and(e, b.xor(f, g)));
    const t1 = b.name(b.sum(b.known(K[t]!), w[t]!, h, choose, xor3(b.rotr(e, 6), b.rotr(e, 11), b.rotr(e, 25))));
    // Majority, with a ^ b kept for the next round, where it is b ^ c.
    const ab = b.name(b.xor(a, bb));
    const majority = b.xor(bb, b.and(ab, bc));
    const isLast = t === 63 && count === 1;
    const newE = isLast ? d : b.name(b.sum(d, t1));
    const newA = b.name(b.sum(t1, majority, xor3(b.rotr(a, 2), b.rotr(a, 13), b.rotr(a, 22))));
    bc = ab;
    [a, bb, c, d, e, f, g, h] = [newA, a, bb, c, newE, e, f, g];
  }
  return [a, bb, c, d, e, f, g, h].slice(0, count).map((word, i) => b.name(b.sum(word, state[i]!)));
}

function buildKernel(width: Width): Uint8Array {
  const b = new KernelBuilder(width);
  const midstate = IV.map((_, i) => b.load(MIDSTATE_AT + 4 * i));
  const tail = Array.from({ length: NONCE_WORD }, (_, i) => b.load(TAIL_AT + 4 * i));
  const target = b.load(TARGET_AT);
  const zero = b.known(0);
  const first = compress(b, midstate, [...tail, b.nonceWord(), zero, zero, b.known(HEADER_BITS)], 8);
  const padding = [b.known(0x8000_0000), zero, zero, zero, zero, zero, zero, b.known(256)];
  const [word] = compress(
    b,
    IV.map((each) => b.known(each)),
    [...first, ...padding],
    1,
  );
  return b.finish(word!, target);
}

export function buildPowKernels(): { readonly simd: Uint8Array; readonly scalar: Uint8Array } {
  return { simd: buildKernel(fourWide), scalar: buildKernel(scalar) };
}

/** The generated file. */
export function powKernelsSource(): string {
  const lines = Object.entries(buildPowKernels()).map(([name, bytes]) => {
    const parts =
      Buffer.from(bytes)
        .toString('base64')
        .match(/.{1,110}/g) ?? [];
    return `export const ${name} =\n${parts.map((part) => `  '${part}'`).join(' +\n')};\n`;
  });
  return `// Generated by tools/build-pow-kernels.ts: WebAssembly in base64. Do not edit.\n${lines.join('\n')}`;
}

if (import.meta.main) writeFileSync(new URL('../crypto/pow-kernels.generated.js', import.meta.url), powKernelsSource());
