/**
 * Proof of work whose time is drawn and whose nonce is real: the search ends after an exponential time whose mean is
 * the expected hashes over the node's hash rate, and only then is a nonce ground, of which the nets of the simulation
 * ask a handful of hashes. Blocks pass every check of production; difficulty and hash rate keep their meaning.
 */
import { makeHeader } from '../chain/codec.ts';
import { bitsToTarget, workOfTarget } from '../chain/target.ts';
import { hexToBytes } from '../crypto/bytes.ts';
import { loadPowKernel } from '../crypto/pow.ts';
import type { Clock, PowSolution, PowSolver } from '../node/ports.ts';
import type { SeededRng } from './seeded-rng.ts';

export interface DrawnSolverOptions {
  readonly clock: Clock;
  readonly rng: SeededRng;
  /** Hashes per virtual second. Asked at the start of each search. */
  readonly hashRate: () => number;
}

const BATCH = 1024;

/**
 * One search at a time: a new one makes the one before reject. `solve` throws RangeError for bits that are no target.
 */
export function createDrawnSolver(options: DrawnSolverOptions): PowSolver {
  const { clock, rng, hashRate } = options;
  let giveUp: ((reason: unknown) => void) | undefined;

  return {
    solve(header, signal) {
      signal.throwIfAborted();
      const target = bitsToTarget(header.bits);
      if (target === undefined) throw new RangeError(`bits ${header.bits} are not a target`);
      giveUp?.(new Error('replaced by a newer search'));
      const meanMs = (Number(workOfTarget(target)) / hashRate()) * 1000;
      return new Promise<PowSolution>((resolve, reject) => {
        const end = (): void => {
          cancel();
          signal.removeEventListener('abort', onAbort);
          if (giveUp === fail) giveUp = undefined;
        };
        const fail = (reason: unknown): void => {
          end();
          reject(reason);
        };
        const onAbort = (): void => fail(signal.reason);
        const cancel = clock.after(rng.exponential(meanMs), () => {
          end();
          resolve(grind(makeHeader({ ...header, nonce: 0n }).bytes, target));
        });
        signal.addEventListener('abort', onAbort, { once: true });
        giveUp = fail;
      });
    },
    hashRate,
    async close() {
      giveUp?.(new Error('solver closed'));
    },
  };
}

/** The lowest nonce that meets the target. @param header 113 bytes, nonce 0 */
export function grind(header: Uint8Array, target: bigint): PowSolution {
  const search = loadPowKernel('js').prepare(header, hexToBytes(target.toString(16).padStart(64, '0')));
  for (let start = 0n; ; start += BigInt(BATCH)) {
    const nonce = search.search(start, BATCH);
    if (nonce !== undefined) return { nonce, hashes: Number(nonce) + 1 };
  }
}
