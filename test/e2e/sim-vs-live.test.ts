import { expect, test } from 'vitest';
import { compareSimWithLive, differenceOf, type Spread } from './sim-vs-live-support.ts';

/** The mesh of one draw of 12 nodes is off by 8 %; that of `bench/sim-vs-live.ts`, with more, is not taken out. */
const COMPARED: readonly (readonly [what: string, of: (spread: Spread) => number])[] = [
  ['copies per mesh peer', ({ copiesPerDelivery, meshDegree }) => copiesPerDelivery / meshDegree],
  ['hops', ({ meanHops }) => meanHops],
  ['coverage', ({ coverage }) => coverage],
];

/**
 * One draw of 12 on a machine that does other things as well: hops have come out 10.3 % apart. The 10 % are held by
 * `bench/sim-vs-live.ts`, with more nodes and draws; here it is seen that nothing is grossly off.
 */
const TOLERANCE = 0.2;

test('12 endpoints on libp2p and in the simulation: copies, hops and coverage agree', async () => {
  const { kinds, wires } = await compareSimWithLive({ nodes: 12, degree: 8, messages: 40, draws: 1, seed: 'twelve' });
  for (const [kind, both] of Object.entries(kinds)) {
    const seen = JSON.stringify({ kind, ...both, wires });
    expect(both.live.coverage, seen).toBe(1);
    for (const [what, of] of COMPARED) expect(differenceOf(both, of), `${what} ${seen}`).toBeLessThanOrEqual(TOLERANCE);
    // By chance, but not by much: both are between Dlo and Dhi, and near D.
    expect(
      differenceOf(both, ({ meshDegree }) => meshDegree),
      seen,
    ).toBeLessThanOrEqual(0.35);
  }
});
