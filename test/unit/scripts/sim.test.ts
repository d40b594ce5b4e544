import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedsOf } from '../../../scripts/sim.ts';
import { type CliRun, runCli } from '../../run-cli.ts';

const SMALL = `name: small
duration: 25s
nodes: [{group: v, count: 3}]
timeline:
  - {at: 5s, crash: v1}
  - {at: 7s, restart: v1}
  - {at: 9s, clock: {nodes: v2, offset: 1s}}
  - {at: 10s, hashRate: {nodes: all, factor: 1.1}}
  - {at: 11s, partition: [v1, [v2, v3]]}
expect: {sameFinal: true, noConflictingFinal: true}
`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-sim-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function sim(scenario: string, ...args: string[]): Promise<CliRun> {
  const file = join(folder, 'scenario.yaml');
  await writeFile(file, scenario);
  return runCli(['sim', file, '--out', join(folder, 'out'), ...args]);
}

test('--json prints the report and nothing else; the same seed the same; files are written', async () => {
  const healed = SMALL.replace('expect:', '  - {at: 14s, heal: all}\nexpect:');
  const { status, stdout } = await sim(healed, '--seed', '7', '--json');
  expect(status).toBe(0);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ scenario: 'small', seed: 7, passed: true, nodes: 3 });
  const keys = 'seed traceHash passed expectations copiesPerDelivery hops coverage agreementMs reorgs finalHeight';
  expect(Object.keys(report)).toEqual(expect.arrayContaining(keys.split(' ')));
  expect(JSON.parse(await readFile(join(folder, 'out', 'small-seed-7.json'), 'utf8'))).toEqual(report);
  expect(await readFile(join(folder, 'out', 'small-seed-7.svg'), 'utf8')).toMatch(/^<svg /);
  expect((await sim(healed, '--seed', '7', '--json')).stdout).toBe(stdout);
  const more = JSON.parse((await sim(healed, '--nodes', '9', '--json', '--no-shrink')).stdout);
  expect(more).toMatchObject({ nodes: 9, seed: 1 });
}, 60_000);

test('a run that fails: status 1, its seed, and the fewest events that still fail', async () => {
  const failing = SMALL.replace('25s', '60s').replace('sameFinal', 'sameTip');
  const { status, stdout } = await sim(failing, '--seeds', '1..2');
  expect(status).toBe(1);
  expect(stdout).toContain('2 seeds, 2 failed');
  expect(stdout).toMatch(/failed with seed [12]: sameTip/);
  expect(stdout).toContain('fewest events that still fail: 1 of 5');
  const yaml = stdout.slice(stdout.lastIndexOf('name: small'));
  expect(yaml).toContain('partition');
  expect(yaml).not.toMatch(/crash|restart|clock|hashRate/);
}, 60_000);

test('a course in which a node cannot mine fails that seed only, and what is shrunk fails by the same', async () => {
  const text = `name: demand
duration: 60s
nodes: [{group: a, count: 2}, {group: b, mine: on-demand}]
timeline:
  - {at: 1s, hashRate: {nodes: a, factor: 1.1}}
  - {at: 1s, crashAtWrite: {node: b, nth: 12, fate: lost, within: 9s}}
  - {at: 9s, mine: {node: b, blocks: 1}}
expect: {}
`;
  const { status, stdout, stderr } = await sim(text, '--seeds', '1..6');
  expect(status).toBe(1);
  expect(stderr).toMatch(/^seed \d: passed$/m);
  expect(stderr).toMatch(/^seed 6: /m);
  expect(stdout).toMatch(/FAILED +mine +could not mine: timeline\[2\]: b is not running at 9s/);
  expect(stdout).toContain('fewest events that still fail: 2 of 3');
  expect(stdout.slice(stdout.lastIndexOf('name: demand'))).not.toContain('hashRate');
}, 60_000);

test('an event stays without which a node could not mine, where something else is what fails', async () => {
  // Without the hash rate b is not done before the end, and there is a reorganisation too: of another course.
  const text = `name: demand
duration: 100s
nodes: [{group: a, count: 2}, {group: b, mine: on-demand}]
timeline:
  - {at: 1s, hashRate: {nodes: b, factor: 50}}
  - {at: 2s, partition: [a, b]}
  - {at: 3s, mine: {node: b, blocks: 30}}
  - {at: 60s, heal: all}
expect: {reorgDepth: {atMost: 0}}
`;
  const { status, stdout } = await sim(text, '--seed', '1');
  expect(status).toBe(1);
  expect(stdout).toContain('failed with seed 1: reorgDepth\n');
  expect(stdout).toContain('fewest events that still fail: 4 of 4');
}, 60_000);

test('--seeds --json: one report, and which seeds failed', async () => {
  // Blocks come at random: with some seeds there are enough in that time.
  const text = `name: chance\nduration: 14s\nnodes: [{group: v, count: 1}]\nexpect: {finalHeightAtLeast: 6}\n`;
  const { status, stdout, stderr } = await sim(text, '--seeds', '1..4', '--json', '--no-shrink');
  expect(status).toBe(1);
  const { seed, passed, runs, failedSeeds } = JSON.parse(stdout);
  expect({ passed, runs }).toEqual({ passed: false, runs: 4 });
  expect(failedSeeds.length).toBeGreaterThan(1);
  expect(failedSeeds.length).toBeLessThan(4);
  expect(failedSeeds).toContain(seed);
  const told = stderr.matchAll(/^seed (\d+): (.*)$/gm).map(([, number, what]) => [Number(number), what]);
  expect([...told]).toEqual(failedSeeds.map((each: number) => [each, 'failed: finalHeightAtLeast']));
}, 60_000);

test('a number of nodes that takes a side its quorum is pointed out, on standard error', async () => {
  const text = 'name: sides\nduration: 1s\nnodes: [{group: a, count: 7}, {group: b, count: 3}]\nexpect: {}\n';
  const shifted = await sim(text, '--nodes', '6', '--json');
  expect(shifted.stderr).toMatch(/^--nodes 6: a: 4 of 6 voters are too few for a quorum .* 7 of 10 are a quorum$/m);
  expect(JSON.parse(shifted.stdout)).toMatchObject({ nodes: 6, passed: true });
}, 60_000);

test('a bad file is bad usage: status 2, with the place', async () => {
  const { status, stderr } = await sim(SMALL.replace('at: 9s', 'at: 9'), '--json');
  expect(status).toBe(2);
  expect(stderr).toContain('timeline[2].at: must be');
  expect((await sim(SMALL, '--seeds', '9..1')).status).toBe(2);
  const nowhere = await sim(SMALL, '--out', join(import.meta.filename, 'x'));
  expect(nowhere.status).toBe(2);
  expect(nowhere.stderr).not.toContain('virtual seconds'); // it has not begun
  for (const nodes of ['many', '10001']) {
    const refused = await sim(SMALL, '--nodes', nodes);
    expect(refused, nodes).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('a whole number from 1 to 10000'),
    });
  }
}, 60_000);

test('--seed wants one seed: of a range, or of nothing, that is said', () => {
  for (const seed of ['1..3', '1-3', '1,3', '']) {
    expect(() => seedsOf({ seed })).toThrow(
      `--seed wants one seed such as 7, not '${seed}'; for several: --seeds 1..3`,
    );
  }
  expect(seedsOf({})).toEqual(['1']);
  expect(seedsOf({ seed: 'word' })).toEqual(['word']);
  expect(seedsOf({ seeds: '2..4' })).toEqual(['2', '3', '4']);
});
