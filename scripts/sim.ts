/** `grapevine sim`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock } from '../node/adapters.ts';
import { makeDirectory } from '../node/make-directory.ts';
import { MINE_RESULT } from '../sim/expectations.ts';
import { plotReport } from '../sim/plot-report.ts';
import { quorumShifts } from '../sim/quorum-shift.ts';
import { runScenario, type ScenarioReport } from '../sim/run-scenario.ts';
import { parseScenario } from '../sim/scenario.ts';
import { formatScenario, parseDuration, type Scenario } from '../sim/scenario-schema.ts';
import { shrinkTimeline } from '../sim/shrink.ts';
import { readInteger } from './api-options.ts';
import { EXIT, UsageError } from './exit.ts';
import { readText } from './json-file.ts';
import { printJson, printLine, printNote, printTable } from './output.ts';
import { SimProgress } from './sim-progress.ts';

interface SimOptions {
  readonly seed?: string;
  readonly seeds?: string;
  readonly nodes?: number;
  readonly json?: boolean;
  readonly out: string;
  readonly shrink: boolean;
}

/** `label`: what its progress is shown as. */
type Run = (what: Scenario, seed: string, label: string) => Promise<ScenarioReport>;

const MAX_SEEDS = 100_000;
const MAX_NODES = 10_000;

export function addSimCommand(program: Command): void {
  program
    .command('sim')
    .description('run a scenario file on virtual time')
    .argument('<scenario>', 'a file such as sim/scenarios/partition-70-30.yaml')
    .option('--seed <seed>', 'one seed gives one course of events (default: 1)')
    .option('--seeds <a..b>', 'run with each of these seeds, and show the worst')
    .option(
      '--nodes <count>',
      "this many nodes in all, shared out as the scenario's groups are",
      readInteger(1, MAX_NODES),
    )
    .option('--json', 'print the report as one JSON document, and nothing else; with --seeds, which of them failed too')
    .option('--out <dir>', 'where the report is written, as JSON and as SVG', 'sim-reports')
    .option('--no-shrink', 'do not look for the fewest faults that make a failing run fail')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine sim sim/scenarios/partition-70-30.yaml --seed 7
  $ grapevine sim sim/scenarios/partition-70-30.yaml --seeds 1..200
  $ grapevine sim sim/scenarios/partition-70-30.yaml --nodes 30 --json

A scenario of ten nodes takes seconds; one of 100 that are all linked, minutes.
Exit status: 0 all expectations held, 1 one did not, 2 bad usage or a bad scenario file.`,
    )
    .action(async (file: string, options: SimOptions) => {
      const scenario = parseScenario(await readText(file));
      const passed = await simulate(scenario, options);
      if (!passed) process.exitCode = EXIT.refused;
    });
}

async function simulate(scenario: Scenario, options: SimOptions): Promise<boolean> {
  const seeds = seedsOf(options);
  const { nodes } = options;
  for (const line of nodes === undefined ? [] : quorumShifts(scenario, nodes)) printNote(`--nodes ${nodes}: ${line}`);
  const { backend } = await loadSignatureBackend('auto');
  const progress = new SimProgress({ clock: createSystemClock(), output: process.stderr });
  const durationMs = parseDuration(scenario.duration);
  const run: Run = async (what, seed, label) => {
    const onProgress = (virtualMs: number): void => progress.update(label, virtualMs, durationMs);
    try {
      return await runScenario(what, { seed, backend, onProgress, ...(nodes !== undefined && { nodes }) });
    } finally {
      progress.clear();
    }
  };

  await makeDirectory(options.out);
  let worst: ScenarioReport | undefined;
  let broken: { readonly seed: string; readonly error: unknown } | undefined;
  const failedSeeds: number[] = [];
  for (const [at, seed] of seeds.entries()) {
    const which = seeds.length === 1 ? '' : ` (${at + 1} of ${seeds.length})`;
    const report = await run(scenario, seed, `seed ${seed}${which}`).catch((error: unknown) => {
      // The program's own fault, and no verdict: the others have theirs, but the command does not end well.
      printNote(`seed ${seed}: broke off: ${error instanceof Error ? error.message : String(error)}`);
      broken ??= { seed, error };
    });
    if (report === undefined) {
      failedSeeds.push(Number(seed));
      continue;
    }
    if (!report.passed) failedSeeds.push(Number(seed));
    // The document has one report, the worst: of the other seeds that failed it has but the number.
    if (seeds.length > 1 && (options.json !== true || !report.passed)) {
      printNote(`seed ${seed}: ${report.passed ? 'passed' : `failed: ${failedNames(report).join(', ')}`}`);
    }
    if (worst === undefined || isWorse(report, worst)) worst = report;
  }
  if (worst === undefined) throw broken?.error ?? new UsageError('--seeds names no seed');

  const files = await writeReport(worst, scenario, options.out);
  if (options.json === true) {
    printJson(options.seeds === undefined ? worst : { ...worst, runs: seeds.length, failedSeeds });
  } else printReport(worst, files);
  if (seeds.length > 1 && options.json !== true) {
    printLine(`${seeds.length} seeds, ${failedSeeds.length} failed; shown is the worst, seed ${worst.seed}`);
  }
  if (!worst.passed) await shrinkAndShow(scenario, worst, { run, nodes }, options);
  if (broken !== undefined) throw broken.error;
  return worst.passed;
}

/**
 * The seeds to run with, one after the other.
 * @throws UsageError where both options are given, or one of them is no such thing
 */
export function seedsOf({ seed, seeds }: Pick<SimOptions, 'seed' | 'seeds'>): readonly string[] {
  if (seeds === undefined) return [oneSeed(seed ?? '1')];
  if (seed !== undefined) throw new UsageError('--seed and --seeds exclude each other');
  const match = /^(\d{1,9})\.\.(\d{1,9})$/.exec(seeds);
  if (match === null) throw new UsageError(`--seeds wants a range such as 1..200, not ${seeds}`);
  const [from, to] = [Number(match[1]), Number(match[2])];
  if (to < from || to - from >= MAX_SEEDS) throw new UsageError(`--seeds: ${seeds} is no range of 1 to ${MAX_SEEDS}`);
  return Array.from({ length: to - from + 1 }, (_, at) => String(from + at));
}

/** A number or a word. Anything else would be a seed too, but not what was meant. */
function oneSeed(text: string): string {
  if (/^\w+$/.test(text)) return text;
  throw new UsageError(`--seed wants one seed such as 7, not '${text}'; for several: --seeds 1..3`);
}

/** More expectations failed; then later agreement; then less coverage. */
function isWorse(a: ScenarioReport, b: ScenarioReport): boolean {
  const [failedA, failedB] = [failedNames(a).length, failedNames(b).length];
  if (failedA !== failedB) return failedA > failedB;
  if (a.agreementMs.p99 !== b.agreementMs.p99) return a.agreementMs.p99 > b.agreementMs.p99;
  return a.coverage < b.coverage;
}

function failedNames({ expectations }: ScenarioReport): readonly string[] {
  return expectations.filter(({ passed }) => !passed).map(({ name }) => name);
}

async function writeReport(report: ScenarioReport, scenario: Scenario, dir: string): Promise<readonly string[]> {
  const base = join(dir, `${report.scenario}-seed-${report.seed}`);
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.svg`, plotReport(report, scenario));
  return [`${base}.json`, `${base}.svg`];
}

