import { describe, expect, test } from 'vitest';
import { Agreement } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import { encodeEvidence, makeVote } from '../../../chain/codec.ts';
import { makeEvidence } from '../../../chain/evidence.ts';
import { signVote } from '../../../chain/sign.ts';
import type { ChainEntry, Evidence, Vote } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { AgreementService } from '../../../node/agreement/agreement-service.ts';
import { EventBus } from '../../../node/events.ts';
import { createMetrics } from '../../../node/metrics.ts';
import { OBJECT_CODEC } from '../../../node/object-codec.ts';
import { Ingest } from '../../../node/pipeline/ingest.ts';
import type { SignatureItem, TopicKind } from '../../../node/ports.ts';
import { silentLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';
import { checkpointOf, childOf } from '../../tree-fixtures.ts';
import { alice, bob, carol, genesis, miner as stranger, type TestKey } from '../chain/chain-fixtures.ts';

const ROOT: ChainEntry = genesis.entry;
const one = childOf(ROOT, { salt: 1 });
const twin = childOf(ROOT, { salt: 2 });
const two = childOf(one);

const vote = (key: TestKey, source: ChainEntry, target: ChainEntry): Vote =>
  signVote({ chainId: genesis.chainId, source: checkpointOf(source), target: checkpointOf(target) }, key.secretKey);
const double = (key: TestKey): Evidence => makeEvidence(vote(key, ROOT, one), vote(key, ROOT, twin))!;

/** What votes and evidence have nothing to ask for. */
function unasked(): never {
  throw new Error('votes and evidence need no blocks, transactions or streams');
}

/** Spine and agreement with everything around them left out: what is stored, published and emitted is kept. */
function openNode() {
  const clock = new ManualClock();
  const metrics = createMetrics({ processMetrics: false });
  const events = new EventBus((error) => {
    throw error;
  });
  const tree = new BlockTree([ROOT, one, twin, two]);
  tree.setTip(two.header.id);
  const saved: Evidence[] = [];
  const published: { readonly kind: TopicKind; readonly data: Uint8Array }[] = [];
  const emitted: Evidence[] = [];
  let verified = 0;
  events.on('evidence', ({ evidence }) => emitted.push(evidence));
  const agreement = new AgreementService(
    {
      agreement: new Agreement({
        electorate: genesis.electorate,
        genesis: checkpointOf(ROOT),
        checkpointInterval: genesis.params.checkpointInterval,
      }),
      chain: { tree, genesis, tip: tree.tip, reconsiderTip: unasked, afterAgreement: unasked },
      store: {
        voteGuard: unasked,
        saveVotes: async () => {},
        saveOwnVote: unasked,
        saveAgreement: unasked,
        saveEvidence: async (evidence) => void saved.push(evidence),
      },
      events,
      clock,
      logger: silentLogger,
      publish: () => {},
      publishEvidence: (evidence) => ingest.publishEvidence(evidence),
      voter: undefined,
      mayVote: () => false,
      onFailure: (error) => {
        throw error;
      },
    },
    { final: checkpointOf(ROOT), certificates: [] },
    { agreed: [] },
  );
  const ingest: Ingest = new Ingest({
    chainId: genesis.chainId,
    params: genesis.params,
    chain: {
      tree,
      tip: tree.tip,
      checkHeader: unasked,
      hasFairWork: unasked,
      recentBlock: unasked,
      txsAbove: unasked,
      receiveBlock: unasked,
    },
    mempool: {
      get pool() {
        return unasked();
      },
      isVerified: unasked,
      screen: unasked,
      add: unasked,
    },
    agreement,
    verifier: {
      verify: async (items: readonly SignatureItem[]) => {
        verified += items.length;
        return items.map((item) => nobleBackend.verify(item));
      },
    },
    codec: OBJECT_CODEC,
    network: {
      isRefused: () => false,
      publish: async (kind, data) => {
        published.push({ kind, data });
        return { kind: 'sent', recipients: 1 };
      },
      open: unasked,
      penalize: unasked,
      disconnect: unasked,
    },
    clock,
    events,
    metrics,
    logger: silentLogger,
    rng: { unit: () => 0, bytes: (length) => new Uint8Array(length) },
    onOrphan: () => {},
    onBlockMissed: () => {},
    peersWith: () => [],
    onEarlyHeader: () => {},
    isCatchingUp: () => false,
    onGap: () => {},
  });
  /** What the spine answers to a gossip message: its outcome to the network, and the reason that is counted. */
  const gossip = async (kind: TopicKind, data: Uint8Array): Promise<string> => {
    metrics.verdicts.reset();
    const settled = new Promise<string>((resolve) =>
      ingest.receiveGossip({ kind, from: 'peer', data, settle: resolve }),
    );
    clock.advance(0);
    const outcome = await settled;
    const [counted] = (await metrics.verdicts.get()).values;
    await agreement.settled();
    return `${outcome} ${counted?.labels.reason}`.trim();
  };
  /** The outcomes of votes that wait together. */
  const gossipTogether = async (votes: readonly Uint8Array[]): Promise<readonly string[]> => {
    const settled = votes.map(
      (data) =>
        new Promise<string>((resolve) => ingest.receiveGossip({ kind: 'vote', from: 'peer', data, settle: resolve })),
    );
    clock.advance(0);
    const outcomes = await Promise.all(settled);
    await metrics.verdicts.get(); // what is counted until now is not `gossip`'s
    return outcomes;
  };
  return { agreement, ingest, gossip, gossipTogether, saved, published, emitted, verified: () => verified };
}

test('of votes of one turn each has the answer that is its own', async () => {
  const node = openNode();
  const [good, another] = [vote(alice, ROOT, one), vote(carol, ROOT, one)];
  const forged = makeVote(vote(bob, ROOT, one), vote(alice, ROOT, two).signature);
  const turn: readonly (readonly [Uint8Array, string])[] = [
    [good.bytes.subarray(1), 'reject'],
    [good.bytes, 'accept'],
    [vote(stranger, ROOT, one).bytes, 'reject'],
    [forged.bytes, 'reject'],
    [another.bytes, 'accept'],
  ];
  expect(await node.gossipTogether(turn.map(([bytes]) => bytes))).toEqual(turn.map(([, outcome]) => outcome));
  expect(node.verified()).toBe(3);
  expect(await node.gossip('vote', good.bytes)).toBe('ignore vote/known');
  expect(await node.gossip('vote', forged.bytes)).toBe('reject vote/bad-signature');
});

describe('votes', () => {
  const good = vote(alice, ROOT, one);
  const forged = makeVote(good, vote(bob, ROOT, one).signature);
  const foreign = signVote({ ...good, chainId: '11'.repeat(32) as Vote['chainId'] }, alice.secretKey);

  test('VOTE-1..VOTE-6, VOTE-10 by gossip: each fault has its verdict and reason', async () => {
    const node = openNode();
    expect(await node.gossip('vote', good.bytes.subarray(1))).toBe('reject vote/malformed');
    expect(await node.gossip('vote', foreign.bytes)).toBe('reject vote/wrong-chain');
    expect(await node.gossip('vote', vote(alice, one, ROOT).bytes)).toBe('reject vote/bad-span');
    expect(await node.gossip('vote', vote(stranger, ROOT, one).bytes)).toBe('reject vote/not-elector');
    expect(node.verified()).toBe(0); // so far nothing was worth a signature check
    expect(await node.gossip('vote', forged.bytes)).toBe('reject vote/bad-signature');
    expect(node.agreement.rules.votesAt(1n)).toEqual([]);
    expect(await node.gossip('vote', good.bytes)).toBe('accept');
    const before = node.verified();
    expect(await node.gossip('vote', good.bytes)).toBe('ignore vote/known');
    expect(node.verified()).toBe(before);
    expect(await node.gossip('vote', vote(bob, twin, two).bytes)).toBe('ignore vote/not-on-chain');
  });

  test.each([
    ['VOTE-1', good.bytes.subarray(1), 'vote/malformed'],
    ['VOTE-2', foreign.bytes, 'vote/wrong-chain'],
    ['VOTE-3', vote(stranger, ROOT, one).bytes, 'vote/not-elector'],
    ['VOTE-4', vote(alice, one, ROOT).bytes, 'vote/bad-span'],
    ['VOTE-5', forged.bytes, 'vote/bad-signature'],
  ])('%s: none of an answer is taken where one is bad', async (_rule, bad, reason) => {
    const node = openNode();
    expect(await node.ingest.receiveVotes([vote(bob, ROOT, one).bytes, bad])).toBe(reason);
    expect(node.agreement.rules.votesAt(1n)).toEqual([]);
  });
});

describe('evidence by gossip', () => {
  test('is stored, told, and forwarded by its verdict only; the votes of the offender count no more', async () => {
    const node = openNode();
    for (const key of [alice, bob]) expect(await node.gossip('vote', vote(key, ROOT, one).bytes)).toBe('accept');
    expect(node.agreement.rules.votesAt(1n)[0]?.voters).toHaveLength(2);
    expect(await node.gossip('evidence', encodeEvidence(double(alice)))).toBe('accept');
    expect(node.saved).toEqual([double(alice)]);
    expect(node.emitted).toEqual([double(alice)]);
    expect(node.published).toEqual([]);
    expect(node.agreement.rules.votesAt(1n)[0]?.voters).toEqual([bob.address]);
    expect(await node.gossip('vote', vote(alice, one, two).bytes)).toBe('ignore vote/offender');
  });

  test('EVID-1..EVID-6: each fault has its verdict and reason', async () => {
    const node = openNode();
    const good = double(alice);
    const bytes = encodeEvidence(good);
    const elsewhere = (target: ChainEntry): Vote =>
      signVote(
        { chainId: '11'.repeat(32) as Vote['chainId'], source: checkpointOf(ROOT), target: checkpointOf(target) },
        alice.secretKey,
      );
    const forged = makeEvidence(good.first, makeVote({ ...good.second }, good.first.signature))!;
    const harmless = encodeEvidence({ ...good, first: vote(alice, ROOT, one), second: vote(alice, one, two) });
    expect(await node.gossip('evidence', bytes.subarray(1))).toBe('reject evidence/malformed');
    expect(await node.gossip('evidence', encodeEvidence(makeEvidence(elsewhere(one), elsewhere(twin))!))).toBe(
      'reject evidence/wrong-chain',
    );
    expect(await node.gossip('evidence', encodeEvidence(double(stranger)))).toBe('reject evidence/not-elector');
    expect(await node.gossip('evidence', harmless)).toBe('reject evidence/not-contradictory');
    expect(node.verified()).toBe(0); // so far nothing was worth a signature check
    expect(await node.gossip('evidence', encodeEvidence(forged))).toBe('reject evidence/bad-signature');
    expect(node.agreement.rules.evidence).toEqual([]);
    expect(await node.gossip('evidence', bytes)).toBe('accept');
    const before = node.verified();
    expect(await node.gossip('evidence', bytes)).toBe('ignore evidence/known');
    expect(node.verified()).toBe(before);
  });
});

describe('evidence from elsewhere is published', () => {
  test('when two votes show it', async () => {
    const node = openNode();
    await node.gossip('vote', vote(bob, ROOT, one).bytes);
    expect(await node.gossip('vote', vote(bob, ROOT, twin).bytes)).toBe('accept');
    expect(node.published).toEqual([{ kind: 'evidence', data: encodeEvidence(double(bob)) }]);
    expect(node.saved).toEqual([double(bob)]);
  });

  test('when it comes from a peer’s store, but not what is known', async () => {
    const node = openNode();
    const page = [double(alice), double(carol)].map(encodeEvidence);
    expect(await node.ingest.receiveEvidence(page)).toBeUndefined();
    expect(node.published).toHaveLength(2);
    expect(await node.ingest.receiveEvidence(page)).toBeUndefined();
    expect(node.published).toHaveLength(2);
    expect(await node.ingest.receiveEvidence([new Uint8Array(3)])).toBe('evidence/malformed');
  });

  test('in pages, in order of the voters’ addresses', async () => {
    const node = openNode();
    await node.ingest.receiveEvidence([alice, bob, carol].map(double).map(encodeEvidence));
    const ordered = [alice, bob, carol].map(({ address }) => address).sort();
    const first = node.agreement.evidenceAfter('', 2).map(({ voter }) => voter);
    expect(first).toEqual(ordered.slice(0, 2));
    expect(node.agreement.evidenceAfter(first[1]!, 2).map(({ voter }) => voter)).toEqual(ordered.slice(2));
  });
});
