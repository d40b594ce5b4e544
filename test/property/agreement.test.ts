import { describe, expect, test } from 'vitest';
import { Agreement } from '../../chain/agreement.ts';
import { BlockTree } from '../../chain/block-tree.ts';
import { chooseTip } from '../../chain/fork-choice.ts';
import type { VoteGuardLike } from '../../chain/plan-vote.ts';
import { planVote } from '../../chain/plan-vote.ts';
import type { BlockId, ChainEntry, Vote } from '../../chain/types.ts';
import { contradiction } from '../../chain/validate/vote.ts';
import type { Address } from '../../crypto/address.ts';
import { fc } from '../fast-check.ts';
import { chainOn, checkpointOf, childOf, genesisEntry, senderAt, voteOf } from '../tree-fixtures.ts';

const GENESIS = genesisEntry();

function newView(voters: number, checkpointInterval: number) {
  const tree = new BlockTree([GENESIS]);
  const agreement = new Agreement({
    electorate: Array.from({ length: voters }, (_, voter) => senderAt(voter)),
    genesis: checkpointOf(GENESIS),
    checkpointInterval,
  });
  return { tree, agreement };
}
type View = ReturnType<typeof newView>;

function addBlock(view: View, entry: ChainEntry): void {
  if (!view.tree.add(entry)) return;
  view.agreement.onBlock(entry, view.tree);
}

/** A block with whatever of its ancestors is missing. */
function addBranch(view: View, entry: ChainEntry, byId: ReadonlyMap<BlockId, ChainEntry>): void {
  const missing: ChainEntry[] = [];
  for (let at: ChainEntry | undefined = entry; at && !view.tree.has(at.header.id); at = byId.get(at.header.parent)) {
    missing.push(at);
  }
  for (const one of missing.reverse()) addBlock(view, one);
}

/** A set of voters, as bits; mostly empty. */
const few = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(127) });

/** One round: somebody mines on its own tip; then each hears the news, unless deaf, and votes, unless mute. */
interface Round {
  readonly miner: number;
  readonly deaf: number;
  readonly mute: number;
  /** The vote that stands this far from the last one does not get through yet. */
  readonly late: number;
}
const world: fc.Arbitrary<Round[]> = fc.array(
  fc.record({ miner: fc.nat(100), deaf: few, mute: few, late: fc.nat(3) }),
  { minLength: 5, maxLength: 20 },
);

interface World {
  readonly blocks: ChainEntry[];
  readonly byId: Map<BlockId, ChainEntry>;
  readonly votes: Vote[];
}

/** Honest voters with views of their own: what one knows reaches another only when it hears of it. */
function simulate(rounds: readonly Round[], honest: number, voters: number, interval: number): World {
  const views = Array.from({ length: honest }, () => newView(voters, interval));
  const guards: (VoteGuardLike | undefined)[] = Array.from({ length: honest }, () => undefined);
  const blocks: ChainEntry[] = [];
  const byId = new Map([[GENESIS.header.id, GENESIS]]);
  const votes: Vote[] = [];
  const follow = ({ tree, agreement }: View) => {
    const highestAgreed = (leaf: ChainEntry) => agreement.highestAgreed(leaf.header.id, tree).height;
    tree.setTip(chooseTip(tree, { final: agreement.final, highestAgreed }).header.id);
  };
  const vote = (voter: number, view: View) => {
    const plan = planVote({ ...view, tip: view.tree.tip, guard: guards[voter] });
    if (plan === undefined) return;
    guards[voter] = { sourceHeight: plan.source.height, targetHeight: plan.target.height };
    votes.push(voteOf(voter, plan.source, plan.target));
    view.agreement.addVote(votes.at(-1)!, view.tree);
    follow(view);
  };
  for (const [salt, { miner, deaf, mute, late }] of rounds.entries()) {
    const mining = views[miner % honest]!;
    const block = childOf(mining.tree.tip, { salt });
    blocks.push(block);
    byId.set(block.header.id, block);
    addBlock(mining, block);
    for (const [voter, view] of views.entries()) {
      if (((deaf >> voter) & 1) === 1) continue;
      for (const heard of blocks) addBranch(view, heard, byId);
      for (const [i, heard] of votes.entries()) if (i !== votes.length - late) view.agreement.addVote(heard, view.tree);
      follow(view);
      if (((mute >> voter) & 1) === 0) vote(voter, view);
    }
  }
  return { blocks, byId, votes };
}

type Item = { readonly block: ChainEntry } | { readonly vote: Vote };

/** Delivers in the order of `keys`; a block brings its ancestors along. */
function deliver(view: View, items: readonly Item[], keys: readonly number[], byId: World['byId']): View {
  const order = items.map((item, i) => ({ item, key: keys[i % keys.length]! * 31 + ((i * 7919) % 31) }));
  order.sort((a, b) => a.key - b.key);
  for (const { item } of order) {
    if ('block' in item) addBranch(view, item.block, byId);
    else view.agreement.addVote(item.vote, view.tree);
  }
  return view;
}

