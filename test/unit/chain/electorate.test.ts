import { describe, expect, test } from 'vitest';
import { Agreement } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import { Candidates, dynastyAfter, dynastyOfPath, Electorates, quorumOf } from '../../../chain/electorate.ts';
import type { Certificate, ChainEntry } from '../../../chain/types.ts';
import type { Address } from '../../../crypto/address.ts';
import { addressAt, checkpointOf, childOf, genesisEntry, senderAt, voteOf } from '../../tree-fixtures.ts';

const GENESIS = genesisEntry();
const WINDOW = 4;
/** Voters of the genesis: 0, 1 and 2. */
const FOUNDERS = [0, 1, 2].map(senderAt);

/** Blocks on top of one another, by these miners. */
function minedBy(parent: ChainEntry, miners: readonly number[], salt = 0): ChainEntry[] {
  const entries: ChainEntry[] = [];
  for (const miner of miners) entries.push(childOf(entries.at(-1) ?? parent, { miner: senderAt(miner), salt }));
  return entries;
}

function net(...branches: readonly ChainEntry[][]) {
  const tree = new BlockTree([GENESIS]);
  const agreement = new Agreement({
    electorate: FOUNDERS,
    rule: { kind: 'miners', window: WINDOW },
    genesis: checkpointOf(GENESIS),
    checkpointInterval: 1,
  });
  const add = (entries: readonly ChainEntry[]) => {
    for (const entry of entries) if (tree.add(entry)) agreement.onBlock(entry, tree);
  };
  for (const branch of branches) add(branch);
  if (branches[0] !== undefined) tree.setTip(branches[0].at(-1)!.header.id);
  /** The last one's verdict, and what they all agreed. */
  const vote = (source: ChainEntry, target: ChainEntry, voters: readonly number[]) => {
    const outcomes = voters.map((voter) => agreement.addVote(voteOf(voter, source, target), tree));
    return { verdict: outcomes.at(-1)!.verdict, agreed: outcomes.flatMap(({ agreed }) => agreed) };
  };
  return { tree, agreement, add, vote };
}

const weightsOf = (weights: ReadonlyMap<Address, number>) =>
  Object.fromEntries(
    [...weights].map(([address, weight]) => [[0, 1, 2, 3, 4, 5, 6].map(senderAt).indexOf(address), weight]),
  );

describe('electorates of miners', () => {
  const chain = [GENESIS, ...minedBy(GENESIS, [3, 4, 3, 0, 5, 5])];
  const { tree } = net(chain.slice(1));
  const electorates = new Electorates({ kind: 'miners', window: WINDOW }, FOUNDERS, checkpointOf(GENESIS));
  const at = (height: number) =>
    electorates.inForce({ rear: checkpointOf(chain[height]!), forward: checkpointOf(chain[height]!) }, tree)[0]!;

  test('one vote for each block of the window, as of the block', () => {
    expect(weightsOf(at(6).weights)).toEqual({ 3: 3, 0: 3, 5: 6 });
    expect(weightsOf(at(5).weights)).toEqual({ 4: 3, 3: 3, 0: 3, 5: 3 });
  });

  test('blocks that the window lacks count for the voters of the genesis, a share each; the total stays', () => {
    expect(weightsOf(at(0).weights)).toEqual({ 0: 4, 1: 4, 2: 4 });
    expect(weightsOf(at(1).weights)).toEqual({ 3: 3, 0: 3, 1: 3, 2: 3 });
    expect(weightsOf(at(3).weights)).toEqual({ 3: 6, 4: 3, 0: 1, 1: 1, 2: 1 });
    expect(weightsOf(at(4).weights)).toEqual({ 3: 6, 4: 3, 0: 3 });
    for (const height of [0, 1, 2, 3, 4, 5, 6]) {
      const { weights, total } = at(height);
      expect(total).toBe(WINDOW * FOUNDERS.length);
      expect([...weights.values()].reduce((sum, weight) => sum + weight, 0)).toBe(total);
    }
    expect(quorumOf(12)).toBe(9);
  });

  test('the rule genesis gives the list at every block, each 1', () => {
    const fixed = new Electorates({ kind: 'genesis' }, FOUNDERS, checkpointOf(GENESIS));
    const dynasty = { rear: checkpointOf(chain[3]!), forward: checkpointOf(chain[5]!) };
    expect(fixed.inForce(dynasty, tree)).toMatchObject([{ total: 3, weights: new Map(FOUNDERS.map((v) => [v, 1])) }]);
  });

  test('a link needs the forward and the rear electorate', () => {
    const inForce = electorates.inForce({ rear: checkpointOf(chain[5]!), forward: checkpointOf(chain[6]!) }, tree);
    expect(inForce.map(({ asOf }) => asOf.height)).toEqual([6n, 5n]);
  });
});

