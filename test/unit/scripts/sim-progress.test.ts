import { expect, test } from 'vitest';
import { SimProgress } from '../../../scripts/sim-progress.ts';

/** 25 seconds of updates, ten milliseconds apart. */
function shownOn(isTTY: boolean): readonly string[] {
  let nowMs = 5_000;
  const written: string[] = [];
  const progress = new SimProgress({
    clock: { monotonicMs: () => nowMs },
    output: { isTTY, write: (text) => written.push(text) },
  });
  for (let at = 0; at < 2_500; at++) {
    nowMs += 10;
    progress.update('seed 7', at * 20, 100_500);
  }
  progress.clear();
  progress.clear();
  return written;
}

test('on a terminal the line is rewritten five times a second, and cleared', () => {
  const written = shownOn(true);
  expect(written).toHaveLength(125 + 1);
  expect(written[0]).toBe('\r\u001b[Kseed 7: 0 of 101 virtual seconds');
  expect(written.at(-2)).toBe('\r\u001b[Kseed 7: 49 of 101 virtual seconds');
  expect(written.at(-1)).toBe('\r\u001b[K');
});

test('elsewhere there is a line every ten seconds', () => {
  expect(shownOn(false)).toEqual(['seed 7: 19 of 101 virtual seconds\n', 'seed 7: 39 of 101 virtual seconds\n']);
});
