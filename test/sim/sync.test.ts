import { expect, test } from 'vitest';
import { encodeBlock, makeHeader } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import { signTx } from '../../chain/sign.ts';
import { meetsTarget } from '../../chain/target.ts';
import type { BlockId, ChainEntry, Tx } from '../../chain/types.ts';
import type { Network } from '../../node/ports.ts';
import * as messages from '../../node/sync/messages.ts';
import type { PeerStatus } from '../../node/sync/peer-status.ts';
import { HEADERS } from '../../node/sync/protocols.ts';
import { createWorldGenesis, simulationKey, type World } from '../../sim/world.ts';
import { branchOn } from './chain-builder.ts';
import { type Answer, honestHeaders, liarAnswers, noBodies, startHostilePeer, statusLike } from './hostile-peer.ts';
import { expectHealthy, namesOf, openWorld } from './open-world.ts';

/** a mines and votes alone, b and c follow; d is away. */
function openLine(): World {
  return openWorld({
    nodes: namesOf(5).map((name) => ({
      name,
      voter: name === 'a',
      ...(name !== 'a' && { mine: 'off' as const }),
      late: name === 'e',
    })),
  });
}

const bodiesAskedOf = (world: World, node: string): Set<string> =>
  new Set(
    world.trace.lines().flatMap((line) => {
      const match = / (\w+) open (\w+) \/grapevine\/bodies\/1$/.exec(line);
      return match?.[1] === node ? [match[2]!] : [];
    }),
  );

test('a new node and one 600 blocks behind catch up from several peers and learn what is agreed and final', async () => {
  const world = openLine();
  await world.start();
  await world.untilFinal(5, 120_000);
  await world.node('d').stop();
  await world.until('600 more', () => world.node('a').height >= 606, 2_000_000);
  await world.node('d').start();
  await world.node('e').start();
  const wanted = world.node('a').finalHeight;
  const behind = world.node('e');
  await world.until('e knows that it is behind', () => behind.node.sync.isBehind, 5_000);
  expect(behind.node.missing()).toContain('sync: catching up');
  await world.untilFinal(wanted, 60_000, ['d', 'e']);
  await world.until('ready', () => behind.node.missing().length === 0, 10_000);
  for (const name of ['d', 'e']) {
    expect(world.node(name).agreedHeight).toBeGreaterThanOrEqual(wanted);
    expect(bodiesAskedOf(world, name).size).toBeGreaterThanOrEqual(3);
  }
  await expectHealthy(world);
});

/** a, b, c with 40 blocks; the liar has a link to d only, and is there before d. */
async function openWithLiar(
  answers: (world: World) => Parameters<typeof liarAnswers>[0],
): Promise<{ readonly world: World; readonly catchUp: () => Promise<void> }> {
  const world = openWorld({
    nodes: namesOf(4).map((name) => ({
      name,
      voter: name === 'a',
      ...(name !== 'a' && { mine: 'off' as const }),
      late: name === 'd',
    })),
  });
  await world.start();
  await world.untilFinal(40, 300_000);
  await startHostilePeer(world, { name: 'liar', links: ['d'], answers: liarAnswers(answers(world)) });
  return {
    world,
    async catchUp() {
      const wanted = world.node('a').finalHeight;
      world.hub.partition([['d'], ['a', 'b', 'c']]);
      await world.node('d').start();
      const asked = (): boolean =>
        world.trace.lines().some((line) => line.includes(' d open liar /grapevine/headers/1'));
      await world.until('the liar is asked first', asked, 5_000);
      world.hub.healAll();
      await world.untilFinal(wanted, 60_000, ['d']);
      await world.until('one tip', () => world.node('d').tipId === world.node('a').tipId, 30_000);
      await expectHealthy(world);
    },
  };
}

function penaltiesOf(world: World, peer: string): string[] {
  return world.trace
    .lines()
    .filter((line) => line.includes(` d penalized ${peer} `))
    .map((line) => line.split(` d penalized ${peer} `)[1]!);
}

const isBanned = (world: World): boolean => world.trace.lines().some((line) => line.includes(' d banned liar '));
/** More work than anybody, and a tip nobody knows: the liar is asked first. */
const loudStatus = (world: World) => () =>
  statusLike(world.node('a'), { tip: { height: 1_000n, id: 'ee'.repeat(32) as BlockId }, totalWork: 2n ** 64n });

