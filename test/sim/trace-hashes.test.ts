/**
 * One seed gives one course of events, to the byte: today, in the values that were committed, and wherever it runs.
 * Where a change means to change it, `npm run generate:traces` writes the new values.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { runScenario, type ScenarioReport } from '../../sim/run-scenario.ts';
import { loadScenario, simulate } from './scenario-files.ts';

const repository = join(import.meta.dirname, '..', '..');
const { seed, hashes } = JSON.parse(await readFile(join(import.meta.dirname, 'trace-hashes.json'), 'utf8')) as {
  readonly seed: string;
  readonly hashes: Readonly<Record<string, string>>;
};
const COMMITTED = Object.entries(hashes);
/** Each of these is run several times. */
const QUICK = 'miners-hand-over-needs-both';

const TIMEOUT_MS = 120_000;

test.each(COMMITTED)(
  '%s: twice the same trace, and the one committed (else: npm run generate:traces)',
  async (name, hash) => {
    const [first, again] = [await simulate(loadScenario(name), seed), await simulate(loadScenario(name), seed)];
    expect(again).toEqual(first);
    expect(first.traceHash).toBe(hash);
  },
  TIMEOUT_MS,
);

test('at least three scenarios are committed, and another seed gives another trace', async () => {
  expect(COMMITTED.length).toBeGreaterThanOrEqual(3);
  const { traceHash } = await simulate(loadScenario(QUICK), `${seed}1`);
  expect(traceHash).not.toBe(hashes[QUICK]);
});

test(
  'the trace does not depend on which signature backend runs',
  async () => {
    const { traceHash } = await runScenario(loadScenario(QUICK), { seed, backend: nobleBackend });
    expect(traceHash).toBe(hashes[QUICK]);
  },
  TIMEOUT_MS,
);

test(
  'the trace does not depend on what else runs in the process',
  async () => {
    const runs = COMMITTED.toReversed().map(([name]) => simulate(loadScenario(name), seed));
    const traces = (await Promise.all(runs)).map(({ scenario, traceHash }) => [scenario, traceHash]);
    expect(traces).toEqual(COMMITTED.toReversed());
  },
  TIMEOUT_MS,
);

test(
  'the trace does not depend on the process: not on its folder, time zone, language, thread pool or optimizer',
  async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'grapevine-trace-'));
    try {
      const file = join(repository, 'sim', 'scenarios', `${QUICK}.yaml`);
      const cli = join(repository, 'scripts', 'cli.ts');
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--no-opt', cli, 'sim', file, '--seed', seed, '--json'],
        {
          cwd: elsewhere,
          env: {
            ...process.env,
            TZ: 'Pacific/Chatham',
            LANG: 'tr_TR.UTF-8',
            LC_ALL: 'tr_TR.UTF-8',
            UV_THREADPOOL_SIZE: '1',
          },
        },
      );
      expect((JSON.parse(stdout) as ScenarioReport).traceHash).toBe(hashes[QUICK]);
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  },
  TIMEOUT_MS,
);

test("the README's example is what a reader gets", async () => {
  const readme = await readFile(join(repository, 'README.md'), 'utf8');
  const [, name, shown] = /^scenario +(\S+), seed 7,.*\n.*\ntrace +([0-9a-f]{64})$/m.exec(readme)!;
  expect(seed).toBe('7');
  expect(shown).toBe(hashes[name!]);
});
