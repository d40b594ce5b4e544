/** A block that has just been made, of which a peer's status tells before gossip has brought it. */
import { expect, test } from 'vitest';
import { encodeBlock } from '../../chain/codec.ts';
import * as messages from '../../node/sync/messages.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { type BuiltBlock, branchOn, EASY, feed } from './chain-builder.ts';
import { liarAnswers, startHostilePeer, statusLike } from './hostile-peer.ts';
import { openWorld } from './open-world.ts';

interface Lab {
  readonly world: World;
  readonly node: SimNode;
  readonly blocks: readonly BuiltBlock[];
  /** How many of the blocks the peer tells of and has. */
  show(count: number): void;
  /** When a body was asked of the peer, in milliseconds since the first block was made. */
  readonly askedAtMs: readonly number[];
}

/** A node, and a peer that has blocks made two seconds apart, the first of them just now. */
async function openLab(): Promise<Lab> {
  const world = openWorld({
    nodes: [
      { name: 'node', mine: 'off', voter: false },
      { name: 'v', late: true, mine: 'off' },
    ],
    params: EASY,
    link: { latencyMs: [10, 10], jitterMs: 0, loss: 0 },
  });
  await world.start();
  const { genesis } = world;
  const blocks = branchOn(genesis, genesis.entry, 2, { miner: 'm', stepMs: 2_000 });
  const madeAtMs = Number(blocks[0]!.entry.header.timestampMs);
  const node = world.node('node');
  const askedAtMs: number[] = [];
  let shown = 0;
  const answers = liarAnswers({
    status: () => {
      const tip = blocks[shown - 1]?.entry ?? genesis.entry;
      return statusLike(node, { tip: { height: tip.header.height, id: tip.header.id }, totalWork: tip.totalWork });
    },
    headers: ({ locator }) => {
      const known = blocks.findLastIndex(({ entry }) => locator.includes(entry.header.id));
      return blocks.slice(known + 1, shown).map(({ entry }) => entry.header);
    },
    bodies: async (request, stream) => {
      askedAtMs.push(world.clock.nowMs() - madeAtMs);
      for (const id of messages.decodeBodiesRequest(request)!) {
        const { block } = blocks.find(({ entry }) => entry.header.id === id)!;
        await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(block) }));
      }
      await stream.close();
    },
  });
  await startHostilePeer(world, { name: 'peer', links: ['node'], answers });
  await world.until('they have met', () => node.node.sync.statusOf('peer') !== undefined, 1_500);
  await world.run(madeAtMs - world.clock.nowMs());
  const show = (count: number): void => {
    shown = count;
    node.node.sync.onBlockMissed('peer'); // asks the peer for its status
  };
  return { world, node, blocks, show, askedAtMs };
}

test('is left to gossip, and its body not asked for', async () => {
  const { world, node, blocks, show, askedAtMs } = await openLab();
  show(1);
  await world.run(1_500);
  await feed(node, blocks.slice(0, 1));
  await world.run(10_000);
  expect(node.height).toBe(1);
  expect(askedAtMs).toEqual([]);
});

test('is asked for at the age of two seconds where gossip has not brought it', async () => {
  const { world, node, show, askedAtMs } = await openLab();
  show(1);
  await world.until('the block', () => node.height === 1, 3_000);
  expect(askedAtMs).toHaveLength(1);
  expect(askedAtMs[0]).toBeGreaterThanOrEqual(2_000);
});

test('is asked for at once with one on top of it', async () => {
  const { world, node, show, askedAtMs } = await openLab();
  show(2);
  await world.until('both blocks', () => node.height === 2, 1_000);
  expect(askedAtMs[0]).toBeLessThan(200);
});

test('is asked for as soon as there are more: gossip has passed the node by', async () => {
  const { world, node, show, askedAtMs } = await openLab();
  show(1);
  await world.run(500);
  expect(askedAtMs).toEqual([]);
  show(2);
  await world.until('both blocks', () => node.height === 2, 1_000);
  expect(askedAtMs[0]).toBeLessThan(700);
});
