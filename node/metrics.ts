/** The node's Prometheus metrics, in one place so that names and labels stay consistent. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { LANES, type Lane } from './pipeline/priority-queue.ts';
import { VerdictCounter } from './verdict-counter.ts';

export interface Metrics {
  readonly registry: Registry;
  /** One per message whose verdict is known, by topic, verdict and reason (`''` for accept). */
  readonly verdicts: Counter<'kind' | 'verdict' | 'reason'>;
  /** Where verdicts are counted; `verdicts` has them once it is read. */
  readonly verdictCounter: VerdictCounter;
  /** Our own bugs: an exception where a verdict was due, a listener that threw. Must stay 0. */
  readonly internalErrors: Counter<'where'>;
  readonly queueDropped: Counter<'kind'>;
  /** Undefined where the clock stands still while code runs, as in a simulation: all of it would be 0. */
  readonly checkSeconds: Histogram<'kind'> | undefined;
  readonly blocksMined: Counter;
  readonly reorgs: Counter;
  readonly reorgDepth: Histogram;
  readonly syncRequests: Counter<'protocol' | 'result'>;
  readonly storeFailures: Counter;
  /** Blocks from gossip found good, by where what the compact block left out came from. */
  readonly blockRebuilds: Counter<'source'>;
  /** Transactions fetched to complete blocks from gossip. */
  readonly blockTxBytesFetched: Counter;
}

/** Values read when scraped. */
export interface GaugeSources {
  height(): number;
  agreedHeight(): number;
  finalHeight(): number;
  peers(): number;
  mempoolTxs(): number;
  mempoolBytes(): number;
  hashRate(): number;
  queueLength(lane: Lane): number;
  /** 1 while submissions are refused. */
  overloaded(): number;
}

/** Between samples of the event loop's delay. The default of 10 wakes an idle node a hundred times a second. */
const LAG_SAMPLE_MS = 100;

/** @param options `processMetrics`: those of a process of its own too, and how long things take in it */
export function createMetrics(options: { readonly processMetrics: boolean }): Metrics {
  const registry = new Registry();
  if (options.processMetrics)
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_SAMPLE_MS });
  const registers = [registry];
  const verdictCounter = new VerdictCounter();
  const metrics: Metrics = {
    registry,
    verdictCounter,
    verdicts: new Counter({
      name: 'grapevine_verdicts_total',
      help: 'Messages checked, by kind, verdict and reason',
      labelNames: ['kind', 'verdict', 'reason'],
      registers,
      collect() {
        verdictCounter.moveTo(this);
      },
    }),
    internalErrors: new Counter({
      name: 'grapevine_internal_errors_total',
      help: "Exceptions where there should be none: this node's own bugs",
      labelNames: ['where'],
      registers,
    }),
    queueDropped: new Counter({
      name: 'grapevine_queue_dropped_total',
      help: 'Messages dropped unchecked: their queue was full or, of the API, the node lagged behind its work',
      labelNames: ['kind'],
      registers,
    }),
    checkSeconds: options.processMetrics
      ? new Histogram({
          name: 'grapevine_check_seconds',
          help: 'From when a batch of messages is taken from its lane to its verdicts',
          labelNames: ['kind'],
          buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
          registers,
        })
      : undefined,
    blocksMined: new Counter({ name: 'grapevine_blocks_mined_total', help: 'Blocks found by this node', registers }),
    reorgs: new Counter({ name: 'grapevine_reorgs_total', help: 'Times the tip moved to another branch', registers }),
    reorgDepth: new Histogram({
      name: 'grapevine_reorg_depth_blocks',
      help: 'Blocks abandoned per reorg',
      buckets: [1, 2, 3, 5, 10, 20, 50, 100],
      registers,
    }),
    syncRequests: new Counter({
      name: 'grapevine_sync_requests_total',
      help: 'Requests made to peers, by protocol and result',
      labelNames: ['protocol', 'result'],
      registers,
    }),
    storeFailures: new Counter({
      name: 'grapevine_store_failures_total',
      help: 'Writes that the store refused',
      registers,
    }),
    blockRebuilds: new Counter({
      name: 'grapevine_block_rebuilds_total',
      help: 'Blocks from gossip: rebuilt from the mempool alone, with transactions by request, or had as a full body',
      labelNames: ['source'],
      registers,
    }),
    blockTxBytesFetched: new Counter({
      name: 'grapevine_block_tx_fetched_bytes_total',
      help: 'Transactions fetched to complete blocks from gossip',
      registers,
    }),
  };
  // There from the start: what watches for a rise does not see the first error of a series that begins with it.
  metrics.internalErrors.inc({ where: 'service' }, 0);
  return metrics;
}

/**
 * Each source is read at a scrape, so it must be cheap, and must not throw. Once for each registry: a name that is
 * there already is an error of prom-client's.
 */
export function registerGauges(metrics: Metrics, sources: GaugeSources): void {
  const registers = [metrics.registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('grapevine_height_blocks', 'Height of the tip', sources.height);
  gauge('grapevine_agreed_height_blocks', 'Highest agreed height', sources.agreedHeight);
  gauge('grapevine_final_height_blocks', 'Highest final height', sources.finalHeight);
  gauge('grapevine_peers', 'Connected peers', sources.peers);
  gauge('grapevine_mempool_transactions', 'Transactions in the mempool', sources.mempoolTxs);
  gauge('grapevine_mempool_bytes', 'Bytes in the mempool', sources.mempoolBytes);
  gauge('grapevine_hash_rate', 'Hashes per second of the miner', sources.hashRate);
  gauge('grapevine_overloaded', '1 while the node lags behind its work and refuses submissions', sources.overloaded);
  new Gauge({
    name: 'grapevine_queue_messages',
    help: 'Messages waiting to be checked',
    labelNames: ['kind'],
    registers,
    collect() {
      for (const lane of LANES) this.set({ kind: lane }, sources.queueLength(lane));
    },
  });
}
