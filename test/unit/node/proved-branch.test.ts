import { expect, test } from 'vitest';
import type { BlockId, ChainEntry } from '../../../chain/types.ts';
import { goesBefore, type ProvedBranch } from '../../../node/sync/proved-branch.ts';

/** Blocks from height 10 on, by name; each adds as much work as its name is long. */
function branch(names: readonly string[], agreed?: string): ProvedBranch {
  let totalWork = 0n;
  const entries = names.map((name, at) => {
    totalWork += BigInt(name.length);
    return { header: { id: name as BlockId, height: BigInt(10 + at) }, totalWork } as ChainEntry;
  });
  return { entries, agreed: entries.find(({ header }) => header.id === agreed) };
}

const isBefore = (a: ProvedBranch, b: ProvedBranch): readonly boolean[] => [goesBefore(a, b), goesBefore(b, a)];

test('of two branches the one with more work goes before, unless the other has an agreed block', () => {
  expect(isBefore(branch(['a', 'b']), branch(['c', 'd', 'e']))).toEqual([false, true]);
  expect(isBefore(branch(['a', 'b'], 'b'), branch(['c', 'd', 'e']))).toEqual([true, false]);
  expect(isBefore(branch(['a', 'b'], 'a'), branch(['c', 'd', 'e'], 'd'))).toEqual([false, true]);
});

test('what is agreed in one is agreed in another that holds the block, whoever was asked for the votes', () => {
  const honest = branch(['a', 'b', 'c', 'd']);
  expect(isBefore(branch(['a', 'b', 'x'], 'b'), honest)).toEqual([false, true]);
  expect(isBefore(branch(['a', 'y', 'x'], 'y'), honest)).toEqual([true, false]);
});