test('a peer that stalls on bodies is replaced, and its penalty is small', async () => {
  const { world, catchUp } = await openWithLiar((w) => ({
    status: loudStatus(w),
    headers: honestHeaders(w.node('a')),
    bodies: () => new Promise(() => {}),
  }));
  await catchUp();
  expect(bodiesAskedOf(world, 'd')).toContain('liar');
  expect(bodiesAskedOf(world, 'd').size).toBeGreaterThanOrEqual(2);
  expect(penaltiesOf(world, 'liar').every((line) => line.startsWith('5 '))).toBe(true);
  expect(penaltiesOf(world, 'liar').length).toBeGreaterThan(0);
});

test('a new node whose peers have pruned the bodies is not ready, nor mines or votes, until somebody has them', async () => {
  const world = openWorld({
    nodes: namesOf(4).map((name) => ({
      name,
      ...((name === 'b' || name === 'c') && { mine: 'off' as const }),
      late: name === 'd',
    })),
  });
  await world.start();
  await world.untilFinal(40, 300_000, ['a', 'b', 'c']); // three of four voters
  const answers = liarAnswers({
    status: () => statusLike(world.node('a')),
    headers: honestHeaders(world.node('a')),
    bodies: noBodies,
    votes: async (request, stream) => {
      const { fromHeight } = messages.decodeVotesRequest(request)!;
      const votes = world.node('a').node.agreement.rules.votesFrom(fromHeight);
      await stream.send(messages.encodeVotesChunk(votes.map(({ bytes }) => bytes)));
      await stream.close();
    },
  });
  await startHostilePeer(world, { name: 'pruned', links: ['d'], answers });
  world.hub.partition([['d'], ['a', 'b', 'c']]);
  await world.node('d').start();
  const { node } = world.node('d');
  await world.until('d knows', () => node.sync.isStuck, 10_000);
  // Who proves less, and has no more to give, does not make up for it.
  const { tree } = world.node('a').node.chain;
  const [first, second] = [1n, 2n].map((at) => tree.mainAt(at)!);
  const ref = ({ header }: ChainEntry) => ({ height: header.height, id: header.id });
  const low = liarAnswers({
    status: () =>
      statusLike(world.node('a'), {
        tip: ref(second!),
        totalWork: second!.totalWork,
        agreed: ref(second!),
        final: ref(first!),
      }),
    headers: (asked) => honestHeaders(world.node('a'))(asked).filter(({ height }) => height <= 2n),
    bodies: noBodies,
    votes: async (_request, stream) => {
      for (const at of [1n, 2n]) {
        const { votes } = (await world.node('a').store.certificate(at))!;
        await stream.send(messages.encodeVotesChunk(votes.map(({ bytes }) => bytes)));
      }
      await stream.close();
    },
  });
  await startHostilePeer(world, { name: 'low', links: ['d'], answers: low });
  const asksLow = (): boolean => world.trace.lines().some((line) => line.endsWith(' d open low /grapevine/votes/1'));
  await world.until('the second peer proves what it can', asksLow, 60_000);
  await world.run(60_000); // the block that it was mining may come yet
  const { height } = world.node('d');
  expect(height).toBeLessThanOrEqual(1);
  await world.run(120_000);
  expect(node.missing()).toContainEqual(expect.stringContaining('no peer gives the blocks that others have agreed'));
  expect(world.node('d').height).toBe(height);
  expect(await world.node('d').store.voteGuard(world.node('d').key.address)).toBeUndefined();

  world.hub.healAll();
  await world.until('one tip', () => world.node('d').tipId === world.node('a').tipId, 120_000);
  expect(node.missing()).toEqual([]);
  await world.untilFinal(world.node('d').finalHeight + 3, 120_000);
  await expectHealthy(world);
});

