/**
 * How cost grows with the number of nodes: devnets of real processes under one steady load, all of whose nodes mine
 * nothing and vote. Prints a table for docs/PERFORMANCE.md. What an idle network costs in the same time is taken off
 * what a transaction costs, and told beside it.
 *
 *     node bench/growth.ts [nodes, default 5,10,20,40] [seconds, default 20]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { MIN_TX_BYTES } from '../chain/params.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { Devnet } from '../scripts/devnet/devnet.ts';
import { openNetworkDir } from '../scripts/devnet/network-dir.ts';
import { Screen } from '../scripts/devnet/screen.ts';

const RATE = 50;
const BLOCK_TIME_MS = 4_000;
const HASH_BUDGET = 0.001;
const SETTLE_MS = 15_000;
/** A transfer of the load: no more than its memo of 11 bytes beside the least. */
const TX_BYTES = MIN_TX_BYTES + 11;

const clock = createSystemClock();
const rng = createSystemRng();
const forever = new AbortController().signal;

interface Sample {
  readonly processorS: number;
  readonly sentBytes: number;
  readonly txs: number;
  readonly txCopies: number;
  readonly votes: number;
  readonly residentMb: number;
}

function sampleOf(texts: readonly string[]): Sample {
  const sum = (pattern: RegExp): number =>
    texts.reduce((all, text) => {
      for (const [, value] of text.matchAll(pattern)) all += Number(value);
      return all;
    }, 0);
  return {
    processorS: sum(/^process_cpu_seconds_total (\S+)/gm),
    sentBytes: sum(/^gossipsub_rpc_sent_bytes_total (\S+)/gm),
    txs: sum(/^grapevine_verdicts_total\{kind="tx",verdict="accept",reason=""\} (\S+)/gm),
    txCopies: sum(/^grapevine_gossip_tx_copies_total (\S+)/gm),
    votes: sum(/^grapevine_verdicts_total\{kind="vote",verdict="accept",reason=""\} (\S+)/gm),
    residentMb: sum(/^process_resident_memory_bytes (\S+)/gm) / texts.length / 2 ** 20,
  };
}

async function measure(nodes: number, seconds: number): Promise<readonly (string | number)[]> {
  const path = await mkdtemp(join(tmpdir(), 'grapevine-growth-'));
  const wanted = { nodes, blockTimeMs: BLOCK_TIME_MS };
  const dir = await openNetworkDir({
    path,
    fresh: true,
    wanted,
    defaults: wanted,
    hashBudget: HASH_BUDGET,
    nowMs: clock.nowMs(),
  });
  let devnet: Devnet | undefined;
  try {
    devnet = await Devnet.start({
      dir,
      basePort: 19_000,
      hashBudget: HASH_BUDGET,
      logLevel: 'warn',
      nodeArgs: [],
      clock,
      rng,
      screen: new Screen(new Writable({ write: (_chunk, _encoding, done) => done() }) as NodeJS.WriteStream),
      backend: (await loadSignatureBackend('auto')).backend,
      ratePerS: RATE,
      startedAtMs: clock.monotonicMs(),
      signal: forever,
    });
    const readyMs = await devnet.untilReady(forever);
    await clock.sleep(SETTLE_MS, forever);
    const rested = sampleOf(await devnet.metrics());
    await clock.sleep(seconds * 1_000, forever);
    const before = sampleOf(await devnet.metrics());
    const ending = new AbortController();
    const load = devnet.traffic.run(RATE, ending.signal);
    await clock.sleep(seconds * 1_000, forever);
    ending.abort();
    await load;
    await clock.sleep(2_000, forever); // the last ones have arrived
    const after = sampleOf(await devnet.metrics());
    const delivered = after.txs - before.txs;
    const span = (of: (sample: Sample) => number): number => of(after) - of(before);
    // The load ran a little longer than the idle time, as it waited for its answers.
    const idle = (of: (sample: Sample) => number): number => (of(before) - of(rested)) * (1 + 2 / seconds);
    const idleVotes = idle(({ votes }) => votes);
    return [
      nodes,
      readyMs,
      ((before.processorS - rested.processorS) / seconds / nodes).toFixed(4),
      (((span(({ processorS }) => processorS) - idle(({ processorS }) => processorS)) * 1e6) / delivered).toFixed(0),
      ((span(({ sentBytes }) => sentBytes) - idle(({ sentBytes }) => sentBytes)) / delivered / TX_BYTES).toFixed(2),
      (span(({ txCopies }) => txCopies) / delivered).toFixed(2),
      (idleVotes / nodes / seconds).toFixed(1),
      after.residentMb.toFixed(0),
    ];
  } finally {
    await devnet?.stop();
    await dir.release();
    await rm(path, { recursive: true, force: true });
  }
}

const sizes = (process.argv[2] ?? '5,10,20,40').split(',').map(Number);
const seconds = Number(process.argv[3] ?? 20);
console.log(
  '| nodes | ready ms | idle, cores a node | processor µs per delivered tx | bytes sent per delivered tx, of its size | copies per delivered tx | votes a node and second, idle | resident MB a node |',
);
console.log('|---:|---:|---:|---:|---:|---:|---:|---:|');
for (const nodes of sizes) console.log(`| ${(await measure(nodes, seconds)).join(' | ')} |`);
