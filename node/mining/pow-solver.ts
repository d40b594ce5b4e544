/** The production {@link PowSolver}: grinds nonces within a budget, on a worker thread where that is worth one. */
import { Worker } from 'node:worker_threads';
import { makeHeader } from '../../chain/codec.ts';
import { bitsToTarget } from '../../chain/target.ts';
import type { PowKernelName } from '../../crypto/pow.ts';
import type { Clock, PowSolution, PowSolver, Rng } from '../ports.ts';
import { NonceGrinder, type SolverJob, type SolverReply } from './nonce-grinder.ts';

/** It makes next to no garbage: V8's default for the young generation would be 16 MB a half. */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 3 };

/**
 * Up to this budget there is no thread: bursts of 2.5 ms, and at most one look for a new job more, on the event
 * loop eight times a second or less cost a node less than the memory of a thread.
 */
const MAX_BUDGET_HERE = 0.02;

/** Span over which the hash rate is averaged. */
const RATE_WINDOW_MS = 5000;

interface Pending {
  readonly id: number;
  readonly resolve: (solution: PowSolution) => void;
  readonly reject: (reason: unknown) => void;
}

/** A {@link NonceGrinder}, here or on a thread. */
interface Grinder {
  post(job: SolverJob): void;
  end(): Promise<void>;
}

/**
 * @param options.budget share of one core, 0 < budget ≤ 1
 * @param options.onFailure called when grinding fails, or its thread dies; the next `solve` begins anew
 */
export function createPowSolver(options: {
  readonly budget: number;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly onFailure: (error: unknown) => void;
  /** Hears which kernel is used, when the first search begins. */
  readonly onReady?: (kernel: PowKernelName) => void;
}): PowSolver {
  const { budget, clock, rng, onFailure, onReady } = options;
  let grinder: Grinder | undefined;
  let jobs = 0;
  let pending: Pending | undefined;
  let windowStart = clock.monotonicMs();
  let windowHashes = 0;
  let lastRate = 0;

  const roll = (): void => {
    const elapsedMs = clock.monotonicMs() - windowStart;
    if (elapsedMs < RATE_WINDOW_MS) return;
    lastRate = (windowHashes / elapsedMs) * 1000;
    windowStart = clock.monotonicMs();
    windowHashes = 0;
  };

  const onReply = (reply: SolverReply): void => {
    if (reply.kind === 'ready') {
      onReady?.(reply.kernel);
      return;
    }
    windowHashes += reply.hashes;
    roll();
    if (reply.kind === 'found' && pending?.id === reply.id) {
      pending.resolve({ nonce: reply.nonce, hashes: reply.total });
      pending = undefined;
    }
  };

  const onError = (error: unknown, failed: Grinder): void => {
    if (grinder === failed) grinder = undefined;
    pending?.reject(error);
    pending = undefined;
    onFailure(error);
  };
  const start = (): Grinder =>
    budget <= MAX_BUDGET_HERE ? grindHere(budget, clock, onReply, onError) : grindOnThread(budget, onReply, onError);

  return {
    solve(header, signal) {
      signal.throwIfAborted();
      grinder ??= start();
      const grinding = grinder;
      const target = bitsToTarget(header.bits);
      if (target === undefined) throw new RangeError(`bits ${header.bits} are not a target`);
      pending?.reject(new Error('replaced by a newer search'));
      jobs += 1;
      const id = jobs;
      // A random start, so that two nodes with one address and one template do not search the same nonces.
      const firstNonce = new DataView(rng.bytes(8).buffer).getBigUint64(0) >> 1n;
      return new Promise<PowSolution>((resolve, reject) => {
        const onAbort = (): void => {
          if (pending?.id === id) {
            pending = undefined;
            grinding.post({ kind: 'stop' });
          }
          reject(signal.reason);
        };
        const settle =
          <T>(done: (value: T) => void) =>
          (value: T) => {
            signal.removeEventListener('abort', onAbort);
            done(value);
          };
        signal.addEventListener('abort', onAbort, { once: true });
        pending = { id, resolve: settle(resolve), reject: settle(reject) };
        const job: SolverJob = {
          kind: 'search',
          id,
          header: makeHeader({ ...header, nonce: 0n }).bytes,
          target: bytes32(target),
          start: firstNonce,
        };
        grinding.post(job);
      });
    },

    hashRate() {
      const elapsedMs = clock.monotonicMs() - windowStart;
      if (elapsedMs > 2 * RATE_WINDOW_MS) return 0; // silent: not mining
      return lastRate === 0 && elapsedMs > 0 ? (windowHashes / elapsedMs) * 1000 : lastRate;
    },

    async close() {
      pending?.reject(new Error('solver closed'));
      pending = undefined;
      const ending = grinder;
      grinder = undefined;
      await ending?.end();
    },
  };
}

function grindHere(
  budget: number,
  clock: Clock,
  say: (reply: SolverReply) => void,
  onError: (error: unknown, grinder: Grinder) => void,
): Grinder {
  const grinder = new NonceGrinder({ budget, clock, say, onFailure: (error) => onError(error, here) });
  const here: Grinder = {
    post: (job) => grinder.post(job),
    async end() {
      grinder.stop();
    },
  };
  return here;
}

function grindOnThread(
  budget: number,
  onReply: (reply: SolverReply) => void,
  onError: (error: unknown, grinder: Grinder) => void,
): Grinder {
  const thread = new Worker(new URL('./pow-worker.ts', import.meta.url), {
    workerData: { budget },
    resourceLimits: THREAD_LIMITS,
  });
  const grinder: Grinder = {
    post: (job) => thread.postMessage(job),
    async end() {
      await thread.terminate();
    },
  };
  thread.on('message', onReply);
  thread.on('error', (error) => onError(error, grinder));
  thread.unref();
  return grinder;
}

function bytes32(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}
