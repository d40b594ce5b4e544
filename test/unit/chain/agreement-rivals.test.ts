import { expect, test } from 'vitest';
import { Agreement } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import type { ChainEntry } from '../../../chain/types.ts';
import { chainOn, checkpointOf, genesisEntry, senderAt, voteOf } from '../../tree-fixtures.ts';

/** Our chain a, final up to 4; b is a chain of others, of which we have no block. */
function net() {
  const genesis = genesisEntry();
  const a = [genesis, ...chainOn(genesis, 6, { salt: 1 })];
  const b = [genesis, ...chainOn(genesis, 9, { salt: 2 })];
  const tree = new BlockTree(a);
  tree.setTip(a[6]!.header.id);
  const agreement = new Agreement({
    electorate: [0, 1, 2, 3].map(senderAt),
    genesis: checkpointOf(genesis),
    checkpointInterval: 1,
  });
  for (let height = 1; height <= 5; height++) {
    for (const voter of [0, 1, 2]) agreement.addVote(voteOf(voter, a[height - 1]!, a[height]!), tree);
  }
  expect(agreement.final.height).toBe(4n);
  const certificate = (source: ChainEntry, target: ChainEntry, voters: readonly number[]) => ({
    source: checkpointOf(source),
    target: checkpointOf(target),
    votes: voters.map((voter) => voteOf(voter, source, target)),
  });
  return { a, b, tree, agreement, certificate };
}

test('a certificate that makes a rival of a final block final is a conflict, though none of its blocks is known', () => {
  const { b, tree, agreement, certificate } = net();
  const theirs = certificate(b[3]!, b[4]!, [1, 2, 3]);
  const outcome = agreement.addCertificate(theirs, tree);
  expect(outcome.applied).toBe(false);
  expect(outcome.conflict?.theirs).toEqual(theirs);
  expect(outcome.evidence.map(({ kind, voter }) => [kind, voter])).toEqual([
    ['double', senderAt(1)],
    ['double', senderAt(2)],
  ]);
  expect(agreement.conflict).toBe(outcome.conflict);
});

test('without a quorum, from above our final block, or over a gap it is none', () => {
  for (const [from, to, voters] of [
    [3, 4, [2, 3]],
    [7, 8, [1, 2, 3]],
    [2, 4, [1, 2, 3]],
  ] as const) {
    const { b, tree, agreement, certificate } = net();
    expect(agreement.addCertificate(certificate(b[from]!, b[to]!, voters), tree).conflict).toBeUndefined();
  }
});

test('a certificate for our own final chain is none', () => {
  const { a, tree, agreement, certificate } = net();
  expect(agreement.addCertificate(certificate(a[3]!, a[4]!, [0, 1, 2]), tree).conflict).toBeUndefined();
});
