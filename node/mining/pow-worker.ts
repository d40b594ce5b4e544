/**
 * The mining thread: searches nonces in short bursts and rests between them, so that over time it uses no more than
 * its budget of one core. Runs as a worker of `worker-solver.ts`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createPowSearch, type PowSearch } from '../../crypto/pow.ts';
import { createSystemClock } from '../adapters.ts';
import type { SolverJob, SolverReply } from './worker-solver.ts';

/** Length of a burst: bounds how late the thread hears of a new tip. */
const BURST_MS = 5;

const budget = (workerData as { budget: number }).budget;
const port = parentPort;
if (port === null) throw new Error('pow-worker.ts runs as a worker thread only');

let job: { readonly id: number; readonly search: PowSearch; next: bigint; hashes: number } | undefined;
let batch = 256;
let isScheduled = false;
const clock = createSystemClock();

function burst(): void {
  isScheduled = false;
  if (job === undefined) return;
  const begin = clock.monotonicMs();
  let hashed = 0;
  let found: bigint | undefined;
  let elapsedMs = 0;
  do {
    found = job.search.search(job.next, batch);
    hashed += found === undefined ? batch : Number(found - job.next) + 1;
    job.next += BigInt(batch);
    elapsedMs = clock.monotonicMs() - begin;
  } while (found === undefined && elapsedMs < BURST_MS);
  job.hashes += hashed;
  // A tenth of a burst per batch: the clock is read often enough, and costs nothing.
  if (elapsedMs > 0) batch = Math.min(65_536, Math.max(16, Math.round((hashed / elapsedMs) * (BURST_MS / 10))));
  const reply: SolverReply =
    found === undefined
      ? { kind: 'progress', hashes: hashed }
      : { kind: 'found', id: job.id, nonce: found, hashes: hashed, total: job.hashes };
  port?.postMessage(reply);
  if (found !== undefined) job = undefined;
  // Rest even after a find: a template that is solved at once must not turn into a busy loop.
  isScheduled = true;
  clock.after((elapsedMs * (1 - budget)) / budget, burst);
}

port.on('message', (message: SolverJob) => {
  job =
    message.kind === 'stop'
      ? undefined
      : { id: message.id, search: createPowSearch(message.header, message.target), next: message.start, hashes: 0 };
  if (job !== undefined && !isScheduled) burst();
});
