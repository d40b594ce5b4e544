/** Big-endian, fixed-width fields. Nothing here knows what the fields mean. */
import { MAX_U64 } from './params.ts';

const TWO_POW_32 = 0x1_0000_0000;

/** Fills a buffer of known length, field by field. Every method throws RangeError for a value that does not fit. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  #offset = 0;

  /** `length`: bytes of the whole encoding. */
  constructor(length: number) {
    this.bytes = new Uint8Array(length);
  }

  u8(value: number): this {
    return this.#uint(value, 1);
  }

  u16(value: number): this {
    return this.#uint(value, 2);
  }

  u32(value: number): this {
    return this.#uint(value, 4);
  }

  u64(value: bigint): this {
    if (value < 0n || value > MAX_U64) throw new RangeError(`${value} is not a u64`);
    this.#uint(Number(value >> 32n), 4);
    return this.#uint(Number(value & 0xffff_ffffn), 4);
  }

  /** Copies `bytes`, which must be `length` long when that is given. */
  raw(bytes: Uint8Array, length = bytes.length): this {
    if (bytes.length !== length) throw new RangeError(`expected ${length} bytes, got ${bytes.length}`);
    this.bytes.set(bytes, this.#offset);
    this.#offset += length;
    return this;
  }

  #uint(value: number, width: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
      throw new RangeError(`${value} is not a u${8 * width}`);
    }
    if (this.#offset + width > this.bytes.length) throw new RangeError('write past the end');
    let rest = value;
    for (let i = this.#offset + width - 1; i >= this.#offset; i -= 1) {
      this.bytes[i] = rest; // its low eight bits
      rest >>>= 8;
    }
    this.#offset += width;
    return this;
  }
}

/**
 * Reads fields in order. Decoders check `remaining` before they read, so a read past the end is a programmer's
 * fault and throws RangeError.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#uint(1);
  }

  u16(): number {
    return this.#uint(2);
  }

  u32(): number {
    return this.#uint(4);
  }

  u64(): bigint {
    const high = this.#uint(4);
    const low = this.#uint(4);
    // Real heights, times and most amounts are below 2^53, where one conversion is enough.
    return high < 0x20_0000 ? BigInt(high * TWO_POW_32 + low) : (BigInt(high) << 32n) | BigInt(low);
  }

  /** A view of the next `length` bytes, not a copy. */
  raw(length: number): Uint8Array {
    if (length > this.remaining) throw new RangeError('read past the end');
    const start = this.#offset;
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  #uint(width: number): number {
    if (width > this.remaining) throw new RangeError('read past the end');
    let value = 0;
    for (let i = 0; i < width; i += 1) value = value * 256 + this.#bytes[this.#offset + i]!;
    this.#offset += width;
    return value;
  }
}
