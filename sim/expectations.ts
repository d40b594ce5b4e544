/** What a scenario expects at its end, checked against what happened. */
import type { Header } from '../chain/types.ts';
import type { MineQueue } from './mine-queue.ts';
import type { HeightSample, RunLog } from './run-log.ts';
import type { ScenarioNodes } from './scenario-nodes.ts';
import { type Expectations, parseDuration, type Scenario } from './scenario-schema.ts';
import type { SimNode, World } from './world.ts';

export interface ExpectationResult {
  readonly name: string;
  readonly passed: boolean;
  /** What was found. */
  readonly detail: string;
}

export interface RunFacts {
  readonly scenario: Scenario;
  readonly world: World;
  readonly nodes: ScenarioNodes;
  readonly log: RunLog;
  readonly mining: Pick<MineQueue, 'orders' | 'unmined'>;
  readonly coverage: number;
  /** Transactions the nodes took, and how many of them are final. */
  readonly txs: { readonly accepted: number; readonly final: number };
}

/** Blocks by which final heights may differ at the end from what was final somewhere so long before: votes under way. */
const FINAL_LAG = 4;
const FINAL_UNDER_WAY_MS = 2_000;
/** As much for tips. */
const TIP_LAG = 3;
/** Held in every scenario that does not say otherwise. */
const ALWAYS: Expectations = {
  noConflictingFinal: true,
  noInternalErrors: true,
  honestNotAccused: true,
  honestNotPenalized: true,
  supplyConserved: true,
  nothingForgotten: true,
};

/** Name of the result that is no expectation of the file's: that each `mine` of the timeline found its blocks. */
export const MINE_RESULT = 'mine';

type Check<K extends keyof Expectations> = (
  wanted: NonNullable<Expectations[K]>,
  facts: RunFacts,
) => readonly (Omit<ExpectationResult, 'name'> & { readonly name?: string })[];

/**
 * A check of how the honest nodes are at the end. Of none everything would hold: that fails.
 * `false` switches it off.
 */
function atTheEnd<K extends keyof Expectations>(
  check: (
    wanted: Exclude<NonNullable<Expectations[K]>, false>,
    nodes: readonly SimNode[],
    facts: RunFacts,
  ) => ReturnType<Check<K>>,
): Check<K> {
  return (wanted, facts) => {
    if (wanted === false) return [];
    const nodes = honestRunning(facts);
    if (nodes.length === 0) return one(false, 'no honest node is running');
    return check(wanted as Exclude<typeof wanted, false>, nodes, facts);
  };
}

