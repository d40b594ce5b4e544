import { describe, expect, test } from 'vitest';
import type { AgreementLimits } from '../../../chain/agreement.ts';
import { Agreement, DEFAULT_AGREEMENT_LIMITS } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import { isSupermajority } from '../../../chain/electorate.ts';
import { makeEvidence } from '../../../chain/evidence.ts';
import { signVote } from '../../../chain/sign.ts';
import type { Certificate, ChainEntry, Checkpoint, Vote } from '../../../chain/types.ts';
import {
  checkCertificate,
  checkVoteStateless,
  contradiction,
  voteSignatureItem,
} from '../../../chain/validate/vote.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { chainOn, checkpointOf, childOf, genesisEntry, senderAt, voteOf } from '../../tree-fixtures.ts';

const accepted = (vote: Vote) => ({ kind: 'accept', value: vote });
const ignored = (reason: string) => ({ kind: 'ignore', reason });
const targets = (certificates: readonly Certificate[]) => certificates.map(({ target }) => target.height);

test('the limits are those of docs/PROTOCOL.md', () => {
  expect(DEFAULT_AGREEMENT_LIMITS).toEqual({ maxVotesPerVoter: 1_024, window: 1_000n, evidenceDepth: 128n });
});

interface NetOptions {
  readonly electors?: number;
  readonly interval?: number;
  readonly limits?: Partial<AgreementLimits>;
}

/** genesis ─ a1 … a12, and b1 … b12 beside it; all in the tree. */
function net(options: NetOptions = {}) {
  const genesis = genesisEntry();
  const a = [genesis, ...chainOn(genesis, 12, { salt: 1 })];
  const b = [genesis, ...chainOn(genesis, 12, { salt: 2 })];
  const tree = new BlockTree([...a, ...b.slice(1)]);
  tree.setTip(a[12]!.header.id);
  const agreement = newAgreement(genesis, options);
  return { genesis, a, b, tree, agreement };
}

