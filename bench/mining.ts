/** The proof-of-work kernels against the plain loops, and the manners of mining, on a thread and on the event loop. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ZERO_BLOCK_ID } from '../chain/codec.ts';
import { bitsForHashes, bitsToTarget } from '../chain/target.ts';
import type { HeaderBody } from '../chain/types.ts';
import { sha256 } from '../crypto/hash.ts';
import { loadPowKernel, POW_KERNELS, type PowSearch } from '../crypto/pow.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { PRESETS } from '../node/config.ts';
import type { SolverJob, SolverReply } from '../node/mining/nonce-grinder.ts';
import { createPowSolver } from '../node/mining/pow-solver.ts';
import type { Clock } from '../node/ports.ts';
import { devAccount } from '../scripts/dev-accounts.ts';
import { type Bench, interleave, makeRow, percentile, type Row, threadMs } from './measure.ts';

const HEADER = new Uint8Array(113).map((_, i) => sha256(Uint8Array.of(1))[i % 32]!);
const HOPELESS = new Uint8Array(32);
const BUDGET = 0.25;
const DEFAULT_BUDGET = PRESETS.devnet.hashBudget;
/** A burst is a millisecond or more: one more or less among forty. */
const SPAN_HERE_MS = 10_000;
const HOPELESS_BLOCK: HeaderBody = {
  height: 1n,
  parent: ZERO_BLOCK_ID,
  txRoot: new Uint8Array(32),
  timestampMs: 0n,
  bits: bitsForHashes(2n ** 200n),
  miner: devAccount(0).address,
  nonce: 0n,
};
/** Says what time it is when it is woken, on the clock that all threads share. */
const SENDER = `
  const { parentPort, workerData: flag } = require('node:worker_threads');
  for (;;) {
    Atomics.wait(flag, 0, 0);
    Atomics.store(flag, 0, 0);
    parentPort.postMessage(process.hrtime.bigint());
  }
`;
const MINING_THREAD = new URL('../node/mining/pow-worker.ts', import.meta.url);

/** Millions of hashes per second of processor time, for at least `ms` of it. */
function searchRate(search: PowSearch, ms: number): number {
  const begin = threadMs();
  let next = 0n;
  do {
    search.search(next, 4096);
    next += 4096n;
  } while (threadMs() - begin < ms);
  return Number(next) / (threadMs() - begin) / 1000;
}

/** The loop one writes with Node's own hash. */
const nodeCrypto: PowSearch = {
  search(start, count) {
    const header = HEADER.slice();
    const view = new DataView(header.buffer);
    const head = createHash('sha256').update(header.subarray(0, 64));
    for (let i = 0; i < count; i++) {
      view.setBigUint64(105, start + BigInt(i));
      const inner = head.copy().update(header.subarray(64)).digest();
      if (Buffer.compare(createHash('sha256').update(inner).digest(), HOPELESS) <= 0) return start + BigInt(i);
    }
    return undefined;
  },
};

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  const rounds = short ? 3 : 9;
  const ms = short ? 150 : 400;
  const kernels = Object.fromEntries(
    POW_KERNELS.map((name) => {
      const search = loadPowKernel(name).prepare(HEADER, HOPELESS);
      return [name, () => searchRate(search, ms)];
    }),
  ) as Record<(typeof POW_KERNELS)[number], () => number>;
  const rates = await interleave(rounds, { ...kernels, node: () => searchRate(nodeCrypto, ms) });
  const plain = rates.js.map((rate, i) => Math.max(rate, rates.node[i]!));
  const cancelMs = await measureCancels(short ? 20 : 60);
  const shares = await measureShares(MINING_THREAD, rounds, short ? 1000 : 2000);
  const here = await measureHere(short ? 20 : 60, rounds, SPAN_HERE_MS);
  return [
    makeRow('pow js (noble, midstate)', 'MH/s', rates.js, plain),
    makeRow('pow node:crypto, midstate', 'MH/s', rates.node, plain),
    makeRow('pow scalar WebAssembly, against the best plain loop', 'MH/s', rates.scalar, plain),
    makeRow('pow SIMD WebAssembly, against the best plain loop', 'MH/s', rates.simd, plain, [
      { of: 'ratio', is: '≥', bar: 6 },
    ]),
    cancelRow('mining cancel latency p99', cancelMs),
    shareRow('mining processor time, against its budget', shares, BUDGET),
    cancelRow('mining on the event loop, the default: cancel latency p99', here.cancelMs),
    shareRow('mining on the event loop, the default: processor time, against its budget', here.shares, DEFAULT_BUDGET),
  ];
}

function cancelRow(name: string, cancelMs: readonly number[]): Row {
  return makeRow(name, 'ms', [percentile(cancelMs, 0.99)], undefined, [{ of: 'value', is: '<', bar: 20 }]);
}

