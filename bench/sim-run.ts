/** A simulated net of full nodes under a steady load, and what it cost: 10 tx/s, a block every 10 s, 20 voters. */
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { PUBLIC_GOSSIP } from '../sim/gossip-params.ts';
import { MapDatabase, openMapStore } from '../sim/map-store.ts';
import { createSeededRng } from '../sim/seeded-rng.ts';
import { ringTopology } from '../sim/topology.ts';
import { World } from '../sim/world.ts';

const VOTERS = 20;
const TX_PER_SECOND = 10;
const BLOCK_TIME_MS = 10_000;
/** Besides the ring: about 10 connections each. */
const EXTRA_LINKS = 4;

export interface SimRun {
  readonly nodes: number;
  readonly seconds: number;
  /** Processor seconds of this process, to build the nodes and to run them. */
  readonly startS: number;
  readonly runS: number;
  readonly wallS: number;
  /** First copies of gossip messages of all kinds, at all nodes; and copies per first copy. */
  readonly deliveries: number;
  readonly copies: number;
  readonly sent: number;
  /** Of transactions' messages alone. */
  readonly txCopies: number;
  /** Bytes that a node sent for each transaction that it received, messages and their share of control, over its size. */
  readonly txBytes: number;
  /** Copies of blocks, and the bytes a node sent of them for each. */
  readonly blockCopies: number;
  readonly blockBytes: number;
  readonly timers: number;
  readonly height: number;
  readonly final: number;
  readonly mined: number;
  readonly errors: number;
  /** What the process took on for the world. */
  readonly residentMiB: number;
  /** Hex, 64 characters. */
  readonly traceHash: string;
}

/** @param seconds virtual */
export async function runSimulated(nodes: number, seconds: number): Promise<SimRun> {
  const { backend } = await loadSignatureBackend('auto'); // as `grapevine sim`
  const names = Array.from({ length: nodes }, (_, index) => `n${index}`);
  const residentBefore = process.memoryUsage().rss;
  const world = new World({
    seed: 'speed',
    nodes: names.map((name, index) => ({
      name,
      voter: index < VOTERS,
      mine: index < VOTERS ? 'continuous' : 'off',
    })),
    openStore: async () => openMapStore(new MapDatabase()),
    params: { blockTimeMs: BLOCK_TIME_MS },
    gossip: PUBLIC_GOSSIP,
    signatures: backend,
    links: ringTopology(names, EXTRA_LINKS, createSeededRng('speed topology')),
  });
  const begin = cpuS();
  await world.start();
  await world.run(5_000);
  const started = cpuS();
  const wallBegin = performance.now();
  const firedBefore = world.clock.fired;
  world.hub.stats.reset();
  let txSize = 0;
  for (let second = 0; second < seconds; second++) {
    for (let at = 0; at < TX_PER_SECOND; at++) {
      const tx = world.transfer(at);
      txSize = tx.bytes.length;
      void world.nodes[(second * TX_PER_SECOND + at) % nodes]!.node.ingest.submitTx(tx.bytes);
      await world.run(1_000 / TX_PER_SECOND);
    }
  }
  const runS = cpuS() - started;
  const wallS = (performance.now() - wallBegin) / 1000;
  const { first, received, sent } = world.hub.stats.sum();
  const { kinds, controlBytes } = world.hub.stats.total();
  const tip = world.nodes[0]!;
  let [errors, mined] = [0, 0];
  for (let at = 0; at < TX_PER_SECOND; at++) {
    mined += Number(tip.node.chain.accounts.get(world.transfer(at).from).nonce);
  }
  for (const each of world.nodes) errors += await each.internalErrors();
  const all = Object.values(kinds).reduce((sum, { sent: each }) => sum + each, 0);
  const txControl = controlBytes * (kinds.tx.sent / all);
  return {
    nodes,
    seconds,
    startS: started - begin,
    runS,
    wallS,
    deliveries: first,
    copies: received / first,
    sent,
    txCopies: kinds.tx.received / kinds.tx.first,
    txBytes: (kinds.tx.wireBytes + txControl) / kinds.tx.first / txSize,
    blockCopies: kinds.block.received / kinds.block.first,
    blockBytes: kinds.block.wireBytes / kinds.block.first,
    timers: world.clock.fired - firedBefore,
    height: tip.height,
    final: tip.finalHeight,
    mined,
    errors,
    residentMiB: (process.memoryUsage().rss - residentBefore) / 2 ** 20,
    traceHash: world.trace.hash(),
  };
}

/** Of this process on all cores: what the machine does besides does not count. */
function cpuS(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
