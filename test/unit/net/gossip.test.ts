import { Registry } from 'prom-client';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { chainIdFromBytes } from '../../../chain/codec.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import { Gossip } from '../../../node/net/gossip.ts';
import type { GossipOptions } from '../../../node/net/gossip-settings.ts';
import type { CreateGossipsubOptions, GossipSubComponents } from '../../../node/net/gossipsub.ts';
import { PUBLIC_NETWORK } from '../../../node/net/libp2p-network.ts';
import { meshDegrees } from '../../../node/net/mesh-degrees.ts';
import { topicName } from '../../../node/net/topics.ts';
import type { Clock, GossipMessage, TopicKind } from '../../../node/ports.ts';
import { silentLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';

/** The default of a second is too little beside other work. */
const WAIT = { timeout: 20_000 };

const CHAIN_ID = chainIdFromBytes(new Uint8Array(32));

/**
 * Gossipsub as far as sending what waited goes, and handing in what comes: it has a subscriber when the test says so, and
 * fails at some data.
 */
class FakeRouter extends EventTarget {
  hasSubscriber = false;
  readonly failing = new Set<string>();
  readonly sent: string[] = [];
  readonly streamsOutbound = new Map([['peer', {}]]);
  readonly opts: Record<string, number> = {};
  readonly seenCache = { entries: new Map<string, unknown>() };
  appScore: (peer: string) => number = () => 0;
  mayReceive: CreateGossipsubOptions['mayReceive'] = () => true;
  reportMessageValidationResult = () => undefined;
  isStarted = () => true;
  subscribe = () => undefined;
  getSubscribers = () => (this.hasSubscriber ? ['peer'] : []);
  async publish(_topic: string, data: Uint8Array): Promise<{ readonly recipients: readonly string[] }> {
    const text = new TextDecoder().decode(data);
    if (this.failing.has(text)) throw new Error('stream broke');
    this.sent.push(text);
    return { recipients: ['peer'] };
  }
  heartbeat(): void {
    this.dispatchEvent(new Event('gossipsub:heartbeat'));
  }
  flush(): void {
    this.dispatchEvent(new Event('gossipsub:graft'));
  }
  /** A message in an RPC of its own, if it may come. Each is another. */
  receive(from: string, kind: TopicKind): void {
    if (!this.mayReceive(from, 2)) return;
    const msgId = String(this.#received++);
    const msg = { topic: topicName(CHAIN_ID, kind), data: bytesOf(msgId) };
    this.dispatchEvent(new CustomEvent('gossipsub:message', { detail: { propagationSource: from, msgId, msg } }));
  }
  #received = 0;
}

let router: FakeRouter;
vi.mock('../../../node/net/gossipsub.ts', async (original) => ({
  ...(await original<typeof import('../../../node/net/gossipsub.ts')>()),
  createGossipsub: ({ settings, mayReceive }: CreateGossipsubOptions) => {
    router.appScore = settings.scoreParams!.appSpecificScore!;
    router.mayReceive = mayReceive;
    return router;
  },
}));

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function setUp(options: Partial<GossipOptions> = {}, clock: Clock = createSystemClock()) {
  const registry = new Registry();
  const handedIn: GossipMessage[] = [];
  const tooMuch: string[] = [];
  const gossip = new Gossip({
    chainId: CHAIN_ID,
    options: { ...PUBLIC_NETWORK.gossip, ...options },
    clock,
    logger: silentLogger,
    metricsRegistry: registry,
    penaltyPoints: () => 0,
    isRefused: () => false,
    onMessage: (message) => handedIn.push(message),
    onHandlerFailure: (error) => {
      throw error;
    },
    onReject: () => undefined,
    onStreamLost: () => undefined,
    onGraylisted: () => undefined,
    onTooMuch: (peer) => tooMuch.push(peer),
  });
  const connectionManager = { getConnections: () => [] };
  gossip.service({ peerId: 'c', connectionManager } as unknown as GossipSubComponents);
  gossip.start();
  const metric = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values[0]?.value;
  const counts = async () => ({
    queued: await metric('grapevine_gossip_queued'),
    dropped: await metric('grapevine_gossip_dropped_total'),
  });
  return { gossip, counts, handedIn, tooMuch };
}

describe('own messages that wait for a peer', () => {
  beforeEach(() => {
    router = new FakeRouter();
  });

  it('are not lost with one that cannot be sent: that one is counted, the others go with the next flush', async () => {
    const { gossip, counts } = setUp();
    for (const text of ['a', 'b', 'c', 'd']) await gossip.publish('tx', bytesOf(text));
    router.hasSubscriber = true;
    router.failing.add('b');
    router.flush();
    await vi.waitFor(async () => expect(await counts()).toEqual({ queued: 2, dropped: 1 }), WAIT);
    expect(router.sent).toEqual(['a']);
    router.flush();
    await vi.waitFor(() => expect(router.sent).toEqual(['a', 'c', 'd']), WAIT);
    expect(await counts()).toEqual({ queued: 0, dropped: 1 });
  });

  it('are kept within the bounds with what came while they were sent', async () => {
    const { gossip, counts } = setUp({ maxQueued: 3 });
    for (const text of ['a', 'b', 'c']) await gossip.publish('tx', bytesOf(text));
    router.hasSubscriber = true;
    router.failing.add('a');
    router.flush();
    router.hasSubscriber = false;
    for (const text of ['d', 'e']) await gossip.publish('tx', bytesOf(text));
    await vi.waitFor(async () => expect(await counts()).toEqual({ queued: 3, dropped: 2 }), WAIT); // a failed, b was oldest
    router.hasSubscriber = true;
    router.flush();
    await vi.waitFor(() => expect(router.sent).toEqual(['c', 'd', 'e']), WAIT);
  });
});

describe('what comes and has no verdict yet', () => {
  const LIMITS = { maxUnsettledPerPeer: 2, maxUnsettled: 3, maxUnsettledBlocksPerPeer: 1 };

  beforeEach(() => {
    router = new FakeRouter();
  });

  it('of transactions takes no room of votes, evidence and blocks: neither its sender’s nor others’', () => {
    const { handedIn } = setUp(LIMITS);
    for (const from of ['a', 'a', 'a', 'b', 'b']) router.receive(from, 'tx');
    expect(handedIn.map(({ from }) => from)).toEqual(['a', 'a', 'b']);
    for (const from of ['a', 'b'])
      for (const kind of ['vote', 'evidence', 'vote', 'block'] as const) router.receive(from, kind);
    const kinds = ['vote', 'evidence', 'block'];
    expect(handedIn.slice(3).map(({ from, kind }) => [from, kind])).toEqual([
      ...kinds.map((kind) => ['a', kind]),
      ...kinds.map((kind) => ['b', kind]),
    ]);
    handedIn[0]!.settle('ignore');
    router.receive('b', 'tx');
    router.receive('a', 'tx');
    expect(handedIn.slice(9).map(({ from, kind }) => [from, kind])).toEqual([['b', 'tx']]);
  });

  it('where a node is slow has nobody hung up on who sends what the net sends', () => {
    const clock = new ManualClock();
    const { handedIn, tooMuch } = setUp({}, clock);
    for (let second = 0; second < 20; second++) {
      for (let at = 0; at < 1_500; at++) router.receive('a', 'tx');
      clock.advance(1_000);
    }
    expect(handedIn).toHaveLength(PUBLIC_NETWORK.gossip.maxUnsettledPerPeer);
    expect(tooMuch).toHaveLength(0);
  });

  it('has its sender hung up on where it sends again and again what has to be forgotten', () => {
    const clock = new ManualClock();
    const { tooMuch } = setUp({}, clock);
    for (let at = 0; at < 6_000; at++) router.receive('a', 'vote');
    expect(tooMuch.length).toBeGreaterThan(0);
  });
});

describe('a closed net', () => {
  const NET = ['a', 'b', 'c', 'd', 'e'];
  const { D, Dlo, Dhi, Dout } = meshDegrees(3);
  const usual = { D, Dlo, Dhi, Dout, Dscore: Dlo };
  const thin = { D: 2, Dlo: 2, Dhi: 2, Dout: 0, Dscore: 2 };
  const meet = (...peers: readonly string[]): void => {
    router.streamsOutbound.clear();
    for (const peer of peers) router.streamsOutbound.set(peer, {});
    router.heartbeat();
  };
  const preferred = (): readonly string[] => NET.filter((peer) => router.appScore(peer) > 0);

  beforeEach(() => {
    router = new FakeRouter();
  });

  it('takes its thin mesh a heartbeat after it prefers by it, as scores are kept so long, and the usual one at once', () => {
    setUp({ ...meshDegrees(3), closedNet: NET });
    meet('a', 'b', 'd');
    expect([router.opts, preferred()]).toEqual([usual, []]);
    meet('a', 'b', 'd', 'e');
    expect([router.opts, preferred()]).toEqual([usual, ['b', 'd']]);
    meet('a', 'b', 'd', 'e');
    expect([router.opts, preferred()]).toEqual([thin, ['b', 'd']]);
    meet('a', 'b', 'd');
    expect([router.opts, preferred()]).toEqual([usual, []]);
    meet('a', 'b', 'd', 'stranger');
    meet('a', 'b', 'd', 'stranger');
    expect([router.opts, preferred()]).toEqual([usual, []]);
  });

  it('is asked for: others keep what gossipsub was told', () => {
    setUp(meshDegrees(3));
    meet('a', 'b', 'd', 'e');
    meet('a', 'b', 'd', 'e');
    expect([router.opts, preferred()]).toEqual([{}, []]);
  });
});