test('VOTE-3: an author may count while a window can have its block, a founder while one reaches below block 1', () => {
  const electorates = new Electorates({ kind: 'miners', window: WINDOW }, FOUNDERS, checkpointOf(GENESIS));
  const candidates = new Candidates(electorates);
  const [founder, author] = [FOUNDERS[0]!, senderAt(5)];
  candidates.onBlock({ height: 5n, miner: author });
  // The window as of block 3 lacks one block, that of block 4 is blocks 1 to 4; that of block 8 begins with block 5.
  const byRear = [3n, 4n, 8n, 9n].map((rear) => {
    candidates.advance(rear);
    return [candidates.has(founder), candidates.has(author)];
  });
  expect(byRear).toEqual([
    [true, true],
    [false, true],
    [false, true],
    [false, false],
  ]);
  expect([candidates.hasBeen(founder), candidates.hasBeen(author)]).toEqual([true, true]);
});

describe('dynasties', () => {
  const chain = [GENESIS, ...minedBy(GENESIS, [0, 1, 2, 0, 1, 2])];
  const link = (source: number, target: number): Certificate => ({
    source: checkpointOf(chain[source]!),
    target: checkpointOf(chain[target]!),
    votes: [],
  });
  const at = (rear: number, forward: number) => ({
    rear: checkpointOf(chain[rear]!),
    forward: checkpointOf(chain[forward]!),
  });

  test('a link to a direct child makes its source the forward checkpoint; another changes nothing', () => {
    expect(dynastyAfter(at(0, 0), link(1, 2), 1n)).toEqual(at(0, 1));
    expect(dynastyAfter(at(0, 1), link(2, 3), 1n)).toEqual(at(1, 2));
    expect(dynastyAfter(at(0, 1), link(2, 4), 1n)).toEqual(at(0, 1));
    expect(dynastyAfter(at(0, 1), link(2, 4), 2n)).toEqual(at(1, 2));
  });

  test('follow from the last two direct links of a path, or from genesis', () => {
    expect(dynastyOfPath([link(2, 3), link(3, 5), link(5, 6)], 1n)).toEqual(at(2, 5));
    expect(dynastyOfPath([link(3, 5), link(5, 6)], 1n)).toBeUndefined();
    expect(dynastyOfPath([link(0, 2), link(2, 3)], 1n)).toEqual(at(0, 2));
    expect(dynastyOfPath([link(0, 2), link(2, 4)], 1n)).toEqual(at(0, 0));
    expect(dynastyOfPath([], 1n)).toBeUndefined();
  });
});

