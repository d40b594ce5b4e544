import { expect, test } from 'vitest';
import { quorumShifts } from '../../../sim/quorum-shift.ts';
import { parseScenario } from '../../../sim/scenario.ts';

function shiftsOf(nodes: string, total: number, more = ''): readonly string[] {
  return quorumShifts(parseScenario(`name: shift\nduration: 10s\nnodes: ${nodes}\nexpect: {}\n${more}`), total);
}

const SEVEN_OF_TEN = '[{group: most, count: 7}, {group: few, count: 3}]';

test('a group that was a quorum and is none, and one without which there was a quorum and is none', () => {
  expect(shiftsOf(SEVEN_OF_TEN, 6)).toEqual([
    'most: 4 of 6 voters are too few for a quorum but needed for one; as written, 7 of 10 are a quorum',
    'few: 2 of 6 voters are too few for a quorum but needed for one; as written, 3 of 10 are not needed for a quorum',
  ]);
  for (const total of [4, 5, 10, 20, 100]) expect(shiftsOf(SEVEN_OF_TEN, total)).toEqual([]);
});

test('sides of several groups; who has no vote does not count', () => {
  const groups = '[{group: a, count: 2}, {group: b, count: 2}, {group: c, count: 2}, {group: o, role: observer}]';
  const more =
    'timeline: [{at: 1s, partition: [[a, b], [c, o]]}, {at: 2s, heal: all}, {at: 3s, partition: [[a, b], c]}]';
  expect(shiftsOf(groups, 7, more)).toEqual([]);
  expect(shiftsOf(groups, 9, more)).toEqual([
    'c: 2 of 8 voters are not needed for a quorum; as written, 2 of 6 are too few for a quorum but needed for one',
    'a, b: 6 of 8 voters are a quorum; as written, 4 of 6 are too few for a quorum but needed for one',
    'c, o: 2 of 8 voters are not needed for a quorum; as written, 2 of 6 are too few for a quorum but needed for one',
  ]);
});

test('where blocks vote, the number of nodes says nothing', () => {
  expect(shiftsOf(SEVEN_OF_TEN, 6, 'electorate: {miners: {window: 5, founders: most}}')).toEqual([]);
});

test('a side that is not there any more is refused with its path', () => {
  const more = 'timeline: [{at: 1s, partition: [few, most7]}]';
  expect(() => shiftsOf(SEVEN_OF_TEN, 6, more)).toThrow(
    'scenario: timeline[0].partition[1]: there is no group or node most7',
  );
});
