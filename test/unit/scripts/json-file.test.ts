import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RefusedError, UsageError } from '../../../scripts/exit.ts';
import { readGenesis, readJson, readText } from '../../../scripts/json-file.ts';
import { genesis } from '../chain/chain-fixtures.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-json-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(text: string): Promise<string> {
  const path = join(folder, 'file.json');
  await writeFile(path, text);
  return path;
}

/** @param start the path is put in the place of `$` */
async function expectUsage(reading: Promise<unknown>, path: string, start: string): Promise<void> {
  const error = await reading.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message.startsWith(start.replace('$', path)), (error as Error).message).toBe(true);
}

test('what is in a file is given', async () => {
  expect(await readText(await fileOf('a\n'))).toBe('a\n');
  expect(await readJson(await fileOf('{"a":[1]}'))).toEqual({ a: [1] });
  expect((await readGenesis(await fileOf(JSON.stringify(genesis.doc)))).chainId).toBe(genesis.chainId);
});

test('a file that can not be read is bad usage that names it', async () => {
  for (const read of [readText, readJson, readGenesis]) {
    const path = join(folder, 'missing.json');
    await expectUsage(read(path), path, 'cannot read $: ENOENT');
    await expectUsage(read(folder), folder, 'cannot read $: EISDIR');
  }
});

test('what is not JSON is bad usage, or what the command makes of it', async () => {
  const path = await fileOf('{');
  await expectUsage(readJson(path), path, '$ is not JSON: ');
  await expectUsage(readGenesis(path), path, '$ is not JSON: ');
  const refused = readJson(path, (message) => new RefusedError('certificate/malformed', message));
  await expect(refused).rejects.toMatchObject({
    code: 'certificate/malformed',
    message: expect.stringContaining(`${path} is not JSON: `),
  });
});

test('a document that is no genesis is bad usage that names the file and the field', async () => {
  const path = await fileOf(JSON.stringify({ ...genesis.doc, name: '' }));
  await expectUsage(readGenesis(path), path, '$: genesis: name: must be 1 to 32');
});
