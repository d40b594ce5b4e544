import { describe, expect, test } from 'vitest';
import { Agreement } from '../../chain/agreement.ts';
import { BlockTree } from '../../chain/block-tree.ts';
import { type ElectorateRule, Electorates } from '../../chain/electorate.ts';
import { chooseTip } from '../../chain/fork-choice.ts';
import { planVote, type VoteGuardLike } from '../../chain/plan-vote.ts';
import type { BlockId, ChainEntry, Vote } from '../../chain/types.ts';
import { contradiction } from '../../chain/validate/vote.ts';
import { fc } from '../fast-check.ts';
import { checkpointOf, childOf, genesisEntry, senderAt, voteOf } from '../tree-fixtures.ts';

const GENESIS = genesisEntry();

interface Net {
  readonly rule: ElectorateRule;
  readonly interval: number;
  /** Keys 0 to founders − 1 are the voters of the genesis. */
  readonly founders: number;
  /** Keys 0 to honest − 1 keep the rules, the rest do not. */
  readonly honest: number;
  readonly keys: number;
}

const foundersOf = (net: Net) => Array.from({ length: net.founders }, (_, i) => senderAt((i * 2) % net.keys));

function newView(net: Net) {
  const tree = new BlockTree([GENESIS]);
  const agreement = new Agreement({
    electorate: foundersOf(net),
    rule: net.rule,
    genesis: checkpointOf(GENESIS),
    checkpointInterval: net.interval,
  });
  return { tree, agreement };
}
type View = ReturnType<typeof newView>;

function addBranch(view: View, entry: ChainEntry, byId: ReadonlyMap<BlockId, ChainEntry>): void {
  const missing: ChainEntry[] = [];
  for (let at: ChainEntry | undefined = entry; at && !view.tree.has(at.header.id); at = byId.get(at.header.parent)) {
    missing.push(at);
  }
  for (const one of missing.reverse()) if (view.tree.add(one)) view.agreement.onBlock(one, view.tree);
}

function follow({ tree, agreement }: View): void {
  const highestAgreed = (leaf: ChainEntry) => agreement.highestAgreed(leaf.header.id, tree).height;
  tree.setTip(chooseTip(tree, { final: agreement.final, highestAgreed }).header.id);
}

/** A set of keys, as bits; mostly empty. */
const few = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(511) });

/** One round: somebody mines on the tip of an honest view; each hears the news, unless deaf, and votes, unless mute. */
interface Round {
  readonly miner: number;
  readonly on: number;
  readonly deaf: number;
  readonly mute: number;
  readonly late: number;
}
const rounds = (maxLength: number): fc.Arbitrary<Round[]> =>
  fc.array(
    fc.record({
      // Few miners at a time and others later: the electorate changes all through.
      miner: fc.nat(1000),
      on: fc.nat(100),
      deaf: few,
      mute: few,
      late: fc.nat(3),
    }),
    { minLength: 8, maxLength },
  );
const netOf = (faulty: boolean): fc.Arbitrary<Net> =>
  fc
    .record({
      window: fc.integer({ min: 2, max: 8 }),
      interval: fc.constantFrom(1, 1, 2),
      keys: fc.integer({ min: 4, max: 9 }),
      share: fc.integer({ min: 1, max: 3 }),
    })
    .map(({ window, interval, keys, share }) => ({
      rule: { kind: 'miners', window } as const,
      interval,
      founders: Math.min(keys, 4),
      keys,
      honest: faulty ? keys - Math.min(share, Math.floor(keys / 2)) : keys,
    }));

/** Honest miners and voters with views of their own, and faulty ones whose blocks never make a third of a set. */
class Simulation {
  readonly net: Net;
  readonly views: readonly View[];
  readonly blocks: ChainEntry[] = [];
  readonly byId = new Map<BlockId, ChainEntry>([[GENESIS.header.id, GENESIS]]);
  readonly votes: Vote[] = [];
  readonly world = new BlockTree([GENESIS]);
  readonly #guards: (VoteGuardLike | undefined)[];
  readonly #electorates: Electorates;

  constructor(net: Net) {
    this.net = net;
    this.views = Array.from({ length: net.honest }, () => newView(net));
    this.#guards = this.views.map(() => undefined);
    this.#electorates = new Electorates(net.rule, foundersOf(net), checkpointOf(GENESIS));
  }

