/** `grapevine db`: looks after the store of a node that is stopped. */
import { once } from 'node:events';
import { createReadStream, createWriteStream, existsSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Genesis } from '../chain/genesis.ts';
import { formatAddress } from '../crypto/address.ts';
import { nobleBackend } from '../crypto/noble-backend.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { createLogger } from '../node/logger.ts';
import { makeDirectory } from '../node/make-directory.ts';
import type { StorePlace } from '../node/store/damage.ts';
import type { Fault } from '../node/store/faults.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import { MIN_KEEP, pruneStore } from '../node/store/prune-store.ts';
import { replaceFile, syncDirectory } from '../node/store/replace-file.ts';
import { StoreError, type VoteProtectionStore } from '../node/store/store.ts';
import { readStats } from '../node/store/store-stats.ts';
import { repairStore, type VerifyOptions, verifyStore } from '../node/store/verify-store.ts';
import { exportChain } from '../node/transfer/export-chain.ts';
import { importChain } from '../node/transfer/import-chain.ts';
import { StreamDecoder, TransferError } from '../node/transfer/stream-format.ts';
import { createInlineVerifier } from '../node/verify/inline-verifier.ts';
import { readInteger } from './api-options.ts';
import { DEFAULT_DATA_DIR, noteMigration } from './data-dir.ts';
import { EXIT, isPathFault, RefusedError, UsageError } from './exit.ts';
import { readGenesis } from './json-file.ts';
import { printable, printJson, printLine, printNote, printTable } from './output.ts';
import { Progress } from './progress.ts';

interface DbOptions {
  readonly dataDir: string;
  readonly genesis?: string;
  readonly json?: boolean;
}

const DEFAULT_KEEP = 1000;
const MAX_KEEP = 1_000_000_000;
/** Faults of one kind that are printed for people. */
const MAX_SHOWN = 5;
const clock = createSystemClock();

export function addDbCommand(program: Command): void {
  const db = program.command('db').description('check, mend, move and shrink the store of a stopped node');
  db.addHelpText(
    'after',
    `
The node must not be running. Exit status: 0 done, 1 faults found or refused, 2 bad usage.

Examples:
  $ grapevine db verify --data-dir .grapevine/devnet/node1
  $ grapevine db repair --data-dir .grapevine/devnet/node1
  $ grapevine db export --data-dir .grapevine/devnet/node1 -o chain.gv`,
  );
  addVerify(db);
  addRepair(db);
  addExport(db);
  addImport(db);
  addPrune(db);
  addStats(db);
}

function addCommon(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'the directory that the node was started with', DEFAULT_DATA_DIR)
    .option('--genesis <file>', 'genesis document (default: genesis.json in the data directory, or in the one above)')
    .option('--json', 'print one JSON document');
}

function addVerify(db: Command): void {
  addCommon(db.command('verify').description('read and check everything; change nothing'))
    .option('--signatures', "also check each transaction's signature; a block's id vouches for them otherwise")
    .addHelpText(
      'after',
      `
Executes every block again from genesis and compares: headers and their work, bodies, deltas, accounts, supply, the
transaction index and histories, certificates with their signatures, the final block, votes, the vote guard.
Shows faults, some of each kind, with what repair would do; --json lists every one.

Examples:
  $ grapevine db verify --data-dir ./alice
  $ grapevine db verify --data-dir .grapevine/devnet/node1 --signatures --json`,
    )
    .action((options: DbOptions & { readonly signatures?: boolean }) =>
      refusing(async () => {
        const { place, genesis } = await open(options);
        const progress = new Progress();
        const { faults, examination, isEmpty } = await verifyStore(
          place,
          examineOptions(genesis, options.signatures === true, progress),
        ).finally(() => progress.end());
        const found = examination && {
          blocks: examination.blocks,
          transactions: examination.transactions,
          certificates: examination.certificates,
          votes: examination.votes,
          tip: ref(examination.tip.header),
          final: ref(examination.final),
        };
        if (options.json === true) printJson({ sound: faults.length === 0, empty: isEmpty, faults, ...found });
        else {
          printFaults(faults);
          if (isEmpty) printLine('The store is empty: no chain was begun in it.');
          else if (faults.length > 0) {
            const { dataDir, genesis: named } = options;
            const where = `--data-dir ${dataDir}${named === undefined ? '' : ` --genesis ${named}`}`;
            printLine(`\n${count(faults.length, 'fault')}. Mend with: npx grapevine db repair ${where}`);
          } else if (examination !== undefined) {
            const { blocks, transactions, certificates, votes, tip, final } = examination;
            printLine(
              `Sound: ${blocks} blocks, ${transactions} transactions, ${certificates} certificates, ${votes} votes; ` +
                `tip ${tip.header.height}, final ${final.height}.`,
            );
          }
        }
        if (faults.length > 0) process.exitCode = EXIT.refused;
      }),
    );
}

