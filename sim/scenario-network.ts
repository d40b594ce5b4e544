/** All that scenarios know of the network in memory: its faults, what it counts, and what it says in the trace. */
import { DEFAULT_LINK, type LinkProfile } from './link.ts';
import type { MemoryHub } from './memory-hub.ts';
import type { ScenarioNodes } from './scenario-nodes.ts';
import { type LinkFields, parseDuration, type Scenario, ScenarioError } from './scenario-schema.ts';
import type { SeededRng } from './seeded-rng.ts';
import type { Spread } from './spread.ts';
import { fullTopology, type Links, regularTopology, ringTopology } from './topology.ts';
import type { Trace } from './trace.ts';

/**
 * Gives the nodes their links.
 * @throws ScenarioError where no net of so many nodes has that topology
 */
export function connectAll(hub: MemoryHub, scenario: Scenario, nodes: ScenarioNodes, rng: SeededRng): void {
  const names = nodes.all.map(({ name }) => name);
  const base = profileOf(scenario.links ?? {}, DEFAULT_LINK);
  const special = (scenario.links?.between ?? []).map((link) => ({
    sides: link.groups.map((side) => new Set(nodes.select(side))) as [Set<string>, Set<string>],
    profile: profileOf(link, base),
  }));
  for (const [a, b] of linksOf(scenario.topology ?? 'full', names, rng)) {
    const found = special.find(({ sides: [x, y] }) => (x.has(a) && y.has(b)) || (x.has(b) && y.has(a)));
    hub.link(a, b, found?.profile ?? base);
  }
}

function profileOf(fields: LinkFields, base: LinkProfile): LinkProfile {
  const { latency, jitter, loss, bytesPerSecond } = fields;
  return {
    ...base,
    ...(latency !== undefined && { latencyMs: [parseDuration(latency[0]), parseDuration(latency[1])] as const }),
    ...(jitter !== undefined && { jitterMs: parseDuration(jitter) }),
    ...(loss !== undefined && { loss }),
    ...(bytesPerSecond !== undefined && { bytesPerSecond }),
  };
}

function linksOf(topology: NonNullable<Scenario['topology']>, names: readonly string[], rng: SeededRng): Links {
  if (topology === 'full') return fullTopology(names, rng);
  if (topology === 'line') return names.slice(1).map((name, at) => [names[at]!, name] as const);
  if (topology === 'ring') return ringTopology(names, 0, rng);
  // On top of a ring, so that all hang together.
  if ('random' in topology) return ringTopology(names, topology.random, rng);
  try {
    return regularTopology(names, topology.regular, rng);
  } catch (error) {
    if (error instanceof RangeError) throw new ScenarioError('topology.regular', error.message);
    throw error;
  }
}

/** @param isOneWay what `from` sends waits, as `cutOneWay` has it, and nothing else is cut */
export function cutBetween(hub: MemoryHub, from: readonly string[], to: readonly string[], isOneWay: boolean): void {
  for (const a of from) {
    for (const b of to) {
      if (isOneWay) hub.cutOneWay(a, b);
      else hub.cut(a, b);
    }
  }
}

export interface NetworkTotals {
  /** Copies handed to a link, and how many arrived for the first time or again. */
  readonly sent: number;
  readonly first: number;
  readonly duplicates: number;
  readonly lost: number;
  readonly bytes: number;
}

/** Over all nodes and kinds of message, `bytes` as on the wire. */
export function networkTotals(hub: MemoryHub): NetworkTotals {
  const { sent, first, duplicates, lost, wireBytes } = hub.stats.sum();
  return { sent, first, duplicates, lost, bytes: wireBytes };
}

/** From now on, for as long as the hub lasts. */
export function observeSpread(hub: MemoryHub, spread: Spread): void {
  hub.onDelivery((delivery) => spread.add(delivery));
}

/** What the network says of peers, and of verdicts on messages. */
export interface NetworkListener {
  onPenalized(node: string, peer: string, reason: string): void;
  onBanned(node: string, peer: string): void;
  onRejected(node: string, from: string, kind: string): void;
}

/**
 * Takes the place of whoever listened to the trace before. It reads the entries' text, as `memory-network.ts` writes
 * it.
 */
export function listenToNetwork(trace: Trace, listener: NetworkListener): void {
  trace.onEntry = (node, kind, detail) => {
    if (kind === 'penalized') {
      const [peer = '', , ...reason] = detail.split(' ');
      listener.onPenalized(node, peer, reason.join(' '));
    } else if (kind === 'banned') {
      listener.onBanned(node, detail.split(' ')[0]!);
    } else if (kind === 'reject') {
      listener.onRejected(node, detail.slice(detail.lastIndexOf(' ') + 1), detail.split(' ')[0]!);
    }
  };
}
