/** What is agreed and final, against forged proofs, writes that fail or hang, and crashes between any two of them. */
import { expect, test } from 'vitest';
import { decodeVote } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import type { ChainEntry, Vote } from '../../chain/types.ts';
import type { StreamProtocol } from '../../node/ports.ts';
import { type Store, StoreError } from '../../node/store/store.ts';
import * as messages from '../../node/sync/messages.ts';
import { VOTES } from '../../node/sync/protocols.ts';
import { type SimNode, simulationKey, type World } from '../../sim/world.ts';
import { type BuiltBlock, branchOn, checkpointOf, EASY, feed, voteOf } from './chain-builder.ts';
import { type Answer, honestHeaders, liarAnswers, noBodies, startHostilePeer, statusLike } from './hostile-peer.ts';
import { boundMethods, expectHealthy, openWorld } from './open-world.ts';

const ELECTORS = ['v1', 'v2', 'v3', 'v4'] as const;

/** One node that does not mine, and electors who are keys only: the test signs for them. */
function openWithElectors(options: { readonly wrapStore?: (name: string, store: Store) => Store } = {}): World {
  const electors = ELECTORS.map((name) => ({ name, late: true, mine: 'off' as const }));
  return openWorld({ nodes: [{ name: 'a', mine: 'off', voter: false }, ...electors], params: EASY, ...options });
}

/** Two branches from genesis: `main` is the node's, `side` has less work and is known to it. */
async function growBranches(world: World): Promise<{ readonly main: BuiltBlock[]; readonly side: BuiltBlock[] }> {
  const { genesis } = world;
  await world.run(60_000);
  await world.start();
  const main = branchOn(genesis, genesis.entry, 5, { miner: 'main' });
  const side = branchOn(genesis, genesis.entry, 2, { miner: 'side' });
  await feed(world.node('a'), main);
  await feed(world.node('a'), side);
  return { main, side };
}

function votesFor(genesis: Genesis, voters: readonly string[], path: readonly ChainEntry[]): Vote[] {
  return path.slice(1).flatMap((target, at) => voters.map((voter) => voteOf(genesis, voter, path[at]!, target)));
}

async function startLiar(
  world: World,
  side: readonly BuiltBlock[],
  answer: readonly Vote[],
  tip: BuiltBlock = side[1]!,
): Promise<ReturnType<typeof startHostilePeer>> {
  const sendVotes: Answer = async (_request, stream) => {
    await stream.send(messages.encodeVotesChunk(answer.map(({ bytes }) => bytes)));
    await stream.close();
  };
  const [agreed, final] = [side[1]!, side[0]!].map(({ entry }) => checkpointOf(entry));
  const answers = new Map<StreamProtocol, Answer>(
    liarAnswers({
      status: () =>
        statusLike(world.node('a'), { tip: checkpointOf(tip.entry), totalWork: 1n, agreed: agreed!, final: final! }),
      headers: () => (tip === side[1] ? [] : [tip.block.header]),
      bodies: async (_request, stream) => stream.close(),
    }),
  );
  answers.set(VOTES, sendVotes);
  return startHostilePeer(world, { name: 'liar', links: ['a'], answers });
}

const FORGERIES: readonly (readonly [string, (genesis: Genesis, path: readonly ChainEntry[]) => Vote[], RegExp])[] = [
  ['keys of its own making', (genesis, path) => votesFor(genesis, ['w1', 'w2', 'w3', 'w4'], path), /vote\/not-elector/],
  ['two electors and a stranger', (genesis, path) => votesFor(genesis, ['v1', 'v2', 'w1'], path), /vote\/not-elector/],
  [
    'one elector, four times',
    (genesis, path) => votesFor(genesis, ['v1', 'v1', 'v1', 'v1'], path),
    /the same vote twice/,
  ],
];

test.each(FORGERIES)(
  'VOTE-3: votes by %s agree nothing, and who sends them is hung up on',
  async (_by, forge, said) => {
    const world = openWithElectors();
    const { main, side } = await growBranches(world);
    const path = [world.genesis.entry, ...side.map(({ entry }) => entry)];
    const liar = await startLiar(world, side, forge(world.genesis, path));
    await world.until('connected', () => liar.peers().length === 1, 5_000);
    await world.run(10_000);
    const a = world.node('a');
    expect(a.tipId).toBe(main.at(-1)!.block.header.id);
    expect([a.agreedHeight, a.finalHeight]).toEqual([0, 0]);
    expect(a.node.agreement.rules.bestAgreed.height).toBe(0n);
    const penalties = world.trace.lines().filter((line) => line.includes(' a penalized liar '));
    expect(penalties.join('\n')).toMatch(said);
    expect(liar.peers()).toEqual([]);
    await expectHealthy(world);
  },
);

