import { describe, expect, test } from 'vitest';
import { planExport, planImport, type VoteProtection } from '../../../chain/vote-protection.ts';
import type { Address } from '../../../crypto/address.ts';
import { openStoreOn } from '../../../node/store/level-store.ts';
import type { Store, VoteGuard, VoteProtectionStore } from '../../../node/store/store.ts';
import { mergeGuards, strongerGuard } from '../../../node/store/vote-guards.ts';
import { alice, genesis } from '../chain/chain-fixtures.ts';
import { makeChain, makeTestVote } from './chain-builder.ts';
import { FaultyLevel } from './open-store.ts';

const { address: VOTER } = alice;
const NOT_CERTAIN = /not certain/;

/** How a durable write goes: well, not at all, or it says that it failed and is there at the next start all the same. */
type Fate = 'written' | 'refused' | 'late';

/** What a store's disk holds: the database, and beside it the file of guards. Both ask for the fate of each write. */
class Disk extends FaultyLevel {
  filed: ReadonlyMap<Address, VoteGuard> = new Map();
  /** Of the next writes, then of all others. */
  fates: Fate[] = [];
  rest: Fate = 'written';

  override async _batch(...args: Parameters<FaultyLevel['_batch']>): Promise<void> {
    const fate = this.#next();
    this.batchesLeft = fate === 'written' ? 1 : 0;
    this.arrivesLate = fate === 'late';
    await super._batch(...args);
  }

  async saveGuards(guards: ReadonlyMap<Address, VoteGuard>): Promise<void> {
    const fate = this.#next();
    // Late: the file has its new name, and only the directory could not be fsynced.
    if (fate !== 'refused') this.filed = new Map(guards);
    if (fate !== 'written') throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', errno: -5 });
  }

  #next(): Fate {
    return this.fates.shift() ?? this.rest;
  }
}

function openOn(disk: Disk): Promise<Store & VoteProtectionStore> {
  return openStoreOn(disk, { filedGuards: disk.filed, saveGuards: (guards) => disk.saveGuards(guards) });
}

/** A disk after a run of the program that left this guard. */
async function diskWith(guard: VoteGuard): Promise<Disk> {
  const disk = new Disk();
  const store = await openOn(disk);
  await store.saveVoteGuard(VOTER, guard);
  await store.close();
  return disk;
}

/** Writes the guard while writes have these fates; gives what the store said, undefined where it was well. */
async function write(disk: Disk, guard: VoteGuard, fates: readonly Fate[], rest: Fate): Promise<string | undefined> {
  const store = await openOn(disk);
  disk.fates = [...fates];
  disk.rest = rest;
  const said = await store.saveVoteGuard(VOTER, guard).then(
    () => undefined,
    (error: Error) => error.message,
  );
  await store.close();
  disk.fates = [];
  disk.rest = 'written';
  return said;
}

/** The guard as the next start takes it up, in both copies. */
async function restart(disk: Disk): Promise<VoteProtection> {
  const store = await openOn(disk);
  const guard = await store.voteGuard(VOTER);
  await store.close();
  await disk.open();
  const alone = await openStoreOn(disk);
  expect(await alone.voteGuard(VOTER)).toEqual(guard);
  expect(strongerGuard(disk.filed.get(VOTER)!)).toEqual(guard);
  await alone.close();
  return { sourceHeight: 0n, targetHeight: 0n, disabled: false, moves: 0, ...guard };
}

const FATES: readonly Fate[] = ['written', 'refused', 'late'];
/** Every course that four writes can take, and all that come after them. A kill is a course that ends in `refused`. */
const COURSES = FATES.flatMap((a) => FATES.flatMap((b) => FATES.flatMap((c) => FATES.map((d) => [a, b, c, d]))));
const CASES = COURSES.flatMap((fates) => (['written', 'refused'] as const).map((rest) => ({ fates, rest })));

const VOTING = { sourceHeight: 6n, targetHeight: 7n };
const LEFT = { ...VOTING, disabled: true, moves: 1 };
/** What the machine that it moved to exports. */
const DOCUMENT = { sourceHeight: 9n, targetHeight: 10n, disabled: true, moves: 2 };

function planned(current: VoteProtection): VoteProtection {
  const given = { chainId: genesis.chainId, voter: VOTER, protection: DOCUMENT };
  return planImport(given, { chainId: genesis.chainId, voter: undefined, current, force: false });
}