function addRepair(db: Command): void {
  addCommon(db.command('repair').description('copy the store, then mend what verify finds'))
    .option('--signatures', "also check each transaction's signature")
    .addHelpText(
      'after',
      `
Makes a copy beside the store first and says where. Then builds again what follows from whole and valid blocks, and
cuts the chain where a block is not: peers give the rest again. The vote guard is never lowered; where it may be lost,
it is raised so far that this key is silent for a while, and repair says until which height.

Examples:
  $ grapevine db repair --data-dir ./alice
  $ grapevine db repair --data-dir .grapevine/devnet/node1 --json`,
    )
    .action((options: DbOptions & { readonly signatures?: boolean }) =>
      refusing(async () => {
        const { place, genesis } = await open(options);
        const progress = new Progress();
        const report = await repairStore(place, examineOptions(genesis, options.signatures === true, progress)).finally(
          () => progress.end(),
        );
        const { faults, remaining, backup, repairedFiles, lost, raised, examination } = report;
        if (options.json === true) {
          printJson({
            faults,
            remaining,
            backup,
            repairedFiles,
            lost: lost && { from: lost.from.toString(), to: lost.to.toString() },
            guardsRaised: raised.map(({ voter, height }) => ({
              voter: formatAddress(voter),
              height: height.toString(),
            })),
            tip: ref(examination.tip.header),
            final: ref(examination.final),
          });
        } else if (backup === undefined) printLine('Nothing to repair.');
        else {
          printFaults(faults);
          printLine(`\nRepaired ${count(faults.length, 'fault')}. The store as it was: ${backup}`);
          if (lost !== undefined) {
            printLine(`Lost: blocks ${lost.from} to ${lost.to}. The node gets them again from its peers.`);
          }
          if (raised.length > 0) {
            const height = raised.reduce((most, each) => (each.height > most ? each.height : most), 0n);
            printLine(
              `The vote guard could not be trusted, so it was raised to height ${height}: a voter key does not vote from ` +
                'this store before the others have agreed on a block that high without it. Anything sooner could contradict ' +
                'a vote that was cast and forgotten, and cost the key its vote for good. To vote at once, use another key.',
            );
          }
          printLine(`Now: tip ${examination.tip.header.height}, final ${examination.final.height}.`);
          if (remaining.length > 0) {
            printLine('\nStill wrong:');
            printFaults(remaining);
          }
        }
        if (remaining.length > 0) process.exitCode = EXIT.refused;
      }),
    );
}

