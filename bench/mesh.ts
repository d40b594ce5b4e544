/**
 * Mesh degrees against what they cost: the model of gossipsub without nodes, batches of transactions from changing
 * senders, every node connected to 12 others over 10 to 60 ms. What gossip alone does not reach, the exchange of
 * mempools does; it is not in here.
 *
 *     node bench/mesh.ts 30,1000      the table of docs/PERFORMANCE.md
 *     node bench/mesh.ts 30 1000      the same with verdicts after a second
 */
import type { GossipOptions } from '../node/net/gossip-settings.ts';
import { DEVNET_NETWORK, PUBLIC_NETWORK } from '../node/net/libp2p-network.ts';
import { gossipParamsOf } from '../sim/gossip-params.ts';
import { MemoryHub } from '../sim/memory-hub.ts';
import { createSeededRng } from '../sim/seeded-rng.ts';
import { Spread } from '../sim/spread.ts';
import { regularTopology } from '../sim/topology.ts';
import { Trace } from '../sim/trace.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { liveHops } from '../test/e2e/sim-vs-live-support.ts';
import { type Bench, type BenchContext, makeRow, type Row } from './measure.ts';

interface Mesh {
  readonly D: number;
  readonly Dlo: number;
  readonly Dhi: number;
  readonly Dout: number;
}

/** What the node's presets were chosen from; the fourth is the devnet's, the sixth that of open nets. */
const MESHES: readonly Mesh[] = [
  { D: 2, Dlo: 2, Dhi: 3, Dout: 0 },
  { D: 3, Dlo: 2, Dhi: 3, Dout: 1 },
  { D: 3, Dlo: 2, Dhi: 4, Dout: 1 },
  { D: 3, Dlo: 2, Dhi: 6, Dout: 1 },
  { D: 3, Dlo: 3, Dhi: 6, Dout: 1 },
  { D: 4, Dlo: 3, Dhi: 8, Dout: 2 },
  { D: 6, Dlo: 4, Dhi: 12, Dout: 2 },
  { D: 8, Dlo: 6, Dhi: 16, Dout: 3 },
];
/** Twenty transactions. */
const BATCH_BYTES = 4_000;
const MESSAGES = 100;
const VERDICT_MS = 3;
const CONNECTIONS = 12;
/** The back-off after the first meshes has ended by then. */
const WARM_UP_MS = 60_000;
const HEARTBEAT_MS = 700;
const LOSS = 0.1;
/** Endpoints in this process, on loopback: sixty messages each of two kinds. */
const LIVE = { nodes: 30, degree: CONNECTIONS, messages: 60, seed: 'mesh' } as const;

interface MeshFigures {
  readonly meshDegree: number;
  readonly copies: number;
  /** All that was sent, control messages included, over what each node needs once. */
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p99Hops: number;
  readonly coverage: number;
}

async function measureMesh(
  options: Mesh & {
    readonly floodPublish: boolean;
    readonly nodes: number;
    readonly loss: number;
    readonly seed: string;
    readonly verdictMs?: number;
  },
): Promise<MeshFigures> {
  const { nodes, loss, seed, verdictMs = VERDICT_MS } = options;
  const clock = new VirtualClock(0);
  const rng = createSeededRng(`mesh ${seed}`);
  const gossip = gossipParamsOf({
    ...DEVNET_NETWORK.gossip,
    ...options,
    Dmax: options.Dhi + options.D,
    heartbeatIntervalMs: HEARTBEAT_MS,
    pruneBackoffMs: 30_000,
  });
  const link = { latencyMs: [10, 60] as const, jitterMs: 5, loss };
  const hub = new MemoryHub({ clock, rng: rng.fork('hub'), trace: new Trace(clock), gossip, link });
  const names = Array.from({ length: nodes }, (_, index) => `n${index}`);
  for (const name of names) {
    await hub.createPort(name, clock).start({
      onGossip: (message) => {
        clock.after(verdictMs, () => message.settle('accept'));
      },
      onPeerConnected() {},
      onPeerDisconnected() {},
    });
  }
  for (const [a, b] of regularTopology(names, Math.min(CONNECTIONS, nodes - 1), rng.fork('topology'))) hub.link(a, b);
  await clock.run(WARM_UP_MS);
  hub.stats.reset();
  const spread = new Spread(() => nodes - 1);
  hub.onDelivery((delivery) => spread.add(delivery));
  for (let at = 0; at < MESSAGES; at++) {
    const data = new Uint8Array(BATCH_BYTES);
    new DataView(data.buffer).setUint32(0, at);
    await hub.portOf(names[Math.floor(rng.unit() * nodes)]!)!.publish('tx', data);
    await clock.run(200);
  }
  await clock.run(10_000);
  const report = spread.report(nodes);
  const { kinds, controlBytes } = hub.stats.total();
  const degreeOf = (name: string): number =>
    hub
      .portOf(name)!
      .peers()
      .filter(({ mesh }) => mesh.includes('tx')).length;
  return {
    meshDegree: names.reduce((sum, name) => sum + degreeOf(name), 0) / nodes,
    copies: kinds.tx.received / kinds.tx.first,
    bytes: (kinds.tx.wireBytes + controlBytes) / (MESSAGES * nodes * BATCH_BYTES),
    p50Ms: report.latencyMs.p50,
    p99Ms: report.latencyMs.p99,
    p99Hops: report.hops.p99,
    coverage: report.coverage,
  };
}

