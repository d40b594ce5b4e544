import { expect, test } from 'vitest';
import { MAX_WINDOW } from '../../../chain/genesis.ts';
import { runScenario } from '../../../sim/run-scenario.ts';
import { parseScenario } from '../../../sim/scenario.ts';
import { ScenarioNodes } from '../../../sim/scenario-nodes.ts';
import { formatScenario, parseDuration, ScenarioError } from '../../../sim/scenario-schema.ts';

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
  ['a long name', BASE.replace(/name: \S+/, `name: ${'n'.repeat(101)}`), 'name', /100/],
  ['a disk that is too slow to start on', `${BASE}disk: {syncLatency: 2s}`, 'disk.syncLatency', /is more than 1000ms/],
  [
    'a hash rate beyond all bounds',
    `${BASE}timeline: [{at: 1s, hashRate: {nodes: a, factor: 1e300}}]`,
    'timeline[0].hashRate.factor',
    /1000/,
  ],
  ['a hash share beyond all bounds', BASE.replace('count: 2', 'hashShare: 1e308'), 'nodes[0].hashShare', /1000000/],
  [
    'evidence between bounds that cross',
    BASE.replace('{}', '{evidenceAtLeast: 2, evidenceAtMost: 1}'),
    'expect.evidenceAtLeast',
    /is more than/,
  ],
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
    `${BASE}electorate: {miners: {window: ${MAX_WINDOW + 1}, founders: a}}`,
    'electorate.miners.window',
    new RegExp(`must be <= ${MAX_WINDOW}$`),
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
  [
    'a stall of liars alone',
    BASE.replace('group: b', 'group: b, behaviour: silent').replace(
      '{}',
      '{agreementStalls: [{between: [1s, 2s], nodes: all}, {between: [1s, 2s], nodes: [b]}]}',
    ),
    'expect.agreementStalls[1].nodes',
    /b: no honest node/,
  ],
  [
    'a share of the electorate that may be any',
    BASE.replace('{}', '{electorateShare: [{of: a}]}'),
    'expect.electorateShare[0]',
    /needs atLeast, atMost or both/,
  ],
  [
    'a depth of reorganisations that may be any',
    BASE.replace('{}', '{reorgDepth: {}}'),
    'expect.reorgDepth',
    /needs atLeast, atMost or both/,
  ],
  [
    'a load that ends before it begins',
    `${BASE}load: {txPerSecond: 1, from: 9s, until: 3s}`,
    'load.until',
    /is not after 9s, when it begins/,
  ],
  ['a load beyond the end', `${BASE}load: {txPerSecond: 1, from: 1s, until: 99s}`, 'load.until', /is after the end/],
  ['a load after the end', `${BASE}load: {txPerSecond: 1, from: 10s}`, 'load.from', /10s is not before the end/],
  [
    'a load that begins too late unless it says otherwise',
    `${BASE.replace('10s', '5s')}load: {txPerSecond: 1}`,
    'load.from',
    /5s is not before the end/,
  ],
  ['latencies from more to less', `${BASE}links: {latency: [50ms, 10ms]}`, 'links.latency', /first is more than/],
  [
    'the same of some links',
    `${BASE}links: {between: [{groups: [a, b], latency: [1s, 999ms]}]}`,
    'links.between[0].latency',
    /first is more than/,
  ],
  ['who joins and is there', `${BASE}timeline: [{at: 2s, join: [b, a1]}]`, 'timeline[0].join', /b is running at 2s/],
  [
    'who joins twice',
    `${BASE.replace('group: b', 'group: b, late: true')}timeline: [{at: 4s, join: b}, {at: 2s, join: b}]`,
    'timeline[0].join',
    /b is running at 4s/,
  ],
  [
    'one tip where nobody mines',
    BASE.replaceAll('group: ', 'role: observer, group: ').replace('{}', '{sameTip: true}'),
    'expect.sameTip',
    /always holds where nobody mines/,
  ],
  [
    'one final chain where nobody votes',
    BASE.replaceAll('group: ', 'role: miner, group: ').replace('{}', '{sameTip: true, sameFinal: true}'),
    'expect.sameFinal',
    /always holds where nobody votes/,
  ],
  [
    'no time between blocks',
    `${BASE}params: {blockTime: 0s}`,
    'params.blockTime',
    /number from 50 to .*, in milliseconds/,
  ],
  ['half a millisecond', `${BASE}params: {halfLife: 2000.5ms}`, 'params.halfLife', /must be a whole number from 2000/],
  [
    'time before which no block counts',
    `${BASE}params: {maxSolveTime: 5s, maxFuture: 5s}`,
    'params.maxFuture',
    /must be a whole number from 1 to 4999/,
  ],
  [
    'more voters than a genesis has',
    BASE.replace('count: 2', 'count: 1000'),
    'nodes',
    /voters: must have at most 1000/,
  ],
  [
    'more voters than a link has room for',
    `${BASE.replace('count: 2', 'count: 100')}electorate: {miners: {window: 1000, founders: a}}`,
    'electorate.miners.window',
    /must be at most 974 with 100 voters/,
  ],
  ['YAML that is none', 'name: [', '', /at line 1/],
  [
    'an alias of nothing',
    `${BASE}timeline: [{at: 1s, crash: *nope}]`,
    '',
    /nothing is called nope at line 7, column 28/,
  ],
  [
    'a file that aliases blow up',
    `${BASE}about: &a [${'x, '.repeat(20)}x]
x: &b [${'*a, '.repeat(20)}*a]
y: &c [${'*b, '.repeat(20)}*b]`,
    '',
    /alias/i,
  ],
  ['no time at all', BASE.replace('10s', '0s'), 'duration', /must be 1ms at least/],
  ['less time than the clock counts', BASE.replace('10s', '0.9ms'), 'duration', /must be 1ms at least/],
  ['more time than there is', BASE.replace('10s', '87601h'), 'duration', /more than ten years/],
  ['a time that is not finite', BASE.replace('10s', `${'9'.repeat(400)}s`), 'duration', /more than ten years/],
  [
    'a clock in another age',
    `${BASE}timeline: [{at: 1s, clock: {nodes: a, offset: -99999999h}}]`,
    'timeline[0].clock.offset',
    /more than ten years/,
  ],
  [
    'a flap beyond the end',
    `${BASE}timeline: [{at: 1s, flap: {groups: [a, b], down: 1s, up: 1s, until: 11s}}]`,
    'timeline[0].flap.until',
    /is after the end/,
  ],
  [
    'a flap that ends before it begins',
    `${BASE}timeline: [{at: 3s, flap: {groups: [a, b], down: 1s, up: 1s, until: 2s}}]`,
    'timeline[0].flap.until',
    /before the flap begins/,
  ],
  [
    'a flap without end',
    `${BASE.replace('10s', '1000h')}timeline: [{at: 1s, flap: {groups: [a, b], down: 5ms, up: 5ms, until: 1000h}}]`,
    'timeline[0].flap',
    /more than 100000 turns/,
  ],
  ['more of a group than there are', `${BASE}timeline: [{at: 1s, crash: "a:3"}]`, 'timeline[0].crash', /has 2 nodes/],
  [
    'a share of more than all',
    `${BASE}timeline: [{at: 1s, cut: {from: "a:200%", to: b}}]`,
    'timeline[0].cut.from',
    /more than there are/,
  ],
  ['none of a group', `${BASE}timeline: [{at: 1s, crash: [b, "a:0"]}]`, 'timeline[0].crash[1]', /a:0 means nobody/],
  ['a part of a node', `${BASE}timeline: [{at: 1s, crash: "a1:0"}]`, 'timeline[0].crash', /a1 is one node/],
  [
    'a node asked to mine that mines by itself',
    `${BASE}timeline: [{at: 1s, mine: {node: a1, blocks: 1}}]`,
    'timeline[0].mine.node',
    /a1 does not mine on-demand/,
  ],
  [
    'a node on two sides of a partition',
    `${BASE}timeline: [{at: 1s, partition: [a1, [b, a]]}]`,
    'timeline[0].partition[1]',
    /a1 is on another side already/,
  ],
  [
    'a node on two sides of a flap',
    `${BASE}timeline: [{at: 1s, flap: {groups: [a, a2], down: 1s, up: 1s, until: 5s}}]`,
    'timeline[0].flap.groups[1]',
    /a2 is on another side already/,
  ],
  [
    'what is to resume after the end',
    BASE.replace('{}', '{resumesWithin: {after: 10s, heights: 2}}'),
    'expect.resumesWithin.after',
    /not before the end/,
  ],
  [
    'a block interval after the end',
    BASE.replace('{}', '{blockInterval: {after: 11s, within: 0.1}}'),
    'expect.blockInterval.after',
    /not before the end/,
  ],
  [
    'a late node asked to mine',
    `${BASE.replace('group: b', 'group: b, mine: on-demand, late: true')}timeline:
  - {at: 1s, mine: {node: b, blocks: 1}}
  - {at: 0s, join: b}
  - {at: 1s, leave: b}
  - {at: 2s, mine: {node: b, blocks: 1}}`,
    'timeline[3].mine.node',
    /b is not running at 2s/,
  ],
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

