import { describe, expect, test } from 'vitest';
import { BlockTree } from '../../chain/block-tree.ts';
import type { BlockId, ChainEntry } from '../../chain/types.ts';
import { fc } from '../fast-check.ts';
import { childOf, genesisEntry } from '../tree-fixtures.ts';

/** Each number chooses the parent: 0 the newest block, 1 the one before, and so on. */
const shape = fc.array(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(40) }), {
  minLength: 1,
  maxLength: 120,
});

function build(parents: readonly number[]): ChainEntry[] {
  const entries = [genesisEntry()];
  for (const [salt, back] of parents.entries()) {
    entries.push(childOf(entries[Math.max(0, entries.length - 1 - back)]!, { salt }));
  }
  return entries;
}

/** The path from genesis, found the slow way. */
function pathTo(entry: ChainEntry, byId: ReadonlyMap<BlockId, ChainEntry>): ChainEntry[] {
  const path = [entry];
  for (let at = byId.get(entry.header.parent); at !== undefined; at = byId.get(at.header.parent)) path.unshift(at);
  return path;
}

describe('BlockTree, against a naive one', () => {
  test('ancestors, leaves and the main chain, wherever the tip is', () => {
    fc.assert(
      fc.property(shape, fc.array(fc.nat(120), { minLength: 1, maxLength: 4 }), fc.nat(120), (parents, tips, pick) => {
        const entries = build(parents);
        const byId = new Map(entries.map((entry) => [entry.header.id, entry]));
        const tree = new BlockTree(entries);
        for (const tip of tips) {
          const to = entries[tip % entries.length]!;
          const main = pathTo(tree.tip, byId);
          const plan = tree.planMove(to.header.id);
          const kept = main.slice(0, main.length - plan.disconnect.length);
          expect(plan.disconnect).toEqual(main.slice(kept.length).reverse());
          expect(kept.at(-1)).toBe(plan.forkPoint);
          expect([...kept, ...plan.connect]).toEqual(pathTo(to, byId));
          tree.setTip(to.header.id);
          const path = pathTo(to, byId);
          expect(path.map((_, height) => tree.mainAt(BigInt(height)))).toEqual(path);
          expect(tree.tip).toBe(to);
        }
        const chosen = entries[pick % entries.length]!;
        const path = pathTo(chosen, byId);
        expect(path.map((_, height) => tree.ancestorAt(chosen.header.id, BigInt(height)))).toEqual(path);
        const ancestors = new Set(path);
        for (const entry of entries) {
          expect(tree.isAncestor(entry.header.id, chosen.header.id)).toBe(ancestors.has(entry));
        }
        const parentIds = new Set(entries.map((entry) => entry.header.parent));
        const leaves = entries.filter((entry) => !parentIds.has(entry.header.id));
        expect(new Set(tree.leaves())).toEqual(new Set(leaves));
        expect(new Set(tree.leavesFrom(chosen.header.id))).toEqual(
          new Set(leaves.filter((leaf) => pathTo(leaf, byId).includes(chosen))),
        );
      }),
      { numRuns: 150 },
    );
  });

  test('leaves above a rising final block stay right while blocks arrive', () => {
    fc.assert(
      fc.property(shape, fc.array(fc.nat(120), { maxLength: 6 }), (parents, roots) => {
        const entries = build(parents);
        const byId = new Map(entries.map((entry) => [entry.header.id, entry]));
        const tree = new BlockTree(entries.slice(0, 1));
        for (const [index, entry] of entries.slice(1).entries()) {
          tree.add(entry);
          const root = entries[(roots[index % (roots.length + 1)] ?? 0) % (index + 2)]!;
          const leaves = tree.leaves().filter((leaf) => pathTo(leaf, byId).includes(root));
          expect(new Set(tree.leavesFrom(root.header.id))).toEqual(new Set(leaves));
        }
      }),
      { numRuns: 60 },
    );
  });
});
