/** Expectations that would hold of nobody, those that are switched off, and what the run itself adds. */
import { expect, test } from 'vitest';
import type { ExpectationResult } from '../../../sim/expectations.ts';
import { runScenario } from '../../../sim/run-scenario.ts';
import { parseScenario } from '../../../sim/scenario.ts';

async function resultsOf(timeline: string, expectations: string): Promise<ReadonlyMap<string, ExpectationResult>> {
  const scenario = parseScenario(`name: few
duration: 12s
nodes: [{group: v, count: 3}]
timeline: [${timeline}]
expect: {${expectations}}
`);
  const { expectations: results } = await runScenario(scenario, { seed: '1' });
  return new Map(results.map((each) => [each.name, each]));
}

test('where no honest node is running at the end, nothing holds of the honest nodes', async () => {
  const results = await resultsOf(
    '{at: 10s, crash: all}',
    `sameFinal: true, sameTip: true, finalHeightAtLeast: 1, evidenceAtLeast: 1, electorateShare: [{of: v, atLeast: 0.01}],
     resumesWithin: {after: 2s, heights: 100}, blockInterval: {within: 100000, after: 1s}`,
  );
  for (const name of [
    'sameFinal',
    'sameTip',
    'finalHeightAtLeast',
    'evidenceAtLeast',
    'electorateShare',
    'resumesWithin',
    'blockInterval',
    'supplyConserved',
  ]) {
    expect(results.get(name)).toEqual({ name, passed: false, detail: 'no honest node is running' });
  }
  expect(results.get('noConflictingFinal')).toMatchObject({ passed: true });
});

test('`false` switches a check off', async () => {
  const apart = '{at: 2s, partition: [v1, v2, v3]}';
  const on = await resultsOf(apart, 'sameTip: true, sameFinal: true, invalidStaysAtFirstHop: true');
  const off = await resultsOf(
    apart,
    'sameTip: false, sameFinal: false, invalidStaysAtFirstHop: false, supplyConserved: false',
  );
  for (const name of ['sameTip', 'sameFinal', 'invalidStaysAtFirstHop', 'supplyConserved']) {
    expect(on.has(name)).toBe(true);
    expect(off.has(name)).toBe(false);
  }
});

test('agreement does not stall of those who were down all the while: they agree nothing anyway', async () => {
  const stalls = (between: string, nodes: string): string =>
    `agreementStalls: [{between: [${between}], nodes: ${nodes}}]`;
  const down = '{at: 3s, crash: v3}, {at: 8s, restart: v3}';
  const gone = await resultsOf(down, stalls('4s, 8s', 'v3'));
  expect(gone.get('agreementStalls')).toEqual({
    name: 'agreementStalls',
    passed: false,
    detail: 'no honest one of them was running then',
  });
  // Two of three are no quorum: v1 and v2 stay, and agree nothing.
  expect((await resultsOf(down, stalls('4s, 8s', 'all'))).get('agreementStalls')).toMatchObject({ passed: true });
  expect((await resultsOf('', stalls('4s, 8s', 'v3'))).get('agreementStalls')).toMatchObject({ passed: false });
});

test('a liar that runs does not stand for the honest that do not: what it agrees is not known', async () => {
  const scenario = parseScenario(`name: liar
duration: 8s
nodes: [{group: v, count: 3}, {group: l, behaviour: silent}]
timeline: [{at: 3s, crash: v1}]
expect: {agreementStalls: [{between: [4s, 8s], nodes: [v1, l]}]}
`);
  const { expectations } = await runScenario(scenario, { seed: '1' });
  expect(expectations.find(({ name }) => name === 'agreementStalls')).toMatchObject({
    passed: false,
    detail: 'no honest one of them was running then',
  });
});

/** One node that mines, on demand, and three that listen. */
async function mineResult(timeline: string): Promise<unknown> {
  const scenario = parseScenario(`name: demand
duration: 20s
nodes: [{group: h, count: 3, mine: off}, {group: m, mine: on-demand}]
timeline: [${timeline}]
expect: {}
`);
  const { expectations, passed, virtualMs } = await runScenario(scenario, { seed: '1' });
  const { name, ...result } = expectations.find((each) => each.name === 'mine')!;
  expect(virtualMs).toBe(20_000);
  expect(passed).toBe(result.passed);
  return result;
}

