import { describe, expect, test } from 'vitest';
import { BlockTree } from '../../../chain/block-tree.ts';
import { chooseTip } from '../../../chain/fork-choice.ts';
import { chainOn, checkpointOf, genesisEntry } from '../../tree-fixtures.ts';

function forked() {
  const genesis = genesisEntry();
  const heavy = chainOn(genesis, 5, { salt: 1 });
  const light = chainOn(genesis, 3, { salt: 2 });
  return { genesis, heavy, light, tree: new BlockTree([genesis, ...heavy, ...light]) };
}

describe('chooseTip', () => {
  test('FORK-1: never leaves the final block, whatever the work', () => {
    const { tree, light } = forked();
    const tip = chooseTip(tree, { final: checkpointOf(light[0]!), highestAgreed: () => 0n });
    expect(tip).toBe(light[2]);
  });

  test('FORK-1: a final block without children is the tip', () => {
    const { tree, light } = forked();
    expect(chooseTip(tree, { final: checkpointOf(light[2]!), highestAgreed: () => 0n })).toBe(light[2]);
  });

  test('FORK-2: the highest agreed checkpoint beats work', () => {
    const { tree, genesis, light } = forked();
    const highestAgreed = (leaf: unknown) => (leaf === light[2] ? 1n : 0n);
    expect(chooseTip(tree, { final: checkpointOf(genesis), highestAgreed })).toBe(light[2]);
  });

  test('FORK-3: of equally agreed chains the one with most work, not most blocks', () => {
    const genesis = genesisEntry();
    const long = chainOn(genesis, 5, { salt: 1, work: 10n });
    const short = chainOn(genesis, 3, { salt: 2, work: 20n });
    const tree = new BlockTree([genesis, ...long, ...short]);
    expect(chooseTip(tree, { final: checkpointOf(genesis), highestAgreed: () => 0n })).toBe(short[2]);
  });

  test('FORK-4: of equal work the first seen', () => {
    const genesis = genesisEntry();
    const late = chainOn(genesis, 2, { salt: 1, arrival: 20 });
    const early = chainOn(genesis, 2, { salt: 2, arrival: 10 });
    const tree = new BlockTree([genesis, ...late, ...early]);
    expect(chooseTip(tree, { final: checkpointOf(genesis), highestAgreed: () => 3n })).toBe(early[1]);
  });

  test('a final block that is not in the tree is a programming error', () => {
    const { tree } = forked();
    const elsewhere = chainOn(genesisEntry(5n), 1, { salt: 42 });
    expect(() => chooseTip(tree, { final: checkpointOf(elsewhere[0]!), highestAgreed: () => 0n })).toThrow(RangeError);
  });
});
