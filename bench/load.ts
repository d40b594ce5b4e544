/**
 * The whole devnet under load: five nodes in five processes, each of which verifies, stores and mines everything, and
 * the process that signs, sends and times. At the rate that must hold, at half of it for the time that a transaction
 * takes to be everywhere, and, beside them, at what noble and a message per transaction can carry.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DevnetReport } from '../scripts/devnet/report.ts';
import { type Bench, type BenchContext, makeRow, type Row } from './measure.ts';

const RATE = 1_500;
/** What is asked for, so that as many are mined: what is on its way when the load ends is not counted. */
const ASKED = 1.02 * RATE;
/** V8 compiles what is hot in the first seconds: a devnet that has run for a while is measured. */
const WARM_UP_S = 10;
const ROUNDS = 3;
const BASE_PORT = 18_400;
/** As it was before: signatures in JavaScript, each transaction a gossip message of its own. */
const PLAIN = ['--node-arg=--signature-backend=noble', '--node-arg=--tx-linger-ms=0'];

async function run({ short }: BenchContext): Promise<Row[]> {
  const seconds = short ? 15 : 60;
  const runs: Record<'full' | 'half' | 'plain', DevnetReport[]> = { full: [], half: [], plain: [] };
  // When blocks come is drawn: a minute with few of them carries less, and has larger ones.
  for (let round = 0; round < (short ? 1 : ROUNDS); round++) {
    runs.full.push(await measure(ASKED, seconds, []));
    runs.half.push(await measure(RATE / 2, seconds, []));
    runs.plain.push(await measure(ASKED, seconds, PLAIN));
  }
  return loadRows(runs, seconds);
}

/**
 * Of what must not happen the worst round, of the rest the median.
 *
 * @param seconds that each ran
 */
export function loadRows(
  { full, half, plain }: Readonly<Record<'full' | 'half' | 'plain', readonly DevnetReport[]>>,
  seconds: number,
): Row[] {
  const both = [...full, ...half];
  const atMost = (bar: number) => [{ of: 'value', is: '≤', bar }] as const;
  const name = (what: string): string => `devnet at ${RATE} tx/s for ${seconds} s: ${what}`;
  return [
    makeRow(
      name('mined and agreed'),
      'tx/s',
      full.map(({ agreedPerS }) => agreedPerS),
      plain.map(({ agreedPerS }) => agreedPerS),
      [{ of: 'value', is: '≥', bar: RATE }],
    ),
    makeRow(
      name('valid transactions lost'),
      'txs',
      [Math.max(...both.map(({ submitted, mined }) => submitted - mined))],
      undefined,
      atMost(0),
    ),
    makeRow(
      name('mined transactions not agreed'),
      'txs',
      [Math.max(...both.map(({ mined, agreed }) => mined - agreed))],
      undefined,
      atMost(0),
    ),
    makeRow(
      name('newest blocks not final'),
      'blocks',
      [Math.max(...both.map(({ height, finalHeight }) => height - finalHeight))],
      undefined,
      atMost(2),
    ),
    makeRow(
      name('blocks dropped unchecked'),
      'blocks',
      [Math.max(...both.map(({ blocksDropped }) => blocksDropped))],
      undefined,
      atMost(0),
    ),
    makeRow(
      name('errors, nodes that differ'),
      'count',
      [Math.max(...both.map(({ errors, sameTip }) => errors + (sameTip ? 0 : 1)))],
      undefined,
      atMost(0),
    ),
    makeRow(
      name('resident memory of the largest node'),
      'MB',
      full.map(({ rssMb }) => rssMb.max),
      undefined,
      atMost(250),
    ),
    makeRow(
      `devnet at ${RATE / 2} tx/s: submit to everywhere, p99`,
      'ms',
      half.map(({ propagationMs }) => propagationMs.p99),
      undefined,
      [{ of: 'value', is: '<', bar: 500 }],
    ),
    makeRow(
      `devnet at ${RATE / 2} tx/s: submit to everywhere, p50`,
      'ms',
      half.map(({ propagationMs }) => propagationMs.p50),
    ),
    makeRow(
      name('copies per transaction and node'),
      'copies/tx',
      full.map(({ copiesPerTx }) => copiesPerTx),
      undefined,
      atMost(2),
    ),
  ];
}

async function measure(rate: number, seconds: number, flags: readonly string[]): Promise<DevnetReport> {
  const path = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
  try {
    const launcher = fileURLToPath(new URL('../tools/grapevine.js', import.meta.url));
    const args = ['devnet', '--json', `--data-dir=${path}`, `--base-port=${BASE_PORT}`, '--log-level=warn'];
    const load = [`--load=${rate}`, `--warm-up=${WARM_UP_S}`, `--duration=${seconds}`];
    const devnet = spawn(process.execPath, [launcher, ...args, ...load, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    devnet.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    devnet.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    await once(devnet, 'close');
    const last = out.trim().split('\n').at(-1) ?? '';
    if (!last.startsWith('{')) throw new Error(`the devnet gave no report:\n${err}`);
    return JSON.parse(last) as DevnetReport;
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

export const loadBench: Bench = { name: 'load', run };
