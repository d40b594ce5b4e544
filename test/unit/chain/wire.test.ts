import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../../../chain/wire.ts';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { fc } from '../../fast-check.ts';

describe('byte fields', () => {
  it('are big-endian and of fixed width', () => {
    const { bytes } = new ByteWriter(17).u8(1).u16(2).u32(3).u64(4n).raw(Uint8Array.of(5, 6));
    expect(bytesToHex(bytes)).toBe('0100020000000300000000000000040506');
  });

  it('read back what was written, over all of u16, u32 and u64', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 0xffff }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        (a, b, c) => {
          const reader = new ByteReader(new ByteWriter(14).u16(a).u32(b).u64(c).bytes);
          expect([reader.u16(), reader.u32(), reader.u64(), reader.remaining]).toEqual([a, b, c, 0]);
        },
      ),
    );
  });

  it.each([0n, 1n, (1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 64n) - 1n])('keep the u64 %s', (value) => {
    expect(new ByteReader(new ByteWriter(8).u64(value).bytes).u64()).toBe(value);
  });

  it('throw RangeError for what does not fit', () => {
    const room = (): ByteWriter => new ByteWriter(8);
    for (const value of [-1, 256, 0.5, Number.NaN]) expect(() => room().u8(value)).toThrow(RangeError);
    expect(() => room().u16(65_536)).toThrow(RangeError);
    expect(() => room().u64(-1n)).toThrow(RangeError);
    expect(() => room().u64(1n << 64n)).toThrow(RangeError);
    expect(() => room().raw(new Uint8Array(3), 4)).toThrow(RangeError);
    expect(() => room().raw(new Uint8Array(9))).toThrow(RangeError);
    expect(() => new ByteWriter(1).u16(1)).toThrow(RangeError);
    expect(() => new ByteReader(new Uint8Array(3)).u32()).toThrow(RangeError);
    expect(() => new ByteReader(new Uint8Array(3)).raw(4)).toThrow(RangeError);
  });
});