const CHECKS: { readonly [K in keyof Expectations]-?: Check<K> } = {
  sameFinal: atTheEnd((_wanted, nodes, facts) => {
    const heights = nodes.map((each) => each.finalHeight);
    const told = highestFinalBefore(facts);
    const highest = nodes.toSorted((a, b) => b.finalHeight - a.finalHeight)[0];
    const isOneChain = nodes.every((each) => {
      const { final } = each.node.agreement;
      const top = highest!.node;
      return top.chain.tree.ancestorAt(top.agreement.final.id, final.height)?.header.id === final.id;
    });
    const isClose = (told ?? Math.max(...heights)) - Math.min(...heights) <= FINAL_LAG;
    const before = told === undefined ? '' : `; ${told} two seconds before`;
    return one(isOneChain && isClose, `final heights ${[...new Set(heights)].join(', ')}${before}`);
  }),
  sameTip: atTheEnd((_wanted, nodes) => {
    const highest = nodes.toSorted((a, b) => b.height - a.height)[0];
    // Blocks may be under way, or rivals of one height, at the end.
    const apart = nodes.filter((each) => {
      const below = BigInt(Math.max(0, each.height - TIP_LAG));
      const theirs = each.node.chain.tree.ancestorAt(each.tipId, below);
      const ours = highest!.node.chain.tree.ancestorAt(highest!.tipId, below);
      return theirs?.header.id !== ours?.header.id || highest!.height - each.height > TIP_LAG;
    });
    return one(apart.length === 0, apart.length === 0 ? `height ${highest?.height}` : `not at ${apart[0]!.name}`);
  }),
  noConflictingFinal: (wanted, { log }) =>
    wanted ? one(log.conflicts.length === 0, log.conflicts.join('; ') || 'none') : [],
  conflictReported: (wanted, { log }) => {
    const said = log.lines.filter(({ message }) => message.startsWith('two conflicting checkpoints are final'));
    const who = new Set(said.map(({ node }) => node));
    return one(who.size > 0 === wanted, who.size === 0 ? 'nobody said so' : `said by ${[...who].join(', ')}`);
  },
  agreementStalls: (wanted, { log, nodes }) =>
    wanted.map(({ between, nodes: selector }) => {
      const [from, to] = between.map(parseDuration) as [number, number];
      // What liars agree is not known.
      const names = nodes.select(selector).filter((name) => log.isHonest(name));
      const within = ({ atMs }: { readonly atMs: number }): boolean => atMs > from && atMs < to;
      const found = log.agreed.find((each) => names.includes(each.node) && within(each));
      if (found !== undefined) {
        return { passed: false, detail: `${found.node} agreed ${found.height} at ${found.atMs.toFixed(0)} ms` };
      }
      // Who is down agrees nothing, whatever the others do.
      const ran = log.samples.some((sample) => within(sample) && names.some((name) => sample.tip.has(name)));
      return { passed: ran, detail: ran ? 'stalled' : 'no honest one of them was running then' };
    }),
  resumesWithin: atTheEnd((wanted, nodes, facts) => checkResumes(wanted, nodes, facts)),
  finalHeightAtLeast: atTheEnd((wanted, nodes) => {
    const lowest = Math.min(...nodes.map((each) => each.finalHeight));
    return one(lowest >= wanted, `lowest is ${lowest}`);
  }),
  growsBetween: (wanted, { log, nodes }) =>
    wanted.map(({ between, nodes: selector, by }) => {
      const [from, to] = between.map(parseDuration) as [number, number];
      const within = log.samples.filter(({ atMs }) => atMs >= from && atMs <= to);
      const grown = nodes.select(selector).map((name) => {
        const heights = within.flatMap(({ tip }) => tip.get(name)?.height ?? []);
        return heights.length === 0 ? 0 : Number(heights.at(-1)! - heights[0]!);
      });
      return { passed: Math.min(...grown) >= by, detail: `by ${Math.min(...grown)} at least` };
    }),
  agreesBetween: (wanted, { log, nodes }) =>
    wanted.map(({ between, nodes: selector, heights }) => {
      const [from, to] = between.map(parseDuration) as [number, number];
      const found = log.agreed.filter(({ atMs }) => atMs >= from && atMs <= to);
      const counts = nodes
        .select(selector)
        .map((name) => new Set(found.filter(({ node }) => node === name).map(({ height }) => height)).size);
      return { passed: Math.min(...counts) >= heights, detail: `${Math.min(...counts)} heights at least` };
    }),
  electorateShare: atTheEnd((wanted, nodes, facts) =>
    wanted.map(({ of, atLeast = 0, atMost = 1 }) => {
      const keys = facts.nodes.select(of).map((name) => facts.world.node(name).key.address);
      const shares = nodes
        .flatMap((each) => each.node.agreement.rules.inForce)
        .map(({ weights, total }) => keys.reduce((sum, key) => sum + (weights.get(key) ?? 0), 0) / total);
      const [least, most] = [Math.min(...shares), Math.max(...shares)];
      return {
        passed: shares.length > 0 && least >= atLeast && most <= atMost,
        detail: `${[of].flat().join(', ')}: ${(100 * least).toFixed(1)} to ${(100 * most).toFixed(1)} %`,
      };
    }),
  ),
  delivered: (wanted, { coverage }) => one(coverage >= wanted, `${(100 * coverage).toFixed(2)} %`),
  txsFinal: (wanted, { txs }) =>
    one(txs.accepted > 0 && txs.final >= wanted * txs.accepted, `${txs.final} of ${txs.accepted}`),
  reorgDepth: ({ atMost, atLeast }, { log }) =>
    one(
      log.deepestReorg <= (atMost ?? Number.POSITIVE_INFINITY) && log.deepestReorg >= (atLeast ?? 0),
      `deepest ${log.deepestReorg} of ${log.reorgs}`,
    ),
  evidenceAtLeast: atTheEnd((wanted, nodes) => {
    const counts = nodes.map((each) => each.node.agreement.rules.evidence.length);
    return one(Math.min(...counts) >= wanted, `against ${counts.join(', ')} voters at the honest nodes`);
  }),
  evidenceAtMost: (wanted, { log }) => {
    const most = Math.max(0, ...[...log.offenders.values()].map((voters) => voters.size));
    return one(most <= wanted, `against ${most} voters`);
  },
  noInternalErrors: (wanted, { log }) =>
    wanted ? one(log.internalErrors.length === 0, log.internalErrors.slice(0, 3).join('; ') || 'none') : [],
  honestNotAccused: (wanted, { log }) => {
    if (!wanted) return [];
    const faults = [...log.contradictions, ...[...log.accusedHonest].map((name) => `evidence against ${name}`)];
    return one(faults.length === 0, faults.slice(0, 3).join('; ') || 'none');
  },
  honestNotPenalized: (wanted, { log }) => {
    if (!wanted) return [];
    // Slowness is no lie: a peer on the other side of a fault may be found slow.
    const faults = log.penalties.filter((line) => !/no answer in time|stalled/.test(line));
    return one(faults.length === 0, faults.slice(0, 3).join('; ') || 'none');
  },
  supplyConserved: atTheEnd((_wanted, nodes, facts) => {
    const { genesis } = facts.world;
    const start = [...genesis.accounts.values()].reduce((sum, { balance }) => sum + balance, 0n);
    const wrong = nodes.filter(
      (each) => each.node.chain.accounts.totalSupply() !== start + genesis.params.blockReward * BigInt(each.height),
    );
    return one(wrong.length === 0, wrong.length === 0 ? 'yes' : `not at ${wrong.map(({ name }) => name).join(', ')}`);
  }),
  nothingForgotten: (wanted, { log }) =>
    wanted ? one(log.forgotten.length === 0, log.forgotten.join('; ') || 'nothing') : [],
  refused: (wanted, { log, nodes }) => {
    // Of each selector one at least: of several liars of a kind some may never be asked.
    const selectors = typeof wanted === 'string' ? [wanted] : wanted;
    const missing = selectors.filter((each) => !nodes.select(each).some((name) => log.banned.has(name)));
    return one(missing.length === 0, missing.length === 0 ? [...log.banned].join(', ') : `not ${missing.join(', ')}`);
  },
  says: (wanted, { log, nodes }) =>
    wanted.map(({ nodes: selector, line }) => {
      const names = new Set(nodes.select(selector));
      const found = log.lines.find(({ node, message }) => names.has(node) && message.includes(line));
      const detail = found === undefined ? 'nobody' : `said by ${found.node}`;
      return { name: `says "${line}"`, passed: found !== undefined, detail };
    }),
  blockInterval: atTheEnd((wanted, _nodes, facts) => checkInterval(wanted, facts)),
  invalidStaysAtFirstHop: (wanted, { log }) =>
    wanted ? one(log.spreadInvalid.length === 0, log.spreadInvalid.slice(0, 3).join('; ') || 'yes') : [],
};

