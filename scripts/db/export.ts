/** `grapevine db export`. */
import { once } from 'node:events';
import { createWriteStream, existsSync, statSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import { openLevelStore } from '../../node/store/open-level-store.ts';
import { StoreError } from '../../node/store/store.ts';
import { exportChain } from '../../node/transfer/export-chain.ts';
import { TransferError } from '../../node/transfer/stream-format.ts';
import { noteMigration } from '../data-dir.ts';
import { isPathFault, RefusedError, UsageError } from '../exit.ts';
import { PartialFile } from '../new-file.ts';
import { printJson, printNote } from '../output.ts';
import { Progress } from '../progress.ts';
import { ref } from './report.ts';
import { addCommon, type DbOptions, open, refusing } from './stopped-store.ts';

interface ExportOptions extends DbOptions {
  readonly out: string;
}

type Write = (bytes: Uint8Array) => Promise<void>;

export function addExport(db: Command): void {
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
    .action((options: ExportOptions) => refusing(() => runExport(options)));
}

async function runExport(options: ExportOptions): Promise<void> {
  const { place, genesis } = await open(options);
  const isFile = options.out !== '-';
  if (isFile && existsSync(options.out) && !statSync(options.out).isFile()) {
    throw new UsageError(`${options.out} is no regular file: the chain would be put in its place`);
  }
  if (!isFile && options.json === true) throw new UsageError('--json needs --out: standard output is the chain');
  if (!isFile && process.stdout.isTTY) throw new UsageError('the chain is not text: use --out, or a pipe');
  const store = await openLevelStore(place, { chainId: genesis.chainId, onMigrated: noteMigration });
  const progress = new Progress();
  const exportTo = (write: Write) =>
    exportChain(store, genesis, write, (done, total) => progress.update('export', done, total));
  try {
    const report = isFile ? await intoFile(options.out, exportTo) : await intoStandardOutput(exportTo);
    progress.end();
    const { tip, final, certificates } = report;
    if (options.json === true) {
      printJson({ file: options.out, chainId: genesis.chainId, tip: ref(tip), final: ref(final), certificates });
    } else printNote(`exported ${tip.height} blocks and ${certificates} certificates; final ${final.height}`);
  } catch (error) {
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
}

async function intoFile<T>(path: string, body: (write: Write) => Promise<T>): Promise<T> {
  const file = PartialFile.beside(path);
  const out = createWriteStream(file.path, { flush: true });
  try {
    const begun = once(out, 'open');
    const end = async (): Promise<void> => {
      out.end();
      await once(out, 'close');
    };
    const result = await writeTo(out, begun, body, end);
    await file.replace();
    return result;
  } catch (error) {
    out.destroy();
    await file.discard();
    throw error;
  }
}

function intoStandardOutput<T>(body: (write: Write) => Promise<T>): Promise<T> {
  const { stdout } = process;
  // What is left may fail yet.
  const end = (): Promise<void> => new Promise((done) => void stdout.write('', () => done()));
  return writeTo(stdout, undefined, body, end);
}

/**
 * @param begun resolves when the stream can be written
 * @param end resolves when all is written
 * @throws what the stream fails with, whenever it does
 */
async function writeTo<T>(
  out: Writable,
  begun: Promise<unknown> | undefined,
  body: (write: Write) => Promise<T>,
  end: () => Promise<void>,
): Promise<T> {
  let failure: Error | undefined;
  out.on('error', (error) => {
    failure = error;
  });
  await begun;
  const result = await body(async (bytes) => {
    if (failure !== undefined) throw failure;
    if (!out.write(bytes)) await once(out, 'drain');
  });
  await end();
  if (failure !== undefined) throw failure;
  return result;
}