function newAgreement(genesis: ChainEntry, options: NetOptions = {}): Agreement {
  return new Agreement({
    electorate: Array.from({ length: options.electors ?? 4 }, (_, voter) => senderAt(voter)),
    genesis: checkpointOf(genesis),
    checkpointInterval: options.interval ?? 1,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
}

/** All these voters vote the link; the last one's outcome. */
function voteAll(
  agreement: Agreement,
  tree: BlockTree,
  voters: readonly number[],
  source: ChainEntry | Checkpoint,
  target: ChainEntry | Checkpoint,
) {
  const outcomes = voters.map((voter) => agreement.addVote(voteOf(voter, source, target), tree));
  return outcomes.at(-1)!;
}

describe('checkVoteStateless', () => {
  const { a } = net();
  const vote = voteOf(0, a[2]!, a[4]!);
  const context = { chainId: vote.chainId, checkpointInterval: 2 };

  test('VOTE-2: another chain is rejected', () => {
    const other = { ...context, chainId: '11'.repeat(32) as Vote['chainId'] };
    expect(checkVoteStateless(vote, other)).toEqual({ kind: 'reject', reason: 'vote/wrong-chain' });
    expect(checkVoteStateless(vote, context)).toEqual(accepted(vote));
  });

  test('VOTE-4: a span that does not rise, or is off the grid, is rejected', () => {
    const bad = { kind: 'reject', reason: 'vote/bad-span' };
    expect(checkVoteStateless(voteOf(0, a[4]!, a[4]!), context)).toEqual(bad);
    expect(checkVoteStateless(voteOf(0, a[4]!, a[2]!), context)).toEqual(bad);
    expect(checkVoteStateless(voteOf(0, a[2]!, a[5]!), context)).toEqual(bad);
    expect(checkVoteStateless(voteOf(0, a[1]!, a[4]!), context)).toEqual(bad);
  });

  test('VOTE-5: the signature item verifies for the signed vote and for no other', () => {
    const secretKey = new Uint8Array(32).fill(7);
    const signed = signVote({ chainId: vote.chainId, source: vote.source, target: vote.target }, secretKey);
    const other = signVote({ chainId: vote.chainId, source: vote.source, target: checkpointOf(a[6]!) }, secretKey);
    expect(nobleBackend.verify(voteSignatureItem(signed))).toBe(true);
    expect(nobleBackend.verify({ ...voteSignatureItem(signed), signature: other.signature })).toBe(false);
  });
});

describe('the two-thirds rule', () => {
  test('a supermajority is strictly more than two thirds, for 1 to 10 electors', () => {
    const quorums = Array.from({ length: 10 }, (_, i) => newAgreement(genesisEntry(), { electors: i + 1 }).quorum);
    expect(quorums).toEqual([1, 2, 3, 3, 4, 5, 5, 6, 7, 7]);
    for (const [i, quorum] of quorums.entries()) {
      expect(isSupermajority(quorum, i + 1)).toBe(true);
      expect(isSupermajority(quorum - 1, i + 1)).toBe(false);
    }
  });

  test('exactly two thirds do not agree, one more does', () => {
    const { agreement, tree, a } = net({ electors: 3 });
    expect(voteAll(agreement, tree, [0, 1], a[0]!, a[1]!).agreed).toEqual([]);
    expect(targets(voteAll(agreement, tree, [2], a[0]!, a[1]!).agreed)).toEqual([1n]);
  });

  test('an empty electorate agrees nothing', () => {
    const { agreement, tree, a } = net({ electors: 0 });
    expect(agreement.addVote(voteOf(0, a[0]!, a[1]!), tree).verdict).toEqual({
      kind: 'reject',
      reason: 'vote/not-elector',
    });
    expect(agreement.bestAgreed).toEqual(checkpointOf(a[0]!));
  });

  test('agreed, then final when its direct child is agreed from it', () => {
    const { agreement, tree, a, genesis } = net();
    expect(agreement.final).toEqual(checkpointOf(genesis));
    const first = voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    expect(targets(first.agreed)).toEqual([1n]);
    expect(first.final).toBeUndefined(); // genesis is final already
    expect(agreement.bestAgreed).toEqual(checkpointOf(a[1]!));
    const second = voteAll(agreement, tree, [1, 2, 3], a[1]!, a[2]!);
    expect(second.final).toEqual(checkpointOf(a[1]!));
    expect(agreement.final).toEqual(checkpointOf(a[1]!));
    expect(agreement.bestAgreed).toEqual(checkpointOf(a[2]!));
    expect(agreement.isAgreed(a[2]!.header.id)).toBe(true);
    expect(agreement.isAgreed(a[3]!.header.id)).toBe(false);
    const certificate = agreement.certificate(a[2]!.header.id)!;
    expect(new Set(certificate.votes.map((vote) => vote.voter))).toEqual(new Set([1, 2, 3].map(senderAt)));
  });

  test('an agreed checkpoint whose next agreed one skips a height is not final', () => {
    const { agreement, tree, a } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    const skip = voteAll(agreement, tree, [0, 1, 2], a[1]!, a[3]!);
    expect(targets(skip.agreed)).toEqual([3n]);
    expect(skip.final).toBeUndefined();
    expect(voteAll(agreement, tree, [0, 1, 2], a[3]!, a[4]!).final).toEqual(checkpointOf(a[3]!));
  });

  test('with an interval, the direct child is the next checkpoint', () => {
    const { agreement, tree, a } = net({ interval: 4 });
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[4]!);
    expect(voteAll(agreement, tree, [0, 1, 2], a[4]!, a[8]!).final).toEqual(checkpointOf(a[4]!));
  });

  test('a link counts only from an agreed source; agreeing the source later releases the votes held', () => {
    const { agreement, tree, a } = net();
    expect(voteAll(agreement, tree, [0, 1, 2], a[2]!, a[3]!).agreed).toEqual([]);
    expect(voteAll(agreement, tree, [0, 1, 2], a[1]!, a[2]!).agreed).toEqual([]);
    const outcome = voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    expect(targets(outcome.agreed)).toEqual([1n, 2n, 3n]);
    expect(outcome.final).toEqual(checkpointOf(a[2]!));
  });

  test('votes for a block that is not there yet count when it comes', () => {
    const { a, genesis } = net();
    const tree = new BlockTree([genesis]);
    const agreement = newAgreement(genesis);
    for (const voter of [0, 1, 2]) {
      const early = voteOf(voter, a[0]!, a[1]!);
      expect(agreement.addVote(early, tree).verdict).toEqual(accepted(early));
    }
    voteAll(agreement, tree, [0, 1, 2], a[1]!, a[2]!);
    expect(agreement.bestAgreed.height).toBe(0n);
    tree.add(a[1]!);
    const one = agreement.onBlock(a[1]!, tree);
    expect(targets(one.agreed)).toEqual([1n]);
    expect(agreement.onBlock(a[1]!, tree).agreed).toEqual([]);
    tree.add(a[2]!);
    expect(agreement.onBlock(a[2]!, tree).final).toEqual(checkpointOf(a[1]!));
  });

  test('split votes agree nothing, and are shown most first', () => {
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0], a[0]!, b[1]!);
    voteAll(agreement, tree, [1, 2], a[0]!, a[1]!);
    expect(agreement.votesAt(1n)).toEqual([
      {
        source: checkpointOf(a[0]!),
        target: checkpointOf(a[1]!),
        voters: [1, 2].map(senderAt),
        tallies: [{ weight: 2, total: 4 }],
      },
      {
        source: checkpointOf(a[0]!),
        target: checkpointOf(b[1]!),
        voters: [senderAt(0)],
        tallies: [{ weight: 1, total: 4 }],
      },
    ]);
    expect(agreement.votesAt(2n)).toEqual([]);
    expect(agreement.bestAgreed.height).toBe(0n);
  });

  test('FORK-2: the highest agreed checkpoint of a leaf is the one on its own chain', () => {
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    voteAll(agreement, tree, [0, 1, 2], a[1]!, a[3]!);
    expect(agreement.highestAgreed(a[12]!.header.id, tree)).toEqual(checkpointOf(a[3]!));
    expect(agreement.highestAgreed(a[3]!.header.id, tree)).toEqual(checkpointOf(a[3]!));
    expect(agreement.highestAgreed(a[2]!.header.id, tree)).toEqual(checkpointOf(a[1]!));
    expect(agreement.highestAgreed(b[12]!.header.id, tree)).toEqual(checkpointOf(a[0]!));
  });
});

