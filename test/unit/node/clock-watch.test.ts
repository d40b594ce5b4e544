import { expect, test } from 'vitest';
import type { ChainEntry } from '../../../chain/types.ts';
import { ClockWatch } from '../../../node/clock-watch.ts';
import { type BlockOrigin, EventBus } from '../../../node/events.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { recordingLogger } from '../../loggers.ts';
import { addressAt, blockOf, childOf, genesisEntry } from '../../tree-fixtures.ts';

const EPOCH_MS = 1_000_000_000;
const HOURS_2_MS = 7_200_000;
const HALF_MINUTE_MS = 30_000;

/** `offsetMs` everywhere: by how much the node's clock is ahead of the block. */
function setUp({ tipOffsetMs = 0, blockTimeMs = 2_000 } = {}) {
  const virtual = new VirtualClock(EPOCH_MS);
  let setByMs = 0;
  const clock = virtual.forNode(() => setByMs);
  const { logger, lines } = recordingLogger();
  const events = new EventBus((error) => {
    throw error;
  });
  const root = genesisEntry(BigInt(EPOCH_MS - tipOffsetMs));
  const chain = { tip: root };
  const watch = new ClockWatch({ clock, events, chain, logger, maxFutureMs: 10_000, blockTimeMs });
  watch.follow();
  let salt = 0;
  const blockAt = (offsetMs: number, miner: number): ChainEntry => {
    salt += 1;
    return childOf(root, { salt, miner: addressAt(miner), timestampMs: BigInt(clock.nowMs() - offsetMs) });
  };
  const join = (entry: ChainEntry, from: BlockOrigin): void => {
    events.emit('block', { entry, block: blockOf([], entry.header), from });
  };
  return {
    virtual,
    lines,
    watch,
    chain,
    setClock: (byMs: number): void => {
      setByMs += byMs;
    },
    /** A block joins the main chain. */
    joins: (offsetMs: number, miner = 0, from: BlockOrigin = 'somebody'): void => join(blockAt(offsetMs, miner), from),
    join,
    /** One whose parent is unknown. */
    orphan: (offsetMs: number, miner = 0): ChainEntry => {
      const entry = blockAt(offsetMs, miner);
      watch.onEarlyHeader(entry.header, 'orphan');
      return entry;
    },
    /** One that would, but for BLK-7. */
    tooNew: (offsetMs: number, miner = 0) => {
      const { header } = blockAt(offsetMs, miner);
      watch.onEarlyHeader(header, 'too-new');
      return header;
    },
  };
}

function times(count: number, act: (at: number) => unknown): void {
  for (let at = 0; at < count; at++) act(at);
}