/** Checks all that the scenario expects, what always holds, and that what was to be mined was. */
export function checkExpectations(facts: RunFacts): readonly ExpectationResult[] {
  const wanted: Expectations = { ...ALWAYS, ...facts.scenario.expect };
  const results = (Object.keys(CHECKS) as (keyof Expectations)[]).flatMap((name) => {
    const value = wanted[name];
    if (value === undefined) return [];
    const check = CHECKS[name] as Check<typeof name>;
    return check(value as never, facts).map((result) => ({ name, ...result }));
  });
  return [...results, ...checkMining(facts)];
}

/** What the other expectations say of blocks that were not found is about another course than the file's. */
function checkMining({ mining: { orders, unmined } }: RunFacts): readonly ExpectationResult[] {
  if (orders === 0) return [];
  const detail = unmined.length === 0 ? 'all' : `could not mine: ${unmined.join('; ')}`;
  return [{ name: MINE_RESULT, passed: unmined.length === 0, detail }];
}

function one(passed: boolean, detail: string): readonly { readonly passed: boolean; readonly detail: string }[] {
  return [{ passed, detail }];
}

function honestRunning({ world, nodes }: RunFacts) {
  const names = new Set(nodes.honest.map(({ name }) => name));
  return world.running.filter(({ name }) => names.has(name));
}

