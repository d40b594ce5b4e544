/** Files that are whole and durable under their name, or not there. */
import { link, lstat, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { syncDirectory } from '../node/store/replace-file.ts';
import { UsageError } from './exit.ts';

/**
 * A file that has not its name yet: it is written elsewhere on the same file system first. Its methods throw what the file
 * system says.
 */
export class PartialFile {
  /** Where it is until then. */
  readonly path: string;
  readonly #target: string;
  /** What goes when the file is given up, or has its name. */
  readonly #rest: string;

  private constructor(target: string, path: string, rest: string) {
    this.#target = target;
    this.path = path;
    this.#rest = rest;
  }

  /** In a hidden directory beside its place, for its owner only. A process that is killed leaves that behind, no more. */
  static async create(target: string): Promise<PartialFile> {
    const folder = await mkdtemp(join(dirname(resolve(target)), '.grapevine-new-'));
    return new PartialFile(resolve(target), join(folder, 'file'), folder);
  }

  /**
   * Beside its place, as `….partial`: for what may be as large as the disk, where a killed process is not to leave one more
   * each time.
   */
  static beside(target: string): PartialFile {
    const path = `${resolve(target)}.partial`;
    return new PartialFile(resolve(target), path, path);
  }

  /**
   * @param flags `wx`: it is begun; `r+`: the text takes the place of one that is no longer
   * @param mode as the file will have it, less the umask
   */
  async write(text: string, flags: 'wx' | 'r+', mode: number): Promise<void> {
    const handle = await open(this.path, flags, mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /**
   * Gives it its name, if nothing has that: EEXIST otherwise. Durable when it resolves.
   *
   * @param withoutLinks where the file system has none (FAT), `rename` would replace what comes in the last moment, so
   * that what is precious is rather refused
   */
  async giveName(withoutLinks: 'rename' | 'refuse'): Promise<void> {
    try {
      await link(this.path, this.#target);
    } catch (error) {
      if (withoutLinks === 'refuse' || (await isThere(this.#target))) throw error;
      await rename(this.path, this.#target);
    }
    await syncDirectory(dirname(this.#target));
    await this.discard();
  }

  /** Puts it in the place of what has its name, if something does. Durable when it resolves. */
  async replace(): Promise<void> {
    await rename(this.path, this.#target);
    await syncDirectory(dirname(this.#target));
  }

  /** Never fails: it is for when something else has, which is to be told. */
  async discard(): Promise<void> {
    const isOurs = this.#rest !== this.path; // else a directory there is somebody's
    await rm(this.#rest, { recursive: isOurs, force: true }).catch(() => undefined);
  }
}

/**
 * @param mode of the file, less the umask
 * @param withoutLinks as of `giveName`
 * @throws what the file system says: EEXIST where there is something
 */
export async function saveNewFile(
  path: string,
  text: string,
  mode: number,
  withoutLinks: 'rename' | 'refuse',
): Promise<void> {
  const file = await PartialFile.create(path);
  try {
    await file.write(text, 'wx', mode);
    await file.giveName(withoutLinks);
  } finally {
    await file.discard();
  }
}

/**
 * The `--out` of a command.
 * @param why what else there is to say where it exists
 * @throws UsageError where it exists, or cannot be written
 */
export async function saveResult(path: string, text: string, why = ''): Promise<void> {
  try {
    await saveNewFile(path, text, 0o666, 'rename');
  } catch (error) {
    // Without links the file system does not call it that.
    const exists = await isThere(path).catch(() => false);
    throw new UsageError(exists ? `${path} exists${why}` : `cannot write ${path}: ${(error as Error).message}`);
  }
}

/**
 * A link counts, wherever it leads.
 *
 * @throws what the file system says, but for ENOENT
 */
export async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
