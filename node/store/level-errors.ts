/** What abstract-level and the file system throw, in the store's own words: each says what to do. */
import type { ChainId } from '../../chain/types.ts';
import { damaged, type StorePlace } from './damage.ts';
import { StoreError } from './store.ts';

/** LevelDB passes on the system's words, and no number. */
const FULL = /No space left on device|Disk quota exceeded|not enough space on the disk/i;
/** The process or the mount is at fault, not the files. */
const NOT_DAMAGE = /Too many open files|Permission denied|Read-only file system|Cannot allocate memory/i;
const NOT_OPEN: ReadonlySet<unknown> = new Set(['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_ITERATOR_NOT_OPEN']);

/**
 * classic-level's errors carry LevelDB's status as `code`, and may stand as `cause` in another.
 *
 * @param hasFailed a write failed before: that the database is not open now comes of opening it again after that
 * @returns the error itself where it is none that a store has
 */
export function storeErrorOf(error: unknown, place: StorePlace, hasFailed: boolean): unknown {
  if (!(error instanceof Error) || error instanceof StoreError) return error;
  const options = { cause: error };
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    const code = 'code' in inner ? inner.code : undefined;
    if (code === 'ENOSPC' || code === 'EDQUOT' || FULL.test(inner.message)) return full(place, options);
    if (code === 'LEVEL_LOCKED') return locked(place, options);
    if (code === 'LEVEL_CORRUPTION' || (code === 'LEVEL_IO_ERROR' && !NOT_DAMAGE.test(inner.message))) {
      return damaged(place, inner.message, options);
    }
  }
  const isNotOpen = 'code' in error && NOT_OPEN.has(error.code);
  if (isNotOpen && hasFailed) return full(place, options);
  return isNotOpen ? new StoreError('closed', `the store in ${place.location} is closed`, options) : error;
}

/** What a write failed with, where it is not said yet: the system's own error becomes `unwritable`. */
export function writeErrorOf(error: unknown, { location }: StorePlace): unknown {
  if (error instanceof StoreError) return error;
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    const isOfSystem = 'errno' in inner || ('code' in inner && inner.code === 'LEVEL_IO_ERROR');
    if (!isOfSystem) continue;
    return new StoreError(
      'unwritable',
      `the store in ${location} cannot be written: ${inner.message}. Nothing of this write was kept. ` +
        'Mend that; writes go on by themselves then.',
      { cause: error },
    );
  }
  return error;
}

/**
 * A write failed, and so did what would take it back: it may be there when the store is opened again.
 * @param remark what is not certain, and what to do, with no full stop
 * @returns the error itself where it is none that a write has
 */
export function uncertainWrite(error: unknown, place: StorePlace, remark: string): unknown {
  const said = writeErrorOf(storeErrorOf(error, place, true), place);
  if (!(said instanceof StoreError)) return error;
  const why = error instanceof Error ? error.message : said.message;
  return new StoreError(said.code, `the store in ${place.location} cannot be written: ${why}. ${remark}.`, {
    cause: error,
  });
}

/**
 * `full`: says that nothing of the write was kept, so it is not for one that may be there after all
 * (`uncertainWrite`).
 */
export function full({ location }: StorePlace, options?: ErrorOptions): StoreError {
  return new StoreError(
    'full',
    `the disk that holds ${location} is full: nothing of this write was kept. ` +
      'Free some space; writes go on by themselves then.',
    options,
  );
}

/** @param schema the one that this version writes */
export function wrongSchema({ location }: StorePlace, found: number, schema: number): StoreError {
  return new StoreError(
    'wrong-schema',
    `the store in ${location} has schema ${found}, this version of grapevine reads schema ${schema}` +
      `${found < schema ? ' and can bring none so old over' : ''}. Use the version that wrote it, or another --data-dir, or delete ${location} to sync again from peers.`,
  );
}

/** `wrong-chain`: the store is of another genesis than the one given. Its message names both chains. */
export function wrongChain({ location }: StorePlace, found: ChainId, expected: ChainId): StoreError {
  return new StoreError(
    'wrong-chain',
    `the store in ${location} belongs to chain ${found}, the genesis given makes chain ${expected}. ` +
      'Give the genesis file of that chain, or another --data-dir.',
  );
}

/** Which process has it LevelDB does not say: it may be a node, or a command that reads the store of a stopped one. */
export function locked({ location }: StorePlace, options?: ErrorOptions): StoreError {
  const message =
    `the store in ${location} is in use by another process, a node or a command: ` +
    'stop that first, or use another --data-dir';
  return new StoreError('locked', message, options);
}
