/**
 * What a transaction costs to be delivered over libp2p on loopback, alone in its message and with others in a batch:
 * processor time of everything between `publish` and the decoded transactions at every other node, forwarding
 * included; no signatures, no state.
 */
import { Registry } from 'prom-client';
import { makeTx } from '../chain/codec.ts';
import { decodeTxBatch, encodeTxBatch } from '../chain/tx-batch.ts';
import type { ChainId, Tx } from '../chain/types.ts';
import { publicKeyOf } from '../crypto/keys.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { gossipTxCopies } from '../node/net/gossip-metrics.ts';
import { createLibp2pNetwork, DEVNET_NETWORK } from '../node/net/libp2p-network.ts';
import type { Network } from '../node/ports.ts';
import { silentLogger } from '../test/node-fixture.ts';
import { type Bench, interleave, makeRow, type Row } from './measure.ts';
import { makeSenders } from './signed-items.ts';

const NODES = 5;
/** Transactions a message: alone, what 20 ms gather at 800 and at 3,200 a second, and a full batch. */
const SIZES = { alone: 1, few: 16, many: 64, full: 372 } as const;
type Size = keyof typeof SIZES;
/** Published and not yet everywhere, so that no buffer runs full. */
const UNDERWAY = 400;
const CHAIN_ID = 'ab'.repeat(32) as ChainId;
const clock = createSystemClock();

interface Node {
  readonly network: Network;
  readonly registry: Registry;
  delivered: number;
}

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  const rounds = short ? 3 : 7;
  const count = short ? 1488 : 2976; // whole batches of each size, and as many full ones as they make
  const nodes = await startMesh();
  try {
    let round = 0;
    const copies: Record<Size, number[]> = { alone: [], few: [], many: [], full: [] };
    const measure = async (size: Size): Promise<number> => {
      round += 1;
      const batches = makeBatches(count, SIZES[size], round);
      const deliveries = count * (NODES - 1);
      const before = await copiesOf(nodes);
      const timeUs = await processorTime(() => deliver(nodes, batches));
      copies[size].push(((await copiesOf(nodes)) - before) / deliveries);
      return timeUs / deliveries;
    };
    const times = await interleave(rounds, {
      decoding: async () => {
        const batches = makeBatches(count, SIZES.full, 0);
        return (await processorTime(() => decodeAll(batches))) / count;
      },
      alone: () => measure('alone'),
      few: () => measure('few'),
      many: () => measure('many'),
      full: () => measure('full'),
    });
    const rows = (Object.keys(SIZES) as Size[]).flatMap((size) => {
      const name = size === 'alone' ? 'gossip, a transaction alone' : `gossip, ${SIZES[size]} transactions a message`;
      return [
        makeRow(`${name}: processor time per delivery, against alone`, 'µs/tx', times[size], times.alone),
        makeRow(`${name}: copies`, 'copies/tx', copies[size].slice(1)), // less the warm-up round
      ];
    });
    return [...rows, makeRow('of which decoding a transaction', 'µs/tx', times.decoding, times.alone)];
  } finally {
    await Promise.all(nodes.map(({ network }) => network.stop()));
  }
}

/** Each is connected to each of the others, and has as many of them in its mesh as it wants, or all. */
async function startMesh(): Promise<Node[]> {
  const nodes: Node[] = [];
  for (let index = 0; index < NODES; index++) {
    const registry = new Registry();
    const node: Node = {
      registry,
      delivered: 0,
      network: createLibp2pNetwork({
        identitySeed: new Uint8Array(32).fill(index + 1),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        bootstrap: nodes.map(({ network }) => network.addresses()[0]!),
        topics: { chainId: CHAIN_ID },
        clock,
        rng: createSystemRng(),
        logger: silentLogger,
        options: DEVNET_NETWORK,
        addressStore: { loadPeers: () => Promise.resolve(new Map()), savePeers: () => Promise.resolve() },
        metricsRegistry: registry,
        onHandlerFailure: (error) => {
          throw error;
        },
      }),
    };
    await node.network.start({
      onGossip({ data, settle }) {
        node.delivered += decoded(data).length;
        settle('accept');
      },
      onPeerConnected() {},
      onPeerDisconnected() {},
    });
    nodes.push(node);
  }
  await until(() =>
    nodes.every(({ network }) => {
      const peers = network.peers();
      const inMesh = peers.filter(({ mesh }) => mesh.includes('tx')).length;
      return peers.length === NODES - 1 && inMesh >= Math.min(DEVNET_NETWORK.gossip.Dlo, NODES - 1);
    }),
  );
  return nodes;
}

/** Publishes from all nodes in turn; resolves when every node has every transaction. */
async function deliver(nodes: readonly Node[], batches: readonly Batch[]): Promise<void> {
  const others = NODES - 1;
  const before = total(nodes);
  let published = 0;
  for (const [turn, { bytes, count }] of batches.entries()) {
    await until(() => published * others - (total(nodes) - before) < UNDERWAY * others);
    await nodes[turn % NODES]!.network.publish('tx', bytes);
    published += count;
  }
  await until(() => total(nodes) - before === published * others);
}

function total(nodes: readonly Node[]): number {
  return nodes.reduce((sum, { delivered }) => sum + delivered, 0);
}

async function copiesOf(nodes: readonly Node[]): Promise<number> {
  let sum = 0;
  for (const { registry } of nodes) sum += await gossipTxCopies(registry);
  return sum;
}

const DEADLINE_MS = 60_000;

async function until(condition: () => boolean): Promise<void> {
  const endMs = clock.monotonicMs() + DEADLINE_MS;
  while (!condition()) {
    if (clock.monotonicMs() > endMs) throw new Error('not delivered in time');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function decodeAll(batches: readonly Batch[]): void {
  for (const { bytes } of batches) decoded(bytes);
}

function decoded(bytes: Uint8Array): readonly Tx[] {
  const batch = decodeTxBatch(bytes);
  if (!batch.ok) throw new Error(batch.detail);
  return batch.value;
}

/** Microseconds of all threads. */
async function processorTime(work: () => void | Promise<void>): Promise<number> {
  const begin = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(begin);
  return user + system;
}

interface Batch {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** Of other transactions in each round. Their signatures are zeros: nobody looks at them here. */
function makeBatches(count: number, size: number, round: number): Batch[] {
  const [sender] = makeSenders();
  const body = { chainId: CHAIN_ID, publicKey: publicKeyOf(sender!.secretKey), to: sender!.address };
  const rest = { amount: 1n, fee: 1000n, memo: new Uint8Array() };
  const txs = Array.from({ length: count }, (_, index) =>
    makeTx({ ...body, ...rest, nonce: BigInt(round * count + index) }, new Uint8Array(64)),
  );
  const batches: Batch[] = [];
  for (let at = 0; at < count; at += size) {
    const some = txs.slice(at, at + size);
    batches.push({ bytes: encodeTxBatch(some), count: some.length });
  }
  return batches;
}

export const gossipBench: Bench = { name: 'gossip', run };