test.each([5, 7, 10, 25])(
  'a voter that has caught up on %d blocks votes for the last, and does not wait for another',
  async (blocks) => {
    const names = ['a', 'b', 'c'];
    const world = openWorld({ nodes: names.map((name) => ({ name, mine: 'on-demand' as const })), params: EASY });
    await world.start();
    const [a, c] = [world.node('a'), world.node('c')];
    c.kill();
    await world.clock.runUntilSettled(a.node.mining.mine(blocks, new AbortController().signal), 600_000);
    await world.run(10_000);
    expect(a.agreedHeight).toBe(0); // two of three are not more than two thirds
    await c.restart();
    const areAgreed = (): boolean => names.every((name) => world.node(name).agreedHeight === blocks);
    await world.until('the third vote has made it agreed', areAgreed, 20_000);
    await expectHealthy(world);
  },
);

/** Six blocks agreed by three of four voters, while d was away; then six more, as c dies, which need d's vote. */
async function openWithVoterAway() {
  const names = ['a', 'b', 'c', 'd'];
  const world = openWorld({ nodes: names.map((name) => ({ name, mine: 'on-demand' as const })), params: EASY });
  await world.start();
  const [a, c, d] = [world.node('a'), world.node('c'), world.node('d')];
  const mine = (blocks: number): Promise<unknown> =>
    world.clock.runUntilSettled(a.node.mining.mine(blocks, new AbortController().signal), 600_000);
  d.kill();
  await mine(6);
  await world.until('agreed by three', () => a.agreedHeight === 6, 20_000);
  c.kill();
  await mine(6);
  await world.run(5_000);
  expect(a.agreedHeight).toBe(6);
  return { world, names, a, d };
}

test.each([
  ['while it was away', false],
  ['while it was away, and whose blocks nobody gave it at first', true],
])(
  'a voter that catches up votes from what was agreed %s, also where a block comes before the votes',
  async (_, isRefused) => {
    const { world, a, d } = await openWithVoterAway();
    const [next] = branchOn(world.genesis, a.node.chain.tip, 1, { miner: 'other' });
    let feeding: Promise<void> | undefined;
    world.trace.onEntry = (node, kind, detail) => {
      if (node === 'd' && kind === 'block' && detail.startsWith('12 ')) feeding ??= feed(d, [next!]);
    };
    if (isRefused) world.hub.partition([['d'], ['a', 'b']]);
    await d.restart();
    if (isRefused) {
      await startHostilePeer(world, {
        name: 'miser',
        links: ['d'],
        answers: liarAnswers({ status: () => statusLike(a), headers: honestHeaders(a), bodies: noBodies }),
      });
      await world.until('it is behind', () => d.node.sync.isBehind, 20_000);
      await world.until('nobody gives the blocks', () => !d.node.sync.isBehind, 20_000);
      world.hub.healAll();
    }
    const own = (): Vote | undefined =>
      d.node.agreement.rules.votesFrom(13n).find(({ voter }) => voter === simulationKey('d').address);
    await world.until('it votes for the block', () => own() !== undefined, 20_000);
    await feeding;
    expect(own()!.source.height).toBe(6n);
    await expectHealthy(world);
  },
);

test('a voter that catches up keeps its vote where the link to the first peer breaks before the votes', async () => {
  const { world, names, a, d } = await openWithVoterAway();
  let flapped: string | undefined;
  world.trace.onEntry = (node, kind, detail) => {
    if (node !== 'd' || kind !== 'open' || !detail.endsWith('/grapevine/votes/1') || flapped !== undefined) return;
    if (d.height < 12) return;
    flapped = detail.split(' ')[0]!;
    world.hub.partition([[flapped], names.filter((name) => name !== flapped)]);
  };
  await d.restart();
  await world.until('the link breaks', () => flapped !== undefined, 60_000);
  await world.run(5_000);
  world.hub.healAll();
  await world.run(60_000);
  expect(a.agreedHeight).toBe(12);
});

