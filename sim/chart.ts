/** Line charts as SVG: one file, no scripts and no fonts of its own. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly name: string;
  readonly color: string;
  readonly points: readonly Point[];
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xMax: number;
  /** Logarithmic from here to `xMax`, with a mark at each x of a point; default: linear from 0. */
  readonly xLogFrom?: number;
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

/** Charts below one another. */
export function drawCharts(title: string, charts: readonly Chart[]): string {
  const total = charts.length * HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${total}" viewBox="0 0 ${WIDTH} ${total}"`,
    ' font-family="sans-serif" font-size="11">',
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${total}" fill="white"/>`,
    ...charts.map((chart, at) => `<g transform="translate(0 ${at * HEIGHT})">${drawChart(chart)}</g>`),
    '</svg>\n',
  ].join('\n');
}

function drawChart({ title, xLabel, yLabel, xMax, xLogFrom, yMax, lines, marks }: Chart): string {
  const right = WIDTH - RIGHT;
  const bottom = HEIGHT - BOTTOM;
  const shareOf = (value: number): number =>
    xLogFrom === undefined ? value / xMax : Math.log(value / xLogFrom) / Math.log(xMax / xLogFrom);
  const x = (value: number): string => (LEFT + (right - LEFT) * shareOf(value)).toFixed(1);
  const y = (value: number): string => (bottom - ((bottom - TOP) * value) / yMax).toFixed(1);
  const parts = [
    text(LEFT, 18, title, 'font-weight="bold" font-size="13"'),
    `<path d="M${LEFT} ${TOP}V${bottom}H${right}" fill="none" stroke="#444"/>`,
    text((LEFT + right) / 2, HEIGHT - 8, xLabel, 'text-anchor="middle"'),
    text(14, (TOP + bottom) / 2, yLabel, `text-anchor="middle" transform="rotate(-90 14 ${(TOP + bottom) / 2})"`),
  ];
  const xTicks =
    xLogFrom === undefined ? axisTicks(xMax) : new Set(lines.flatMap(({ points }) => points.map((point) => point.x)));
  for (const at of xTicks) {
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
    if (xLogFrom !== undefined) {
      for (const point of points) parts.push(`<circle cx="${x(point.x)}" cy="${y(point.y)}" r="3" fill="${color}"/>`);
    }
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
