/** `grapevine db repair`. */
import type { Command } from 'commander';
import { formatAddress } from '../../crypto/address.ts';
import { repairStore } from '../../node/store/verify-store.ts';
import { EXIT } from '../exit.ts';
import { printJson, printLine } from '../output.ts';
import { Progress } from '../progress.ts';
import { examineOptions } from './examine.ts';
import { count, printFaults, ref } from './report.ts';
import { addCommon, type DbOptions, open, refusing } from './stopped-store.ts';

export function addRepair(db: Command): void {
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
        const examining = await examineOptions(genesis, options.signatures === true, progress);
        const report = await repairStore(place, examining).finally(() => progress.end());
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
