/** Peers that give something, but drop by drop, or in the wrong moment: none may hold up what others have. */
import { expect, test } from 'vitest';
import type { FrameStream } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import { HEADERS, STATUS } from '../../node/sync/protocols.ts';
import type { World } from '../../sim/world.ts';
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

const sleep = (world: World, ms: number): Promise<void> =>
  world.clock.forNode(() => 0).sleep(ms, new AbortController().signal);

const hasOpened = (world: World, ending: string) => (): boolean =>
  world.trace.lines().some((line) => line.endsWith(ending));

test('a voter that catches up is not kept silent by a peer that answers each question for votes slowly', async () => {
  const names = namesOf(5);
  const world = openWorld({ nodes: names.map((name) => ({ name })) });
  await world.start();
  await world.untilFinal(10, 300_000);
  const [a, e] = [world.node('a'), world.node('e')];
  await e.stop();
  await world.run(60_000);
  let asked = 0;
  const votes: Answer = async (request, stream) => {
    const { fromHeight } = messages.decodeVotesRequest(request)!;
    asked += 1;
    if (asked === 1) {
      const certificates = await a.store.certificatesFrom(fromHeight, 500);
      const all = certificates.flatMap((certificate) => certificate.votes.map(({ bytes }) => bytes));
      await stream.send(messages.encodeVotesChunk(all.slice(0, 1000)));
    } else {
      for (const { bytes } of a.node.agreement.rules.votesFrom(a.node.agreement.final.height).slice(0, 4)) {
        await sleep(world, SLOW_MS);
        await stream.send(messages.encodeVotesChunk([bytes]));
      }
    }
    await stream.close();
  };
  const status = () => {
    const own = statusLike(a);
    return { ...own, totalWork: own.totalWork * 10n };
  };
  const answers = liarAnswers({ status, headers: honestHeaders(a), bodies: noBodies, votes });
  await startHostilePeer(world, { name: 'slow', links: ['e'], answers });
  world.hub.partition([['e'], namesOf(4)]);
  await e.start();
  await world.until('it is asked', hasOpened(world, ' e open slow /grapevine/headers/1'), 20_000);
  world.hub.healAll();
  await world.until('its votes are asked for', () => asked > 0, 60_000);
  await world.run(90_000);
  const guard = await e.store.voteGuard(e.key.address);
  expect(Number(guard!.targetHeight)).toBeGreaterThan(a.finalHeight - 10);
});

test('a node that joins does not follow a peer that gives a cheap branch slowly for longer than its turn', async () => {
  const names = namesOf(4);
  const late = { name: 'late', late: true, voter: false, mine: 'off' as const };
  const world = openWorld({ nodes: [...names.map((name) => ({ name })), late], chainAgeMs: 2_000_000 });
  await world.start();
  await world.untilFinal(20, 600_000, names);
  const [a, joining] = [world.node('a'), world.node('late')];
  const cheap = branchOn(world.genesis, world.genesis.entry, 500, { miner: 'miser', stepMs: 2_200 });
  const bodies = slowBodies(
    world,
    cheap.map(({ block }) => block),
    725,
  );
  const headers = ({ locator }: messages.HeadersRequest) => {
    const at = cheap.findLastIndex(({ block }) => locator.includes(block.header.id));
    return cheap.slice(at + 1).map(({ block }) => block.header);
  };
  const tip = { height: 9_999n, id: cheap.at(-1)!.entry.header.id };
  const status = () => statusLike(a, { tip, totalWork: 2n ** 64n, agreed: tip });
  await startHostilePeer(world, { name: 'slow', links: ['late'], answers: liarAnswers({ status, headers, bodies }) });
  world.hub.partition([['late'], names]);
  await joining.start();
  await world.until('it is asked', hasOpened(world, ' late open slow /grapevine/bodies/1'), 20_000);
  world.hub.healAll();
  await world.run(90_000);
  expect(joining.finalHeight).toBeGreaterThan(a.finalHeight - 10);
});

test('voters that missed a vote make up for it though peers keep them asking without end', async () => {
  const voters = namesOf(4);
  const world = openWorld({
    nodes: [
      ...voters.map((name) => ({ name, mine: 'off' as const })),
      { name: 'm', voter: false, mine: 'on-demand' as const },
    ],
  });
  await world.start();
  const [a, m] = [world.node('a'), world.node('m')];
  await world.run(10_000);
  const mineOne = async (): Promise<void> => {
    const { height } = m;
    void m.node.mining.mine(1, new AbortController().signal);
    const isThere = () => m.height > height && voters.every((name) => world.node(name).tipId === m.tipId);
    await world.until('a block is everywhere', isThere, 60_000);
  };
  for (let i = 0; i < 4; i++) {
    await mineOne();
    await world.run(5_000);
  }
  const lead = branchOn(world.genesis, a.node.chain.tip, 4, { miner: 'miser', stepMs: 500 });
  const { header, totalWork } = lead.at(-1)!.entry;
  let claims = 0n;
  const status = () => {
    claims += 1n;
    return statusLike(a, { tip: { height: header.height, id: header.id }, totalWork: totalWork + claims });
  };
  const stalling: Answer = async (_, stream) => {
    await sleep(world, 10_000);
    await stream.close();
  };
  const slowHeaders: Answer = async (_, stream) => {
    for (const [at, { block }] of lead.entries()) {
      if (at > 0) await sleep(world, SLOW_MS);
      await stream.send(messages.encodeHeadersChunk([block.header.bytes]));
    }
    await stream.close();
  };
  const answers = new Map([...liarAnswers({ status, headers: () => [], bodies: stalling }), [HEADERS, slowHeaders]]);
  const push = async (port: Awaited<ReturnType<typeof startHostilePeer>>, voter: string): Promise<void> => {
    const stream = await port.open(voter, STATUS, new AbortController().signal);
    for (;;) {
      await sleep(world, 1_000);
      await stream.send(messages.encodeStatus(status()));
    }
  };
  for (let i = 0; i < 8; i++) {
    const port = await startHostilePeer(world, { name: `miser${i}`, links: voters, answers });
    // Whoever is hung up on has pushed enough.
    for (const voter of voters) void push(port, voter).catch(() => undefined);
  }
  const areBehind = () => voters.every((name) => world.node(name).node.sync.isBehind);
  await world.until('the lead is shown', areBehind, 120_000);
  await mineOne();
  const { height } = a;
  await world.run(120_000);
  expect(a.agreedHeight).toBe(height);
});

