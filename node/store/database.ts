/** What the store needs of a database, and how it is read and written. */
import type { AbstractIteratorOptions, AbstractLevel } from 'abstract-level';
import type { KeyRange } from './keys.ts';

type Level = AbstractLevel<string | Buffer | Uint8Array, Uint8Array, Uint8Array>;
export type Operation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

/** Any abstract-level database with keys and values of bytes: no more of it than the store uses. */
export interface LevelDatabase extends Pick<Level, 'open' | 'close' | 'get' | 'getMany' | 'has' | 'keys'> {
  batch(operations: Operation[], options: WriteOptions): Promise<void>;
  iterator(options: AbstractIteratorOptions<Uint8Array, Uint8Array>): {
    nextv(size: number): Promise<[Uint8Array, Uint8Array][]>;
    close(): Promise<void>;
  };
}

export const ENCODING = { keyEncoding: 'view', valueEncoding: 'view' } as const;
/** fsync before the promise resolves. */
export const DURABLE = { ...ENCODING, sync: true } as const;
/** Survives the process, not the machine. */
export const BUFFERED = { ...ENCODING, sync: false } as const;
export type WriteOptions = typeof DURABLE | typeof BUFFERED;
/** Entries per step of a scan: long enough to be fast, short enough not to hold up the event loop. */
const SCAN_ENTRIES = 2_000;
/** classic-level stops a step at 16 KiB unless told. */
export const SCAN = { ...ENCODING, highWaterMarkBytes: 1024 * 1024 } as const;

/** Operations made in one turn of the event loop: some milliseconds of work. A transaction of a block makes one to three. */
const SLICE_OPERATIONS = 1_024;

/**
 * All of them, made a slice at a time: a block of thousands of transactions does not hold up the event loop. To hand them
 * over to LevelDB in slices too, as a chained batch, would save some more milliseconds, but classic-level frees such a
 * batch only when V8 collects the old generation, which it is not told to do sooner for it.
 */
export async function gatherInSlices(
  operations: Iterable<Operation>,
  giveWay: () => Promise<void>,
): Promise<readonly Operation[]> {
  const gathered: Operation[] = [];
  for (const operation of operations) {
    if (gathered.length > 0 && gathered.length % SLICE_OPERATIONS === 0) await giveWay();
    gathered.push(operation);
  }
  return gathered;
}

/** Records of a range in key order. Throws what the database throws on damage. */
export async function* scanRecords(
  db: LevelDatabase,
  range: KeyRange & { readonly reverse?: boolean; readonly limit?: number },
): AsyncGenerator<readonly [Uint8Array, Uint8Array]> {
  const iterator = db.iterator({ ...SCAN, ...range });
  try {
    for (;;) {
      const step = await iterator.nextv(SCAN_ENTRIES);
      if (step.length === 0) return;
      yield* step;
    }
  } finally {
    await iterator.close();
  }
}
