/**
 * Scenario files: who takes part, how they are connected, what goes wrong when, and what must hold at the end.
 * YAML; docs/TESTING.md describes it. What is not known is refused, with the path of the place.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { parseDocument, stringify } from 'yaml';
import { MAX_WINDOW } from '../chain/genesis.ts';

/** The file is none, or asks for what does not exist. `path`: `timeline[2].partition`. */
export class ScenarioError extends Error {
  readonly path: string;

  constructor(path: string, problem: string) {
    super(path === '' ? `scenario: ${problem}` : `scenario: ${path}: ${problem}`);
    this.name = 'ScenarioError';
    this.path = path;
  }
}

const DURATION = '^\\d+(\\.\\d+)?(ms|s|m|h)$';
const Duration = Type.String({ pattern: DURATION, description: 'e.g. 250ms, 2s, 1.5m, 1h' });
const Offset = Type.String({ pattern: DURATION.replace('^', '^-?') });
const Name = Type.String({ pattern: '^[a-z][a-z0-9-]*$' });
/** `all`, a group, one node of it (`left2`), its first n (`left:2`) or that share of it (`left:30%`). */
const Selector = Type.String({ pattern: '^[a-z][a-z0-9-]*(:\\d+%?)?$' });
const Selectors = Type.Union([Selector, Type.Array(Selector, { minItems: 1 })]);
const Links = Type.Integer({ minimum: 1, maximum: 100 });
const Share = Type.Number({ minimum: 0, maximum: 1 });
const Count = Type.Integer({ minimum: 0 });

const closed = <P extends Record<string, TSchema>>(properties: P) =>
  Type.Object(properties, { additionalProperties: false });
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
  mine: optional(Type.Enum(['continuous', 'interval', 'on-demand', 'off'])),
  mineInterval: optional(Duration),
  hashShare: optional(Type.Number({ exclusiveMinimum: 0 })),
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
  hashRate: optional(closed({ nodes: Selectors, factor: Type.Number({ exclusiveMinimum: 0 }) })),
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
  agreementStalls: optional(Type.Array(closed({ between: Type.Tuple([Duration, Duration]), nodes: Selectors }))),
  resumesWithin: optional(
    closed({ after: Duration, heights: Count, time: optional(Duration), nodes: optional(Selectors) }),
  ),
  finalHeightAtLeast: optional(Count),
  growsBetween: optional(
    Type.Array(closed({ between: Type.Tuple([Duration, Duration]), nodes: Selectors, by: Count })),
  ),
  agreesBetween: optional(
    Type.Array(closed({ between: Type.Tuple([Duration, Duration]), nodes: Selectors, heights: Count })),
  ),
  electorateShare: optional(Type.Array(closed({ of: Selectors, atLeast: optional(Share), atMost: optional(Share) }))),
  delivered: optional(Share),
  txsFinal: optional(Share),
  reorgDepth: optional(closed({ atMost: optional(Count), atLeast: optional(Count) })),
  evidenceAtLeast: optional(Count),
  evidenceAtMost: optional(Count),
  noInternalErrors: optional(Type.Boolean()),
  honestNotAccused: optional(Type.Boolean()),
  honestNotPenalized: optional(Type.Boolean()),
  supplyConserved: optional(Type.Boolean()),
  nothingForgotten: optional(Type.Boolean()),
  refused: optional(Selectors),
  says: optional(Type.Array(closed({ nodes: Selectors, line: Type.String({ minLength: 1 }) }))),
  blockInterval: optional(closed({ within: Type.Number({ exclusiveMinimum: 0 }), after: Duration })),
  invalidStaysAtFirstHop: optional(Type.Boolean()),
});
export type Expectations = Static<typeof Expectations>;