/**
 * What the presets must keep: copies where one message in ten is lost, and hops; a thousand nodes are an open net. Hops of
 * thirty nodes are counted on libp2p too.
 */
async function run({ short }: BenchContext): Promise<Row[]> {
  const seeds = Array.from({ length: short ? 3 : 7 }, (_, seed) => `${seed}`);
  const figuresOf = async (gossip: GossipOptions, nodes: number, loss: number): Promise<MeshFigures[]> => {
    const all: MeshFigures[] = [];
    const some = nodes > 100 ? seeds.slice(0, 3) : seeds;
    for (const seed of some) all.push(await measureMesh({ ...gossip, nodes, loss, seed }));
    return all;
  };
  const rows: Row[] = [];
  const [devnet, open] = [DEVNET_NETWORK.gossip, PUBLIC_NETWORK.gossip];
  const name = (what: string, { D }: GossipOptions, nodes: number, how = 'simulated'): string =>
    `mesh of ${D}, ${nodes} nodes, ${how}: ${what}`;
  const hopsBar = ({ D }: GossipOptions, nodes: number): number => Math.ceil(Math.log(nodes) / Math.log(D - 1)) + 1;
  const add = (row: string, unit: string, values: readonly number[], is: '≤' | '≥', bar: number): void => {
    rows.push(makeRow(row, unit, values, undefined, [{ of: 'value', is, bar }]));
  };
  const lossy = await figuresOf(devnet, 30, LOSS);
  const [copies, reached] = [lossy.map((each) => each.copies), lossy.map((each) => each.coverage)];
  add(name('copies, one in ten lost', devnet, 30), 'copies', copies, '≤', 2);
  add(name('reached, one in ten lost', devnet, 30), 'share', reached, '≥', 1);
  for (const [gossip, nodes] of [[devnet, 30] as const, ...(short ? [] : [[open, 1_000] as const])]) {
    const hops = (await figuresOf(gossip, nodes, 0)).map((each) => each.p99Hops);
    add(name('hops p99', gossip, nodes), 'hops', hops, '≤', hopsBar(gossip, nodes));
  }
  const hops = await liveHops({ ...LIVE, draws: short ? 1 : 3 }, devnet);
  add(name('hops p99', devnet, LIVE.nodes, 'live'), 'hops', hops, '≤', hopsBar(devnet, LIVE.nodes));
  return rows;
}

export const meshBench: Bench = { name: 'mesh', run };

if (import.meta.main) {
  console.log(
    '| nodes | D (Dlo–Dhi) | flood publishing | lost | mesh peers | copies | bytes | p50 ms | p99 ms | hops p99 | reached |',
  );
  console.log('|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|');
  const verdictMs = Number(process.argv[3] ?? VERDICT_MS);
  for (const nodes of (process.argv[2] ?? '30').split(',').map(Number)) {
    for (const floodPublish of [false, true]) {
      for (const loss of [0, LOSS]) {
        for (const mesh of MESHES) {
          const figures = await measureMesh({ ...mesh, floodPublish, nodes, loss, seed: '0', verdictMs });
          const { meshDegree, copies, bytes, p50Ms, p99Ms, p99Hops, coverage } = figures;
          const rounded = [meshDegree, copies, bytes].map((each) => each.toFixed(2));
          const cells = [nodes, `${mesh.D} (${mesh.Dlo}–${mesh.Dhi})`, floodPublish ? 'yes' : 'no', loss, ...rounded];
          console.log(`| ${[...cells, p50Ms, p99Ms, p99Hops, coverage.toFixed(4)].join(' | ')} |`);
        }
      }
    }
  }
}
