import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { measureShares } from '../../../bench/mining.ts';

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
