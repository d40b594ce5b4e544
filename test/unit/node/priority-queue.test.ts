import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LANE_LIMITS, LANES, PriorityQueue } from '../../../node/pipeline/priority-queue.ts';

const EACH = { block: 1, evidence: 2, vote: 2, api: 1, tx: 3 };

test('blocks first, then votes, then transactions of the API, then of peers; in order of arrival within a lane', () => {
  const queue = new PriorityQueue<string>();
  for (const [kind, item] of [
    ['tx', 't1'],
    ['vote', 'v1'],
    ['tx', 't2'],
    ['block', 'b1'],
    ['block', 'b2'],
    ['vote', 'v2'],
    ['evidence', 'e1'],
  ] as const) {
    expect(queue.push(kind, item)).toBe(true);
  }
  expect(queue.take(EACH)).toEqual({ kind: 'block', items: ['b1'] });
  expect(queue.take(EACH)).toEqual({ kind: 'block', items: ['b2'] });
  expect(queue.take(EACH)).toEqual({ kind: 'evidence', items: ['e1'] });
  expect(queue.take(EACH)).toEqual({ kind: 'vote', items: ['v1', 'v2'] });
  queue.push('block', 'b3');
  expect(queue.take(EACH)).toEqual({ kind: 'block', items: ['b3'] });
  queue.push('api', 'a1');
  expect(queue.take(EACH)).toEqual({ kind: 'api', items: ['a1'] });
  expect(queue.take(EACH)).toEqual({ kind: 'tx', items: ['t1', 't2'] });
  expect(queue.take(EACH)).toBeUndefined();
});

test.each(LANES)('a full %s lane refuses the newcomer, and takes one again when one has left', (kind) => {
  const queue = new PriorityQueue<number>();
  for (let at = 0; at < LANE_LIMITS[kind]; at++) expect(queue.push(kind, at)).toBe(true);
  expect(queue.push(kind, -1)).toBe(false);
  expect(queue.length(kind)).toBe(LANE_LIMITS[kind]);
  expect(queue.take({ block: 1, evidence: 1, vote: 1, api: 1, tx: 1 })?.items).toEqual([0]);
  expect(queue.push(kind, -2)).toBe(true);
  expect(queue.push(kind, -3)).toBe(false);
});

test('property: behaves as plain lists', () => {
  const operation = fc.oneof(
    fc.record({ push: fc.constantFrom(...LANES), item: fc.nat() }),
    fc.record({ take: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ many: fc.constantFrom('tx' as const, 'vote' as const), count: fc.integer({ min: 1, max: 600 }) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const queue = new PriorityQueue<number>();
      const model: Record<(typeof LANES)[number], number[]> = { block: [], evidence: [], vote: [], api: [], tx: [] };
      const push = (kind: (typeof LANES)[number], item: number): void => {
        const fits = model[kind].length < LANE_LIMITS[kind];
        expect(queue.push(kind, item)).toBe(fits);
        if (fits) model[kind].push(item);
      };
      for (const each of operations) {
        if ('push' in each) push(each.push, each.item);
        else if ('many' in each) for (let at = 0; at < each.count; at++) push(each.many, at);
        else {
          const max = { block: each.take, evidence: each.take, vote: each.take, api: each.take, tx: each.take };
          const kind = LANES.find((lane) => model[lane].length > 0);
          const expected = kind && { kind, items: model[kind].splice(0, each.take) };
          expect(queue.take(max)).toEqual(expected);
        }
        for (const lane of LANES) expect(queue.length(lane)).toBe(model[lane].length);
      }
    }),
    { numRuns: 50 },
  );
});
