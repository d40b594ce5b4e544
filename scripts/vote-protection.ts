/** `grapevine vote-protection`: moves a voter to another machine without a chance to contradict itself. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { chainIdFromBytes } from '../chain/codec.ts';
import {
  parseVoteProtection,
  planExport,
  planImport,
  type VoteProtectionDocument,
  VoteProtectionError,
  voteProtectionDocument,
} from '../chain/vote-protection.ts';
import { type Address, formatAddress, parseAddress } from '../crypto/address.ts';
import { hexToBytes } from '../crypto/bytes.ts';
import { makeDirectory } from '../node/make-directory.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import { StoreError, type VoteProtectionStore } from '../node/store/store.ts';
import { DEFAULT_DATA_DIR, noteMigration } from './data-dir.ts';
import { RefusedError, UsageError } from './exit.ts';
import { readGenesis, readJson } from './json-file.ts';
import { printJson, printLine, printNote } from './output.ts';
import { ReservedFile } from './reserved-file.ts';

interface StoreOptions {
  readonly dataDir: string;
  readonly genesis?: string;
  readonly voter?: string;
  readonly json?: boolean;
}

interface ExportOptions extends StoreOptions {
  readonly out?: string;
  readonly disable?: boolean;
}

interface ImportOptions extends StoreOptions {
  readonly force?: boolean;
}

export function addVoteProtectionCommand(program: Command): void {
  const command = program
    .command('vote-protection')
    .description("export or import the guard of a voter's votes, on a stopped node")
    .addHelpText(
      'after',
      `
Examples:
  old$ grapevine vote-protection export --data-dir ./alice -o alice-protection.json
  new$ grapevine vote-protection import alice-protection.json --data-dir ./alice --genesis genesis.json

After the export the old store casts no votes any more. Start the voter's key on the new machine only.`,
    );
  addStoreOptions(command.command('export').description('write the guard down and disable it here'))
    .option('-o, --out <file>', 'write a new file instead of printing')
    .option('--disable', 'this store casts no votes any more (the default)')
    .option('--no-disable', 'only a copy: this store goes on voting')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine vote-protection export --data-dir ./alice -o alice-protection.json
  $ grapevine vote-protection export --data-dir ./alice --no-disable --json`,
    )
    .action((options: ExportOptions) => refusing(runExport(options)));
  addStoreOptions(command.command('import').description('raise the guard here by what another store has exported'))
    .argument('<file>', 'what export wrote')
    .option('--force', 'also a copy of a store that was not disabled: you know that it votes no more')
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine vote-protection import alice-protection.json --data-dir ./alice --genesis genesis.json
  $ grapevine vote-protection import alice-protection.json --data-dir ./alice --json`,
    )
    .action((file: string, options: ImportOptions) => refusing(runImport(file, options)));
}

function addStoreOptions(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'of the stopped node', DEFAULT_DATA_DIR)
    .option('--genesis <file>', 'where the store has no chain yet; default: genesis.json in the data directory')
    .option('--voter <address>', 'whose guard; default: the only one there is')
    .option('--json', 'print exactly one JSON document');
}

async function runExport(options: ExportOptions): Promise<void> {
  const { dataDir, out } = options;
  if (!(await exists(join(dataDir, 'store')))) throw new UsageError(`no store in ${dataDir}`);
  const document = await withStore(dataDir, undefined, (store) => exportGuard(store, options));
  if (out === undefined || options.json === true) printJson(document);
  else printLine(`${out}: ${document.voter}, source ${document.sourceHeight}, target ${document.targetHeight}`);
  if (document.disabled) printNote(`The store in ${dataDir} casts no votes of ${document.voter} any more.`);
  else printNote(`The store in ${dataDir} goes on voting: this copy is no ground to vote elsewhere.`);
}

/**
 * Writes the guard to `out`, where that is given, and disables the voter in the store, unless `disable` is false. Room for
 * the document is made first, so that a voter is not silenced for one that has nowhere to go; the document itself comes
 * after that, so that there is none to vote on elsewhere while the voter votes here. Killed at any moment, it is done by
 * the same export again: a disabled voter's document is always the same. A failure leaves no part of a file.
 *
 * @returns the document, durable where it went to a file
 * @throws UsageError where `out` is no place for a new file, or where it is not clear whose guard, or of which chain
 * @throws RefusedError `export/unwritable` where the file system fails otherwise
 */