function addExport(db: Command): void {
  addCommon(db.command('export').description('write the chain to a file or to standard output'))
    .option('-o, --out <file>', 'file to write, whole or not at all; - is standard output', '-')
    .addHelpText(
      'after',
      `
The file holds the genesis document, the blocks of the main chain and the certificates that prove what is final, with
a checksum. It holds no keys, votes of one's own or vote guard: it is a chain, not a copy of a voter.

Examples:
  $ grapevine db export --data-dir ./alice -o chain.gv
  $ grapevine db export --data-dir ./alice | gzip > chain.gv.gz`,
    )
    .action((options: DbOptions & { readonly out: string }) =>
      refusing(async () => {
        const { place, genesis } = await open(options);
        const isFile = options.out !== '-';
        if (isFile && existsSync(options.out) && !statSync(options.out).isFile()) {
          throw new UsageError(`${options.out} is no regular file: the chain would be put in its place`);
        }
        if (!isFile && options.json === true) throw new UsageError('--json needs --out: standard output is the chain');
        if (!isFile && process.stdout.isTTY) throw new UsageError('the chain is not text: use --out, or a pipe');
        const store = await openLevelStore(place, { chainId: genesis.chainId, onMigrated: noteMigration });
        const progress = new Progress();
        const partial = `${options.out}.partial`;
        const out = isFile ? createWriteStream(partial, { flush: true }) : process.stdout;
        let failure: Error | undefined;
        out.on('error', (error) => {
          failure = error;
        });
        try {
          if (isFile) await once(out, 'open');
          const write = async (bytes: Uint8Array): Promise<void> => {
            if (failure !== undefined) throw failure;
            if (!out.write(bytes)) await once(out, 'drain');
          };
          const report = await exportChain(store, genesis, write, (done, total) =>
            progress.update('export', done, total),
          );
          if (isFile) {
            out.end();
            await once(out, 'close');
            await rename(partial, options.out);
            await syncDirectory(dirname(resolve(options.out)));
          } else await new Promise<void>((done) => out.write('', () => done())); // what is left may fail yet
          if (failure !== undefined) throw failure;
          progress.end();
          const { tip, final, certificates } = report;
          if (options.json === true) {
            printJson({ file: options.out, chainId: genesis.chainId, tip: ref(tip), final: ref(final), certificates });
          } else printNote(`exported ${tip.height} blocks and ${certificates} certificates; final ${final.height}`);
        } catch (error) {
          if (isFile) {
            out.destroy();
            await rm(partial, { force: true });
          }
          if (error instanceof StoreError || error instanceof TransferError) throw error;
          const { code, message } = error as NodeJS.ErrnoException;
          const to = isFile ? options.out : 'standard output';
          if (code === 'ENOENT') throw new UsageError(`cannot write ${to}: ${message}`);
          throw code === undefined || isPathFault(error)
            ? error
            : new RefusedError('export/unwritable', `cannot write ${to}: ${message}`);
        } finally {
          progress.end();
          await store.close();
        }
      }),
    );
}

function addImport(db: Command): void {
  addCommon(db.command('import').description('read a chain from a file into an empty store, checking every rule'))
    .argument('<file>', 'what export wrote; - is standard input')
    .addHelpText(
      'after',
      `
Every block and certificate is checked as if a peer had sent it. What was taken before an error or Ctrl-C is valid and
stays: the same command goes on from there. Where the data directory itself has no genesis.json, the file's is put there
before the first block.

Examples:
  $ grapevine db import chain.gv --data-dir ./bob
  $ gunzip -c chain.gv.gz | grapevine db import - --data-dir ./bob --genesis genesis.json`,
    )
    .action((file: string, options: DbOptions) => refusing(() => runImport(file, options)));
}

async function runImport(file: string, options: DbOptions): Promise<void> {
  const { dataDir } = options;
  if (file !== '-') {
    if (!existsSync(file)) throw new UsageError(`cannot read ${file}: there is no such file`);
    await checkStream(file); // a damaged file is refused before anything is written
  }
  const stream = new StreamDecoder(file === '-' ? process.stdin : createReadStream(file));
  const theirs = await stream.genesis();
  const genesisPath = findGenesis(options);
  if (genesisPath !== undefined) {
    const ours = await readGenesis(genesisPath);
    if (ours.chainId !== theirs.chainId) {
      throw new RefusedError(
        'import/wrong-chain',
        `the file holds chain ${theirs.chainId}, ${genesisPath} makes chain ${ours.chainId}`,
      );
    }
  }
  await makeDirectory(dataDir);
  const store = await openLevelStore(placeOf(dataDir), { chainId: theirs.chainId, onMigrated: noteMigration });
  const progress = new Progress();
  try {
    await provideGenesis(dataDir, theirs, store);
    const ports = {
      store,
      clock,
      rng: createSystemRng(),
      logger: createLogger({ level: 'silent', format: 'json' }),
      verifier: createInlineVerifier(nobleBackend, clock),
    };
    const report = await importChain(stream, theirs, ports, (height) => progress.update('import', height, 0));
    progress.end();
    const { tip, final, blocks, known, statedFinal } = report;
    const isProved = final.height >= statedFinal.height;
    if (options.json === true) {
      printJson({ chainId: theirs.chainId, blocks, known, tip: ref(tip), final: ref(final), finalProved: isProved });
    } else {
      const before = known === 0 ? '' : ` (${known} were there already)`;
      printLine(`Imported ${count(blocks, 'block')}${before} of chain ${theirs.chainId}.`);
      printLine(`Tip ${tip.height}, final ${final.height}.`);
      if (!isProved)
        printLine(`The file says height ${statedFinal.height} is final, but its certificates do not prove it.`);
    }
    if (!isProved) process.exitCode = EXIT.refused;
  } finally {
    progress.end();
    await store.close();
  }
}

