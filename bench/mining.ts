/** The proof-of-work kernels against the plain loops, and the mining thread's manners. */
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { bitsForHashes, bitsToTarget } from '../chain/target.ts';
import { sha256 } from '../crypto/hash.ts';
import { loadPowKernel, POW_KERNELS, type PowSearch } from '../crypto/pow.ts';
import type { SolverJob, SolverReply } from '../node/mining/nonce-grinder.ts';
import { type Bench, interleave, makeRow, percentile, type Row, threadMs } from './measure.ts';

const HEADER = new Uint8Array(113).map((_, i) => sha256(Uint8Array.of(1))[i % 32]!);
const HOPELESS = new Uint8Array(32);
const BUDGET = 0.25;
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
  return [
    makeRow('pow js (noble, midstate)', 'MH/s', rates.js, plain),
    makeRow('pow node:crypto, midstate', 'MH/s', rates.node, plain),
    makeRow('pow scalar WebAssembly, against the best plain loop', 'MH/s', rates.scalar, plain),
    makeRow('pow SIMD WebAssembly, against the best plain loop', 'MH/s', rates.simd, plain, [
      { of: 'ratio', is: '≥', bar: 6 },
    ]),
    makeRow('mining cancel latency p99', 'ms', [percentile(cancelMs, 0.99)], undefined, [
      { of: 'value', is: '<', bar: 20 },
    ]),
    makeRow(
      'mining processor time, against its budget',
      'share of a core',
      shares,
      shares.map(() => BUDGET),
      [
        { of: 'ratio', is: '≥', bar: 0.9 },
        { of: 'ratio', is: '≤', bar: 1.1 },
      ],
    ),
  ];
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
