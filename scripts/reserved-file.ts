/** A new file whose place is made sure of before there is anything to write. */
import { link, lstat, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { syncDirectory } from '../node/store/replace-file.ts';
import { isPathFault, RefusedError, UsageError } from './exit.ts';

/**
 * The text goes to a file in a hidden directory beside the path, and has its name only when it is whole and on disk: a
 * process that is killed leaves at most that directory behind, and the path free for the next. What is there already, or
 * comes meanwhile, is never overwritten.
 */
export class ReservedFile {
  readonly #path: string;
  readonly #folder: string;

  private constructor(path: string, folder: string) {
    this.#path = path;
    this.#folder = folder;
  }

  /**
   * Takes up the room on disk.
   * @param bytes length of the text
   * @throws UsageError where the path is no place for a new file
   * @throws RefusedError `export/unwritable` where the file system fails otherwise
   */
  static async create(path: string, bytes: number): Promise<ReservedFile> {
    let file: ReservedFile | undefined;
    try {
      if (await isThere(resolve(path))) throw new UsageError(`${path} exists`);
      file = new ReservedFile(path, await mkdtemp(join(dirname(resolve(path)), '.grapevine-export-')));
      // Spaces: there is to be no document that others could take for one until the caller says so.
      await writeDurably(file.#partial, 'wx', ' '.repeat(bytes));
      return file;
    } catch (error) {
      await file?.discard();
      if (error instanceof UsageError) throw error;
      if (isPathFault(error)) throw new UsageError(`cannot write ${path}: ${error.message}`);
      throw unwritable(path, error);
    }
  }

  /**
   * Text and name are durable when it resolves.
   * @param text of the length that was reserved
   * @param remark what else there is to say where it fails
   * @throws RefusedError `export/unwritable`
   */
  async complete(text: string, remark: string): Promise<void> {
    const target = resolve(this.#path);
    try {
      await writeDurably(this.#partial, 'r+', text);
      await giveName(this.#partial, target);
      await syncDirectory(dirname(target));
    } catch (error) {
      throw unwritable(this.#path, error, remark);
    } finally {
      await this.discard();
    }
  }

  /** Gives the place up, if it has not its name yet. Never fails: it is for when something else has, which is to be told. */
  async discard(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined);
  }

  get #partial(): string {
    return join(this.#folder, 'document.json');
  }
}

async function writeDurably(path: string, flags: 'wx' | 'r+', text: string): Promise<void> {
  const handle = await open(path, flags, 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A link never replaces a file; where the file system has none (FAT), what has come in the last moment would be. */
async function giveName(partial: string, target: string): Promise<void> {
  try {
    await link(partial, target);
  } catch (error) {
    if (await isThere(target)) throw error;
    await rename(partial, target);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function unwritable(path: string, error: unknown, remark = ''): RefusedError {
  const why = error instanceof Error ? error.message : String(error);
  return new RefusedError('export/unwritable', `cannot write ${path}: ${why}${remark}`);
}
