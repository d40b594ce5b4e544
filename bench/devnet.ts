/**
 * The devnet as a user starts it: five nodes in five processes. How long until it is ready, what it costs while nothing
 * happens but blocks (their templates, checks, writes and votes, and the devnet's own questions, are in the figure; the
 * hash budget is not), the memory of a node then and under load, and what travels then. Reads `/proc`, so Linux only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { residentBytes } from '../scripts/devnet/resident-memory.ts';
import type { LiveRun } from './growth-live.ts';
import { type Bench, makeRow, type Row } from './measure.ts';
import { childrenOf, processorSeconds } from './processes.ts';

const NODES = 5;
const BASE_PORT = 17_400;
const HASH_BUDGET = 0.004;
/** V8 compiles what turns out to be hot for half a minute: before that it is the start that is measured, not rest. */
const SETTLE_MS = 30_000;
const LOAD_TPS = 100;
const LIVE_SECONDS = 20;

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  if (process.platform !== 'linux') return [];
  const spanMs = short ? 10_000 : 30_000;
  const rounds = short ? 1 : 3;
  const fresh: number[] = [];
  const continued: number[] = [];
  const idleShares: number[] = [];
  const idleMb: number[] = [];
  const loadedMb: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const path = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
    try {
      if (round < 0) {
        await withDevnet(path, [], () => Promise.resolve()); // fills the compile cache
        continue;
      }
      fresh.push(
        await withDevnet(path, [], async (pids) => {
          await sleep(SETTLE_MS);
          const before = processorSeconds(pids);
          const begin = performance.now();
          await sleep(spanMs);
          const used = (processorSeconds(pids) - before) / ((performance.now() - begin) / 1000);
          idleShares.push((used - NODES * HASH_BUDGET) * 100);
          idleMb.push(Math.max(...pids.map(residentMb)));
        }),
      );
      continued.push(
        await withDevnet(path, [`--load=${LOAD_TPS}`], async (pids) => {
          const samples: number[] = [];
          const end = performance.now() + spanMs;
          while (performance.now() < end) {
            await sleep(500);
            samples.push(Math.max(...pids.map(residentMb)));
          }
          loadedMb.push(Math.max(...samples));
        }),
      );
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  }
  const live = short ? [] : await liveRuns(rounds);
  const atMost = (bar: number) => [{ of: 'value', is: '≤', bar }] as const;
  return [
    makeRow('devnet ready, new chain', 'ms', fresh, undefined, atMost(3000)),
    makeRow('devnet ready, continued', 'ms', continued, undefined, atMost(3000)),
    makeRow('idle devnet, all nodes, miners aside', '% of a core', idleShares, undefined, atMost(5)),
    makeRow('resident memory of the largest node, idle', 'MB', idleMb, undefined, atMost(120)),
    makeRow(`resident memory of the largest node, ${LOAD_TPS} tx/s`, 'MB', loadedMb, undefined, atMost(250)),
    ...(live.length === 0
      ? []
      : [
          makeRow(
            `devnet at ${LOAD_TPS} tx/s: gossip bytes per transaction and node, above idle, without framing, of its size`,
            'times',
            live.map(({ txBytes }) => txBytes),
          ),
          makeRow(
            `devnet at ${LOAD_TPS} tx/s: bytes on the wire per transaction and node, above idle, of its size`,
            'times',
            live.map(({ socketBytes }) => socketBytes),
            undefined,
            atMost(2.5),
          ),
          makeRow(
            `devnet at ${LOAD_TPS} tx/s: copies per transaction and node`,
            'copies/tx',
            live.map(({ txCopies }) => txCopies),
            undefined,
            atMost(2),
          ),
        ]),
  ];
}

/** What the same net costs at rest is taken off. */
async function liveRuns(rounds: number): Promise<readonly LiveRun[]> {
  const { runLive } = await import('./growth-live.ts'); // changes what this process's children inherit: last
  const runs: LiveRun[] = [];
  for (let round = 0; round < rounds; round++) runs.push(await runLive(NODES, LIVE_SECONDS, LOAD_TPS));
  return runs;
}

/** Runs `grapevine devnet` in `path` for as long as `body` takes; gives the milliseconds until it was ready. */
async function withDevnet(
  path: string,
  flags: readonly string[],
  body: (pids: readonly number[]) => Promise<void>,
): Promise<number> {
  const launcher = fileURLToPath(new URL('../tools/grapevine.js', import.meta.url));
  const args = ['devnet', '--json', `--data-dir=${path}`, `--base-port=${BASE_PORT}`, `--hash-budget=${HASH_BUDGET}`];
  const devnet = spawn(process.execPath, [launcher, ...args, ...flags], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(devnet, 'exit');
  try {
    const readyMs = await untilReady(devnet);
    const pids = childrenOf(devnet.pid!);
    if (pids.length !== NODES) throw new Error(`${pids.length} node processes, expected ${NODES}`);
    await body(pids);
    return readyMs;
  } finally {
    devnet.kill('SIGTERM');
    await ended;
  }
}

function untilReady(devnet: ChildProcess): Promise<number> {
  let said = '';
  return new Promise((resolve, reject) => {
    devnet.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      const ready = /^ready in (\d+) ms$/m.exec(said)?.[1];
      if (ready !== undefined) resolve(Number(ready));
    });
    devnet.once('exit', () => reject(new Error(`the devnet did not become ready:\n${said}`)));
  });
}

function residentMb(pid: number): number {
  const bytes = residentBytes(pid);
  if (bytes === undefined) throw new Error(`process ${pid} is gone`);
  return bytes / 2 ** 20;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export const devnetBench: Bench = { name: 'devnet', run };
