/**
 * Devnets of real processes under one steady load, all of whose nodes vote. What an idle net costs in the same time, with
 * as many blocks, is taken off what a transaction costs, and told beside it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { MIN_TX_BYTES } from '../chain/params.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import type { GrapevineClient } from '../scripts/client.ts';
import { Devnet } from '../scripts/devnet/devnet.ts';
import { openNetworkDir } from '../scripts/devnet/network-dir.ts';
import { Screen } from '../scripts/devnet/screen.ts';

/** Forty voters' votes for a block each four seconds fill two cores by themselves. */
export const BLOCK_TIME_MS = 10_000;
/** For the first target: so low that a block takes a few thousand hashes. */
const HASH_BUDGET = 0.001;
/** Mined when asked: found by chance, one span would have twice the blocks of the other. */
const NODE_ARGS = ['--mine=on-demand'];
/** V8 compiles what is hot meanwhile: each node does so for itself, and the fewer transactions, the more it is to each. */
const WARM_UP = { seconds: 20, ratePerS: 50 };
const SETTLE_MS = 15_000;
/** After the load, until the last transactions are in a block, as part of both spans. */
const LAST_MS = 2 * BLOCK_TIME_MS;
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
 * @param ratePerS transactions a second; so few that the machine has room for them, as else they share messages, the more
 *   the busier it is
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
  const mining = new AbortController();
  let devnet: Devnet | undefined;
  let mined: Promise<void> | undefined;
  try {
    devnet = await Devnet.start({
      dir,
      basePort: 19_000,
      hashBudget: HASH_BUDGET,
      logLevel: 'warn',
      nodeArgs: NODE_ARGS,
      clock,
      rng,
      screen: new Screen(new Writable({ write: (_chunk, _encoding, done) => done() }) as NodeJS.WriteStream),
      backend: (await loadSignatureBackend('auto')).backend,
      ratePerS,
      startedAtMs: clock.monotonicMs(),
      signal: forever,
    });
    const readyMs = await devnet.untilReady(forever);
    mined = mineByTurns(devnet.clients, mining.signal);
    const spanMs = seconds * 1_000 + LAST_MS;
    const measured = async (): Promise<readonly [Sample, Sample, Sample]> => {
      await sendLoad(devnet!, WARM_UP.seconds, WARM_UP.ratePerS);
      await clock.sleep(SETTLE_MS, mining.signal);
      const rested = sampleOf(await devnet!.metrics());
      await clock.sleep(spanMs, mining.signal);
      const before = sampleOf(await devnet!.metrics());
      const end = clock.monotonicMs() + spanMs;
      await sendLoad(devnet!, seconds, ratePerS);
      await clock.sleep(end - clock.monotonicMs(), mining.signal);
      return [rested, before, sampleOf(await devnet!.metrics())];
    };
    // Mining ends early only where it fails.
    const samples = await Promise.race([measured(), mined]);
    if (samples === undefined) throw new Error('mining has ended');
    const [rested, before, after] = samples;
    const idle = (of: (sample: Sample) => number): number => of(before) - of(rested);
    const above = (of: (sample: Sample) => number): number => of(after) - of(before) - idle(of);
    const delivered = after.txs - before.txs;
    return {
      nodes,
      readyMs,
      idleCores: (1000 * idle(({ processorS }) => processorS)) / spanMs / nodes,
      txMicros: (1e6 * above(({ processorS }) => processorS)) / delivered,
      txBytes: above(({ sentBytes }) => sentBytes) / delivered / TX_BYTES,
      socketBytes: above(({ socketBytes }) => socketBytes) / delivered / TX_BYTES,
      txCopies: (after.txCopies - before.txCopies) / delivered,
      votesPerS: (1000 * idle(({ votes }) => votes)) / spanMs / nodes,
      residentMiB: after.residentMb,
    };
  } finally {
    mining.abort();
    await mined?.catch(() => undefined); // thrown above already
    await devnet?.stop();
    await dir.release();
    await rm(path, { recursive: true, force: true });
  }
}

/** A block each {@link BLOCK_TIME_MS}, by one node after the other, until the signal aborts. */
async function mineByTurns(clients: readonly GrapevineClient[], signal: AbortSignal): Promise<void> {
  let dueMs = clock.monotonicMs();
  for (let turn = 0; !signal.aborted; turn++) {
    await clients[turn % clients.length]!.mine();
    dueMs += BLOCK_TIME_MS;
    await clock.sleep(Math.max(0, dueMs - clock.monotonicMs()), signal).catch(() => undefined); // aborted: the loop ends
  }
}

async function sendLoad(devnet: Devnet, seconds: number, ratePerS: number): Promise<void> {
  const ending = new AbortController();
  const load = devnet.sendLoad(ending.signal, forever, ratePerS);
  try {
    // It ends early only where it fails, and nobody would hear of that before the time is over.
    await Promise.race([load, clock.sleep(seconds * 1_000, ending.signal)]);
  } finally {
    ending.abort();
  }
  await load;
}
