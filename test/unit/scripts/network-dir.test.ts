import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openNetworkDir } from '../../../scripts/devnet/network-dir.ts';
import { UsageError } from '../../../scripts/exit.ts';

let path: string;
beforeAll(async () => {
  path = await mkdtemp(join(tmpdir(), 'grapevine-network-'));
});
afterAll(() => rm(path, { recursive: true, force: true }));

it.each([
  ['{bad', 'JSON'],
  ['{}', 'genesis: name: is missing'],
])('a genesis file that reads %s is bad usage that names it, and leaves no lock', async (text, why) => {
  await writeFile(join(path, 'genesis.json'), text);
  const opening = openNetworkDir({
    path,
    fresh: false,
    wanted: { nodes: undefined, blockTimeMs: undefined },
    defaults: { nodes: 2, blockTimeMs: 2000 },
    hashBudget: 0.004,
    nowMs: 0,
  });
  const error = await opening.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message).toContain(join(path, 'genesis.json'));
  expect((error as Error).message).toContain(why);
  expect((error as Error).message).toContain('--fresh');
  expect(await readdir(path)).toEqual(['genesis.json']);
});
