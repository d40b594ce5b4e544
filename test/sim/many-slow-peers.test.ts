/** Several peers that are asked at once, some of which give what they have drop by drop. */
import { expect, test } from 'vitest';
import type { StreamProtocol } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import type { PeerStatus } from '../../node/sync/peer-status.ts';
import { BODIES, HEADERS, VOTES } from '../../node/sync/protocols.ts';
import type { SimNode, World } from '../../sim/world.ts';
import { blockMessage } from '../node-fixture.ts';
import { branchOn, EASY } from './chain-builder.ts';
import {
  type Answer,
  honestHeaders,
  liarAnswers,
  noBodies,
  slowBodies,
  startHostilePeer,
  statusLike,
} from './hostile-peer.ts';
import { namesOf, openWorld } from './open-world.ts';

/** Just below what counts as a stall. */
const SLOW_MS = 2_800;
/** Drops that fit into the patience with one answer. */
const DROPS = 4;
const PEERS = 8;

interface Slow {
  readonly what: string;
  readonly status: (a: SimNode, at: number) => Partial<PeerStatus>;
  /** Beside what an honest node would answer. */
  readonly answers: (world: World, a: SimNode, at: number) => Iterable<readonly [StreamProtocol, Answer]>;
}

const sleep = (world: World, ms: number): Promise<void> =>
  world.clock.forNode(() => 0).sleep(ms, new AbortController().signal);

/** Answers with the first few of these, one at a time. */
const dropByDrop =
  <T>(world: World, itemsFor: (request: Uint8Array) => readonly T[], encode: (item: T) => Uint8Array): Answer =>
  async (request, stream) => {
    for (const item of itemsFor(request).slice(0, DROPS)) {
      await sleep(world, SLOW_MS);
      await stream.send(encode(item));
    }
    await stream.close();
  };

const slowVotes = (world: World, a: SimNode): Answer =>
  dropByDrop(
    world,
    () => a.node.agreement.rules.votesFrom(1n),
    ({ bytes }) => messages.encodeVotesChunk([bytes]),
  );

const kinds: readonly Slow[] = [
  {
    what: 'one header at a time, and one vote at a time',
    status: (a) => ({ totalWork: 2n ** 64n, agreed: { height: 9_999n, id: a.tipId } }),
    answers: (world, a) => [
      [
        HEADERS,
        dropByDrop(
          world,
          (request) => honestHeaders(a)(messages.decodeHeadersRequest(request)!),
          ({ bytes }) => messages.encodeHeadersChunk([bytes]),
        ),
      ],
      [VOTES, slowVotes(world, a)],
    ],
  },
  {
    what: 'headers and bodies at once, and one vote at a time',
    status: () => ({}),
    answers: (world, a) => [
      [
        BODIES,
        async (request, stream) => {
          for (const id of messages.decodeBodiesRequest(request)!) {
            await stream.send(messages.encodeBodyReply({ id, block: await a.node.chain.encodedBlock(id) }));
          }
          await stream.close();
        },
      ],
      [VOTES, slowVotes(world, a)],
    ],
  },
];

test.each(kinds)('a node that joins is not kept from the chain by those before the others: $what', async (slow) => {
  const names = namesOf(4);
  const late = { name: 'late', late: true, voter: false, mine: 'off' as const };
  const world = openWorld({ nodes: [...names.map((name) => ({ name })), late] });
  await world.start();
  await world.untilFinal(20, 600_000, names);
  const [a, joining] = [world.node('a'), world.node('late')];
  for (let at = 0; at < PEERS; at++) {
    const status = () => statusLike(a, slow.status(a, at));
    const answers = new Map([
      ...liarAnswers({ status, headers: honestHeaders(a), bodies: noBodies }),
      ...slow.answers(world, a, at),
    ]);
    await startHostilePeer(world, { name: `slow${at}`, links: ['late'], answers });
  }
  world.hub.partition([['late'], names]);
  await joining.start();
  await world.run(5_000);
  world.hub.healAll();
  await world.until('it has joined', () => joining.finalHeight > a.finalHeight - 4, 60_000);
  expect(joining.node.chain.tree.has(a.node.agreement.final.id)).toBe(true);
});

