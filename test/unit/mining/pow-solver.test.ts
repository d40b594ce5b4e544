import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeHeader } from '../../../chain/codec.ts';
import { bitsForHashes, meetsTarget } from '../../../chain/target.ts';
import type { HeaderBody } from '../../../chain/types.ts';
import type { PowKernelName } from '../../../crypto/pow.ts';
import { createSystemClock, createSystemRng } from '../../../node/adapters.ts';
import { createPowSolver } from '../../../node/mining/pow-solver.ts';
import type { PowSolver } from '../../../node/ports.ts';
import { genesis } from '../chain/chain-fixtures.ts';

const kernels: PowKernelName[] = [];
const failures: unknown[] = [];
let solver: PowSolver;
beforeEach(() => {
  kernels.length = 0;
  failures.length = 0;
  solver = createPowSolver({
    budget: 0.5,
    clock: createSystemClock(),
    rng: createSystemRng(),
    onFailure: (error) => failures.push(error),
    onReady: (kernel) => kernels.push(kernel),
  });
});
afterEach(() => solver.close());

function template(hashes: bigint): Omit<HeaderBody, 'nonce'> {
  const { nonce: _, ...body } = genesis.entry.header;
  return { ...body, height: 1n, bits: bitsForHashes(hashes) };
}

test('finds nonces that meet the target, one header after another', async () => {
  for (const hashes of [2n, 5_000n, 50n]) {
    const header = template(hashes);
    const { nonce, hashes: tried } = await solver.solve(header, new AbortController().signal);
    expect(meetsTarget(makeHeader({ ...header, nonce }).id, header.bits)).toBe(true);
    expect(tried).toBeGreaterThan(0);
  }
  expect(kernels).toEqual(['simd']);
  expect(solver.hashRate()).toBeGreaterThan(0);
  expect(failures).toEqual([]);
});

test('gives up a search that is aborted, and one that a newer search replaces', async () => {
  const hopeless = template(2n ** 80n);
  const aborting = new AbortController();
  const first = solver.solve(hopeless, aborting.signal);
  aborting.abort(new Error('a new tip'));
  await expect(first).rejects.toThrow('a new tip');
  const second = solver.solve(hopeless, new AbortController().signal);
  const third = solver.solve(template(100n), new AbortController().signal);
  await expect(second).rejects.toThrow('replaced');
  expect((await third).hashes).toBeGreaterThan(0);
});

test('close ends the search', async () => {
  const search = solver.solve(template(2n ** 80n), new AbortController().signal);
  await Promise.all([expect(search).rejects.toThrow('closed'), solver.close()]);
});
