import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemClock, createSystemRng } from '../../../node/adapters.ts';
import { Devnet } from '../../../scripts/devnet/devnet.ts';
import { openNetworkDir } from '../../../scripts/devnet/network-dir.ts';
import { Screen } from '../../../scripts/devnet/screen.ts';

test('a devnet that is stopped before its nodes are started starts none', async () => {
  const path = await mkdtemp(join(tmpdir(), 'grapevine-devnet-'));
  try {
    const dir = await openNetworkDir({
      path,
      fresh: false,
      wanted: { nodes: 2, blockTimeMs: undefined },
      defaults: { nodes: 2, blockTimeMs: 2000 },
      hashBudget: 0.004,
      nowMs: 0,
    });
    const starting = Devnet.start({
      dir,
      basePort: 21_000,
      hashBudget: 0.004,
      logLevel: 'info',
      nodeArgs: [],
      clock: createSystemClock(),
      rng: createSystemRng(),
      screen: new Screen(new PassThrough() as never),
      backend: nobleBackend,
      ratePerS: 0,
      startedAtMs: 0,
      signal: AbortSignal.abort(new Error('interrupted')),
    });
    await expect(starting).rejects.toThrow('interrupted');
    expect((await readdir(path)).filter((name) => name.endsWith('.log'))).toEqual([]);
    await dir.release();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
});
