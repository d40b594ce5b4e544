/**
 * Measures how fast the simulation runs full nodes, each built by `composeNode`. Prints a table and writes JSON.
 *
 *     node bench/sim-speed.ts [nodes, e.g. 100,1000] [virtual seconds, default 600] [file for the JSON]
 */
import { writeFile } from 'node:fs/promises';
import { runSimulated } from './sim-run.ts';

const sizes = (process.argv[2] ?? '100').split(',').map(Number);
const seconds = Number(process.argv[3] ?? 600);
const file = process.argv[4];

const rows: Record<string, number | string>[] = [];
for (const nodes of sizes) {
  const run = await runSimulated(nodes, seconds);
  rows.push({
    nodes,
    'virtual s': seconds,
    'start s': round(run.startS, 1),
    'run s': round(run.runS, 1),
    'wall s': round(run.wallS, 1),
    'speed-up': round(seconds / run.runS, 2),
    deliveries: run.deliveries,
    'copies/delivery': round(run.copies, 2),
    sent: run.sent,
    'µs/delivery': round((run.runS * 1e6) / run.deliveries, 1),
    'µs/copy': round((run.runS * 1e6) / (run.deliveries * run.copies), 2),
    timers: run.timers,
    height: run.height,
    final: run.final,
    'tx mined': run.mined,
    errors: run.errors,
    'MiB rss': Math.round(run.residentMiB),
    trace: run.traceHash.slice(0, 16),
  });
}
console.table(rows);
if (file !== undefined) await writeFile(file, `${JSON.stringify({ seconds, rows }, null, 2)}\n`);

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
