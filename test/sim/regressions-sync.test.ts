/** Peers that promise, drip and claim: they are left alone, and what others have arrives meanwhile. */
import { expect, test } from 'vitest';
import { encodeBlock } from '../../chain/codec.ts';
import type { BlockId } from '../../chain/types.ts';
import { loadSignatureBackend } from '../../crypto/load-backend.ts';
import type { FrameStream, StreamProtocol } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import type { PeerStatus } from '../../node/sync/peer-status.ts';
import { BODIES, HEADERS, VOTES } from '../../node/sync/protocols.ts';
import type { World } from '../../sim/world.ts';
import { type BuiltBlock, branchOn, checkpointOf, EASY, feed, voteOf } from './chain-builder.ts';
import { type Answer, liarAnswers, startHostilePeer, statusLike } from './hostile-peer.ts';
import { expectHealthy, openWorld } from './open-world.ts';

const ELECTORS = ['v1', 'v2', 'v3', 'v4'] as const;

function openPair(): World {
  return openWorld({
    nodes: [
      { name: 'victim', mine: 'off', voter: false },
      { name: 'honest', mine: 'off', voter: false },
      ...ELECTORS.map((name) => ({ name, late: true, mine: 'off' as const })),
    ],
    params: EASY,
  });
}

const asked = (world: World, peer: string, protocol: StreamProtocol): number =>
  world.trace.lines().filter((line) => line.endsWith(` victim open ${peer} ${protocol.name}`)).length;

const UNKNOWN = { height: 1_000_000n, id: 'ee'.repeat(32) as BlockId };
const HUGE: Partial<PeerStatus> = { tip: UNKNOWN, totalWork: 2n ** 200n, agreed: UNKNOWN };

/** Frames until the asker hangs up. */
async function drip(world: World, stream: FrameStream, everyMs: number, frame: () => Uint8Array): Promise<void> {
  const never = new AbortController().signal;
  for (;;) {
    await stream.send(frame());
    await world.clock.sleep(everyMs, never);
  }
}

type Trick = (world: World, chain: readonly BuiltBlock[]) => Answer;

/** What it does, and what is held against it. */
const TRICKS: readonly (readonly [string, Trick, RegExp])[] = [
  [
    'drips empty chunks',
    (world) => (_request, stream) => drip(world, stream, 500, () => messages.encodeHeadersChunk([])),
    /^(100 malformed headers\n?)+$/,
  ],
  [
    'drips good headers, each just before patience ends',
    (world, chain) => (_request, stream) => {
      let next = 0;
      return drip(world, stream, 2_900, () => messages.encodeHeadersChunk([chain[next++]!.block.header.bytes]));
    },
    /^(5 \S+: no answer in time\n?)+$/,
  ],
  ['claims huge work and has nothing', () => async (_request, stream) => stream.close(), /^$/],
  ['never answers', () => () => new Promise(() => {}), /^(5 \S+: no answer in time\n?)+$/],
];

test.each(TRICKS)(
  'a peer that %s is left alone, and an honest peer is heard meanwhile',
  async (_does, trick, penalties) => {
    const world = openPair();
    world.hub.partition([['victim'], ['honest']]);
    await world.run(500_000);
    await world.start();
    const honest = world.node('honest');
    const victim = world.node('victim');
    const chain = branchOn(world.genesis, world.genesis.entry, 200, { miner: 'honest' });
    await feed(honest, chain.slice(0, 50));
    const status = (): PeerStatus => statusLike(honest, HUGE);
    const answers = new Map(liarAnswers({ status, headers: () => [], bodies: () => new Promise(() => {}) }));
    answers.set(HEADERS, trick(world, chain));
    await startHostilePeer(world, { name: 'liar', links: ['victim'], answers });
    await world.until('the liar is asked first', () => asked(world, 'liar', HEADERS) > 0, 5_000);
    world.hub.healAll();
    await world.until('the honest blocks', () => victim.height === 50, 20_000);
    await world.run(60_000);
    // A status exchange every two seconds or so, and each may begin with the liar: seconds, then minutes between tries.
    expect(asked(world, 'liar', HEADERS)).toBeLessThanOrEqual(9);
    await feed(honest, chain.slice(50, 60));
    await world.until('and the next ones', () => victim.height === 60, 20_000);
    expect(victim.node.sync.isBehind).toBe(false);
    const held = (peer: string): string[] =>
      world.trace.lines().flatMap((line) => line.split(` victim penalized ${peer} `).slice(1));
    expect(held('liar').join('\n')).toMatch(penalties);
    expect(held('honest')).toEqual([]);
    await expectHealthy(world);
  },
);

interface SideBranch {
  readonly world: World;
  readonly main: readonly BuiltBlock[];
  readonly side: readonly BuiltBlock[];
}

