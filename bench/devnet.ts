/**
 * The devnet as a user starts it: five nodes in five processes. How long until it is ready, what it costs while nothing
 * happens but blocks, and the memory of a node then and under load. Reads `/proc`, so Linux only.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { Devnet } from '../scripts/devnet/devnet.ts';
import { openNetworkDir } from '../scripts/devnet/network-dir.ts';
import { Screen } from '../scripts/devnet/screen.ts';
import { type Bench, makeRow, type Row } from './measure.ts';

const NODES = 5;
const BASE_PORT = 17_400;
const HASH_BUDGET = 0.004;
/** The kernel counts processor time in hundredths of a second. */
const TICKS_PER_SECOND = 100;
/** Connections and caches have settled by then. */
const SETTLE_MS = 3_000;
const LOAD_TPS = 100;

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  if (process.platform !== 'linux') return [];
  const spanMs = short ? 10_000 : 30_000;
  const rounds = short ? 1 : 3;
  const fresh: number[] = [];
  const continued: number[] = [];
  const idleShares: number[] = [];
  const idleMb: number[] = [];
  const loadedMb: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const path = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
    try {
      fresh.push(
        await withDevnet(path, async (pids) => {
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
        await withDevnet(path, async (pids, devnet) => {
          const ending = new AbortController();
          const load = devnet.traffic.run(LOAD_TPS, ending.signal);
          const samples: number[] = [];
          const end = performance.now() + spanMs;
          while (performance.now() < end) {
            await sleep(500);
            samples.push(Math.max(...pids.map(residentMb)));
          }
          ending.abort();
          await load;
          loadedMb.push(Math.max(...samples));
        }),
      );
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  }
  return [
    makeRow('devnet ready, new chain', 'ms', fresh, undefined, [{ of: 'value', is: '≤', bar: 3000 }]),
    makeRow('devnet ready, continued', 'ms', continued, undefined, [{ of: 'value', is: '≤', bar: 3000 }]),
    makeRow('idle devnet, all nodes, miners aside', '% of a core', idleShares, undefined, [
      { of: 'value', is: '≤', bar: 5 },
    ]),
    makeRow('resident memory of the largest node, idle', 'MB', idleMb, undefined, [{ of: 'value', is: '≤', bar: 120 }]),
    makeRow(`resident memory of the largest node, ${LOAD_TPS} tx/s`, 'MB', loadedMb, undefined, [
      { of: 'value', is: '≤', bar: 250 },
    ]),
  ];
}

/** Starts the devnet in `path`; gives the milliseconds until it was ready. */
async function withDevnet(
  path: string,
  body: (pids: readonly number[], devnet: Devnet) => Promise<void>,
): Promise<number> {
  const clock = createSystemClock();
  const startedAtMs = clock.monotonicMs();
  const never = new AbortController().signal;
  const dir = await openNetworkDir({
    path,
    fresh: false,
    wanted: { nodes: undefined, blockTimeMs: undefined },
    defaults: { nodes: NODES, blockTimeMs: 2000 },
    hashBudget: HASH_BUDGET,
    nowMs: clock.nowMs(),
  });
  let devnet: Devnet | undefined;
  try {
    devnet = await Devnet.start({
      dir,
      basePort: BASE_PORT,
      hashBudget: HASH_BUDGET,
      logLevel: 'info',
      clock,
      rng: createSystemRng(),
      screen: new Screen(process.stderr),
      startedAtMs,
      signal: never,
    });
    const readyMs = await devnet.untilReady(never);
    await body(childProcesses(), devnet);
    return readyMs;
  } finally {
    await devnet?.stop();
    await dir.release();
  }
}

/** Nothing else that the benchmark has started runs. */
function childProcesses(): number[] {
  const pids = readdirSync('/proc/self/task').flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  if (pids.length !== NODES) throw new Error(`${pids.length} processes, expected ${NODES}`);
  return pids;
}

function processorSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return Number(fields[11]) + Number(fields[12]); // utime, stime
  });
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export const devnetBench: Bench = { name: 'devnet', run };
