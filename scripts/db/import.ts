/** `grapevine db import`. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Genesis } from '../../chain/genesis.ts';
import type { Checkpoint } from '../../chain/types.ts';
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
stays: the same command goes on from there. Bodies that "prune --bodies" removed do not come back. Where the data
directory itself has no genesis.json, the file's is put there before the first block.

Examples:
  $ grapevine db import chain.gv --data-dir ./bob
  $ gunzip -c chain.gv.gz | grapevine db import - --data-dir ./bob --genesis genesis.json`,
    )
    .action((file: string, options: DbOptions) => refusing(() => runImport(file, options)));
}

async function runImport(file: string, options: DbOptions): Promise<void> {
  const { dataDir } = options;
  const beganMs = clock.monotonicMs();
  const progress = new Progress();
  let total = 0; // a pipe says its height at its end
  if (file !== '-' && !existsSync(file)) throw new UsageError(`cannot read ${file}: there is no such file`);
  const kind = file === '-' ? undefined : statSync(file);
  if (kind?.isDirectory() === true) throw new UsageError(`cannot read ${file}: it is a directory`);
  // What a shell puts in the place of <(gunzip -c chain.gv.gz) is a pipe: it can be read once only.
  if (kind?.isFile() === true) {
    // A damaged file is refused before anything is written.
    const tip = await checkStream(file, progress).finally(() => progress.end());
    total = Number(tip.height);
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
  try {
    await provideGenesis(dataDir, theirs, store);
    const ports = {
      store,
      clock,
      rng: createSystemRng(),
      logger: createLogger({ level: 'silent', format: 'json' }),
      verifier: createInlineVerifier(await commandBackend(), clock),
    };
    const report = await importChain(stream, theirs, ports, (height, bytes) =>
      progress.update('import', height, total, total === 0 ? bytes : undefined),
    );
    progress.end();
    const tookMs = Math.round(clock.monotonicMs() - beganMs);
    const { tip, final, blocks, known, pruned, certificates, statedFinal } = report;
    const isProved = final.height >= statedFinal.height;
    if (options.json === true) {
      const counts = { blocks, known, pruned, certificates, tookMs };
      printJson({ chainId: theirs.chainId, ...counts, tip: ref(tip), final: ref(final), finalProved: isProved });
    } else {
      const what = `${count(blocks, 'block')} and ${count(certificates, 'certificate')}`;
      const before = known === 0 ? '' : `; ${count(known, 'block')} had been here before`;
      printLine(`Imported ${what} of chain ${theirs.chainId} in ${(tookMs / 1000).toFixed(1)} s${before}.`);
      printLine(`Tip ${tip.height}, final ${final.height}.`);
      if (pruned > 0) {
        printLine(
          `The bodies of ${count(pruned, 'block')} were pruned here, and an import does not bring them back: ` +
            'for the whole chain, import the file into an empty --data-dir.',
        );
      }
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

/** Reads the file once through: its form and its checksum, no rules. Returns the tip that it states. */
async function checkStream(file: string, progress: Progress): Promise<Checkpoint> {
  const stream = new StreamDecoder(createReadStream(file));
  await stream.genesis();
  for (let blocks = 0; ; ) {
    const frame = await stream.frame();
    if (frame.kind === 'end') {
      await stream.end();
      return frame.tip;
    }
    if (frame.kind === 'block') blocks += 1;
    progress.update('check the file', blocks, 0, stream.bytes);
  }
}
