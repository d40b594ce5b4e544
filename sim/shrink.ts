/** Of a timeline that fails, the fewest events that still do: delta debugging (Zeller, Hildebrandt 2002, ddmin). */
import { ScenarioNodes } from './scenario-nodes.ts';
import { type FaultEvent, faultOf, parseDuration, type Scenario, ScenarioError } from './scenario-schema.ts';

export interface ShrinkOptions {
  /** Runs the scenario and says whether it still fails in the same way. What is no scenario any more does not. */
  readonly fails: (smaller: Scenario) => Promise<boolean>;
  /** Nodes in all, instead of what the scenario says: who an event is about depends on it. */
  readonly nodes?: number;
}

/**
 * Faults are dropped, and with them what mends nothing else: a partition that is kept keeps its heal, or the run would
 * fail for want of that. An event that mends nothing, as the restart of a node that runs, is a fault itself.
 * @param scenario one that fails as it is: the caller has run it
 * @returns one that was run and fails, and without any one of its faults no longer does
 */
export async function shrinkTimeline(scenario: Scenario, { fails, nodes }: ShrinkOptions): Promise<Scenario> {
  // Copies: of an event and its YAML alias the parser makes one object.
  const timeline = (scenario.timeline ?? []).map((event) => ({ ...event }));
  const mended = mendedBy(timeline, new ScenarioNodes(scenario, nodes));
  const outcomes = new Map<string, boolean>([[keyOf(timeline, new Set(timeline)), true]]);
  const test = async (kept: ReadonlySet<FaultEvent>): Promise<boolean> => {
    const key = keyOf(timeline, kept);
    const known = outcomes.get(key);
    if (known !== undefined) return known;
    const outcome = await failsIfValid({ ...scenario, timeline: timeline.filter((event) => kept.has(event)) }, fails);
    outcomes.set(key, outcome);
    return outcome;
  };
  const withRepairs = (faults: readonly FaultEvent[]): ReadonlySet<FaultEvent> => {
    const kept = new Set(faults);
    return new Set(timeline.filter((event) => kept.has(event) || mended.get(event)?.some((fault) => kept.has(fault))));
  };

  const faults = await minimize(
    timeline.filter((event) => !mended.has(event)),
    (candidate) => test(withRepairs(candidate)),
  );
  const kept = await dropEach(withRepairs(faults), mended, test);
  return { ...scenario, timeline: timeline.filter((event) => kept.has(event)) };
}

/** ddmin. `fails` holds for all of `faults`. */
async function minimize(
  faults: readonly FaultEvent[],
  fails: (candidate: readonly FaultEvent[]) => Promise<boolean>,
): Promise<readonly FaultEvent[]> {
  let kept = faults;
  let parts = 2;
  while (kept.length > 0) {
    if (kept.length === 1) {
      if (await fails([])) kept = [];
      break;
    }
    const size = Math.ceil(kept.length / parts);
    const chunks = Array.from({ length: Math.ceil(kept.length / size) }, (_, at) =>
      kept.slice(at * size, (at + 1) * size),
    );
    const chunk = parts === 2 ? await findFailing(chunks, fails) : undefined;
    const complements = chunks.map((each) => kept.filter((event) => !each.includes(event)));
    const smaller = chunk ?? (await findFailing(complements, fails));
    if (smaller !== undefined) {
      kept = smaller;
      parts = Math.max(2, Math.min(parts - 1, kept.length));
    } else if (parts < kept.length) {
      parts = Math.min(kept.length, 2 * parts);
    } else {
      break;
    }
  }
  return kept;
}

async function findFailing(
  candidates: readonly (readonly FaultEvent[])[],
  fails: (candidate: readonly FaultEvent[]) => Promise<boolean>,
): Promise<readonly FaultEvent[] | undefined> {
  for (const candidate of candidates) if (await fails(candidate)) return candidate;
  return undefined;
}