test('FORK-2: the same votes by three of four electors are proof enough, so that the lies above fail for what they are', async () => {
  const world = openWithElectors();
  const { side } = await growBranches(world);
  const path = [world.genesis.entry, ...side.map(({ entry }) => entry)];
  await startLiar(world, side, votesFor(world.genesis, ['v1', 'v2', 'v3'], path));
  await world.untilFinal(1, 10_000, ['a']);
  expect(world.node('a').agreedHeight).toBe(2);
  expect(world.node('a').tipId).toBe(side[1]!.block.header.id);
  await expectHealthy(world);
});

test('FORK-2: votes for a block that a node has already are asked for, whatever less work the peer has built on it', async () => {
  const world = openWithElectors();
  const { side } = await growBranches(world);
  const path = [world.genesis.entry, ...side.map(({ entry }) => entry)];
  const [further] = branchOn(world.genesis, side[1]!.entry, 1, { miner: 'side' });
  const votes = votesFor(world.genesis, ['v1', 'v2', 'v3'], path);
  await startLiar(world, side, votes, further);
  await world.untilFinal(1, 10_000, ['a']);
  expect(world.node('a').agreedHeight).toBe(2);
  await expectHealthy(world);
});

type WriteName = 'commit' | 'saveVotes' | 'saveAgreement' | 'saveOwnVote';

/** Calls `around` for each write of the node's chain, agreement and votes. */
function watchWrites(store: Store, around: (name: WriteName, write: () => Promise<void>) => Promise<void>): Store {
  const inner = boundMethods(store);
  return {
    ...inner,
    commit: (change) => around('commit', () => inner.commit(change)),
    saveVotes: (votes) => around('saveVotes', () => inner.saveVotes(votes)),
    saveAgreement: (certificates, final) => around('saveAgreement', () => inner.saveAgreement(certificates, final)),
    saveOwnVote: (vote, guard) => around('saveOwnVote', () => inner.saveOwnVote(vote, guard)),
  };
}

interface Race {
  readonly world: World;
  readonly a: SimNode;
  /** Its second block is to be final. */
  readonly ours: BuiltBlock[];
  /** Its third block has more work, and is being written while the votes come. */
  readonly theirs: BuiltBlock[];
  /** Writes since the third block was handed in. */
  readonly writes: WriteName[];
  readonly sendVotes: () => void;
  /** Targets that `a` voted for, as a peer hears them, with what was final for `a` then. */
  readonly heard: { readonly target: ChainEntry | undefined; readonly isOnFinal: boolean }[];
}

/**
 * @param crashAt place of the write at which the node dies, from 1, and whether just before or just after it
 */
async function openRace(crashAt?: {
  readonly write: number;
  readonly side: 'before' | 'after';
}): Promise<Race & { readonly run: () => Promise<void> }> {
  const writes: WriteName[] = [];
  let isCounting = false;
  let release = (): void => {};
  let hold: Promise<void> | undefined;
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'off' },
      ...['v1', 'v2', 'v3'].map((name) => ({ name, late: true, mine: 'off' as const })),
    ],
    params: EASY,
    wrapStore: (name, store) =>
      watchWrites(store, async (kind, write) => {
        if (name !== 'a' || !isCounting) return write();
        writes.push(kind);
        const isLast = writes.length === crashAt?.write;
        if (kind === 'commit' && hold !== undefined) {
          const held = hold;
          hold = undefined;
          await held;
        }
        if (isLast && crashAt?.side === 'before') return crash();
        await write();
        if (isLast) crash();
      }),
  });
  const crash = (): void => {
    if (world.node('a').isRunning) world.node('a').kill();
  };
  const { genesis } = world;
  const a = world.node('a');
  const ours = branchOn(genesis, genesis.entry, 2, { miner: 'ours' });
  const theirs = branchOn(genesis, genesis.entry, 3, { miner: 'theirs' });
  const heard: Race['heard'] = [];
  await world.run(60_000);
  await world.start();
  const ear = await startHostilePeer(world, {
    name: 'ear',
    links: ['a'],
    onGossip(message) {
      message.settle('ignore');
      const vote = message.kind === 'vote' ? decodeVote(message.data) : undefined;
      if (vote === undefined || !vote.ok || !a.isRunning || vote.value.voter !== simulationKey('a').address) return;
      const { tree } = a.node.chain;
      const { final } = a.node.agreement;
      heard.push({
        target: tree.get(vote.value.target.id),
        isOnFinal: tree.isAncestor(final.id, vote.value.target.id),
      });
    },
  });
  await world.until('heard', () => ear.peers().length === 1, 5_000);
  await feed(a, ours);
  await feed(a, theirs.slice(0, 2));
  await world.run(1_000);
  const path = [genesis.entry, ...ours.map(({ entry }) => entry)];
  const votes = votesFor(genesis, ['v1', 'v2', 'v3'], path);
  const sendVotes = (): void => {
    for (const { bytes } of votes) {
      a.node.ingest.receiveGossip({ kind: 'vote', from: 'ear', data: bytes, settle() {} });
    }
  };
  return {
    world,
    a,
    ours,
    theirs,
    writes,
    sendVotes,
    heard,
    async run() {
      isCounting = true;
      hold = new Promise((resolve) => {
        release = resolve;
      });
      void a.node.chain.receiveBlock(theirs[2]!.block, 'somebody');
      await world.until('the block is being written', () => writes.length > 0 || !a.isRunning, 1_000);
      if (a.isRunning) sendVotes();
      await world.run(500);
      release();
      await world.run(2_000);
    },
  };
}

