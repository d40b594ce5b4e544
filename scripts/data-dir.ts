/** What the commands for the data directory of a stopped node share. */
import { PRESETS } from '../node/config.ts';
import { printNote } from './output.ts';

/** As the node itself takes it. */
export const DEFAULT_DATA_DIR = process.env.GRAPEVINE_DATA_DIR ?? PRESETS.devnet.dataDir;

/** @param backup where the store is kept as it was */
export function noteMigration(backup: string): void {
  printNote(`the store had an older schema and was brought over; as it was: ${backup}`);
}
