/** The agreement's record on disk, where others speak before the node has finished starting. */
import { expect, test } from 'vitest';
import { Agreement } from '../../../chain/agreement.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import { voteDigest } from '../../../chain/codec.ts';
import { signVote } from '../../../chain/sign.ts';
import type { BlockId, Checkpoint, Vote } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { signDigest } from '../../../crypto/sign.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import { AgreementService, type AgreementServiceDeps } from '../../../node/agreement/agreement-service.ts';
import { EventBus } from '../../../node/events.ts';
import type { Clock, Network } from '../../../node/ports.ts';
import { StoreError } from '../../../node/store/store.ts';
import { createInlineVerifier } from '../../../node/verify/inline-verifier.ts';
import { silentLogger } from '../../loggers.ts';
import { composeFixture, fixtureGenesis, networkOfOnePeer } from '../../node-fixture.ts';
import { branchOn, checkpointOf } from '../../sim/chain-builder.ts';
import { alice, bob } from '../chain/chain-fixtures.ts';
import { openMemoryStore, unclosed } from '../store/open-store.ts';

const genesis = fixtureGenesis([alice.address, bob.address]);
const verifier = createInlineVerifier(nobleBackend, createSystemClock());
/** A store that has nothing, and takes everything. */
const emptyStore: AgreementServiceDeps['store'] = {
  voteGuard: async () => undefined,
  saveVotes: async () => {},
  saveOwnVote: async () => {},
  saveAgreement: async () => {},
  saveEvidence: async () => {},
};

test('what stored votes prove is written before what the first peer proves: the final block on disk never goes back', async () => {
  const store = await openMemoryStore();
  const before = await composeFixture({ genesis, store: unclosed(store), verifier });
  const blocks = branchOn(genesis, genesis.entry, 4, { miner: 'm' });
  for (const { block } of blocks) {
    expect(await before.node.chain.receiveBlock(block, 'mined')).toMatchObject({ kind: 'accept' });
  }
  await before.node.stop();
  const checkpoints = [genesis.entry, ...blocks.map(({ entry }) => entry)].map(checkpointOf);
  const vote = (source: number, target: number): Vote =>
    signVote({ chainId: genesis.chainId, source: checkpoints[source]!, target: checkpoints[target]! }, alice.secretKey);
  await store.saveVotes([vote(0, 1), vote(1, 2)]); // killed before what they prove was written: 1 is final

  const storedFinal = async () => (await store.load(genesis.chainId))?.final.height;
  const start: Network['start'] = async ({ onGossip }) => {
    for (const { bytes } of [vote(2, 3), vote(3, 4)]) {
      onGossip({ kind: 'vote', from: 'peer', data: bytes, settle: () => {} });
    }
    await expect.poll(storedFinal, { interval: 1, timeout: 5_000 }).toBe(3n);
  };
  const network = { ...networkOfOnePeer(new Map()), start };
  const told: bigint[] = [];
  const { node } = await composeFixture({
    genesis,
    store: unclosed(store),
    verifier,
    network,
    onComposed: ({ events }) => events.on('final', ({ checkpoint }) => told.push(checkpoint.height)),
  });
  await node.agreement.settled();
  expect(node.agreement.final.height).toBe(3n);
  expect(await storedFinal()).toBe(3n);
  for (const height of [1n, 2n, 3n, 4n]) expect((await store.certificate(height))?.target.height).toBe(height);
  expect(told).toEqual([...told].sort((a, b) => Number(a - b)));
  await node.stop();

  const after = await composeFixture({ genesis, store: unclosed(store), verifier });
  expect(after.node.agreement.rules.final.height).toBe(3n);
  await after.node.stop();
});

test('a node that fails to start with a full disk tries nothing again', async () => {
  const root: Checkpoint = { height: 0n, id: genesis.entry.header.id };
  const target: Checkpoint = { height: 1n, id: 'aa'.repeat(32) as BlockId };
  let waiting = 0;
  const system = createSystemClock();
  const clock: Clock = {
    ...system,
    after(delayMs, fn) {
      waiting += 1;
      const cancel = system.after(delayMs, fn);
      return () => {
        waiting -= 1;
        cancel();
      };
    },
  };
  const tree = new BlockTree([genesis.entry]);
  tree.setTip(root.id);
  const service = new AgreementService(
    {
      agreement: new Agreement({ electorate: genesis.electorate, genesis: root, checkpointInterval: 1 }),
      chain: { tree, genesis, tip: genesis.entry, reconsiderTip: async () => {}, afterAgreement: (save) => save() },
      store: {
        ...emptyStore,
        saveAgreement: () => Promise.reject(new StoreError('full', 'no space left on device')),
      },
      events: new EventBus(() => {}),
      clock,
      logger: silentLogger,
      publish: () => {},
      publishEvidence: () => {},
      voter: undefined,
      mayVote: () => true,
      onFailure: () => {},
    },
    { final: root, certificates: [] },
    { agreed: [{ source: root, target, votes: [] }] },
  );
  await service.follow();
  await service.settled();
  expect(waiting).toBe(1);
  await service.stop(); // as what was begun before the network is, where that does not start
  expect(waiting).toBe(0);
});

test('the own vote is signed by the backend that is given', async () => {
  const root = checkpointOf(genesis.entry);
  const tip = branchOn(genesis, genesis.entry, 1, { miner: 'm' })[0]!.entry;
  const tree = new BlockTree([genesis.entry, tip]);
  tree.setTip(tip.header.id);
  const signed: string[] = [];
  const published: Vote[] = [];
  const service = new AgreementService(
    {
      agreement: new Agreement({ electorate: genesis.electorate, genesis: root, checkpointInterval: 1 }),
      chain: { tree, genesis, tip, reconsiderTip: async () => {}, afterAgreement: async () => {} },
      store: emptyStore,
      events: new EventBus(() => {}),
      clock: createSystemClock(),
      logger: silentLogger,
      publish: (vote) => published.push(vote),
      publishEvidence: () => {},
      voter: alice,
      sign(digest, secretKey) {
        signed.push(Buffer.from(digest).toString('hex'));
        return signDigest(digest, secretKey);
      },
      mayVote: () => true,
      onFailure: () => {},
    },
    { final: root, certificates: [] },
    { agreed: [] },
  );
  await service.follow();
  service.start();
  await service.stop();
  const expected = signVote({ chainId: genesis.chainId, source: root, target: checkpointOf(tip) }, alice.secretKey);
  expect(published).toEqual([expected]);
  expect(signed).toEqual([Buffer.from(voteDigest(expected)).toString('hex')]);
});
