/**
 * What scenario files say: who takes part, how they are connected, what goes wrong when, and what must hold at the end.
 * docs/TESTING.md describes it; `scenario.ts` reads it.
 */

import { type Static, type TSchema, Type } from 'typebox';
import { stringify } from 'yaml';
import { MAX_WINDOW } from '../chain/genesis.ts';
import { MINE_MODES } from '../node/mining/mine-modes.ts';

/** The file is none, or asks for what does not exist. `path`: `timeline[2].partition`. */
export class ScenarioError extends Error {
  readonly path: string;

  constructor(path: string, problem: string) {
    super(path === '' ? `scenario: ${problem}` : `scenario: ${path}: ${problem}`);
    this.name = 'ScenarioError';
    this.path = path;
  }
}

/** When a load begins that does not say. */
export const LOAD_FROM = '5s';
export const DURATION = '^\\d+(\\.\\d+)?(ms|s|m|h)$';
const Duration = Type.String({ pattern: DURATION, description: 'e.g. 250ms, 2s, 1.5m, 1h' });
const Offset = Type.String({ pattern: DURATION.replace('^', '^-?') });
/** Of files too. */
const Name = Type.String({ pattern: '^[a-z][a-z0-9-]*$', maxLength: 100 });
/** `all`, a group, one node of it (`left2`), its first n (`left:2`) or that share of it (`left:30%`). */
const Selector = Type.String({ pattern: '^[a-z][a-z0-9-]*(:\\d+%?)?$' });
const Selectors = Type.Union([Selector, Type.Array(Selector, { minItems: 1 })]);
const Links = Type.Integer({ minimum: 1, maximum: 100 });
const Share = Type.Number({ minimum: 0, maximum: 1 });
const SomeShare = Type.Number({ exclusiveMinimum: 0, maximum: 1 });
/** At most so much, of what is never more than all. */
const NotAll = Type.Number({ minimum: 0, exclusiveMaximum: 1 });
const Count = Type.Integer({ minimum: 0 });
/** At least so many, of what is never fewer than none. */
const AtLeast = Type.Integer({ minimum: 1 });

const closed = <P extends Record<string, TSchema>>(properties: P, minProperties = 0) =>
  Type.Object(properties, { additionalProperties: false, ...(minProperties > 0 && { minProperties }) });
/** One at least: what is expected of none always holds. */
const some = <T extends TSchema>(item: T) => Type.Array(item, { minItems: 1 });
const optional = <T extends TSchema>(schema: T) => Type.Optional(schema);

/** What a node does that an honest one would not; docs/TESTING.md says how each is done. */
export const BEHAVIOURS = [
  'honest',
  'equivocate',
  'double-vote',
  'surround',
  'withhold',
  'vote-old',
  'silent',
  'selfish-miner',
  'stalling',
  'lying-about-work',
  'invalid-bodies',
  'unrequested-bodies',
  'spam',
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

const linkFields = {
  latency: optional(Type.Tuple([Duration, Duration])),
  jitter: optional(Duration),
  loss: optional(Share),
  bytesPerSecond: optional(Type.Integer({ minimum: 1 })),
};
const LinkFields = closed(linkFields);
export type LinkFields = Static<typeof LinkFields>;

const Group = closed({
  group: Name,
  count: optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  role: optional(Type.Enum(['voter', 'miner', 'observer'])),
  behaviour: optional(Type.Enum([...BEHAVIOURS])),
  mine: optional(Type.Enum([...MINE_MODES])),
  mineInterval: optional(Duration),
  hashShare: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 })),
  clockOffset: optional(Offset),
  late: optional(Type.Boolean()),
});

const FaultEvent = closed({
  at: Duration,
  partition: optional(Type.Array(Selectors, { minItems: 2 })),
  cut: optional(closed({ from: Selectors, to: Selectors, oneWay: optional(Type.Boolean()) })),
  flap: optional(
    closed({ groups: Type.Array(Selectors, { minItems: 2 }), down: Duration, up: Duration, until: Duration }),
  ),
  heal: optional(Type.Literal('all')),
  crash: optional(Selectors),
  losePower: optional(Selectors),
  crashAtWrite: optional(
    closed({
      node: Name,
      nth: Type.Integer({ minimum: 1 }),
      fate: Type.Enum(['lost', 'unheard', 'power-loss']),
      within: Duration,
    }),
  ),
  restart: optional(Selectors),
  join: optional(Selectors),
  leave: optional(Selectors),
  clock: optional(closed({ nodes: Selectors, offset: Offset })),
  hashRate: optional(closed({ nodes: Selectors, factor: Type.Number({ exclusiveMinimum: 0, maximum: 1_000 }) })),
  diskFull: optional(Selectors),
  diskFreed: optional(Selectors),
  mine: optional(closed({ node: Name, blocks: Type.Integer({ minimum: 1, maximum: 10_000 }) })),
});
export type FaultEvent = Static<typeof FaultEvent>;

