/** Who has a connection with whom. Each pair is one connection; its first member is who dials. */
import type { SeededRng } from './seeded-rng.ts';

export type Links = readonly (readonly [dialler: string, other: string])[];

/** Everybody with everybody; who dials is drawn. */
export function fullTopology(names: readonly string[], rng: SeededRng): Links {
  return names.flatMap((a, at) => names.slice(at + 1).map((b) => drawDialler(a, b, rng)));
}

/**
 * Each node has exactly `degree` connections, drawn uniformly (pairing model; loops and doubles are swapped away),
 * and all nodes hang together.
 * @throws RangeError when there is no such graph: degree ≥ nodes, or both odd, or below 2
 */
export function regularTopology(names: readonly string[], degree: number, rng: SeededRng): Links {
  const count = names.length;
  if (degree < 2 || degree >= count || (degree * count) % 2 === 1) {
    throw new RangeError(`no connected graph of ${count} nodes with ${degree} links each`);
  }
  for (;;) {
    const pairs = drawPairs(count, degree, rng);
    if (pairs !== undefined && isConnected(count, pairs)) {
      return pairs.map(([a, b]) => drawDialler(names[a]!, names[b]!, rng));
    }
  }
}

/** A ring, so that all hang together, and `extra` more connections that each node dials at random. */
export function ringTopology(names: readonly string[], extra: number, rng: SeededRng): Links {
  const taken = new Set<string>();
  const links: (readonly [string, string])[] = [];
  const add = (a: number, b: number): boolean => {
    if (a === b || taken.has(pairKey(a, b))) return false;
    taken.add(pairKey(a, b));
    links.push([names[a]!, names[b]!]);
    return true;
  };
  for (let at = 0; at < names.length; at++) add(at, (at + 1) % names.length);
  dialRandomly(names.length, extra, rng, add);
  return links;
}

/** Each node dials `dials` others at random: about 2 · dials connections each, as in gerbil-simsub. */
export function randomTopology(names: readonly string[], dials: number, rng: SeededRng): Links {
  const taken = new Set<string>();
  const links: (readonly [string, string])[] = [];
  dialRandomly(names.length, dials, rng, (a, b) => {
    if (a === b || taken.has(pairKey(a, b))) return false;
    taken.add(pairKey(a, b));
    links.push([names[a]!, names[b]!]);
    return true;
  });
  return links;
}

/** As often as it takes: a node whose every pair is taken already dials fewer. */
function dialRandomly(count: number, dials: number, rng: SeededRng, add: (a: number, b: number) => boolean): void {
  for (let from = 0; from < count; from++) {
    let left = Math.min(dials, count - 1);
    for (let tries = 0; left > 0 && tries < 50 * dials; tries++) {
      if (add(from, Math.floor(rng.unit() * count))) left -= 1;
    }
  }
}

function drawPairs(count: number, degree: number, rng: SeededRng): (readonly [number, number])[] | undefined {
  const stubs = Array.from({ length: count * degree }, (_, at) => at % count);
  shuffle(stubs, rng);
  const pairs: [number, number][] = [];
  for (let at = 0; at < stubs.length; at += 2) pairs.push([stubs[at]!, stubs[at + 1]!]);
  const uses = new Map<string, number>();
  const use = ([a, b]: readonly [number, number], by: number): void => {
    uses.set(pairKey(a, b), (uses.get(pairKey(a, b)) ?? 0) + by);
  };
  const isBad = ([a, b]: readonly [number, number]): boolean => a === b || uses.get(pairKey(a, b))! > 1;
  for (const pair of pairs) use(pair, 1);
  for (let round = 0; round < 100; round++) {
    const bad = pairs.filter(isBad);
    if (bad.length === 0) return pairs;
    for (const pair of bad) {
      if (!isBad(pair)) continue;
      // Swap one end with that of any other pair.
      const other = pairs[Math.floor(rng.unit() * pairs.length)]!;
      use(pair, -1);
      use(other, -1);
      [pair[1], other[1]] = [other[1], pair[1]];
      use(pair, 1);
      use(other, 1);
    }
  }
  return undefined;
}

function isConnected(count: number, pairs: readonly (readonly [number, number])[]): boolean {
  const neighbours = Array.from({ length: count }, (): number[] => []);
  for (const [a, b] of pairs) {
    neighbours[a]!.push(b);
    neighbours[b]!.push(a);
  }
  const reached = new Set([0]);
  for (const at of reached) for (const next of neighbours[at]!) reached.add(next);
  return reached.size === count;
}

function drawDialler(a: string, b: string, rng: SeededRng): readonly [string, string] {
  return rng.unit() < 0.5 ? [a, b] : [b, a];
}

function pairKey(a: number, b: number): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

/** Fisher–Yates, in place. */
export function shuffle<T>(items: T[], rng: Pick<SeededRng, 'unit'>): T[] {
  for (let at = items.length - 1; at > 0; at--) {
    const other = Math.floor(rng.unit() * (at + 1));
    const item = items[at]!;
    items[at] = items[other]!;
    items[other] = item;
  }
  return items;
}
