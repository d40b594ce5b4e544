/** A new file whose place is made sure of before there is anything to write. */
import { resolve } from 'node:path';
import { isPathFault, RefusedError, UsageError } from './exit.ts';
import { isThere, PartialFile } from './new-file.ts';

/** For its owner only: it says what a voter may do. */
const MODE = 0o600;

/**
 * The text has its name only when it is whole and on disk: a process that is killed leaves at most a hidden directory
 * behind, and the path free for the next. What is there already, or comes meanwhile, is never overwritten.
 */
export class ReservedFile {
  readonly #path: string;
  readonly #file: PartialFile;

  private constructor(path: string, file: PartialFile) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Takes up the room on disk.
   * @param bytes length of the text
   * @throws UsageError where the path is no place for a new file
   * @throws RefusedError `export/unwritable` where the file system fails otherwise
   */
  static async create(path: string, bytes: number): Promise<ReservedFile> {
    let file: PartialFile | undefined;
    try {
      if (await isThere(resolve(path))) throw new UsageError(`${path} exists`);
      file = await PartialFile.create(path);
      // Spaces: there is to be no document that others could take for one until the caller says so.
      await file.write(' '.repeat(bytes), 'wx', MODE);
      return new ReservedFile(path, file);
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
    try {
      await this.#file.write(text, 'r+', MODE);
      await this.#file.giveName('rename');
    } catch (error) {
      throw unwritable(this.#path, error, remark);
    } finally {
      await this.discard();
    }
  }

  /** Gives the place up, if it has not its name yet. Never fails: it is for when something else has, which is to be told. */
  async discard(): Promise<void> {
    await this.#file.discard();
  }
}

function unwritable(path: string, error: unknown, remark = ''): RefusedError {
  const why = error instanceof Error ? error.message : String(error);
  return new RefusedError('export/unwritable', `cannot write ${path}: ${why}${remark}`);
}
