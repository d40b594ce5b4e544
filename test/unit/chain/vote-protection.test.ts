import { describe, expect, test } from 'vitest';
import { contradiction } from '../../../chain/validate/vote.ts';
import {
  type ImportContext,
  type ProtectedVoter,
  parseVoteProtection,
  planExport,
  planImport,
  type VoteProtection,
  type VoteProtectionDocument,
  VoteProtectionError,
  voteProtectionDocument,
} from '../../../chain/vote-protection.ts';
import { fc } from '../../fast-check.ts';
import { senderAt, voteOf } from '../../tree-fixtures.ts';

const CHAIN = 'c0'.repeat(32);
const voter = senderAt(0);
const guard = (sourceHeight: bigint, targetHeight: bigint, rest: Partial<VoteProtection> = {}): VoteProtection => ({
  sourceHeight,
  targetHeight,
  disabled: false,
  moves: 0,
  ...rest,
});
const exported = (protection: VoteProtection): ProtectedVoter => ({ chainId: CHAIN, voter, protection });
const context = (changes: Partial<ImportContext> = {}): ImportContext => ({
  chainId: CHAIN,
  voter: undefined,
  current: undefined,
  force: false,
  ...changes,
});
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof VoteProtectionError) return error.code;
    throw error;
  }
  return 'no fault';
};
const read = (document: VoteProtectionDocument): ProtectedVoter =>
  parseVoteProtection(JSON.parse(JSON.stringify(document)));

describe('the document', () => {
  const given = exported(guard(6n, 7n, { disabled: true, moves: 3 }));

  test('says what it was made from', () => {
    expect(read(voteProtectionDocument(given))).toEqual(given);
  });

  test('with any field changed, left out or of another kind is refused', () => {
    const document = voteProtectionDocument(given);
    for (const [key, value] of Object.entries(document)) {
      const changed = typeof value === 'string' ? `${value}0` : typeof value === 'number' ? value + 1 : !value;
      for (const wrong of [changed, undefined, null, {}]) {
        const fault = codeOf(() => parseVoteProtection({ ...document, [key]: wrong }));
        expect(fault, key).toMatch(/^protection\/(malformed|bad-checksum)$/);
      }
    }
    expect(codeOf(() => read({ ...document, targetHeight: '5' }))).toBe('protection/bad-checksum');
    expect(codeOf(() => parseVoteProtection(undefined))).toBe('protection/malformed');
  });

  test('with a key that is not known is refused: the checksum is not over it', () => {
    const document = { ...voteProtectionDocument(given), until: '9' };
    expect(codeOf(() => parseVoteProtection(document))).toBe('protection/malformed');
    expect(() => parseVoteProtection(document)).toThrow('until: is not a known key');
  });

  test('is not written with more moves than one that is read may have: no store could take the voter in', () => {
    const documentOf = (moves: number) => voteProtectionDocument(exported(guard(6n, 7n, { disabled: true, moves })));
    const last = planExport(guard(6n, 7n, { moves: 0xffff_fffd }));
    const highest = planImport(read(voteProtectionDocument(exported(last))), context());
    expect(highest).toMatchObject({ disabled: false, moves: 0xffff_fffe });
    expect(codeOf(() => planExport(highest))).toBe('protection/no-move-left');
    for (const moves of [0xffff_ffff, 2 ** 32, 1.5, -1]) {
      expect(() => read(documentOf(moves)), `${moves}`).toThrow('moves: must be a whole number from 0 to 4294967294');
    }
  });
});

describe('export', () => {
  test('disables the store and counts as a move, once', () => {
    const after = planExport(guard(6n, 7n));
    expect(after).toEqual(guard(6n, 7n, { disabled: true, moves: 1 }));
    expect(planExport(after)).toEqual(after);
  });

  test('of a voter whose moves no longer count is refused, not written wrongly', () => {
    const spent = guard(6n, 7n, { moves: 0xffff_ffff });
    expect(codeOf(() => planExport(spent))).toBe('protection/no-move-left');
    expect(planExport({ ...spent, disabled: true })).toEqual({ ...spent, disabled: true });
  });
});

