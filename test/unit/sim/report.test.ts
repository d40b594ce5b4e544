import { expect, test } from 'vitest';
import { axisTicks } from '../../../sim/chart.ts';
import { plotReport } from '../../../sim/plot-report.ts';
import { runScenario } from '../../../sim/run-scenario.ts';
import { parseScenario } from '../../../sim/scenario.ts';
import { Spread } from '../../../sim/spread.ts';

test('spread: shares by hop and time over all messages, coverage, and log2 N + ln N', () => {
  const spread = new Spread(() => 4);
  const at = (messageId: string, atMs: number, hop: number) => spread.add({ messageId, atMs, publishedAtMs: 100, hop });
  at('x', 110, 1);
  at('x', 120, 2);
  at('x', 130, 2);
  at('x', 190, 3);
  at('y', 110, 1);
  at('y', 112, 1);
  const report = spread.report(8);
  expect(report.messages).toBe(2);
  expect(report.coverage).toBe(6 / 8);
  expect(report.byHop.map(({ share }) => share)).toEqual([0, 3 / 8, 5 / 8, 6 / 8]);
  expect(report.hops).toEqual({ p50: 1, p99: 3 });
  expect(report.byTime[0]).toEqual({ ms: 0, share: 0 });
  expect(report.byTime.at(-1)!.share).toBe(6 / 8);
  expect(report.rounds).toBeCloseTo(3 + Math.log(8));
});

test('a run gives a report with all that programs read, and a picture of it', async () => {
  const scenario = parseScenario(`name: small
duration: 20s
nodes: [{group: v, count: 3}]
timeline: [{at: 5s, crash: v1}, {at: 8s, restart: v1}]
expect: {sameFinal: true, reorgDepth: {atMost: 99, atLeast: 99}}
`);
  const progress: number[] = [];
  const report = await runScenario(scenario, { seed: '7', onProgress: (virtualMs) => progress.push(virtualMs) });
  expect(progress).toEqual(Array.from({ length: 41 }, (_, at) => 500 * at));
  expect(report).toMatchObject({ scenario: 'small', seed: 7, nodes: 3, virtualMs: 20_000, passed: false, faults: 2 });
  expect(report.traceHash).toMatch(/^[0-9a-f]{64}$/);
  expect(report.expectations.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(['reorgDepth']);
  expect(report.coverage).toBeGreaterThan(0.9);
  expect(report.finalHeight).toBeGreaterThan(2);
  const svg = plotReport(report, scenario);
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(svg).toContain('crash');
  expect(svg).toContain('log₂N + ln N = 2.7');
  expect(svg.match(/<polyline /g)).toHaveLength(5);
});

test('the axes of the picture count in round numbers, and end where the picture does', () => {
  expect(axisTicks(190)).toEqual([0, 50, 100, 150]);
  expect(axisTicks(6)).toEqual([0, 2, 4, 6]);
  expect(axisTicks(1)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(axisTicks(44)).toEqual([0, 10, 20, 30, 40]);
  expect(axisTicks(100)).toEqual([0, 20, 40, 60, 80, 100]);
  expect(axisTicks(0.3)).toEqual([0, 0.1, 0.2, 0.3]);
});

test.each([
  ['a node that has left loses its power', '{at: 4s, leave: v1}, {at: 5s, losePower: v1}, {at: 7s, restart: v1}'],
  [
    'a node cannot begin on a full disk, and does so later',
    '{at: 2s, diskFull: late}, {at: 4s, join: late}, {at: 6s, diskFreed: late}, {at: 8s, restart: late}',
  ],
])('%s', async (_, timeline) => {
  const scenario = parseScenario(`name: disk
duration: 20s
nodes: [{group: v, count: 3}, {group: late, role: observer, late: true}]
disk: {syncLatency: 5ms}
timeline: [${timeline}]
expect: {sameFinal: true}
`);
  expect(await runScenario(scenario, { seed: '3' })).toMatchObject({ passed: true });
});