test.each([
  ['ahead', 'joins', HOURS_2_MS, /about 7200 s ahead of its peers'/],
  ['behind', 'tooNew', -HOURS_2_MS, /at least 7200 s behind its peers'/],
  ['just too far ahead', 'joins', 25_001, /about 25 s ahead/],
  ['just too far behind', 'tooNew', -10_001, /at least 10 s behind/],
] as const)('says that the clock is %s once five blocks say so', (_way, kind, offsetMs, message) => {
  const { lines, watch, [kind]: hear } = setUp();
  times(4, () => hear(offsetMs));
  expect(watch.complaint).toBeUndefined();
  expect(lines).toEqual([]);
  hear(offsetMs);
  expect(watch.complaint).toMatch(message);
  expect(lines).toEqual([{ level: 'warn', fields: { offsetMs }, message: watch.complaint }]);
});

test('says so, to whoever asks, for as long as it is so', () => {
  const { joins, tooNew, watch } = setUp();
  times(5, () => tooNew(-HALF_MINUTE_MS));
  expect(watch.complaint).toMatch(/30 s behind/);
  joins(0);
  expect(watch.complaint).toBeUndefined();
});

test('says nothing within what the rules leave room for', () => {
  const { lines, joins, watch } = setUp({ tipOffsetMs: -10_000 });
  for (const [index, offsetMs] of [0, -10_000, 25_000, 500, 100, -9_000].entries()) joins(offsetMs, index);
  expect(watch.complaint).toBeUndefined();
  expect(lines).toEqual([]);
});

test('a miner counts once, however many blocks it finds, and half of the miners are not most', () => {
  const { joins, tooNew, watch } = setUp();
  joins(0, 0);
  joins(0, 1);
  times(20, () => joins(HOURS_2_MS, 2));
  expect(watch.complaint).toBeUndefined();
  joins(HOURS_2_MS, 3);
  expect(watch.complaint).toBeUndefined();
  tooNew(-HOURS_2_MS, 1); // off as well, but the other way
  expect(watch.complaint).toBeUndefined();
  joins(HOURS_2_MS, 1);
  expect(watch.complaint).toMatch(/7200 s ahead/);
});

test('however many names a miner takes, half of the blocks are not most', () => {
  const { joins, tooNew, watch } = setUp();
  times(10, () => joins(0, 0));
  times(10, (at) => tooNew(-HOURS_2_MS, 1 + at));
  expect(watch.complaint).toBeUndefined();
  tooNew(-HOURS_2_MS, 11);
  expect(watch.complaint).toMatch(/7200 s behind/);
});

test('a block counts once, however often it comes, and after it is too old to count', async () => {
  const { tooNew, virtual, watch } = setUp();
  const headers = [0, 1, 2, 3].map((miner) => tooNew(-HOURS_2_MS, miner));
  times(20, () => watch.onEarlyHeader(headers[0]!, 'too-new'));
  expect(watch.complaint).toBeUndefined();
  tooNew(-HOURS_2_MS, 4);
  expect(watch.complaint).toMatch(/at least 7200 s behind its peers'/);
  await virtual.run(600_001);
  for (const header of headers) watch.onEarlyHeader(header, 'too-new');
  tooNew(-HOURS_2_MS, 5);
  expect(watch.complaint).toBeUndefined();
});

test('the latest 32 blocks count', () => {
  const { joins, tooNew, watch } = setUp();
  times(40, (at) => tooNew(-HOURS_2_MS, at));
  times(15, (at) => joins(0, 40 + at));
  expect(watch.complaint).toMatch(/at least 7200 s behind its peers'/);
  joins(0, 55); // 16 of 32
  expect(watch.complaint).toBeUndefined();
});

test('blocks count for ten minutes, whether or not others come', async () => {
  const { tooNew, virtual, watch } = setUp();
  times(4, () => tooNew(-HALF_MINUTE_MS));
  await virtual.run(1_000);
  tooNew(-HALF_MINUTE_MS);
  await virtual.run(599_000);
  expect(watch.complaint).toMatch(/at least 30 s behind its peers'/);
  await virtual.run(1);
  expect(watch.complaint).toBeUndefined(); // of five one is left
});

test.each([HALF_MINUTE_MS, -HALF_MINUTE_MS])(
  'the clock of before says nothing of one that was set by %i ms',
  (byMs) => {
    const { setClock, tooNew, watch } = setUp({ tipOffsetMs: HALF_MINUTE_MS });
    times(5, () => tooNew(-HALF_MINUTE_MS));
    expect(watch.complaint).toMatch(/at least 30 s behind its peers'/);
    setClock(byMs);
    expect(watch.complaint).toBeUndefined();
    times(4, () => tooNew(-HALF_MINUTE_MS));
    expect(watch.complaint).toBeUndefined();
    tooNew(-HALF_MINUTE_MS);
    expect(watch.complaint).toMatch(/at least 30 s behind its peers'/);
  },
);

test('nor of orphans that came before it was set', () => {
  const { join, orphan, setClock, watch } = setUp();
  const orphans = Array.from({ length: 5 }, () => orphan(-HALF_MINUTE_MS));
  setClock(HALF_MINUTE_MS);
  for (const each of orphans) join(each, 'sync');
  expect(watch.complaint).toBeUndefined();
});

test('a clock that is corrected by less than a second is the same clock', () => {
  const { setClock, tooNew, watch } = setUp();
  times(5, () => tooNew(-HALF_MINUTE_MS));
  setClock(900);
  expect(watch.complaint).toMatch(/at least 30 s behind its peers'/);
});

test('a tip ahead of the clock by more than the rules allow is enough: the clock was right when it came', () => {
  const { lines, watch, chain, setClock } = setUp({ tipOffsetMs: -10_001 });
  expect(watch.complaint).toMatch(/at least 10 s behind/);
  expect(lines).toHaveLength(1); // at the start, for it may hear nothing that it can use
  setClock(1);
  expect(watch.complaint).toBeUndefined();
  chain.tip = childOf(chain.tip, { timestampMs: BigInt(EPOCH_MS + HOURS_2_MS) });
  expect(watch.complaint).toMatch(/at least 7200 s behind/);
});

test('blocks that sync can take only just now, as its clock is slow, say so; history says nothing', () => {
  const { joins, watch } = setUp();
  times(20, (at) => joins(HOURS_2_MS, at, 'sync'));
  times(20, (at) => joins(-5_000, at, 'sync'));
  expect(watch.complaint).toBeUndefined();
  times(4, (at) => joins(-9_000, at, 'sync'));
  expect(watch.complaint).toBeUndefined();
  joins(-9_000, 4, 'sync');
  expect(watch.complaint).toMatch(/at least 9 s behind/);
  times(5, (at) => joins(0, at));
  expect(watch.complaint).toBeUndefined();
});

test.each(['somebody', 'sync'])(
  'an orphan says nothing until it joins by %s, then how new it was when it came',
  async (from) => {
    const { join, orphan, virtual, watch } = setUp();
    const orphans = Array.from({ length: 40 }, (_, at) => orphan(-HALF_MINUTE_MS, at));
    expect(watch.complaint).toBeUndefined();
    await virtual.run(21_000);
    for (const each of orphans.slice(0, 4)) join(each, from);
    expect(watch.complaint).toBeUndefined();
    watch.onEarlyHeader(orphans[4]!.header, 'orphan'); // again, later
    join(orphans[4]!, from);
    expect(watch.complaint).toMatch(/at least 30 s behind/);
  },
);

test.each([
  ['that waited for its parent', 0],
  ['that was old when it was heard', HOURS_2_MS],
])('an orphan %s does not make the clock look ahead', async (_which, offsetMs) => {
  const { join, orphan, virtual, watch } = setUp();
  const orphans = Array.from({ length: 10 }, (_, at) => orphan(offsetMs, at));
  await virtual.run(60_000);
  for (const each of orphans) join(each, 'somebody');
  expect(watch.complaint).toBeUndefined();
});

test.each(['mined', 'reorg'] as const)('a block from %s says nothing', (from) => {
  const { joins, watch } = setUp();
  times(20, (at) => joins(HOURS_2_MS, at, from));
  expect(watch.complaint).toBeUndefined();
  times(20, (at) => joins(-HOURS_2_MS, at, from));
  expect(watch.complaint).toBeUndefined();
});

test('where blocks are slow they count for ten block times', async () => {
  const { tooNew, virtual, watch } = setUp({ blockTimeMs: 120_000 });
  for (let at = 0; at < 5; at++) {
    tooNew(-HALF_MINUTE_MS);
    await virtual.run(240_000);
  }
  expect(watch.complaint).toMatch(/at least 30 s behind its peers'/);
  await virtual.run(1);
  expect(watch.complaint).toBeUndefined();
});

test('repeats itself once a minute, and is silent when the clock is set', async () => {
  const { joins, lines, virtual, setClock } = setUp();
  const twoMinutes = async (offsetMs: number): Promise<void> => {
    for (let at = 0; at < 60; at++) {
      joins(offsetMs);
      await virtual.run(2_000);
    }
  };
  await twoMinutes(60_000);
  const message = "this node's clock is about 60 s ahead of its peers': set it, or blocks will be refused";
  const said = Array.from({ length: 2 }, () => ({ level: 'warn', fields: { offsetMs: 60_000 }, message }));
  expect(lines).toEqual(said);
  setClock(-60_000);
  await twoMinutes(0);
  expect(lines).toEqual(said);
});
