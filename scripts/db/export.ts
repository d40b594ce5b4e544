/** `grapevine db export`. */
import { once } from 'node:events';
import { createWriteStream, existsSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { openLevelStore } from '../../node/store/open-level-store.ts';
import { syncDirectory } from '../../node/store/replace-file.ts';
import { StoreError } from '../../node/store/store.ts';
import { exportChain } from '../../node/transfer/export-chain.ts';
import { TransferError } from '../../node/transfer/stream-format.ts';
import { noteMigration } from '../data-dir.ts';
import { isPathFault, RefusedError, UsageError } from '../exit.ts';
import { printJson, printNote } from '../output.ts';
import { Progress } from '../progress.ts';
import { ref } from './report.ts';
import { addCommon, type DbOptions, open, refusing } from './stopped-store.ts';

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