/** First of all: without it no other command can read what an import that breaks off leaves. */
async function provideGenesis(dataDir: string, genesis: Genesis, store: VoteProtectionStore): Promise<void> {
  const stored = await store.chainId();
  if (stored !== undefined && stored !== genesis.chainId) return; // the import will be refused
  if (existsSync(join(dataDir, 'genesis.json'))) return;
  await replaceFile(dataDir, 'genesis.json', `${JSON.stringify(genesis.doc, null, 2)}\n`);
}

/** Reads the file once through: its form and its checksum, no rules. */
async function checkStream(file: string): Promise<void> {
  const stream = new StreamDecoder(createReadStream(file));
  await stream.genesis();
  for (let frame = await stream.frame(); frame.kind !== 'end'; frame = await stream.frame());
  await stream.end();
}

function addPrune(db: Command): void {
  addCommon(db.command('prune').description('remove what neither this node nor its peers will ask for again'))
    .option(
      '--keep <heights>',
      'heights below the final block that are kept',
      readInteger(Number(MIN_KEEP), MAX_KEEP),
      DEFAULT_KEEP,
    )
    .option('--bodies', 'also blocks and their place in the index: peers must then get old blocks from others')
    .addHelpText(
      'after',
      `
Removes undo records, votes and superfluous certificates below (final - keep). Headers, the certificates that prove
the final block, evidence and the vote guard always stay. With --bodies this node no longer has the older blocks: it
tells peers so, shows "bodiesFrom" in its status, and can't export its chain.

Examples:
  $ grapevine db prune --data-dir ./alice
  $ grapevine db prune --data-dir ./alice --keep 5000 --bodies --json`,
    )
    .action((options: DbOptions & { readonly keep: number; readonly bodies?: boolean }) =>
      refusing(async () => {
        const { place, genesis } = await open(options);
        const report = await pruneStore(place, {
          chainId: genesis.chainId,
          keep: BigInt(options.keep),
          bodies: options.bodies === true,
          onMigrated: noteMigration,
        });
        const { removed, final, keptFrom, bodiesFrom, undoFrom } = report;
        if (options.json === true) {
          const heights = { final, keptFrom, bodiesFrom, undoFrom };
          printJson({ ...Object.fromEntries(Object.entries(heights).map(([k, v]) => [k, v.toString()])), removed });
        } else {
          printTable(Object.entries(removed).map(([what, number]) => [what, `${number} removed`]));
          printLine(`Final ${final}; everything from height ${keptFrom} on is kept.`);
          if (bodiesFrom > 0n) printLine(`Blocks below height ${bodiesFrom} are no longer here.`);
        }
      }),
    );
}

