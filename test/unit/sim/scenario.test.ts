import { expect, test } from 'vitest';
import { formatScenario, parseDuration, parseScenario, ScenarioError } from '../../../sim/scenario.ts';
import { ScenarioNodes } from '../../../sim/scenario-nodes.ts';

const BASE = `name: base
duration: 10s
nodes:
  - {group: a, count: 2}
  - {group: b}
expect: {}
`;

test('a scenario survives being written and read again', () => {
  const scenario = parseScenario(`${BASE}timeline: [{at: 1s, partition: [a, [b]]}, {at: 2.5s, heal: all}]`);
  expect(parseScenario(formatScenario(scenario))).toEqual(scenario);
});

test.each([
  ['an unknown key', `${BASE}foo: 1`, 'foo', /is not known/],
  ['an unknown key below', BASE.replace('count: 2', 'counts: 2'), 'nodes[0].counts', /is not known/],
  ['a number without a unit', BASE.replace('10s', '10'), 'duration', /must be string/],
  ['a unit that is none', BASE.replace('10s', '10d'), 'duration', /must be a duration such as 250ms/],
  ['a key that is missing', BASE.replace('expect: {}\n', ''), 'expect', /is missing/],
  ['a role that is none', BASE.replace('count: 2', 'role: king'), 'nodes[0].role', /must be one of voter/],
  ['a group given twice', BASE.replace('group: b', 'group: a'), 'nodes[1].group', /a is given twice/],
  [
    'a fault at nobody',
    `${BASE}timeline: [{at: 1s, partition: [a, c]}]`,
    'timeline[0].partition[1]',
    /no group or node c/,
  ],
  ['a node too many', `${BASE}timeline: [{at: 1s, crash: [a1, a3]}]`, 'timeline[0].crash[1]', /no group or node a3/],
  ['two faults in one', `${BASE}timeline: [{at: 1s, crash: a, heal: all}]`, 'timeline[0]', /needs exactly one of/],
  ['an event without a fault', `${BASE}timeline: [{at: 1s}]`, 'timeline[0]', /needs exactly one of/],
  ['an event after the end', `${BASE}timeline: [{at: 11s, heal: all}]`, 'timeline[0].at', /is after the end/],
  [
    'an expectation of nobody',
    BASE.replace('{}', '{agreementStalls: [{between: [1s, 2s], nodes: z}]}'),
    'expect.agreementStalls[0].nodes',
    /no group or node z/,
  ],
  [
    'a time that ends before it begins',
    BASE.replace('{}', '{agreementStalls: [{between: [2s, 1s], nodes: a}]}'),
    'expect.agreementStalls[0].between',
    /ends before it begins/,
  ],
  [
    'a time beyond the end',
    BASE.replace('{}', '{growsBetween: [{between: [2s, 11s], nodes: a, by: 1}]}'),
    'expect.growsBetween[0].between',
    /ends after the scenario does/,
  ],
  [
    'a write of a whole group',
    `${BASE}timeline: [{at: 1s, crashAtWrite: {node: a, nth: 1, fate: lost, within: 1s}}]`,
    'timeline[0].crashAtWrite.node',
    /say which node/,
  ],
  [
    'a kind of electorate that there is none of',
    `${BASE}electorate: {stakers: {window: 3}}`,
    'electorate.stakers',
    /is not known/,
  ],
  ['miners without founders', `${BASE}electorate: {miners: {window: 3}}`, 'electorate.miners.founders', /is missing/],
  [
    'a window without a block',
    `${BASE}electorate: {miners: {window: 0, founders: a}}`,
    'electorate.miners.window',
    /must be >= 1/,
  ],
  [
    'a window beyond the protocol’s bound',
    `${BASE}electorate: {miners: {window: 10001, founders: a}}`,
    'electorate.miners.window',
    /must be <= 10000/,
  ],
  [
    'a founder who is nobody',
    `${BASE}electorate: {miners: {window: 3, founders: [a1, c]}}`,
    'electorate.miners.founders[1]',
    /no group or node c/,
  ],
  [
    'a share of the electorate of nobody',
    BASE.replace('{}', '{electorateShare: [{of: z, atLeast: 1}]}'),
    'expect.electorateShare[0].of',
    /no group or node z/,
  ],
  ['YAML that is none', 'name: [', '', /at line 1/],
])('%s is refused, with its path', (_what, text, path, problem) => {
  try {
    parseScenario(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ScenarioError);
    expect((error as ScenarioError).path).toBe(path);
    expect((error as ScenarioError).message).toMatch(problem);
    return;
  }
  expect.unreachable();
});

test('durations', () => {
  expect(['250ms', '2s', '1.5m', '1h', '-3s'].map(parseDuration)).toEqual([250, 2_000, 90_000, 3_600_000, -3_000]);
});

test('selectors: groups, nodes, the first of a group, a share of it', () => {
  const nodes = new ScenarioNodes(parseScenario(BASE.replace('count: 2', 'count: 10')));
  expect(nodes.select('b')).toEqual(['b']);
  expect(nodes.select(['a:2', 'a1', 'b'])).toEqual(['a1', 'a2', 'b']);
  expect(nodes.select('a:30%')).toEqual(['a1', 'a2', 'a3']);
  expect(nodes.select('all')).toHaveLength(11);
});

test('more nodes are shared out as the groups are', () => {
  const scenario = parseScenario(BASE.replace('count: 2', 'count: 7').replace('group: b', 'group: b, count: 3'));
  const nodes = new ScenarioNodes(scenario, 100);
  expect(nodes.select('a')).toHaveLength(70);
  expect(nodes.select('b')).toHaveLength(30);
  expect(() => new ScenarioNodes(scenario, 1)).toThrow(ScenarioError);
});

test('a voter that equivocates is two nodes with one key', () => {
  const nodes = new ScenarioNodes(parseScenario(BASE.replace('count: 2', 'count: 2, behaviour: equivocate')));
  expect(nodes.all.map(({ name }) => name)).toEqual(['a1', 'a1-twin', 'a2', 'a2-twin', 'b']);
  expect(nodes.select('a-twin')).toEqual(['a1-twin', 'a2-twin']);
  expect(nodes.voters).toBe(3);
  expect(nodes.honest.map(({ name }) => name)).toEqual(['b']);
});

test('the founders of an electorate of miners are voters, and somebody', () => {
  const foundersOf = (founders: string): readonly string[] => {
    const text = `${BASE.replace('group: b', 'group: b, role: observer')}electorate: {miners: {window: 3, founders: ${founders}}}`;
    const scenario = parseScenario(text);
    return new ScenarioNodes(scenario).founders(scenario.electorate!);
  };
  expect(foundersOf('a')).toEqual(['a1', 'a2']);
  expect(() => foundersOf('[a1, b]')).toThrow('electorate.miners.founders: b is no voter');
  expect(() => foundersOf('all')).toThrow('electorate.miners.founders: b is no voter');
  expect(() => foundersOf('"a:0"')).toThrow('a:0 means nobody');
});
