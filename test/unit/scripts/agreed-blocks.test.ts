import { expect, it } from 'vitest';
import { AgreedBlocks } from '../../../scripts/devnet/agreed-blocks.ts';

it('what agreement skips is agreed with what it reaches, once, and a side branch is not', () => {
  const blocks = new AgreedBlocks();
  blocks.addBlock('1', 'genesis', ['a']);
  blocks.addBlock('2', '1', ['b', 'c']);
  blocks.addBlock('2 too', '1', ['d']);
  blocks.addBlock('3', '2', ['d']);
  expect(blocks.addAgreed('1')).toEqual(['a']);
  expect(blocks.addAgreed('3').toSorted()).toEqual(['b', 'c', 'd']);
  blocks.addBlock('2', '1', ['b', 'c']); // by another node
  expect(blocks.addAgreed('3')).toEqual([]);
  expect(blocks.addAgreed('2')).toEqual([]);
});

it('a block that nobody told of is where it ends', () => {
  const blocks = new AgreedBlocks();
  blocks.addBlock('1', 'genesis', ['a']);
  blocks.addBlock('3', '2', ['c']);
  expect(blocks.addAgreed('3')).toEqual(['c']);
  expect(blocks.addAgreed('9')).toEqual([]);
});
