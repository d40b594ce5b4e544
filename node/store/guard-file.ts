/**
 * The second copy of the vote guards: a small JSON file beside LevelDB's own, which leaves it alone. A guard that is lost
 * lets a voter contradict itself (VOTE-8), and LevelDB, opened as classic-level opens it, can lose a record to one flipped
 * bit in a table without a word. The file is written before the database is, so what it says is never behind; but for a
 * voter that is to vote here again, for which it is written last.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { JsonReader } from '../../chain/json-reader.ts';
import { type Address, formatAddress } from '../../crypto/address.ts';
import { NOT_DAMAGE } from './damage.ts';
import { replaceFile } from './replace-file.ts';
import type { VoteGuard } from './store.ts';

export const GUARD_FILE = 'GRAPEVINE-GUARDS';
const FORMAT = 'grapevine-guards/1';
/** The database keeps a u32. */
const MAX_MOVES = 0xffff_ffff;
const read = new JsonReader((place, problem) => new SyntaxError(`${place === '' ? 'document' : place} ${problem}`));

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
  const document = read.documentAt(JSON.parse(text), FORMAT, ['guards', 'crc32']);
  const guards = read.arrayAt(document.guards, 'guards');
  if (sumOf(guards) !== document.crc32) throw new SyntaxError('it fails its checksum');
  return new Map(guards.map((entry, i) => parseGuard(entry, `guards[${i}]`)));
}

function parseGuard(entry: unknown, place: string): [Address, VoteGuard] {
  const fields = read.objectAt(entry, place, ['voter', 'sourceHeight', 'targetHeight', 'disabled', 'moves']);
  const guard = {
    sourceHeight: read.u64At(fields.sourceHeight, `${place}.sourceHeight`),
    targetHeight: read.u64At(fields.targetHeight, `${place}.targetHeight`),
    disabled: read.booleanAt(fields.disabled, `${place}.disabled`),
    moves: read.integerAt(fields.moves, `${place}.moves`, 0, MAX_MOVES),
  };
  return [read.addressAt(fields.voter, `${place}.voter`), guard];
}

/** In eight hex digits. It notices accidents, not intent. */
function sumOf(entries: unknown): string {
  return crc32(JSON.stringify(entries)).toString(16).padStart(8, '0');
}
