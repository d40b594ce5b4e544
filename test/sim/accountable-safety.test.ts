/** A third or more of the voters break agreement: whoever hears of both sides names them, whatever they do besides. */
import { expect, test } from 'vitest';
import { planVote } from '../../chain/plan-vote.ts';
import { signVoteBy } from '../../chain/sign.ts';
import type { BlockId } from '../../chain/types.ts';
import { loadSignatureBackend } from '../../crypto/load-backend.ts';
import { createSigner, type Signer } from '../../crypto/sign.ts';
import type { VoteGuard } from '../../node/store/store.ts';
import type { World } from '../../sim/world.ts';
import { openWorld } from './open-world.ts';

const HONEST = ['left', 'right'] as const;
const { backend: signatures } = await loadSignatureBackend('auto');

function namesOf(count: number, prefix: string): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${at}`);
}

function signerOf(world: World, name: string): Signer {
  const { secretKey, publicKey } = world.node(name).key;
  return createSigner(secretKey, signatures.sign?.bind(signatures), publicKey);
}

/** Offenders that a node knows of. */
function evidenceAt(world: World, name: string): number {
  return world.node(name).node.agreement.rules.evidence.length;
}

test('the evidence is found where the fork is deeper than one answer of votes, and what is below is forgotten', async () => {
  const liars = namesOf(40, 'l');
  const world = openWorld({
    signatures,
    nodes: [
      ...HONEST.map((name) => ({ name })),
      ...liars.map((name) => ({ name, votes: false, mine: 'off' as const, late: true })),
    ],
  });
  await world.start();
  await world.run(6_000);
  world.hub.partition(HONEST.map((name) => [name]));
  await world.run(2_000);
  const signers = liars.map((name) => signerOf(world, name));
  let lie = true;
  for (const side of HONEST) {
    const { chain, agreement, events } = world.node(side).node;
    let guard: VoteGuard | undefined;
    events.on('tip', ({ entry }) => {
      const link = lie ? planVote({ tree: chain.tree, agreement: agreement.rules, tip: entry, guard }) : undefined;
      if (link === undefined) return;
      guard = { sourceHeight: link.source.height, targetHeight: link.target.height };
      for (const signer of signers) {
        void agreement.receiveVote(signVoteBy({ chainId: chain.genesis.chainId, ...link }, signer));
      }
    });
  }
  await world.until(
    'two answers of votes on each side',
    () => HONEST.every((name) => world.node(name).finalHeight > 80),
    400_000,
  );
  lie = false;
  for (const name of HONEST) await world.node(name).restart();
  expect(HONEST.map((name) => evidenceAt(world, name))).toEqual([0, 0]);
  world.hub.healAll();
  const third = Math.ceil((liars.length + HONEST.length) / 3);
  await world.until('evidence', () => HONEST.every((name) => evidenceAt(world, name) >= third), 60_000);
  expect(HONEST.map((name) => world.node(name).finalHeight > 80)).toEqual([true, true]); // final stays final
});

test('votes for blocks to come do not make the nodes forget those that are evidence', async () => {
  const liars = ['l1', 'l2', 'l3'];
  const voters = HONEST.flatMap((name) => [{ name }, { name: `${name}-voter`, mine: 'off' as const }]);
  const world = openWorld({
    signatures,
    nodes: [
      ...voters,
      ...liars.flatMap((name) => [
        { name, mine: 'off' as const, late: true },
        { name: `${name}-twin`, keyOf: name, mine: 'off' as const, late: true },
      ]),
      ...HONEST.map((name) => ({
        name: `${name}-voice`,
        voter: false,
        votes: false,
        mine: 'off' as const,
        late: true,
      })),
    ],
  });
  await world.start();
  await world.run(15_000);
  world.hub.partition([
    ['left', 'left-voter', 'left-voice', ...liars],
    ['right', 'right-voter', 'right-voice', ...liars.map((name) => `${name}-twin`)],
  ]);
  const lying = liars.flatMap((name) => [name, `${name}-twin`]);
  for (const name of lying) await world.node(name).start();
  await world.until('both sides go on', () => HONEST.every((name) => world.node(name).finalHeight >= 6), 60_000);
  for (const name of lying) world.node(name).kill();
  // As many targets from the last agreed block to the end of the window as a voter's log holds, and some more.
  await world.until('room for votes', () => HONEST.every((name) => world.node(name).height >= 60), 400_000);

  for (const name of HONEST) await world.node(`${name}-voice`).start();
  await world.run(5_000);
  const source = {
    height: BigInt(Math.max(...HONEST.map((name) => world.node(name).agreedHeight))),
    id: 'aa'.repeat(32) as BlockId,
  };
  const highest = BigInt(Math.min(...HONEST.map((name) => world.node(name).height))) + 999n;
  const signers = liars.map((name) => signerOf(world, name));
  for (let height = highest; height > source.height; height--) {
    const target = { height, id: height.toString(16).padStart(64, '0') as BlockId };
    for (const signer of signers) {
      const { bytes } = signVoteBy({ chainId: world.genesis.chainId, source, target }, signer);
      for (const name of HONEST) void world.node(`${name}-voice`).network.publish('vote', bytes);
    }
    if (height % 5n === 0n) await world.run(50);
  }
  await world.run(3_000);
  const { rules } = world.node('left').node.agreement;
  const ofLiar = rules.votesFrom(0n).filter(({ voter }) => voter === world.node('l1').key.address);
  expect(ofLiar.length).toBeGreaterThan(1_000);
  for (const name of HONEST) world.node(`${name}-voice`).kill();
  world.hub.healAll();
  const everybody = voters.map(({ name }) => name);
  await world.until('evidence', () => everybody.every((name) => evidenceAt(world, name) === liars.length), 90_000);
  expect(
    everybody.map((name) => world.node(name).node.agreement.rules.isOffender(world.node(name).key.address)),
  ).toEqual(everybody.map(() => false));
});
