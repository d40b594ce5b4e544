/** `grapevine db`: looks after the store of a node that is stopped. */
import type { Command } from 'commander';
import { addExport } from './db/export.ts';
import { addImport } from './db/import.ts';
import { addPrune } from './db/prune.ts';
import { addRepair } from './db/repair.ts';
import { addStats } from './db/stats.ts';
import { addVerify } from './db/verify.ts';

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
