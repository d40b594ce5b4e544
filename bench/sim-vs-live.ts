/**
 * Compares the simulation's gossip with real libp2p on this machine: same topology, parameters and load. Prints a
 * table and writes JSON; exit status 1 where copies, hops or coverage differ by more than a tenth.
 *
 *     node bench/sim-vs-live.ts [nodes, default 24] [connections each, default 10] [file for the JSON]
 */
import { writeFile } from 'node:fs/promises';
import { compareSimWithLive, isClose, type Spread } from '../test/e2e/sim-vs-live-support.ts';

const nodes = Number(process.argv[2] ?? 24);
const degree = Number(process.argv[3] ?? 10);
const file = process.argv[4];

const report = await compareSimWithLive({ nodes, degree, messages: 100, draws: 3, seed: 'sim-vs-live' });
const rows: Record<string, object> = {};
for (const [kind, { live, sim }] of Object.entries(report.kinds)) {
  for (const key of Object.keys(live) as (keyof Spread)[]) {
    rows[`${kind} ${key}`] = {
      live: Number(live[key].toFixed(3)),
      sim: Number(sim[key].toFixed(3)),
      'difference %': Number(((100 * (sim[key] - live[key])) / live[key]).toFixed(1)),
    };
  }
}
for (const { latencyMs, jitterMs, sendMs } of report.wires) {
  const [latency, jitter, send] = [latencyMs, jitterMs, sendMs].map((ms) => ms.toFixed(2));
  console.log(`a message leaves in ${send} ms and travels ${latency} ms, up to ${jitter} ms more`);
}
console.table(rows);
if (file !== undefined) await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
if (!isClose(report)) process.exitCode = 1;