const keys = fc.array(fc.nat(1000), { minLength: 30, maxLength: 60 });
const itemsOf = (made: World): Item[] => [
  ...made.blocks.map((block) => ({ block })),
  ...made.votes.map((vote) => ({ vote })),
];

describe('Agreement, honest voters', () => {
  test('any order of the same blocks and votes gives the same agreed and final', () => {
    let finals = 0;
    fc.assert(
      fc.property(
        world,
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(1, 2),
        keys,
        keys,
        (steps, n, every, one, two) => {
          const made = simulate(steps, n, n, every);
          const items = itemsOf(made);
          const a = deliver(newView(n, every), items, one, made.byId).agreement;
          const b = deliver(newView(n, every), items, two, made.byId).agreement;
          expect(a.final).toEqual(b.final);
          expect(a.bestAgreed).toEqual(b.bestAgreed);
          expect(a.evidence).toEqual([]);
          expect(b.evidence).toEqual([]);
          for (const { header } of made.blocks) {
            if (header.height >= a.final.height) expect(a.isAgreed(header.id)).toBe(b.isAgreed(header.id));
          }
          if (a.final.height > 0n) finals += 1;
        },
      ),
      { numRuns: 150 },
    );
    expect(finals).toBeGreaterThan(30); // the worlds are not trivial
  });

  test('planned votes never contradict each other', () => {
    fc.assert(
      fc.property(world, fc.integer({ min: 1, max: 4 }), (steps, n) => {
        const { votes } = simulate(steps, n, n, 1);
        for (const [i, vote] of votes.entries()) {
          for (const other of votes.slice(0, i)) expect(contradiction(vote, other)).toBeUndefined();
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('Agreement, fewer than a third equivocating', () => {
  test('two nodes that hear different votes in different orders never have conflicting final blocks', () => {
    let finals = 0;
    fc.assert(
      fc.property(world, fc.constantFrom(4, 5, 7), keys, keys, fc.nat(1000), (steps, n, one, two, drop) => {
        const faulty = Math.ceil(n / 3) - 1;
        const made = simulate(steps, n - faulty, n, 1);
        const path = new BlockTree([GENESIS, ...made.blocks]);
        // The faulty ones vote for every link that somebody honest voted for, and for every direct one.
        const links = [
          ...made.votes.map(({ source, target }) => ({ source, target })),
          ...made.blocks.map((block) => ({
            source: checkpointOf(path.get(block.header.parent)!),
            target: checkpointOf(block),
          })),
        ];
        const bad = links.flatMap(({ source, target }) =>
          Array.from({ length: faulty }, (_, i) => voteOf(n - 1 - i, source, target)),
        );
        const items: Item[] = [...itemsOf(made), ...bad.map((vote) => ({ vote }))];
        const heardBy = (parity: number) =>
          items.filter((item, i) => 'block' in item || (i * 31 + drop) % 23 !== parity);
        const a = deliver(newView(n, 1), heardBy(0), one, made.byId).agreement;
        const b = deliver(newView(n, 1), heardBy(1), two, made.byId).agreement;
        const [low, high] = a.final.height < b.final.height ? [a.final, b.final] : [b.final, a.final];
        expect(path.isAncestor(low.id, high.id)).toBe(true);
        expect(a.conflict ?? b.conflict).toBeUndefined();
        for (const { voter } of [...a.evidence, ...b.evidence]) {
          expect(Array.from({ length: faulty }, (_, i) => senderAt(n - 1 - i))).toContain(voter);
        }
        if (high.height > 0n) finals += 1;
      }),
      { numRuns: 150 },
    );
    expect(finals).toBeGreaterThan(15);
  });
});

describe('Agreement, a third or more equivocating', () => {
  test('where final blocks conflict, the votes brought together name a third of the electorate, all guilty', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 10 }),
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 2, max: 6 }),
        fc.nat(1),
        keys,
        (n, lengthA, lengthB, skip, order) => {
          const quorum = Math.floor((2 * n) / 3) + 1;
          const onBoth = 2 * quorum - n;
          const chains = [chainOn(GENESIS, lengthA, { salt: 1 }), chainOn(GENESIS, lengthB + skip, { salt: 2 })];
          const byId = new Map([GENESIS, ...chains.flat()].map((entry) => [entry.header.id, entry]));
          const sides = chains.map((chain, side) => {
            const voters = Array.from({ length: quorum }, (_, i) => (i < onBoth ? i : i + side * (quorum - onBoth)));
            // Side B may skip its first height, so that some of its links surround instead of doubling.
            const path = [GENESIS, ...chain.slice(side === 1 ? skip : 0)];
            return path.slice(1).flatMap((target, i) => voters.map((voter) => voteOf(voter, path[i]!, target)));
          });
          const views = sides.map((votes) => {
            const view = newView(n, 1);
            for (const entry of chains.flat()) addBlock(view, entry);
            for (const vote of votes) view.agreement.addVote(vote, view.tree);
            return view;
          });
          const [a, b] = views.map((view) => view.agreement) as [Agreement, Agreement];
          const { tree } = views[0]!;
          expect(tree.isAncestor(a.final.id, b.final.id) || tree.isAncestor(b.final.id, a.final.id)).toBe(false);
          const before = a.final;
          deliver(
            views[0]!,
            sides[1]!.map((vote) => ({ vote })),
            order,
            byId,
          );
          expect(a.final).toEqual(before);
          expect(3 * a.evidence.length).toBeGreaterThanOrEqual(n);
          const guilty = Array.from({ length: onBoth }, (_, i) => senderAt(i));
          for (const { voter } of a.evidence) expect(guilty).toContain(voter);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('Agreement, votes that are given to peers', () => {
  const VOTERS = 4;
  const LENGTH = 12;
  const LIMITS = { maxVotesPerVoter: 4, evidenceDepth: 2n };
  const main = [GENESIS, ...chainOn(GENESIS, LENGTH, { salt: 1 })];
  const fork = [...main.slice(0, 4), ...chainOn(main[3]!, LENGTH - 3, { salt: 2 })];

  const cast = fc.record({
    voter: fc.nat(VOTERS - 1),
    ahead: fc.nat(2),
    span: fc.oneof({ weight: 19, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) }),
    isOnFork: fc.oneof({ weight: 19, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  });

  /** The votes that an agreement keeps, each voter's in a list: sorted anew for whoever asks. */
  class Kept {
    readonly #lists = new Map<Address, Vote[]>();

    add(vote: Vote, agreement: Agreement, tree: BlockTree): void {
      const { final } = agreement;
      if (agreement.isOffender(vote.voter)) return;
      const list = this.#lists.get(vote.voter) ?? [];
      this.#lists.set(vote.voter, list);
      const fits =
        list.length < LIMITS.maxVotesPerVoter || list.some(({ target }) => target.height < vote.target.height);
      const isLate = vote.target.height <= final.height && vote.target.height >= final.height - LIMITS.evidenceDepth;
      const { verdict, evidence } = agreement.addVote(vote, tree);
      const reason = verdict.kind === 'accept' ? undefined : verdict.reason;
      const isKept = reason === undefined || reason === 'vote/not-on-chain' || (reason === 'vote/too-old' && isLate);
      if (evidence !== undefined) this.#lists.delete(vote.voter);
      else if (isKept && fits) {
        list.push(vote);
        list.sort(byTarget);
        if (list.length > LIMITS.maxVotesPerVoter) list.shift();
      }
      if (agreement.final === final) return;
      for (const [voter, votes] of this.#lists) {
        const left = votes.filter(({ target }) => target.height >= agreement.final.height - LIMITS.evidenceDepth);
        if (left.length === 0) this.#lists.delete(voter);
        else this.#lists.set(voter, left);
      }
    }

    from(height: bigint): Vote[] {
      const all = [...this.#lists.values()].flat();
      return all.filter(({ target }) => target.height >= height).sort(byTarget);
    }
  }

  function byTarget(a: Vote, b: Vote): number {
    return Number(a.target.height - b.target.height);
  }

  test('are the first of all that are kept, sorted by height', () => {
    let finals = 0;
    let offenders = 0;
    fc.assert(
      fc.property(
        fc.array(cast, { maxLength: 100, size: 'max' }),
        fc.nat(LENGTH + 1),
        fc.nat(20),
        (casts, fromHeight, limit) => {
          const tree = new BlockTree([GENESIS, ...main.slice(1), ...fork.slice(4)]);
          const agreement = new Agreement({
            electorate: Array.from({ length: VOTERS }, (_, voter) => senderAt(voter)),
            genesis: checkpointOf(GENESIS),
            checkpointInterval: 1,
            limits: LIMITS,
          });
          const kept = new Kept();
          for (const [i, { voter, ahead, span, isOnFork }] of casts.entries()) {
            const height = Math.min(LENGTH, 1 + Math.floor(i / 8) + ahead);
            const chain = isOnFork ? fork : main;
            kept.add(voteOf(voter, chain[Math.max(0, height - span)]!, chain[height]!), agreement, tree);
          }
          const from = BigInt(fromHeight);
          expect(agreement.votesFrom(0n).map(({ id }) => id)).toEqual(kept.from(0n).map(({ id }) => id));
          expect(agreement.votesFrom(from, limit).map(({ id }) => id)).toEqual(
            kept
              .from(from)
              .slice(0, limit)
              .map(({ id }) => id),
          );
          if (agreement.final.height > 0n) finals += 1;
          offenders += agreement.evidence.length;
        },
      ),
      { numRuns: 300 },
    );
    expect(finals).toBeGreaterThan(20);
    expect(offenders).toBeGreaterThan(20);
  });
});
