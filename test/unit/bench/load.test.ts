import { expect, it } from 'vitest';
import { loadRows } from '../../../bench/load.ts';
import type { DevnetReport } from '../../../scripts/devnet/report.ts';

const GOOD: DevnetReport = {
  nodes: 5,
  readyMs: 3_000,
  submitted: 90_000,
  mined: 90_000,
  agreed: 90_000,
  minedPerS: 1_510,
  agreedPerS: 1_505,
  rejected: 0,
  heldBack: 0,
  height: 40,
  agreedHeight: 40,
  finalHeight: 39,
  sameTip: true,
  agreement: 'reached',
  propagationMs: { p50: 20, p99: 400, max: 900 },
  copiesPerMessage: 1.5,
  copiesPerTx: 1.5,
  blocksDropped: 0,
  errors: 0,
  kills: 0,
  rssMb: { max: 200 },
  failures: [],
};

/** Of the devnet under the full load in three rounds, what misses its goal. */
function missed(...full: readonly Partial<DevnetReport>[]): string[] {
  const rounds = (each: readonly Partial<DevnetReport>[]) => [0, 1, 2].map((at) => ({ ...GOOD, ...each[at] }));
  const rows = loadRows({ full: rounds(full), half: [GOOD, GOOD, GOOD], plain: [GOOD, GOOD, GOOD] }, 60);
  return rows.flatMap(({ name, met }) => (met === false ? [name.replace(/^.*: /, '')] : []));
}

it('a devnet that mines without agreeing in two of three rounds misses its goals', () => {
  expect(missed()).toEqual([]);
  const stalled = { agreed: 0, agreedPerS: 0, agreedHeight: 0, finalHeight: 0, agreement: 'stalled' } as const;
  expect(missed({ agreedPerS: 1_400, rssMb: { max: 300 } })).toEqual([]);
  expect(missed(stalled, stalled)).toEqual([
    'mined and agreed',
    'mined transactions not agreed',
    'newest blocks not final',
  ]);
});

it('a transaction that is lost and a block that is dropped miss theirs, be it in one of the rounds', () => {
  expect(missed({ mined: 89_999, agreed: 89_999 })).toEqual(['valid transactions lost']);
  expect(missed({ blocksDropped: 1 })).toEqual(['blocks dropped unchecked']);
});