describe('Agreement.addVote', () => {
  test('VOTE-3: a vote by nobody of the electorate is rejected', () => {
    const { agreement, tree, a } = net();
    const { verdict } = agreement.addVote(voteOf(4, a[0]!, a[1]!), tree);
    expect(verdict).toEqual({ kind: 'reject', reason: 'vote/not-elector' });
    expect(agreement.isElector(senderAt(3))).toBe(true);
  });

  test('VOTE-6: a known vote is ignored', () => {
    const { agreement, tree, a } = net();
    agreement.addVote(voteOf(0, a[0]!, a[1]!), tree);
    expect(agreement.addVote(voteOf(0, a[0]!, a[1]!), tree).verdict).toEqual(ignored('vote/known'));
    expect(agreement.votesAt(1n)[0]?.voters).toEqual([senderAt(0)]);
  });

  test('VOTE-7: a target at or below the final height is too old', () => {
    const { agreement, tree, a } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    voteAll(agreement, tree, [0, 1, 2], a[1]!, a[2]!);
    const late = voteOf(3, a[0]!, a[1]!);
    expect(agreement.addVote(late, tree).verdict).toEqual(ignored('vote/too-old'));
    expect(agreement.addVote(late, tree).verdict).toEqual(ignored('vote/known'));
  });

  test('VOTE-7: a target further above our tip than the window is too new', () => {
    const { agreement, tree, a } = net({ limits: { window: 5n } });
    tree.setTip(a[3]!.header.id);
    expect(agreement.addVote(voteOf(0, a[0]!, a[9]!), tree).verdict).toEqual(ignored('vote/too-new'));
    const inside = voteOf(0, a[0]!, a[8]!);
    expect(agreement.addVote(inside, tree).verdict).toEqual(accepted(inside));
  });

  test('VOTE-8: two links to one target height are evidence; the second vote is accepted, to travel once', () => {
    for (const second of [
      (n: ReturnType<typeof net>) => voteOf(0, n.a[0]!, n.b[2]!),
      (n: ReturnType<typeof net>) => voteOf(0, n.a[1]!, n.a[2]!),
    ]) {
      const setting = net();
      const { agreement, tree, a } = setting;
      const first = voteOf(0, a[0]!, a[2]!);
      agreement.addVote(first, tree);
      const twin = second(setting);
      const outcome = agreement.addVote(twin, tree);
      expect(outcome.verdict).toEqual(accepted(twin));
      expect(outcome.evidence).toEqual(makeEvidence(twin, first));
      expect(outcome.evidence?.kind).toBe('double');
      expect(agreement.evidence).toEqual([outcome.evidence]);
      expect(agreement.addVote(twin, tree).verdict).toEqual(ignored('vote/offender')); // VOTE-9
    }
  });

  test('VOTE-8: a vote that surrounds, or is surrounded by, another is evidence', () => {
    const inner = (n: ReturnType<typeof net>) => voteOf(0, n.a[2]!, n.a[3]!);
    const outer = (n: ReturnType<typeof net>) => voteOf(0, n.a[1]!, n.a[5]!);
    for (const [one, two] of [[inner, outer] as const, [outer, inner] as const]) {
      const setting = net();
      const { agreement, tree, a } = setting;
      agreement.addVote(voteOf(0, a[0]!, a[1]!), tree);
      agreement.addVote(voteOf(0, a[5]!, a[9]!), tree);
      expect(agreement.addVote(one(setting), tree).evidence).toBeUndefined();
      expect(agreement.addVote(two(setting), tree).evidence?.kind).toBe('surround');
      expect(agreement.isOffender(senderAt(0))).toBe(true);
    }
  });

  test('VOTE-8: spans that meet, overlap or share an end are no contradiction', () => {
    const { a } = net();
    const spans: [number, number][] = [
      [1, 2],
      [1, 3],
      [1, 5],
      [3, 6],
      [6, 7],
    ];
    for (const [i, one] of spans.entries()) {
      for (const two of spans.slice(i + 1)) {
        const [v, w] = [voteOf(0, a[one[0]]!, a[one[1]]!), voteOf(0, a[two[0]]!, a[two[1]]!)];
        expect(contradiction(v, w)).toBeUndefined();
        expect(contradiction(w, v)).toBeUndefined();
      }
    }
  });

  test('VOTE-8: a late twin of a vote far below the final block is still evidence', () => {
    const { agreement, tree, a, b } = net();
    for (let height = 0; height < 6; height += 1) voteAll(agreement, tree, [0, 1, 2], a[height]!, a[height + 1]!);
    expect(agreement.final.height).toBe(5n);
    const twin = voteOf(1, a[0]!, b[1]!);
    expect(agreement.addVote(twin, tree).evidence?.kind).toBe('double');
  });

  test('VOTE-9: an offender’s votes count no more, n stays, and agreed stays agreed', () => {
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    voteAll(agreement, tree, [0, 1], a[1]!, a[2]!);
    expect(agreement.addVote(voteOf(0, a[0]!, b[1]!), tree).evidence?.kind).toBe('double');
    expect(agreement.votesAt(2n)).toEqual([
      {
        source: checkpointOf(a[1]!),
        target: checkpointOf(a[2]!),
        voters: [senderAt(1)],
        tallies: [{ weight: 1, total: 4 }],
      },
    ]);
    expect(agreement.isAgreed(a[1]!.header.id)).toBe(true);
    expect(agreement.quorum).toBe(3);
    expect(voteAll(agreement, tree, [2], a[1]!, a[2]!).agreed).toEqual([]);
    expect(targets(voteAll(agreement, tree, [3], a[1]!, a[2]!).agreed)).toEqual([2n]);
  });

  test('VOTE-10: a source that is not an ancestor of the target never counts', () => {
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    const { verdict, agreed } = voteAll(agreement, tree, [0, 1, 2, 3], a[1]!, b[2]!);
    expect(verdict).toEqual(ignored('vote/not-on-chain'));
    expect(agreed).toEqual([]);
    expect(agreement.isAgreed(b[2]!.header.id)).toBe(false);
  });

  test('VOTE-10: nor does a checkpoint whose height is not its block’s', () => {
    const { agreement, tree, a } = net();
    const wrongTarget = { height: 3n, id: a[2]!.header.id };
    expect(voteAll(agreement, tree, [0, 1, 2], a[0]!, wrongTarget).verdict).toEqual(ignored('vote/not-on-chain'));
    const wrongSource = { height: 1n, id: a[0]!.header.id };
    expect(voteAll(agreement, tree, [0, 1, 2], wrongSource, a[4]!).verdict).toEqual(ignored('vote/not-on-chain'));
    expect(agreement.bestAgreed.height).toBe(0n);
  });

  test('VOTE-10: votes that waited for their block are found out when it comes', () => {
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    const late = childOf(b[12]!, { salt: 3 });
    expect(voteAll(agreement, tree, [0, 1, 2], a[1]!, late).verdict.kind).toBe('accept');
    tree.add(late);
    expect(agreement.onBlock(late, tree).agreed).toEqual([]);
    expect(agreement.votesAt(13n)[0]?.voters).toHaveLength(3);
  });

  test('keeps a bounded number of votes per voter, those with the highest targets', () => {
    const { agreement, tree, a } = net({ limits: { maxVotesPerVoter: 3 } });
    for (const height of [4, 2, 6, 8]) agreement.addVote(voteOf(0, a[0]!, a[height]!), tree);
    expect(agreement.votesFrom(0n).map((vote) => vote.target.height)).toEqual([4n, 6n, 8n]);
    expect(agreement.votesAt(2n)).toEqual([]);
    expect(agreement.addVote(voteOf(0, a[0]!, a[3]!), tree).verdict).toEqual(ignored('vote/too-old'));
    expect(agreement.votesFrom(6n).map((vote) => vote.target.height)).toEqual([6n, 8n]);
  });

  test('votes for blocks far ahead push out none of those up to now, and go first', () => {
    const { agreement, tree, a } = net({ limits: { maxVotesPerVoter: 3 } });
    const tip = a.at(-1)!;
    const ahead = chainOn(tip, 20); // of which 16 are near
    const heights = (): bigint[] => agreement.votesFrom(0n).map((vote) => vote.target.height - tip.header.height);
    for (const target of [a[4]!, a[6]!, ahead[17]!]) agreement.addVote(voteOf(0, a[0]!, target), tree);
    expect(heights()).toEqual([-8n, -6n, 18n]);
    expect(agreement.addVote(voteOf(0, a[0]!, ahead[18]!), tree).verdict).toEqual(ignored('vote/too-new'));
    expect(agreement.addVote(voteOf(0, a[0]!, a[2]!), tree).verdict.kind).toBe('accept');
    expect(heights()).toEqual([-10n, -8n, -6n]);
    expect(agreement.addVote(voteOf(0, a[0]!, ahead[16]!), tree).verdict).toEqual(ignored('vote/too-new'));
    const twin = agreement.addVote(voteOf(0, a[0]!, childOf(a[3]!, { salt: 9 })), tree);
    expect(twin.evidence?.voter).toBe(senderAt(0));
  });

  test('a full log takes the votes that come before their block, and the block is agreed', () => {
    const { agreement, tree, a } = net({ limits: { maxVotesPerVoter: 3 } });
    for (const voter of [0, 1])
      for (const height of [1, 2, 3]) agreement.addVote(voteOf(voter, a[0]!, a[height]!), tree);
    const next = childOf(a.at(-1)!, { salt: 5 });
    for (const voter of [0, 1, 2]) {
      expect(agreement.addVote(voteOf(voter, a[0]!, next), tree).verdict.kind).toBe('accept');
    }
    tree.add(next);
    expect(agreement.onBlock(next, tree).agreed.map(({ target }) => target.id)).toEqual([next.header.id]);
  });

  test('gives a few votes without a look at the many others', () => {
    const { agreement, tree, a } = net();
    let looks = 0;
    for (const voter of [0, 1]) {
      for (const height of [1, 2, 3, 4, 5, 6, 7, 8]) {
        const vote = voteOf(voter, a[0]!, a[height]!);
        const { target } = vote;
        Object.defineProperty(vote, 'target', {
          get: () => {
            looks += 1;
            return target;
          },
        });
        agreement.addVote(vote, tree);
      }
    }
    looks = 0;
    const votes = agreement.votesFrom(0n, 3);
    expect(looks).toBe(0); // kept by height: not one has to be asked
    expect(votes.map((vote) => [vote.target.height, vote.voter])).toEqual([
      [1n, senderAt(0)],
      [1n, senderAt(1)],
      [2n, senderAt(0)],
    ]);
    expect(agreement.votesFrom(0n, 0)).toEqual([]);
  });

  test('forgets votes and agreed checkpoints below the final one as it rises', () => {
    const { agreement, tree, a } = net({ limits: { evidenceDepth: 2n } });
    for (let height = 0; height < 9; height += 1) voteAll(agreement, tree, [0, 1, 2], a[height]!, a[height + 1]!);
    expect(agreement.final.height).toBe(8n);
    expect(agreement.votesFrom(0n).map((vote) => vote.target.height)[0]).toBe(6n);
    expect(agreement.votesAt(5n)).toEqual([]);
    expect(agreement.isAgreed(a[7]!.header.id)).toBe(false);
    expect(agreement.isAgreed(a[8]!.header.id)).toBe(true);
    expect(agreement.isAgreed(a[0]!.header.id)).toBe(true);
    expect(agreement.certificate(a[8]!.header.id)?.target.height).toBe(8n);
  });
});

