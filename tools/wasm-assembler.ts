/** As much of the WebAssembly binary format (core specification 2.0, chapter 5) as the proof-of-work kernels need. */

export type Bytes = readonly number[];

/** Value types. */
export const I32 = 0x7f;
export const V128 = 0x7b;

/** Unsigned LEB128. */
export function u32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128 of the value's low 32 bits. */
export function s32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const isDone = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(isDone ? low : low | 0x80);
    if (isDone) return bytes;
  }
}

/** An instruction of the SIMD group. */
export function simd(opcode: number, ...immediates: Bytes): number[] {
  return [0xfd, ...u32(opcode), ...immediates];
}

export const op = {
  loop: [0x03, 0x40],
  if: [0x04, 0x40],
  end: [0x0b],
  return: [0x0f],
  brIf: (depth: number) => [0x0d, ...u32(depth)],
  localGet: (index: number) => [0x20, ...u32(index)],
  localSet: (index: number) => [0x21, ...u32(index)],
  localTee: (index: number) => [0x22, ...u32(index)],
  i32Const: (value: number) => [0x41, ...s32(value)],
  /** Aligned to four bytes. */
  i32Load: (offset: number) => [0x28, 0x02, ...u32(offset)],
  i32LtU: [0x49],
  i32LeU: [0x4d],
  i32Ctz: [0x68],
  i32Add: [0x6a],
  i32And: [0x71],
  i32Or: [0x72],
  i32Xor: [0x73],
  i32Shl: [0x74],
  i32ShrU: [0x76],
  i32Rotr: [0x78],
  v128Load32Splat: (offset: number) => simd(9, 0x02, ...u32(offset)),
  v128Const: (words: readonly [number, number, number, number]) =>
    simd(12, ...words.flatMap((word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24])),
  i32x4Splat: simd(17),
  i32x4LeU: simd(62),
  v128And: simd(78),
  v128Or: simd(80),
  v128Xor: simd(81),
  v128AnyTrue: simd(83),
  i32x4Bitmask: simd(164),
  i32x4Shl: simd(171),
  i32x4ShrU: simd(173),
  i32x4Add: simd(174),
};

/** A module with one page of memory, `memory`, and one function, both exported. */
export function makeModule(fn: {
  readonly name: string;
  readonly params: Bytes;
  readonly results: Bytes;
  /** Types of the locals that follow the parameters. */
  readonly locals: Bytes;
  readonly body: Bytes;
}): Uint8Array {
  const vector = (items: readonly Bytes[]): number[] => [...u32(items.length), ...items.flat()];
  const section = (id: number, content: Bytes): number[] => [id, ...u32(content.length), ...content];
  const name = (text: string): number[] => vector([...new TextEncoder().encode(text)].map((byte) => [byte]));
  // Runs of one type are written as a count and the type.
  const runs: [number, number][] = [];
  for (const type of fn.locals) {
    const last = runs.at(-1);
    if (last?.[1] === type) last[0] += 1;
    else runs.push([1, type]);
  }
  const code = [...vector(runs.map(([count, type]) => [...u32(count), type])), ...fn.body, ...op.end];
  const type = [0x60, ...vector(fn.params.map((each) => [each])), ...vector(fn.results.map((each) => [each]))];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector([type])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0x01, 1, 1]])),
    ...section(
      7,
      vector([
        [...name('memory'), 0x02, 0],
        [...name(fn.name), 0x00, 0],
      ]),
    ),
    ...section(10, vector([[...u32(code.length), ...code]])),
  ]);
}
