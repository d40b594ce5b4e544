/**
 * What each voter that votes from this store may no longer vote for (VOTE-8). It stands twice on disk, in the database and
 * in a file of its own (`guard-file.ts`): what either copy forbids is forbidden.
 */
import type { Address } from '../../crypto/address.ts';
import { type LevelDatabase, type Operation, scanRecords } from './database.ts';
import { put } from './derived-records.ts';
import { addressOfKey, guardKey, KIND, rangeOf } from './keys.ts';
import { decodeGuard, encodeGuard, unsealRecord } from './records.ts';
import type { VoteGuard } from './store.ts';

const NOTHING: VoteGuard = { sourceHeight: 0n, targetHeight: 0n };

/** Reads the database's copy. Throws RecordError where a record is not what was written. */
export async function readGuards(db: LevelDatabase): Promise<ReadonlyMap<Address, VoteGuard>> {
  const guards = new Map<Address, VoteGuard>();
  for await (const [key, value] of scanRecords(db, rangeOf(KIND.guard))) {
    guards.set(addressOfKey(key), decodeGuard(unsealRecord(key, value)));
  }
  return guards;
}

/**
 * The database's copy alone; a guard is written by `writeGuard`, which knows the order of the two copies. Checks
 * nothing.
 */
export function putGuard(voter: Address, guard: VoteGuard): Operation {
  return put(guardKey(voter), encodeGuard(guard));
}

/** The stronger of each voter's guards in two copies. */
export function mergeGuards(
  one: ReadonlyMap<Address, VoteGuard>,
  other: ReadonlyMap<Address, VoteGuard>,
): ReadonlyMap<Address, VoteGuard> {
  const merged = new Map<Address, VoteGuard>();
  for (const copy of [one, other]) {
    for (const [voter, guard] of copy) merged.set(voter, strongerGuard(guard, merged.get(voter)));
  }
  return merged;
}

/** Those that a copy does not have as they are. */
export function guardsMissingIn(
  copy: ReadonlyMap<Address, VoteGuard>,
  guards: ReadonlyMap<Address, VoteGuard>,
): readonly (readonly [Address, VoteGuard])[] {
  return [...guards].filter(([voter, guard]) => !isSameGuard(guard, copy.get(voter)));
}

/**
 * VOTE-8: the last line of defence against own faults.
 * @param next what is about to be written, with a vote or by itself
 * @throws RangeError where it would go back, or a voter that has moved away would vote
 */
export function assertGuardRises(
  voter: Address,
  before: VoteGuard | undefined,
  next: VoteGuard,
  isForVote: boolean,
): void {
  if (before !== undefined) {
    if (next.sourceHeight < before.sourceHeight || next.targetHeight < before.targetHeight) {
      throw new RangeError(
        `VOTE-8: the guard of ${voter} would go back from ${before.sourceHeight} -> ${before.targetHeight} ` +
          `to ${next.sourceHeight} -> ${next.targetHeight}`,
      );
    }
    if ((next.moves ?? 0) < (before.moves ?? 0)) throw new RangeError(`VOTE-8: ${voter} has moved on since`);
  }
  if (isForVote && before !== undefined && next.targetHeight === before.targetHeight) {
    throw new RangeError(`VOTE-8: ${voter} has voted for height ${next.targetHeight}`);
  }
  if (isForVote && (before?.disabled === true || next.disabled === true)) {
    throw new RangeError(`VOTE-8: ${voter} votes from another store`);
  }
}

/**
 * Of two guards of one voter the one that forbids all that either forbids; with fields of moves only where it has moved.
 *
 * Where one copy says that the voter has moved away, and the other that it has come back with a later move, an import was
 * cut between its two writes, or refused (or the first copy was set back by damage). Then nobody was told that it is done,
 * and the same document may be on its way to another machine: the voter stays disabled, at the move of the copy
 * that says so, which leaves the later one to be imported again.
 */
export function strongerGuard(a: VoteGuard, b: VoteGuard = NOTHING): VoteGuard {
  const forbidding = [a, b].filter((guard) => guard.disabled === true);
  const disabled = forbidding.length > 0;
  const moves = Math.max(...(disabled ? forbidding : [a, b]).map((guard) => guard.moves ?? 0));
  const heights = {
    sourceHeight: a.sourceHeight > b.sourceHeight ? a.sourceHeight : b.sourceHeight,
    targetHeight: a.targetHeight > b.targetHeight ? a.targetHeight : b.targetHeight,
  };
  return disabled || moves > 0 ? { ...heights, disabled, moves } : heights;
}

/** Whether they say the same. */
export function isSameGuard(a: VoteGuard, b: VoteGuard | undefined): boolean {
  if (b === undefined) return false;
  const isAsHigh = a.sourceHeight === b.sourceHeight && a.targetHeight === b.targetHeight;
  return isAsHigh && (a.disabled ?? false) === (b.disabled ?? false) && (a.moves ?? 0) === (b.moves ?? 0);
}
