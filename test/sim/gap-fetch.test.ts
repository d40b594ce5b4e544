/** What a node misses of a sender holds up none of what the sender sends after it (TX-10). */
import { expect, test } from 'vitest';
import type { Tx } from '../../chain/types.ts';
import { ignore } from '../../chain/verdict.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

const PER_SECOND = 150;

/** A world in which `a` is sent transactions of one account, and nobody mines. */
async function setUp(): Promise<{ world: World; e: SimNode; send: (seconds: number) => Promise<Tx[]> }> {
  const world = openWorld({ nodes: namesOf(5).map((name) => ({ name, mine: 'off' })) });
  await world.start();
  await world.run(5_000);
  const send = async (seconds: number): Promise<Tx[]> => {
    const txs: Tx[] = [];
    for (let slice = 0; slice < 50 * seconds; slice++) {
      for (let at = 0; at < PER_SECOND / 50; at++) {
        const tx = world.transfer(0);
        txs.push(tx);
        void world.node('a').node.ingest.submitTx(tx.bytes);
      }
      await world.run(20);
    }
    return txs;
  };
  return { world, e: world.node('e'), send };
}

/** Everything that comes to the node is lost there until the function is called. */
function loseAll({ node }: SimNode): () => void {
  const add = node.mempool.add;
  node.mempool.add = () => ({ verdict: ignore('tx/pool-full'), parked: false });
  return () => {
    node.mempool.add = add;
  };
}

async function verdictsOf({ metrics }: SimNode, reason: string): Promise<number> {
  const { values } = await metrics.verdicts.get();
  return values.filter(({ labels }) => labels.reason === reason).reduce((sum, { value }) => sum + value, 0);
}

test('one transaction that is missed has come before any that follows is ignored', async () => {
  const { world, e, send } = await setUp();
  await send(1);
  const restore = loseAll(e);
  const [lost] = await send(0.02);
  await world.run(100);
  restore();
  const after = await send(3);
  expect(e.node.mempool.pool.has(lost!.id)).toBe(true);
  await world.run(200);
  expect(after.filter(({ id }) => !e.node.mempool.pool.has(id))).toEqual([]);
  expect(e.node.mempool.pool.parkedSize).toBe(0);
  expect(await verdictsOf(e, 'tx/nonce-gap')).toBe(0);
  await expectHealthy(world);
});

test('more than can be parked is missed, and comes in pieces while its sender goes on', async () => {
  const { world, e, send } = await setUp();
  const restore = loseAll(e);
  const lost = await send(4);
  restore();
  const after = await send(2);
  await world.run(500);
  expect([...lost, ...after].filter(({ id }) => !e.node.mempool.pool.has(id))).toEqual([]);
  expect(await verdictsOf(e, 'tx/nonce-gap')).toBeGreaterThan(0);
  await expectHealthy(world);
});
