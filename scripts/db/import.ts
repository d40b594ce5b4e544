/** `grapevine db import`. */
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Genesis } from '../../chain/genesis.ts';
import { createSystemClock, createSystemRng } from '../../node/adapters.ts';
import { createLogger } from '../../node/logger.ts';
import { makeDirectory } from '../../node/make-directory.ts';
import { openLevelStore } from '../../node/store/open-level-store.ts';
import { replaceFile } from '../../node/store/replace-file.ts';
import type { VoteProtectionStore } from '../../node/store/store.ts';
import { importChain } from '../../node/transfer/import-chain.ts';
import { StreamDecoder } from '../../node/transfer/stream-format.ts';
import { createInlineVerifier } from '../../node/verify/inline-verifier.ts';
import { noteMigration } from '../data-dir.ts';
import { EXIT, RefusedError, UsageError } from '../exit.ts';
import { readGenesis } from '../json-file.ts';
import { printJson, printLine } from '../output.ts';
import { Progress } from '../progress.ts';
import { commandBackend } from '../signature-backend.ts';
import { count, ref } from './report.ts';
import { addCommon, type DbOptions, findGenesis, placeOf, refusing } from './stopped-store.ts';

const clock = createSystemClock();

export function addImport(db: Command): void {
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
      verifier: createInlineVerifier(await commandBackend(), clock),
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