test('headers with more work whose miner keeps the blocks to himself silence no net, not even one that begins', async () => {
  const world = openWorld({
    nodes: namesOf(5).map((name) => ({ name, voter: name !== 'e', late: name !== 'e' })),
  });
  await world.start();
  await world.until('a lead', () => world.node('e').height >= 30, 600_000);
  world.hub.partition([['e'], ['a', 'b', 'c', 'd']]);
  await startHostilePeer(world, {
    name: 'miser',
    links: ['a', 'b', 'c', 'd'],
    answers: liarAnswers({
      status: () => statusLike(world.node('e')),
      headers: honestHeaders(world.node('e')),
      bodies: noBodies,
    }),
  });
  for (const name of ['a', 'b', 'c', 'd']) await world.node(name).start();
  await world.untilFinal(5, 300_000, ['a', 'b', 'c', 'd']);
  for (const name of ['a', 'b', 'c', 'd']) expect(world.node(name).node.missing()).toEqual([]);
});

/** Four voters at work, and three blocks more than they have, which nobody but the test knows. */
async function openWithLead(firstTxs: (genesis: Genesis) => readonly Tx[] = () => []) {
  const names = namesOf(4);
  const world = openWorld({ nodes: names.map((name) => ({ name })) });
  await world.start();
  await world.untilFinal(10, 300_000);
  const a = world.node('a');
  const txs = (at: number): readonly Tx[] => (at === 0 ? firstTxs(world.genesis) : []);
  const lead = branchOn(world.genesis, a.node.chain.tip, 3, { miner: 'miser', stepMs: 500, txs });
  const { header, totalWork } = lead.at(-1)!.entry;
  const claim = { tip: { height: header.height, id: header.id }, totalWork };
  return { world, names, a, lead, claim, headers: () => lead.map(({ block }) => block.header) };
}

const afterMs =
  (world: World, waitMs: number, answer: Answer): Answer =>
  async (request, stream) => {
    await world.clock.forNode(() => 0).sleep(waitMs, new AbortController().signal);
    await answer(request, stream);
  };

test('six peers that show the same headers and keep the blocks, each in its own time, hold up a net once', async () => {
  const { world, names, a, claim, headers } = await openWithLead();
  const bodies = afterMs(world, 2_500, noBodies);
  const answers = liarAnswers({ status: () => statusLike(a, claim), headers, bodies });
  for (let i = 0; i < 6; i++) await startHostilePeer(world, { name: `miser${i}`, links: names, answers });
  await world.until('the lead is shown', () => names.some((name) => world.node(name).node.sync.isBehind), 60_000);
  const final = a.finalHeight;
  await world.untilFinal(final + 20, 120_000);
  expect(names.map((name) => world.node(name).node.sync.isBehind)).toEqual([false, false, false, false]);
});

test.each([
  ['keep the blocks', 0],
  ['give the first and keep the others', 1],
])('peers under ever new names that show the same headers and %s hold up a net once', async (_, given) => {
  const { world, names, a, lead, claim, headers } = await openWithLead();
  const bodies: Answer = async (request, stream) => {
    for (const id of messages.decodeBodiesRequest(request)!) {
      const found = lead.slice(0, given).find(({ block }) => block.header.id === id);
      if (found === undefined) await world.clock.forNode(() => 0).sleep(2_500, new AbortController().signal);
      await stream.send(messages.encodeBodyReply({ id, block: found && encodeBlock(found.block) }));
      if (found === undefined) break;
    }
    await stream.close();
  };
  const answers = liarAnswers({ status: () => statusLike(a, claim), headers, bodies });
  const open: Network[] = [];
  const final = a.finalHeight;
  for (let i = 0; i < 60; i++) {
    open.push(await startHostilePeer(world, { name: `miser${i}`, links: names, answers }));
    if (open.length > 4) await open.shift()!.stop();
    await world.run(2_000);
  }
  expect(a.finalHeight).toBeGreaterThan(final + 20);
});

