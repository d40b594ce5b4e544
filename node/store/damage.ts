import { StoreError } from './store.ts';

/** Where a store is, for messages that say what to do. */
export interface StorePlace {
  /** The database's own directory. */
  readonly location: string;
  /** What the node was started with as `--data-dir`. */
  readonly dataDir: string;
}

/** The error for a store that can't be trusted. `detail` says what is wrong, the message says what to do. */
export function damaged(place: StorePlace, detail: string, options?: ErrorOptions): StoreError {
  return new StoreError(
    'damaged',
    `the store in ${place.location} is damaged: ${detail}. Nothing was changed or deleted. ` +
      `Repair it with: npx grapevine db repair --data-dir ${place.dataDir} -- or delete ${place.location}: ` +
      'the chain then comes again from peers, but a voter forgets what it voted, and should vote with a new key.',
    options,
  );
}

/** Errors of the file system for which the process or the mount is at fault, not the files. */
export const NOT_DAMAGE: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'EACCES', 'EPERM', 'EROFS', 'ENOMEM']);
