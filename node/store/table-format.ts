/**
 * Reads LevelDB's table format (doc/table_format.md in google/leveldb): data blocks in the order of their keys, filter and
 * index blocks that say where they are, and a footer of 48 bytes. A block is followed by a byte for its compression and a
 * masked CRC-32C of both.
 *
 * Rationale: LevelDB, opened as classic-level opens it, does not look at these sums. One flipped bit can make a record
 * disappear, or end the process.
 */
import { uncompress } from 'snappyjs';
import { CRC32C_START, crc32c, crc32cStep, mask } from './log-format.ts';

const FOOTER_BYTES = 48;
const MAGIC = 0xdb4775248b80fb57n;
const TRAILER_BYTES = 5;
const SNAPPY = 1;
/** A block is cut at 4 KiB; it is longer only where one record is: a body is at most some MiB. */
const MAX_BLOCK_BYTES = 256 * 1024 * 1024;

/** A block's place in its file, without the trailer. */
interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** A record as a table holds it. */
export interface TableEntry {
  readonly key: Uint8Array;
  /** Undefined: the key was deleted. */
  readonly value: Uint8Array | undefined;
  readonly sequence: bigint;
}

/** What is wrong with a table, or undefined. Reads every byte. */
export function findTableDamage(file: Uint8Array): string | undefined {
  return readTable(file).damage;
}

/**
 * The records of the data blocks whose sums are good. Where the index can't be read, blocks are found by their sums, up to
 * the first that is bad; the table's other blocks among them hold entries too.
 *
 * @param isRecord tells records from such entries
 */
export function* salvageEntries(file: Uint8Array, isRecord: (entry: TableEntry) => boolean): Generator<TableEntry> {
  const { data } = readTable(file);
  for (const handle of data ?? findBlocks(file)) {
    const block = tryRead(() => readBlock(file, handle, file.length));
    if (block === undefined) continue;
    for (const [internalKey, value] of tryRead(() => [...entriesOf(block)]) ?? []) {
      const entry = toEntry(internalKey, value);
      if (entry !== undefined && (data !== undefined || isRecord(entry))) yield entry;
    }
  }
}

/** Where the data blocks are, if the index is good, and the first thing that is wrong with the file. */
function readTable(file: Uint8Array): {
  readonly data: readonly Handle[] | undefined;
  readonly damage: string | undefined;
} {
  let data: readonly Handle[] | undefined;
  try {
    const { metaIndex, index } = readFooter(file);
    data = handlesIn(readBlock(file, index));
    const filters = handlesIn(readBlock(file, metaIndex));
    let end = 0;
    // Whole files are written: each block begins where the one before it ends.
    for (const handle of [...data, ...filters, metaIndex, index]) {
      if (handle.offset !== end) throw new TableError(`gap at byte ${end}`);
      readBlock(file, handle);
      end = handle.offset + handle.size + TRAILER_BYTES;
    }
    if (end !== file.length - FOOTER_BYTES) throw new TableError(`gap at byte ${end}`);
    return { data, damage: undefined };
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    return { data, damage: error.message };
  }
}

/** One block after the other, each ending where the sum of what came since the last fits the four bytes that follow. */
function* findBlocks(file: Uint8Array): Generator<Handle> {
  const view = viewOf(file);
  let [start, sum] = [0, CRC32C_START];
  for (let at = 0; at + TRAILER_BYTES <= file.length; at += 1) {
    sum = crc32cStep(sum, file[at]!);
    if (file[at]! > SNAPPY || view.getUint32(at + 1, true) !== mask(~sum >>> 0)) continue;
    yield { offset: start, size: at - start };
    start = at + TRAILER_BYTES;
    at = start - 1;
    sum = CRC32C_START;
  }
}

class TableError extends Error {
  override readonly name = 'TableError';
}

function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TableError) return undefined;
    throw error;
  }
}

function readFooter(file: Uint8Array): { readonly metaIndex: Handle; readonly index: Handle } {
  const at = file.length - FOOTER_BYTES;
  if (at < 0 || viewOf(file).getBigUint64(file.length - 8, true) !== MAGIC) throw new TableError('bad footer');
  const reader = new VarintReader(file.subarray(at, file.length - 8));
  const footer = { metaIndex: reader.handle(), index: reader.handle() };
  if (reader.rest.some((byte) => byte !== 0)) throw new TableError('bad footer');
  return footer;
}

/** A block's content, uncompressed. */
function readBlock(file: Uint8Array, { offset, size }: Handle, limit = file.length - FOOTER_BYTES): Uint8Array {
  const end = offset + size + TRAILER_BYTES;
  if (end > limit) throw new TableError(`block beyond the end of the file at byte ${offset}`);
  const sum = viewOf(file).getUint32(end - 4, true);
  if (sum !== mask(crc32c(file.subarray(offset, end - 4)))) throw new TableError(`bad checksum at byte ${offset}`);
  const content = file.subarray(offset, offset + size);
  const compression = file[offset + size]!;
  if (compression === 0) return content;
  if (compression !== SNAPPY) throw new TableError(`unknown compression ${compression} at byte ${offset}`);
  try {
    return uncompress(content, MAX_BLOCK_BYTES);
  } catch (error) {
    throw new TableError(`block that cannot be uncompressed at byte ${offset}`, { cause: error });
  }
}

function handlesIn(block: Uint8Array): readonly Handle[] {
  return [...entriesOf(block)].map(([, value]) => new VarintReader(value).handle());
}

/** Keys and values of a block. Of a key only what differs from the one before it is written. */
function* entriesOf(block: Uint8Array): Generator<readonly [Uint8Array, Uint8Array]> {
  if (block.length < 4) throw new TableError('short block');
  const restarts = viewOf(block).getUint32(block.length - 4, true);
  const end = block.length - 4 * (restarts + 1);
  if (end < 0) throw new TableError('short block');
  const reader = new VarintReader(block.subarray(0, end));
  let key = new Uint8Array(0);
  while (reader.rest.length > 0) {
    const [shared, unshared, valueBytes] = [reader.varint(), reader.varint(), reader.varint()];
    if (shared > key.length) throw new TableError('bad key');
    const next = new Uint8Array(shared + unshared);
    next.set(key.subarray(0, shared));
    next.set(reader.bytes(unshared), shared);
    key = next;
    yield [key, reader.bytes(valueBytes)];
  }
}

/** An internal key ends in `sequence << 8 | type`, 8 bytes LE; type 0 is a deletion. */
function toEntry(internalKey: Uint8Array, value: Uint8Array): TableEntry | undefined {
  const at = internalKey.length - 8;
  if (at < 0) return undefined;
  const tag = viewOf(internalKey).getBigUint64(at, true);
  const isDeletion = (tag & 0xffn) === 0n && value.length === 0;
  return { key: internalKey.subarray(0, at), value: isDeletion ? undefined : value, sequence: tag >> 8n };
}

class VarintReader {
  #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** What has not been read. */
  get rest(): Uint8Array {
    return this.#bytes;
  }

  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length) throw new TableError('short block');
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < Number.MAX_SAFE_INTEGER; scale *= 128) {
      const byte = this.bytes(1)[0]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new TableError('bad number');
  }

  handle(): Handle {
    return { offset: this.varint(), size: this.varint() };
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