const certify = (source: ChainEntry, target: ChainEntry, voters: readonly number[]): Certificate => ({
  source: checkpointOf(source),
  target: checkpointOf(target),
  votes: voters.map((voter) => voteOf(voter, source, target)),
});

describe('conflicting final blocks', () => {
  test('the final block does not move; both certificates are reported, once', () => {
    // Electors 0 and 1 vote on both sides.
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    voteAll(agreement, tree, [0, 1, 2], a[1]!, a[2]!);
    const theirs: Certificate = {
      source: checkpointOf(b[1]!),
      target: checkpointOf(b[2]!),
      votes: [0, 1, 3].map((voter) => voteOf(voter, b[1]!, b[2]!)),
    };
    const outcome = agreement.addCertificate(theirs, tree);
    expect(outcome.applied).toBe(false);
    expect(outcome.conflict?.theirs).toBe(theirs);
    expect(outcome.conflict?.ours?.source).toEqual(checkpointOf(a[1]!));
    expect(outcome.evidence.map(({ voter }) => voter)).toEqual([senderAt(0), senderAt(1)]);
    expect(agreement.final).toEqual(checkpointOf(a[1]!));
    expect(agreement.conflict).toBe(outcome.conflict);
    expect(agreement.addCertificate(theirs, tree).conflict).toBeUndefined();
  });

  test('found too where both sources are agreed here; the best agreed one stays on our side', () => {
    const { agreement, tree, a, b } = net();
    for (const target of [a[1]!, b[3]!]) voteAll(agreement, tree, [0, 1, 2], a[0]!, target);
    expect(agreement.bestAgreed).toEqual(checkpointOf(b[3]!));
    expect(agreement.addCertificate(certify(a[1]!, a[2]!, [0, 1, 2]), tree).final).toEqual(checkpointOf(a[1]!));
    expect(agreement.bestAgreed).toEqual(checkpointOf(a[2]!));
    const theirs = certify(b[3]!, b[4]!, [0, 1, 2]);
    expect(agreement.addCertificate(theirs, tree).conflict?.theirs).toBe(theirs);
    expect(agreement.final).toEqual(checkpointOf(a[1]!));
    expect(agreement.bestAgreed).toEqual(checkpointOf(a[2]!));
  });

  test('found by votes alone, where the other side’s votes are no twins of ours', () => {
    const { agreement, tree, a, b } = net();
    voteAll(agreement, tree, [0, 1, 2], a[0]!, a[1]!);
    voteAll(agreement, tree, [0, 1, 2], a[1]!, a[2]!);
    const { conflict } = voteAll(agreement, tree, [0, 1, 3], b[5]!, b[6]!);
    expect(conflict?.theirs.source).toEqual(checkpointOf(b[5]!));
    expect(agreement.final).toEqual(checkpointOf(a[1]!));
    expect(agreement.bestAgreed).toEqual(checkpointOf(a[2]!));
  });
});

