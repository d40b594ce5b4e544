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

/** Of each scenario: SIM_FIRST_SEED (1 unless told) and so many in all, up to SIM_SEEDS (50 unless told). */
export const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
export const SEEDS = Number(process.env.SIM_SEEDS ?? 50) - FIRST_SEED + 1;

export function addTally(tally: Tally): void {
  mkdirSync(TALLY_DIRECTORY, { recursive: true });
  appendFileSync(TALLY_FILE, `${JSON.stringify(tally)}\n`);
}
