import { describe, expect, test } from 'vitest';
import { Agreement } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import type { VoteGuardLike } from '../../../chain/plan-vote.ts';
import { planVote } from '../../../chain/plan-vote.ts';
import type { ChainEntry } from '../../../chain/types.ts';
import { chainOn, checkpointOf, genesisEntry, senderAt, voteOf } from '../../tree-fixtures.ts';

function net(checkpointInterval = 1) {
  const genesis = genesisEntry();
  const a = [genesis, ...chainOn(genesis, 10, { salt: 1 })];
  const b = [genesis, ...chainOn(genesis, 10, { salt: 2 })];
  const tree = new BlockTree([...a, ...b.slice(1)]);
  const electorate = [0, 1, 2].map(senderAt);
  const agreement = new Agreement({ electorate, genesis: checkpointOf(genesis), checkpointInterval });
  const agree = (source: ChainEntry, target: ChainEntry) => {
    for (const voter of [0, 1, 2]) agreement.addVote(voteOf(voter, source, target), tree);
  };
  const plan = (tip: ChainEntry, guard?: VoteGuardLike, voter = 0) =>
    planVote({ tree, agreement, tip, guard, voter: senderAt(voter) });
  return { a, b, agree, plan };
}

describe('planVote', () => {
  test('votes for the tip, from the highest agreed checkpoint on its chain', () => {
    const { a, b, agree, plan } = net();
    expect(plan(a[1]!)).toEqual({ source: checkpointOf(a[0]!), target: checkpointOf(a[1]!) });
    agree(a[0]!, a[1]!);
    expect(plan(a[4]!)).toEqual({ source: checkpointOf(a[1]!), target: checkpointOf(a[4]!) });
    expect(plan(b[4]!)).toEqual({ source: checkpointOf(a[0]!), target: checkpointOf(b[4]!) });
  });

  test('the source is strictly below the target, even where the target is agreed', () => {
    const { a, agree, plan } = net();
    agree(a[0]!, a[1]!);
    expect(plan(a[1]!)).toEqual({ source: checkpointOf(a[0]!), target: checkpointOf(a[1]!) });
  });

  test('votes for the last checkpoint of the grid, not for the tip between two', () => {
    const { a, plan } = net(4);
    expect(plan(a[3]!)).toBeUndefined();
    expect(plan(a[7]!)).toEqual({ source: checkpointOf(a[0]!), target: checkpointOf(a[4]!) });
    expect(plan(a[8]!)?.target).toEqual(checkpointOf(a[8]!));
  });

  test('no vote for genesis, and none by a node outside the electorate', () => {
    const { a, plan } = net();
    expect(plan(a[0]!)).toBeUndefined();
    expect(plan(a[1]!, undefined, 3)).toBeUndefined();
  });

  test('VOTE-8: never a second vote at a height, never a source below an earlier one', () => {
    const { a, b, agree, plan } = net();
    expect(plan(b[4]!, { sourceHeight: 0n, targetHeight: 4n })).toBeUndefined();
    expect(plan(b[3]!, { sourceHeight: 0n, targetHeight: 4n })).toBeUndefined();
    expect(plan(b[5]!, { sourceHeight: 0n, targetHeight: 4n })?.target).toEqual(checkpointOf(b[5]!));
    agree(a[0]!, a[1]!);
    const guard = { sourceHeight: 1n, targetHeight: 4n };
    expect(plan(b[5]!, guard)).toBeUndefined(); // its source would be genesis: it could surround
    expect(plan(a[5]!, guard)).toEqual({ source: checkpointOf(a[1]!), target: checkpointOf(a[5]!) });
  });
});
