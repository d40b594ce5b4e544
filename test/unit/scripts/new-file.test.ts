import { link, mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { UsageError } from '../../../scripts/exit.ts';
import { PartialFile, saveNewFile, saveResult } from '../../../scripts/new-file.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs/promises')>();
  return { ...original, link: vi.fn(original.link) };
});

const NO_LINKS = Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' });

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-new-file-'));
  path = join(folder, 'out.json');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

/** What every open file has its methods from. */
async function handlePrototype(): Promise<{ writeFile(text: string): Promise<void>; sync(): Promise<void> }> {
  const handle = await open(folder, 'r');
  await handle.close();
  return Object.getPrototypeOf(handle);
}

test('a result is alone in its directory, as readable as the umask has it', async () => {
  await writeFile(join(folder, 'usual'), '');
  const { mode } = await stat(join(folder, 'usual'));
  await saveResult(path, 'text\n');
  expect(await readFile(path, 'utf8')).toBe('text\n');
  expect((await stat(path)).mode).toBe(mode);
  expect((await readdir(folder)).sort()).toEqual(['out.json', 'usual']);
});

test('text and name are on disk when it resolves', async () => {
  const prototype = await handlePrototype();
  const { sync } = prototype;
  const synced: string[] = [];
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: Awaited<ReturnType<typeof open>>) {
    await sync.call(this);
    synced.push((await this.stat()).isDirectory() ? `folder with ${await readdir(folder)}` : 'file');
  });
  await saveNewFile(path, 'text', 0o600, 'refuse');
  expect(synced).toEqual(['file', expect.stringMatching(/^folder with .*out\.json$/)]);
});

test.each([
  ['with links', undefined],
  ['without links, as on FAT', NO_LINKS],
])('on a file system %s what is there stays, and is called that', async (_name, failure) => {
  if (failure !== undefined) vi.mocked(link).mockRejectedValue(failure);
  await saveResult(path, 'first');
  await expect(saveResult(path, 'second', ': it is precious')).rejects.toThrow(
    new UsageError(`${path} exists: it is precious`),
  );
  expect(await readFile(path, 'utf8')).toBe('first');
  expect(await readdir(folder)).toEqual(['out.json']);
});

test('what may replace nothing at all is not saved where there are no links', async () => {
  vi.mocked(link).mockRejectedValue(NO_LINKS);
  await expect(saveNewFile(path, 'text', 0o600, 'refuse')).rejects.toBe(NO_LINKS);
  expect(await readdir(folder)).toEqual([]);
});

test('a disk that fills up leaves no part of the file', async () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  vi.spyOn(await handlePrototype(), 'writeFile').mockRejectedValue(full);
  await expect(saveResult(path, 'text')).rejects.toThrow(new UsageError(`cannot write ${path}: ${full.message}`));
  expect(await readdir(folder)).toEqual([]);
});

test('where no file can be is bad usage', async () => {
  await expect(saveResult(join(folder, 'no', 'out.json'), 'text')).rejects.toThrow(UsageError);
  await expect(saveResult(folder, 'text')).rejects.toThrow(new UsageError(`${folder} exists`));
});

test('beside its place it can take that of another, and what a killed process left is taken over', async () => {
  await writeFile(path, 'old');
  await writeFile(`${path}.partial`, 'left behind');
  const file = PartialFile.beside(path);
  await writeFile(file.path, 'new');
  expect([await readFile(path, 'utf8'), await readdir(folder)]).toEqual(['old', ['out.json', 'out.json.partial']]);
  await file.replace();
  expect([await readFile(path, 'utf8'), await readdir(folder)]).toEqual(['new', ['out.json']]);
});

test('given up, it takes nothing with it that is not its own', async () => {
  await mkdir(`${path}.partial`);
  await writeFile(join(`${path}.partial`, 'precious'), '');
  await PartialFile.beside(path).discard();
  expect(await readdir(`${path}.partial`)).toEqual(['precious']);
  await rm(`${path}.partial`, { recursive: true });
  const file = PartialFile.beside(path);
  await writeFile(file.path, 'part');
  await file.discard();
  expect(await readdir(folder)).toEqual([]);
});