const ScenarioSchema = closed({
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

const compiled = Compile(ScenarioSchema);
const FAULTS = Object.keys(FaultEvent.properties).filter((key) => key !== 'at') as Exclude<keyof FaultEvent, 'at'>[];

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

/**
 * Reads a scenario file.
 * @throws ScenarioError naming the place: the line for bad YAML, else the path
 */
export function parseScenario(text: string): Scenario {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) throw new ScenarioError('', error.message.split('\n')[0]!.replace(/:$/, ''));
  return checkScenario(document.toJS());
}

/** As {@link parseScenario}, of what has been read already. */
export function checkScenario(value: unknown): Scenario {
  if (!compiled.Check(value)) {
    const errors = compiled.Errors(value);
    // The deepest error is the one about the place itself; those above it say that something below is wrong.
    const [first] = [...errors].sort((a, b) => depthOf(b.instancePath) - depthOf(a.instancePath));
    throw toError(first ?? { keyword: '', instancePath: '', message: 'is no scenario', params: {} });
  }
  const durationMs = parseDuration(value.duration);
  const names = new Set<string>(['all']);
  for (const [at, { group, count, behaviour }] of value.nodes.entries()) {
    const path = `nodes[${at}]`;
    if (names.has(group)) throw new ScenarioError(`${path}.group`, `${group} is given twice`);
    names.add(group);
    for (let index = 1; index <= (count ?? 0); index++) names.add(`${group}${index}`);
    if (behaviour === 'equivocate') names.add(`${group}-twin`);
  }
  for (const [at, event] of (value.timeline ?? []).entries()) {
    const path = `timeline[${at}]`;
    const given = FAULTS.filter((fault) => event[fault] !== undefined);
    if (given.length !== 1) throw new ScenarioError(path, `needs exactly one of ${FAULTS.join(', ')}`);
    if (parseDuration(event.at) > durationMs) throw new ScenarioError(`${path}.at`, 'is after the end');
    const { crashAtWrite } = event;
    if (crashAtWrite !== undefined && value.nodes.some((each) => each.group === crashAtWrite.node && each.count)) {
      throw new ScenarioError(`${path}.crashAtWrite.node`, `${crashAtWrite.node} is a group: say which node of it`);
    }
    if (event.flap !== undefined && parseDuration(event.flap.down) + parseDuration(event.flap.up) < 10) {
      throw new ScenarioError(`${path}.flap`, 'a turn must last 10ms or more');
    }
    for (const [place, selector] of selectorsOf(event, path)) checkSelector(selector, names, place);
  }
  for (const [place, selector] of selectorsOf(value.expect, 'expect')) checkSelector(selector, names, place);
  for (const key of ['agreementStalls', 'growsBetween', 'agreesBetween'] as const) {
    for (const [at, { between }] of (value.expect[key] ?? []).entries()) {
      const [fromMs, toMs] = between.map(parseDuration) as [number, number];
      const path = `expect.${key}[${at}].between`;
      if (fromMs >= toMs) throw new ScenarioError(path, 'ends before it begins');
      if (toMs > durationMs) throw new ScenarioError(path, 'ends after the scenario does');
    }
  }
  for (const part of ['load', 'history'] as const) {
    for (const [place, each] of selectorsOf({ at: value[part]?.at }, part)) checkSelector(each, names, place);
  }
  for (const [place, each] of selectorsOf(value.electorate ?? {}, 'electorate')) checkSelector(each, names, place);
  for (const [at, link] of (value.links?.between ?? []).entries()) {
    for (const [place, each] of selectorsOf({ groups: link.groups }, `links.between[${at}]`)) {
      checkSelector(each, names, place);
    }
  }
  return value;
}

/** The file that would be read as this scenario. */
export function formatScenario(scenario: Scenario): string {
  return stringify(scenario, { lineWidth: 110, flowCollectionPadding: false });
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

function checkSelector(selector: string, names: ReadonlySet<string>, path: string): void {
  const name = selector.split(':')[0]!;
  if (!names.has(name)) throw new ScenarioError(path, `there is no group or node ${name}`);
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

function toError({ keyword, instancePath, message, params }: SchemaError): ScenarioError {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((part, at) => (/^\d+$/.test(part) ? `[${part}]` : at === 0 ? part : `.${part}`))
    .join('');
  const below = (name: string): string => (path === '' ? name : `${path}.${name}`);
  if (keyword === 'boolean') return new ScenarioError(path, 'is not known');
  if (keyword === 'additionalProperties' && 'additionalProperties' in params) {
    return new ScenarioError(below(String((params.additionalProperties as string[])[0])), 'is not known');
  }
  if (keyword === 'required' && 'requiredProperties' in params) {
    return new ScenarioError(below(String((params.requiredProperties as string[])[0])), 'is missing');
  }
  if (keyword === 'pattern' && 'pattern' in params && String(params.pattern).includes('ms|s|m|h')) {
    return new ScenarioError(path, 'must be a duration such as 250ms, 2s, 1.5m or 1h');
  }
  if (keyword === 'enum' && 'allowedValues' in params) {
    return new ScenarioError(path, `must be one of ${(params.allowedValues as string[]).join(', ')}`);
  }
  return new ScenarioError(path, message);
}

function depthOf(path: string): number {
  return path.split('/').length;
}
