import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { makeHeader } from '../../../chain/codec.ts';
import { bitsForHashes, meetsTarget } from '../../../chain/target.ts';
import type { HeaderBody } from '../../../chain/types.ts';
import { createSystemClock, createSystemRng } from '../../../node/adapters.ts';
import { createPowSolver } from '../../../node/mining/pow-solver.ts';
import type { PowSolver } from '../../../node/ports.ts';
import { genesis, miner } from '../chain/chain-fixtures.ts';

const threads = vi.hoisted((): Worker[] => []);
vi.mock('node:worker_threads', async (load) => {
  const real = await load<typeof import('node:worker_threads')>();
  return {
    ...real,
    Worker: class extends real.Worker {
      constructor(...args: ConstructorParameters<typeof real.Worker>) {
        super(...args);
        threads.push(this);
      }
    },
  };
});

let solver: PowSolver | undefined;
afterEach(async () => {
  await solver?.close();
  solver = undefined;
  threads.length = 0;
});

function setUp(budget = 1) {
  const failures: unknown[] = [];
  solver = createPowSolver({
    budget,
    clock: createSystemClock(),
    rng: createSystemRng(),
    onFailure: (error) => failures.push(error),
  });
  return { solver, failures };
}

function header(hashes: bigint, height = 1n): Omit<HeaderBody, 'nonce'> {
  return {
    height,
    parent: genesis.entry.header.id,
    txRoot: new Uint8Array(32).fill(3),
    timestampMs: 1_735_689_602_000n,
    bits: bitsForHashes(hashes),
    miner: miner.address,
  };
}

const IMPOSSIBLE = 1n << 200n;
const never = (): AbortSignal => new AbortController().signal;

test('finds nonces that meet the target, one job after the other, on one thread', async () => {
  const { solver } = setUp();
  for (let height = 1n; height <= 5n; height++) {
    const job = header(2_000n, height);
    const { nonce, hashes } = await solver.solve(job, never());
    const { id } = makeHeader({ ...job, nonce });
    expect(meetsTarget(id, job.bits)).toBe(true);
    expect(hashes).toBeGreaterThan(0);
  }
  expect(threads).toHaveLength(1);
  expect(solver.hashRate()).toBeGreaterThan(0);
});

test('two searches of one template do not go through the same nonces', async () => {
  const { solver } = setUp();
  const first = await solver.solve(header(100n), never());
  const second = await solver.solve(header(100n), never());
  expect(second.nonce).not.toBe(first.nonce);
});

test('a newer job replaces the one before it', async () => {
  const { solver } = setUp();
  const replaced = solver.solve(header(IMPOSSIBLE), never());
  const newer = solver.solve(header(100n, 2n), never());
  await expect(replaced).rejects.toThrow('replaced by a newer search');
  const { nonce } = await newer;
  expect(meetsTarget(makeHeader({ ...header(100n, 2n), nonce }).id, bitsForHashes(100n))).toBe(true);
});

test('an abort ends the search with its reason, and the next job is served', async () => {
  const { solver } = setUp();
  const controller = new AbortController();
  const search = solver.solve(header(IMPOSSIBLE), controller.signal);
  controller.abort(new Error('new tip'));
  await expect(search).rejects.toThrow('new tip');
  expect((await solver.solve(header(100n), never())).hashes).toBeGreaterThan(0);
  expect(threads).toHaveLength(1);
});

test('a signal that is aborted already starts nothing', () => {
  const { solver } = setUp();
  expect(() => solver.solve(header(1n), AbortSignal.abort(new Error('too late')))).toThrow('too late');
  expect(threads).toHaveLength(0);
});

test('a thread that dies fails its search, is reported, and the next job gets a new one', async () => {
  const { solver, failures } = setUp();
  const search = solver.solve(header(IMPOSSIBLE), never());
  // Bytes that are no header: the thread throws where nobody catches.
  threads[0]!.postMessage({ kind: 'search', id: 99, header: new Uint8Array(3), target: new Uint8Array(32), start: 0n });
  await expect(search).rejects.toThrow(/too short/);
  expect(failures).toHaveLength(1);
  expect((await solver.solve(header(100n), never())).hashes).toBeGreaterThan(0);
  expect(threads).toHaveLength(2);
});

test('closing ends the search and the thread', async () => {
  const { solver } = setUp();
  const search = solver.solve(header(IMPOSSIBLE), never());
  const ended = expect(search).rejects.toThrow('solver closed');
  const exited = new Promise((resolve) => threads[0]!.once('exit', resolve));
  await solver.close();
  await ended;
  await exited;
  expect(threads).toHaveLength(1);
});

test('bits that are no target are the caller’s bug', () => {
  const { solver } = setUp();
  expect(() => solver.solve({ ...header(1n), bits: 0 }, never())).toThrow(RangeError);
});

describe('with a small budget', () => {
  test('it grinds here, without a thread', async () => {
    const { solver } = setUp(0.02);
    for (let height = 1n; height <= 3n; height++) {
      const job = header(2_000n, height);
      const { nonce, hashes } = await solver.solve(job, never());
      expect(meetsTarget(makeHeader({ ...job, nonce }).id, job.bits)).toBe(true);
      expect(hashes).toBeGreaterThan(0);
    }
    expect(solver.hashRate()).toBeGreaterThan(0);
    expect(threads).toHaveLength(0);
  });

  test('an abort, a newer search and closing end a search as they do on a thread', async () => {
    const { solver } = setUp(0.02);
    const controller = new AbortController();
    const aborted = solver.solve(header(IMPOSSIBLE), controller.signal);
    controller.abort(new Error('new tip'));
    await expect(aborted).rejects.toThrow('new tip');
    const replaced = solver.solve(header(IMPOSSIBLE), never());
    const newer = solver.solve(header(100n), never());
    await expect(replaced).rejects.toThrow('replaced by a newer search');
    expect((await newer).hashes).toBeGreaterThan(0);
    const last = solver.solve(header(IMPOSSIBLE), never());
    await Promise.all([expect(last).rejects.toThrow('solver closed'), solver.close()]);
  });
});
