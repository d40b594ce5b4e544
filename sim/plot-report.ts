/** A report as a picture: how messages spread by time and by hop, and heights over the run with its faults. */
import type { ScenarioReport } from './run-scenario.ts';
import { faultOf, parseDuration, type Scenario } from './scenario.ts';

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Line {
  readonly name: string;
  readonly color: string;
  readonly points: readonly Point[];
}

interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xMax: number;
  readonly yMax: number;
  readonly lines: readonly Line[];
  readonly marks: readonly { readonly x: number; readonly label: string }[];
}

const WIDTH = 760;
const HEIGHT = 240;
const LEFT = 56;
const TOP = 34;
const BOTTOM = 40;
const RIGHT = 120;
/** Labels on an axis, about. */
const TICKS = 5;
/** What a letter takes at most, for labels that must not run off the picture. */
const LETTER = 7;

/** SVG, one file, no scripts and no fonts of its own. */
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
  const total = charts.length * HEIGHT;
  const verdict = report.passed ? 'passed' : 'failed';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${total}" viewBox="0 0 ${WIDTH} ${total}"`,
    ' font-family="sans-serif" font-size="11">',
    `<title>${escapeXml(`${report.scenario}, seed ${report.seed}: ${verdict}`)}</title>`,
    `<rect width="${WIDTH}" height="${total}" fill="white"/>`,
    ...charts.map((chart, at) => `<g transform="translate(0 ${at * HEIGHT})">${drawChart(chart)}</g>`),
    '</svg>\n',
  ].join('\n');
}

function line(name: string, color: string, points: readonly Point[]): Line {
  return { name, color, points };
}

function drawChart({ title, xLabel, yLabel, xMax, yMax, lines, marks }: Chart): string {
  const right = WIDTH - RIGHT;
  const bottom = HEIGHT - BOTTOM;
  const x = (value: number): string => (LEFT + ((right - LEFT) * value) / xMax).toFixed(1);
  const y = (value: number): string => (bottom - ((bottom - TOP) * value) / yMax).toFixed(1);
  const parts = [
    text(LEFT, 18, title, 'font-weight="bold" font-size="13"'),
    `<path d="M${LEFT} ${TOP}V${bottom}H${right}" fill="none" stroke="#444"/>`,
    text((LEFT + right) / 2, HEIGHT - 8, xLabel, 'text-anchor="middle"'),
    text(14, (TOP + bottom) / 2, yLabel, `text-anchor="middle" transform="rotate(-90 14 ${(TOP + bottom) / 2})"`),
  ];
  for (const at of axisTicks(xMax)) {
    parts.push(text(x(at), bottom + 14, String(at), 'text-anchor="middle" fill="#555"'));
  }
  for (const at of axisTicks(yMax)) {
    parts.push(text(LEFT - 6, Number(y(at)) + 4, String(at), 'text-anchor="end" fill="#555"'));
    parts.push(`<path d="M${LEFT} ${y(at)}H${right}" stroke="#eee"/>`);
  }
  for (const [at, mark] of marks.entries()) {
    if (mark.x > xMax) continue;
    parts.push(`<path d="M${x(mark.x)} ${TOP}V${bottom}" stroke="#cf222e" stroke-dasharray="3 3"/>`);
    const markX = Number(x(mark.x));
    // Beside the right edge the label would run into the names of the lines.
    const isLeft = markX + LETTER * mark.label.length > right;
    const anchor = isLeft ? 'text-anchor="end" ' : '';
    parts.push(text(markX + (isLeft ? -3 : 3), TOP + 10 + 12 * (at % 4), mark.label, `${anchor}fill="#cf222e"`));
  }
  for (const [at, { name, color, points }] of lines.entries()) {
    const path = points.map((point) => `${x(point.x)},${y(point.y)}`).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.6"/>`);
    parts.push(text(right + 10, TOP + 12 + 16 * at, name, `fill="${color}"`));
  }
  return parts.join('\n');
}

function text(x: number | string, y: number, content: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escapeXml(content)}</text>`;
}

/**
 * Round numbers from 0 up to `max`: 1, 2 or 5 times a power of ten apart, six at most.
 *
 * @param max the end of the axis, above 0
 */
export function axisTicks(max: number): readonly number[] {
  const power = Math.floor(Math.log10(max / TICKS));
  const step = [1, 2, 5].find((digit) => max / (digit * 10 ** power) <= TICKS) ?? 10;
  const decimals = Math.max(0, -(step === 10 ? power + 1 : power));
  const ticks: number[] = [];
  for (let at = 0; at * step * 10 ** power <= max * (1 + 1e-9); at++) {
    ticks.push(Number((at * step * 10 ** power).toFixed(decimals)));
  }
  return ticks;
}

function escapeXml(content: string): string {
  return content.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