function addStats(db: Command): void {
  addCommon(db.command('stats').description('show what the store holds'))
    .addHelpText(
      'after',
      `
Examples:
  $ grapevine db stats --data-dir .grapevine/devnet/node1
  $ grapevine db stats --data-dir ./alice --json`,
    )
    .action((options: DbOptions) =>
      refusing(async () => {
        const place = existingPlace(options.dataDir);
        const stats = await readStats(place, noteMigration);
        const { kinds, files, tip, final, pruned } = stats;
        const nowMs = BigInt(Math.floor(clock.nowMs()));
        const block = (at: typeof tip) =>
          at && { ...ref(at), timestampMs: Number(at.timestampMs), ageMs: Number(nowMs - at.timestampMs) };
        if (options.json === true) {
          printJson({
            schema: stats.schema,
            chainId: stats.chainId,
            tip: block(tip),
            final: block(final),
            batches: stats.batches?.toString(),
            bodiesFrom: pruned.bodiesFrom.toString(),
            undoFrom: pruned.undoFrom.toString(),
            kinds,
            files,
          });
          return;
        }
        const at = (name: string, is: ReturnType<typeof block>): string[] =>
          is === undefined ? [name, 'none'] : [name, `${is.height}  ${is.id}  ${(is.ageMs / 1000).toFixed(0)} s old`];
        printTable([
          ['schema', String(stats.schema ?? 'none')],
          ['chain', stats.chainId ?? 'none'],
          at('tip', block(tip)),
          at('final', block(final)),
          ['writes', String(stats.batches ?? 0)],
          ['blocks from', pruned.bodiesFrom.toString()],
          ['undo from', pruned.undoFrom.toString()],
        ]);
        printLine('');
        const rows = (amounts: object): string[][] =>
          Object.entries(amounts).map(([name, { count: number, bytes }]) => [name, `${number}`, `${bytes} bytes`]);
        printTable([['records', '', ''], ...rows(kinds), ['files', '', ''], ...rows(files)]);
      }),
    );
}

// Shared ----------------------------------------------------------------------------------------------------------

/** What the store or a stream says becomes the command's own refusal. */
async function refusing(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof StoreError) throw new RefusedError(`store/${error.code}`, error.message);
    if (error instanceof TransferError) throw new RefusedError(error.code, error.message);
    throw error;
  }
}

async function open(options: DbOptions): Promise<{ readonly place: StorePlace; readonly genesis: Genesis }> {
  const place = existingPlace(options.dataDir);
  const path = findGenesis(options);
  if (path === undefined) {
    throw new UsageError(`there is no genesis.json in ${options.dataDir} nor above it: name it with --genesis`);
  }
  return { place, genesis: await readGenesis(path) };
}

function placeOf(dataDir: string): StorePlace {
  return { location: join(dataDir, 'store'), dataDir };
}

function existingPlace(dataDir: string): StorePlace {
  const place = placeOf(dataDir);
  if (!existsSync(place.location))
    throw new UsageError(`there is no store in ${dataDir}: is this a node's --data-dir?`);
  return place;
}

/** A devnet's nodes share the genesis of the directory above theirs. */
function findGenesis({ dataDir, genesis }: DbOptions): string | undefined {
  if (genesis !== undefined) return genesis;
  return [join(dataDir, 'genesis.json'), join(resolve(dataDir), '..', 'genesis.json')].find((path) => existsSync(path));
}

function examineOptions(genesis: Genesis, signatures: boolean, progress: Progress): VerifyOptions {
  return {
    genesis,
    signatures,
    verifier: createInlineVerifier(nobleBackend, clock),
    nowMs: clock.nowMs(),
    onProgress: (stage, done, total) => progress.update(stage, done, total),
    onMigrated: noteMigration,
  };
}

/** One damaged block leaves a fault in each record that follows from it: of a kind, a few are shown. */
function printFaults(faults: readonly Fault[]): void {
  const seen = new Map<string, number>();
  for (const { kind, detail, repair } of faults) {
    const before = seen.get(kind) ?? 0;
    seen.set(kind, before + 1);
    if (before >= MAX_SHOWN) continue;
    printLine(`${kind}: ${printable(detail)}`);
    printLine(`  repair ${repair}`);
  }
  for (const [kind, found] of seen) {
    if (found > MAX_SHOWN) printLine(`${kind}: and ${found - MAX_SHOWN} more; --json lists all`);
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function ref({ height, id }: { readonly height: bigint; readonly id: string }) {
  return { height: height.toString(), id };
}
