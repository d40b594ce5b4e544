import { expect, test } from 'vitest';
import { Lru } from '../../../node/lru.ts';
import { SeenCache } from '../../../node/pipeline/seen-cache.ts';
import { SerialQueue } from '../../../node/serial-queue.ts';

test('seen cache: remembers at least the last `capacity` ids, and at most twice as many', () => {
  const seen = new SeenCache<string>(10);
  for (let at = 0; at < 100; at++) {
    seen.add(`${at}`);
    for (let back = 0; back < 10 && back <= at; back++) expect(seen.has(`${at - back}`)).toBe(true);
    const kept = Array.from({ length: at + 1 }, (_, id) => seen.has(`${id}`)).filter(Boolean).length;
    expect(kept).toBeLessThanOrEqual(20);
  }
  expect(seen.has('0')).toBe(false);
});

test('seen cache: what is deleted is unknown, in whichever generation it was', () => {
  const seen = new SeenCache<string>(2);
  for (const id of ['a', 'b', 'c']) seen.add(id);
  seen.delete('a');
  seen.delete('c');
  expect(['a', 'b', 'c'].map((id) => seen.has(id))).toEqual([false, true, false]);
});

test('lru: forgets what was used longest ago', () => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  expect(lru.get('a')).toBe(1);
  lru.set('c', 3);
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([1, undefined, 3]);
  lru.set('a', 4); // a newer value, and used
  lru.set('d', 5);
  expect([lru.get('a'), lru.get('c'), lru.get('d')]).toEqual([4, undefined, 5]);
  lru.delete('d');
  expect(lru.get('d')).toBeUndefined();
});

test('lru: forgets by weight, but never what came last', () => {
  const lru = new Lru<string, number>(3, { max: 10, of: (value) => value });
  lru.set('a', 4);
  lru.set('b', 4);
  lru.set('b', 5); // takes the place of its former weight
  expect([lru.get('a'), lru.get('b')]).toEqual([4, 5]);
  lru.set('c', 6);
  expect([lru.get('a'), lru.get('b'), lru.get('c')]).toEqual([undefined, undefined, 6]);
  lru.set('d', 99);
  expect([lru.get('c'), lru.get('d')]).toEqual([undefined, 99]);
  lru.delete('d');
  for (const key of ['e', 'f', 'g', 'h']) lru.set(key, 1);
  expect(['e', 'f', 'g', 'h'].map((key) => lru.get(key))).toEqual([undefined, 1, 1, 1]);
});

test('serial: one at a time, in order of call, and a failure stops nobody', async () => {
  const serial = new SerialQueue();
  const calls: string[] = [];
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = serial.run(async () => {
    calls.push('first begins');
    await gate;
    calls.push('first ends');
    return 1;
  });
  const second = serial.run(() => Promise.reject(new Error('second')));
  const third = serial.run(async () => {
    calls.push('third');
    return 3;
  });
  await Promise.resolve();
  expect(calls).toEqual(['first begins']);
  release();
  await expect(second).rejects.toThrow('second');
  expect(await first).toBe(1);
  expect(await third).toBe(3);
  await serial.idle();
  expect(calls).toEqual(['first begins', 'first ends', 'third']);
});

test('serial: idle waits for what was asked for, also where it fails', async () => {
  const serial = new SerialQueue();
  let isDone = false;
  const failing = serial.run(async () => {
    await Promise.resolve();
    isDone = true;
    throw new Error('late');
  });
  failing.catch(() => undefined);
  await serial.idle();
  expect(isDone).toBe(true);
});
