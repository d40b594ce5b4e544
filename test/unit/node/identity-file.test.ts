import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesToHex } from '../../../crypto/bytes.ts';
import { loadOrCreateIdentity } from '../../../node/identity-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'grapevine-identity-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);
const none = (): Uint8Array => {
  throw new Error('no randomness is needed');
};

test('a new identity is made, kept for its owner only, and found again', async () => {
  const path = join(directory, 'deeper', 'identity');
  const seed = await loadOrCreateIdentity(path, random);
  expect(seed).toEqual(random(32));
  expect(await readFile(path, 'utf8')).toBe(`${bytesToHex(seed)}\n`);
  if (process.platform !== 'win32') expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await loadOrCreateIdentity(path, none)).toEqual(seed);
});

test.each([
  ['empty', ''],
  ['too short', 'ab'.repeat(31)],
  ['too long', 'ab'.repeat(33)],
  ['no hex', 'xy'.repeat(32)],
  ['upper case', 'AB'.repeat(32)],
])('a file that is %s is an error that names it, and is left as it is', async (_what, text) => {
  const path = join(directory, 'identity');
  await writeFile(path, text);
  await expect(loadOrCreateIdentity(path, random)).rejects.toThrow(`${path} is not an identity`);
  expect(await readFile(path, 'utf8')).toBe(text);
});

test('a path that cannot be read is an error, not a new identity', async () => {
  await expect(loadOrCreateIdentity(directory, random)).rejects.toThrow(/EISDIR/);
});
