/**
 * Measures how fast the simulation runs full nodes: so many of them, each built by `composeNode`, 10 tx/s, a block
 * every 10 s, 20 voters. Prints a table and writes JSON.
 *
 *     node bench/sim-speed.ts [nodes, e.g. 100,1000] [virtual seconds, default 600] [file for the JSON]
 */
import { writeFile } from 'node:fs/promises';
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

const sizes = (process.argv[2] ?? '100').split(',').map(Number);
const seconds = Number(process.argv[3] ?? 600);
const file = process.argv[4];
const { backend } = await loadSignatureBackend('auto'); // as `grapevine sim`

const rows: Record<string, number | string>[] = [];
for (const nodes of sizes) rows.push(await measure(nodes));
console.table(rows);
if (file !== undefined) await writeFile(file, `${JSON.stringify({ seconds, gossip: PUBLIC_GOSSIP, rows }, null, 2)}\n`);

async function measure(nodes: number): Promise<Record<string, number | string>> {
  const names = Array.from({ length: nodes }, (_, index) => `n${index}`);
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
  const begin = cpuMs();
  await world.start();
  await world.run(5_000);
  const started = cpuMs();
  const wallBegin = performance.now();
  const firedBefore = world.clock.fired;
  world.hub.stats.reset();
  for (let second = 0; second < seconds; second++) {
    for (let at = 0; at < TX_PER_SECOND; at++) {
      const tx = world.transfer(at);
      void world.nodes[(second * TX_PER_SECOND + at) % nodes]!.node.ingest.submitTx(tx.bytes);
      await world.run(1_000 / TX_PER_SECOND);
    }
  }
  const runMs = cpuMs() - started;
  const wallMs = performance.now() - wallBegin;
  const { first, received, sent } = world.hub.stats.sum();
  const tip = world.nodes[0]!;
  let [errors, mined] = [0, 0];
  for (let at = 0; at < TX_PER_SECOND; at++) {
    mined += Number(tip.node.chain.accounts.get(world.transfer(at).from).nonce);
  }
  for (const each of world.nodes) errors += await each.internalErrors();
  return {
    nodes,
    'virtual s': seconds,
    'start s': round((started - begin) / 1000, 1),
    'run s': round(runMs / 1000, 1),
    'wall s': round(wallMs / 1000, 1),
    'speed-up': round((seconds * 1000) / runMs, 2),
    deliveries: first,
    'copies/delivery': round(received / first, 2),
    sent,
    'µs/delivery': round((runMs * 1000) / first, 1),
    'µs/copy': round((runMs * 1000) / received, 2),
    timers: world.clock.fired - firedBefore,
    height: tip.height,
    final: tip.finalHeight,
    'tx mined': mined,
    errors,
    'MiB rss': Math.round(process.memoryUsage().rss / 2 ** 20),
    trace: world.trace.hash().slice(0, 16),
  };
}

/** Of this process on all cores: what the machine does besides does not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
