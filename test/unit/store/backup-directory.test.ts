import { mkdir, open, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { backupDirectory } from '../../../node/store/level-directory.ts';
import { withDirectory } from './open-store.ts';

/** A fsync of a file or directory, and whether the copy had its name by then. */
interface Sync {
  readonly inode: number;
  readonly isNamed: boolean;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Runs `body` and tells what it fsynced: a file keeps its inode when it is renamed. */
async function syncsOf(target: string, body: () => Promise<void>): Promise<readonly Sync[]> {
  const syncs: Sync[] = [];
  const handle = await open(dirname(target), 'r');
  const prototype: { sync(): Promise<void> } = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync } = prototype;
  const spy = vi.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
    await sync.call(this);
    syncs.push({ inode: (await this.stat()).ino, isNamed: await exists(target) });
  });
  await body();
  spy.mockRestore();
  return syncs;
}

test('a backup is on disk before it has its name, every file and directory of it, and then the name is', () =>
  withDirectory(async (location) => {
    await mkdir(join(location, 'lost'), { recursive: true });
    for (const name of ['CURRENT', '000003.log', join('lost', '000004.ldb')]) {
      await writeFile(join(location, name), name);
    }
    const target = `${location}.backup`;
    const syncs = await syncsOf(target, () => backupDirectory(location, target));
    const copied = ['.', ...(await readdir(target, { recursive: true }))].sort();
    expect(copied).toEqual(['.', '000003.log', 'CURRENT', 'lost', join('lost', '000004.ldb')]);
    const before = syncs.filter(({ isNamed }) => !isNamed).map(({ inode }) => inode);
    for (const name of copied) expect(before, name).toContain((await stat(join(target, name))).ino);
    expect(syncs.at(-1)).toEqual({ inode: (await stat(dirname(target))).ino, isNamed: true });
  }));
