import { expect, test } from 'vitest';
import type { Tx, TxId } from '../../../chain/types.ts';
import { MempoolJournal } from '../../../node/mempool-journal.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { openWorld } from '../../sim/open-world.ts';

const world = openWorld({ nodes: 1 });
const [a, b, c] = [0, 1, 2].map((sender) => world.transferOnce(sender, 0)) as [Tx, Tx, Tx];

/** A journal on a disk that may be slow or refuse, and what stands in it. */
function setUp() {
  const clock = new VirtualClock(0);
  const disk = { ids: new Set<TxId>(), writes: [] as number[], isFull: false, hold: Promise.resolve() };
  const failures: unknown[] = [];
  const journal = new MempoolJournal({
    clock,
    onFailure: (error) => failures.push(error),
    store: {
      async saveMempool(added, removed) {
        await disk.hold;
        if (disk.isFull) throw new Error('no room');
        for (const id of removed) disk.ids.delete(id);
        for (const { id } of added) disk.ids.add(id);
        disk.writes.push(added.length + removed.length);
      },
    },
  });
  return { clock, disk, failures, journal };
}

test('what nobody waits for is written within a second, in one write', async () => {
  const { clock, disk, journal } = setUp();
  journal.add(a);
  await clock.run(600);
  journal.add(b);
  await clock.run(399);
  expect(disk.writes).toEqual([]);
  await clock.run(1);
  expect(disk.writes).toEqual([2]);
  expect(disk.ids).toEqual(new Set([a.id, b.id]));
  journal.add(c);
  await clock.run(1_000);
  expect(disk.writes).toEqual([2, 1]);
});

test('what is waited for is written at once, and alone', async () => {
  const { clock, disk, journal } = setUp();
  journal.add(a);
  journal.add(b);
  expect(await journal.written(b.id)).toBe(true);
  expect(disk.ids).toEqual(new Set([b.id]));
  expect(await journal.written(c.id)).toBe(true); // not to be written
  await clock.run(1_000);
  expect(disk.writes).toEqual([1, 1]);
});

test('what is waited for in one turn, or during another write, shares one', async () => {
  const { disk, journal } = setUp();
  let release = (): void => {};
  disk.hold = new Promise((resolve) => {
    release = resolve;
  });
  journal.add(a);
  const first = journal.written(a.id);
  for (let turn = 0; turn < 10; turn++) await undefined;
  for (const tx of [b, c]) journal.add(tx);
  const others = [a, b, c].map(({ id }) => journal.written(id));
  release();
  expect(await Promise.all([first, ...others])).toEqual([true, true, true, true]);
  expect(disk.writes).toEqual([1, 2]);
});

test('what has come and gone within a second costs no write', async () => {
  const { clock, disk, journal } = setUp();
  journal.add(a);
  journal.remove(a.id);
  await clock.run(5_000);
  expect(disk.writes).toEqual([]);
});

test('thousands that a block has mined go in portions', async () => {
  const { clock, disk, journal } = setUp();
  const txs = Array.from({ length: 2_000 }, (_, at): Tx => ({ ...a, id: `${at}` as TxId }));
  for (const tx of txs) journal.add(tx);
  await clock.run(10_000);
  expect(disk.ids.size).toBe(2_000);
  const before = disk.writes.length;
  for (const { id } of txs) journal.remove(id);
  await clock.run(999);
  expect(disk.writes.length).toBe(before);
  await clock.run(1_000);
  expect(disk.ids.size).toBe(0);
  expect(Math.max(...disk.writes)).toBe(512);
});

test.each([
  ['while its removal waits', 0],
  ['after its removal was written', 2_000],
])('a transaction that comes back %s is there afterwards', async (_when, laterMs) => {
  const { clock, disk, journal } = setUp();
  journal.add(a);
  await clock.run(1_000);
  journal.remove(a.id);
  await clock.run(laterMs);
  journal.add(a);
  expect(await journal.written(a.id)).toBe(true);
  await clock.run(5_000);
  expect(disk.ids).toEqual(new Set([a.id]));
});

test('one that a reorganisation put into the journal, and that goes again at once, is not left there', async () => {
  const { clock, disk, journal } = setUp();
  disk.ids.add(a.id); // written with the move of the tip
  journal.restore(a);
  journal.remove(a.id);
  await clock.run(5_000);
  expect(disk.ids).toEqual(new Set());
});

test('one that a reorganisation brings back is written again at once, as its removal may have come after the move', async () => {
  const { clock, disk, journal } = setUp();
  journal.add(a);
  await clock.run(1_000);
  journal.remove(a.id);
  await clock.run(1_000);
  journal.restore(a);
  await clock.run(1);
  expect(disk.ids).toEqual(new Set([a.id]));
});

test('what a full disk refused is written with a later change, less what went meanwhile', async () => {
  const { clock, disk, failures, journal } = setUp();
  journal.add(a);
  await clock.run(1_000);
  disk.isFull = true;
  journal.remove(a.id);
  journal.add(b);
  await clock.run(1_000);
  expect(await journal.written(b.id)).toBe(false);
  expect(failures).toHaveLength(1); // said once
  journal.remove(b.id);
  disk.isFull = false;
  journal.add(c);
  await clock.run(5_000);
  expect(disk.ids).toEqual(new Set([c.id]));
});

test('a stop writes all that is left', async () => {
  const { disk, journal } = setUp();
  for (const tx of [a, b]) journal.add(tx);
  const asked = journal.written(b.id);
  await journal.stop();
  expect(await asked).toBe(true);
  expect(disk.ids).toEqual(new Set([a.id, b.id]));
});
