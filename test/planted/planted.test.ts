/** Is anything of this caught? A copy of the sources gets one bug each, and its own simulation must find it. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ScenarioReport } from '../../sim/run-scenario.ts';
import { PLANTED_BUGS, type PlantedBug } from './bugs.ts';

const run = promisify(execFile);
const repository = join(import.meta.dirname, '..', '..');
const SOURCES = ['crypto', 'chain', 'node', 'sim', 'scripts', 'package.json'];

/** A bug may make a run endless; then it is not caught. */
const TIMEOUT_MS = 240_000;

let tree = '';

beforeAll(async () => {
  tree = await mkdtemp(join(tmpdir(), 'grapevine-planted-'));
  for (const name of SOURCES) await cp(join(repository, name), join(tree, name), { recursive: true });
  await symlink(join(repository, 'node_modules'), join(tree, 'node_modules'));
});

afterAll(() => rm(tree, { recursive: true, force: true }));

interface Outcome {
  readonly status: number;
  readonly report: ScenarioReport;
}

async function simulate({ scenario, seeds }: PlantedBug): Promise<Outcome> {
  const file = join(tree, 'sim', 'scenarios', `${scenario}.yaml`);
  const args = ['scripts/cli.ts', 'sim', file, '--seeds', `1..${seeds}`, '--json', '--no-shrink', '--out', tree];
  try {
    const { stdout } = await run(process.execPath, args, {
      cwd: tree,
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    return { status: 0, report: JSON.parse(stdout) as ScenarioReport };
  } catch (error) {
    const { code, stdout } = error as { readonly code: number; readonly stdout: string };
    return { status: code, report: JSON.parse(stdout) as ScenarioReport };
  }
}

describe.each(PLANTED_BUGS)('$name', (bug) => {
  test(`${bug.scenario} passes without it and catches it`, async () => {
    const path = join(tree, bug.file);
    const source = await readFile(path, 'utf8');
    expect(source.split(bug.from)).toHaveLength(2);
    expect(await simulate(bug)).toMatchObject({ status: 0, report: { passed: true } });
    try {
      await writeFile(
        path,
        source.replace(bug.from, () => bug.to),
      );
      const { status, report } = await simulate(bug);
      expect(status).toBe(1);
      const failed = report.expectations.filter(({ passed }) => !passed).map(({ name }) => name);
      expect(failed).toContain(bug.caughtBy);
    } finally {
      await writeFile(path, source);
    }
  });
});
