/** Whether what a scenario says fits the nodes that it has, in the number it runs with. */

import { checkGenesis } from './scenario-genesis.ts';
import type { ScenarioNodes } from './scenario-nodes.ts';
import { DURATION, type FaultEvent, faultOf, parseDuration, type Scenario, ScenarioError } from './scenario-schema.ts';

/**
 * Checks what depends on how many nodes there are: `--nodes` may leave out one that an event names.
 * @throws ScenarioError with the path: a selector means nobody or more than there are, an event asks of a node what it
 * cannot do then, an expectation is about liars only or about what nobody does, or no chain has such parameters
 */
export function checkPlan(scenario: Scenario, nodes: ScenarioNodes): void {
  const { timeline, expect, load, history, electorate, links } = scenario;
  const places: readonly (readonly [path: string, value: unknown])[] = [
    ...(timeline ?? []).map((event, at) => [`timeline[${at}]`, event] as const),
    ['expect', expect],
    ['load', { at: load?.at }],
    ['history', { at: history?.at }],
    ['electorate', electorate],
    ...(links?.between ?? []).map(({ groups }, at) => [`links.between[${at}]`, { groups }] as const),
  ];
  for (const [path, value] of places) {
    for (const [place, selector] of selectorsOf(value, path)) nodes.select(selector, place);
  }
  checkGenesis(scenario, nodes);
  checkActors(scenario, nodes);
  for (const [at, { nodes: selector }] of (expect.agreementStalls ?? []).entries()) {
    const honest = new Set(nodes.honest.map(({ name }) => name));
    if (nodes.select(selector).some((name) => honest.has(name))) continue;
    const who = [selector].flat().join(', ');
    // What liars agree is not recorded: of them alone it would always hold.
    throw new ScenarioError(`expect.agreementStalls[${at}].nodes`, `${who}: no honest node`);
  }
  for (const [at, { partition, flap }] of (timeline ?? []).entries()) {
    if (partition !== undefined) checkSides(partition, `timeline[${at}].partition`, nodes);
    if (flap !== undefined) checkSides(flap.groups, `timeline[${at}].flap.groups`, nodes);
  }
  const isRunning = new Set(nodes.all.filter(({ spec }) => spec.late !== true).map(({ name }) => name));
  // As the run does: by time, and at one time as the file has them.
  const inOrder = [...(timeline ?? []).entries()].sort(([, a], [, b]) => parseDuration(a.at) - parseDuration(b.at));
  for (const [at, event] of inOrder) checkInTurn(event, `timeline[${at}]`, nodes, isRunning);
}

/** All are on the chain that they begin with, where nobody adds to it: that could not fail. */
function checkActors({ expect, history }: Scenario, nodes: ScenarioNodes): void {
  const isMined = history !== undefined || nodes.all.some(({ spec }) => spec.mine !== 'off');
  const isAgreed = isMined && nodes.voters > 0;
  const who = isMined ? 'votes' : 'mines';
  for (const name of ['sameTip', 'sameFinal', 'agreementStalls'] as const) {
    const wanted = expect[name];
    if (wanted === undefined || wanted === false || (name === 'sameTip' ? isMined : isAgreed)) continue;
    throw new ScenarioError(`expect.${name}`, `always holds where nobody ${who}`);
  }
}

/** Who is on two sides is on none: nothing would be cut that goes by it. */
function checkSides(sides: readonly (string | readonly string[])[], path: string, nodes: ScenarioNodes): void {
  const seen = new Set<string>();
  for (const [at, side] of sides.entries()) {
    const names = nodes.select(side);
    const twice = names.find((name) => seen.has(name));
    if (twice !== undefined) throw new ScenarioError(`${path}[${at}]`, `${twice} is on another side already`);
    for (const name of names) seen.add(name);
  }
}

/** Keeps `isRunning` up to date, but for who dies at a write: that is known only in the run. */
function checkInTurn(event: FaultEvent, path: string, nodes: ScenarioNodes, isRunning: Set<string>): void {
  const fault = faultOf(event);
  switch (fault) {
    case 'crash':
    case 'losePower':
    case 'leave':
      for (const name of nodes.select(event[fault]!)) isRunning.delete(name);
      break;
    case 'restart':
    case 'join':
      for (const name of nodes.select(event[fault]!)) {
        if (fault === 'join' && isRunning.has(name)) {
          throw new ScenarioError(`${path}.join`, `${name} is running at ${event.at}: who joins is late, or has left`);
        }
        isRunning.add(name);
      }
      break;
    case 'crashAtWrite': {
      const { node } = event.crashAtWrite!;
      if (nodes.all.some(({ name }) => name === node)) break;
      throw new ScenarioError(`${path}.crashAtWrite.node`, `${node} is a group: say which node of it`);
    }
    case 'mine':
      for (const name of nodes.select(event.mine!.node)) {
        const { spec } = nodes.all.find((each) => each.name === name)!;
        // Whoever searches already would search twice at once, or find that many more blocks by itself.
        if (spec.mine !== 'on-demand') {
          throw new ScenarioError(`${path}.mine.node`, `${name} does not mine on-demand`);
        }
        if (!isRunning.has(name)) throw new ScenarioError(`${path}.mine.node`, `${name} is not running at ${event.at}`);
      }
      break;
    default: // says nothing of who runs
  }
}

const SELECTOR_KEYS: ReadonlySet<string> = new Set(
  'nodes groups from to at of founders node partition refused crash losePower restart join leave diskFull diskFreed'.split(
    ' ',
  ),
);

/** Each selector below `value`, with its path. Durations stand under some of the same keys. */
function* selectorsOf(value: unknown, path: string, key = ''): Generator<readonly [path: string, selector: string]> {
  if (typeof value === 'string') {
    if (SELECTOR_KEYS.has(key) && !new RegExp(DURATION).test(value)) yield [path, value];
  } else if (Array.isArray(value)) {
    for (const [at, each] of value.entries()) yield* selectorsOf(each, `${path}[${at}]`, key);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) yield* selectorsOf(each, `${path}.${name}`, name);
  }
}