describe('VOTE-8, the voter moves in: an import of which the store says that it failed', () => {
  test('leaves the voter disabled, or says that this is not certain; repeated, it is taken', async () => {
    const outcomes = new Set<string>();
    for (const { fates, rest } of CASES) {
      const course = `${fates} then ${rest}`;
      const disk = await diskWith(LEFT);
      const said = await write(disk, planned(LEFT), fates, rest);
      const found = await restart(disk);
      if (said === undefined) expect(found, course).toEqual({ ...DOCUMENT, disabled: false });
      else if (NOT_CERTAIN.test(said)) expect(said, course).toMatch(/import the document here again, and nowhere else/);
      else expect(found.disabled, course).toBe(true);
      outcomes.add(said === undefined ? 'done' : NOT_CERTAIN.test(said) ? 'not certain' : 'failed');
      expect(found.targetHeight, course).toBeGreaterThanOrEqual(LEFT.targetHeight);

      expect(await write(disk, planned(found), [], 'written'), course).toBeUndefined();
      expect(await restart(disk), course).toEqual({ ...DOCUMENT, disabled: false });
    }
    expect([...outcomes].sort()).toEqual(['done', 'failed', 'not certain']);
  });

  test.each([0, 1])('killed after %d of its two writes, the voter is disabled', async (writes) => {
    const disk = await diskWith(LEFT);
    await write(disk, planned(LEFT), Array<Fate>(writes).fill('written'), 'refused');
    expect(await restart(disk)).toMatchObject({ disabled: true, moves: LEFT.moves });
  });

  test('is not certain only where neither copy can be written again', async () => {
    for (const { fates, rest } of CASES) {
      const said = await write(await diskWith(LEFT), planned(LEFT), fates, rest);
      if (!NOT_CERTAIN.test(said ?? '')) continue;
      // The database; the file; the database again; the file again.
      expect(
        fates.map((fate) => fate === 'written'),
        `${fates}`,
      ).toEqual([true, false, false, false]);
    }
  });
});

describe('VOTE-8, the voter moves away: an export of which the store says that it failed', () => {
  test('leaves the voter as it was, or says that this is not certain; repeated, it gives the same document', async () => {
    const outcomes = new Set<string>();
    const before = { ...VOTING, disabled: false, moves: 0 };
    for (const { fates, rest } of CASES) {
      const course = `${fates} then ${rest}`;
      const disk = await diskWith(VOTING);
      const said = await write(disk, planExport(before), fates, rest);
      const found = await restart(disk);
      if (said === undefined) expect(found, course).toEqual(LEFT);
      else if (NOT_CERTAIN.test(said)) expect(said, course).toMatch(/export again/);
      else expect(found, course).toEqual(before);
      outcomes.add(said === undefined ? 'done' : NOT_CERTAIN.test(said) ? 'not certain' : 'failed');

      expect(planExport(found), course).toEqual(LEFT);
      expect(await write(disk, planExport(found), [], 'written'), course).toBeUndefined();
      expect(await restart(disk), course).toEqual(LEFT);
    }
    expect([...outcomes].sort()).toEqual(['done', 'failed', 'not certain']);
  });

  test('killed between its two writes, the voter is disabled: both copies say so after the next start', async () => {
    const disk = await diskWith(VOTING);
    await write(disk, LEFT, ['written', 'refused'], 'refused');
    expect(await restart(disk)).toEqual(LEFT);
  });
});

test('VOTE-8: a vote that could not be written costs nothing: the file says what was before', async () => {
  const { chainId, blocks } = makeChain(1);
  const disk = new Disk();
  const store = await openOn(disk);
  const vote = makeTestVote(chainId, 1, blocks[0]!.entry.header, blocks[1]!.entry.header);
  await store.saveVoteGuard(vote.voter, { sourceHeight: 0n, targetHeight: 0n });
  disk.fates = ['written', 'refused'];
  const guard = { sourceHeight: 0n, targetHeight: 1n };
  await expect(store.saveOwnVote(vote, guard)).rejects.toMatchObject({ code: 'full' });
  expect(disk.filed.get(vote.voter)).toEqual({ sourceHeight: 0n, targetHeight: 0n });
  await store.saveOwnVote(vote, guard);
  expect(disk.filed.get(vote.voter)).toEqual(guard);
  await store.close();
});

describe('VOTE-8, of two copies of a guard', () => {
  const heights = { sourceHeight: 6n, targetHeight: 7n };
  const cases = [
    ['both vote', { moves: 1 }, { moves: 3 }, { disabled: false, moves: 3 }],
    ['one has moved away later', { moves: 1 }, { disabled: true, moves: 2 }, { disabled: true, moves: 2 }],
    ['both have moved away', { disabled: true, moves: 2 }, { disabled: true, moves: 4 }, { disabled: true, moves: 4 }],
    // Cut between the two writes of an import, which can be repeated as long as its move does not count.
    ['one is of a later move', { disabled: true, moves: 1 }, { moves: 2 }, { disabled: true, moves: 1 }],
    ['one forgot that it moved', { disabled: true, moves: 1 }, {}, { disabled: true, moves: 1 }],
    ['neither has moved', {}, {}, {}],
  ] as const;
  test.each(cases)('what either forbids is forbidden: %s', (_name, one, other, merged) => {
    const [low, high] = [
      { ...heights, ...one },
      { ...heights, targetHeight: 9n, ...other },
    ];
    const expected = { ...heights, targetHeight: 9n, ...merged };
    expect(strongerGuard(low, high)).toEqual(expected);
    expect(strongerGuard(high, low)).toEqual(expected);
    expect(strongerGuard(expected, high)).toEqual(expected);
    expect(mergeGuards(new Map([[VOTER, low]]), new Map())).toEqual(new Map([[VOTER, strongerGuard(low)]]));
  });
});
