/** What the devnet shows while it runs: one line a node, refreshed in place on a terminal, plain lines when piped. */
import type { NodeStatus } from '../client.ts';

export interface ScreenRow {
  readonly name: string;
  /** Undefined: the node does not answer. */
  readonly status: NodeStatus | undefined;
}

export interface ScreenView {
  readonly rows: readonly ScreenRow[];
  /** Transactions mined per second, over the last few seconds. */
  readonly txPerSecond: number;
  readonly uptimeMs: number;
}

/** The table, one string a line. */
export function renderTable(view: ScreenView): string[] {
  const header = ['node', 'height', 'agreed', 'final', 'peers', 'mempool', 'hash/s', 'blocks', ''];
  const body = view.rows.map(({ name, status }) =>
    status === undefined
      ? [name, '-', '-', '-', '-', '-', '-', '-', 'down']
      : [
          name,
          status.tip.height,
          status.agreed.height,
          status.final.height,
          String(status.peers),
          String(status.mempool.count),
          String(status.mining.hashRate),
          String(status.mining.blocks),
          status.ready ? `ready${votes(status) ? '' : ', does not vote'}` : (status.missing[0] ?? ''),
        ],
  );
  const widths = header.map((_, column) => Math.max(...[header, ...body].map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 || column === row.length - 1 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [
    line(header),
    ...body.map(line),
    `${view.txPerSecond.toFixed(1)} tx/s, up ${Math.round(view.uptimeMs / 1000)} s`,
  ];
}

/** The same in one line, for pipes and logs. */
export function renderLine(view: ScreenView): string {
  const up = view.rows.filter(({ status }) => status !== undefined);
  const heights = (pick: (status: NodeStatus) => string): string => {
    const values = up.map(({ status }) => Number(pick(status!)));
    const low = Math.min(...values);
    const high = Math.max(...values);
    return values.length === 0 ? '-' : low === high ? String(low) : `${low}..${high}`;
  };
  const voters = up.filter(({ status }) => votes(status!)).length;
  const mempool = Math.max(0, ...up.map(({ status }) => status!.mempool.count));
  return [
    `up ${Math.round(view.uptimeMs / 1000)} s`,
    `nodes ${up.length}/${view.rows.length}`,
    ...(voters === up.length ? [] : [`voting ${voters}`]),
    `height ${heights((status) => status.tip.height)}`,
    `agreed ${heights((status) => status.agreed.height)}`,
    `final ${heights((status) => status.final.height)}`,
    `peers ${heights((status) => String(status.peers))}`,
    `mempool ${mempool}`,
    `${view.txPerSecond.toFixed(1)} tx/s`,
  ].join('  ');
}

/** By its configuration, or as its vote has moved to another machine; whether it is in the electorate is not asked. */
function votes({ voting }: NodeStatus): boolean {
  return voting.address !== undefined && voting.movedAway !== true;
}

/** Writes views to a stream: in place where it is a terminal, else a line each. */
export class Screen {
  readonly #stream: NodeJS.WriteStream;
  #drawn = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY;
  }

  show(view: ScreenView): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${renderLine(view)}\n`);
      return;
    }
    const columns = this.#stream.columns || 80;
    const lines = renderTable(view).map((line) => line.slice(0, columns - 1)); // a wrapped line would break the redraw
    if (this.#drawn > 0) this.#stream.write(`\u001b[${this.#drawn}A\u001b[J`);
    this.#stream.write(`${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  /** Prints a line that stays, above the table. */
  say(line: string): void {
    if (this.#drawn > 0) this.#stream.write(`\u001b[${this.#drawn}A\u001b[J`);
    this.#drawn = 0;
    this.#stream.write(`${line}\n`);
  }
}
