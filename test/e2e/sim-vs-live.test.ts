import { expect, test } from 'vitest';
import { COMPARED, compareSimWithLive, differenceOf, TOLERANCE } from './sim-vs-live-support.ts';

test('24 endpoints on libp2p and in the simulation: copies, hops and coverage agree within 10 %', async () => {
  const options = { nodes: 24, degree: 10, messages: 40, draws: 3, maxDraws: 6, seed: 'sim-vs-live' };
  const { kinds, wires } = await compareSimWithLive(options);
  expect(Object.keys(kinds)).toEqual(['tx', 'block']);
  for (const [kind, both] of Object.entries(kinds)) {
    const seen = JSON.stringify({ kind, ...both, wires });
    expect(both.live.coverage, seen).toBe(1);
    for (const key of COMPARED) {
      expect(
        differenceOf(both, (of) => of[key]),
        `${key} ${seen}`,
      ).toBeLessThanOrEqual(TOLERANCE);
    }
  }
}, 400_000);
