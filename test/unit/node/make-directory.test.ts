import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeDirectory } from '../../../node/make-directory.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'grapevine-dir-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('makes what is missing, with the mode, and is content with what is there', async () => {
  const path = join(root, 'a', 'b', 'c');
  await makeDirectory(path, 0o700);
  await makeDirectory(path);
  expect((await stat(path)).isDirectory()).toBe(true);
  if (process.platform !== 'win32') expect((await stat(join(root, 'a'))).mode & 0o777).toBe(0o700);
});

test('all who make one directory at the same time succeed', async () => {
  const path = join(root, 'x', 'y');
  await Promise.all([makeDirectory(path), makeDirectory(path), makeDirectory(path)]);
  expect((await stat(path)).isDirectory()).toBe(true);
});

test('a file in the way is an error that names it', async () => {
  await writeFile(join(root, 'file'), '');
  await expect(makeDirectory(join(root, 'file'))).rejects.toThrow(/EEXIST.*file/);
  await expect(makeDirectory(join(root, 'file', 'below'))).rejects.toThrow(/ENOTDIR.*file/);
});

test.runIf(process.platform === 'linux')('where no entry can be made it fails, and does not try for ever', async () => {
  await expect(makeDirectory('/proc/grapevine/below')).rejects.toThrow(/ENOENT.*\/proc\/grapevine/);
});
