/**
 * The mining thread: searches nonces in short bursts and rests between them, so that over time it uses no more than
 * its budget of one core. Runs as a worker of `worker-solver.ts`.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { loadPowKernel, type PowSearch } from '../../crypto/pow.ts';
import { createSystemClock } from '../adapters.ts';
import { HashBudget } from './hash-budget.ts';
import type { SolverJob, SolverReply } from './worker-solver.ts';

/** Time between two looks for a new job: bounds how long the thread goes on with a tip that is no longer one. */
const LOOK_MS = 1;

const budget = (workerData as { budget: number }).budget;
/** Short with a small budget, so that the rests are short too; with a large one long, for a timer costs a millisecond. */
const BURST_MS = budget < 0.5 ? Math.min(5, Math.max(1, 125 * budget)) : 50;
const port = parentPort;
if (port === null) throw new Error('pow-worker.ts runs as a worker thread only');

const clock = createSystemClock();
const kernel = loadPowKernel('auto');
const account = new HashBudget(budget, clock.monotonicMs(), usedMs());
let job: { readonly id: number; readonly search: PowSearch; next: bigint; hashes: number } | undefined;
let batch = 256;
let isScheduled = false;

function usedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function say(reply: SolverReply): void {
  port?.postMessage(reply);
}

function take(message: SolverJob): void {
  job =
    message.kind === 'stop'
      ? undefined
      : { id: message.id, search: kernel.prepare(message.header, message.target), next: message.start, hashes: 0 };
}

function burst(): void {
  isScheduled = false;
  const begin = clock.monotonicMs();
  let hashed = 0;
  for (let nowMs = begin; job !== undefined && nowMs - begin < BURST_MS; ) {
    const found = job.search.search(job.next, batch);
    const tried = found === undefined ? batch : Number(found - job.next) + 1;
    job.next += BigInt(batch);
    job.hashes += tried;
    hashed += tried;
    const elapsedMs = clock.monotonicMs() - nowMs;
    nowMs += elapsedMs;
    if (found !== undefined) {
      say({ kind: 'found', id: job.id, nonce: found, hashes: hashed, total: job.hashes });
      hashed = 0;
      job = undefined;
    } else if (elapsedMs > 0) {
      // At most doubled: the first batches run before the kernel is compiled well.
      batch = Math.min(2 * batch, 65_536, Math.max(16, Math.round((tried / elapsedMs) * LOOK_MS)));
    }
    const waiting = port === null ? undefined : receiveMessageOnPort(port);
    if (waiting !== undefined) take(waiting.message as SolverJob);
  }
  if (hashed > 0) say({ kind: 'progress', hashes: hashed });
  if (job !== undefined) schedule();
}

/** Rests after a find too: a template that is solved at once must not turn into a busy loop. */
function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  clock.after(account.rest(clock.monotonicMs(), usedMs()), burst);
}

say({ kind: 'ready', kernel: kernel.name });
port.on('message', (message: SolverJob) => {
  take(message);
  if (job !== undefined) schedule();
});
