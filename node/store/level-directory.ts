/**
 * What LevelDB's directory must look like before LevelDB may open it. LevelDB makes a new, empty database where
 * `CURRENT` is missing, silently opens without a missing or emptied log, and deletes files it does not know of: each
 * would be a silent fresh chain. So everything it would swallow is looked for first, read-only.
 *
 * The witness, `GRAPEVINE`, is a small JSON file beside LevelDB's own (which leaves unknown names alone). It exists
 * from the moment a chain was stored, so that an empty database beside it is known to be damage, and lists the sizes
 * of logs and manifests at the last clean stop: LevelDB only appends to them, so that a shorter one was cut (as by
 * copying to a full disk). A cut table LevelDB finds itself. A cut of the last records after an unclean stop can't
 * be told from a write in flight, and isn't.
 */
import { cp, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeDirectory } from '../make-directory.ts';
import { damaged, NOT_DAMAGE, type StorePlace } from './damage.ts';
import { findLogDamage } from './log-format.ts';
import { replaceFile, syncDirectory, syncTree } from './replace-file.ts';

const WITNESS = 'GRAPEVINE';
/** There while the files are being repaired, and until what that may have lost is made good. LevelDB leaves it alone. */
const REPAIRING = 'GRAPEVINE-REPAIRING';
const CURRENT = 'CURRENT';
const MANIFEST = /^MANIFEST-\d+$/;
const LOG = /^\d+\.log$/;
const TABLE = /^\d+\.(?:ldb|sst)$/;
/** Room that LevelDB needs to open after a failed write: one table, a manifest and a log, and as much again. */
const MIN_FREE_BYTES = 16 * 1024 * 1024;

/**
 * Checks the directory; makes it where it is missing.
 * @returns whether a chain was stored here before
 * @throws StoreError `damaged`; whatever the file system throws where the directory can't be made
 */
export async function checkDirectory(place: StorePlace): Promise<{ readonly hasChain: boolean }> {
  await makeDirectory(place.location);
  const names = await unlessUnreadable(place, readdir(place.location));
  if (names.includes(REPAIRING)) throw damaged(place, 'a repair of it was cut short');
  const witness = names.includes(WITNESS) ? await readWitness(place) : undefined;
  const logs = names.filter((name) => LOG.test(name));
  const hasTables = names.some((name) => TABLE.test(name));

  if (!names.includes(CURRENT)) {
    // A process killed while LevelDB made its first files leaves a manifest alone.
    if (witness !== undefined || hasTables || logs.length > 0) throw damaged(place, `its file ${CURRENT} is missing`);
    return { hasChain: false };
  }
  const current = await unlessUnreadable(place, readFile(join(place.location, CURRENT), 'utf8'));
  const manifest = current.slice(0, -1);
  if (!current.endsWith('\n') || !MANIFEST.test(manifest)) throw damaged(place, `its file ${CURRENT} is not readable`);
  if (!names.includes(manifest)) throw damaged(place, `its file ${manifest} is missing`);
  if (logs.length === 0 && (witness !== undefined || hasTables)) throw damaged(place, 'its log file is missing');

  for (const [name, bytes] of witness ?? []) {
    const size = await sizeOf(join(place.location, name));
    if (size !== undefined && size < bytes)
      throw damaged(place, `its file ${name} was cut from ${bytes} to ${size} bytes`);
  }
  for (const name of [manifest, ...logs]) {
    const file = await unlessUnreadable(place, readFile(join(place.location, name)));
    const detail = findLogDamage(file, witness?.get(name) === file.length);
    if (detail !== undefined) throw damaged(place, `its file ${name} has a ${detail}`);
  }
  return { hasChain: witness !== undefined };
}

/** Writes the witness, durably: called once a chain is stored, and after each clean stop. */
export async function saveWitness(location: string): Promise<void> {
  const files: Record<string, number> = {};
  for (const name of await readdir(location)) {
    if (!MANIFEST.test(name) && !LOG.test(name)) continue;
    const size = await sizeOf(join(location, name));
    if (size !== undefined) files[name] = size;
  }
  await replaceFile(location, WITNESS, `${JSON.stringify({ files })}\n`);
}

/**
 * Copies the directory to `target`, which is there whole or not at all, and on disk when this resolves; one that is there already stays. Nobody may
 * be writing to the store. LevelDB's lock is left out: to open and close it would give up our own.
 */
export async function backupDirectory(location: string, target: string): Promise<void> {
  const existing = await sizeOf(target);
  if (existing !== undefined) return;
  const partial = `${target}.partial`;
  await rm(partial, { recursive: true, force: true });
  await cp(location, partial, { recursive: true, filter: (source) => basename(source) !== 'LOCK' });
  await syncTree(partial); // what is changed next relies on the copy
  await rename(partial, target);
  await syncDirectory(dirname(target));
}

/** Whether a repair of the files was begun, and not ended. */
export async function isBeingRepaired(location: string): Promise<boolean> {
  return (await sizeOf(join(location, REPAIRING))) !== undefined;
}

/** Before the files are touched: from here on nobody opens the store but who repairs it. Durable when it resolves. */
export async function markRepair(location: string): Promise<void> {
  const mark = await open(join(location, REPAIRING), 'w');
  try {
    await mark.sync();
  } finally {
    await mark.close();
  }
  await syncDirectory(location);
}

/** Once everything is made good, durably. */
export async function unmarkRepair(location: string): Promise<void> {
  await rm(join(location, REPAIRING), { force: true });
  await syncDirectory(location);
}

/** Whether LevelDB could open again here. */
export async function hasRoom(location: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(location);
  return bavail * bsize >= MIN_FREE_BYTES;
}

/** File name → bytes at the last clean stop. An unreadable witness still is one. */
async function readWitness(place: StorePlace): Promise<ReadonlyMap<string, number>> {
  const text = await unlessUnreadable(place, readFile(join(place.location, WITNESS), 'utf8'));
  const sizes = new Map<string, number>();
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || !('files' in parsed)) throw new SyntaxError('no files');
    for (const [name, bytes] of Object.entries(parsed.files as object)) {
      if (typeof bytes === 'number') sizes.set(name, bytes);
    }
  } catch (error) {
    throw damaged(place, `its file ${WITNESS} is not readable`, { cause: error });
  }
  return sizes;
}

/** Undefined where the file is gone: LevelDB deletes what it has merged into other files. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Turns a failed read into damage, unless it is the process that lacks something. */
async function unlessUnreadable<T>(place: StorePlace, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof Error) || ('code' in error && NOT_DAMAGE.has(error.code))) throw error;
    throw damaged(place, error.message, { cause: error });
  }
}
