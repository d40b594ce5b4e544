/**
 * The spine of a node, from bytes in to the journal on disk, against what its pool verifies alone; and how long the
 * event loop is held up meanwhile, also by a flood of transactions whose signatures are bad.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nextBits } from '../chain/asert.ts';
import { makeHeader, makeTx } from '../chain/codec.ts';
import type { Genesis } from '../chain/genesis.ts';
import { meetsTarget } from '../chain/target.ts';
import { buildTemplate } from '../chain/template.ts';
import { encodeTxBatch } from '../chain/tx-batch.ts';
import type { Tx } from '../chain/types.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock } from '../node/adapters.ts';
import type { SignatureVerifier } from '../node/ports.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import type { Store } from '../node/store/store.ts';
import { VerifyPool } from '../node/verify/verify-pool.ts';
import {
  blockMessage,
  composeFixture,
  fixtureGenesis,
  type NodeFixture,
  type Outcome,
  silentLogger,
} from '../test/node-fixture.ts';
import { watchLoop } from './event-loop.ts';
import { type Bench, interleave, makeRow, type Row } from './measure.ts';
import { itemsOf, makeSenders, makeTransfers } from './signed-items.ts';
import { poolRate, THREADS } from './verify.ts';

/** Transactions in each message, as a peer with 3,000 a second would send them, and on their way at once. */
const PER_BATCH = 64;
const WINDOW = 2048;

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  const rounds = short ? 3 : 7;
  const count = short ? 3000 : 8000;
  const senders = makeSenders();
  const genesis = fixtureGenesis(senders.map(({ address }) => address));
  const txs = makeTransfers(genesis.chainId, senders, count);
  const items = itemsOf(txs);
  const { backend } = await loadSignatureBackend('auto');
  const pool = new VerifyPool({ size: THREADS, backend, clock: createSystemClock(), logger: silentLogger });
  const delays = { pool: [] as number[], ingest: [] as number[], flood: [] as number[] };
  const processorUs = { pool: [] as number[], ingest: [] as number[] };
  const blockMs = { idle: [] as number[], flooded: [] as number[] };

  const rates = await interleave(rounds, {
    pool: async () => {
      const stopWatch = watchLoop(delays.pool);
      const usage = process.cpuUsage();
      const rate = await poolRate(pool, items, count);
      processorUs.pool.push(processorTime(usage) / count);
      stopWatch();
      return rate;
    },
    ingest: () =>
      withNode(genesis, pool, async (fixture, store) => {
        const stopWatch = watchLoop(delays.ingest);
        const usage = process.cpuUsage();
        const begin = performance.now();
        const outcomes = await feed(fixture, txs);
        await journalled(store);
        const rate = (count / (performance.now() - begin)) * 1000;
        processorUs.ingest.push(processorTime(usage) / count);
        stopWatch();
        if (outcomes.some((outcome) => outcome !== 'accept'))
          throw new Error('a batch of good transactions was not accepted');
        return rate;
      }),
    flood: () =>
      withNode(genesis, pool, async (fixture) => {
        blockMs.idle.push(await timeBlock(fixture, genesis, []));
        const stopWatch = watchLoop(delays.flood);
        const begin = performance.now();
        const flood = feed(fixture, txs.map(spoilt));
        await new Promise((resolve) => setTimeout(resolve, 50));
        blockMs.flooded.push(await timeBlock(fixture, genesis, []));
        const outcomes = await flood;
        const rate = (count / (performance.now() - begin)) * 1000;
        stopWatch();
        if (outcomes.some((outcome) => outcome !== 'reject')) throw new Error('a bad signature was not rejected');
        return rate;
      }),
  });
  await pool.close();
  // The warm-up round.
  for (const lists of [delays, processorUs, blockMs]) for (const list of Object.values(lists)) list.shift();
  const below20 = [{ of: 'value', is: '<', bar: 20 }] as const;
  return [
    makeRow('ingest, against the pool alone', 'tx/s', rates.ingest, rates.pool, [{ of: 'ratio', is: '≥', bar: 0.75 }]),
    makeRow('ingest, processor time, against the pool alone', 'µs/tx', processorUs.ingest, processorUs.pool),
    makeRow('event-loop delay p99 during ingest, against the pool alone', 'ms', delays.ingest, delays.pool, below20),
    makeRow('bad signatures rejected, against the pool alone', 'tx/s', rates.flood, rates.pool),
    makeRow(
      'event-loop delay p99 under bad signatures, against the pool alone',
      'ms',
      delays.flood,
      delays.pool,
      below20,
    ),
    makeRow("a block's verdict under bad signatures, against idle", 'ms', blockMs.flooded, blockMs.idle),
  ];
}

/** Microseconds of all threads since `since`. */
function processorTime(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

/** Sends all in batches, `WINDOW` at a time, one batch in each turn of the event loop. An outcome for each batch. */
async function feed(fixture: NodeFixture, txs: readonly Tx[]): Promise<Outcome[]> {
  const outcomes: Promise<Outcome>[] = [];
  let underway = 0;
  for (let at = 0; at < txs.length; at += PER_BATCH) {
    const batch = txs.slice(at, at + PER_BATCH);
    while (underway >= WINDOW) await new Promise((resolve) => setImmediate(resolve));
    underway += batch.length;
    outcomes.push(
      fixture.gossip('tx', encodeTxBatch(batch)).finally(() => {
        underway -= batch.length;
      }),
    );
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Promise.all(outcomes);
}

/** The store's writes are queued in order: one more behind what the mempool has given it. */
export async function journalled(store: Store): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await store.savePeers(new Map());
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function spoilt(tx: Tx): Tx {
  const signature = tx.signature.slice();
  signature[63]! ^= 1;
  return makeTx(tx, signature);
}

/** Milliseconds from a block's bytes to its verdict. */
async function timeBlock(fixture: NodeFixture, genesis: Genesis, txs: readonly Tx[]): Promise<number> {
  const { chain } = fixture.node;
  const template = buildTemplate({
    parent: chain.tip,
    bits: nextBits(
      genesis.params,
      { height: chain.tip.header.height, effectiveTimeMs: chain.tip.effectiveTimeMs },
      genesis.entry.effectiveTimeMs,
    ),
    timestampMs: BigInt(Date.now()),
    miner: genesis.electorate[0]!,
    candidates: txs,
    view: chain.accounts,
    params: genesis.params,
  });
  let header = makeHeader({ ...template.header, nonce: 0n });
  while (!meetsTarget(header.id, header.bits)) header = makeHeader({ ...template.header, nonce: header.nonce + 1n });
  const bytes = blockMessage({ header, coinbase: template.coinbase, txs: template.txs });
  const begin = performance.now();
  if ((await fixture.gossip('block', bytes)) !== 'accept') throw new Error('the block was not accepted');
  const elapsedMs = performance.now() - begin;
  await chain.idle();
  return elapsedMs;
}

/** A node with its store on disk, for as long as `body` takes. */
export async function withNode<T>(
  genesis: Genesis,
  verifier: SignatureVerifier,
  body: (fixture: NodeFixture, store: Store) => Promise<T>,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
  try {
    const store = await openLevelStore({ location: join(dataDir, 'store'), dataDir });
    const fixture = await composeFixture({ genesis, store, verifier });
    try {
      return await body(fixture, store);
    } finally {
      await fixture.node.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

export const ingestBench: Bench = { name: 'ingest', run };