describe('agreement among miners', () => {
  test('the founders agree the first blocks, by the weight of the window', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [3, 3, 3])];
    const { agreement, vote } = net(chain.slice(1));
    expect(vote(GENESIS, chain[1]!, [0, 1]).agreed).toEqual([]); // 8 of 12
    expect(vote(GENESIS, chain[1]!, [2]).agreed).toHaveLength(1);
    expect(agreement.quorum).toBe(9);
  });

  test('the miners take over, dynasty by dynasty', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [3, 4, 5, 3, 4, 5, 3, 4, 5])];
    const { agreement, vote } = net(chain.slice(1));
    const all = [0, 1, 2, 3, 4, 5];
    for (let height = 0; height < 8; height += 1) vote(chain[height]!, chain[height + 1]!, all);
    expect(agreement.final).toEqual(checkpointOf(chain[7]!));
    // In force at 8: as of 7 (blocks 4 to 7) and 6 (3 to 6).
    expect(agreement.inForce.map(({ asOf, weights }) => [asOf.height, weightsOf(weights)])).toEqual([
      [7n, { 3: 6, 4: 3, 5: 3 }],
      [6n, { 3: 3, 4: 3, 5: 6 }],
    ]);
    expect(agreement.isElector(senderAt(0))).toBe(false); // a founder that never mined
    expect(agreement.addVote(voteOf(0, chain[8]!, chain[9]!), net().tree).verdict).toEqual({
      kind: 'ignore',
      reason: 'vote/not-elector',
    });
    expect(vote(chain[8]!, chain[9]!, [3, 4]).agreed).toEqual([]); // forward 9 of 12, rear 6
    expect(vote(chain[8]!, chain[9]!, [5]).agreed).toHaveLength(1);
  });

  test('more than two thirds of the new set alone agree nothing, nor of the old one', () => {
    // The founders' window ends with block 3; 4 to 7 are by strangers, all of one side.
    const chain = [GENESIS, ...minedBy(GENESIS, [0, 1, 2, 3, 4, 5, 3, 4, 5])];
    const scene = () => {
      const made = net(chain.slice(1));
      for (const [source, target] of [
        [0, 3],
        [3, 4],
        [4, 8],
        [8, 9],
      ] as const) {
        made.vote(chain[source]!, chain[target]!, [0, 1, 2, 3, 4, 5]);
      }
      return made;
    };
    const { agreement } = scene();
    expect(agreement.final).toEqual(checkpointOf(chain[8]!));
    expect(agreement.inForce.map(({ asOf }) => asOf.height)).toEqual([8n, 3n]);
    const next = childOf(chain[9]!, { miner: senderAt(3) });
    for (const voters of [
      [3, 4, 5],
      [0, 1, 2],
    ]) {
      const { add, vote } = scene();
      add([next]);
      expect(vote(chain[9]!, next, voters).agreed).toEqual([]);
      expect(vote(chain[9]!, next, [0, 1, 2, 3, 4, 5]).agreed.map(({ target }) => target)).toEqual([
        checkpointOf(next),
      ]);
    }
  });

  test('while nothing is final the sets stand still, whoever mines', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [6, 6, 6, 6, 6, 6, 6, 6])];
    const { agreement, vote } = net(chain.slice(1));
    // Agreed every second height: no link to a direct child, so nothing is final.
    for (const height of [0, 2, 4, 6]) {
      expect(vote(chain[height]!, chain[height + 2]!, [6]).agreed).toEqual([]); // the author of every block
      expect(vote(chain[height]!, chain[height + 2]!, [0, 1, 2]).agreed).toHaveLength(1);
    }
    expect(agreement.inForce.map(({ asOf }) => asOf.height)).toEqual([0n]);
  });

  test('votes of those who may yet count are kept, and count when the hand-over makes them', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [3, 3, 3, 3, 3, 3])];
    const { agreement, vote } = net(chain.slice(1));
    for (let height = 4; height < 6; height += 1) vote(chain[height]!, chain[height + 1]!, [3]);
    expect(agreement.bestAgreed.height).toBe(0n);
    for (let height = 0; height < 4; height += 1) vote(chain[height]!, chain[height + 1]!, [0, 1, 2, 3]);
    // 4 → 5 needs the sets as of 3 and 2: 9 and 6 of 12 are by miner 3.
    expect(agreement.bestAgreed.height).toBe(4n);
    vote(chain[4]!, chain[5]!, [0, 1]);
    expect(agreement.bestAgreed.height).toBe(6n);
  });

  test('below the final block nobody has a say any more: the founders cannot undo what the miners made final', () => {
    const main = minedBy(GENESIS, [3, 3, 3, 3, 3, 3, 3, 3]);
    const fork = minedBy(GENESIS, [3, 3, 3, 3, 3, 3, 3, 3, 3, 3], 7);
    const chain = [GENESIS, ...main];
    const { agreement, vote } = net(main, fork);
    for (let height = 0; height < 7; height += 1) vote(chain[height]!, chain[height + 1]!, [0, 1, 2, 3]);
    expect(agreement.final.height).toBe(6n);
    for (const target of [fork[9]!, main[7]!]) {
      const certificate = {
        source: checkpointOf(GENESIS),
        target: checkpointOf(target),
        votes: [0, 1, 2].map((founder) => voteOf(founder, GENESIS, target)),
      };
      expect(agreement.addCertificate(certificate, net(main, fork).tree)).toMatchObject({ applied: false, agreed: [] });
    }
    expect(agreement.bestAgreed).toEqual(checkpointOf(main[6]!));
  });

  test('VOTE-9: an offender’s weight stays in the total and counts for nothing', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [3, 3])];
    const { agreement, vote } = net(chain.slice(1));
    vote(GENESIS, chain[1]!, [0, 1]);
    expect(
      agreement.addVote(voteOf(1, GENESIS, { height: 1n, id: chain[2]!.header.id }), net().tree).evidence?.kind,
    ).toBe('double');
    expect(vote(GENESIS, chain[1]!, [2]).agreed).toEqual([]); // 8 of 12
    expect(agreement.inForce[0]).toMatchObject({ total: 12 });
  });

  test('a restart knows who may vote from the links that lead to the final block', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [3, 4, 5, 3, 4, 5, 3])];
    const { agreement, vote, tree } = net(chain.slice(1));
    const links: Certificate[] = [];
    for (let height = 0; height < 6; height += 1) {
      links.push(...vote(chain[height]!, chain[height + 1]!, [0, 1, 2, 3, 4, 5]).agreed);
    }
    const snapshot = {
      certificates: links.slice(4),
      final: agreement.final,
      votes: agreement.votesFrom(6n),
      evidence: [],
      entries: chain,
    };
    const again = net(chain.slice(1)).agreement;
    again.restore({ ...snapshot, pathToFinal: links.slice(3, 5) }, tree);
    expect(again.inForce).toEqual(agreement.inForce);
    expect(again.bestAgreed).toEqual(agreement.bestAgreed);
    const lost = net(chain.slice(1)).agreement;
    lost.restore({ ...snapshot, pathToFinal: links.slice(4, 5) }, tree);
    expect(lost.inForce).toEqual([]);
    for (const voter of [3, 4, 5]) expect(lost.addVote(voteOf(voter, chain[6]!, chain[7]!), tree).agreed).toEqual([]);
  });

  test('VOTE-3, EVID-3: who has mined nothing here is ignored, as its block may be on its way', () => {
    const chain = [GENESIS, ...minedBy(GENESIS, [3])];
    const { agreement, vote, add } = net(chain.slice(1));
    expect(vote(GENESIS, chain[1]!, [6]).verdict).toEqual({ kind: 'ignore', reason: 'vote/not-elector' });
    expect(agreement.isElector(addressAt(9))).toBe(false);
    add(minedBy(GENESIS, [6], 5));
    expect(vote(GENESIS, chain[1]!, [6]).verdict.kind).toBe('accept');
  });
});
