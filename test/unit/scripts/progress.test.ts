import { expect, test } from 'vitest';
import { Progress } from '../../../scripts/progress.ts';

/** Twelve seconds of updates, ten milliseconds and one height apart. */
function shownOn(isTTY: boolean, total: number, bytesPerHeight?: number): readonly string[] {
  let nowMs = 5_000;
  const written: string[] = [];
  const progress = new Progress({
    clock: { monotonicMs: () => nowMs },
    output: { isTTY, write: (text) => written.push(text) },
  });
  for (let height = 1; height <= 1_200; height++) {
    nowMs += 10;
    progress.update('import', height, total, bytesPerHeight && height * bytesPerHeight);
  }
  progress.end();
  progress.end();
  return written;
}

test('on a terminal the line is rewritten five times a second and when all is done, and cleared', () => {
  const written = shownOn(true, 1_199);
  expect(written).toHaveLength(59 + 1 + 1);
  expect(written[0]).toBe('\r\u001b[Kimport: height 20 of 1199 (1 %), 100/s');
  expect(written.at(-2)).toBe('\r\u001b[Kimport: height 1199 of 1199 (100 %), 100/s');
  expect(written.at(-1)).toBe('\r\u001b[K');
});

test('elsewhere there is a plain line every five seconds', () => {
  expect(shownOn(false, 2_000)).toEqual([
    'import: height 500 of 2000 (25 %), 100/s\n',
    'import: height 1000 of 2000 (50 %), 100/s\n',
  ]);
});

test('where the end is not known there is what was read', () => {
  expect(shownOn(false, 0, 4_321)[0]).toBe('import: height 500, 100/s, 2.2 MB read\n');
});

test('a short run says nothing where lines stay', () => {
  const written: string[] = [];
  const progress = new Progress({
    clock: { monotonicMs: () => 0 },
    output: { write: (text) => written.push(text) },
  });
  progress.update('export', 7, 7);
  progress.end();
  expect(written).toEqual([]);
});
