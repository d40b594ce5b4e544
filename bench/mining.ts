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
  const { cancelMs, shares } = await measureThread(short ? 20 : 60, rounds, short ? 1000 : 2000);
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

/** Runs the mining thread itself: first without bounds, to cancel it at its busiest, then on a budget. */
async function measureThread(
  cancels: number,
  rounds: number,
  spanMs: number,
): Promise<{ readonly cancelMs: number[]; readonly shares: number[] }> {
  const url = new URL('../node/mining/pow-worker.ts', import.meta.url);
  const easy = bytesOf(bitsToTarget(bitsForHashes(2n))!);
  let jobs = 0;
  const post = (worker: Worker, target: Uint8Array): void => {
    jobs += 1;
    worker.postMessage({ kind: 'search', id: jobs, header: HEADER, target, start: 0n } satisfies SolverJob);
  };
  const found = (worker: Worker): Promise<void> =>
    new Promise((resolve) => {
      const onReply = (reply: SolverReply): void => {
        if (reply.kind !== 'found' || reply.id !== jobs) return;
        worker.off('message', onReply);
        resolve();
      };
      worker.on('message', onReply);
    });

  const busy = new Worker(url, { workerData: { budget: 1 } });
  const cancelMs: number[] = [];
  post(busy, easy);
  await found(busy); // it has started
  for (let i = 0; i < cancels; i++) {
    post(busy, HOPELESS);
    await sleep(40 + (i % 20));
    const begin = performance.now();
    post(busy, easy); // found at once: its answer shows that the thread has let go of the old search
    await found(busy);
    cancelMs.push(performance.now() - begin);
  }
  await busy.terminate();

  const budgeted = new Worker(url, { workerData: { budget: BUDGET } });
  post(budgeted, HOPELESS);
  await sleep(500);
  const shares: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const before = await budgeted.cpuUsage();
    const begin = performance.now();
    await sleep(spanMs);
    const { user, system } = await budgeted.cpuUsage(before);
    shares.push((user + system) / 1000 / (performance.now() - begin));
  }
  await budgeted.terminate();
  return { cancelMs, shares };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function bytesOf(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}

export const miningBench: Bench = { name: 'mining', run };