test('mining goes on beside the timeline: what comes after it comes at its time', async () => {
  const scenario = parseScenario(`name: beside
duration: 20s
nodes: [{group: h, count: 3}, {group: m, mine: on-demand}]
timeline: [{at: 4s, mine: {node: m, blocks: 200}}, {at: 6s, crash: h1}, {at: 9s, restart: h1}]
expect: {agreementStalls: [{between: [6s, 9s], nodes: h1}]}
`);
  const { expectations, virtualMs } = await runScenario(scenario, { seed: '1' });
  expect(virtualMs).toBe(20_000);
  const detailOf = (name: string): string | undefined => expectations.find((each) => each.name === name)?.detail;
  expect(detailOf('agreementStalls')).toBe('no honest one of them was running then');
  expect(detailOf('mine')).toMatch(/^could not mine: timeline\[0\]: m found \d+ of 200 blocks until the end$/);
});

test('a `mine` waits for the one before, whoever mines: all of them are found, one on top of the other', async () => {
  const orders = '{at: 4s, mine: {node: m, blocks: 2}}, {at: 4s, mine: {node: m, blocks: 1}}';
  expect(await mineResult(`{at: 1s, hashRate: {nodes: m, factor: 20}}, ${orders}`)).toEqual({
    passed: true,
    detail: 'all',
  });
});

test('a `mine` that waits until the end has failed, as the one before that did not end', async () => {
  expect(
    await mineResult(`{at: 1s, hashRate: {nodes: m, factor: 0.0000001}},
      {at: 4s, mine: {node: m, blocks: 3}}, {at: 5s, mine: {node: m, blocks: 2}}`),
  ).toEqual({
    passed: false,
    detail:
      'could not mine: timeline[1]: m found 0 of 3 blocks until the end; timeline[2]: m found 0 of 2 blocks until the end',
  });
});

test.each(['crash', 'losePower', 'restart', 'leave'])(
  '`%s` of who is mining ends that, and the run has failed',
  async (fault) => {
    expect(await mineResult(`{at: 4s, mine: {node: m, blocks: 200}}, {at: 6s, ${fault}: m}`)).toEqual({
      passed: false,
      detail: expect.stringMatching(/^could not mine: timeline\[0\]: m was stopped at 6s, \d+ of 200 blocks found$/),
    });
  },
);

test('a node whose disk is full cannot mine: the run has failed, and says why', async () => {
  expect(await mineResult('{at: 4s, diskFull: m}, {at: 6s, mine: {node: m, blocks: 2}}')).toEqual({
    passed: false,
    detail: expect.stringMatching(/^could not mine: timeline\[1\]: m found 0 of 2 blocks: .*full/),
  });
});

/** Ten voters, seven of them cut off from three for a while; `then` happens to them besides. */
async function resumes(then: string, nodes?: number): Promise<ExpectationResult> {
  const scenario = parseScenario(`name: partition-70-30
duration: 45s
nodes: [{group: most, count: 7}, {group: few, count: 3}]
timeline:
  - {at: 10s, partition: [most, few]}
  - {at: 30s, heal: all}
${then}
expect: {resumesWithin: {after: 30s, heights: 2, nodes: few}}
`);
  const { expectations } = await runScenario(scenario, { seed: '7', ...(nodes !== undefined && { nodes }) });
  return expectations.find(({ name }) => name === 'resumesWithin')!;
}

test('to catch up on what others had agreed before is not to resume', async () => {
  expect(await resumes('  - {at: 29s, leave: ["most:4"]}')).toMatchObject({
    passed: false,
    detail: expect.stringMatching(/^nothing was agreed above \d+$/),
  });
});

test('where nobody had a quorum, those that stalled go on from where all met, not from where they were', async () => {
  expect(await resumes('', 3)).toMatchObject({ passed: true });
});