describe('certificates', () => {
  test('agree without the votes having been heard, lowest first', () => {
    const { agreement, tree, a } = net();
    const second = certify(a[1]!, a[2]!, [0, 1, 2]);
    expect(agreement.addCertificate(second, tree)).toMatchObject({ applied: false, agreed: [] });
    const first = agreement.addCertificate(certify(a[0]!, a[1]!, [1, 2, 3]), tree);
    expect(first.applied).toBe(true);
    expect(targets(first.agreed)).toEqual([1n, 2n]); // the second one's votes were held
    expect(agreement.final.height).toBe(1n);
    expect(agreement.addCertificate(second, tree)).toMatchObject({ applied: true, agreed: [] });
  });

  test('count a known offender’s vote: others agreed by it before they knew', () => {
    const { agreement, tree, a, b } = net();
    agreement.addVote(voteOf(0, a[0]!, b[3]!), tree);
    agreement.addVote(voteOf(0, a[0]!, a[3]!), tree);
    expect(agreement.isOffender(senderAt(0))).toBe(true);
    expect(targets(agreement.addCertificate(certify(a[0]!, a[1]!, [0, 1, 2]), tree).agreed)).toEqual([1n]);
  });

  test('count electors only, each once, and only votes for their own link', () => {
    for (const votes of [
      ({ a }: ReturnType<typeof net>) => [4, 5, 6, 7].map((stranger) => voteOf(stranger, a[0]!, a[1]!)),
      ({ a }: ReturnType<typeof net>) => [0, 1, 4].map((voter) => voteOf(voter, a[0]!, a[1]!)),
      ({ a }: ReturnType<typeof net>) => [0, 1, 1, 1].map((voter) => voteOf(voter, a[0]!, a[1]!)),
      ({ a, b }: ReturnType<typeof net>) => [voteOf(2, a[0]!, b[1]!), ...certify(a[0]!, a[1]!, [0, 1]).votes],
      ({ a }: ReturnType<typeof net>) => [
        voteOf(2, a[0]!, { height: 2n, id: a[1]!.header.id }),
        ...certify(a[0]!, a[1]!, [0, 1]).votes,
      ],
    ]) {
      const setting = net();
      const { agreement, tree, a } = setting;
      const outcome = agreement.addCertificate({ ...certify(a[0]!, a[1]!, []), votes: votes(setting) }, tree);
      expect(outcome).toMatchObject({ applied: false, agreed: [] });
      expect(agreement.isAgreed(a[1]!.header.id)).toBe(false);
    }
    const { agreement, tree, a } = net();
    const padded = [...certify(a[0]!, a[1]!, [0, 1, 2]).votes, voteOf(9, a[0]!, a[1]!)];
    const outcome = agreement.addCertificate({ ...certify(a[0]!, a[1]!, []), votes: padded }, tree);
    expect(outcome.agreed[0]?.votes.map(({ voter }) => voter)).toEqual([0, 1, 2].map(senderAt));
  });

  test('prove nothing before their blocks are here', () => {
    const { a, genesis } = net();
    const agreement = newAgreement(genesis);
    const tree = new BlockTree([genesis]);
    expect(agreement.addCertificate(certify(a[0]!, a[1]!, [0, 1, 2]), tree).applied).toBe(false);
    tree.add(a[1]!);
    expect(targets(agreement.onBlock(a[1]!, tree).agreed)).toEqual([1n]);
  });

  test('checkCertificate names what is wrong', () => {
    const { a } = net();
    const good = certify(a[0]!, a[1]!, [0, 1, 2]);
    const context = {
      chainId: good.votes[0]!.chainId,
      checkpointInterval: 1,
      electorates: newAgreement(a[0]!).inForce,
    };
    const withVotes = (...votes: Vote[]) => checkCertificate({ ...good, votes }, context);
    const [v, w, x] = good.votes as [Vote, Vote, Vote];
    expect(checkCertificate(good, context)).toBeUndefined();
    expect(withVotes(v, w)).toBe('not more than two thirds');
    expect(withVotes(v, w, w)).toBe('a voter appears twice');
    expect(withVotes(v, w, voteOf(2, a[0]!, a[2]!))).toBe('a vote is for another link');
    expect(withVotes(v, w, voteOf(4, a[0]!, a[1]!))).toBe('vote/not-elector');
    expect(withVotes(v, w, voteOf(2, a[0]!, { height: 2n, id: a[1]!.header.id }))).toBe('heights differ');
    expect(withVotes(v, w, { ...x, chainId: '22'.repeat(32) as Vote['chainId'] })).toBe('vote/wrong-chain');
  });
});