describe('import', () => {
  const moved = exported(guard(6n, 7n, { disabled: true, moves: 1 }));

  test('takes the guard over, and only ever raises it', () => {
    expect(planImport(moved, context())).toEqual(guard(6n, 7n, { moves: 1 }));
    expect(planImport(moved, context({ current: guard(5n, 9n) }))).toEqual(guard(6n, 9n, { moves: 1 }));
    expect(planImport(moved, context({ current: guard(8n, 9n, { moves: 4 }) }))).toEqual(guard(8n, 9n, { moves: 4 }));
  });

  test('refuses another chain and another voter', () => {
    expect(codeOf(() => planImport(moved, context({ chainId: 'c1'.repeat(32) })))).toBe('protection/wrong-chain');
    expect(codeOf(() => planImport(moved, context({ voter: senderAt(1) })))).toBe('protection/wrong-voter');
    expect(planImport(moved, context({ voter }))).toEqual(guard(6n, 7n, { moves: 1 }));
  });

  test('refuses a copy of a store that goes on voting, unless forced', () => {
    const copy = exported(guard(6n, 7n));
    expect(codeOf(() => planImport(copy, context()))).toBe('protection/still-voting');
    expect(planImport(copy, context({ force: true }))).toEqual(guard(6n, 7n));
  });

  test('does not enable a store that the voter left with a document from before it left', () => {
    const left = guard(6n, 7n, { disabled: true, moves: 1 });
    for (const force of [false, true]) {
      expect(codeOf(() => planImport(moved, context({ current: left, force })))).toBe('protection/moved-on');
    }
    const back = exported(guard(8n, 9n, { disabled: true, moves: 2 }));
    expect(planImport(back, context({ current: left }))).toEqual(guard(8n, 9n, { moves: 2 }));
  });
});

test('VOTE-8: however a voter moves, it never contradicts itself', () => {
  const MACHINES = 3;
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('vote' as const), at: fc.nat(2), fork: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('export' as const), at: fc.nat(2) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('import' as const), at: fc.nat(2), which: fc.nat(30) }) },
  );
  let moves = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), (steps) => {
      // The key is on machine 0 at first, and on another once it has imported something there.
      const stores: (VoteProtection | undefined)[] = [
        guard(0n, 0n),
        ...Array.from({ length: MACHINES - 1 }, () => undefined),
      ];
      const documents: VoteProtectionDocument[] = [];
      /** The one thing that is up to people: a document, and its repetitions, go to one machine. */
      const takenBy = new Map<number, number>();
      const votes: ReturnType<typeof voteOf>[] = [];
      for (const each of steps) {
        const store = stores[each.at];
        if (each.kind === 'vote') {
          if (store === undefined || store.disabled) continue;
          // Each machine has its own view: any source not below the guard, any target above it, on any branch.
          const sourceHeight = store.sourceHeight + BigInt(each.fork % 2);
          const lowest = store.targetHeight > sourceHeight ? store.targetHeight : sourceHeight;
          const targetHeight = lowest + 1n + BigInt(each.fork % 3);
          const id = `${each.fork}`.repeat(64).slice(0, 64) as ReturnType<typeof voteOf>['target']['id'];
          votes.push(voteOf(0, { height: sourceHeight, id }, { height: targetHeight, id }));
          stores[each.at] = { ...store, sourceHeight, targetHeight };
        } else if (each.kind === 'export') {
          if (store === undefined) continue;
          stores[each.at] = planExport(store);
          documents.push(voteProtectionDocument(exported(stores[each.at]!)));
        } else {
          const document = documents[each.which % Math.max(1, documents.length)];
          if (document === undefined || (takenBy.get(document.moves) ?? each.at) !== each.at) continue;
          try {
            stores[each.at] = planImport(read(document), context({ current: store }));
            takenBy.set(document.moves, each.at);
            moves += 1;
          } catch (error) {
            expect((error as VoteProtectionError).code).toBe('protection/moved-on');
          }
        }
        expect(stores.filter((each) => each?.disabled === false).length).toBeLessThanOrEqual(1);
      }
      for (const [i, vote] of votes.entries()) {
        for (const other of votes.slice(0, i)) expect(contradiction(vote, other)).toBeUndefined();
      }
    }),
    { numRuns: 300 },
  );
  expect(moves).toBeGreaterThan(200);
});
