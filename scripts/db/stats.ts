/** `grapevine db stats`. */
import type { Command } from 'commander';
import { createSystemClock } from '../../node/adapters.ts';
import { readStats } from '../../node/store/store-stats.ts';
import { noteMigration } from '../data-dir.ts';
import { printJson, printLine, printTable } from '../output.ts';
import { ref } from './report.ts';
import { addCommon, type DbOptions, existingPlace, refusing } from './stopped-store.ts';

const clock = createSystemClock();

export function addStats(db: Command): void {
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