const Expectations = closed({
  sameFinal: optional(Type.Boolean()),
  sameTip: optional(Type.Boolean()),
  noConflictingFinal: optional(Type.Boolean()),
  conflictReported: optional(Type.Boolean()),
  agreementStalls: optional(some(closed({ between: Type.Tuple([Duration, Duration]), nodes: Selectors }))),
  resumesWithin: optional(
    closed({ after: Duration, heights: Count, time: optional(Duration), nodes: optional(Selectors) }),
  ),
  finalHeightAtLeast: optional(AtLeast),
  growsBetween: optional(some(closed({ between: Type.Tuple([Duration, Duration]), nodes: Selectors, by: AtLeast }))),
  agreesBetween: optional(
    some(closed({ between: Type.Tuple([Duration, Duration]), nodes: Selectors, heights: AtLeast })),
  ),
  // A bound at least, beside whose share it is.
  electorateShare: optional(some(closed({ of: Selectors, atLeast: optional(SomeShare), atMost: optional(NotAll) }, 2))),
  delivered: optional(SomeShare),
  txsFinal: optional(SomeShare),
  reorgDepth: optional(closed({ atMost: optional(Count), atLeast: optional(AtLeast) }, 1)),
  evidenceAtLeast: optional(AtLeast),
  evidenceAtMost: optional(Count),
  noInternalErrors: optional(Type.Boolean()),
  honestNotAccused: optional(Type.Boolean()),
  honestNotPenalized: optional(Type.Boolean()),
  supplyConserved: optional(Type.Boolean()),
  nothingForgotten: optional(Type.Boolean()),
  refused: optional(Selectors),
  says: optional(some(closed({ nodes: Selectors, line: Type.String({ minLength: 1 }) }))),
  blockInterval: optional(closed({ within: Type.Number({ exclusiveMinimum: 0 }), after: Duration })),
  invalidStaysAtFirstHop: optional(Type.Boolean()),
});
export type Expectations = Static<typeof Expectations>;

/**
 * Unknown keys are refused. What it cannot say, such as whether a selector means anybody, is a ScenarioError where it
 * is used.
 */
export const ScenarioSchema = closed({
  name: Name,
  about: optional(Type.String()),
  duration: Duration,
  params: optional(
    closed({
      blockTime: optional(Duration),
      halfLife: optional(Duration),
      maxSolveTime: optional(Duration),
      maxFuture: optional(Duration),
      checkpointInterval: optional(Type.Integer({ minimum: 1 })),
      hashesPerBlock: optional(Type.Integer({ minimum: 2, maximum: 65_536 })),
    }),
  ),
  nodes: Type.Array(Group, { minItems: 1 }),
  electorate: optional(
    closed({
      miners: closed({ window: Type.Integer({ minimum: 1, maximum: MAX_WINDOW }), founders: Selectors }),
    }),
  ),
  topology: optional(
    Type.Union([Type.Enum(['full', 'ring', 'line']), closed({ random: Links }), closed({ regular: Links })]),
  ),
  links: optional(
    closed({
      ...linkFields,
      between: optional(Type.Array(closed({ ...linkFields, groups: Type.Tuple([Selectors, Selectors]) }))),
    }),
  ),
  disk: optional(closed({ syncLatency: Duration })),
  history: optional(closed({ blocks: Type.Integer({ minimum: 1, maximum: 100_000 }), at: Selectors })),
  load: optional(
    closed({
      txPerSecond: Type.Number({ exclusiveMinimum: 0, maximum: 1_000 }),
      from: optional(Duration),
      until: optional(Duration),
      at: optional(Selectors),
    }),
  ),
  timeline: optional(Type.Array(FaultEvent)),
  expect: Expectations,
});
export type Scenario = Static<typeof ScenarioSchema>;
export type GroupSpec = Scenario['nodes'][number];

export const FAULTS = Object.keys(FaultEvent.properties).filter((key) => key !== 'at') as Exclude<
  keyof FaultEvent,
  'at'
>[];

/** Milliseconds of `250ms`, `2s`, `1.5m`, `1h`, with or without a minus. */
export function parseDuration(text: string): number {
  const match = /^(-?\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (match === null) throw new RangeError(`${text} is no duration`);
  return Number(match[1]) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 'ms' | 's' | 'm' | 'h'];
}

/** The one fault an event is about. */
export function faultOf(event: FaultEvent): Exclude<keyof FaultEvent, 'at'> {
  return FAULTS.find((fault) => event[fault] !== undefined)!;
}

/** The file that would be read as this scenario. */
export function formatScenario(scenario: Scenario): string {
  return stringify(scenario, { lineWidth: 110, flowCollectionPadding: false });
}
