import { expect, test } from 'vitest';
import {
  BLOCKS_PER_PEER,
  LANE_LIMITS,
  LANES,
  type Lane,
  PriorityQueue,
  TX_LANE_BYTES,
  TX_LANE_BYTES_PER_PEER,
} from '../../../node/pipeline/priority-queue.ts';
import { collectGarbage } from '../../collect-garbage.ts';
import { fc } from '../../fast-check.ts';

const EACH = { block: 1, evidence: 2, vote: 2, api: 1, tx: 3 };
const ALL = { block: 9999, evidence: 9999, vote: 9999, api: 9999, tx: 9999 };

interface Item {
  readonly name: string | number;
  readonly from: string;
  readonly bytes: { readonly length: number };
}

/** A queue of small items, told apart by their names. */
class Names<T extends string | number> {
  readonly #queue = new PriorityQueue<Item>();
  #pushed = 0;

  /** Each from another peer. */
  push(kind: Lane, name: T): boolean {
    this.#pushed += 1;
    return this.#queue.push(kind, item(name, 1, `peer ${this.#pushed}`));
  }

  take(max: Readonly<Record<Lane, number>>): { readonly kind: Lane; readonly items: T[] } | undefined {
    const taken = this.#queue.take(max);
    return taken && { kind: taken.kind, items: taken.items.map(({ name }) => name as T) };
  }

  length(kind: Lane): number {
    return this.#queue.length(kind);
  }
}

function item(name: string | number, length: number, from = 'peer'): Item {
  return { name, from, bytes: { length } };
}

test('blocks first, then votes, then transactions of the API, then of peers; in order of arrival within a lane', () => {
  const queue = new Names<string>();
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
  const queue = new Names<number>();
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
      const queue = new Names<number>();
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

test('of the bytes of batches a peer has a share, and all together a bound; both are free again when served', () => {
  const queue = new PriorityQueue<Item>();
  const each = 64 * 1024;
  const share = TX_LANE_BYTES_PER_PEER / each;
  const peers = TX_LANE_BYTES / TX_LANE_BYTES_PER_PEER;
  for (let peer = 0; peer < peers; peer++) {
    for (let at = 0; at < share; at++) expect(queue.push('tx', item(at, each, `peer ${peer}`))).toBe(true);
    expect(queue.push('tx', item('over the share', 1, `peer ${peer}`))).toBe(false);
  }
  expect(queue.push('tx', item('over the bound', 1, 'another'))).toBe(false);
  expect(queue.push('vote', item('a vote', 210, 'another'))).toBe(true);
  expect(queue.take(ALL)).toMatchObject({ kind: 'vote' });
  expect(queue.take(ALL)?.items).toMatchObject([{ from: 'peer 0' }]);
  expect(queue.push('tx', item('in its place', each, 'another'))).toBe(true);
  expect(queue.push('tx', item('one more', 1, 'peer 0'))).toBe(false);
});

test('what was served before peers’ shares are counted is in none of them', () => {
  const queue = new PriorityQueue<Item>();
  const push = (from: string): boolean => queue.push('tx', item(from, 64 * 1024, from));
  const share = TX_LANE_BYTES_PER_PEER / (64 * 1024);
  for (let at = 0; at < 12; at++) expect(push('a')).toBe(true);
  for (let turn = 0; turn < 4; turn++) expect(queue.take(ALL)?.items).toHaveLength(1);
  for (let at = 0; at < 9; at++) expect(push('b')).toBe(true); // the last makes more than one share
  for (let at = 8; at < share; at++) expect(push('a')).toBe(true);
  expect(push('a')).toBe(false);
});

test('property: the shares of peers hold whoever came first, and whatever was served meanwhile', () => {
  const kib = 1024;
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.record({ peer: fc.nat(9), size: fc.integer({ min: 1, max: 64 }), count: fc.nat(24) }) },
    { weight: 1, arbitrary: fc.record({ turns: fc.oneof(fc.nat(40), fc.constant(10_000)) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const queue = new PriorityQueue<Item>();
      const waiting: Item[] = [];
      const bytesOf = (items: readonly Item[]): number => items.reduce((sum, { bytes }) => sum + bytes.length, 0);
      for (const each of operations) {
        if ('turns' in each) {
          for (let turn = 0; turn < each.turns && waiting.length > 0; turn++) {
            const taken = queue.take(ALL)!.items;
            expect(taken).toEqual(waiting.splice(0, taken.length));
          }
          continue;
        }
        for (let at = 0; at < each.count; at++) {
          const next = item(at, each.size * kib, `peer ${each.peer}`);
          const ofPeer = bytesOf(waiting.filter(({ from }) => from === next.from));
          const fits =
            ofPeer + next.bytes.length <= TX_LANE_BYTES_PER_PEER &&
            bytesOf(waiting) + next.bytes.length <= TX_LANE_BYTES;
          expect(queue.push('tx', next)).toBe(fits);
          if (fits) waiting.push(next);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test('one turn has 32 KiB, or one message', () => {
  const queue = new PriorityQueue<Item>();
  for (const [at, kib] of [64, 16, 16, 1, 40, 2].entries()) queue.push('tx', item(at, kib * 1024));
  const turns = [];
  for (let turn = queue.take(ALL); turn !== undefined; turn = queue.take(ALL)) turns.push(turn.items);
  expect(turns.map((items) => items.map(({ name }) => name))).toEqual([[0], [1, 2], [3], [4], [5]]);
});

test('a peer that floods the lane of blocks keeps no other peer’s block out of it', () => {
  const queue = new PriorityQueue<Item>();
  for (let at = 0; at < LANE_LIMITS.block; at++) {
    expect(queue.push('block', item(at, 100, 'flooder'))).toBe(at < BLOCKS_PER_PEER);
  }
  expect(queue.push('block', item('honest', 100, 'another'))).toBe(true);
  expect(queue.take(ALL)?.items).toHaveLength(BLOCKS_PER_PEER + 1);
  expect(queue.push('block', item('again', 100, 'flooder'))).toBe(true);
});

test('what was taken is not kept in memory', async () => {
  const queue = new PriorityQueue<Item>();
  const taken: WeakRef<Item>[] = [];
  const pushAndTake = (): void => {
    for (let at = 0; at < 100; at++) queue.push('tx', item(at, 1024));
    for (const each of queue.take(ALL)?.items ?? []) taken.push(new WeakRef(each)); // 32 of them
    for (let more = queue.take(ALL); more !== undefined; more = queue.take(ALL)) {
      for (const each of more.items) taken.push(new WeakRef(each));
    }
  };
  pushAndTake();
  await new Promise((resolve) => setImmediate(resolve)); // a WeakRef holds its target until the end of the turn
  collectGarbage();
  expect(taken).toHaveLength(100);
  expect(taken.filter((each) => each.deref() !== undefined)).toEqual([]);
});
