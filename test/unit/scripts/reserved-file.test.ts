import { link, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { UsageError } from '../../../scripts/exit.ts';
import { ReservedFile } from '../../../scripts/reserved-file.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs/promises')>();
  return { ...original, link: vi.fn(original.link) };
});

const TEXT = '{"format":"a document"}\n';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'grapevine-reserved-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

test('the file has its name when its text is on disk, not before, and the name is on disk then', async () => {
  const out = join(folder, 'out.json');
  const file = await ReservedFile.create(out, TEXT.length);
  const seen: string[] = [];
  const handle = await open(folder, 'r');
  const prototype: { sync(): Promise<void> } = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync } = prototype;
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
    await sync.call(this);
    const { size } = await this.stat();
    const isFolder = (await this.stat()).isDirectory();
    const names = (await readdir(folder)).filter((name) => name === 'out.json');
    seen.push(`${isFolder ? 'folder' : `${size} bytes`}, named: ${names.length > 0}`);
  });
  await file.complete(TEXT, '');
  expect(seen).toEqual([`${TEXT.length} bytes, named: false`, 'folder, named: true']);
  expect(await readFile(out, 'utf8')).toBe(TEXT);
  expect(await readdir(folder)).toEqual(['out.json']);
  expect((await stat(out)).mode & 0o777).toBe(0o600);
});

test('until it is complete its room is taken, and there is no text that could be taken for the document', async () => {
  const file = await ReservedFile.create(join(folder, 'out.json'), TEXT.length);
  const [hidden, ...others] = await readdir(folder);
  expect([hidden, others]).toEqual([expect.stringMatching(/^\.grapevine-new-/), []]);
  expect(await readFile(join(folder, hidden!, 'file'), 'utf8')).toBe(' '.repeat(TEXT.length));
  await file.discard();
  expect(await readdir(folder)).toEqual([]);
});

test('left behind by a process that was killed, it does not stand in the way', async () => {
  const out = join(folder, 'out.json');
  await ReservedFile.create(out, TEXT.length);
  await (await ReservedFile.create(out, TEXT.length)).complete(TEXT, '');
  expect(await readFile(out, 'utf8')).toBe(TEXT);
});

test.each([
  ['with links', false],
  ['without links, as on FAT', true],
])('on a file system %s a file that is there, or comes meanwhile, stays', async (_name, isWithout) => {
  const noLink = Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' });
  if (isWithout) vi.mocked(link).mockRejectedValue(noLink);
  const out = join(folder, 'out.json');
  const first = await ReservedFile.create(out, TEXT.length);
  const second = await ReservedFile.create(out, TEXT.length);
  await first.complete(TEXT, '');
  const late = second.complete(TEXT.toUpperCase(), '; a remark');
  await expect(late).rejects.toMatchObject({
    code: 'export/unwritable',
    message: expect.stringMatching(/; a remark$/),
  });
  await expect(ReservedFile.create(out, TEXT.length)).rejects.toThrow(new UsageError(`${out} exists`));
  expect(await readFile(out, 'utf8')).toBe(TEXT);
  expect(await readdir(folder)).toEqual(['out.json']);
});

test('what is no place for a new file is found before anything is done', async () => {
  await mkdir(join(folder, 'directory'));
  await writeFile(join(folder, 'empty'), '');
  await symlink(join(folder, 'nowhere'), join(folder, 'dangling'));
  const before = (await readdir(folder)).sort();
  for (const name of ['directory', 'empty', 'dangling', 'no/folder', 'empty/below', 'x'.repeat(300)]) {
    await expect(ReservedFile.create(join(folder, name), 10), name).rejects.toThrow(UsageError);
  }
  expect((await readdir(folder)).sort()).toEqual(before);
});
