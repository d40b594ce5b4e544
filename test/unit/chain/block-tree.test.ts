import { describe, expect, test } from 'vitest';
import { BlockTree } from '../../../chain/block-tree.ts';
import type { BlockId, ChainEntry } from '../../../chain/types.ts';
import { chainOn, childOf, genesisEntry } from '../../tree-fixtures.ts';

const ids = (entries: readonly ChainEntry[]) => entries.map((entry) => entry.header.id);
const UNKNOWN = 'ee'.repeat(32) as BlockId;

/** genesis ─ a1 … a6 (main), b3 … b5 on a2. */
function forked() {
  const genesis = genesisEntry();
  const a = chainOn(genesis, 6, { salt: 1 });
  const b = chainOn(a[1]!, 3, { salt: 2 });
  const tree = new BlockTree([genesis, ...a, ...b]);
  tree.setTip(a[5]!.header.id);
  return { tree, genesis, a, b };
}

describe('BlockTree', () => {
  test('starts with genesis as its tip, and adding does not move it', () => {
    const genesis = genesisEntry();
    const tree = new BlockTree([genesis]);
    const child = childOf(genesis);
    expect(tree.add(child)).toBe(true);
    expect(tree.add(child)).toBe(false);
    expect(tree.tip).toBe(genesis);
    expect(tree.genesis).toBe(genesis);
    expect(tree.size).toBe(2);
    expect(tree.isOnMain(child.header.id)).toBe(false);
    expect(tree.mainAt(1n)).toBeUndefined();
  });

  test('refuses no genesis, an unknown parent, a wrong height, an unknown id', () => {
    const { tree, genesis, a } = forked();
    const orphan = childOf(childOf(a[0]!, { salt: 77 }));
    const high = childOf(genesis, { salt: 5 });
    const wrong = { ...high, header: { ...high.header, height: 9n } };
    expect(() => new BlockTree([])).toThrow(RangeError);
    expect(() => new BlockTree([a[0]!])).toThrow(RangeError);
    expect(() => tree.add(orphan)).toThrow(/not in the tree/);
    expect(() => tree.add(wrong)).toThrow(/wrong height/);
    expect(() => tree.setTip(UNKNOWN)).toThrow(RangeError);
    expect(() => tree.planMove(UNKNOWN)).toThrow(RangeError);
    expect(() => tree.leavesFrom(UNKNOWN)).toThrow(RangeError);
    expect(tree.get(UNKNOWN)).toBeUndefined();
    expect(tree.children(UNKNOWN)).toEqual([]);
  });

  test('finds ancestors on the main chain and beside it', () => {
    const { tree, genesis, a, b } = forked();
    expect(tree.ancestorAt(a[5]!.header.id, 3n)).toBe(a[2]);
    expect(tree.ancestorAt(b[2]!.header.id, 4n)).toBe(b[1]);
    expect(tree.ancestorAt(b[2]!.header.id, 2n)).toBe(a[1]);
    expect(tree.ancestorAt(b[2]!.header.id, 0n)).toBe(genesis);
    expect(tree.ancestorAt(b[2]!.header.id, 5n)).toBe(b[2]);
    expect(tree.ancestorAt(b[2]!.header.id, 6n)).toBeUndefined();
    expect(tree.ancestorAt(b[2]!.header.id, -1n)).toBeUndefined();
    expect(tree.isAncestor(a[1]!.header.id, b[2]!.header.id)).toBe(true);
    expect(tree.isAncestor(a[2]!.header.id, b[2]!.header.id)).toBe(false);
    expect(tree.isAncestor(b[2]!.header.id, b[2]!.header.id)).toBe(true);
    expect(tree.isAncestor(b[2]!.header.id, b[0]!.header.id)).toBe(false);
    expect(tree.isAncestor(UNKNOWN, b[0]!.header.id)).toBe(false);
  });

  test('plans a move between branches and moves the main chain', () => {
    const { tree, a, b } = forked();
    const plan = tree.planMove(b[2]!.header.id);
    expect(ids(plan.disconnect)).toEqual(ids([a[5]!, a[4]!, a[3]!, a[2]!]));
    expect(ids(plan.connect)).toEqual(ids(b));
    expect(plan.forkPoint).toBe(a[1]);
    tree.setTip(b[2]!.header.id);
    expect(tree.tip).toBe(b[2]);
    expect(tree.mainAt(3n)).toBe(b[0]);
    expect(tree.mainAt(6n)).toBeUndefined();
    expect(tree.isOnMain(a[2]!.header.id)).toBe(false);
    expect(tree.planMove(b[2]!.header.id)).toEqual({ disconnect: [], connect: [], forkPoint: b[2] });
    expect(ids(tree.planMove(a[1]!.header.id).disconnect)).toEqual(ids([b[2]!, b[1]!, b[0]!]));
  });

  test('knows its leaves, and those above a final block', () => {
    const { tree, genesis, a, b } = forked();
    expect(new Set(tree.leaves())).toEqual(new Set([a[5], b[2]]));
    expect(tree.leavesFrom(genesis.header.id)).toHaveLength(2);
    expect(tree.leavesFrom(a[2]!.header.id)).toEqual([a[5]]);
    const late = childOf(b[2]!); // below the final block: not a candidate
    const good = childOf(a[3]!, { salt: 9 });
    tree.add(late);
    tree.add(good);
    expect(new Set(tree.leavesFrom(a[2]!.header.id))).toEqual(new Set([a[5], good]));
    expect(new Set(tree.leaves())).toEqual(new Set([a[5], late, good]));
    expect(tree.leavesFrom(b[0]!.header.id)).toEqual([late]); // not a descendant of the last root
    expect(tree.leavesFrom(a[5]!.header.id)).toEqual([a[5]]);
    expect(new Set(tree.children(a[1]!.header.id))).toEqual(new Set([a[2], b[0]]));
  });

  test('a locator is dense at the top, sparse below, and ends with genesis', () => {
    const genesis = genesisEntry();
    const chain = chainOn(genesis, 1000);
    const tree = new BlockTree([genesis, ...chain]);
    tree.setTip(chain[999]!.header.id);
    const heights = tree.locator().map((id) => Number(tree.get(id)!.header.height));
    expect(heights.slice(0, 12)).toEqual([1000, 999, 998, 997, 996, 995, 994, 993, 992, 991, 989, 985]);
    expect(heights.at(-1)).toBe(0);
    expect(heights.length).toBeLessThanOrEqual(10 + 10 + 1);
    expect(tree.locator(genesis.header.id)).toEqual([genesis.header.id]);
  });

  test('answers a locator from the first id on the main chain', () => {
    const { tree, a, b } = forked();
    expect(ids(tree.afterLocator([UNKNOWN, b[2]!.header.id, a[1]!.header.id], 3))).toEqual(ids([a[2]!, a[3]!, a[4]!]));
    expect(ids(tree.afterLocator([UNKNOWN], 2))).toEqual(ids([a[0]!, a[1]!]));
    expect(tree.afterLocator([a[5]!.header.id], 10)).toEqual([]);
    expect(tree.afterLocator(tree.locator(b[2]!.header.id), 100)).toHaveLength(4);
  });

  test('looks up ancestors on a long side branch by skipping, not walking', () => {
    const genesis = genesisEntry();
    const chain = chainOn(genesis, 50_000);
    const tree = new BlockTree([genesis, ...chain]); // the tip stays at genesis: all of it is a side branch
    const top = chain[49_999]!.header.id;
    let wrong = 0;
    for (let height = 1; height <= 50_000; height += 2) {
      if (tree.ancestorAt(top, BigInt(height)) !== chain[height - 1]) wrong += 1;
    }
    expect(wrong).toBe(0);
  });
});