export async function exportGuard(store: VoteProtectionStore, options: ExportOptions): Promise<VoteProtectionDocument> {
  const { dataDir, out } = options;
  const wanted = readVoter(options.voter);
  const guards = await store.voteGuards();
  const voter = wanted ?? onlyOf(guards, dataDir);
  const current = { sourceHeight: 0n, targetHeight: 0n, disabled: false, moves: 0, ...guards.get(voter) };
  const chainId = await chainIdOf(store, options);
  const isMove = options.disable !== false;
  const protection = isMove ? planExport(current) : current;
  const document = voteProtectionDocument({ chainId, voter, protection });
  const text = `${JSON.stringify(document, null, 2)}\n`;
  const file = out === undefined ? undefined : await ReservedFile.create(out, text.length);
  try {
    if (isMove) await store.saveVoteGuard(voter, protection); // durable before there is a document to vote on elsewhere
  } catch (error) {
    await file?.discard();
    throw error;
  }
  const silenced = document.disabled
    ? `. The store in ${dataDir} casts no votes of ${document.voter} any more: export again, to another place, for the same document`
    : '';
  await file?.complete(text, silenced);
  return document;
}

async function runImport(file: string, options: ImportOptions): Promise<void> {
  const { dataDir } = options;
  const wanted = readVoter(options.voter);
  const given = parseVoteProtection(
    await readJson(file, (message) => new VoteProtectionError('protection/malformed', message)),
  );
  await makeDirectory(dataDir);
  const raised = await withStore(dataDir, given.chainId, async (store) => {
    const guards = await store.voteGuards();
    // A store that has voted for somebody else is taken for a slip, unless the voter is named.
    const voter = wanted ?? (guards.size === 0 || guards.has(given.voter) ? undefined : onlyOf(guards, dataDir));
    const found = guards.get(given.voter);
    const current = found && { disabled: false, moves: 0, ...found };
    const context = { chainId: await chainIdOf(store, options), voter, current, force: options.force === true };
    const protection = planImport(given, context);
    await store.saveVoteGuard(given.voter, protection);
    return voteProtectionDocument({ chainId: context.chainId, voter: given.voter, protection });
  });
  if (options.json === true) printJson(raised);
  else
    printLine(`${raised.voter} votes from ${dataDir}: source ${raised.sourceHeight}, target ${raised.targetHeight} on`);
}

/**
 * @param chainId of what is to go into the store, in hex: a store of another chain is not even brought over from an older
 * schema. Undefined where nothing is to
 * @throws VoteProtectionError `wrong-chain`, of a store of an older schema
 * @throws StoreError
 */
async function withStore<T>(
  dataDir: string,
  chainId: string | undefined,
  body: (store: VoteProtectionStore) => Promise<T>,
): Promise<T> {
  const place = { location: join(dataDir, 'store'), dataDir };
  const expected = chainId === undefined ? undefined : chainIdFromBytes(hexToBytes(chainId));
  const opening = openLevelStore(place, { chainId: expected, onMigrated: noteMigration });
  const store = await opening.catch((error: unknown) => {
    if (!(error instanceof StoreError) || error.code !== 'wrong-chain') throw error;
    const message = `the document is of chain ${chainId}, the store in ${dataDir} of another`;
    throw new VoteProtectionError('protection/wrong-chain', message);
  });
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

/** The store's own chain; a store without one takes that of the genesis document it is going to be started with. */
async function chainIdOf(store: VoteProtectionStore, options: StoreOptions): Promise<string> {
  const stored = await store.chainId();
  if (stored !== undefined) return stored;
  const path = options.genesis ?? join(options.dataDir, 'genesis.json');
  if (!(await exists(path))) throw new UsageError(`the store in ${options.dataDir} has no chain yet: give --genesis`);
  return (await readGenesis(path)).chainId;
}

function readVoter(text: string | undefined): Address | undefined {
  if (text === undefined) return undefined;
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new UsageError(`--voter: ${parsed.error}`);
  return parsed.address;
}

function onlyOf(guards: ReadonlyMap<Address, unknown>, dataDir: string): Address {
  const [voter, ...others] = guards.keys();
  if (voter === undefined) throw new UsageError(`nobody has voted from ${dataDir} yet: name the voter with --voter`);
  if (others.length === 0) return voter;
  const names = [voter, ...others].map(formatAddress).join(', ');
  throw new UsageError(`several have voted from ${dataDir}: name one with --voter, of ${names}`);
}

/** What the document or the store does not allow is a refusal with its code. */
async function refusing(run: Promise<void>): Promise<void> {
  try {
    await run;
  } catch (error) {
    if (error instanceof VoteProtectionError) throw new RefusedError(error.code, error.message);
    if (error instanceof StoreError) throw new RefusedError(`store/${error.code}`, error.message);
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
