/**
 * Runs the benchmarks and prints a table.
 *
 *     npm run bench -- [--only NAME] [--short] [--json FILE] [--against FILE] [--into FILE]
 *
 * Every figure is a ratio to a ceiling that was measured in the same run; the values themselves are of this machine.
 * `--against` compares with rows written earlier and ends with 1 where a ratio is more than 30 % below. `--into` puts
 * the table between the marks of a document.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { ingestBench } from './ingest.ts';
import type { Bench, Row } from './measure.ts';
import { miningBench } from './mining.ts';
import { storeBench } from './store.ts';
import { syncBench } from './sync.ts';
import { verifyBench } from './verify.ts';

const BENCHES: readonly Bench[] = [verifyBench, ingestBench, miningBench, storeBench, syncBench];
/** Of these less is better: their ratios are not compared. */
const TIMES = ['ms', 'µs/tx'];
/** Share of a committed ratio that must be reached. */
const ENOUGH = 0.7;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    against: { type: 'string' },
    into: { type: 'string' },
  },
});
const chosen = BENCHES.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) {
  console.error(`--only ${values.only}: there is ${BENCHES.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const rows: Row[] = [];
for (const { name, run } of chosen) {
  process.stderr.write(`${name} …\n`);
  rows.push(...(await run({ short: values.short })));
}
console.log(table(rows));
if (values.into !== undefined) {
  const document = readFileSync(values.into, 'utf8');
  const marks = /(<!-- bench -->\n)[\s\S]*(<!-- \/bench -->)/;
  if (!marks.test(document)) throw new Error(`${values.into} has no marks <!-- bench --> and <!-- /bench -->`);
  const machine = `Node ${process.versions.node}, ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores.`;
  writeFileSync(
    values.into,
    document.replace(marks, (_, from, to) => `${from}${machine}\n\n${table(rows)}\n${to}`),
  );
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
if (values.against !== undefined) compare(JSON.parse(readFileSync(values.against, 'utf8')) as Row[]);

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

function compare(committed: readonly Row[]): void {
  for (const row of rows) {
    const before = committed.find(({ name }) => name === row.name)?.ratio;
    if (before === undefined || before === null || row.ratio === null) continue;
    if (TIMES.includes(row.unit) || row.ratio >= ENOUGH * before) continue;
    console.error(`${row.name}: ratio ${row.ratio}, was ${before}`);
    process.exitCode = 1;
  }
}
