/** What checking costs: a signature check is made only where it can change something, and nobody waits for others'. */
import { expect, test } from 'vitest';
import { makeTx } from '../../chain/codec.ts';
import { encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Tx } from '../../chain/types.ts';
import { publicKeyOf } from '../../crypto/keys.ts';
import type { Network, SignatureItem } from '../../node/ports.ts';
import { type SimNode, simulationKey, type World } from '../../sim/world.ts';
import { branchOn, EASY, feed, voteOf } from './chain-builder.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { expectHealthy, openWorld } from './open-world.ts';

interface Lab {
  readonly world: World;
  readonly a: SimNode;
  readonly peer: Network;
  /** What `a` has had checked, in order. */
  readonly checked: SignatureItem[];
}

/** One node, which takes every signature for good if it `trusts`, one peer that sends what the test says, and electors who are keys only. */
async function openLab(options: { readonly trusts?: boolean } = {}): Promise<Lab> {
  const checked: SignatureItem[] = [];
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'off', voter: false },
      ...['v1', 'v2', 'v3'].map((name) => ({ name, late: true, mine: 'off' as const })),
    ],
    params: EASY,
    link: { latencyMs: [10, 20], jitterMs: 0, loss: 0 },
    wrapVerifier: (_name, verifier) => ({
      verify(items) {
        checked.push(...items);
        return options.trusts === true ? Promise.resolve(items.map(() => true)) : verifier.verify(items);
      },
    }),
  });
  await world.run(60_000);
  await world.start();
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  await world.until('connected', () => peer.peers().length === 1, 5_000);
  return { world, a: world.node('a'), peer, checked };
}

async function verdicts(sim: SimNode, kind: string): Promise<Record<string, number>> {
  const { values } = await sim.metrics.verdicts.get();
  const own = values.filter(({ labels, value }) => labels.kind === kind && value > 0);
  return Object.fromEntries(own.map(({ labels, value }) => [`${labels.verdict} ${labels.reason}`, value]));
}

/** A transfer of somebody's, with a signature of zeros. */
function unsigned(world: World, name: string, nonce: bigint): Tx {
  const { genesis } = world;
  const publicKey = publicKeyOf(simulationKey(name).secretKey);
  const { address: to } = simulationKey('account 0');
  const body = { chainId: genesis.chainId, publicKey, nonce, to, amount: 1n, fee: genesis.params.minFee };
  return makeTx({ ...body, memo: new Uint8Array() }, new Uint8Array(64));
}

test('TX-9, TX-11: transactions of penniless accounts and with used nonces cost no signature check', async () => {
  const { world, a, peer, checked } = await openLab();
  const mined = world.transfer(0);
  await feed(a, branchOn(world.genesis, world.genesis.entry, 1, { miner: 'm', txs: () => [mined] }));
  checked.length = 0;
  for (let index = 0; index < 100; index++)
    await peer.publish('tx', encodeTxBatch([unsigned(world, `penniless ${index}`, 0n)]));
  await peer.publish('tx', encodeTxBatch([unsigned(world, 'account 0', 0n)]));
  await peer.publish('tx', encodeTxBatch([mined]));
  await world.run(1_000);
  expect(await verdicts(a, 'tx')).toEqual({ 'ignore tx/balance-low': 100, 'ignore tx/nonce-used': 2 });
  expect(checked).toHaveLength(0);
  expect(peer.peers()).toHaveLength(1);
  const good = world.transfer(1);
  await peer.publish('tx', encodeTxBatch([good]));
  await world.run(1_000);
  expect(a.node.mempool.pool.has(good.id)).toBe(true);
  expect(checked).toHaveLength(1);
  await expectHealthy(world);
});

test('VOTE-3, VOTE-6, VOTE-7: strangers’, known and old votes cost no signature check', async () => {
  const { world, a, peer, checked } = await openLab();
  const { genesis } = world;
  const blocks = branchOn(genesis, genesis.entry, 140, { miner: 'm' });
  const path = [genesis.entry, ...blocks.map(({ entry }) => entry)];
  await world.run(280_000);
  await feed(a, blocks);
  const link = (source: number, target: number, voters: readonly string[]): Uint8Array[] =>
    voters.map((voter) => voteOf(genesis, voter, path[source]!, path[target]!).bytes);
  const electors = ['v1', 'v2', 'v3'];
  const old = link(0, 1, electors);
  const votes = [...old, ...link(1, 139, electors), ...link(139, 140, electors)];
  for (const bytes of votes) await peer.publish('vote', bytes);
  await world.untilFinal(139, 5_000, ['a']);
  expect(checked).toHaveLength(votes.length);

  // A new life hears again what is on disk, what is long past, and what cannot count.
  await a.restart();
  checked.length = 0;
  const replay = await startHostilePeer(world, { name: 'replay', links: ['a'] });
  await world.until('connected', () => replay.peers().length === 1, 5_000);
  const strangers = Array.from({ length: 5 }, (_, index) => `stranger ${index}`);
  for (const bytes of [...old, ...link(139, 140, electors), ...link(139, 140, strangers)]) {
    await replay.publish('vote', bytes);
  }
  await world.run(1_000);
  expect(await verdicts(a, 'vote')).toEqual({
    'ignore vote/too-old': 3,
    'ignore vote/known': 3,
    'reject vote/not-elector': 5,
  });
  expect(checked).toHaveLength(0);
  expect(a.finalHeight).toBe(139);
  await expectHealthy(world);
});

test('a transaction from the API does not wait behind the thousand of a peer', async () => {
  const { world, a, peer, checked } = await openLab({ trusts: true });
  for (let index = 0; index < 1_000; index++) {
    await peer.publish('tx', encodeTxBatch([unsigned(world, `account ${index % 9}`, BigInt(Math.floor(index / 9)))]));
  }
  await world.until('they wait', () => a.node.ingest.queueLength('tx') === 1_000, 1_000);
  const own = world.transfer(9);
  let checkedBefore = -1;
  const answer = a.node.ingest.submitTx(own.bytes).then(({ verdict }) => {
    checkedBefore = checked.length;
    return verdict.kind;
  });
  expect(await world.clock.runUntilSettled(answer, 1_000)).toBe('accept');
  expect(checkedBefore).toBeLessThanOrEqual(65); // a batch under way, and itself
  await world.until('the others come next', () => a.node.mempool.pool.size === 1_001, 5_000);
  await expectHealthy(world);
});

test('what a peer sent before it was refused is not checked any more', async () => {
  const { world, a, peer, checked } = await openLab();
  for (let index = 0; index < 1_000; index++) {
    await peer.publish('tx', encodeTxBatch([unsigned(world, `account ${index % 9}`, BigInt(index))]));
  }
  await world.run(2_000);
  expect(peer.peers()).toEqual([]);
  expect(checked.length).toBeGreaterThan(0);
  expect(checked.length).toBeLessThanOrEqual(128);
  expect(await verdicts(a, 'tx')).toEqual({ 'reject tx/bad-signature': checked.length });
  expect(await verdicts(a, 'batch')).toEqual({
    'reject batch/bad-tx': checked.length,
    'ignore overloaded': 1_000 - checked.length,
  });
  await expectHealthy(world);
});
