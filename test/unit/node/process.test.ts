import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, PRESETS } from '../../../node/config.ts';
import { startProcess } from '../../../node/process.ts';
import { silentLogger } from '../../loggers.ts';
import { fixtureGenesis } from '../../node-fixture.ts';

test('a configuration that the network cannot have is refused before the store is opened', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'grapevine-process-'));
  const starting = startProcess({
    config: {
      ...PRESETS.devnet,
      dataDir: join(directory, 'node'),
      bootstrap: ['/ip4/127.0.0.1/tcp/1'],
      closedNet: true,
    },
    genesis: fixtureGenesis([]),
    identitySeed: new Uint8Array(32).fill(1),
    voter: undefined,
    minerAddress: undefined,
    logger: silentLogger,
  });
  await expect(starting).rejects.toThrow(ConfigError);
  expect(await readdir(directory)).toEqual([]);
  await rm(directory, { recursive: true });
});
