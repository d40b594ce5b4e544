/** All that scenarios know of the network in memory: its faults, what it counts, and what it says in the trace. */
import type { LinkProfile, MemoryHub } from './memory-network.ts';
import { parseDuration, type Scenario } from './scenario.ts';
import type { ScenarioNodes } from './scenario-nodes.ts';
import type { SeededRng } from './seeded-rng.ts';
import type { Spread } from './spread.ts';
import type { Trace } from './trace.ts';

const DEFAULT_PROFILE: LinkProfile = { latencyMs: [5, 60], jitterMs: 5, loss: 0 };

/** Gives the nodes their links. */
export function connectAll(hub: MemoryHub, scenario: Scenario, nodes: ScenarioNodes, rng: SeededRng): void {
  const names = nodes.all.map(({ name }) => name);
  const base = profileOf(scenario.links ?? {}, DEFAULT_PROFILE);
  const special = (scenario.links?.between ?? []).map((link) => ({
    sides: link.groups.map((side) => new Set(nodes.select(side))) as [Set<string>, Set<string>],
    profile: profileOf(link, base),
  }));
  for (const [a, b] of linksOf(scenario.topology ?? 'full', names, rng)) {
    const found = special.find(({ sides: [x, y] }) => (x.has(a) && y.has(b)) || (x.has(b) && y.has(a)));
    hub.link(a, b, found?.profile ?? base);
  }
}

function profileOf(
  fields: { readonly latency?: readonly [string, string]; readonly jitter?: string; readonly loss?: number },
  base: LinkProfile,
): LinkProfile {
  const { latency, jitter, loss } = fields;
  return {
    ...base,
    ...(latency !== undefined && { latencyMs: [parseDuration(latency[0]), parseDuration(latency[1])] as const }),
    ...(jitter !== undefined && { jitterMs: parseDuration(jitter) }),
    ...(loss !== undefined && { loss }),
  };
}

function linksOf(
  topology: NonNullable<Scenario['topology']>,
  names: readonly string[],
  rng: SeededRng,
): (readonly [string, string])[] {
  if (topology === 'full') return names.flatMap((a, at) => names.slice(at + 1).map((b) => [a, b] as const));
  const line = names.slice(1).map((name, at) => [names[at]!, name] as const);
  if (topology === 'line') return line;
  const ring = names.length < 3 ? line : [...line, [names.at(-1)!, names[0]!] as const];
  if (topology === 'ring') return ring;
  // On top of a ring, so that all hang together.
  const links = new Map(ring.map((pair) => [[...pair].sort().join(' '), pair]));
  for (const a of names) {
    const others = names.filter((b) => b !== a && !links.has([a, b].sort().join(' ')));
    for (let left = Math.min(topology.random, others.length); left > 0; left--) {
      const [b] = others.splice(Math.floor(rng.unit() * others.length), 1);
      links.set([a, b!].sort().join(' '), [a, b!]);
    }
  }
  return [...links.values()];
}

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

export function networkTotals(hub: MemoryHub): NetworkTotals {
  const { sent, first, duplicates, lost, payloadBytes } = hub.stats.sum();
  return { sent, first, duplicates, lost, bytes: payloadBytes };
}

export function observeSpread(hub: MemoryHub, spread: Spread): void {
  hub.onDelivery((delivery) => spread.add(delivery));
}

/** What the network says of peers, and of verdicts on messages. */
export interface NetworkListener {
  onPenalized(node: string, peer: string, reason: string): void;
  onBanned(node: string, peer: string): void;
  onRejected(node: string, from: string, kind: string): void;
}

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
