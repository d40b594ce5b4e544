/**
 * How cost grows with the number of nodes, on real processes and in the simulation: tables and a plot.
 *
 *     node bench/growth.ts [--live 5,10,20,40] [--simulated 100,1000,3000] [--seconds 20] [--into FILE --plot FILE]
 *
 * `--into` puts the tables between the marks `<!-- growth -->` and `<!-- /growth -->` of a document, `--plot` writes the
 * SVG.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PUBLIC_NETWORK } from '../node/net/libp2p-network.ts';
import { drawCharts, type Line } from '../sim/chart.ts';
import { BLOCK_TIME_MS, type LiveRun, RATE, runLive, TX_BYTES } from './growth-live.ts';
import { runSimulated, type SimRun } from './sim-run.ts';

const { values } = parseArgs({
  options: {
    live: { type: 'string', default: '5,10,20,40' },
    simulated: { type: 'string', default: '100,1000,3000' },
    seconds: { type: 'string', default: '20' },
    into: { type: 'string' },
    plot: { type: 'string' },
  },
});
const numbers = (list: string): number[] => list.split(',').map(Number);
const seconds = Number(values.seconds);
/** The simulation starts cold: its code is compiled while it runs. */
const SIM_SECONDS = 60;
/** Mesh degree of open nets. */
const OPEN_DEGREE = PUBLIC_NETWORK.gossip.D;
/** Between checkpoints of a larger net. */
const VOTE_INTERVAL_S = 10;

const live: LiveRun[] = [];
for (const nodes of numbers(values.live)) live.push(await runLive(nodes, seconds));
const simulated: SimRun[] = [];
for (const nodes of numbers(values.simulated)) simulated.push(await runSimulated(nodes, SIM_SECONDS));

const tables = [...liveTable(live), '', ...simulatedTable(simulated), '', ...extrapolation(live)].join('\n');
console.log(tables);
if (values.into !== undefined) {
  const marks = /(<!-- growth -->\n)[\s\S]*(<!-- \/growth -->)/;
  const document = readFileSync(values.into, 'utf8');
  if (!marks.test(document)) throw new Error(`${values.into} has no marks <!-- growth --> and <!-- /growth -->`);
  writeFileSync(
    values.into,
    document.replace(marks, (_, begin: string, end: string) => `${begin}${tables}\n${end}`),
  );
}
if (values.plot !== undefined) writeFileSync(values.plot, plot(live, simulated));

function liveTable(runs: readonly LiveRun[]): string[] {
  return [
    `Live: every node votes, ${RATE} tx/s in all, a block every ${BLOCK_TIME_MS / 1000} s, ${seconds} s each.`,
    '',
    '| nodes | processor µs per delivered tx | bytes per delivered tx, of its size | copies per tx | votes counted a node and second | idle, thousandths of a core a node | memory a node, MiB | ready, ms |',
    '|---:|---:|---:|---:|---:|---:|---:|---:|',
    ...runs.map(
      ({ nodes, txMicros, txBytes, txCopies, votesPerS, idleCores, residentMiB, readyMs }) =>
        `| ${[
          nodes,
          txMicros.toFixed(0),
          txBytes.toFixed(2),
          txCopies.toFixed(2),
          votesPerS.toFixed(1),
          (1000 * idleCores).toFixed(1),
          residentMiB.toFixed(0),
          Math.round(readyMs),
        ].join(' | ')} |`,
    ),
  ];
}

function simulatedTable(runs: readonly SimRun[]): string[] {
  return [
    `Simulated: 20 voters, 10 tx/s in all, a block every 10 s, ${SIM_SECONDS} virtual seconds each.`,
    '',
    '| nodes | processor µs per delivered message | bytes per delivered tx, of its size | copies per tx | copies per block | bytes per block and node | memory a node, MiB | processor s |',
    '|---:|---:|---:|---:|---:|---:|---:|---:|',
    ...runs.map(
      ({ nodes, runS, deliveries, txBytes, txCopies, blockCopies, blockBytes, residentMiB }) =>
        `| ${[
          nodes,
          ((runS * 1e6) / deliveries).toFixed(1),
          txBytes.toFixed(2),
          txCopies.toFixed(2),
          blockCopies.toFixed(2),
          blockBytes.toFixed(0),
          (residentMiB / nodes).toFixed(2),
          runS.toFixed(1),
        ].join(' | ')} |`,
    ),
  ];
}

