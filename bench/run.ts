/**
 * Runs the benchmarks and prints a table.
 *
 *     npm run bench -- [--only NAME]… [--short] [--json FILE] [--against FILE] [--into FILE] [--renew FILE]
 *
 * Every figure is a ratio to a ceiling that was measured in the same run; the values themselves are of this machine.
 * `--against` compares ratios with those of rows written earlier, and ends with 1 where one is more than 30 % worse, and
 * again when its benchmark is run once more, or where the file lacks one. `--into` puts the table between the marks of a
 * document.
 * `--renew` puts the rows measured now in the place of those of the same names in a file, keeps the others, and gives all
 * to the table: for one benchmark that is to be measured again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { compactBench } from './compact.ts';
import { COMPARED } from './compared.ts';
import { devnetBench } from './devnet.ts';
import { gossipBench } from './gossip.ts';
import { ingestBench } from './ingest.ts';
import { loadBench } from './load.ts';
import type { Bench, Row } from './measure.ts';
import { meshBench } from './mesh.ts';
import { miningBench } from './mining.ts';
import { MARKS, type RowsFile, readBenchOptions } from './options.ts';
import { storeBench } from './store.ts';
import { syncBench } from './sync.ts';
import { verifyBench } from './verify.ts';

// Mining first: in a process that had run the others before, the SIMD kernel did 4.2 MH/s instead of 7.9.
const BENCHES: readonly Bench[] = [
  miningBench,
  verifyBench,
  ingestBench,
  gossipBench,
  meshBench,
  compactBench,
  storeBench,
  syncBench,
  devnetBench,
  loadBench,
];
/** Share of a committed ratio that must be reached. */
const ENOUGH = 0.7;

const values = readBenchOptions(
  process.argv.slice(2),
  BENCHES.map(({ name }) => name),
);
const chosen = BENCHES.filter(({ name }) => values.only?.includes(name) ?? true);
if (values.against !== undefined) {
  const missing = missingIn(values.against, chosen);
  for (const line of missing) console.error(line);
  if (missing.length > 0) process.exit(1);
}

const rowsOf = new Map<Bench, readonly Row[]>();
for (const bench of chosen) {
  process.stderr.write(`${bench.name} …\n`);
  rowsOf.set(bench, await bench.run({ short: values.short }));
}
const rows = renewed([...rowsOf.values()].flat());
console.log(table(rows));
if (values.into !== undefined) {
  const document = readFileSync(values.into, 'utf8'); // as it is by now
  const machine = `Node ${process.versions.node}, ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores.`;
  writeFileSync(
    values.into,
    document.replace(MARKS, (_, from, to) => `${from}${machine}\n\n${table(rows)}\n${to}`),
  );
}
if (values.renew !== undefined) writeFileSync(values.renew.path, `${JSON.stringify(rows, null, 2)}\n`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
if (values.against !== undefined) await compare(values.against);

function renewed(measured: readonly Row[]): readonly Row[] {
  if (values.renew === undefined) return measured;
  const kept = values.renew.rows;
  const byName = new Map(measured.map((row) => [row.name, row]));
  const isNew = ({ name }: Row): boolean => kept.every((row) => row.name !== name);
  return [...kept.map((row) => byName.get(row.name) ?? row), ...measured.filter(isNew)];
}

/** Markdown, as docs/PERFORMANCE.md has it. */
function table(all: readonly Row[]): string {
  const cell = (value: unknown): string => (value === null ? '' : String(value));
  const lines = all.map((row) => {
    const met = row.met === null ? '' : row.met ? 'yes' : '**no**';
    const range = `${row.min} … ${row.max}`;
    const cells = [row.name, row.value, row.unit, range, row.rounds, row.ceiling, row.ratio, row.goal, met];
    return `| ${cells.map(cell).join(' | ')} |`;
  });
  const head = '| figure | value | unit | range | rounds | ceiling | ratio | goal | met |';
  return [head, '|---|---:|---|---|---:|---:|---:|---|---|', ...lines].join('\n');
}

/** Ratios that would be compared and are not there: nothing would be said of them. */
function missingIn({ path, rows }: RowsFile, benches: readonly Bench[]): string[] {
  return COMPARED.flatMap(({ bench, row }) =>
    !benches.some(({ name }) => name === bench) || ratioOf(rows, row) !== null
      ? []
      : [`${path} has no ratio of "${row}"`],
  );
}

async function compare(committed: RowsFile): Promise<void> {
  for (const [bench, measured] of rowsOf) {
    let worse = worseThan(committed, bench, measured);
    if (worse.length > 0) {
      process.stderr.write(`${worse.join('\n')}\n${bench.name} again …\n`);
      worse = worseThan(committed, bench, await bench.run({ short: values.short }));
    }
    for (const line of worse) console.error(line);
    if (worse.length > 0) process.exitCode = 1;
  }
}

function worseThan(committed: RowsFile, of: Bench, measured: readonly Row[]): string[] {
  return COMPARED.filter(({ bench }) => bench === of.name).flatMap(({ row, better }) => {
    const before = ratioOf(committed.rows, row);
    const now = ratioOf(measured, row);
    if (before === null || now === null) return [`${row}: no ratio of it was measured`];
    const reached = better === 'more' ? now / before : before / now;
    return reached >= ENOUGH ? [] : [`${row}: ratio ${now}, was ${before}`];
  });
}

function ratioOf(rows: readonly Row[], name: string): number | null {
  return rows.find((row) => row.name === name)?.ratio ?? null;
}