test('FORK-1: a block that is being written when its rival becomes final does not displace it', async () => {
  const { world, a, ours, theirs, writes, heard, run } = await openRace();
  const abandonedFinal: unknown[] = [];
  a.node.events.on('reorg', ({ abandoned }) => {
    const { final } = a.node.agreement;
    abandonedFinal.push(...abandoned.filter(({ header }) => header.id === final.id && header.height > 0n));
  });
  await run();
  expect(writes).toContain('saveAgreement');
  expect(a.node.chain.tree.get(theirs[2]!.block.header.id)).toBeDefined();
  expect(a.finalHeight).toBe(1);
  expect(a.node.agreement.final.id).toBe(ours[0]!.block.header.id);
  expect(a.tipId).toBe(ours[1]!.block.header.id);
  expect(abandonedFinal).toEqual([]);
  expect(heard.filter(({ isOnFinal }) => !isOnFinal)).toEqual([]);
  await expectHealthy(world);
});

test('FORK-1: a branch that is being read when its rival becomes final is not moved to at all', async () => {
  let release = (): void => {};
  let hold: Promise<void> | undefined;
  let isHeld = false;
  const world = openWithElectors({
    wrapStore: (_name, store) => ({
      ...boundMethods(store),
      async block(id) {
        if (hold !== undefined) isHeld = true;
        await hold;
        return store.block(id);
      },
    }),
  });
  const { genesis } = world;
  const ours = branchOn(genesis, genesis.entry, 2, { miner: 'ours' });
  const theirs = branchOn(genesis, genesis.entry, 3, { miner: 'theirs' });
  const a = world.node('a');
  await world.run(60_000);
  await world.start();
  await feed(a, [...ours, ...theirs.slice(0, 2)]);
  await a.restart(); // nothing is in memory that a move needs
  const moves: unknown[] = [];
  a.node.events.on('reorg', ({ to }) => moves.push(to));
  hold = new Promise((resolve) => {
    release = resolve;
  });
  const taken = a.node.chain.receiveBlock(theirs[2]!.block, 'somebody');
  await world.until('its branch is read', () => isHeld, 1_000);
  for (const { bytes } of votesFor(genesis, ['v1', 'v2', 'v3'], [genesis.entry, ...ours.map(({ entry }) => entry)])) {
    a.node.ingest.receiveGossip({ kind: 'vote', from: 'somebody', data: bytes, settle() {} });
  }
  await world.run(500);
  expect(a.node.agreement.rules.final.height).toBe(1n);
  hold = undefined;
  release();
  expect((await world.clock.runUntilSettled(taken, 1_000)).kind).toBe('accept');
  await world.run(500);
  expect(moves).toEqual([]);
  expect(a.tipId).toBe(ours[1]!.block.header.id);
  expect(a.finalHeight).toBe(1);
  expect(a.node.chain.tree.get(theirs[2]!.block.header.id)).toBeDefined();
  await expectHealthy(world);
});

