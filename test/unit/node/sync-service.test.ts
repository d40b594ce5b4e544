/** Sync at its edges: while the node still starts, and with peers that are gone before their answer is read. */
import { expect, test } from 'vitest';
import type { BlockId } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { GrapevineNode } from '../../../node/compose.ts';
import type { FrameStream, Network } from '../../../node/ports.ts';
import * as messages from '../../../node/sync/messages.ts';
import { STATUS } from '../../../node/sync/protocols.ts';
import { createInlineVerifier } from '../../../node/verify/inline-verifier.ts';
import { blockMessage, composeFixture, fixtureGenesis, networkOfOnePeer } from '../../node-fixture.ts';
import { branchOn } from '../../sim/chain-builder.ts';
import { alice, bob } from '../chain/chain-fixtures.ts';
import { openMemoryStore } from '../store/open-store.ts';

const genesis = fixtureGenesis([alice.address, bob.address]);
const verifier = createInlineVerifier(nobleBackend, createSystemClock());

test('a child that comes before its parent while the node still starts is taken with it', async () => {
  const [parent, child] = branchOn(genesis, genesis.entry, 2, { miner: 'm' });
  const store = await openMemoryStore();
  const tip = async () => (await store.load(genesis.chainId))?.tip;
  const start: Network['start'] = async ({ onGossip }) => {
    await new Promise<void>((resolve) =>
      onGossip({ kind: 'block', from: 'peer', data: blockMessage(child!.block), settle: () => resolve() }),
    );
    onGossip({ kind: 'block', from: 'peer', data: blockMessage(parent!.block), settle: () => {} });
    await expect.poll(tip, { interval: 1, timeout: 5_000 }).not.toBe(genesis.entry.header.id);
  };
  const network = { ...networkOfOnePeer(new Map()), start };
  const { node } = await composeFixture({ genesis, store, verifier, network });
  await expect.poll(() => node.chain.tip.header.id, { interval: 1, timeout: 5_000 }).toBe(child!.block.header.id);
  await node.stop();
});

test('the status of a peer that is gone before it is read is not kept: nothing would clean it up', async () => {
  let isConnected = true;
  let answerStatus: (stream: FrameStream) => Promise<void> = () => Promise.reject(new Error('not registered'));
  const network: Network = {
    ...networkOfOnePeer(new Map()),
    peers: () =>
      isConnected
        ? [{ peer: 'peer', address: '', direction: 'inbound' as const, connectedAtMs: 0, mesh: [], score: 0 }]
        : [],
    handle(protocol, handler) {
      if (protocol === STATUS) answerStatus = handler;
    },
  };
  const { node } = await composeFixture({ genesis, store: await openMemoryStore(), verifier, network });
  const tip = { height: 0n, id: genesis.entry.header.id as BlockId };
  const status = {
    chainId: genesis.chainId,
    software: 'test/1',
    tip,
    totalWork: 1n,
    agreed: tip,
    final: tip,
    offenders: node.agreement.rules.offendersDigest,
    mempool: node.mempool.pool.digest.fingerprint(),
  };
  const ask = (whileAnswered: () => void): Promise<void> =>
    answerStatus({
      peer: 'peer',
      frames: (async function* () {
        yield messages.encodeStatus(status);
      })(),
      send: async () => whileAnswered(),
      close: () => Promise.resolve(),
      abort() {},
    });
  await ask(() => {});
  expect(node.sync.statusOf('peer')).toEqual(status);
  node.sync.onPeerDisconnected('peer');
  await ask(() => {
    isConnected = false;
  });
  expect(node.sync.statusOf('peer')).toBeUndefined();
  await node.stop();
});

test.each<[string, (node: GrapevineNode) => unknown]>([
  ['when its peer is gone', ({ sync }) => sync.onPeerDisconnected('peer')],
  ['when the node stops', (node) => node.stop()],
])('the stream for statuses is kept, and let go %s', async (_when, act) => {
  const tip = { height: 0n, id: genesis.entry.header.id };
  const theirs = { chainId: genesis.chainId, software: 'test/1', tip, totalWork: 1n, agreed: tip, final: tip };
  const answer = messages.encodeStatus({ ...theirs, offenders: '00'.repeat(32), mempool: '00'.repeat(8) });
  let [opened, asked, aborted] = [0, 0, 0];
  const view = { peer: 'peer', address: '', direction: 'inbound' as const, connectedAtMs: 0, mesh: [], score: 0 };
  const network: Network = {
    ...networkOfOnePeer(new Map()),
    peers: () => [view],
    async open(peer, protocol) {
      if (protocol !== STATUS) throw new Error(`does not speak ${protocol.name}`);
      opened += 1;
      return {
        peer,
        frames: (async function* () {
          for (;;) yield answer;
        })(),
        send: async () => {
          asked += 1;
        },
        close: () => Promise.resolve(),
        abort() {
          aborted += 1;
        },
      };
    },
  };
  const { node } = await composeFixture({ genesis, store: await openMemoryStore(), verifier, network });
  for (let times = 0; times < 3; times++) {
    const before = node.sync.statusOf('peer');
    node.sync.onBlockMissed('peer');
    await expect.poll(() => node.sync.statusOf('peer'), { interval: 1, timeout: 5_000 }).not.toBe(before);
  }
  expect([opened, asked, aborted]).toEqual([1, 3, 0]);
  await act(node);
  expect([opened, asked, aborted]).toEqual([1, 3, 1]);
  await node.stop();
});
