/** Where another number of nodes makes a scenario about something else: a side has a quorum, or has none any more. */
import { isSupermajority } from '../chain/electorate.ts';
import { checkPlan } from './check-plan.ts';
import { ScenarioNodes } from './scenario-nodes.ts';
import type { Scenario } from './scenario-schema.ts';

type Side = string | readonly string[];

/**
 * Groups, and sides of a partition or a flap, that `total` nodes bring across a quorum: counts are rounded to whole
 * nodes. With an electorate of miners blocks weigh, not nodes.
 * @returns one line each: `most: 4 of 6 voters are too few for a quorum but needed for one; as written, 7 of 10 are a
 * quorum`
 * @throws ScenarioError where the scenario does not fit that many nodes
 */
export function quorumShifts(scenario: Scenario, total: number): readonly string[] {
  const [written, scaled] = [new ScenarioNodes(scenario), new ScenarioNodes(scenario, total)];
  checkPlan(scenario, scaled);
  if (scenario.electorate !== undefined) return [];
  return sidesOf(scenario).flatMap((side) => {
    const [before, now] = [powerOf(written, side), powerOf(scaled, side)];
    if (before.power === now.power) return [];
    const name = [side].flat().join(', ');
    return `${name}: ${now.share} voters are ${now.power}; as written, ${before.share} are ${before.power}`;
  });
}

/** Each once, a group that is a side too. */
function sidesOf({ nodes, timeline }: Scenario): readonly Side[] {
  const sides = (timeline ?? []).flatMap(({ partition, flap }) => [...(partition ?? []), ...(flap?.groups ?? [])]);
  return [...new Map([...nodes.map(({ group }) => group), ...sides].map((side) => [String(side), side])).values()];
}

function powerOf(nodes: ScenarioNodes, side: Side): { readonly share: string; readonly power: string } {
  const names = new Set(nodes.select(side));
  const votes = nodes.all.filter(({ name, isVoter }) => isVoter && names.has(name)).length;
  const isQuorum = isSupermajority(votes, nodes.voters);
  const isNeeded = !isSupermajority(nodes.voters - votes, nodes.voters);
  const short = isNeeded ? 'too few for a quorum but needed for one' : 'not needed for a quorum';
  return { share: `${votes} of ${nodes.voters}`, power: isQuorum ? 'a quorum' : short };
}