test('a node that joins is not led down one cheap branch after another that are given one block at a time', async () => {
  const names = namesOf(4);
  const late = { name: 'late', late: true, voter: false, mine: 'off' as const };
  const world = openWorld({ nodes: [...names.map((name) => ({ name })), late], params: EASY, chainAgeMs: 2_000_000 });
  await world.start();
  await world.untilFinal(20, 600_000, names);
  const [a, joining] = [world.node('a'), world.node('late')];
  for (let at = 0; at < PEERS; at++) {
    const cheap = branchOn(world.genesis, world.genesis.entry, 500 + at, { miner: `miser${at}`, stepMs: 2_200 });
    const bodies = slowBodies(
      world,
      cheap.map(({ block }) => block),
      725,
    );
    const headers = ({ locator }: messages.HeadersRequest) =>
      cheap
        .slice(cheap.findLastIndex(({ block }) => locator.includes(block.header.id)) + 1)
        .map(({ block }) => block.header);
    const tip = { height: 9_999n, id: cheap.at(-1)!.entry.header.id };
    const status = () => statusLike(a, { tip, totalWork: 2n ** 64n, agreed: tip });
    await startHostilePeer(world, {
      name: `slow${at}`,
      links: ['late'],
      answers: liarAnswers({ status, headers, bodies }),
    });
  }
  world.hub.partition([['late'], names]);
  await joining.start();
  await world.run(5_000);
  world.hub.healAll();
  await world.until('it has joined', () => joining.finalHeight > a.finalHeight - 4, 120_000);
  expect(joining.node.chain.tree.has(a.node.agreement.final.id)).toBe(true);
});

test('a voter whose downloads are outdone by a branch that then comes by gossip votes again', async () => {
  const names = namesOf(4);
  const world = openWorld({ nodes: names.map((name) => ({ name })), params: EASY, chainAgeMs: 2_000_000 });
  await world.start();
  await world.untilFinal(10, 600_000, names);
  const d = world.node('d');
  // It takes one that comes in the right moment.
  for (let attempt = 0; attempt < 6; attempt++) {
    await outdo(world, d, attempt);
    expect(d.node.sync.mayVote).toBe(true);
  }
  await world.run(60_000);
  expect(d.finalHeight).toBeGreaterThan(d.height - 4);
});

test('a second download ends no wait for the votes that belong to the first', async () => {
  const names = namesOf(4);
  const world = openWorld({ nodes: names.map((name) => ({ name })), params: EASY, chainAgeMs: 2_000_000 });
  await world.start();
  await world.untilFinal(5, 600_000, names);
  const d = world.node('d');
  world.hub.partition([['d'], namesOf(3)]);
  const chain = branchOn(world.genesis, d.node.chain.tip, 8, { miner: 'net', stepMs: 300 });
  const blocks = chain.map(({ block }) => block);
  const startPeer = (name: string, count: number, totalWork: bigint, bodies: Answer, votes: Answer) => {
    const { height, id } = blocks[count - 1]!.header;
    const status = () => statusLike(d, { tip: { height, id }, totalWork });
    const headers = () => blocks.slice(0, count).map(({ header }) => header);
    return startHostilePeer(world, { name, links: ['d'], answers: liarAnswers({ status, headers, bodies, votes }) });
  };
  await startPeer('first', 7, 2n ** 65n, slowBodies(world, blocks, 700), slowVotes(world, d));
  const last = slowBodies(world, blocks.slice(7), 10);
  const lastOnly: Answer = (request, stream) =>
    messages.decodeBodiesRequest(request)!.includes(blocks[7]!.header.id)
      ? last(request, stream)
      : noBodies(request, stream);
  let hasToldVotes = false;
  await startPeer('second', 8, 2n ** 64n, lastOnly, async (_request, stream) => {
    await stream.close();
    hasToldVotes = true;
  });
  await world.until('the second has no votes', () => hasToldVotes, 60_000);
  await world.run(1_000);
  expect(d.node.chain.tree.has(blocks[7]!.header.id)).toBe(true);
  expect(d.node.sync.mayVote).toBe(false);
  await world.run(15_000);
  expect(d.node.sync.mayVote).toBe(true);
});

/** One peer's branch is being fetched when another's goes before it, which the other then publishes. */
async function outdo(world: World, target: SimNode, attempt: number): Promise<void> {
  const common = branchOn(world.genesis, target.node.chain.tip, 2, { miner: `both${attempt}`, stepMs: 300 });
  const branch = (miner: string, count: number) => [
    ...common,
    ...branchOn(world.genesis, common.at(-1)!.entry, count, { miner, stepMs: 300 }),
  ];
  const [one, two] = [branch('one', 1), branch('two', 3)];
  const bodies = slowBodies(
    world,
    [...one, ...two].map(({ block }) => block),
    SLOW_MS,
  );
  const startPeer = async (name: string, of: typeof one, totalWork: bigint) => {
    let asked = 0;
    const { height, id } = of.at(-1)!.block.header;
    const status = () => statusLike(target, { tip: { height, id }, totalWork });
    const headers = () => (asked++ === 0 ? of.map(({ block }) => block.header) : []);
    const answers = liarAnswers({ status, headers, bodies });
    const port = await startHostilePeer(world, { name: `${name}${attempt}`, links: [target.name], answers });
    return { port, isAsked: () => asked > 0 };
  };
  await startPeer('one', one, 2n ** 65n);
  const { port, isAsked } = await startPeer('two', two, 2n ** 64n);
  await world.until('the second is asked', isAsked, 10_000);
  await world.run(1_000);
  for (const { block } of two) {
    await port.publish('block', blockMessage(block));
    await world.run(100);
  }
  await world.run(20_000);
}
