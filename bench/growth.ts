/**
 * How cost grows with the number of nodes, on real processes and in the simulation: tables and a plot.
 *
 *     node bench/growth.ts [--live 5,10,20,40] [--simulated 100,1000,3000] [--seconds 40] [--rate 4] [--into FILE --plot FILE]
 *
 * `--rate` is of transactions, live, a second: so few that each travels alone in all nets, also where forty nodes share
 * two cores. `--into` puts the tables between the marks `<!-- growth -->` and `<!-- /growth -->` of a document, `--plot`
 * writes the SVG.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PUBLIC_NETWORK } from '../node/net/libp2p-network.ts';
import { drawCharts, type Line } from '../sim/chart.ts';
import { BLOCK_TIME_MS, type LiveRun, runLive, TX_BYTES } from './growth-live.ts';
import type { SimRun } from './sim-run.ts';

const { values } = parseArgs({
  options: {
    live: { type: 'string', default: '5,10,20,40' },
    simulated: { type: 'string', default: '100,1000,3000' },
    seconds: { type: 'string', default: '40' },
    rate: { type: 'string', default: '4' },
    into: { type: 'string' },
    plot: { type: 'string' },
  },
});
const numbers = (list: string): number[] => list.split(',').filter(Boolean).map(Number);
const rate = Number(values.rate);
const seconds = Number(values.seconds);
/** The simulation starts cold: its code is compiled while it runs. */
const SIM_SECONDS = 60;
/** Mesh degree of open nets. */
const OPEN_DEGREE = PUBLIC_NETWORK.gossip.D;
/** Between checkpoints of a larger net. */
const VOTE_INTERVAL_S = 10;

const MARKS = /(<!-- growth -->\n)[\s\S]*(<!-- \/growth -->)/;
if (values.into !== undefined && !MARKS.test(readFileSync(values.into, 'utf8'))) {
  throw new Error(`${values.into} has no marks <!-- growth --> and <!-- /growth -->`);
}

const live: LiveRun[] = [];
for (const nodes of numbers(values.live)) live.push(await runLive(nodes, seconds, rate));
// Each in a process of its own: what an earlier world left behind would count as memory of the next.
const simulated = numbers(values.simulated).map((nodes): SimRun => {
  const code = `import { runSimulated } from ${JSON.stringify(new URL('./sim-run.ts', import.meta.url).href)};
    console.log(JSON.stringify(await runSimulated(${nodes}, ${SIM_SECONDS})));`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  return JSON.parse(out) as SimRun;
});

const tables = [...liveTable(live), '', ...simulatedTable(simulated), '', ...extrapolation(live, simulated)].join('\n');
console.log(tables);
if (values.into !== undefined) {
  const document = readFileSync(values.into, 'utf8');
  writeFileSync(
    values.into,
    document.replace(MARKS, (_, begin: string, end: string) => `${begin}${tables}\n${end}`),
  );
}
if (values.plot !== undefined) writeFileSync(values.plot, plot(live, simulated));

function liveTable(runs: readonly LiveRun[]): string[] {
  return [
    `Live: every node votes, ${rate} tx/s in all for ${seconds} s, a block every ${BLOCK_TIME_MS / 1000} s.`,
    '',
    '| nodes | processor µs per delivered tx | bytes on the wire per delivered tx, of its size | of which gossip | copies per tx | votes counted a node and second | idle, thousandths of a core a node | memory a node, MiB | ready, ms |',
    '|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
    ...runs.map(
      ({ nodes, txMicros, socketBytes, txBytes, txCopies, votesPerS, idleCores, residentMiB, readyMs }) =>
        `| ${[
          nodes,
          txMicros.toFixed(0),
          socketBytes.toFixed(2),
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
    '| nodes | processor µs per delivered message | bytes per delivered tx, of its size | copies per tx message | copies per block | bytes per block and node | memory a node, MiB | processor s |',
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

/**
 * What a node would take in larger nets: the live figures of the largest net, times the copies of an open mesh over those
 * of the devnet's, as most of a transaction's cost is its copies; and the slope of the idle share over votes.
 */
function extrapolation(runs: readonly LiveRun[], sims: readonly SimRun[]): string[] {
  const [first, last, open] = [runs[0], runs.at(-1), sims.at(-1)];
  if (first === undefined || last === undefined || open === undefined || last.votesPerS <= first.votesPerS) return [];
  const thicker = open.txCopies / last.txCopies;
  const voteMicros = (1e6 * (last.idleCores - first.idleCores)) / (last.votesPerS - first.votesPerS);
  const load = 100;
  const percent = (micros: number): string => (micros / 1e4).toFixed(micros < 1e5 ? 1 : 0);
  const row = (nodes: number): string => {
    const hops = Math.ceil(Math.log(nodes) / Math.log(OPEN_DEGREE - 1)) + 1;
    const kilobytes = (load * TX_BYTES * last.socketBytes * thicker) / 1000;
    const votes = (voters: number): string => percent((voters * voteMicros) / VOTE_INTERVAL_S);
    return `| ${[
      nodes.toLocaleString('en'),
      hops,
      percent(load * last.txMicros * thicker),
      kilobytes.toFixed(0),
      votes(20),
      votes(1_000),
      votes(nodes),
    ].join(' | ')} |`;
  };
  return [
    `Larger nets, by arithmetic: ${load} tx/s at ${last.txMicros.toFixed(0)} µs and ${last.socketBytes.toFixed(2)} times` +
      ` ${TX_BYTES} bytes each, times ${thicker.toFixed(2)} for the copies of an open mesh; a vote costs each node` +
      ` ${voteMicros.toFixed(0)} µs at most, the slope of the idle share over votes counted, more peers included; a` +
      ` checkpoint each ${VOTE_INTERVAL_S} s; hops ⌈log_${OPEN_DEGREE - 1} N⌉ + 1. Shares are % of one core.`,
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
      line('bytes, live', red, lives, ({ socketBytes }) => socketBytes),
      line('copies, sim.', green, sims, ({ txCopies }) => txCopies),
    ]),
    chart('An idle node, all of whose peers vote', 'thousandths of a core', [
      line('live', blue, lives, ({ idleCores }) => 1000 * idleCores),
      line('votes a second', red, lives, ({ votesPerS }) => votesPerS),
    ]),
  ]);
}
