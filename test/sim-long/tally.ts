/** What the long set did, one line of JSON for each scenario, summed up when all are done. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Tally {
  readonly scenario: string;
  readonly seeds: number;
  readonly runs: number;
  readonly virtualMs: number;
  readonly faults: number;
  readonly violations: readonly string[];
  /** Figures worth a line of their own. */
  readonly note?: string;
}

export const TALLY_DIRECTORY = join(import.meta.dirname, '..', '..', 'sim-reports');
export const TALLY_FILE = join(TALLY_DIRECTORY, 'long-set.jsonl');

/** Seeds of each scenario. */
export const SEEDS = Number(process.env.SIM_SEEDS ?? 50);

export function addTally(tally: Tally): void {
  mkdirSync(TALLY_DIRECTORY, { recursive: true });
  appendFileSync(TALLY_FILE, `${JSON.stringify(tally)}\n`);
}
