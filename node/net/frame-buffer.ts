/** Gathers what a stream brings, in whatever pieces it comes, until a length-prefixed frame is whole. Pure. */
import type { Uint8ArrayList } from 'uint8arraylist';

/** Of lengths up to 2^28. */
export const MAX_PREFIX_BYTES = 4;
const MIN_CAPACITY_BYTES = 512;
const NOTHING = new Uint8Array(0);

/**
 * Specification: each frame is its length, as an unsigned LEB128 of the fewest bytes, and so many bytes.
 *
 * Bound: four times the bytes that have come and not been taken. A list of the pieces, as the decoder of
 * `it-length-prefixed` keeps while it waits, takes some 200 bytes for each: a peer that sends a megabyte byte by byte
 * would take 200 MB. So the decoder gets whole frames only.
 */
export class FrameBuffer {
  readonly #maxFrameBytes: number;
  #buffer: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  /** Of the first frame, once it is there whole. */
  #prefixBytes = 0;
  #frameBytes = 0;
  #error: Error | undefined;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Of frames that were not taken, and of one that has begun. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /** Whether `next` does not have to wait: it has a frame, or throws. */
  get hasNext(): boolean {
    this.#readPrefix();
    return this.#error !== undefined || (this.#prefixBytes > 0 && this.bufferedBytes >= this.#wholeBytes);
  }

  push(bytes: Uint8Array | Uint8ArrayList): void {
    if (this.#error !== undefined) return;
    if (bytes instanceof Uint8Array) this.#append(bytes);
    else for (const part of bytes) this.#append(part);
  }

  /**
   * @returns the next frame with its length, a copy; undefined where it is not whole yet
   * @throws Error where its length is over the limit or not in its shortest form; and so from then on
   */
  next(): Uint8Array | undefined {
    if (!this.hasNext) return undefined;
    if (this.#error !== undefined) throw this.#error;
    const frame = this.#buffer.slice(this.#start, this.#start + this.#wholeBytes);
    this.#start += this.#wholeBytes;
    this.#prefixBytes = 0;
    if (this.#start === this.#end) this.clear();
    return frame;
  }

  /** Forgets what has come. */
  clear(): void {
    this.#buffer = NOTHING;
    this.#start = 0;
    this.#end = 0;
    this.#prefixBytes = 0;
  }

  get #wholeBytes(): number {
    return this.#prefixBytes + this.#frameBytes;
  }

  #readPrefix(): void {
    if (this.#prefixBytes > 0 || this.#error !== undefined) return;
    const available = Math.min(this.bufferedBytes, MAX_PREFIX_BYTES);
    let length = 0;
    for (let at = 0; at < available; at += 1) {
      const byte = this.#buffer[this.#start + at]!;
      length |= (byte & 0x7f) << (7 * at);
      if (byte >= 0x80) continue;
      if (byte === 0 && at > 0) this.#fail('length not in its shortest form');
      else if (length > this.#maxFrameBytes) this.#fail('length too long');
      this.#prefixBytes = at + 1;
      this.#frameBytes = length;
      return;
    }
    if (available === MAX_PREFIX_BYTES) this.#fail('length too long');
  }

  #fail(why: string): void {
    this.#error = new Error(`frame ${why}`);
    this.clear();
  }

  #append(bytes: Uint8Array): void {
    if (this.#end + bytes.byteLength > this.#buffer.byteLength) this.#makeRoom(bytes.byteLength);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.byteLength;
  }

  /** By moving what is there where that is half at most, so that each byte is moved once or twice on average. */
  #makeRoom(bytes: number): void {
    const needed = this.bufferedBytes + bytes;
    if (2 * needed <= this.#buffer.byteLength) this.#buffer.copyWithin(0, this.#start, this.#end);
    else {
      const room = new Uint8Array(Math.max(MIN_CAPACITY_BYTES, 2 * needed));
      room.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = room;
    }
    this.#end -= this.#start;
    this.#start = 0;
  }
}
