/** `grapevine db verify`. */
import type { Command } from 'commander';
import { verifyStore } from '../../node/store/verify-store.ts';
import { EXIT } from '../exit.ts';
import { printJson, printLine } from '../output.ts';
import { Progress } from '../progress.ts';
import { examineOptions } from './examine.ts';
import { count, printFaults, ref } from './report.ts';
import { addCommon, type DbOptions, open, refusing } from './stopped-store.ts';

export function addVerify(db: Command): void {
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
          await examineOptions(genesis, options.signatures === true, progress),
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
