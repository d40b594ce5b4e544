import { expect, test } from 'vitest';
import { complaintIn } from '../../../scripts/devnet/node-process.ts';

const logged = (level: number, msg: string): string =>
  JSON.stringify({ level, time: '2026-01-01T00:00:00.000Z', pid: 1, node: 'node1', msg });

test.each([
  [["error: unknown option '--bogus'", '(--help says more)', ''], "unknown option '--bogus'"],
  [[logged(30, 'starting'), logged(50, 'the store is in use'), logged(30, 'stopped')], 'the store is in use'],
  [[logged(50, 'of an hour ago'), 'error: of now'], 'of now'],
  [[logged(30, 'started'), logged(40, 'slow')], undefined],
  [[logged(50, 'cut off').slice(0, -1)], undefined],
  [[''], undefined],
])('what a node complained of: %j', (lines, complaint) => {
  expect(complaintIn(lines.join('\n'))).toBe(complaint);
});
