/** Which ratios `--against` compares, and why it leaves the others alone. */

interface Compared {
  /** The benchmark's name. */
  readonly bench: string;
  readonly row: string;
  readonly better: 'more' | 'less';
}

/**
 * Both sides are work of one thread in alternating rounds, or processor time: another load on the machine slows both alike.
 * In two short runs under a load of 25 to 40 on two cores the worst reached 0.78 of the ratio committed.
 */
export const COMPARED: readonly Compared[] = [
  { bench: 'mining', row: 'pow scalar WebAssembly, against the best plain loop', better: 'more' },
  { bench: 'mining', row: 'pow SIMD WebAssembly, against the best plain loop', better: 'more' },
  { bench: 'verify', row: 'verify wasm, one thread', better: 'more' },
  { bench: 'ingest', row: 'ingest, processor time, against the pool alone', better: 'less' },
  { bench: 'sync', row: 'initial sync, processor time, against the pool alone', better: 'less' },
];

const ITSELF = 'its own ceiling';
const TWO_CORES = 'needs two cores at once';
const DELAY = 'a delay, which is as long as other processes make it';
const NOT_RUN = 'continuous integration does not run its benchmark';

/** By the beginning of the row's name. Where a share is given, it is what was reached in those runs. */
export const NOT_COMPARED: Readonly<Record<string, string>> = {
  'pow js': ITSELF,
  'pow node:crypto': 'no work of ours: less is what a better loop of ours makes it',
  'mining processor time': 'a share of wall time: 0.2',
  'mining on the event loop': 'a share of wall time',
  'verify native': ITSELF,
  'verify noble': 'says more of the machine: 0.73',
  'verify pool': `${TWO_CORES}, and has their number in its name`,
  'verify one signature by an idle thread': DELAY,
  'ingest, against the pool alone': `${TWO_CORES}: 0.15`,
  'event-loop delay p99': DELAY,
  'bad signatures rejected': `${TWO_CORES}: 0.28`,
  "a block's verdict under bad signatures": DELAY,
  'initial sync of': `${TWO_CORES}: 0.52`,
  'catching up with': 'against wall time: 0.02',
  gossip: NOT_RUN,
  'of which decoding': NOT_RUN,
  'a compact block': NOT_RUN,
  'transaction bodies per node': NOT_RUN,
  devnet: NOT_RUN,
};