test('a peer that claims most and gives a side block by gossip with each answer keeps no node from what others have', async () => {
  const names = ['a', 'b', 'c'];
  const world = openWorld({
    nodes: [
      ...names.map((name) => ({ name, mine: 'on-demand' as const })),
      { name: 'v', voter: false, mine: 'off' as const },
    ],
    params: EASY,
  });
  await world.start();
  const [a, v] = [world.node('a'), world.node('v')];
  const mine = (blocks: number): Promise<unknown> =>
    world.clock.runUntilSettled(a.node.mining.mine(blocks, new AbortController().signal), 600_000);
  await mine(3);
  await world.until('v has them', () => v.height === 3, 20_000);
  await world.run(5_000);
  world.hub.partition([['v'], names]);
  await mine(10);
  // One block each 10 s, at the difficulty of the net, beside what v has.
  const final = v.node.chain.tree.get(v.node.agreement.final.id)!;
  const side = Array.from({ length: 60 }, (_, at) => branchOn(world.genesis, final, 1, { miner: `m${at}` })[0]!);
  let at = 0;
  let push: FrameStream | undefined;
  const status = () => {
    const { header } = side[at]!.entry;
    const tip = { height: header.height, id: header.id };
    return statusLike(v, { tip, totalWork: 2n ** 64n, agreed: { height: 9_999n, id: header.id } });
  };
  const headers: Answer = async (_, stream) => {
    const known = v.node.chain.tree.afterLocator([world.genesis.entry.header.id], 3);
    for (const { header } of known) {
      await sleep(world, 2_800);
      await stream.send(messages.encodeHeadersChunk([header.bytes]));
    }
    const { block } = side[at]!;
    at += 1;
    await push!.send(messages.encodeStatus(status()));
    await port.publish('block', blockMessage(block));
    await sleep(world, 1_000);
    await stream.close();
  };
  const answers = new Map([...liarAnswers({ status, headers: () => [], bodies: noBodies }), [HEADERS, headers]]);
  const port = await startHostilePeer(world, { name: 'liar', links: ['v'], answers });
  await world.run(1_000);
  const open = async (): Promise<void> => {
    push = await port.open('v', STATUS, new AbortController().signal);
    await push.send(messages.encodeStatus(status()));
  };
  void open();
  await world.run(3_000);
  world.hub.healAll();
  await world.run(300_000);
  expect(v.height).toBe(a.height);
});

test('a node that catches up for longer than a turn says so all the time, and neither votes nor mines', async () => {
  const world = openWorld({
    nodes: [{ name: 'm' }, { name: 'x', late: true }, { name: 'y', late: true }, { name: 'z', late: true }],
    params: EASY,
    chainAgeMs: 2_000_000,
  });
  const m = world.node('m');
  const chain = branchOn(world.genesis, world.genesis.entry, 600, { miner: 'net', stepMs: 2_200 });
  const bodies = slowBodies(
    world,
    chain.map(({ block }) => block),
    700,
  );
  const headers: Answer = async (request, stream) => {
    const { locator } = messages.decodeHeadersRequest(request)!;
    const after = chain.slice(chain.findLastIndex(({ block }) => locator.includes(block.header.id)) + 1);
    for (let at = 0; at < after.length; at += 200) {
      await sleep(world, 2_500);
      await stream.send(messages.encodeHeadersChunk(after.slice(at, at + 200).map(({ block }) => block.header.bytes)));
    }
    await stream.close();
  };
  const last = chain.at(-1)!.entry;
  const status = () =>
    statusLike(m, { tip: { height: last.header.height, id: last.header.id }, totalWork: last.totalWork });
  const answers = new Map([...liarAnswers({ status, headers: () => [], bodies }), [HEADERS, headers]]);
  await startHostilePeer(world, { name: 'slow', links: ['m'], answers });
  await m.start();
  await world.until('it catches up', () => m.node.sync.isBehind, 60_000);
  await world.run(5_000); // what was being mined when it began
  const own: string[] = [];
  world.trace.onEntry = (node, kind, detail) => {
    if (node === 'm' && kind === 'block' && m.height < 600 && !detail.endsWith('sync')) own.push(detail);
  };
  const told: string[] = [];
  for (let at = 0; at < 120 && m.height < 590; at++) {
    await world.run(1_000);
    const { isBehind, isCatchingUp, mayVote } = m.node.sync;
    if (!isBehind || !isCatchingUp || mayVote)
      told.push(`${m.height} behind=${isBehind} catchingUp=${isCatchingUp} mayVote=${mayVote}`);
  }
  await world.until('it has', () => m.node.chain.tree.has(last.header.id), 600_000);
  expect(own).toEqual([]);
  expect(told).toEqual([]);
});