/** The victim has 30 blocks; a peer has 20 others, claims the work of a thousand, and gives what it has. */
async function offerSideBranch(agreedBy: readonly string[]): Promise<SideBranch> {
  const world = openPair();
  const { genesis } = world;
  await world.run(100_000);
  await world.start();
  const victim = world.node('victim');
  const main = branchOn(genesis, genesis.entry, 30, { miner: 'main' });
  const side = branchOn(genesis, genesis.entry, 20, { miner: 'side' });
  await feed(victim, main);
  const last = side.at(-1)!.entry;
  const agreed = side[9]!.entry;
  const votes = agreedBy.map((voter) => voteOf(genesis, voter, genesis.entry, agreed).bytes);
  const bodies = new Map(side.map(({ block }) => [block.header.id, encodeBlock(block)]));
  const answers = new Map(
    liarAnswers({
      status: () =>
        statusLike(victim, { tip: checkpointOf(last), totalWork: 2n ** 100n, agreed: checkpointOf(agreed) }),
      headers: () => side.map(({ block }) => block.header),
      bodies: async (request, stream) => {
        for (const id of messages.decodeBodiesRequest(request)!) {
          await stream.send(messages.encodeBodyReply({ id, block: bodies.get(id) }));
        }
        await stream.close();
      },
    }),
  );
  answers.set(VOTES, async (_request, stream) => {
    if (votes.length > 0) await stream.send(messages.encodeVotesChunk(votes));
    await stream.close();
  });
  await startHostilePeer(world, { name: 'side', links: ['victim'], answers });
  await world.run(20_000);
  return { world, main, side };
}

test.each([
  ['nobody', []],
  ['two of four', ['v1', 'v2']],
])('a side branch with less work that %s agreed: its headers are looked at, its bodies never', async (_who, voters) => {
  const { world, main, side } = await offerSideBranch(voters);
  const victim = world.node('victim');
  expect(asked(world, 'side', HEADERS)).toBeGreaterThan(0);
  expect(asked(world, 'side', BODIES)).toBe(0);
  expect(victim.tipId).toBe(main.at(-1)!.block.header.id);
  expect(victim.node.chain.tree.get(side[0]!.block.header.id)).toBeUndefined();
  expect(world.trace.lines().filter((line) => line.includes(' victim penalized side '))).toEqual([]);
  await expectHealthy(world);
});

test('FORK-2: a side branch with less work that three of four agreed is fetched and followed', async () => {
  const { world, side } = await offerSideBranch(['v1', 'v2', 'v3']);
  const victim = world.node('victim');
  expect(victim.tipId).toBe(side.at(-1)!.block.header.id);
  expect(victim.agreedHeight).toBe(10);
  await expectHealthy(world);
});

test('who joins after agreement stood still for more heights than a peer keeps votes of follows it all the same', {
  timeout: 120_000, // 1,100 heights, each with its votes
}, async () => {
  const gap = 1_100;
  const world = openWorld({
    nodes: [{ name: 'a' }, { name: 'b', mine: 'off' }, { name: 'late', voter: false, mine: 'off', late: true }],
    params: { blockTimeMs: 100, halfLifeMs: 60_000, maxSolveTimeMs: 60_000, maxFutureMs: 10_000 },
  });
  const a = world.node('a');
  await world.start();
  await world.untilFinal(5, 120_000, ['a']);
  await world.node('b').stop();
  const { height } = a;
  await world.until('agreement has stood still', () => a.height >= height + gap, 600_000);
  await world.node('b').start();
  // The votes across the gap are old enough to have left a's memory.
  await world.untilFinal(height + gap + 150, 300_000, ['a']);
  const target = a.finalHeight;
  await world.node('late').start();
  await world.untilFinal(target, 90_000, ['late']);
  await expectHealthy(world);
});

test('a node whose clock is slow follows as far as its clock lets it, and is not ready', async () => {
  const world = openWorld({
    nodes: [
      { name: 'a' },
      { name: 'b' },
      { name: 'c' },
      { name: 'late', voter: false, mine: 'off', late: true, clockOffsetMs: -25_000 },
    ],
  });
  await world.start();
  await world.run(60_000);
  const late = world.node('late');
  await late.start();
  await world.run(60_000);
  // Blocks of the last 15 s are beyond BLK-7's ten for it.
  const ahead = BigInt(Math.floor(world.clock.nowMs() - 25_000 + world.genesis.params.maxFutureMs));
  const { tree } = world.node('a').node.chain;
  let height = tree.tip.header.height;
  while (tree.mainAt(height)!.header.timestampMs > ahead) height -= 1n;
  expect(late.height).toBeGreaterThanOrEqual(Number(height) - 3); // what came since it last swapped status
  expect(late.node.missing().join()).toMatch(/^clock: .* 2\d s behind/);
});