describe('evidence from elsewhere', () => {
  test('EVID-3, EVID-6: is taken once for each elector', () => {
    const { agreement, tree, a, b } = net();
    const [first, second, fine] = [voteOf(0, a[0]!, a[2]!), voteOf(0, a[0]!, b[2]!), voteOf(0, a[2]!, a[3]!)];
    const evidence = makeEvidence(first, second)!;
    const stranger = makeEvidence(voteOf(9, a[0]!, a[2]!), voteOf(9, a[0]!, b[2]!))!;
    const before = agreement.offendersDigest;
    expect(agreement.addEvidence(stranger)).toEqual({ kind: 'reject', reason: 'evidence/not-elector' }); // EVID-3
    expect(agreement.offendersDigest).toEqual(before);
    expect(agreement.addEvidence(evidence)).toEqual({ kind: 'accept', value: evidence });
    expect(agreement.addEvidence(evidence)).toEqual(ignored('evidence/known')); // EVID-6
    const other = makeEvidence(voteOf(0, a[0]!, a[4]!), voteOf(0, a[1]!, a[3]!))!;
    expect(agreement.addEvidence(other)).toEqual(ignored('evidence/known')); // one for each voter
    expect(agreement.evidence).toEqual([evidence]);
    expect(agreement.offendersDigest).not.toEqual(before);
    expect(agreement.addVote(fine, tree).verdict).toEqual(ignored('vote/offender'));
  });
});

