/** A block that has just been made, of which a peer's status tells before gossip has brought it. */
import { expect, test } from 'vitest';
import { encodeBlock } from '../../chain/codec.ts';
import * as messages from '../../node/sync/messages.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { type BuiltBlock, branchOn, checkpointOf, EASY, feed } from './chain-builder.ts';
import { liarAnswers, startHostilePeer, statusLike } from './hostile-peer.ts';
import { openWorld } from './open-world.ts';

const STEP_MS = 500;

interface Lab {
  readonly world: World;
  readonly node: SimNode;
  readonly blocks: readonly BuiltBlock[];
  /** The peer has so many of the blocks, and swaps statuses with the node. */
  show(count: number): void;
  /** When bodies were asked of the peer, in milliseconds since it could first show two blocks. */
  readonly askedAtMs: readonly number[];
}

/** A node that gossip has brought the first of some blocks, and a peer that has more of them. */
async function openLab(): Promise<Lab> {
  const world = openWorld({
    nodes: [
      { name: 'node', mine: 'off', voter: false },
      { name: 'v', late: true, mine: 'off' },
    ],
    params: EASY,
    link: { latencyMs: [10, 10], jitterMs: 0, loss: 0 },
  });
  await world.run(10_000);
  await world.start();
  const { genesis } = world;
  const blocks = branchOn(genesis, genesis.entry, 12, { miner: 'm', stepMs: STEP_MS });
  const node = world.node('node');
  const askedAtMs: number[] = [];
  let [shown, beganAtMs] = [1, 0];
  const answers = liarAnswers({
    status: () => {
      const { entry } = blocks[shown - 1]!;
      return statusLike(node, { tip: checkpointOf(entry), totalWork: entry.totalWork });
    },
    headers: ({ locator }) => {
      const known = blocks.findLastIndex(({ entry }) => locator.includes(entry.header.id));
      return blocks.slice(known + 1, shown).map(({ entry }) => entry.header);
    },
    bodies: async (request, stream) => {
      askedAtMs.push(world.clock.nowMs() - beganAtMs);
      for (const id of messages.decodeBodiesRequest(request)!) {
        const { block } = blocks.find(({ entry }) => entry.header.id === id)!;
        await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(block) }));
      }
      await stream.close();
    },
  });
  await startHostilePeer(world, { name: 'peer', links: ['node'], answers });
  await feed(node, blocks.slice(0, 1));
  await world.until('they have met', () => node.node.sync.statusOf('peer') !== undefined, 5_000);
  beganAtMs = world.clock.nowMs();
  const show = (count: number): void => {
    shown = count;
    node.node.sync.onPeerConnected('peer'); // asks for its status
  };
  return { world, node, blocks, show, askedAtMs };
}

test('is left to gossip, and its body not asked for', async () => {
  const { world, node, blocks, show, askedAtMs } = await openLab();
  show(2);
  await world.run(1_500);
  await feed(node, blocks.slice(1, 2));
  await world.run(10_000);
  expect(node.height).toBe(2);
  expect(askedAtMs).toEqual([]);
});

test('is asked for after two seconds where gossip has not brought it; those after it at once', async () => {
  const { world, node, blocks, show, askedAtMs } = await openLab();
  show(2);
  await world.until('the block', () => node.height === 2, 3_000);
  expect(askedAtMs).toHaveLength(1);
  expect(askedAtMs[0]).toBeGreaterThanOrEqual(2_000);
  for (let height = 3; height < blocks.length; height++) {
    show(height);
    await world.until(`block ${height}`, () => node.height === height, 200);
    await world.run(STEP_MS);
  }
});

test('is asked for at once with one on top of it', async () => {
  const { world, node, show, askedAtMs } = await openLab();
  show(3);
  await world.until('both blocks', () => node.height === 3, 200);
  expect(askedAtMs).toHaveLength(1);
});

test('is asked for as soon as there are more: gossip has passed the node by', async () => {
  const { world, node, show, askedAtMs } = await openLab();
  show(2);
  await world.run(500);
  expect(askedAtMs).toEqual([]);
  show(3);
  await world.until('both blocks', () => node.height === 3, 200);
});

test('is asked for at once when gossip tells of it and it is of no use', async () => {
  const { world, node, show, askedAtMs } = await openLab();
  show(2);
  await world.run(500);
  expect(askedAtMs).toEqual([]);
  node.node.sync.onBlockMissed('peer');
  await world.until('the block', () => node.height === 2, 200);
});