function printReport(report: ScenarioReport, files: readonly string[]): void {
  const { spread, messages, txs } = report;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  printTable([
    ['scenario', `${report.scenario}, seed ${report.seed}, ${report.nodes} nodes`],
    ['ran', `${(report.virtualMs / 1000).toFixed(0)} virtual seconds, ${report.faults} faults`],
    ['trace', report.traceHash],
    ['chain', `height ${report.tipHeight}, final ${report.finalHeight}`],
    [
      'agreement',
      `${report.agreementMs.p50.toFixed(0)} ms p50, ${report.agreementMs.p99.toFixed(0)} ms p99 after a block`,
    ],
    ['branches', `${report.forks} blocks left, ${report.reorgs} reorgs, deepest ${report.deepestReorg}`],
    ['transactions', `${txs.accepted} taken, ${txs.final} final`],
    [
      'gossip',
      `${spread.messages} messages, ${messages.sent} copies sent, ${messages.lost} lost, ${messages.bytes} bytes`,
    ],
    ['copies', `${report.copiesPerDelivery.toFixed(2)} per delivery, coverage ${percent(report.coverage)}`],
    ['spread', `${spread.latencyMs.p50} ms p50, ${spread.latencyMs.p99} ms p99`],
    ['hops', `${report.hops.p50} p50, ${report.hops.p99} p99; log2 N + ln N = ${spread.rounds.toFixed(1)}`],
  ]);
  printLine('\nreached after');
  const rows = spread.byTime.filter((_, at) => at % 6 === 0 || at === spread.byTime.length - 1);
  for (const { ms, share } of rows) printLine(`${`${ms} ms`.padStart(9)}  ${bar(share)} ${percent(share)}`);
  for (const { hop, share } of spread.byHop.slice(1)) {
    printLine(`${`${hop} ${hop === 1 ? 'hop' : 'hops'}`.padStart(9)}  ${bar(share)} ${percent(share)}`);
  }
  printLine('');
  printTable(report.expectations.map(({ name, passed, detail }) => [passed ? 'ok' : 'FAILED', name, detail]));
  printLine(`\n${report.passed ? 'passed' : 'failed'}; written: ${files.join(', ')}`);
}

function bar(share: number): string {
  const filled = Math.round(share * 30);
  return '█'.repeat(filled) + '·'.repeat(30 - filled);
}

/** On standard error with `--json`: that prints its one document only. */
async function shrinkAndShow(
  scenario: Scenario,
  failed: ScenarioReport,
  { run, nodes }: { readonly run: Run; readonly nodes: number | undefined },
  options: SimOptions,
): Promise<void> {
  const print = options.json === true ? printNote : printLine;
  print(`failed with seed ${failed.seed}: ${failedNames(failed).join(', ')}`);
  if (!options.shrink || (scenario.timeline ?? []).length === 0) return;
  const wanted = new Set(failedNames(failed));
  let runs = 0;
  const shrunk = await shrinkTimeline(scenario, {
    fails: async (smaller) => {
      runs += 1;
      const names = failedNames(await run(smaller, String(failed.seed), `fewest events, run ${runs}`));
      // Without a restart a node may be down that is to mine: such a course shows nothing of the one that failed.
      if (names.includes(MINE_RESULT) && !wanted.has(MINE_RESULT)) return false;
      return names.some((name) => wanted.has(name));
    },
    ...(nodes !== undefined && { nodes }),
  });
  const before = scenario.timeline?.length ?? 0;
  print(`fewest events that still fail: ${shrunk.timeline?.length ?? 0} of ${before}, found in ${runs} runs`);
  print(formatScenario(shrunk));
}
