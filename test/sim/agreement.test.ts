import { expect, test } from 'vitest';
import { decodeVote } from '../../chain/codec.ts';
import { signVote } from '../../chain/sign.ts';
import type { BlockId, VoteBody } from '../../chain/types.ts';
import { simulationKey } from '../../sim/world.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, expectOneFinalChain, openWorld } from './open-world.ts';

test('five nodes agree and finalize the same chain', async () => {
  const world = openWorld({ nodes: 5 });
  await world.start();
  await world.untilFinal(10, 120_000);
  await expectHealthy(world);
  for (const each of world.running) {
    expect(each.node.missing()).toEqual([]);
    expect(each.height - each.finalHeight).toBeLessThanOrEqual(3);
  }
});

test('transactions submitted at one node are mined and final on all', async () => {
  const world = openWorld({ nodes: 5 });
  await world.start();
  await world.run(3_000);
  const txs = Array.from({ length: 20 }, (_, index) => world.transfer(index % 4));
  const answers = txs.map((tx) => world.node('a').node.ingest.submitTx(tx.bytes));
  for (const answer of answers) {
    expect((await world.clock.runUntilSettled(answer, 5_000)).verdict.kind).toBe('accept');
  }
  await world.until(
    'all mined everywhere',
    () => world.running.every((each) => txs.every((tx) => each.node.chain.accounts.get(tx.from).nonce > tx.nonce)),
    60_000,
  );
  await world.untilFinal(Math.max(...world.running.map((each) => each.height)), 60_000);
  for (const each of world.running) {
    expect(each.node.mempool.pool.size).toBe(0);
    for (const tx of txs) {
      const location = await each.store.txLocation(tx.id);
      const entry = each.node.chain.tree.get(location!.block)!;
      expect(entry.header.height).toBeLessThanOrEqual(each.node.agreement.final.height);
    }
  }
  await expectHealthy(world);
});

test('3/2 of five: neither side agrees, both grow; healed, one chain and agreement within 2 heights', async () => {
  // The larger side finds most blocks, so that it is the other one that has to give way.
  const world = openWorld({
    nodes: ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, hashShare: name < 'd' ? 3 : 2 })),
  });
  await world.start();
  await world.untilFinal(3, 60_000);
  const [left, right] = [
    ['a', 'b', 'c'],
    ['d', 'e'],
  ] as const;
  world.hub.partition([left, right]);
  await world.run(5_000); // votes under way for blocks both sides have
  const agreedBefore = world.running.map((each) => each.agreedHeight);
  const heightsBefore = world.running.map((each) => each.height);
  const tx = world.transfer(0);
  const answer = world.node('d').node.ingest.submitTx(tx.bytes);
  expect((await world.clock.runUntilSettled(answer, 5_000)).verdict.kind).toBe('accept');
  const hasGrown = (): boolean => world.running.every((each, at) => each.height > heightsBefore[at]! + 2);
  await world.until('both sides grow', hasGrown, 300_000);
  await world.run(20_000);
  expect(world.running.map((each) => each.agreedHeight)).toEqual(agreedBefore);
  const mined = await world.node('d').store.txLocation(tx.id);
  expect(mined).toBeDefined();
  expect(world.node('a').tipId).not.toBe(world.node('d').tipId);

  const agreedAfter: number[] = [];
  world.node('a').node.events.on('agreed', ({ certificate }) => agreedAfter.push(Number(certificate.target.height)));
  world.hub.healAll();
  await world.until('one tip', () => new Set(world.running.map((each) => each.tipId)).size === 1, 30_000);
  const healedAt = world.node('a').height;
  await world.until('agreed again', () => world.running.every((each) => each.agreedHeight >= healedAt), 60_000);
  expect(agreedAfter[0]).toBeLessThanOrEqual(healedAt + 2);
  expect(world.trace.lines().some((line) => / [a-e] reorg /.test(line))).toBe(true);
  await world.until(
    'the transaction of the abandoned branch is mined',
    () => world.running.every((each) => each.node.chain.accounts.get(tx.from).nonce === 1n),
    300_000,
  );
  await world.untilFinal(healedAt + 3, 60_000);
  await expectHealthy(world);
});

