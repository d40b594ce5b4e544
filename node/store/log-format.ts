/**
 * Reads and writes LevelDB's log format (doc/log_format.md in google/leveldb), in which both `*.log` and `MANIFEST-*` are
 * written: blocks of 32 KiB, in each of them records `masked CRC-32C u32 LE | length u16 LE | type u8 | data`.
 *
 * Rationale: LevelDB, opened as classic-level opens it, drops a log record whose checksum is wrong, goes on with the
 * next, and then deletes the file: acknowledged writes vanish without a word. So the files are checked before
 * LevelDB sees them. A log is at most about 4 MiB (`writeBufferSize`): 20 ms.
 */

const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
const SECTOR_BYTES = 512;
/** A record that is whole, or which fragment of one. */
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];
const MAX_TYPE = LAST;

/**
 * What is wrong with a log file, or undefined. A last record that is cut short is not, unless the file is known to
 * be `complete` (its writer stopped in order): that is what a process killed while it wrote leaves behind, and such a
 * record was never acknowledged. Nor is a last record whose end the disk never wrote (zeros from a sector boundary
 * on): that is what a power cut leaves.
 */
export function findLogDamage(file: Uint8Array, complete: boolean): string | undefined {
  const view = viewOf(file);
  let offset = 0;
  while (offset < file.length) {
    const blockEnd = offset - (offset % BLOCK_BYTES) + BLOCK_BYTES;
    if (blockEnd - offset < HEADER_BYTES) {
      offset = blockEnd; // A trailer too short for a header.
      continue;
    }
    const end = offset + HEADER_BYTES + (file.length - offset < HEADER_BYTES ? 0 : view.getUint16(offset + 4, true));
    if (end > file.length && end <= blockEnd) {
      const isTorn = !complete && !holdsRecord(file, offset + 1);
      return isTorn ? undefined : `record cut short at byte ${offset}`;
    }
    if (end > blockEnd || !isRecord(file, offset, end)) {
      return !complete && isUnwritten(file, offset) ? undefined : `bad checksum at byte ${offset}`;
    }
    offset = end;
  }
  return undefined;
}

/**
 * A log file that holds the records, in their order.
 * @param records each at least one byte
 */
export function encodeLog(records: Iterable<Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [];
  let left = BLOCK_BYTES;
  for (const record of records) {
    for (let at = 0; at < record.length; ) {
      if (left <= HEADER_BYTES) {
        parts.push(new Uint8Array(left));
        left = BLOCK_BYTES;
      }
      const data = record.subarray(at, at + left - HEADER_BYTES);
      const isLast = at + data.length === record.length;
      const type = at === 0 ? (isLast ? FULL : FIRST) : isLast ? LAST : MIDDLE;
      const fragment = new Uint8Array(HEADER_BYTES + data.length);
      fragment[6] = type;
      fragment.set(data, HEADER_BYTES);
      viewOf(fragment).setUint32(0, mask(crc32c(fragment.subarray(6))), true);
      viewOf(fragment).setUint16(4, data.length, true);
      parts.push(fragment);
      left -= fragment.length;
      at += data.length;
    }
  }
  return Buffer.concat(parts);
}

function isRecord(file: Uint8Array, offset: number, end: number): boolean {
  return viewOf(file).getUint32(offset, true) === mask(crc32c(file.subarray(offset + 6, end)));
}

/**
 * Whether a whole record begins anywhere from `offset` on: then what comes before is no torn end, but a bad length.
 * At most one block is left to look through, and few bytes of it look like a type.
 */
function holdsRecord(file: Uint8Array, offset: number): boolean {
  const view = viewOf(file);
  for (let start = offset; start + HEADER_BYTES < file.length; start += 1) {
    const type = file[start + 6]!;
    const end = start + HEADER_BYTES + view.getUint16(start + 4, true);
    if (type >= 1 && type <= MAX_TYPE && end <= file.length && isRecord(file, start, end)) return true;
  }
  return false;
}

/** Zeros from `offset`, or from a sector boundary after it, to the end. */
function isUnwritten(file: Uint8Array, offset: number): boolean {
  let start = file.length;
  while (start > offset && file[start - 1] === 0) start -= 1;
  if (start === offset) return true;
  const boundary = start + ((SECTOR_BYTES - (start % SECTOR_BYTES)) % SECTOR_BYTES);
  return boundary < file.length;
}

/** A sum as LevelDB stores it: rotated and shifted, so that the sum of data that holds sums is still a good one. */
export function mask(sum: number): number {
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;
}

/** CRC-32C (Castagnoli, RFC 3720 B.4); `node:zlib` has only the other polynomial. */
export function crc32c(bytes: Uint8Array): number {
  let sum = CRC32C_START;
  for (let i = 0; i < bytes.length; i += 1) sum = crc32cStep(sum, bytes[i]!);
  return ~sum >>> 0;
}

/** Byte by byte from here; the sum of what came so far is the complement. */
export const CRC32C_START = 0xffff_ffff;

/** One byte more. `sum` is the complement of the checksum, `CRC32C_START` before the first byte. */
export function crc32cStep(sum: number, byte: number): number {
  return CASTAGNOLI[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
}

const CASTAGNOLI = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0x82f6_3b78 : sum >>> 1;
  return sum;
});

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
