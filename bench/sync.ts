/**
 * A node that joins late, over libp2p on loopback from peers in processes of their own, store on disk: an initial sync
 * of full blocks against what the node's pool verifies alone, and catching up with a long chain of small blocks while
 * gossip goes on.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Genesis } from '../chain/genesis.ts';
import { signVote } from '../chain/sign.ts';
import { encodeTxBatch } from '../chain/tx-batch.ts';
import type { ChainEntry } from '../chain/types.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock } from '../node/adapters.ts';
import { openLevelStore } from '../node/store/open-level-store.ts';
import { VerifyPool } from '../node/verify/verify-pool.ts';
import { composeFixture, type NodeFixture, silentLogger } from '../test/node-fixture.ts';
import { BLOCK_TIME_MS, buildChain, oldGenesis } from './chain.ts';
import { watchLoop } from './event-loop.ts';
import { createLoopbackNetwork } from './loopback-network.ts';
import { type Bench, interleave, makeRow, percentile, type Row } from './measure.ts';
import { itemsOf, makeSenders, makeTransfers } from './signed-items.ts';
import { poolRate, THREADS } from './verify.ts';

const TXS_PER_BLOCK = 500;
const BEHIND = 1000;
const PEERS = 2;
/** While the node catches up: so often comes a vote and a batch of so many transactions. */
const GOSSIP_EVERY_MS = 20;
const GOSSIP_TXS = 4;
const DEADLINE_MS = 120_000;

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  const rounds = short ? 3 : 5;
  const count = 10_000;
  const senders = makeSenders();
  const [chainSenders, gossipSenders] = [senders.slice(0, 100), senders.slice(100)];
  const voter = senders[0]!;
  const genesis = oldGenesis(
    senders.map(({ address }) => address),
    voter.address,
    BEHIND,
  );
  const txs = makeTransfers(genesis.chainId, chainSenders, count);
  const gossipTxs = makeTransfers(genesis.chainId, gossipSenders, short ? 1000 : 4000);
  const { backend } = await loadSignatureBackend('auto');
  const pool = new VerifyPool({ size: THREADS, backend, clock: createSystemClock(), logger: silentLogger });
  const items = itemsOf(txs);
  const delays: number[] = [];
  const verdictMs: number[] = [];
  const processorUs = { pool: [] as number[], sync: [] as number[] };

  const directory = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
  const servers: ChildProcess[] = [];
  try {
    const genesisFile = join(directory, 'genesis.json');
    await writeFile(genesisFile, JSON.stringify(genesis.doc));
    const serve = async (name: string, perBlock: number, peers: number) => {
      let entries: readonly ChainEntry[] = [];
      const addresses: string[] = [];
      for (let i = 0; i < peers; i++) {
        const location = join(directory, `${name}-${i}`);
        entries = await buildChain(location, genesis, txs, perBlock, pool);
        const child = fork(fileURLToPath(new URL('./sync-peer.ts', import.meta.url)), [location, genesisFile]);
        servers.push(child);
        const [{ address }] = (await once(child, 'message')) as [{ address: string }];
        addresses.push(address);
      }
      return { addresses, entries };
    };
    const full = await serve('full', TXS_PER_BLOCK, PEERS);
    const long = await serve('long', count / BEHIND, PEERS);

    const rates = await interleave(rounds, {
      pool: async () => {
        const usage = process.cpuUsage();
        const rate = await poolRate(pool, items, count);
        processorUs.pool.push(processorTime(usage) / count);
        return rate;
      },
      sync: async () => {
        const usage = process.cpuUsage();
        const seconds = await joinNet(genesis, full, pool, () => Promise.resolve());
        processorUs.sync.push(processorTime(usage) / count);
        return count / seconds;
      },
      catchUp: async () => {
        const latencies: number[] = [];
        let stopWatch = (): void => {};
        const seconds = await joinNet(genesis, long, pool, async (fixture, signal) => {
          stopWatch = watchLoop(delays);
          let sent = 0;
          for (let height = 0; !signal.aborted; height++) {
            const timed = async (kind: 'tx' | 'vote', bytes: Uint8Array): Promise<void> => {
              const begin = performance.now();
              const outcome = await fixture.gossip(kind, bytes);
              if (outcome === 'reject') throw new Error(`an honest ${kind} was rejected`);
              latencies.push(performance.now() - begin);
            };
            const work: Promise<void>[] = [];
            const batch = gossipTxs.slice(sent, sent + GOSSIP_TXS);
            sent += batch.length;
            if (batch.length > 0) work.push(timed('tx', encodeTxBatch(batch)));
            const [source, target] = [long.entries[height - 1] ?? genesis.entry, long.entries[height]];
            if (target !== undefined) {
              const link = {
                source: { height: source.header.height, id: source.header.id },
                target: { height: target.header.height, id: target.header.id },
              };
              work.push(timed('vote', signVote({ chainId: genesis.chainId, ...link }, voter.secretKey).bytes));
            }
            await Promise.all(work);
            await new Promise((resolve) => setTimeout(resolve, GOSSIP_EVERY_MS));
          }
        });
        stopWatch();
        verdictMs.push(percentile(latencies, 0.99));
        return BEHIND / seconds;
      },
    });
    for (const list of [delays, verdictMs, processorUs.pool, processorUs.sync]) list.shift(); // the warm-up round
    const growth = rates.catchUp.map(() => 1000 / BLOCK_TIME_MS);
    return [
      makeRow(`initial sync of ${count} transactions, against the pool alone`, 'tx/s', rates.sync, rates.pool, [
        { of: 'ratio', is: '≥', bar: 0.7 },
      ]),
      makeRow('initial sync, processor time, against the pool alone', 'µs/tx', processorUs.sync, processorUs.pool),
      makeRow(`catching up with ${BEHIND} blocks, against the chain's growth`, 'blocks/s', rates.catchUp, growth, [
        { of: 'ratio', is: '≥', bar: 20 },
      ]),
      makeRow('event-loop delay p99 while catching up', 'ms', delays, undefined, [{ of: 'value', is: '<', bar: 20 }]),
      makeRow('verdict on gossip while catching up, p99', 'ms', verdictMs),
    ];
  } finally {
    for (const server of servers) {
      if (server.connected) server.disconnect();
      if (server.exitCode === null) await once(server, 'exit');
    }
    await pool.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Microseconds of all threads of this process since `since`; the peers are others. */
function processorTime(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

/** Starts a node with an empty store; gives the seconds from its start to the peers' tip. */
async function joinNet(
  genesis: Genesis,
  served: { readonly addresses: readonly string[]; readonly entries: readonly ChainEntry[] },
  pool: VerifyPool,
  meanwhile: (fixture: NodeFixture, signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const dataDir = await mkdtemp(join(tmpdir(), 'grapevine-bench-'));
  try {
    const store = await openLevelStore({ location: join(dataDir, 'store'), dataDir });
    const network = createLoopbackNetwork({ genesis, store, bootstrap: served.addresses });
    const begin = performance.now();
    const fixture = await composeFixture({ genesis, store, verifier: pool, network });
    const { chain } = fixture.node;
    const wanted = served.entries.at(-1)!.header.id;
    const done = new AbortController();
    const arrived = new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`at ${chain.tip.header.height} only`)), DEADLINE_MS);
      const look = (): void => {
        if (chain.tip.header.id !== wanted) return;
        clearTimeout(late);
        resolve();
      };
      fixture.node.events.on('tip', look);
      look();
    });
    const work = meanwhile(fixture, done.signal);
    await arrived;
    const seconds = (performance.now() - begin) / 1000;
    done.abort();
    await work;
    await fixture.node.stop();
    return seconds;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

export const syncBench: Bench = { name: 'sync', run };
