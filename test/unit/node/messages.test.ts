import { describe, expect, test } from 'vitest';
import type { BlockId, ChainId } from '../../../chain/types.ts';
import { decodeStatus as decodeEnvelope, encodeStatus as encodeEnvelope } from '../../../node/net/wire.ts';
import { decodeStatus, encodeStatus } from '../../../node/sync/messages.ts';
import type { PeerStatus } from '../../../node/sync/peer-status.ts';
import { fc } from '../../fast-check.ts';

const checkpoint = { height: 7n, id: '0b'.repeat(32) as BlockId };

function statusWith(totalWork: bigint): PeerStatus {
  return {
    chainId: '0a'.repeat(32) as ChainId,
    software: 'test/1',
    tip: checkpoint,
    totalWork,
    agreed: checkpoint,
    final: checkpoint,
    offenders: '0c'.repeat(32),
    mempool: '0d'.repeat(8),
  };
}

/** Work as the wire has it, in hex. */
function workSent(totalWork: bigint): string {
  return Buffer.from(decodeEnvelope(encodeStatus(statusWith(totalWork)))!.tipWork).toString('hex');
}

describe('work in a status', () => {
  test.each([
    [0n, '00'],
    [1n, '01'],
    [0xffn, 'ff'],
    [0x100n, '0100'],
    [2n ** 63n, '8000000000000000'],
    [2n ** 64n - 1n, 'ffffffffffffffff'],
    [2n ** 64n, '010000000000000000'],
    [2n ** 255n, `80${'00'.repeat(31)}`],
  ])('%s is sent as %s', (work, hex) => {
    expect(workSent(work)).toBe(hex);
  });

  test('has no zeros before it and comes back as it was, short of 64 bits and beyond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.bigInt(0n, 2n ** 256n - 1n), (shift, value) => {
        const work = value >> BigInt(shift);
        const hex = work.toString(16);
        expect(workSent(work)).toBe(hex.length % 2 === 0 ? hex : `0${hex}`);
        expect(decodeStatus(encodeStatus(statusWith(work)))).toEqual(statusWith(work));
      }),
    );
  });

  test.each([
    ['', 0n],
    ['00', 0n],
    ['0000000001', 1n],
    ['000000000000000000ff', 0xffn],
  ])('that a peer sends as "%s" is read as %s', (hex, work) => {
    const envelope = decodeEnvelope(encodeStatus(statusWith(1n)))!;
    const frame = encodeEnvelope({ ...envelope, tipWork: Uint8Array.from(Buffer.from(hex, 'hex')) });
    expect(decodeStatus(frame)?.totalWork).toBe(work);
  });
});
