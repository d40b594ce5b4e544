/** `grapevine db prune`. */
import type { Command } from 'commander';
import { MIN_KEEP, pruneStore } from '../../node/store/prune-store.ts';
import { readInteger } from '../api-options.ts';
import { noteMigration } from '../data-dir.ts';
import { printJson, printLine, printTable } from '../output.ts';
import { addCommon, type DbOptions, open, refusing } from './stopped-store.ts';

const DEFAULT_KEEP = 1000;
const MAX_KEEP = 1_000_000_000;

export function addPrune(db: Command): void {
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
