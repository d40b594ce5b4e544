/** Of a timeline that fails, the fewest events that still do: delta debugging (Zeller, Hildebrandt 2002, ddmin). */
import { type FaultEvent, faultOf, type Scenario } from './scenario.ts';

/** What mends, and what it mends. Kept as long as there is something to mend before it; never dropped by itself. */
const REPAIRS: Partial<Record<ReturnType<typeof faultOf>, readonly ReturnType<typeof faultOf>[]>> = {
  heal: ['partition', 'cut', 'flap'],
  restart: ['crash', 'losePower', 'leave', 'crashAtWrite'],
  diskFreed: ['diskFull'],
};

/**
 * @param fails runs the scenario and says whether it still fails in the same way
 * @returns the scenario with a 1-minimal set of faults: without any one of them it no longer fails
 */
export async function shrinkTimeline(
  scenario: Scenario,
  fails: (smaller: Scenario) => Promise<boolean>,
): Promise<Scenario> {
  const timeline = scenario.timeline ?? [];
  const faults = timeline.filter((event) => REPAIRS[faultOf(event)] === undefined);
  const build = (kept: ReadonlySet<FaultEvent>): Scenario => ({ ...scenario, timeline: withRepairs(timeline, kept) });
  const test = (kept: readonly FaultEvent[]): Promise<boolean> => fails(build(new Set(kept)));

  let kept = faults;
  let parts = 2;
  while (kept.length > 0) {
    if (kept.length === 1) {
      if (await test([])) kept = [];
      break;
    }
    const size = Math.ceil(kept.length / parts);
    const chunks = Array.from({ length: Math.ceil(kept.length / size) }, (_, at) =>
      kept.slice(at * size, (at + 1) * size),
    );
    const chunk = parts === 2 ? await findFailing(chunks, test) : undefined;
    const complements = chunks.map((each) => kept.filter((event) => !each.includes(event)));
    const smaller = chunk ?? (await findFailing(complements, test));
    if (smaller !== undefined) {
      kept = smaller;
      parts = Math.max(2, Math.min(parts - 1, kept.length));
    } else if (parts < kept.length) {
      parts = Math.min(kept.length, 2 * parts);
    } else {
      break;
    }
  }
  return build(new Set(kept));
}

async function findFailing(
  candidates: readonly (readonly FaultEvent[])[],
  test: (kept: readonly FaultEvent[]) => Promise<boolean>,
): Promise<FaultEvent[] | undefined> {
  for (const candidate of candidates) if (await test(candidate)) return [...candidate];
  return undefined;
}

function withRepairs(timeline: readonly FaultEvent[], kept: ReadonlySet<FaultEvent>): FaultEvent[] {
  const used = new Set([...kept].map(faultOf));
  return timeline.filter((event) => {
    const mends = REPAIRS[faultOf(event)];
    return mends === undefined ? kept.has(event) : mends.some((fault) => used.has(fault));
  });
}