/** What a node would take in larger nets, from the live figures: those of the largest net, and the slope of votes. */
function extrapolation(runs: readonly LiveRun[]): string[] {
  const [first, last] = [runs[0], runs.at(-1)];
  if (first === undefined || last === undefined || last.votesPerS <= first.votesPerS) return [];
  const voteMicros = (1e6 * (last.idleCores - first.idleCores)) / (last.votesPerS - first.votesPerS);
  const load = 100;
  const percent = (micros: number): string => (micros / 1e4).toFixed(micros < 1e5 ? 1 : 0);
  const row = (nodes: number): string => {
    const hops = Math.ceil(Math.log(nodes) / Math.log(OPEN_DEGREE - 1)) + 1;
    const kilobytes = (load * TX_BYTES * last.txBytes) / 1000;
    const votes = (voters: number): string => percent((voters * voteMicros) / VOTE_INTERVAL_S);
    return `| ${[
      nodes.toLocaleString('en'),
      hops,
      percent(load * last.txMicros),
      kilobytes.toFixed(0),
      votes(20),
      votes(1_000),
      votes(nodes),
    ].join(' | ')} |`;
  };
  return [
    `Larger nets, by arithmetic: ${load} tx/s at ${last.txMicros.toFixed(0)} µs and ${last.txBytes.toFixed(2)} times` +
      ` ${TX_BYTES} bytes each; a vote costs each node ${voteMicros.toFixed(0)} µs, the slope of the idle share over` +
      ` votes counted; a checkpoint each ${VOTE_INTERVAL_S} s; hops ⌈log_${OPEN_DEGREE - 1} N⌉ + 1. Shares are % of one core.`,
    '',
    '| nodes | hops p99 at most | transactions, % | transactions, kB/s sent | votes of 20, % | of 1,000, % | of all nodes, % |',
    '|---:|---:|---:|---:|---:|---:|---:|',
    ...[1_000, 10_000, 100_000].map(row),
  ];
}

function plot(lives: readonly LiveRun[], sims: readonly SimRun[]): string {
  const all = [...lives, ...sims].map(({ nodes }) => nodes);
  const x = { xLabel: 'nodes', xLogFrom: Math.min(...all), xMax: Math.max(...all), marks: [] };
  const line = <T extends { readonly nodes: number }>(
    name: string,
    color: string,
    runs: readonly T[],
    y: (run: T) => number,
  ): Line => ({
    name,
    color,
    points: runs.map((run) => ({ x: run.nodes, y: y(run) })),
  });
  const chart = (title: string, yLabel: string, lines: readonly Line[]) => ({
    ...x,
    title,
    yLabel,
    yMax: Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y))) * 1.1,
    lines,
  });
  const [blue, green, red] = ['#1f6feb', '#2da44e', '#cf222e'];
  return drawCharts('How cost grows with the number of nodes', [
    chart('Processor time', 'µs', [
      line('a tx, live', blue, lives, ({ txMicros }) => txMicros),
      line('a message, sim.', green, sims, ({ runS, deliveries }) => (runS * 1e6) / deliveries),
    ]),
    chart('Copies and bytes per delivered transaction', 'times', [
      line('copies, live', blue, lives, ({ txCopies }) => txCopies),
      line('bytes, live', red, lives, ({ txBytes }) => txBytes),
      line('copies, sim.', green, sims, ({ txCopies }) => txCopies),
    ]),
    chart('An idle node, all of whose peers vote', 'thousandths of a core', [
      line('live', blue, lives, ({ idleCores }) => 1000 * idleCores),
      line('votes a second', red, lives, ({ votesPerS }) => votesPerS),
    ]),
  ]);
}
