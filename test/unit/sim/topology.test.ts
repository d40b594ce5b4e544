import { describe, expect, it } from 'vitest';
import { createSeededRng } from '../../../sim/seeded-rng.ts';
import { fullTopology, type Links, randomTopology, regularTopology, ringTopology } from '../../../sim/topology.ts';

const namesOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `n${index}`);

function degreesOf(links: Links): Map<string, number> {
  const degrees = new Map<string, number>();
  for (const name of links.flat()) degrees.set(name, (degrees.get(name) ?? 0) + 1);
  return degrees;
}

function expectSimple(links: Links): void {
  expect(links.every(([a, b]) => a !== b)).toBe(true);
  expect(new Set(links.map((pair) => [...pair].sort().join(' '))).size).toBe(links.length);
}

function reachable(links: Links, from: string): number {
  const reached = new Set([from]);
  for (const at of reached) for (const [a, b] of links) if (a === at || b === at) reached.add(a === at ? b : a);
  return reached.size;
}

describe('regular', () => {
  it.each([
    [12, 3],
    [25, 4],
    [100, 10],
    [8, 7],
  ])('%i nodes have %i links each, no loops, no doubles, and hang together', (nodes, degree) => {
    const links = regularTopology(namesOf(nodes), degree, createSeededRng(`${nodes}`));
    expectSimple(links);
    expect([...degreesOf(links).values()]).toEqual(Array.from({ length: nodes }, () => degree));
    expect(reachable(links, 'n0')).toBe(nodes);
  });

  it.each([
    [5, 3],
    [4, 4],
    [10, 1],
  ])('there is none of %i nodes with %i links each', (nodes, degree) => {
    expect(() => regularTopology(namesOf(nodes), degree, createSeededRng('none'))).toThrow(RangeError);
  });
});

it('a ring with random links hangs together and each node dials its share', () => {
  const links = ringTopology(namesOf(50), 3, createSeededRng('ring'));
  expectSimple(links);
  expect(links.length).toBe(50 + 150);
  expect(reachable(links, 'n7')).toBe(50);
});

it('random: each node dials as many as it was told', () => {
  const links = randomTopology(namesOf(100), 20, createSeededRng('random'));
  expectSimple(links);
  for (const name of namesOf(100)) expect(links.filter(([dialler]) => dialler === name).length).toBe(20);
});

it('full: everybody with everybody, and who dials is drawn', () => {
  const links = fullTopology(namesOf(10), createSeededRng('full'));
  expectSimple(links);
  expect(links.length).toBe(45);
  expect(new Set(links.map(([dialler]) => dialler)).size).toBeGreaterThan(5);
});

it('one seed gives one topology', () => {
  const draw = (seed: string): Links => regularTopology(namesOf(20), 4, createSeededRng(seed));
  expect(draw('a')).toEqual(draw('a'));
  expect(draw('b')).not.toEqual(draw('a'));
});
