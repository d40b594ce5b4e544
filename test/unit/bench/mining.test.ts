import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { measureHere, measureShares } from '../../../bench/mining.ts';

/** Busy for longer than the measurement lets a search run in, then ready, then idle. */
const SLOW_TO_START = `
  import { parentPort } from 'node:worker_threads';
  const end = performance.now() + 1500;
  while (performance.now() < end);
  parentPort.postMessage({ kind: 'ready' });
  parentPort.on('message', () => {});
`;

test('what a mining thread takes to start is not measured, however long', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'grapevine-mining-'));
  try {
    const path = join(directory, 'thread.mjs');
    await writeFile(path, SLOW_TO_START);
    const shares = await measureShares(pathToFileURL(path), 2, 300);
    expect(Math.max(...shares)).toBeLessThan(0.25);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('mining on the event loop is cancelled, and takes some of it and no more than its budget allows', async () => {
  const { cancelMs, shares } = await measureHere(3, 1, 2_000);
  expect(cancelMs).toHaveLength(3);
  expect(Math.min(...cancelMs)).toBeGreaterThan(0);
  expect(shares[0]).toBeGreaterThan(0);
  expect(shares[0]).toBeLessThan(0.1); // 0.004, and what the test's own thread does
});