  /** Whether the faulty keys have less than a third of the weight as of a block. */
  isSound(entry: ChainEntry): boolean {
    const at = checkpointOf(entry);
    const [electorate] = this.#electorates.inForce({ rear: at, forward: at }, this.world);
    let faulty = 0;
    for (let key = this.net.honest; key < this.net.keys; key += 1)
      faulty += electorate!.weights.get(senderAt(key)) ?? 0;
    return 3 * faulty < electorate!.total;
  }

  run(steps: readonly Round[]): void {
    for (const { miner, on, deaf, mute, late } of steps) {
      const { keys, honest } = this.net;
      this.mine(miner % keys, on % honest) || this.mine(miner % honest, on % honest);
      for (const [key, view] of this.views.entries()) {
        if (((deaf >> key) & 1) === 1) continue;
        for (const heard of this.blocks) addBranch(view, heard, this.byId);
        for (const [i, heard] of this.votes.entries()) {
          if (i !== this.votes.length - late) view.agreement.addVote(heard, view.tree);
        }
        follow(view);
        if (((mute >> key) & 1) === 0) this.vote(key, view);
      }
    }
  }

  /** Everybody hears everything at once; the miner is one of the honest. */
  runCalmly(miners: readonly number[]): void {
    for (const miner of miners) {
      this.mine(miner % this.net.honest, miner % this.net.honest);
      for (let pass = 0; pass < 2; pass += 1) {
        for (const [key, view] of this.views.entries()) {
          for (const heard of this.blocks) addBranch(view, heard, this.byId);
          for (const heard of this.votes) view.agreement.addVote(heard, view.tree);
          follow(view);
          if (pass === 0) this.vote(key, view);
        }
      }
    }
  }

  mine(miner: number, on: number): boolean {
    const view = this.views[on]!;
    const block = childOf(view.tree.tip, { salt: this.blocks.length + 1, miner: senderAt(miner) });
    this.world.add(block);
    if (!this.isSound(block)) return false;
    this.blocks.push(block);
    this.byId.set(block.header.id, block);
    addBranch(view, block, this.byId);
    return true;
  }

  vote(key: number, view: View): void {
    const voter = senderAt(key);
    const plan = planVote({
      ...view,
      tip: view.tree.tip,
      guard: this.#guards[key],
      voter,
    });
    if (plan === undefined) return;
    this.#guards[key] = { sourceHeight: plan.source.height, targetHeight: plan.target.height };
    this.votes.push(voteOf(key, plan.source, plan.target));
    view.agreement.addVote(this.votes.at(-1)!, view.tree);
    follow(view);
  }
}

type Item = { readonly block: ChainEntry } | { readonly vote: Vote };

/** Delivers in the order of `keys`; a block brings its ancestors along. */
function deliver(view: View, items: readonly Item[], order: readonly number[], byId: Simulation['byId']): View {
  const keyed = items.map((item, i) => ({ item, key: order[i % order.length]! * 31 + ((i * 7919) % 31) }));
  keyed.sort((a, b) => a.key - b.key);
  for (const { item } of keyed) {
    if ('block' in item) addBranch(view, item.block, byId);
    else view.agreement.addVote(item.vote, view.tree);
  }
  return view;
}

const orders = fc.array(fc.nat(1000), { minLength: 30, maxLength: 60 });
const isOneChain = (tree: BlockTree, a: Agreement, b: Agreement): boolean =>
  tree.isAncestor(a.final.id, b.final.id) || tree.isAncestor(b.final.id, a.final.id);

