/**
 * Writes a vote guard to its two places, the file beside the store and the database, in an order that lets neither a kill
 * nor a write that fails make a voter vote who must not (ADR 0005). What the two forbid together: `vote-guards.ts`.
 */
import type { Vote } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import type { StorePlace } from './damage.ts';
import type { Operation } from './database.ts';
import { putVote } from './derived-records.ts';
import { uncertainWrite } from './level-errors.ts';
import type { VoteGuard } from './store.ts';
import { assertGuardRises, putGuard, strongerGuard } from './vote-guards.ts';

type Guards = ReadonlyMap<Address, VoteGuard>;

export interface GuardPlaces {
  readonly place: StorePlace;
  /** Replaces the file, durably. */
  readonly saveFile: (guards: Guards) => Promise<void>;
  /** One durable batch of the database. One that failed may turn up in the log later, until `undoFailed`. */
  readonly writeBatch: (operations: readonly Operation[]) => Promise<void>;
  /** Brings the database back to before a batch that failed, if one has. */
  readonly undoFailed: () => Promise<void>;
}

/**
 * @param guards as both places hold them together
 * @param vote what the guard is of; undefined where a voter moves
 * @returns the guards with the new one, durable in both places
 * @throws RangeError where the guard would go back (VOTE-8), or the voter has moved away
 * @throws StoreError where that is not certain to be taken back; otherwise what the file or the database threw
 */
export async function writeGuard(
  places: GuardPlaces,
  guards: Guards,
  voter: Address,
  guard: VoteGuard,
  vote?: Vote,
): Promise<Guards> {
  const before = guards.get(voter);
  assertGuardRises(voter, before, guard, vote !== undefined);
  const after = new Map(guards).set(voter, strongerGuard(guard));
  const operations = [...(vote ? [putVote(vote)] : []), putGuard(voter, guard)];
  if (before?.disabled === true && guard.disabled !== true) {
    await enable(places, guards, after, operations, putGuard(voter, before));
  } else {
    await raise(places, guards, after, operations, guard.disabled === true && before?.disabled !== true);
  }
  return after;
}

/**
 * Writes guards that forbid no less than before, the file first: no vote is anywhere without its guard. Killed between
 * the two, the store forbids more than it must: one vote, or, in an export, all votes, and the export again gives the
 * same document. Where one of the two fails, both are brought back to what they were.
 * @param isSilencing a voter votes here no more: unlike the loss of one vote, a write that was refused may not bring that about
 */
async function raise(
  places: GuardPlaces,
  before: Guards,
  after: Guards,
  operations: readonly Operation[],
  isSilencing: boolean,
): Promise<void> {
  try {
    await places.saveFile(after);
    await places.writeBatch(operations);
  } catch (error) {
    const isFiled = await succeeds(places.saveFile(before));
    if (!isSilencing) throw error; // the database is brought back before the next write
    const isUndone = await succeeds(places.undoFailed());
    if (isFiled && isUndone) throw error;
    throw uncertainWrite(
      error,
      places.place,
      'It is not certain that the voter still votes from here: where it is to move, export again, ' +
        'which gives the same document either way; export --no-disable shows how it stands',
    );
  }
}

/**
 * Writes the guard of a voter that had moved away and votes here again, the database first: as long as the file does not
 * say so too, the voter is disabled (`strongerGuard`). Killed between the two, or where the batch fails, even if it
 * turns up in the log later, it is so at the next start, and can be imported again. Where the file fails, it may have
 * been replaced all the same, so the database goes back too: either copy is enough.
 */
async function enable(
  places: GuardPlaces,
  before: Guards,
  after: Guards,
  operations: readonly Operation[],
  back: Operation,
): Promise<void> {
  await places.writeBatch(operations);
  try {
    await places.saveFile(after);
  } catch (error) {
    const isUndone = await succeeds(places.writeBatch([back]));
    const isFiled = await succeeds(places.saveFile(before));
    if (isUndone || isFiled) throw error;
    throw uncertainWrite(
      error,
      places.place,
      'It is not certain that the voter does not vote from here: import the document here again, and nowhere else',
    );
  }
}

function succeeds(write: Promise<void>): Promise<boolean> {
  return write.then(
    () => true,
    () => false,
  );
}
