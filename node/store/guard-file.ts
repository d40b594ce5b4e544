/**
 * The second copy of the vote guards: a small JSON file beside LevelDB's own, which leaves it alone. A guard that is lost
 * lets a voter contradict itself (VOTE-8), and LevelDB, opened as classic-level opens it, can lose a record to one flipped
 * bit in a table without a word. The file is written before the database is, so what it says is never behind; but for a
 * voter that is to vote here again, for which it is written last.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { parseU64 } from '../../chain/decimal.ts';
import { type Address, formatAddress, parseAddress } from '../../crypto/address.ts';
import { NOT_DAMAGE } from './damage.ts';
import { replaceFile } from './replace-file.ts';
import type { VoteGuard } from './store.ts';

export const GUARD_FILE = 'GRAPEVINE-GUARDS';
const FORMAT = 'grapevine-guards/1';

/** `none`: the store is new, or of a version that kept no such file. */
export type GuardFile =
  | { readonly kind: 'good'; readonly guards: ReadonlyMap<Address, VoteGuard> }
  | { readonly kind: 'none' }
  | { readonly kind: 'bad'; readonly detail: string };

/** Reads the file in the store's directory. Throws what the file system throws where the process is at fault. */
export async function readGuardFile(location: string): Promise<GuardFile> {
  let text: string;
  try {
    text = await readFile(join(location, GUARD_FILE), 'utf8');
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || NOT_DAMAGE.has(error.code)) throw error;
    return error.code === 'ENOENT' ? { kind: 'none' } : { kind: 'bad', detail: error.message };
  }
  try {
    return { kind: 'good', guards: parse(text) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { kind: 'bad', detail: `its file ${GUARD_FILE} is not what was written: ${error.message}` };
  }
}

/** Writes all guards; they are on disk when it resolves. */
export function saveGuardFile(location: string, guards: ReadonlyMap<Address, VoteGuard>): Promise<void> {
  const entries = [...guards].map(([voter, { sourceHeight, targetHeight, disabled = false, moves = 0 }]) => ({
    voter: formatAddress(voter),
    sourceHeight: sourceHeight.toString(),
    targetHeight: targetHeight.toString(),
    disabled,
    moves,
  }));
  const document = { format: FORMAT, guards: entries, crc32: sumOf(entries) };
  return replaceFile(location, GUARD_FILE, `${JSON.stringify(document)}\n`);
}

/** Throws SyntaxError for whatever is wrong. */
function parse(text: string): ReadonlyMap<Address, VoteGuard> {
  const document: unknown = JSON.parse(text);
  if (typeof document !== 'object' || document === null || !('guards' in document) || !('crc32' in document)) {
    throw new SyntaxError('fields are missing');
  }
  if (!('format' in document) || document.format !== FORMAT) throw new SyntaxError(`its format is not ${FORMAT}`);
  if (!Array.isArray(document.guards) || sumOf(document.guards) !== document.crc32) {
    throw new SyntaxError('it fails its checksum');
  }
  return new Map(document.guards.map(parseGuard));
}

function parseGuard(entry: Record<string, unknown> | null): [Address, VoteGuard] {
  const { voter, sourceHeight, targetHeight, disabled, moves } = entry ?? {};
  const parsed = typeof voter === 'string' ? parseAddress(voter) : undefined;
  if (parsed?.ok !== true) throw new SyntaxError('a voter is no address');
  if (typeof disabled !== 'boolean' || typeof moves !== 'number') throw new SyntaxError('a guard lacks a field');
  const heights = { sourceHeight: parseHeight(sourceHeight), targetHeight: parseHeight(targetHeight) };
  return [parsed.address, { ...heights, disabled, moves }];
}

function parseHeight(value: unknown): bigint {
  const height = typeof value === 'string' ? parseU64(value) : undefined;
  if (height === undefined) throw new SyntaxError('a height is no whole number below 2^64');
  return height;
}

/** In eight hex digits. It notices accidents, not intent. */
function sumOf(entries: unknown): string {
  return crc32(JSON.stringify(entries)).toString(16).padStart(8, '0');
}