/**
 * Drops events one at a time, as long as one can go. What mended a fault that went is a fault from then on: a crash may
 * be of no account where the restart after it is.
 */
async function dropEach(
  all: ReadonlySet<FaultEvent>,
  mended: Mended,
  fails: (kept: ReadonlySet<FaultEvent>) => Promise<boolean>,
): Promise<ReadonlySet<FaultEvent>> {
  let kept = all;
  for (;;) {
    let smaller: ReadonlySet<FaultEvent> | undefined;
    for (const event of kept) {
      if (mended.get(event)?.some((fault) => kept.has(fault))) continue;
      const rest = new Set([...kept].filter((each) => each !== event));
      if (!(await fails(rest))) continue;
      smaller = rest;
      break;
    }
    if (smaller === undefined) return kept;
    kept = smaller;
  }
}

/** Without a restart a node may be down that is to mine: such a timeline shows nothing. */
async function failsIfValid(scenario: Scenario, fails: ShrinkOptions['fails']): Promise<boolean> {
  try {
    return await fails(scenario);
  } catch (error) {
    if (error instanceof ScenarioError) return false;
    throw error;
  }
}

function keyOf(timeline: readonly FaultEvent[], kept: ReadonlySet<FaultEvent>): string {
  return timeline.flatMap((event, at) => (kept.has(event) ? at : [])).join(' ');
}

/** By event that mends, what it mends. */
type Mended = ReadonlyMap<FaultEvent, readonly FaultEvent[]>;

/** What is broken: all links together, a node, or its disk. */
interface Damage {
  readonly fault: FaultEvent;
  readonly what: string;
  /** Until when it may come, or come again: no repair before then is the last one. */
  readonly untilMs?: number;
}

function mendedBy(timeline: readonly FaultEvent[], nodes: ScenarioNodes): Mended {
  const mended = new Map<FaultEvent, readonly FaultEvent[]>();
  let open: Damage[] = [];
  for (const event of timeline.toSorted((a, b) => parseDuration(a.at) - parseDuration(b.at))) {
    const atMs = parseDuration(event.at);
    const repaired = new Set(repairs(event, nodes));
    const isOver = ({ fault, untilMs }: Damage): boolean => fault.flap !== undefined && untilMs! <= atMs;
    const found = open.filter((damage) => repaired.has(damage.what) && !isOver(damage));
    if (found.length > 0) mended.set(event, [...new Set(found.map(({ fault }) => fault))]);
    open = open.filter(({ what, untilMs = 0 }) => !repaired.has(what) || untilMs > atMs);
    open.push(...damages(event, nodes));
  }
  return mended;
}

function damages(event: FaultEvent, nodes: ScenarioNodes): readonly Damage[] {
  const { crashAtWrite, flap } = event;
  const fault = faultOf(event);
  switch (fault) {
    case 'partition':
    case 'cut':
      return [{ fault: event, what: 'links' }];
    case 'flap':
      return [{ fault: event, what: 'links', untilMs: parseDuration(flap!.until) }];
    case 'crash':
    case 'losePower':
    case 'leave':
      return nodes.select(event[fault]!).map((name) => ({ fault: event, what: `node ${name}` }));
    case 'crashAtWrite': {
      const untilMs = parseDuration(event.at) + parseDuration(crashAtWrite!.within);
      return [{ fault: event, what: `node ${crashAtWrite!.node}`, untilMs }];
    }
    case 'diskFull':
      return nodes.select(event.diskFull!).map((name) => ({ fault: event, what: `disk ${name}` }));
    default:
      return [];
  }
}

function repairs(event: FaultEvent, nodes: ScenarioNodes): readonly string[] {
  const fault = faultOf(event);
  switch (fault) {
    case 'heal':
      return ['links'];
    case 'restart':
    case 'join':
      return nodes.select(event[fault]!).map((name) => `node ${name}`);
    case 'diskFreed':
      return nodes.select(event.diskFreed!).map((name) => `disk ${name}`);
    default:
      return [];
  }
}
