import { expect, test } from 'vitest';
import { BlockTree } from '../../../chain/block-tree.ts';
import { medianTime, recentTimestamps } from '../../../chain/median-time.ts';
import { childOf, genesisEntry } from '../../tree-fixtures.ts';

test('BLK-6: the median time is that of the last 11 blocks, the upper middle of fewer', () => {
  const genesis = genesisEntry(100n);
  const times = [500n, 200n, 900n, 300n, 700n, 400n, 600n, 100n, 800n, 1000n, 1100n, 1200n];
  const tree = new BlockTree([genesis]);
  let top = genesis;
  const medians = times.map((timestampMs) => {
    top = childOf(top, { timestampMs });
    tree.add(top);
    return medianTime(recentTimestamps(tree, top));
  });
  expect(medianTime(recentTimestamps(tree, genesis))).toBe(100n);
  expect(medians.slice(0, 3)).toEqual([500n, 200n, 500n]);
  // The last eleven of twelve: 200 900 300 700 400 600 100 800 1000 1100 1200, sorted the sixth is 700.
  expect(medians[11]).toBe(700n);
  expect(recentTimestamps(tree, top)).toEqual(times.slice(1).toReversed());
});