describe('Agreement.restore', () => {
  test('takes up agreed, final, votes and offenders, and agrees what the votes say beyond the certificates', () => {
    const { agreement, tree, a, b, genesis } = net();
    const certificates = [0, 1, 2].flatMap(
      (height) => voteAll(agreement, tree, [0, 1, 2], a[height]!, a[height + 1]!).agreed,
    );
    expect(agreement.addVote(voteOf(0, a[2]!, b[3]!), tree).evidence?.kind).toBe('double');
    const snapshot = {
      certificates: certificates.slice(1),
      final: agreement.final,
      votes: [...agreement.votesFrom(0n), ...[1, 2, 3].map((voter) => voteOf(voter, a[3]!, a[4]!))],
      evidence: agreement.evidence,
    };
    const restored = newAgreement(genesis);
    const update = restored.restore(snapshot, tree);
    expect(targets(update.agreed)).toEqual([4n]);
    expect(update.final).toEqual(checkpointOf(a[3]!));
    expect(restored.bestAgreed).toEqual(checkpointOf(a[4]!));
    expect(restored.evidence).toEqual(agreement.evidence);
    expect(restored.certificate(a[3]!.header.id)).toEqual(certificates[2]);
    expect(restored.highestAgreed(a[12]!.header.id, tree)).toEqual(checkpointOf(a[4]!));
  });

  test('a final block without its certificate is agreed all the same', () => {
    const { tree, a, genesis } = net();
    const restored = newAgreement(genesis);
    restored.restore({ certificates: [], final: checkpointOf(a[5]!), votes: [], evidence: [] }, tree);
    expect(restored.final).toEqual(checkpointOf(a[5]!));
    expect(restored.isAgreed(a[5]!.header.id)).toBe(true);
    expect(targets(voteAll(restored, tree, [0, 1, 2], a[5]!, a[6]!).agreed)).toEqual([6n]);
  });
});
