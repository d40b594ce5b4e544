import { encode } from 'it-length-prefixed';
import { Uint8ArrayList } from 'uint8arraylist';
import { describe, expect, test } from 'vitest';
import { FrameBuffer } from '../../../node/net/frame-buffer.ts';
import { fc } from '../../fast-check.ts';

const MAX_FRAME_BYTES = 5_000;

function allOf(buffer: FrameBuffer): Uint8Array[] {
  const frames: Uint8Array[] = [];
  while (buffer.hasNext) frames.push(buffer.next()!);
  expect(buffer.next()).toBeUndefined();
  return frames;
}

describe('FrameBuffer', () => {
  test('gives the frames that were sent, in whatever pieces they come', () => {
    const length = fc.oneof(fc.nat(5), fc.integer({ min: 120, max: 135 }), fc.nat(MAX_FRAME_BYTES));
    const size = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 20_000 }));
    fc.assert(
      fc.property(
        fc.array(length, { maxLength: 12 }),
        fc.array(size, { minLength: 1, maxLength: 30 }),
        fc.boolean(),
        fc.nat(3),
        (lengths, sizes, isList, readEvery) => {
          const sent = lengths.map((bytes, i) => encode.single(new Uint8Array(bytes).fill(i + 1)).slice());
          const all = new Uint8ArrayList(...sent).slice();
          const buffer = new FrameBuffer(MAX_FRAME_BYTES);
          const frames: Uint8Array[] = [];
          let taken = 0;
          for (let at = 0, i = 0; at < all.byteLength; i += 1) {
            const piece = all.subarray(at, at + sizes[i % sizes.length]!);
            const middle = piece.byteLength >> 1;
            buffer.push(isList ? new Uint8ArrayList(piece.subarray(0, middle), piece.subarray(middle)) : piece);
            at += piece.byteLength;
            if (i % (readEvery + 1) === 0) frames.push(...allOf(buffer));
            taken = frames.reduce((sum, { byteLength }) => sum + byteLength, 0);
            expect(buffer.bufferedBytes).toBe(at - taken);
          }
          frames.push(...allOf(buffer));
          expect(frames).toEqual(sent);
          expect(buffer.bufferedBytes).toBe(0);
        },
      ),
    );
  });

  test.each([
    ['over the limit', encode.single(new Uint8Array(MAX_FRAME_BYTES + 1)).subarray(0, 2), /length too long/],
    ['of a length without end', new Uint8Array(4).fill(0xff), /length too long/],
    ['of a length with a zero too many', Uint8Array.of(0x81, 0x00, 1), /shortest form/],
  ])('refuses a frame %s, and whatever comes after it', (_what, bytes, why) => {
    const buffer = new FrameBuffer(MAX_FRAME_BYTES);
    buffer.push(encode.single(Uint8Array.of(7)));
    buffer.push(bytes);
    expect(buffer.next()).toEqual(Uint8Array.of(1, 7));
    expect(buffer.hasNext).toBe(true);
    for (let again = 0; again < 2; again += 1) expect(() => buffer.next()).toThrow(why);
    buffer.push(encode.single(Uint8Array.of(7)));
    expect(() => buffer.next()).toThrow(why);
    expect(buffer.bufferedBytes).toBe(0);
  });

  test('a frame does not share memory with what came, nor with the next', () => {
    const buffer = new FrameBuffer(MAX_FRAME_BYTES);
    const bytes = Uint8Array.of(1, 7, 1, 8);
    buffer.push(bytes);
    bytes.fill(9);
    const first = buffer.next()!;
    buffer.push(Uint8Array.of(1, 6));
    expect([first, buffer.next(), buffer.next()]).toEqual([
      Uint8Array.of(1, 7),
      Uint8Array.of(1, 8),
      Uint8Array.of(1, 6),
    ]);
    expect(first.buffer.byteLength).toBe(2);
  });
});