test('4/1 of five: the majority goes on being final, the one stalls and catches up', async () => {
  const world = openWorld({ nodes: 5 });
  await world.start();
  await world.untilFinal(3, 60_000);
  const majority = ['a', 'b', 'c', 'd'];
  world.hub.partition([majority, ['e']]);
  await world.run(5_000);
  const alone = world.node('e').agreedHeight;
  await world.untilFinal(world.node('a').height + 8, 90_000, majority);
  expect(world.node('e').agreedHeight).toBe(alone);
  await world.until('the one grows too', () => world.node('e').height > alone + 1, 300_000);
  expect(world.node('e').agreedHeight).toBe(alone);
  world.hub.healAll();
  await world.untilFinal(world.node('a').finalHeight + 2, 60_000);
  await expectHealthy(world);
});

test('a voter that votes twice becomes evidence on all nodes and no longer counts', async () => {
  const world = openWorld({ nodes: ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, late: name === 'e' })) });
  const key = simulationKey('e');
  let latest: VoteBody | undefined;
  const seen = new Set<bigint>();
  const evil = await startHostilePeer(world, {
    name: 'liar',
    links: ['a', 'b', 'c', 'd'],
    onGossip(message) {
      message.settle('accept');
      if (message.kind !== 'vote') return;
      const vote = decodeVote(message.data);
      if (!vote.ok || seen.has(vote.value.target.height)) return;
      seen.add(vote.value.target.height);
      latest = vote.value;
      // Its votes are as good as anybody's until it lies.
      const { chainId, source, target } = vote.value;
      void evil.publish('vote', signVote({ chainId, source, target }, key.secretKey).bytes);
    },
  });
  await world.start();
  await world.untilFinal(3, 60_000);
  await world.node('d').stop();
  const withThree = world.node('a').agreedHeight;
  await world.until('a, b, c and the liar agree', () => world.node('a').agreedHeight > withThree + 3, 60_000);

  const { chainId, source, target } = latest!;
  const other = { height: target.height, id: 'ab'.repeat(32) as BlockId };
  await evil.publish('vote', signVote({ chainId, source, target: other }, key.secretKey).bytes);
  await world.until(
    'evidence everywhere',
    () => world.running.every((each) => each.node.agreement.rules.isOffender(key.address)),
    10_000,
  );
  for (const each of world.running) {
    expect(each.node.agreement.rules.evidence).toMatchObject([{ kind: 'double', voter: key.address }]);
  }
  await world.run(5_000);
  const stalledAt = world.node('a').agreedHeight;
  const height = world.node('a').height;
  await world.run(30_000);
  expect(world.node('a').agreedHeight).toBe(stalledAt);
  expect(world.node('a').height).toBeGreaterThan(height + 3);

  await world.node('d').start();
  await world.untilFinal(stalledAt + 3, 60_000);
  expect(world.node('d').node.agreement.rules.isOffender(key.address)).toBe(true);
  expectOneFinalChain(world.running);
  for (const each of world.running) expect(await each.internalErrors()).toBe(0);
});

async function runEventful(seed: string): Promise<{ readonly hash: string; readonly lines: readonly string[] }> {
  const world = openWorld({ nodes: 5, seed, link: { latencyMs: [5, 80], jitterMs: 20, loss: 0.05 } });
  await world.start();
  await world.run(8_000);
  for (let index = 0; index < 10; index++) {
    const answer = world.node('b').node.ingest.submitTx(world.transfer(index % 3).bytes);
    await world.clock.runUntilSettled(answer, 5_000);
  }
  world.hub.partition([
    ['a', 'b', 'c'],
    ['d', 'e'],
  ]);
  await world.run(15_000);
  world.node('b').kill();
  await world.run(4_000);
  await world.node('b').start();
  world.hub.healAll();
  await world.run(20_000);
  expectOneFinalChain(world.running);
  expect(world.node('b').finalHeight).toBeGreaterThan(3);
  return { hash: world.trace.hash(), lines: world.trace.lines() };
}

test('one seed gives one course of events, another seed another', async () => {
  const first = await runEventful('one');
  const second = await runEventful('one');
  expect(second.lines).toEqual(first.lines);
  expect(second.hash).toBe(first.hash);
  expect((await runEventful('two')).hash).not.toBe(first.hash);
});
