import { describe, expect, it } from 'vitest';
import { makeHeader } from '../../../chain/codec.ts';
import { bitsForHashes, bitsToTarget, meetsTarget, workOfTarget } from '../../../chain/target.ts';
import type { ChainEntry, HeaderBody } from '../../../chain/types.ts';
import { checkHeader, checkHeaderWork, type HeaderContext } from '../../../chain/validate/header.ts';
import { accept, ignore, reject } from '../../../chain/verdict.ts';
import { blockOn, genesis, mine, miner } from './chain-fixtures.ts';

const { params } = genesis;
const parent: ChainEntry = genesis.entry;
const genesisTimeMs = parent.header.timestampMs;
const context: HeaderContext = {
  parent,
  recentTimesMs: [genesisTimeMs],
  nowMs: genesisTimeMs + 60_000n,
  params,
  genesisEffectiveTimeMs: 0n,
};
const body: Omit<HeaderBody, 'nonce'> = {
  height: 1n,
  parent: parent.header.id,
  txRoot: new Uint8Array(32),
  timestampMs: genesisTimeMs + 2_000n,
  bits: params.initialBits,
  miner: miner.address,
};

describe('headers', () => {
  it('accepts a child of genesis with what the tree keeps of it', () => {
    const header = mine(body);
    const totalWork = parent.totalWork + workOfTarget(bitsToTarget(params.initialBits)!);
    expect(checkHeader(header, context)).toEqual(accept({ header, totalWork, effectiveTimeMs: 2_000n }));
  });

  it('counts a solve time up to the cap', () => {
    const timestampMs = genesisTimeMs + 10n * BigInt(params.maxSolveTimeMs);
    const verdict = checkHeader(mine({ ...body, timestampMs }), { ...context, nowMs: timestampMs });
    expect(verdict).toMatchObject(accept({ effectiveTimeMs: BigInt(params.maxSolveTimeMs) }));
  });

  it('BLK-3: rejects an id above the target', () => {
    expect(checkHeader(mine(body, false), context)).toEqual(reject('block/bad-pow'));
  });

  it('BLK-3: needs no parent, and takes no target above the limit or not canonical', () => {
    const header = mine(body);
    expect(checkHeaderWork(header, params)).toEqual(accept(header));
    expect(checkHeaderWork(mine(body, false), params)).toEqual(reject('block/bad-pow'));
    const easy = mine({ ...body, bits: bitsForHashes(1n) });
    expect(meetsTarget(easy.id, easy.bits)).toBe(true);
    expect(checkHeaderWork(easy, params)).toEqual(reject('block/bad-pow'));
    for (const bits of [0, 0x1d000000, 0x1e0000ff, 0x1d80ffff]) {
      expect(checkHeaderWork(makeHeader({ ...body, bits, nonce: 0n }), params)).toEqual(reject('block/bad-pow'));
    }
  });

  it.each([0n, 2n, 1n << 63n])('BLK-4: rejects the height %s on genesis, whatever its work', (height) => {
    expect(checkHeader(mine({ ...body, height }), context)).toEqual(reject('block/wrong-height'));
  });

  it('BLK-5: rejects a target other than the one demanded, harder ones too', () => {
    for (const bits of [bitsForHashes(4n), bitsForHashes(1n), params.initialBits - 1, 0]) {
      const header = makeHeader({ ...body, bits, nonce: 0n });
      expect(checkHeader(header, context)).toEqual(reject('block/wrong-target'));
    }
  });

  it('BLK-5: follows the chain clock', () => {
    const ahead = { ...context, parent: { ...parent, effectiveTimeMs: -2n * BigInt(params.halfLifeMs) } };
    expect(checkHeader(mine(body), ahead)).toEqual(reject('block/wrong-target'));
    const harder = mine({ ...body, bits: bitsForHashes(8n) });
    expect(checkHeader(harder, ahead).kind).toBe('accept');
    expect(checkHeader(harder, context)).toEqual(reject('block/wrong-target'));
  });

  it('BLK-6: rejects a timestamp at the median time past, takes one above it', () => {
    const medianTimePastMs = genesisTimeMs + 2_000n;
    const recentTimesMs = [genesisTimeMs + 1n, medianTimePastMs, medianTimePastMs + 5_000n];
    expect(checkHeader(mine(body), { ...context, recentTimesMs })).toEqual(reject('block/timestamp-too-old'));
    const next = mine({ ...body, timestampMs: medianTimePastMs + 1n });
    expect(checkHeader(next, { ...context, recentTimesMs }).kind).toBe('accept');
  });

  it('BLK-6: takes a timestamp before its parent that is above the median', () => {
    const late = { ...parent, header: makeHeader({ ...parent.header, timestampMs: genesisTimeMs + 9_000n }) };
    const header = mine({ ...body, parent: late.header.id });
    const verdict = checkHeader(header, {
      ...context,
      parent: late,
      recentTimesMs: [late.header.timestampMs, genesisTimeMs, genesisTimeMs],
    });
    expect(verdict).toMatchObject(accept({ effectiveTimeMs: late.effectiveTimeMs }));
  });

  it('BLK-7: ignores a timestamp too far ahead of our clock, takes one at the limit', () => {
    const limitMs = context.nowMs + BigInt(params.maxFutureMs);
    const over = mine({ ...body, timestampMs: limitMs + 1n });
    expect(checkHeader(over, context)).toEqual(ignore('block/timestamp-too-new'));
    expect(checkHeader(mine({ ...body, timestampMs: limitMs }), context).kind).toBe('accept');
  });

  it('BLK-7: with a clock two hours behind, honest blocks are ignored, not held against the sender', () => {
    const slow = { ...context, nowMs: context.nowMs - 7_200_000n };
    expect(checkHeader(mine(body), slow)).toEqual(ignore('block/timestamp-too-new'));
  });

  it('BLK-16: ignores a header whose parent is not the one at hand', () => {
    const stranger = blockOn(parent.header, []).header;
    const header = mine({ ...body, parent: stranger.id });
    expect(checkHeader(header, context)).toEqual(ignore('block/unknown-parent'));
  });
});
