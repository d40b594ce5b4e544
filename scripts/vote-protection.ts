/** `grapevine vote-protection`: moves a voter to another machine without a chance to contradict itself. */
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parseGenesis } from '../chain/genesis.ts';
import {
  parseVoteProtection,
  planExport,
  planImport,
  VoteProtectionError,
  voteProtectionDocument,
} from '../chain/vote-protection.ts';
import { type Address, formatAddress, parseAddress } from '../crypto/address.ts';
import { makeDirectory } from '../node/make-directory.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import { StoreError, type VoteProtectionStore } from '../node/store/store.ts';
import { DEFAULT_DATA_DIR, noteMigration } from './data-dir.ts';
import { RefusedError, UsageError } from './exit.ts';
import { printJson, printLine, printNote } from './output.ts';

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
  if (out !== undefined && (await exists(out))) throw new UsageError(`${out} exists`);
  const wanted = readVoter(options.voter);
  const document = await withStore(dataDir, async (store) => {
    const guards = await store.voteGuards();
    const voter = wanted ?? onlyOf(guards, dataDir);
    const current = { sourceHeight: 0n, targetHeight: 0n, disabled: false, moves: 0, ...guards.get(voter) };
    const chainId = await chainIdOf(store, options);
    if (options.disable === false) return voteProtectionDocument({ chainId, voter, protection: current });
    const protection = planExport(current);
    await store.saveVoteGuard(voter, protection); // durable before there is a document that another may vote on
    return voteProtectionDocument({ chainId, voter, protection });
  });
  if (out !== undefined) await writeOut(out, document, dataDir);
  if (out === undefined || options.json === true) printJson(document);
  else printLine(`${out}: ${document.voter}, source ${document.sourceHeight}, target ${document.targetHeight}`);
  if (document.disabled) printNote(`The store in ${dataDir} casts no votes of ${document.voter} any more.`);
  else printNote(`The store in ${dataDir} goes on voting: this copy is no ground to vote elsewhere.`);
}

async function writeOut(
  out: string,
  document: ReturnType<typeof voteProtectionDocument>,
  dataDir: string,
): Promise<void> {
  try {
    await writeDurably(out, `${JSON.stringify(document, null, 2)}\n`);
  } catch (error) {
    const silenced = document.disabled
      ? ` The store in ${dataDir} casts no votes of ${document.voter} any more: export again, to another place, for the same document.`
      : '';
    throw new Error(`cannot write ${out}: ${error instanceof Error ? error.message : String(error)}.${silenced}`);
  }
}

async function runImport(file: string, options: ImportOptions): Promise<void> {
  const { dataDir } = options;
  const wanted = readVoter(options.voter);
  const given = parseVoteProtection(await readJson(file));
  await makeDirectory(dataDir);
  const raised = await withStore(dataDir, async (store) => {
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

async function withStore<T>(dataDir: string, body: (store: VoteProtectionStore) => Promise<T>): Promise<T> {
  const store = await openLevelStore({ location: join(dataDir, 'store'), dataDir }, { onMigrated: noteMigration });
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
  return parseGenesis(await readJson(path)).chainId;
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

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no object: its reader says so
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