describe('honest miners', () => {
  test('planned votes never contradict each other, and any order of them gives the same agreed and final', () => {
    let handovers = 0;
    fc.assert(
      fc.property(netOf(false), rounds(25), orders, orders, (net, steps, one, two) => {
        const made = new Simulation(net);
        made.run(steps);
        for (const [i, vote] of made.votes.entries()) {
          for (const other of made.votes.slice(0, i)) expect(contradiction(vote, other)).toBeUndefined();
        }
        const views = [one, two].map((order) => {
          const view = newView(net);
          for (const block of made.blocks) addBranch(view, block, made.byId);
          const votes = made.votes.map((vote) => ({ vote }));
          return deliver(view, votes, order, made.byId).agreement;
        });
        const [a, b] = views as [Agreement, Agreement];
        expect(a.final).toEqual(b.final);
        expect(a.bestAgreed).toEqual(b.bestAgreed);
        expect(a.inForce).toEqual(b.inForce);
        expect([...a.evidence, ...b.evidence]).toEqual([]);
        if (a.inForce[0]!.asOf.height > 0n) handovers += 1;
      }),
      { numRuns: 120 },
    );
    expect(handovers).toBeGreaterThan(30); // the worlds are not trivial
  });

  test('live: in calm every checkpoint is agreed, and final with the next one, whoever mines', () => {
    fc.assert(
      fc.property(netOf(false), fc.array(fc.nat(1000), { minLength: 6, maxLength: 25 }), (net, miners) => {
        const made = new Simulation(net);
        made.runCalmly(miners);
        const tip = made.world.leaves().length === 1 ? made.blocks.at(-1)!.header.height : 0n;
        expect(tip).toBe(BigInt(miners.length));
        const interval = BigInt(net.interval);
        for (const { agreement } of made.views) {
          expect(agreement.bestAgreed.height).toBe(tip - (tip % interval));
          expect(agreement.final.height).toBe(agreement.bestAgreed.height - interval);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('live again: after any disorder, agreement resumes when all hear each other', () => {
    fc.assert(
      fc.property(netOf(false), rounds(15), (net, steps) => {
        const made = new Simulation(net);
        made.run(steps);
        made.runCalmly(Array.from({ length: 5 * net.interval }, (_, i) => i));
        const tip = made.views[0]!.tree.tip.header.height;
        for (const { agreement } of made.views) {
          expect(tip - agreement.final.height).toBeLessThan(2n * BigInt(net.interval) + 1n);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('less than a third of each electorate faulty', () => {
  test('two nodes that hear different votes in different orders never have conflicting final blocks', () => {
    let finals = 0;
    let handovers = 0;
    fc.assert(
      fc.property(netOf(true), rounds(25), orders, orders, fc.nat(1000), (net, steps, one, two, drop) => {
        const made = new Simulation(net);
        fc.pre(made.isSound(GENESIS));
        made.run(steps);
        const { world } = made;
        // The faulty ones vote for every link that somebody honest voted for, for every direct one, and across.
        const grid = made.blocks.filter(({ header }) => header.height % BigInt(net.interval) === 0n);
        const links = [
          ...made.votes.map(({ source, target }) => ({ source, target })),
          ...grid.flatMap((block) => {
            const { height, id } = block.header;
            const below = [1n, 2n, 3n].map((back) => world.ancestorAt(id, height - back * BigInt(net.interval)));
            return below.flatMap((source) =>
              source === undefined ? [] : [{ source: checkpointOf(source), target: checkpointOf(block) }],
            );
          }),
        ];
        const faulty = Array.from({ length: net.keys - net.honest }, (_, i) => net.honest + i);
        const bad = links.flatMap(({ source, target }) => faulty.map((key) => voteOf(key, source, target)));
        const items: Item[] = [
          ...made.blocks.map((block) => ({ block })),
          ...[...made.votes, ...bad].map((vote) => ({ vote })),
        ];
        const heardBy = (parity: number) =>
          items.filter((item, i) => 'block' in item || (i * 31 + drop) % 23 !== parity);
        const a = deliver(newView(net), heardBy(0), one, made.byId).agreement;
        const b = deliver(newView(net), heardBy(1), two, made.byId).agreement;
        const all = [a, b, ...made.views.map(({ agreement }) => agreement)];
        for (const [i, x] of all.entries()) {
          for (const y of all.slice(0, i)) expect(isOneChain(world, x, y)).toBe(true);
          expect(x.conflict).toBeUndefined();
          for (const { voter } of x.evidence) expect(faulty.map(senderAt)).toContain(voter);
        }
        if (all.some(({ final }) => final.height > 0n)) finals += 1;
        if (all.some(({ inForce }) => (inForce[0]?.asOf.height ?? 0n) > 0n)) handovers += 1;
      }),
      { numRuns: 250 },
    );
    expect(finals).toBeGreaterThan(60);
    expect(handovers).toBeGreaterThan(60);
  });
});

/**
 * The adversary decides who hears what, and when, and so which votes are cast: any that a voter's guard allows, from
 * any source that is agreed on its branch. Voters of one branch are heard on that branch only. That is all that safety
 * may rest on, so wherever an electorate lets go too early, final blocks come to conflict here.
 */
function playAdversary(setting: {
  readonly window: number;
  readonly prefix: number;
  readonly group: number;
  /** `source`: the how-many-th from the top; `absent`: groups that do not vote, as bits. */
  readonly steps: readonly (readonly [side: number, source: number, ahead: number, absent: number])[];
}): { readonly finals: readonly bigint[]; readonly isOneChain: boolean } {
  const { window, prefix, group, steps } = setting;
  const LENGTH = 12;
  // Groups of their own for founders, prefix, and each branch; the last key of each group is faulty.
  const keysOf = (index: number) => Array.from({ length: group }, (_, i) => index * group + i);
  const isFaulty = (key: number) => group > 3 && key % group === group - 1;
  const founders = keysOf(0).map(senderAt);
  const electorates = new Electorates({ kind: 'miners', window }, founders, checkpointOf(GENESIS));
  const world = new BlockTree([GENESIS]);
  const isSound = (entry: ChainEntry): boolean => {
    const at = checkpointOf(entry);
    const { weights, total } = electorates.inForce({ rear: at, forward: at }, world)[0]!;
    let faulty = 0;
    for (let key = 0; key < 4 * group; key += 1) if (isFaulty(key)) faulty += weights.get(senderAt(key)) ?? 0;
    return 3 * faulty < total;
  };
  const grow = (from: ChainEntry, length: number, miners: readonly number[], salt: number): ChainEntry[] => {
    const entries: ChainEntry[] = [];
    for (let i = 0; i < length; i += 1) {
      const parent = entries.at(-1) ?? from;
      let block = childOf(parent, { miner: senderAt(miners[i % miners.length]!), salt });
      world.add(block);
      if (!isSound(block)) {
        block = childOf(parent, { miner: senderAt(miners[0]!), salt: salt + 100 });
        world.add(block);
      }
      entries.push(block);
    }
    return entries;
  };
  const common = [GENESIS, ...grow(GENESIS, prefix, keysOf(1), 1)];
  const branches = [2, 3].map((index) => [...common, ...grow(common.at(-1)!, LENGTH, keysOf(index), index)]);
  const views = branches.map((branch) => {
    const tree = new BlockTree(branch);
    const agreement = new Agreement({
      electorate: founders,
      rule: { kind: 'miners', window },
      genesis: checkpointOf(GENESIS),
      checkpointInterval: 1,
    });
    for (const entry of branch) agreement.onBlock(entry, tree);
    tree.setTip(branch.at(-1)!.header.id);
    return { tree, agreement, agreed: [0] };
  });
  const guards = new Map<number, VoteGuardLike>();
  for (const [side, pick, ahead, absent] of steps) {
    const { agreed } = views[side]!;
    const branch = branches[side]!;
    const source = agreed[Math.max(0, agreed.length - 1 - pick)]!;
    const target = source + ahead;
    if (target >= branch.length) continue;
    for (let key = 0; key < 4 * group; key += 1) {
      const guard = guards.get(key);
      if (!isFaulty(key)) {
        if (((absent >> (key % 8)) & 1) === 1) continue;
        if (guard !== undefined && (BigInt(source) < guard.sourceHeight || BigInt(target) <= guard.targetHeight))
          continue;
        guards.set(key, { sourceHeight: BigInt(source), targetHeight: BigInt(target) });
      }
      const vote = voteOf(key, branch[source]!, branch[target]!);
      for (const [other, view] of views.entries()) {
        if (other !== side && target > prefix) continue;
        const outcome = view.agreement.addVote(vote, view.tree);
        view.agreed.push(...outcome.agreed.map((each) => Number(each.target.height)));
        view.agreed.sort((x, y) => x - y);
      }
    }
  }
  const [a, b] = views.map(({ agreement }) => agreement) as [Agreement, Agreement];
  return { finals: [a.final.height, b.final.height], isOneChain: isOneChain(world, a, b) };
}

/** Courses in which both branches become final as soon as an electorate lets go of its say a step too early. */
const TOO_EARLY: Parameters<typeof playAdversary>[0][] = [
  // Where the forward electorate were enough: the one before goes on, on the other branch.
  {
    window: 1,
    prefix: 3,
    group: 1,
    steps: [
      [0, 0, 3, 0],
      [0, 0, 1, 0],
      [1, 0, 2, 2],
      [0, 0, 1, 0],
      [1, 0, 1, 0],
      [0, 0, 2, 0],
      [0, 0, 1, 0],
      [0, 0, 2, 0],
      [0, 0, 1, 0],
    ],
  },
  // Where agreed were enough for a hand-over, not final: two steps on each branch, and each is among its own.
  {
    window: 1,
    prefix: 0,
    group: 1,
    steps: [
      [1, 0, 1, 4],
      [0, 0, 2, 8],
      [1, 0, 2, 4],
      [0, 0, 2, 8],
      [1, 0, 2, 4],
      [0, 0, 2, 8],
      [0, 0, 1, 8],
      [1, 0, 1, 4],
    ],
  },
];

describe('whatever the adversary lets honest voters hear', () => {
  test('two branches never both become final', () => {
    let oneSided = 0;
    const step = fc.tuple(
      fc.nat(1),
      fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
      fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 2, arbitrary: fc.integer({ min: 2, max: 5 }) }),
      fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(15) }),
    );
    fc.assert(
      fc.property(
        fc.record({
          window: fc.integer({ min: 1, max: 5 }),
          prefix: fc.integer({ min: 0, max: 5 }),
          group: fc.constantFrom(1, 2, 4),
          steps: fc.array(step, { minLength: 6, maxLength: 30 }),
        }),
        (setting) => {
          const { finals, isOneChain: holds } = playAdversary(setting);
          expect(holds).toBe(true);
          if (finals.some((height) => height > BigInt(setting.prefix) + 1n)) oneSided += 1;
        },
      ),
      { numRuns: 1000, examples: TOO_EARLY.map((setting) => [setting]) },
    );
    expect(oneSided).toBeGreaterThan(300); // one of them often does
  });
});

describe('a third or more of an electorate faulty', () => {
  test('where final blocks conflict, the votes brought together name a third of the last common electorate', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 7 }),
        fc.integer({ min: 4, max: 9 }),
        fc.integer({ min: 4, max: 9 }),
        orders,
        (members, lengthA, lengthB, order) => {
          // A common chain by the members in turn, final but for its tip; then each side goes on with its own miners.
          const net: Net = {
            rule: { kind: 'miners', window: members },
            interval: 1,
            founders: 1,
            keys: 2 * members,
            honest: members,
          };
          const chain = (from: ChainEntry, length: number, minerOf: (i: number) => number, salt: number) => {
            const entries: ChainEntry[] = [];
            for (let i = 0; i < length; i += 1) {
              entries.push(childOf(entries.at(-1) ?? from, { miner: senderAt(minerOf(i)), salt }));
            }
            return entries;
          };
          const common = chain(GENESIS, 3 * members, (i) => i % members, 0);
          const fork = common.at(-1)!;
          const strangersOf = (side: number) => 20 + 20 * side;
          const sides = [lengthA, lengthB].map((length, side) =>
            chain(fork, length, (i) => strangersOf(side) + (i % 3), side + 1),
          );
          const byId = new Map([GENESIS, ...common, ...sides.flat()].map((entry) => [entry.header.id, entry]));
          const quorum = Math.floor((2 * members) / 3) + 1;
          const onBoth = 2 * quorum - members;
          const votesOn = (path: readonly ChainEntry[], voters: readonly number[]) =>
            path.slice(1).flatMap((target, i) => voters.map((voter) => voteOf(voter, path[i]!, target)));
          const everybody = Array.from({ length: members }, (_, i) => i);
          const before = votesOn([GENESIS, ...common], everybody);
          // The first members vote on both sides; the others on one, so that each side has just enough.
          const after = sides.map((side, number) => {
            const voters = everybody.filter((i) => i < onBoth || (number === 0 ? i < quorum : i >= quorum));
            return votesOn([fork, ...side], [...voters, ...[0, 1, 2].map((i) => strangersOf(number) + i)]);
          });
          const views = after.map((votes) => {
            const view = newView(net);
            for (const entry of [...common, ...sides.flat()]) addBranch(view, entry, byId);
            for (const vote of [...before, ...votes]) view.agreement.addVote(vote, view.tree);
            return view;
          });
          const [a, b] = views.map(({ agreement }) => agreement) as [Agreement, Agreement];
          const { tree } = views[0]!;
          expect(isOneChain(tree, a, b)).toBe(false);
          const final = a.final;
          deliver(
            views[0]!,
            [...after[1]!].map((vote) => ({ vote })),
            order,
            byId,
          );
          expect(a.final).toEqual(final);
          const guilty = everybody.slice(0, onBoth).map(senderAt);
          for (const { voter } of a.evidence) expect(guilty).toContain(voter);
          // Each member has the weight of one block of the window.
          expect(3 * a.evidence.length).toBeGreaterThanOrEqual(members);
        },
      ),
      { numRuns: 60 },
    );
  });
});
