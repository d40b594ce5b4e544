/** Votes that take longer than a turn. */
import { expect, test, vi } from 'vitest';
import { EASY } from './chain-builder.ts';
import { namesOf, openWorld } from './open-world.ts';

// Few votes an answer, in the place of many heights or many electors.
vi.mock(import('../../node/sync/protocols.ts'), async (original) => ({
  ...(await original()),
  MAX_VOTES_PER_REQUEST: 6 as never,
}));

test('a voter that catches up keeps its vote where the votes take longer than a minute', {
  timeout: 120_000,
}, async () => {
  const names = namesOf(4);
  const world = openWorld({
    nodes: names.map((name) => ({ name, mine: 'on-demand' as const })),
    params: EASY,
    link: { latencyMs: [600, 600], jitterMs: 0, loss: 0 },
  });
  await world.start();
  const [a, c, d] = [world.node('a'), world.node('c'), world.node('d')];
  const mine = async (blocks: number): Promise<void> => {
    for (let i = 0; i < blocks; i++) {
      await world.clock.runUntilSettled(a.node.mining.mine(1, new AbortController().signal), 600_000);
      await world.run(3_000);
    }
  };
  await world.run(10_000);
  d.kill();
  const many = 120;
  await mine(many);
  await world.until('agreed by three', () => a.agreedHeight === many, 60_000);
  c.kill();
  await mine(6);
  await world.run(5_000);
  expect(a.agreedHeight).toBe(many);
  await d.restart();
  await world.run(300_000);
  expect(a.agreedHeight).toBe(many + 6);
});
