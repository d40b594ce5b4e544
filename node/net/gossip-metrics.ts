/** Gossipsub's own metrics as Prometheus ones, and the counts that say how many copies of each message arrive. */
import type { Registry } from 'prom-client';
import { Gauge, Histogram } from 'prom-client';
import { TOPIC_KINDS, type TopicKind } from '../ports.ts';

interface MetricConfig {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly buckets?: readonly number[];
}

type Labels = Readonly<Record<string, string | number>>;

/** Gossipsub's metrics take `(value)` or `(labels, value)`, each with its own static type; at run time they are these. */
export interface GossipMetricsRegister {
  gauge(config: MetricConfig): object;
  histogram(config: MetricConfig): object;
  avgMinMax(config: MetricConfig): object;
}

/** Creates gossipsub's metrics in `registry`. One register per registry: a name can be taken only once. */
export function createGossipMetricsRegister(registry: Registry): GossipMetricsRegister {
  const base = (config: MetricConfig, suffix = '') => ({
    name: config.name + suffix,
    help: config.help,
    labelNames: [...(config.labelNames ?? [])],
    registers: [registry],
  });
  return {
    gauge(config) {
      const collectors: ((metric: object) => void)[] = [];
      const gauge = new Gauge({
        ...base(config),
        collect() {
          for (const collector of collectors) collector(adapter);
        },
      });
      const adapter = {
        inc(labels: Labels | number | undefined, value?: number) {
          if (typeof labels === 'object') gauge.inc(labels, value);
          else gauge.inc(labels);
        },
        set(labels: Labels | number, value?: number) {
          if (typeof labels === 'object') gauge.set(labels, value ?? 0);
          else gauge.set(labels);
        },
        addCollect(collector: (metric: object) => void) {
          collectors.push(collector);
        },
      };
      return adapter;
    },
    histogram(config) {
      const histogram = new Histogram({
        ...base(config),
        ...(config.buckets === undefined ? {} : { buckets: [...config.buckets] }),
      });
      return {
        startTimer: () => histogram.startTimer(),
        observe(labels: Labels | number, value?: number) {
          if (typeof labels === 'object') histogram.observe(labels, value ?? 0);
          else histogram.observe(labels);
        },
        reset: () => histogram.reset(),
      };
    },
    avgMinMax(config) {
      const avg = new Gauge(base(config, '_avg'));
      const min = new Gauge(base(config, '_min'));
      const max = new Gauge(base(config, '_max'));
      return {
        set(labels: Labels | readonly number[], values?: readonly number[]) {
          const list = Array.isArray(labels) ? (labels as readonly number[]) : (values ?? []);
          const tags = Array.isArray(labels) ? {} : (labels as Labels);
          const sum = list.reduce((total, value) => total + value, 0);
          avg.set(tags, list.length === 0 ? 0 : sum / list.length);
          min.set(tags, list.length === 0 ? 0 : Math.min(...list));
          max.set(tags, list.length === 0 ? 0 : Math.max(...list));
        },
      };
    },
  };
}

const TX_COPIES = 'grapevine_gossip_tx_copies_total';

export interface GossipStats {
  /** Own messages waiting for a peer to take them. */
  readonly queued: number;
  /** Own messages lost because too many waited, or sending failed. */
  readonly dropped: number;
  /** Others' messages waiting for their verdict. */
  readonly unsettled: number;
  /** Others' messages not handed in: too many waited, or their peer was banned. */
  readonly refused: number;
  /** Transactions in all copies of batches that arrived, as the batches claim. */
  readonly txCopies: number;
}

/** Shows `stats` in `registry`, read when it is scraped. */
export function registerGossipStats(registry: Registry, stats: () => GossipStats): void {
  const show = (name: string, help: string, value: (stats: GossipStats) => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value(stats()));
      },
    });
  };
  show('grapevine_gossip_queued', 'Own messages waiting for a peer', ({ queued }) => queued);
  show(
    'grapevine_gossip_dropped_total',
    'Own messages dropped, too many waited, or sending failed',
    ({ dropped }) => dropped,
  );
  show('grapevine_gossip_unsettled', 'Messages waiting for their verdict', ({ unsettled }) => unsettled);
  show('grapevine_gossip_refused_total', 'Messages not handed in, too many waited', ({ refused }) => refused);
  show(TX_COPIES, 'Transactions in all copies of batches that arrived', ({ txCopies }) => txCopies);
}

/** Copies of messages that arrived by gossip. */
export interface GossipCounts {
  /** All copies, the first one of each message included. */
  readonly received: number;
  /** Those that were seen before. Copies per message: received / (received − duplicates). */
  readonly duplicates: number;
}

/**
 * What a node has received so far, per topic; zeros for a registry without gossip metrics.
 *
 * @param registry the one given to `createLibp2pNetwork`
 */
export async function gossipCounts(registry: Registry): Promise<Readonly<Record<TopicKind, GossipCounts>>> {
  const read = async (name: string): Promise<ReadonlyMap<string, number>> => {
    const metric = registry.getSingleMetric(name);
    const values = metric instanceof Gauge ? (await metric.get()).values : [];
    return new Map(values.map(({ labels, value }) => [String(labels.topic), value]));
  };
  const received = await read('gossipsub_msg_received_prevalidation_total');
  const duplicates = await read('gossipsub_pre_validation_duplicate_total');
  const of = (kind: TopicKind) => ({ received: received.get(kind) ?? 0, duplicates: duplicates.get(kind) ?? 0 });
  return Object.fromEntries(TOPIC_KINDS.map((kind) => [kind, of(kind)])) as Record<TopicKind, GossipCounts>;
}

/**
 * Transactions in all copies of batches that a node has received so far: the numerator of copies per transaction, where
 * batches are cut in several ways. 0 for a registry without gossip metrics.
 *
 * @param registry the one given to `createLibp2pNetwork`
 */
export async function gossipTxCopies(registry: Registry): Promise<number> {
  const metric = registry.getSingleMetric(TX_COPIES);
  return metric instanceof Gauge ? ((await metric.get()).values[0]?.value ?? 0) : 0;
}
