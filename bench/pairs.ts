/**
 * Builds compared under load, for what a change gains or costs:
 *
 *   node bench/pairs.ts [--rate 750] [--seconds 30] [--rounds 4] CHECKOUT CHECKOUT… [-- FLAGS OF grapevine devnet]
 *
 * runs the devnet of each checkout in turn, round after round, on this machine and this Node. So that the draw of block
 * times does not decide, blocks are made on demand, one every six seconds; data are in memory where there is `/dev/shm`. A
 * single run says little: the 99th percentile of one build differs by a third between runs, and follows the processor
 * time that the nodes had. Reads `/proc`, so Linux only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { DevnetReport } from '../scripts/devnet/report.ts';
import { median } from './measure.ts';
import { childrenOf, processorSeconds } from './processes.ts';

const NODES = 5;
const BASE_PORT = 18_400;
const BLOCK_MS = 6_000;
/** V8 compiles what is hot in the first seconds. */
const WARM_UP_S = 12;
/** Of the load's end, in which processor time is not counted: there is no saying when it comes. */
const TAIL_MS = 3_000;

interface Run {
  readonly report: DevnetReport;
  /** Processor time of the nodes over time, under load. */
  readonly cores: number;
}

interface Load {
  readonly rate: number;
  readonly seconds: number;
  readonly flags: readonly string[];
}

async function measure(checkout: string, { rate, seconds, flags }: Load): Promise<Run> {
  const data = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'grapevine-pairs-'));
  const args = ['--json', `--data-dir=${data}`, `--base-port=${BASE_PORT}`, `--nodes=${NODES}`, `--load=${rate}`];
  const times = [`--warm-up=${WARM_UP_S}`, `--duration=${seconds}`, '--node-arg=--mine=on-demand'];
  const devnet = spawn(process.execPath, ['tools/grapevine.js', 'devnet', ...args, ...times, ...flags], {
    cwd: checkout,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [said, printed] = ['', ''];
  devnet.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  devnet.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const ended = new AbortController();
  devnet.once('close', () => ended.abort());
  try {
    while (!said.includes('ready in ')) {
      if (ended.signal.aborted) throw new Error(`the devnet of ${checkout} did not become ready:\n${said}`);
      await sleep(50);
    }
    const [cores] = await Promise.all([coresUnderLoad(devnet, seconds, ended.signal), mineUntil(ended.signal)]);
    const line = printed.trim().split('\n').at(-1) ?? '';
    if (cores === undefined || line === '')
      throw new Error(`the devnet of ${checkout} ended before its time:\n${said}`);
    return { report: JSON.parse(line) as DevnetReport, cores };
  } finally {
    devnet.kill('SIGTERM');
    await rm(data, { recursive: true, force: true });
  }
}

async function coresUnderLoad(devnet: ChildProcess, seconds: number, end: AbortSignal): Promise<number | undefined> {
  await sleep(WARM_UP_S * 1_000);
  if (end.aborted) return undefined;
  const pids = childrenOf(devnet.pid!);
  const [usedS, sinceMs] = [processorSeconds(pids), performance.now()];
  await sleep(seconds * 1_000 - TAIL_MS);
  return end.aborted ? undefined : (1_000 * (processorSeconds(pids) - usedS)) / (performance.now() - sinceMs);
}

/** The nodes take turns. The devnet ends when all that was sent is agreed. */
async function mineUntil(end: AbortSignal): Promise<void> {
  for (let block = 0; !end.aborted; block++) {
    const dueMs = performance.now() + BLOCK_MS;
    try {
      await fetch(`http://127.0.0.1:${BASE_PORT + 1 + (block % NODES)}/v1/mine`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"blocks":1}',
        signal: end,
      });
    } catch (error) {
      if (!end.aborted) console.error(`node ${1 + (block % NODES)} did not mine: ${error}`); // it is stopping
    }
    while (!end.aborted && performance.now() < dueMs) await sleep(20);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

const FIGURES: readonly (readonly [string, (run: Run) => number, number])[] = [
  ['p50 ms', ({ report }) => report.propagationMs.p50, 0],
  ['p99 ms', ({ report }) => report.propagationMs.p99, 0],
  ['cores', ({ cores }) => cores, 2],
  ['copies', ({ report }) => report.copiesPerTx, 2],
  ['largest node, MB', ({ report }) => report.rssMb.max, 0],
];

/** Of each figure the median and the range, and the median of its ratio to the first checkout's of the same round. */
function cellsOf(runs: readonly Run[], first: readonly Run[]): string[] {
  return FIGURES.map(([, of, digits]) => {
    const values = runs.map(of);
    const range = `${Math.min(...values).toFixed(digits)} … ${Math.max(...values).toFixed(digits)}`;
    const ratio = median(values.map((value, round) => value / of(first[round]!)));
    return `${median(values).toFixed(digits)} (${range})${runs === first ? '' : ` × ${ratio.toFixed(2)}`}`;
  });
}

if (import.meta.main) {
  const { values, positionals, tokens } = parseArgs({
    options: {
      rate: { type: 'string', default: '750' },
      seconds: { type: 'string', default: '30' },
      rounds: { type: 'string', default: '4' },
    },
    allowPositionals: true,
    tokens: true,
  });
  const terminator = tokens.find(({ kind }) => kind === 'option-terminator');
  const own = tokens.filter(({ kind, index }) => kind === 'positional' && index < (terminator?.index ?? Infinity));
  const checkouts = positionals.slice(0, own.length).map((path) => resolve(path));
  const load = { rate: Number(values.rate), seconds: Number(values.seconds), flags: positionals.slice(own.length) };
  const all = checkouts.map((): Run[] => []);
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const [at, checkout] of checkouts.entries()) {
      const run = await measure(checkout, load);
      all[at]!.push(run);
      const line = FIGURES.map(([name, of, digits]) => `${name} ${of(run).toFixed(digits)}`);
      console.error(`round ${round}, ${checkout}: ${line.join(', ')}, ${run.report.errors} errors`);
    }
  }
  console.log(`| build | ${FIGURES.map(([name]) => name).join(' | ')} |`);
  console.log(`|---|${FIGURES.map(() => '---').join('|')}|`);
  for (const [at, checkout] of checkouts.entries()) {
    console.log(`| ${checkout} | ${cellsOf(all[at]!, all[0]!).join(' | ')} |`);
  }
}
