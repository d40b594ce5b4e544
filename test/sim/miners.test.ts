import { expect, test } from 'vitest';
import { verifyCertificate } from '../../chain/verify-certificate.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { collectCertificate } from '../../node/agreement/collect-certificate.ts';
import { type SimNode, simulationKey, type World } from '../../sim/world.ts';
import { expectHealthy, expectOneFinalChain, openWorld } from './open-world.ts';

const WINDOW = 12;
const inForce = (sim: SimNode) => sim.node.agreement.rules.inForce;
const weightOf = (sim: SimNode, name: string): number => inForce(sim)[0]?.weights.get(simulationKey(name).address) ?? 0;

/** Two founders, and others that vote only by the blocks they mine. */
function openMinersWorld(names: readonly string[], late: readonly string[] = []): World {
  return openWorld({
    seed: 'miners',
    nodes: names.map((name) => ({ name, late: late.includes(name) })),
    miners: { window: WINDOW, founders: ['a', 'b'] },
  });
}

test('who mines comes to vote, and who has not mined has no say', async () => {
  const world = openWorld({
    seed: 'miners',
    nodes: [...[...'bcd'].map((name) => ({ name })), { name: 'a', mine: 'off' }],
    miners: { window: WINDOW, founders: ['a', 'b'] },
  });
  await world.start();
  await world.untilFinal(WINDOW + 8, 120_000);
  const b = world.node('b');
  expect(weightOf(b, 'a')).toBe(0); // a founder, faded out
  const [forward, rear] = inForce(b);
  expect(forward?.total).toBe(2 * WINDOW);
  expect(forward!.asOf.height - rear!.asOf.height).toBeGreaterThan(0n);
  expect(['b', 'c', 'd'].reduce((sum, name) => sum + weightOf(b, name), 0)).toBe(2 * WINDOW);
  await expectHealthy(world);
});

test('agreement goes on while miners come, go, and come back after a restart', async () => {
  const world = openMinersWorld([...'abcdef'], ['e', 'f']);
  await world.start();
  await world.untilFinal(WINDOW, 120_000);
  for (const name of ['e', 'f']) await world.node(name).start();
  await world.until('e has a say', () => weightOf(world.node('a'), 'e') > 0, 120_000);
  // One leaves, when it has less than a third of the last blocks and of each electorate in force.
  const share = (sim: SimNode): number => {
    const { tree, tip } = sim.node.chain;
    const miner = simulationKey('b').address;
    const recent = Array.from({ length: WINDOW }, (_, at) => tree.mainAt(tip.header.height - BigInt(at)));
    const mined = recent.filter((entry) => entry?.header.miner === miner).length / WINDOW;
    return Math.max(mined, ...inForce(sim).map(({ weights, total }) => (weights.get(miner) ?? 0) / total));
  };
  await world.until('b has little weight', () => world.running.every((each) => share(each) <= 1 / 4), 240_000);
  await world.node('b').stop();
  const before = world.node('a').finalHeight;
  await world.until('final without it', () => world.node('a').finalHeight > before + 2 * WINDOW, 240_000);
  expect(weightOf(world.node('a'), 'b')).toBe(0);
  // A restart has to find out from its store who may vote.
  const electorates = inForce(world.node('c'));
  expect(electorates).toHaveLength(2);
  await world.node('c').restart();
  expect(inForce(world.node('c'))).toEqual(electorates);
  await world.node('b').start();
  await world.until('b has a say again', () => weightOf(world.node('a'), 'b') > 0, 240_000);
  const height = world.node('a').height;
  await world.untilFinal(height + 4, 120_000);
  await expectHealthy(world);
});

test('a partition leaves one final chain, and all go on together after the heal', async () => {
  const world = openMinersWorld([...'abcde']);
  await world.start();
  await world.untilFinal(WINDOW + 4, 120_000);
  world.hub.partition([[...'abc'], [...'de']]);
  const finalAt = Math.max(...world.running.map((each) => each.finalHeight));
  await world.run(60_000);
  const sides = [world.node('a'), world.node('d')];
  expect(Math.min(...sides.map((each) => each.height))).toBeGreaterThan(finalAt + 3);
  expectOneFinalChain(world.running);
  world.hub.healAll();
  const tip = Math.max(...world.running.map((each) => each.height));
  await world.untilFinal(tip + 3, 240_000);
  expectOneFinalChain(world.running);
});

test('a certificate proves who may vote as well', async () => {
  const world = openMinersWorld([...'abc']);
  await world.start();
  await world.untilFinal(WINDOW + 6, 120_000);
  const { node, store } = world.node('a');
  const collect = (height: number) =>
    world.clock.runUntilSettled(
      collectCertificate(BigInt(height), undefined, { store, chain: node.chain, agreement: node.agreement }),
      10_000,
    );
  const document = (await collect(WINDOW + 4))!;
  const verdict = verifyCertificate(JSON.parse(JSON.stringify(document)), world.genesis, nobleBackend);
  expect(verdict).toMatchObject({
    ok: true,
    proof: { state: 'final', decidedBy: { tallies: [{ total: 24 }, { total: 24 }] } },
  });
  const last = document.links.at(-1)!;
  const short = { ...document, links: [...document.links.slice(0, -1), { ...last, votes: last.votes.slice(0, 1) }] };
  expect(verifyCertificate(short, world.genesis, nobleBackend)).toMatchObject({
    ok: false,
    fault: 'certificate/too-few-votes',
    detail: expect.stringContaining('as of'),
  });
});
