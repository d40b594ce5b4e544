/** Before the long set: nothing is tallied. After it: the summary, printed and written. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TALLY_DIRECTORY, TALLY_FILE, type Tally } from './tally.ts';

export function setup(): void {
  rmSync(TALLY_FILE, { force: true });
}

export function teardown(): void {
  if (!existsSync(TALLY_FILE)) return;
  const tallies = readFileSync(TALLY_FILE, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Tally)
    .sort((a, b) => (a.scenario < b.scenario ? -1 : 1));
  const sum = (pick: (tally: Tally) => number): number => tallies.reduce((all, tally) => all + pick(tally), 0);
  const violations = tallies.flatMap(({ scenario, violations: found }) => found.map((each) => `${scenario}: ${each}`));
  const lines = [
    `scenarios        ${tallies.length}`,
    `seeds each       ${[...new Set(tallies.map(({ seeds }) => seeds))].sort((a, b) => a - b).join(', ')}`,
    `runs             ${sum(({ runs }) => runs)}`,
    `virtual hours    ${(sum(({ virtualMs }) => virtualMs) / 3_600_000).toFixed(1)}`,
    `faults injected  ${sum(({ faults }) => faults)}`,
    `violations       ${violations.length}`,
    ...tallies.flatMap(({ scenario, note }) => (note === undefined ? [] : [`${scenario}: ${note}`])),
    ...violations,
  ];
  writeFileSync(join(TALLY_DIRECTORY, 'long-set.txt'), `${lines.join('\n')}\n`);
  process.stdout.write(`\n${lines.join('\n')}\n`);
}