/** How many writes there are between the better block's and the end, found out by letting it run. */
test('after a crash at any point in between it starts on the final block, and votes for none without it', async () => {
  const calm = await openRace();
  await calm.run();
  const { length } = calm.writes;
  expect(length).toBeGreaterThanOrEqual(4);
  for (let write = 1; write <= length; write++) {
    for (const side of ['before', 'after'] as const) {
      const { world, a, ours, sendVotes, heard, run } = await openRace({ write, side });
      let told = 0n;
      a.node.events.on('final', ({ checkpoint }) => {
        told = checkpoint.height;
      });
      await run();
      const at = `${side} write ${write} of ${length}`;
      expect(a.isRunning, at).toBe(false);
      heard.length = 0;
      await a.start();
      await world.run(3_000);
      expect(a.node.agreement.final.height, at).toBeGreaterThanOrEqual(told);
      const { tree, tip } = a.node.chain;
      expect(tree.isAncestor(a.node.agreement.final.id, tip.header.id), at).toBe(true);
      sendVotes(); // what it had not written, others still know
      await world.run(3_000);
      expect(a.node.agreement.final.id, at).toBe(ours[0]!.block.header.id);
      expect(a.tipId, at).toBe(ours[1]!.block.header.id);
      expect(
        heard.filter(({ isOnFinal }) => !isOnFinal),
        at,
      ).toEqual([]);
      const stored = await a.store.load(world.genesis.chainId);
      expect(stored?.final, at).toEqual(a.node.agreement.final);
      await expectHealthy(world);
    }
  }
});

test.each(['is refused', 'hangs until the process is killed'])(
  'certificates whose write %s are on disk afterwards, and a new node learns everything',
  async (how) => {
    let saves = 0;
    let isBroken = false;
    const world = openWorld({
      nodes: [
        { name: 'a', mine: 'on-demand' },
        { name: 'new', mine: 'off', voter: false, late: true },
      ],
      wrapStore: (name, store) => ({
        ...boundMethods(store),
        async saveAgreement(certificates, final) {
          if (name === 'a') {
            saves += 1;
            if (saves === 5) isBroken = true;
            if (isBroken && how === 'is refused') throw new StoreError('full', 'no space left on device');
            if (isBroken) return new Promise<void>(() => {});
          }
          await store.saveAgreement(certificates, final);
        },
      }),
    });
    await world.start();
    const a = world.node('a');
    const mine = async (count: number): Promise<void> => {
      const { tip } = a.node.chain;
      for (let mined = 1; mined <= count; mined++) {
        const block = branchOn(world.genesis, a.node.chain.tip, 1, { miner: 'a' });
        await world.run(world.genesis.params.blockTimeMs);
        void feed(a, block).catch(() => undefined);
        await world.run(1_000);
      }
      expect(a.node.chain.tip.header.height).toBeGreaterThan(tip.header.height);
    };
    await mine(5);
    expect(isBroken).toBe(true);
    if (how === 'is refused') isBroken = false;
    else {
      a.kill();
      isBroken = false;
      await a.start();
      await world.run(1_000);
    }
    await mine(3);
    const height = a.height;
    expect(a.agreedHeight).toBe(height);
    expect(a.finalHeight).toBe(height - 1);
    for (let at = 1n; at <= BigInt(height); at++) {
      expect((await a.store.certificate(at))?.target.height, `certificate ${at}`).toBe(at);
    }
    await world.node('new').start();
    await world.untilFinal(height - 1, 30_000, ['new']);
    expect(world.node('new').agreedHeight).toBe(height);
    for (let at = 1n; at <= BigInt(height); at++) {
      expect((await world.node('new').store.certificate(at))?.target.height, `certificate ${at} there`).toBe(at);
    }
    for (const each of world.running) expect(await each.internalErrors(), each.name).toBe(0);
  },
);

test.each(['the vote', 'what it proves'])(
  'on a quiet net %s is written as soon as the disk takes it again: nothing else may come that would ask',
  async (what) => {
    let isFull = false;
    const refused = () => Promise.reject(new StoreError('full', 'no space left on device'));
    const world = openWorld({
      nodes: [{ name: 'a', mine: 'on-demand' }],
      wrapStore: (_name, store) => ({
        ...boundMethods(store),
        saveOwnVote: (...args) => (isFull && what === 'the vote' ? refused() : store.saveOwnVote(...args)),
        saveAgreement: (...args) => (isFull && what !== 'the vote' ? refused() : store.saveAgreement(...args)),
      }),
    });
    await world.start();
    const a = world.node('a');
    const mineOne = () => void a.node.mining.mine(1, new AbortController().signal);
    mineOne();
    await world.until('agreed', () => a.agreedHeight === 1, 60_000);
    isFull = true;
    mineOne();
    await world.until('mined', () => a.height === 2, 60_000);
    await world.run(60_000);
    expect(a.agreedHeight).toBe(1);
    expect(a.node.missing().join()).toMatch(what === 'the vote' ? /^vote: no space left/ : /^store: no space left/);
    isFull = false;
    await world.until('agreed too', () => a.agreedHeight === 2, 60_000);
    expect(a.node.missing()).toEqual([]);
    expect(a.finalHeight).toBe(1);
  },
);