/**
 * The highest that was final at an honest node so long before the end: one vote can make many blocks final at once, and
 * what some have only just heard of is under way to the others. Who is down at the end or was down at that moment counts
 * with what it had before, as final heights never fall. Undefined where nobody ran yet.
 */
function highestFinalBefore({ log, nodes, world }: RunFacts): number | undefined {
  const untilMs = world.clock.monotonicMs() - FINAL_UNDER_WAY_MS;
  let highest: number | undefined;
  for (const { atMs, final } of log.samples) {
    if (atMs > untilMs) break;
    for (const { name } of nodes.honest) {
      const height = final.get(name);
      if (height !== undefined && (highest === undefined || height > highest)) highest = height;
    }
  }
  return highest;
}

/** Longest time from the heal until all are on one branch: status swaps, and a download. */
const MEET_MS = 30_000;
/** Reports of what was agreed at one time come within this of each other. */
const REPORTS_MS = 2_000;

/**
 * From when all honest nodes are on one branch again, how many blocks it took until those asked about agreed something
 * new; and each of them that runs at the end must have. New is what is higher than anything that anyone honest had
 * agreed before: a side that stalled also catches up on what the other had. Of what nodes report at first the lowest
 * counts: one that catches up by a run of blocks tells of the last only.
 */
function checkResumes(
  { after, heights, time, nodes: selector }: NonNullable<Expectations['resumesWithin']>,
  running: readonly SimNode[],
  { log, nodes, scenario }: RunFacts,
) {
  const afterMs = parseDuration(after);
  const limitMs = afterMs + parseDuration(time ?? scenario.duration);
  const names = new Set(selector === undefined ? nodes.honest.map(({ name }) => name) : nodes.select(selector));
  const tipsOf = ({ tip }: HeightSample): Header[] =>
    [...tip].flatMap(([name, header]) => (log.isHonest(name) ? header : []));
  const healed = log.samples.find((sample) => sample.atMs >= afterMs && areOneBranch(tipsOf(sample)));
  const before = Math.max(0, ...log.agreed.filter(({ atMs }) => atMs < afterMs).map(({ height }) => height));
  const fresh = log.agreed.filter(
    ({ node, atMs, height }) => names.has(node) && atMs >= afterMs && atMs <= limitMs && height > before,
  );
  const [earliest] = fresh;
  if (healed === undefined || healed.atMs > afterMs + MEET_MS) return one(false, 'the chains did not meet');
  const met = Math.max(...tipsOf(healed).map(({ height }) => Number(height)));
  if (earliest === undefined) return one(false, `nothing was agreed above ${before}`);
  const silent = running.filter(({ name }) => names.has(name) && !fresh.some(({ node }) => node === name));
  if (silent.length > 0) return one(false, `${silent.map(({ name }) => name).join(', ')} agreed nothing new`);
  const [first = earliest] = fresh
    .filter(({ atMs }) => atMs <= earliest.atMs + REPORTS_MS)
    .sort((a, b) => a.height - b.height);
  return one(
    first.height <= met + heights,
    `agreed ${first.height} at ${(first.atMs / 1000).toFixed(1)} s; all were at ${met}`,
  );
}

/** One tip, or two of which one is the other's parent: a block is on its way. */
function areOneBranch(tips: readonly Header[]): boolean {
  const top = tips.reduce<Header | undefined>(
    (best, tip) => (best && best.height >= tip.height ? best : tip),
    undefined,
  );
  return top !== undefined && tips.every(({ id }) => id === top.id || id === top.parent);
}

function checkInterval({ within, after }: NonNullable<Expectations['blockInterval']>, facts: RunFacts) {
  const { genesis } = facts.world;
  const samples = facts.log.samples.filter(({ atMs }) => atMs >= parseDuration(after));
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return one(false, 'no blocks');
  const highest = ({ tip }: HeightSample): number => Math.max(...[...tip.values()].map(({ height }) => Number(height)));
  const blocks = highest(last) - highest(first);
  const intervalMs = (last.atMs - first.atMs) / blocks;
  const percent = 100 * (intervalMs / genesis.params.blockTimeMs - 1);
  return one(
    Math.abs(percent) <= within,
    `${intervalMs.toFixed(0)} ms over ${blocks} blocks, ${percent >= 0 ? '+' : ''}${percent.toFixed(1)} %`,
  );
}
