import { describe, expect, it } from 'vitest';
import { PeerScore } from '../../../node/net/peer-score.ts';
import { fc } from '../../fast-check.ts';

const options = { banPoints: 100, halfLifeMs: 1_000, banMs: 5_000, maxPeers: 3 };

describe('PeerScore', () => {
  it('bans at the threshold, for the stated time, and then starts afresh', () => {
    const score = new PeerScore(options);
    expect(score.penalize('a', 60, 0)).toBe('kept');
    expect(score.isBanned('a', 0)).toBe(false);
    expect(score.penalize('a', 40, 0)).toBe('banned');
    expect(score.isBanned('a', 4_999)).toBe(true);
    expect(score.isBanned('a', 5_000)).toBe(false);
    expect(score.points('a', 5_000)).toBe(0);
  });

  it('halves the points in each half-life', () => {
    const score = new PeerScore(options);
    score.penalize('a', 80, 0);
    expect(score.points('a', 1_000)).toBeCloseTo(40);
    expect(score.points('a', 3_000)).toBeCloseTo(10);
    expect(score.penalize('a', 59, 1_000)).toBe('kept');
    expect(score.penalize('a', 1.001, 1_000)).toBe('banned');
  });

  it('keeps peers apart', () => {
    const score = new PeerScore(options);
    score.penalize('a', 200, 0);
    expect(score.isBanned('b', 0)).toBe(false);
    expect(score.points('b', 0)).toBe(0);
  });

  it('forgets the peer penalized longest ago beyond the bound', () => {
    const score = new PeerScore(options);
    for (const peer of ['a', 'b', 'c']) score.penalize(peer, 10, 0);
    score.penalize('a', 10, 0);
    score.penalize('d', 10, 0);
    expect(['a', 'b', 'c', 'd'].map((peer) => score.points(peer, 0))).toEqual([20, 0, 10, 10]);
    for (const peer of ['e', 'f', 'g', 'h']) score.penalize(peer, 100, 0);
    expect(['e', 'f', 'g', 'h'].map((peer) => score.isBanned(peer, 1))).toEqual([false, true, true, true]);
  });

  it('takes positive points only', () => {
    const score = new PeerScore(options);
    for (const points of [0, -1, Number.NaN]) expect(() => score.penalize('a', points, 0)).toThrow(RangeError);
  });

  it('never bans below the threshold, whatever the times', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0.01, max: 9, noNaN: true }), fc.nat(10_000)), { maxLength: 11 }),
        (list) => {
          const score = new PeerScore(options);
          let nowMs = 0;
          for (const [points, stepMs] of list) {
            nowMs += stepMs;
            expect(score.penalize('a', points, nowMs)).toBe('kept');
          }
        },
      ),
    );
  });
});