test('where much is agreed and little final, votes beyond one answer of known ones are asked for all the same', async () => {
  const voters = Array.from({ length: 10 }, (_, at) => `v${at + 1}`);
  const world = openWorld({
    nodes: [
      { name: 'server', voter: false, mine: 'off' },
      { name: 'client', voter: false, mine: 'off' },
      ...voters.map((name) => ({ name, late: true, mine: 'off' as const })),
    ],
    params: EASY,
    signatures: (await loadSignatureBackend('auto')).backend,
  });
  const { genesis } = world;
  await world.run(3_000_000);
  await world.start();
  const [server, client] = [world.node('server'), world.node('client')];
  world.hub.cut('server', 'client');
  const chain = branchOn(genesis, genesis.entry, 600, { miner: 'm' });
  const at = (height: number) => (height === 0 ? genesis.entry : chain[height - 1]!.entry);
  await feed(server, chain);
  await feed(client, chain);
  // Every second block is agreed, so that none is final; the first answer is full with 293 links of seven votes.
  for (let height = 2; height <= 600; height += 2) {
    for (const voter of voters.slice(0, 7)) {
      const vote = voteOf(genesis, voter, at(height - 2), at(height));
      server.node.agreement.receiveVote(vote);
      if (height <= 590) client.node.agreement.receiveVote(vote);
    }
  }
  await world.run(1_000);
  expect([server.agreedHeight, client.agreedHeight, client.finalHeight]).toEqual([600, 590, 0]);
  world.hub.heal('server', 'client');
  await world.until('what is agreed', () => client.agreedHeight === 600, 60_000);
  await expectHealthy(world);
});

test.each([
  ['in the middle of an answer', 1_900],
  ['between two answers', 2_000],
])('headers ahead of our clock are left for later and those before them taken, also %s', async (_where, reachable) => {
  const world = openWorld({
    nodes: [
      { name: 'victim', mine: 'off', voter: false, late: true },
      { name: 'honest', mine: 'off', voter: false },
      ...ELECTORS.map((name) => ({ name, late: true, mine: 'off' as const })),
    ],
    params: EASY,
  });
  const { genesis } = world;
  const { maxFutureMs } = genesis.params;
  const stepMs = 60_000;
  const [victim, honest] = [world.node('victim'), world.node('honest')];
  const theirs = branchOn(genesis, genesis.entry, 2_400, { miner: 'honest', stepMs });
  const ours = branchOn(genesis, genesis.entry, 2_200, { miner: 'victim' });
  await world.run(2_400 * stepMs + 1_000);
  await world.start();
  await feed(honest, theirs);
  for (const voter of ELECTORS.slice(0, 3)) {
    honest.node.agreement.receiveVote(voteOf(genesis, voter, genesis.entry, theirs[9]!.entry));
  }
  // More work than an answer of theirs proves, so that it has to look on; their votes decide all the same (FORK-2).
  world.hub.cut('victim', 'honest');
  const wantedMs = Number(theirs[reachable - 1]!.block.header.timestampMs) - maxFutureMs + stepMs / 2;
  victim.clockOffsetMs = wantedMs - world.clock.nowMs();
  await victim.start();
  await feed(victim, ours);
  world.hub.heal('victim', 'honest');
  await world.until('their branch', () => victim.agreedHeight === 10, stepMs / 3); // and no other header has come of age
  const reached = victim.node.chain.tip.header;
  expect(victim.node.chain.tree.isAncestor(theirs[9]!.block.header.id, reached.id)).toBe(true);
  expect(Number(reached.height)).toBeGreaterThanOrEqual(reachable);
  expect(world.trace.lines().filter((line) => line.includes(' victim penalized honest '))).toEqual([]);
});

test('a branch on a block that was found bad is refused by its headers, without asking for bodies again', async () => {
  const world = openPair();
  const { genesis } = world;
  await world.run(100_000);
  await world.start();
  world.hub.cut('victim', 'honest');
  const spends = [world.transferOnce(0, 1), world.transferOnce(0, 0)]; // in the wrong order
  const bad = branchOn(genesis, genesis.entry, 10, { miner: 'liar', txs: (at) => (at === 0 ? spends : []) });
  const bodies = new Map(bad.map(({ block }) => [block.header.id, encodeBlock(block)]));
  const answers = liarAnswers({
    status: () => statusLike(world.node('victim'), HUGE),
    headers: () => bad.map(({ block }) => block.header),
    bodies: async (request, stream) => {
      for (const id of messages.decodeBodiesRequest(request)!) {
        await stream.send(messages.encodeBodyReply({ id, block: bodies.get(id) }));
      }
      await stream.close();
    },
  });
  const refused = (peer: string): boolean =>
    world.trace.lines().some((line) => line.includes(` victim banned ${peer} `));
  await startHostilePeer(world, { name: 'first', links: ['victim'], answers });
  await world.until('the first is found out', () => refused('first'), 20_000);
  expect(asked(world, 'first', BODIES)).toBe(1);
  await startHostilePeer(world, { name: 'second', links: ['victim'], answers });
  await world.until('the second too', () => refused('second'), 20_000);
  expect(asked(world, 'second', HEADERS)).toBe(1);
  expect(asked(world, 'second', BODIES)).toBe(0);
});
