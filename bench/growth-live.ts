/**
 * Devnets of real processes under one steady load, all of whose nodes vote and mine next to nothing. What an idle net
 * costs in the same time is taken off what a transaction costs, and told beside it.
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

export const BLOCK_TIME_MS = 4_000;
const HASH_BUDGET = 0.001;
const SETTLE_MS = 15_000;
/** A transfer of the load: no more than its memo of 11 bytes beside the least. */
export const TX_BYTES = MIN_TX_BYTES + 11;

// Nodes as the launcher starts them: with their libraries and what V8 compiled before.
const { prepareEnvironment } = await import(new URL('../tools/environment.js', import.meta.url).href);
prepareEnvironment();

const clock = createSystemClock();
const rng = createSystemRng();
const forever = new AbortController().signal;

interface Sample {
  readonly processorS: number;
  readonly sentBytes: number;
  readonly socketBytes: number;
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
    socketBytes: sum(/^grapevine_network_bytes_total\{direction="sent"\} (\S+)/gm),
    txs: sum(/^grapevine_verdicts_total\{kind="tx",verdict="accept",reason=""\} (\S+)/gm),
    txCopies: sum(/^grapevine_gossip_tx_copies_total (\S+)/gm),
    votes: sum(/^grapevine_verdicts_total\{kind="vote",verdict="accept",reason=""\} (\S+)/gm),
    residentMb: sum(/^process_resident_memory_bytes (\S+)/gm) / texts.length / 2 ** 20,
  };
}

export interface LiveRun {
  readonly nodes: number;
  readonly readyMs: number;
  /** Share of a core that a node takes while nothing happens but blocks and votes. */
  readonly idleCores: number;
  /** Processor µs of a node, above idle, for each transaction that it received. */
  readonly txMicros: number;
  /**
   * Bytes of gossip, its control messages included, that a node sent above idle for each transaction that it received, over
   * its size. Without noise, yamux and TCP framing, and without what travels on other streams.
   */
  readonly txBytes: number;
  /** The same of all that its sockets took: blocks, votes and exchanges too, encrypted and framed, without TCP and IP. */
  readonly socketBytes: number;
  readonly txCopies: number;
  /** Votes that a node counted in a second, idle. */
  readonly votesPerS: number;
  readonly residentMiB: number;
}

/**
 * @param seconds of rest, and of load
 * @param ratePerS transactions a second
 */
export async function runLive(nodes: number, seconds: number, ratePerS: number): Promise<LiveRun> {
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
      ratePerS,
      startedAtMs: clock.monotonicMs(),
      signal: forever,
    });
    const readyMs = await devnet.untilReady(forever);
    await clock.sleep(SETTLE_MS, forever);
    const rested = sampleOf(await devnet.metrics());
    await clock.sleep(seconds * 1_000, forever);
    const before = sampleOf(await devnet.metrics());
    const ending = new AbortController();
    const load = devnet.sendLoad(ending.signal, forever);
    try {
      // The load ends early only where it fails, and nobody would hear of that before the time is over.
      await Promise.race([load, clock.sleep(seconds * 1_000, ending.signal)]);
    } finally {
      ending.abort();
    }
    await load;
    await clock.sleep(2_000, forever); // the last ones have arrived
    const after = sampleOf(await devnet.metrics());
    const delivered = after.txs - before.txs;
    const span = (of: (sample: Sample) => number): number => of(after) - of(before);
    // The load ran a little longer than the idle time, as it waited for its answers.
    const idle = (of: (sample: Sample) => number): number => (of(before) - of(rested)) * (1 + 2 / seconds);
    return {
      nodes,
      readyMs,
      idleCores: (before.processorS - rested.processorS) / seconds / nodes,
      txMicros: ((span(({ processorS }) => processorS) - idle(({ processorS }) => processorS)) * 1e6) / delivered,
      txBytes: (span(({ sentBytes }) => sentBytes) - idle(({ sentBytes }) => sentBytes)) / delivered / TX_BYTES,
      socketBytes:
        (span(({ socketBytes }) => socketBytes) - idle(({ socketBytes }) => socketBytes)) / delivered / TX_BYTES,
      txCopies: span(({ txCopies }) => txCopies) / delivered,
      votesPerS: idle(({ votes }) => votes) / (1 + 2 / seconds) / nodes / seconds,
      residentMiB: after.residentMb,
    };
  } finally {
    await devnet?.stop();
    await dir.release();
    await rm(path, { recursive: true, force: true });
  }
}
