/** Reads scenario files. What is not known, or cannot be, is refused, with the path of the place. */
import { Compile } from 'typebox/compile';
import { type Alias, type Document, LineCounter, parseDocument, visit } from 'yaml';
import { checkPlan } from './check-plan.ts';
import { ScenarioNodes } from './scenario-nodes.ts';
import {
  DURATION,
  FAULTS,
  type FaultEvent,
  type LinkFields,
  LOAD_FROM,
  parseDuration,
  type Scenario,
  ScenarioError,
  ScenarioSchema,
} from './scenario-schema.ts';

const compiled = Compile(ScenarioSchema);
/** Ten years: beyond any chain worth simulating, and far below where the sums of milliseconds lose whole ones. */
const MAX_DURATION_MS = 10 * 365 * 86_400_000;
/** A node that starts writes several times, and is given ten virtual seconds. */
const MAX_SYNC_LATENCY_MS = 1_000;
/** A flap is expanded into its turns before the run begins. */
const MAX_TURNS = 100_000;
/** Free text, where `5s` is no duration. */
const TEXT_KEYS: ReadonlySet<string> = new Set(['about', 'line']);

/**
 * Reads a scenario file.
 * @throws ScenarioError naming the place: the line for bad YAML, else the path
 */
export function parseScenario(text: string): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: true, lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) throw new ScenarioError('', error.message.split('\n')[0]!.replace(/:$/, ''));
  return checkScenario(resolveAliases(document, lines));
}

/** The parser takes aliases as they come; that one stands for nothing, or for too much, shows only here. */
function resolveAliases(document: Document.Parsed, lines: LineCounter): unknown {
  try {
    return document.toJS();
  } catch (error) {
    let dangling: Alias | undefined;
    visit(document, {
      Alias(_key, alias) {
        if (alias.resolve(document) !== undefined) return undefined;
        dangling = alias;
        return visit.BREAK;
      },
    });
    if (dangling === undefined) throw new ScenarioError('', error instanceof Error ? error.message : String(error));
    const { line, col } = lines.linePos(dangling.range?.[0] ?? 0);
    throw new ScenarioError('', `nothing is called ${dangling.source} at line ${line}, column ${col}`);
  }
}

/** As {@link parseScenario}, of what has been read already. */
export function checkScenario(value: unknown): Scenario {
  if (!compiled.Check(value)) {
    const errors = compiled.Errors(value);
    // The deepest error is the one about the place itself; those above it say that something below is wrong.
    const [first] = [...errors].sort((a, b) => depthOf(b.instancePath) - depthOf(a.instancePath));
    throw toError(first ?? { keyword: '', instancePath: '', message: 'is no scenario', params: {} });
  }
  for (const [path, text] of durationsOf(value, '')) {
    if (!(Math.abs(parseDuration(text)) <= MAX_DURATION_MS)) throw new ScenarioError(path, 'is more than ten years');
  }
  const durationMs = parseDuration(value.duration);
  if (durationMs < 1) throw new ScenarioError('duration', 'must be 1ms at least');
  for (const [at, event] of (value.timeline ?? []).entries()) checkEvent(event, `timeline[${at}]`, durationMs);
  checkLoad(value.load, value.duration);
  checkLatency(value.links, 'links');
  for (const [at, link] of (value.links?.between ?? []).entries()) checkLatency(link, `links.between[${at}]`);
  checkPlan(value, new ScenarioNodes(value));
  for (const key of ['agreementStalls', 'growsBetween', 'agreesBetween'] as const) {
    for (const [at, { between }] of (value.expect[key] ?? []).entries()) {
      const [fromMs, toMs] = between.map(parseDuration) as [number, number];
      const path = `expect.${key}[${at}].between`;
      if (fromMs >= toMs) throw new ScenarioError(path, 'ends before it begins');
      if (toMs > durationMs) throw new ScenarioError(path, 'ends after the scenario does');
    }
  }
  for (const key of ['resumesWithin', 'blockInterval'] as const) {
    const after = value.expect[key]?.after;
    if (after === undefined || parseDuration(after) < durationMs) continue;
    throw new ScenarioError(`expect.${key}.after`, 'is not before the end');
  }
  checkBounds(value.expect.reorgDepth, 'expect.reorgDepth');
  const { evidenceAtLeast = 0, evidenceAtMost = Number.POSITIVE_INFINITY } = value.expect;
  if (evidenceAtLeast > evidenceAtMost) {
    throw new ScenarioError('expect.evidenceAtLeast', 'is more than evidenceAtMost');
  }
  if (value.disk !== undefined && parseDuration(value.disk.syncLatency) > MAX_SYNC_LATENCY_MS) {
    throw new ScenarioError('disk.syncLatency', `is more than ${MAX_SYNC_LATENCY_MS}ms`);
  }
  for (const [at, share] of (value.expect.electorateShare ?? []).entries()) {
    checkBounds(share, `expect.electorateShare[${at}]`);
  }
  return value;
}

