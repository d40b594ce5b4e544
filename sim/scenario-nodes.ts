/** Which nodes a scenario has, by name, and which of them its selectors mean. */

import { type Behaviour, type GroupSpec, parseDuration, type Scenario, ScenarioError } from './scenario-schema.ts';
import type { NodeSpec } from './world.ts';

export interface PlannedNode {
  readonly name: string;
  readonly group: string;
  readonly behaviour: Behaviour;
  readonly isVoter: boolean;
  readonly spec: NodeSpec;
}

/** Behaviours that leave the key's votes to the liar, not to the node. */
const OWN_VOTES: ReadonlySet<Behaviour> = new Set(['double-vote', 'surround', 'withhold', 'vote-old', 'silent']);

/** Fixed when it is made: a selector means the same nodes all through a run, whether they run or not. */
export class ScenarioNodes {
  readonly all: readonly PlannedNode[];
  readonly #byGroup: ReadonlyMap<string, readonly string[]>;
  readonly #names: ReadonlySet<string>;

  /**
   * @param total nodes in all instead of what the groups say, shared out as they are; twins are not counted
   * @throws ScenarioError where two groups would have a name in common, or there are fewer nodes than groups
   */
  constructor(scenario: Scenario, total?: number) {
    const counts = scaleCounts(scenario.nodes, total);
    const planned = scenario.nodes.map((group, at) => planGroup(group, counts[at]));
    checkNames(scenario.nodes, planned);
    this.all = planned.flat();
    this.#byGroup = new Map(
      [...Map.groupBy(this.all, ({ group }) => group)].map(([group, nodes]) => [group, nodes.map(({ name }) => name)]),
    );
    this.#names = new Set(this.all.map(({ name }) => name));
  }

  /** Nodes that do as the rules say. */
  get honest(): readonly PlannedNode[] {
    return this.all.filter(({ behaviour }) => behaviour === 'honest');
  }

  get voters(): number {
    return this.all.filter(({ isVoter }) => isVoter).length;
  }

  /** @throws ScenarioError where a founder of an electorate of miners is no voter */
  founders({ miners }: NonNullable<Scenario['electorate']>): readonly string[] {
    const voters = new Set(this.all.filter(({ isVoter }) => isVoter).map(({ name }) => name));
    const founders = this.select(miners.founders);
    const stranger = founders.find((name) => !voters.has(name));
    if (stranger !== undefined) throw new ScenarioError('electorate.miners.founders', `${stranger} is no voter`);
    return founders;
  }

  /**
   * @param path of the place that selects, for errors
   * @throws ScenarioError where a selector means nobody, or more than there are
   */
  select(selectors: string | readonly string[], path = ''): readonly string[] {
    const names = (typeof selectors === 'string' ? [selectors] : selectors).flatMap((each) =>
      this.#selectOne(each, path),
    );
    return [...new Set(names)];
  }

  #selectOne(selector: string, path: string): readonly string[] {
    const [name = '', part] = selector.split(':');
    const group = name === 'all' ? this.all.map((node) => node.name) : this.#byGroup.get(name);
    if (group === undefined) {
      if (!this.#names.has(name)) throw new ScenarioError(path, `there is no group or node ${name}`);
      if (part !== undefined) throw new ScenarioError(path, `${name} is one node: ${selector} is no part of it`);
      return [name];
    }
    if (part === undefined) return group;
    const count = part.endsWith('%') ? Math.round((group.length * Number(part.slice(0, -1))) / 100) : Number(part);
    if (count === 0) throw new ScenarioError(path, `${selector} means nobody in a net of ${this.all.length} nodes`);
    if (count > group.length) {
      throw new ScenarioError(path, `${selector} is more than there are: ${name} has ${group.length} nodes`);
    }
    return group.slice(0, count);
  }
}

/** A name means one thing: `all`, a group, a node or a twin. Only a group of one node shares its name with that node. */
function checkNames(groups: readonly GroupSpec[], planned: readonly (readonly PlannedNode[])[]): void {
  const taken = new Set(['all']);
  for (const [at, { group }] of groups.entries()) {
    const own = new Set([group, ...planned[at]!.flatMap((node) => [node.group, node.name])]);
    for (const name of own) {
      if (taken.has(name)) throw new ScenarioError(`nodes[${at}].group`, `${name} is given twice`);
      taken.add(name);
    }
  }
}

function planGroup(group: GroupSpec, count: number | undefined): PlannedNode[] {
  const { role = 'voter', behaviour = 'honest', mine, mineInterval, hashShare, clockOffset, late } = group;
  const names =
    count === undefined ? [group.group] : Array.from({ length: count }, (_, at) => `${group.group}${at + 1}`);
  const isVoter = role === 'voter';
  return names.flatMap((name) => {
    const spec: NodeSpec = {
      name,
      voter: isVoter,
      votes: isVoter && !OWN_VOTES.has(behaviour),
      mine: mine ?? (role === 'observer' ? 'off' : 'continuous'),
      ...(mineInterval !== undefined && { mineIntervalMs: parseDuration(mineInterval) }),
      ...(hashShare !== undefined && { hashShare: hashShare }),
      ...(clockOffset !== undefined && { clockOffsetMs: parseDuration(clockOffset) }),
      ...(late !== undefined && { late }),
    };
    const node: PlannedNode = { name, group: group.group, behaviour, isVoter, spec };
    if (behaviour !== 'equivocate') return [node];
    // Twins (Bano et al., arXiv:2004.10617): two honest nodes with one key are a voter that equivocates.
    const twin: NodeSpec = { ...spec, name: `${name}-twin`, keyOf: name, mine: 'off' };
    return [node, { name: twin.name, group: `${group.group}-twin`, behaviour, isVoter: false, spec: twin }];
  });
}

/** By largest remainder; each group keeps one node at least. */
function scaleCounts(groups: readonly GroupSpec[], total: number | undefined): readonly (number | undefined)[] {
  const counts = groups.map(({ count }) => count);
  const sum = counts.reduce<number>((all, count) => all + (count ?? 1), 0);
  if (total === undefined || total === sum) return counts;
  if (total < groups.length) throw new ScenarioError('nodes', `${groups.length} groups need as many nodes at least`);
  const exact = counts.map((count) => ((count ?? 1) * total) / sum);
  const scaled = exact.map((share) => Math.max(1, Math.floor(share)));
  const order = exact.map((share, at) => ({ at, rest: share - Math.floor(share) })).sort((a, b) => b.rest - a.rest);
  for (let turn = 0, left = total - scaled.reduce((all, each) => all + each, 0); left > 0; turn++, left--) {
    scaled[order[turn % order.length]!.at]! += 1;
  }
  return scaled.map((count, at) => (counts[at] === undefined && count === 1 ? undefined : count));
}