test.each(['agreementStalls', 'growsBetween', 'agreesBetween', 'electorateShare', 'says'])(
  '`%s` of nothing is refused: it always holds',
  (name) => {
    expect(() => parseScenario(BASE.replace('{}', `{${name}: []}`))).toThrow(
      `scenario: expect.${name}: must not have fewer than 1 items`,
    );
  },
);

test.each([
  ['finalHeightAtLeast', '0'],
  ['evidenceAtLeast', '0'],
  ['reorgDepth.atLeast', '{atLeast: 0}'],
  ['electorateShare[0].atLeast', '[{of: all, atLeast: 0}]'],
  ['electorateShare[0].atMost', '[{of: all, atMost: 1}]'],
  ['growsBetween[0].by', '[{between: [1s, 2s], nodes: all, by: 0}]'],
  ['agreesBetween[0].heights', '[{between: [1s, 2s], nodes: all, heights: 0}]'],
])('`%s` of none is refused: it always holds', (path, wanted) => {
  const name = path.split(/[.[]/, 1)[0]!;
  expect(() => parseScenario(BASE.replace('{}', `{${name}: ${wanted}}`))).toThrow(`scenario: expect.${path}: `);
});

test.each([
  ['reorgDepth', '{atLeast: 3, atMost: 2}'],
  ['electorateShare[0]', '[{of: all, atLeast: 0.5, atMost: 0.4}]'],
])('`%s` between bounds that cross is refused: it never holds', (path, wanted) => {
  const name = path.split('[', 1)[0]!;
  expect(() => parseScenario(BASE.replace('{}', `{${name}: ${wanted}}`))).toThrow(
    `scenario: expect.${path}: atLeast is more than atMost`,
  );
});

test.each([
  ['a node called as a group before', '[{group: a1}, {group: a, count: 3}]', 'nodes[1]', 'a1'],
  ['a group called as a node before', '[{group: a, count: 3}, {group: a1, count: 2}]', 'nodes[1]', 'a1'],
  ['two groups whose nodes meet', '[{group: a, count: 11}, {group: a1, count: 1}]', 'nodes[1]', 'a1'],
  ['a node of all', '[{group: all}]', 'nodes[0]', 'all'],
  ['a twin’s name', '[{group: a1-twin}, {group: a, count: 1, behaviour: equivocate}]', 'nodes[1]', 'a1-twin'],
  ['a twins’ group', '[{group: a, count: 1, behaviour: equivocate}, {group: a-twin}]', 'nodes[1]', 'a-twin'],
])('%s is refused', (_what, nodes, path, name) => {
  const text = `name: names\nduration: 10s\nnodes: ${nodes}\nexpect: {}`;
  expect(() => parseScenario(text)).toThrow(`scenario: ${path}.group: ${name} is given twice`);
});

test('names that meet only in a larger net are refused there', () => {
  const scenario = parseScenario(
    'name: names\nduration: 10s\nnodes: [{group: a, count: 1}, {group: a3, mine: off}]\nexpect: {}',
  );
  expect(() => new ScenarioNodes(scenario, 4)).not.toThrow();
  expect(() => new ScenarioNodes(scenario, 6)).toThrow('scenario: nodes[1].group: a3 is given twice');
});

test('an event that names a node beyond --nodes is refused with its path, before anything runs', async () => {
  const scenario = parseScenario(
    `${BASE.replace('count: 2', 'count: 8')}timeline: [{at: 1s, heal: all}, {at: 2s, crash: [a1, a8]}]`,
  );
  await expect(runScenario(scenario, { seed: '1', nodes: 3 })).rejects.toThrow(
    'scenario: timeline[1].crash[1]: there is no group or node a8',
  );
  const atWrite = parseScenario(`${BASE}timeline: [{at: 1s, crashAtWrite: {node: b, nth: 1, fate: lost, within: 1s}}]`);
  await expect(runScenario(atWrite, { seed: '1', nodes: 9 })).rejects.toThrow(
    'scenario: timeline[0].crashAtWrite.node: b is a group',
  );
});

test('a node that died at a write and is then to mine fails the run, not the file: who dies is known only in the run', async () => {
  const scenario = parseScenario(`${BASE.replace('group: b', 'group: b, mine: on-demand')}timeline:
  - {at: 1s, crashAtWrite: {node: b, nth: 1, fate: lost, within: 9s}}
  - {at: 9s, mine: {node: b, blocks: 1}}`);
  const { passed, crashesAtWrites, expectations } = await runScenario(scenario, { seed: '1' });
  expect({ passed, crashesAtWrites }).toEqual({ passed: false, crashesAtWrites: 1 });
  expect(expectations.filter((each) => !each.passed)).toEqual([
    { name: 'mine', passed: false, detail: 'could not mine: timeline[1]: b is not running at 9s' },
  ]);
});

test('a node that dies at a write while it is to mine ends that, and the run goes on', async () => {
  const scenario = parseScenario(`${BASE.replace('group: b', 'group: b, mine: on-demand')}timeline:
  - {at: 0s, partition: [a, b]}
  - {at: 2s, crashAtWrite: {node: b, nth: 2, fate: lost, within: 1h}}
  - {at: 2s, mine: {node: b, blocks: 9}}`);
  const { crashesAtWrites, passed } = await runScenario(scenario, { seed: '1' });
  expect({ crashesAtWrites, passed }).toEqual({ crashesAtWrites: 1, passed: true });
});

test.each([
  ['who left may join again', `${BASE}timeline: [{at: 1s, leave: b}, {at: 2s, join: b}]`],
  [
    'without votes there may be one tip',
    BASE.replaceAll('group: ', 'role: miner, group: ').replace('{}', '{sameTip: true}'),
  ],
  [
    'a history is to be had where nobody mines',
    `${BASE.replaceAll('group: ', 'mine: off, group: ').replace('{}', '{sameFinal: true}')}history: {blocks: 5, at: b}`,
  ],
])('%s', (_what, text) => {
  expect(() => parseScenario(text)).not.toThrow();
});

test('too many voters by --nodes are refused as those of the file', async () => {
  await expect(runScenario(parseScenario(BASE), { seed: '1', nodes: 1_001 })).rejects.toThrow(
    'scenario: nodes: voters: must have at most 1000 items',
  );
});

test('a topology that no such net has is refused', async () => {
  const scenario = parseScenario(`${BASE}topology: {regular: 5}`);
  await expect(runScenario(scenario, { seed: '1' })).rejects.toThrow('scenario: topology.regular: no connected graph');
});

test('a free text may look like a duration', () => {
  expect(parseScenario(`${BASE}about: 999999999h`).about).toBe('999999999h');
});

test('durations are read in ms, s, m and h, and may be negative', () => {
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
