/** Blocks by gossip: from a compact block's bytes to the verdict on the full block, and what is fetched to get there. */

import { nextBits } from '../chain/asert.ts';
import { encodeBlock, makeHeader } from '../chain/codec.ts';
import type { Genesis } from '../chain/genesis.ts';
import { medianTime, recentTimestamps } from '../chain/median-time.ts';
import { meetsTarget } from '../chain/target.ts';
import { buildTemplate } from '../chain/template.ts';
import type { Block, Tx } from '../chain/types.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { MapDatabase, openMapStore } from '../sim/map-store.ts';
import { World } from '../sim/world.ts';
import { blockMessage, fixtureGenesis, type NodeFixture } from '../test/node-fixture.ts';
import { journalled, withNode } from './ingest.ts';
import { type Bench, makeRow, type Row } from './measure.ts';
import { makeSenders, makeTransfers } from './signed-items.ts';

/** What the goal is about. */
const TXS = 2_000;
/** In the mempool beside the block's: short ids are compared with all of them. */
const OTHERS = 3_000;

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  const rounds = short ? 3 : 9;
  const senders = makeSenders();
  const genesis = fixtureGenesis(senders.map(({ address }) => address));
  const txs = makeTransfers(genesis.chainId, senders, TXS * (rounds + 1) + OTHERS);
  const verdictMs: number[] = [];
  const takenInMs: number[] = [];
  const bytes = { compact: [] as number[], full: [] as number[] };
  // Signatures are what the mempool is for; here it is told that they are good.
  await withNode(genesis, trusting, async (fixture, store) => {
    const { mempool, chain } = fixture.node;
    for (const tx of txs.slice(0, OTHERS)) mempool.add(tx, 'peer');
    for (let round = 0; round <= rounds; round++) {
      const [from, to] = [round * TXS, (round + 1) * TXS];
      for (const tx of txs.slice(from + OTHERS, to + OTHERS)) mempool.add(tx, 'peer');
      const block = mineBlock(fixture, genesis, txs.slice(from, to));
      if (block.txs.length !== TXS) throw new Error(`the block holds ${block.txs.length} transactions`);
      const message = blockMessage(block);
      bytes.compact.push(message.length);
      bytes.full.push(encodeBlock(block).length);
      await journalled(store);
      const begin = performance.now();
      const cpuBegin = process.cpuUsage();
      if ((await fixture.gossip('block', message)) !== 'accept') throw new Error('the block was not accepted');
      verdictMs.push(performance.now() - begin);
      await chain.idle();
      await journalled(store);
      const { user, system } = process.cpuUsage(cpuBegin);
      takenInMs.push((user + system) / 1000);
    }
  });
  for (const list of [verdictMs, takenInMs, bytes.compact, bytes.full]) list.shift(); // the warm-up round
  const spread = await underLoad(short ? 20 : 60);
  return [
    makeRow(`verdict on a block of ${TXS} known transactions`, 'ms', verdictMs, undefined, [
      { of: 'value', is: '≤', bar: 10 },
    ]),
    makeRow(`processor time to take in a block of ${TXS} known transactions, on disk`, 'ms', takenInMs),
    makeRow('a compact block, against the full one', 'bytes', bytes.compact, bytes.full),
    makeRow('blocks rebuilt with no request under steady load, simulated', 'share', [spread.rebuilt], undefined, [
      { of: 'value', is: '≥', bar: 0.95 },
    ]),
    makeRow(
      'transaction bodies per node, with those fetched for blocks, against once; simulated',
      'bytes',
      [spread.once + spread.fetched],
      [spread.once],
      [{ of: 'ratio', is: '≤', bar: 1.1 }],
    ),
  ];
}

/** Ten nodes that mine, on links as the simulation has them by default, at 50 transactions a second. */
async function underLoad(seconds: number): Promise<{
  readonly rebuilt: number;
  /** Bytes per node: all transactions, and what was fetched to complete blocks. */
  readonly once: number;
  readonly fetched: number;
}> {
  const { backend } = await loadSignatureBackend('auto');
  const names = Array.from({ length: 10 }, (_, index) => `n${index}`);
  const world = new World({
    seed: 'compact',
    nodes: names.map((name) => ({ name })),
    openStore: async () => openMapStore(new MapDatabase()),
    signatures: backend,
  });
  await world.start();
  await world.untilFinal(1, 60_000);
  let once = 0;
  for (let at = 0; at < 50 * seconds; at++) {
    const tx = world.transfer(at % names.length);
    once += tx.bytes.length;
    void world.nodes[at % names.length]!.node.ingest.submitTx(tx.bytes);
    await world.run(20);
  }
  let [mempool, all, fetched] = [0, 0, 0];
  for (const { metrics } of world.nodes) {
    for (const { labels, value } of (await metrics.blockRebuilds.get()).values) {
      all += value;
      if (labels.source === 'mempool') mempool += value;
    }
    fetched += (await metrics.blockTxBytesFetched.get()).values[0]?.value ?? 0;
  }
  return { rebuilt: mempool / all, once, fetched: fetched / names.length };
}

const trusting = {
  verify: (items: readonly unknown[]) => Promise.resolve(items.map(() => true)),
};

function mineBlock(fixture: NodeFixture, genesis: Genesis, candidates: readonly Tx[]): Block {
  const { chain } = fixture.node;
  const template = buildTemplate({
    parent: chain.tip,
    bits: nextBits(
      genesis.params,
      { height: chain.tip.header.height, effectiveTimeMs: chain.tip.effectiveTimeMs },
      genesis.entry.effectiveTimeMs,
    ),
    timestampMs: BigInt(Math.max(Date.now(), Number(medianTime(recentTimestamps(chain.tree, chain.tip))) + 1)),
    miner: genesis.electorate[0]!,
    candidates,
    view: chain.accounts,
    params: genesis.params,
  });
  for (let nonce = 0n; ; nonce++) {
    const header = makeHeader({ ...template.header, nonce });
    if (meetsTarget(header.id, header.bits)) return { header, coinbase: template.coinbase, txs: template.txs };
  }
}

export const compactBench: Bench = { name: 'compact', run };
