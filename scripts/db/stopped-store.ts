/** What the commands of `grapevine db` share: their options, and the store that these name. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Genesis } from '../../chain/genesis.ts';
import type { StorePlace } from '../../node/store/damage.ts';
import { StoreError } from '../../node/store/store.ts';
import { TransferError } from '../../node/transfer/stream-format.ts';
import { DEFAULT_DATA_DIR } from '../data-dir.ts';
import { RefusedError, UsageError } from '../exit.ts';
import { readGenesis } from '../json-file.ts';

export interface DbOptions {
  readonly dataDir: string;
  readonly genesis?: string;
  readonly json?: boolean;
}

/** The options of `DbOptions`. */
export function addCommon(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'the directory that the node was started with', DEFAULT_DATA_DIR)
    .option('--genesis <file>', 'genesis document (default: genesis.json in the data directory, or in the one above)')
    .option('--json', 'print one JSON document');
}

/** What the store or a stream says becomes the command's own refusal. */
export async function refusing(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof StoreError) throw new RefusedError(`store/${error.code}`, error.message);
    if (error instanceof TransferError) throw new RefusedError(error.code, error.message);
    throw error;
  }
}

/**
 * Finds the store and reads the genesis; the store itself is not opened yet.
 *
 * @throws UsageError where there is no store, or no genesis document; and as `readGenesis`
 */
export async function open(options: DbOptions): Promise<{ readonly place: StorePlace; readonly genesis: Genesis }> {
  const place = existingPlace(options.dataDir);
  const path = findGenesis(options);
  if (path === undefined) {
    throw new UsageError(`there is no genesis.json in ${options.dataDir} nor above it: name it with --genesis`);
  }
  return { place, genesis: await readGenesis(path) };
}

/** Where the store of a data directory is, or would be. */
export function placeOf(dataDir: string): StorePlace {
  return { location: join(dataDir, 'store'), dataDir };
}

/**
 * As `placeOf`. Whether the store is whole, or in use, is not looked at.
 *
 * @throws UsageError where there is none
 */
export function existingPlace(dataDir: string): StorePlace {
  const place = placeOf(dataDir);
  if (!existsSync(place.location))
    throw new UsageError(`there is no store in ${dataDir}: is this a node's --data-dir?`);
  return place;
}

/** A devnet's nodes share the genesis of the directory above theirs. */
export function findGenesis({ dataDir, genesis }: DbOptions): string | undefined {
  if (genesis !== undefined) return genesis;
  return [join(dataDir, 'genesis.json'), join(resolve(dataDir), '..', 'genesis.json')].find((path) => existsSync(path));
}
