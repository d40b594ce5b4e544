/** The production {@link PowSolver}: grinds nonces on a worker thread within a budget. */
import { Worker } from 'node:worker_threads';
import { makeHeader } from '../../chain/codec.ts';
import { bitsToTarget } from '../../chain/target.ts';
import type { PowKernelName } from '../../crypto/pow.ts';
import type { Clock, PowSolution, PowSolver, Rng } from '../ports.ts';

/** What the thread is told. A new search replaces the one before it. */
export type SolverJob =
  | {
      readonly kind: 'search';
      readonly id: number;
      readonly header: Uint8Array;
      readonly target: Uint8Array;
      readonly start: bigint;
    }
  | { readonly kind: 'stop' };

/** What the thread says. `hashes`: since it last spoke; `total`: for this job. */
export type SolverReply =
  | { readonly kind: 'ready'; readonly kernel: PowKernelName }
  | { readonly kind: 'progress'; readonly hashes: number }
  | {
      readonly kind: 'found';
      readonly id: number;
      readonly nonce: bigint;
      readonly hashes: number;
      readonly total: number;
    };

/** It makes next to no garbage: V8's default for the young generation would be 16 MB a half. */
const THREAD_LIMITS = { maxYoungGenerationSizeMb: 3 };

/** Span over which the hash rate is averaged. */
const RATE_WINDOW_MS = 5000;

interface Pending {
  readonly id: number;
  readonly resolve: (solution: PowSolution) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Starts the mining thread.
 * @param options.budget share of one core, 0 < budget ≤ 1
 * @param options.onFailure called when the thread dies; the next `solve` starts another
 */
export function createWorkerSolver(options: {
  readonly budget: number;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly onFailure: (error: unknown) => void;
  /** Hears which kernel the thread hashes with. */
  readonly onReady?: (kernel: PowKernelName) => void;
}): PowSolver {
  const { budget, clock, rng, onFailure, onReady } = options;
  let worker: Worker | undefined;
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

  const spawn = (): Worker => {
    const thread = new Worker(new URL('./pow-worker.ts', import.meta.url), {
      workerData: { budget },
      resourceLimits: THREAD_LIMITS,
    });
    thread.on('message', (reply: SolverReply) => {
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
    });
    thread.on('error', (error) => {
      if (worker === thread) worker = undefined;
      pending?.reject(error);
      pending = undefined;
      onFailure(error);
    });
    thread.unref();
    return thread;
  };

  return {
    solve(header, signal) {
      signal.throwIfAborted();
      worker ??= spawn();
      const thread = worker;
      const target = bitsToTarget(header.bits);
      if (target === undefined) throw new RangeError(`bits ${header.bits} are not a target`);
      pending?.reject(new Error('replaced by a newer search'));
      jobs += 1;
      const id = jobs;
      // A random start, so that two nodes with one address and one template do not search the same nonces.
      const start = new DataView(rng.bytes(8).buffer).getBigUint64(0) >> 1n;
      return new Promise<PowSolution>((resolve, reject) => {
        const onAbort = (): void => {
          if (pending?.id === id) {
            pending = undefined;
            thread.postMessage({ kind: 'stop' } satisfies SolverJob);
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
          start,
        };
        thread.postMessage(job);
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
      await worker?.terminate();
      worker = undefined;
    },
  };
}

function bytes32(value: bigint): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
}
