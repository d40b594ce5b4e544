/** A report as a picture: how messages spread by time and by hop, and heights over the run with its faults. */
import { type Chart, drawCharts, type Line, type Point } from './chart.ts';
import type { ScenarioReport } from './run-scenario.ts';
import { faultOf, parseDuration, type Scenario } from './scenario-schema.ts';

/** SVG. */
export function plotReport(report: ScenarioReport, scenario: Scenario): string {
  const { spread, heights, nodes } = report;
  const lastHop = Math.max(1, spread.byHop.length - 1, Math.ceil(spread.rounds));
  const charts: Chart[] = [
    {
      title: `Share of ${nodes} nodes reached, by time`,
      xLabel: 'ms since publication',
      yLabel: 'share',
      xMax: spread.byTime.at(-1)?.ms || 1,
      yMax: 1,
      lines: [
        { name: 'reached', color: '#1f6feb', points: spread.byTime.map(({ ms, share }) => ({ x: ms, y: share })) },
      ],
      marks: [],
    },
    {
      title: 'Share of nodes reached, by hop',
      xLabel: 'hops',
      yLabel: 'share',
      xMax: lastHop,
      yMax: 1,
      lines: [
        { name: 'reached', color: '#1f6feb', points: spread.byHop.map(({ hop, share }) => ({ x: hop, y: share })) },
      ],
      marks: [{ x: spread.rounds, label: `log₂N + ln N = ${spread.rounds.toFixed(1)}` }],
    },
    {
      title: 'Heights, and what went wrong',
      xLabel: 'virtual seconds',
      yLabel: 'height',
      xMax: report.virtualMs / 1000,
      yMax: Math.max(1, ...heights.map(({ highest }) => highest)),
      lines: [
        line(
          'highest tip',
          '#1f6feb',
          heights.map(({ atMs, highest }) => ({ x: atMs / 1000, y: highest })),
        ),
        line(
          'lowest tip',
          '#8b949e',
          heights.map(({ atMs, lowest }) => ({ x: atMs / 1000, y: lowest })),
        ),
        line(
          'final',
          '#2da44e',
          heights.map(({ atMs, final }) => ({ x: atMs / 1000, y: final })),
        ),
      ],
      marks: (scenario.timeline ?? []).map((event) => ({ x: parseDuration(event.at) / 1000, label: faultOf(event) })),
    },
  ];
  const verdict = report.passed ? 'passed' : 'failed';
  return drawCharts(`${report.scenario}, seed ${report.seed}: ${verdict}`, charts);
}

function line(name: string, color: string, points: readonly Point[]): Line {
  return { name, color, points };
}