test('a node is not behind by a branch that was refused, however long others keep it asking', async () => {
  const { world, names, a, lead, claim, headers } = await openWithLead(({ chainId, params: { minFee: fee } }) => {
    const to = simulationKey('account 0').address;
    const body = { chainId, nonce: 0n, to, amount: 1n, fee: fee + 1_000n, memo: new Uint8Array() };
    return [signTx(body, simulationKey('nobody has paid me').secretKey)];
  });
  const bodies: Answer = async (request, stream) => {
    for (const id of messages.decodeBodiesRequest(request)!) {
      const { block } = lead.find((each) => each.block.header.id === id)!;
      await stream.send(messages.encodeBodyReply({ id, block: encodeBlock(block) }));
    }
    await stream.close();
  };
  const nothing = afterMs(world, 2_500, (_, stream) => stream.close());
  let claims = 0n;
  const loud = (): PeerStatus => {
    const { tip, totalWork } = statusLike(a);
    const unheard = { height: tip.height + 50n, id: 'ab'.repeat(32) as BlockId };
    claims += 1n;
    return statusLike(a, { tip: unheard, totalWork: totalWork * 2n + claims });
  };
  const stalling = new Map([...liarAnswers({ status: loud, headers, bodies }), [HEADERS, nothing]]);
  const open: Network[] = [];
  const addStaller = async (at: number): Promise<void> => {
    open.push(await startHostilePeer(world, { name: `staller${at}`, links: names, answers: stalling }));
  };
  for (let i = 0; i < 6; i++) await addStaller(i);
  const status = (): PeerStatus => statusLike(a, { ...claim, totalWork: claim.totalWork * 1_000n });
  await startHostilePeer(world, { name: 'miser', links: names, answers: liarAnswers({ status, headers, bodies }) });
  await world.until('the block is refused', () => penaltiesOf(world, 'miser').length > 0, 60_000);
  const final = a.finalHeight;
  for (let i = 6; i < 66; i++) {
    await addStaller(i);
    await open.shift()!.stop();
    await world.run(2_000);
  }
  expect(a.finalHeight).toBeGreaterThan(final + 20);
});

test.each([
  ['that stay', false],
  ['under ever new names', true],
])(
  'a node that joins among peers %s that claim the most and keep their blocks gets those of the others',
  async (_, renamed) => {
    const names = namesOf(4);
    const late = { name: 'late', late: true, voter: false, mine: 'off' as const };
    const world = openWorld({ nodes: [...names.map((name) => ({ name })), late] });
    await world.start();
    await world.untilFinal(50, 600_000, names);
    const [a, joining] = [world.node('a'), world.node('late')];
    const lead = branchOn(world.genesis, world.genesis.entry, 3, { miner: 'miser', stepMs: 500 });
    const status = (): PeerStatus => {
      const { tip, totalWork, agreed } = statusLike(a);
      const { id } = lead.at(-1)!.block.header;
      const claim = { tip: { height: tip.height + 1_000n, id }, totalWork: totalWork * 10n };
      return statusLike(a, { ...claim, agreed: { height: agreed.height + 1_000n, id } });
    };
    const headers = () => lead.map(({ block }) => block.header);
    const answers = liarAnswers({ status, headers, bodies: afterMs(world, 2_500, noBodies) });
    const open: Network[] = [];
    const addMiser = async (at: number): Promise<void> => {
      open.push(await startHostilePeer(world, { name: `miser${at}`, links: ['late'], answers }));
    };
    for (let i = 0; i < 4; i++) await addMiser(i);
    world.hub.partition([['late'], names]);
    await joining.start();
    await world.until('the misers are asked first', () => joining.node.sync.isBehind, 20_000);
    world.hub.healAll();
    for (let i = 4; i < 49; i++) {
      if (renamed) {
        await addMiser(i);
        await open.shift()!.stop();
      }
      await world.run(2_000);
    }
    expect(joining.finalHeight).toBeGreaterThan(a.finalHeight - 20);
  },
);

const wrongBody =
  (world: World, spoil: 'coinbase' | 'other-block' | 'other-id' | 'garbage'): Answer =>
  async (request, stream) => {
    const { chain } = world.node('a').node;
    for (const id of messages.decodeBodiesRequest(request)!) {
      const block = (await chain.block(id))!;
      const other = (await chain.block(block.header.parent))!;
      const bytes =
        spoil === 'coinbase'
          ? encodeBlock({ ...block, coinbase: block.coinbase + 1n })
          : spoil === 'garbage'
            ? new Uint8Array(200)
            : encodeBlock(other);
      const named = spoil === 'other-id' ? other.header.id : id;
      await stream.send(messages.encodeBodyReply({ id: named, block: bytes }));
    }
    await stream.close();
  };