function checkLoad(load: Scenario['load'], duration: string): void {
  if (load === undefined) return;
  const { from = LOAD_FROM, until } = load;
  const endMs = parseDuration(until ?? duration);
  if (endMs > parseDuration(duration)) throw new ScenarioError('load.until', 'is after the end');
  if (parseDuration(from) < endMs) return;
  if (until === undefined) throw new ScenarioError('load.from', `${from} is not before the end`);
  throw new ScenarioError('load.until', `is not after ${from}, when it begins`);
}

function checkLatency(link: LinkFields | undefined, path: string): void {
  const [least, most] = (link?.latency ?? []).map(parseDuration);
  if (least! > most!) throw new ScenarioError(`${path}.latency`, 'the first is more than the second');
}

function checkBounds(bounds: { readonly atLeast?: number; readonly atMost?: number } | undefined, path: string): void {
  const { atLeast, atMost } = bounds ?? {};
  if (atLeast === undefined || atMost === undefined || atLeast <= atMost) return;
  throw new ScenarioError(path, 'atLeast is more than atMost');
}

function checkEvent(event: FaultEvent, path: string, durationMs: number): void {
  const given = FAULTS.filter((fault) => event[fault] !== undefined);
  if (given.length !== 1) throw new ScenarioError(path, `needs exactly one of ${FAULTS.join(', ')}`);
  const atMs = parseDuration(event.at);
  if (atMs > durationMs) throw new ScenarioError(`${path}.at`, 'is after the end');
  const { flap } = event;
  if (flap === undefined) return;
  const [turnMs, untilMs] = [parseDuration(flap.down) + parseDuration(flap.up), parseDuration(flap.until)];
  if (turnMs < 10) throw new ScenarioError(`${path}.flap`, 'a turn must last 10ms or more');
  // The steps of a flap would run on past the end, and the scenario with them.
  if (untilMs > durationMs) throw new ScenarioError(`${path}.flap.until`, 'is after the end');
  if (untilMs <= atMs) throw new ScenarioError(`${path}.flap.until`, 'is before the flap begins');
  if (untilMs - atMs > turnMs * MAX_TURNS) {
    throw new ScenarioError(`${path}.flap`, `takes more than ${MAX_TURNS} turns`);
  }
}

/** Each duration below `value`, with its path. */
function* durationsOf(value: unknown, path: string, key = ''): Generator<readonly [path: string, duration: string]> {
  if (typeof value === 'string') {
    if (!TEXT_KEYS.has(key) && new RegExp(DURATION.replace('^', '^-?')).test(value)) yield [path, value];
  } else if (Array.isArray(value)) {
    for (const [at, each] of value.entries()) yield* durationsOf(each, `${path}[${at}]`, key);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) {
      yield* durationsOf(each, path === '' ? name : `${path}.${name}`, name);
    }
  }
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
  // Only what is bounded on either side or on both asks for more properties than those it cannot do without.
  if (keyword === 'minProperties') return new ScenarioError(path, 'needs atLeast, atMost or both');
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
