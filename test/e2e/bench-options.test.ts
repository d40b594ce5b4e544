/** `npm run bench`: what is wrong with its command line is said before minutes are spent on it. No benchmark runs here. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
  await writeFile(join(directory, 'rows.json'), JSON.stringify([{ name: 'of old', ratio: 1 }]));
  await writeFile(join(directory, 'no-rows.json'), '{}');
  await writeFile(join(directory, 'no-marks.md'), '# Performance\n');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function bench(...args: readonly string[]) {
  return spawnSync(process.execPath, [RUN, ...args], { cwd: directory, encoding: 'utf8', timeout: 60_000 });
}

test.each([
  [['--frob'], /^error: unknown option '--frob'\n/],
  [['--only'], /^error: option '--only <name>' argument missing\n/],
  [['--only', 'frob'], /^error: .*'frob' is invalid\. there is mining, .*\n/],
  [['--against', 'none.json'], /^error: .*'none\.json' is invalid\. ENOENT.*\n/],
  [['--renew', 'no-rows.json'], /^error: .* it holds no rows\n/],
  [['--into', 'no-marks.md'], /^error: .* it has no marks .*\n/],
  [['--json', 'none/rows.json'], /^error: .*'none\/rows\.json' is invalid\. ENOENT.*\n/],
])('%j: one line says what is wrong, then usage; exit status 2', (args, says) => {
  const { status, stdout, stderr } = bench(...args);
  expect(stderr).toMatch(says);
  expect(stderr).toContain('Usage: npm run bench -- [options]');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
});

test('--help prints usage; exit status 0', () => {
  const { status, stdout } = bench('--help');
  expect(stdout).toMatch(/^Usage: npm run bench -- \[options\]\n/);
  expect(status).toBe(0);
});

test('--against fails where the file lacks a ratio that would be compared', () => {
  const { status, stdout, stderr } = bench('--only', 'ingest', '--against', 'rows.json');
  expect(stderr).toBe('rows.json has no ratio of "ingest, processor time, against the pool alone"\n');
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
});