const LIES: readonly (readonly [string, (world: World) => Parameters<typeof liarAnswers>[0], RegExp])[] = [
  ...(['coinbase', 'other-block', 'other-id', 'garbage'] as const).map(
    (spoil) =>
      [
        `bodies: ${spoil}`,
        (w: World) => ({
          status: loudStatus(w),
          headers: honestHeaders(w.node('a')),
          bodies: wrongBody(w, spoil),
        }),
        {
          coinbase: /block\/bad-merkle-root/,
          'other-block': /the body of another block/,
          'other-id': /not asked for/,
          garbage: /the body of another block/,
        }[spoil],
      ] as const,
  ),
  [
    'fake work: headers with the easiest target of all',
    (w) => ({
      status: loudStatus(w),
      headers: (asked) =>
        honestHeaders(w.node('a'))(asked).map((header) =>
          makeHeader({ ...header, bits: w.genesis.params.powLimitBits }),
        ),
      bodies: async () => {},
    }),
    /block\/(wrong-target|bad-pow)/,
  ],
  [
    'headers without work',
    (w) => ({
      status: loudStatus(w),
      headers: (asked) => {
        const [first] = honestHeaders(w.node('a'))(asked);
        for (let nonce = 0n; ; nonce++) {
          const header = makeHeader({ ...first!, nonce });
          if (!meetsTarget(header.id, header.bits)) return [header];
        }
      },
      bodies: async () => {},
    }),
    /block\/bad-pow/,
  ],
  [
    'headers that do not follow one another',
    (w) => ({
      status: loudStatus(w),
      headers: (asked) => honestHeaders(w.node('a'))(asked).filter((_, index) => index !== 2),
      bodies: async () => {},
    }),
    /block\/unknown-parent/,
  ],
];

test.each(LIES)('a liar is disconnected and sync ends at the honest tip: %s', async (_name, answers, reason) => {
  const { world, catchUp } = await openWithLiar(answers);
  await catchUp();
  expect(penaltiesOf(world, 'liar').join('\n')).toMatch(reason);
  expect(isBanned(world)).toBe(true);
  await world.run(2_000);
  expect(
    world
      .node('d')
      .network.peers()
      .map(({ peer }) => peer)
      .sort(),
  ).toEqual(['a', 'b', 'c']);
  expect(world.trace.lines().filter((line) => / penalized [abcd] /.test(line))).toEqual([]);
});

test('a peer that claims much and has nothing costs nothing but a question', async () => {
  const { world, catchUp } = await openWithLiar((w) => ({
    status: loudStatus(w),
    headers: () => [],
    bodies: async () => {},
  }));
  await catchUp();
  expect(isBanned(world)).toBe(false);
  expect(world.node('d').node.missing()).toEqual([]);
});

test('peers that disappear in the middle are replaced', async () => {
  const world = openLine();
  await world.start();
  await world.untilFinal(100, 600_000);
  await world.node('e').start();
  await world.until('bodies are coming', () => world.node('e').height > 5, 10_000);
  world.node('b').kill();
  world.node('c').kill();
  await world.untilFinal(100, 30_000, ['e']);
  await expectHealthy(world);
});

test('a node of another network is disconnected with a line that says so', async () => {
  const world = openWorld({
    nodes: [
      { name: 'a', voter: true },
      { name: 'b', voter: true },
      { name: 'x', voter: false, genesis: createWorldGenesis(['x'], {}, 'elsewhere') },
    ],
  });
  await world.start();
  await world.untilFinal(5, 60_000, ['a', 'b']);
  for (const name of ['a', 'b']) {
    const lines = world.node(name).log.filter(({ message }) => message.startsWith('wrong network'));
    expect(lines).toMatchObject([{ level: 'warn', fields: { peer: 'x', ours: world.genesis.chainId } }]);
    expect(
      world
        .node(name)
        .network.peers()
        .map(({ peer }) => peer),
    ).not.toContain('x');
  }
  // Its own log says so too: that is where whoever started it looks.
  const own = world.node('x').log.filter(({ message }) => message.startsWith('wrong network'));
  expect(own.map(({ fields }) => fields.peer).sort()).toEqual(['a', 'b']);
  expect(world.node('x').node.missing()).not.toEqual([]);
  await expectHealthy(world, [world.node('a'), world.node('b')]);
});