function shareRow(name: string, shares: readonly number[], budget: number): Row {
  const budgets = shares.map(() => budget);
  return makeRow(name, 'share of a core', shares, budgets, [
    { of: 'ratio', is: '≥', bar: 0.9 },
    { of: 'ratio', is: '≤', bar: 1.1 },
  ]);
}

/**
 * The solver with the budget that nodes have by default, on this thread's event loop, which does nothing else. A search
 * is cancelled by a message that another thread sends when a burst begins, so that it finds the event loop held up:
 * milliseconds from then until the search is over.
 */
export async function measureHere(
  cancels: number,
  rounds: number,
  spanMs: number,
): Promise<{ readonly cancelMs: number[]; readonly shares: number[] }> {
  const system = createSystemClock();
  let onBurst = (): void => {};
  const clock: Clock = {
    ...system,
    after: (delayMs, fn) =>
      system.after(delayMs, () => {
        onBurst();
        fn();
      }),
  };
  const solver = createPowSolver({
    budget: DEFAULT_BUDGET,
    clock,
    rng: createSystemRng(),
    onFailure: (error) => {
      throw error;
    },
  });
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const sender = new Worker(SENDER, { eval: true, workerData: flag });
  await once(sender, 'online');
  const cancelMs: number[] = [];
  for (let i = 0; i < cancels; i++) {
    const cancel = new AbortController();
    const search = solver.solve(HOPELESS_BLOCK, cancel.signal).catch(() => undefined); // it is cancelled
    onBurst = () => {
      onBurst = () => {};
      Atomics.store(flag, 0, 1);
      Atomics.notify(flag, 0);
    };
    const [sentNs] = (await once(sender, 'message')) as [bigint];
    cancel.abort();
    await search;
    cancelMs.push(Number(process.hrtime.bigint() - sentNs) / 1e6);
  }
  await sender.terminate();

  const end = new AbortController();
  const search = solver.solve(HOPELESS_BLOCK, end.signal).catch(() => undefined);
  await sleep(500);
  const shares: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const [usedMs, begin] = [threadMs(), performance.now()];
    await sleep(spanMs);
    shares.push((threadMs() - usedMs) / (performance.now() - begin));
  }
  end.abort();
  await search;
  await solver.close();
  return { cancelMs, shares };
}

/** The mining thread without bounds, cancelled at its busiest: milliseconds until it has let go of a search. */
async function measureCancels(cancels: number): Promise<number[]> {
  const easy = bytesOf(bitsToTarget(bitsForHashes(2n))!);
  let jobs = 0;
  const thread = await startThread(MINING_THREAD, 1);
  const post = (target: Uint8Array): void => {
    jobs += 1;
    thread.postMessage({ kind: 'search', id: jobs, header: HEADER, target, start: 0n } satisfies SolverJob);
  };
  const found = (): Promise<void> => reply(thread, (said) => said.kind === 'found' && said.id === jobs);
  const cancelMs: number[] = [];
  for (let i = 0; i < cancels; i++) {
    post(HOPELESS);
    await sleep(40 + (i % 20));
    const begin = performance.now();
    post(easy); // found at once: its answer shows that the thread has let go of the old search
    await found();
    cancelMs.push(performance.now() - begin);
  }
  await thread.terminate();
  return cancelMs;
}

/**
 * Shares of a core that a thread on a budget takes.
 *
 * @param url the thread's module; it says when it is ready
 */
export async function measureShares(url: URL, rounds: number, spanMs: number): Promise<number[]> {
  const thread = await startThread(url, BUDGET);
  thread.postMessage({ kind: 'search', id: 1, header: HEADER, target: HOPELESS, start: 0n } satisfies SolverJob);
  await sleep(500);
  const shares: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const before = await thread.cpuUsage();
    const begin = performance.now();
    await sleep(spanMs);
    const { user, system } = await thread.cpuUsage(before);
    shares.push((user + system) / 1000 / (performance.now() - begin));
  }
  await thread.terminate();
  return shares;
}

/** Waits for its first word: how long a thread takes to start depends on the machine, and until then it has no figures. */
async function startThread(url: URL, budget: number): Promise<Worker> {
  const thread = new Worker(url, { workerData: { budget } });
  await reply(thread, ({ kind }) => kind === 'ready');
  return thread;
}

/** Rejects where the thread fails or ends before it says that. */
function reply(thread: Worker, isWanted: (said: SolverReply) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error('the mining thread has ended'));
    const onMessage = (said: SolverReply): void => {
      if (!isWanted(said)) return;
      thread.off('message', onMessage).off('error', reject).off('exit', onExit);
      resolve();
    };
    thread.on('message', onMessage).on('error', reject).on('exit', onExit);
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function bytesOf(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}

export const miningBench: Bench = { name: 'mining', run };
