/** Batches from somebody who wishes ill: nothing good is lost, nobody amplifies, and no honest peer is blamed. */
import { describe, expect, test } from 'vitest';
import { makeTx } from '../../chain/codec.ts';
import { decodeTxBatch, encodeTxBatch } from '../../chain/tx-batch.ts';
import type { Tx } from '../../chain/types.ts';
import { publicKeyOf } from '../../crypto/keys.ts';
import { MEMPOOL } from '../../node/exchange/protocols.ts';
import type { Network, SignatureItem } from '../../node/ports.ts';
import { type SimNode, simulationKey, type World } from '../../sim/world.ts';
import { startHostilePeer } from './hostile-peer.ts';
import { boundMethods, expectHealthy, openWorld } from './open-world.ts';

interface Lab {
  readonly world: World;
  readonly a: SimNode;
  /** Says what the test says. */
  readonly peer: Network;
  /** Listens: the batches that `a` sends it, as ids. */
  readonly heard: (readonly string[])[];
  readonly heardBytes: () => number;
  readonly checked: SignatureItem[];
}

/** One node between a peer that talks and one that listens. */
async function openLab(): Promise<Lab> {
  const checked: SignatureItem[] = [];
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'off', voter: false },
      { name: 'v', late: true },
    ],
    link: { latencyMs: [10, 10], jitterMs: 0, loss: 0 },
    wrapVerifier: (_name, verifier) => ({
      verify(items, priority) {
        checked.push(...items);
        return verifier.verify(items, priority);
      },
    }),
  });
  await world.start();
  const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
  const heard: (readonly string[])[] = [];
  let heardBytes = 0;
  await startHostilePeer(world, {
    name: 'ear',
    links: ['a'],
    onGossip(message) {
      const decoded = decodeTxBatch(message.data);
      if (!decoded.ok) throw new Error(decoded.detail);
      heard.push(decoded.value.map(({ id }) => id));
      heardBytes += message.data.length;
      message.settle('ignore');
    },
  });
  const meshed = (): boolean =>
    world
      .node('a')
      .network.peers()
      .filter(({ mesh }) => mesh.includes('tx')).length === 2;
  await world.until('both in the mesh', meshed, 10_000);
  return { world, a: world.node('a'), peer, heard, heardBytes: () => heardBytes, checked };
}

async function verdicts(sim: SimNode, kind: 'tx' | 'batch'): Promise<Record<string, number>> {
  const { values } = await sim.metrics.verdicts.get();
  const own = values.filter(({ labels, value }) => labels.kind === kind && value > 0);
  return Object.fromEntries(own.map(({ labels, value }) => [`${labels.verdict} ${labels.reason}`.trim(), value]));
}

function transfers(world: World, account: number, count: number): Tx[] {
  return Array.from({ length: count }, () => world.transfer(account));
}

/** The same transaction, as far as its id can tell, with a signature that is none. */
function twinOf(tx: Tx): Tx {
  const signature = tx.signature.slice();
  signature[40]! ^= 1;
  return makeTx(tx, signature);
}

/** A transfer of somebody who has nothing, so that nobody checks its signature, which is none. */
function penniless(world: World, name: string): Tx {
  const { genesis } = world;
  const { address: to } = simulationKey('account 0');
  const publicKey = publicKeyOf(simulationKey(name).secretKey);
  const body = { chainId: genesis.chainId, publicKey, nonce: 0n, to, amount: 1n, fee: genesis.params.minFee };
  return makeTx({ ...body, memo: new Uint8Array() }, new Uint8Array(64));
}

const idsOf = (txs: readonly Tx[]): string[] => txs.map(({ id }) => id);
const penaltiesOf = (world: World): string[] => world.trace.lines().filter((line) => line.includes(' penalized '));

describe('BATCH-3: a batch with a bad transaction', () => {
  test('one bad among 300 good ones: none is taken or passed on, the sender pays; from others they come whole', async () => {
    const { world, a, peer, heard, checked } = await openLab();
    const good = transfers(world, 0, 300);
    await peer.publish('tx', encodeTxBatch([...good.slice(0, 150), twinOf(world.transfer(1)), ...good.slice(150)]));
    await world.run(500);
    expect(a.node.mempool.pool.size).toBe(0);
    expect(heard).toEqual([]);
    expect(await verdicts(a, 'batch')).toEqual({ 'reject batch/bad-tx': 1 });
    expect(await verdicts(a, 'tx')).toEqual({ 'reject tx/bad-signature': 1, 'ignore batch/bad-tx': 300 });
    expect(penaltiesOf(world)).toEqual([expect.stringContaining('a penalized peer 10 ')]);
    expect(checked).toHaveLength(301);

    const honest = await startHostilePeer(world, { name: 'honest', links: ['a'] });
    await world.until('connected', () => honest.peers().length === 1, 5_000);
    await honest.publish('tx', encodeTxBatch(good));
    await world.run(500);
    expect(a.node.mempool.pool.size).toBe(300);
    expect(heard).toEqual([idsOf(good)]);
    expect(checked, 'a good signature is not checked again').toHaveLength(301);
    await expectHealthy(world);
  });

  test('one that breaks a rule as it stands spares all signature checks', async () => {
    const { world, a, peer, checked } = await openLab();
    const [first, second] = transfers(world, 0, 2);
    await peer.publish('tx', encodeTxBatch([first!, makeTx({ ...second!, amount: 0n }, second!.signature)]));
    await world.run(500);
    expect(await verdicts(a, 'tx')).toEqual({ 'reject tx/zero-amount': 1, 'ignore batch/bad-tx': 1 });
    expect(checked).toEqual([]);
  });

  test('each bad one costs its sender what a message would: ten in one batch are enough', async () => {
    const { world, a, peer, heard } = await openLab();
    await peer.publish('tx', encodeTxBatch(transfers(world, 0, 9).map(twinOf)));
    await world.run(500);
    expect(peer.peers(), 'nine are not').toHaveLength(1);
    const other = await startHostilePeer(world, { name: 'other', links: ['a'] });
    await world.until('connected', () => other.peers().length === 1, 5_000);
    await other.publish('tx', encodeTxBatch(transfers(world, 1, 300).map(twinOf)));
    await world.run(500);
    expect(other.peers()).toEqual([]);
    expect(await verdicts(a, 'tx')).toEqual({ 'reject tx/bad-signature': 309 });
    expect(heard).toEqual([]);
  });
});

describe('BATCH-4: a batch in which a signature was not checked is not passed on as it came', () => {
  test.each([
    ['a known transaction with another signature', (_world: World, known: Tx) => twinOf(known)],
    ['one whose sender has nothing here', (world: World) => penniless(world, 'nobody')],
  ])('%s', async (_, rider) => {
    const { world, a, peer, heard, checked } = await openLab();
    const [known, ...fresh] = transfers(world, 0, 6);
    await peer.publish('tx', encodeTxBatch([known!]));
    await world.run(500);
    await peer.publish('tx', encodeTxBatch([...fresh, rider(world, known!)]));
    await world.run(500);
    expect(heard).toEqual([[known!.id], idsOf(fresh)]);
    expect(await verdicts(a, 'batch')).toEqual({ accept: 1, 'ignore batch/unproven': 1 });
    expect(checked, 'nor is it checked now').toHaveLength(6);
    expect(penaltiesOf(world)).toEqual([]);
  });

  test('so no honest peer is blamed by one that knows less', async () => {
    const world = openWorld({
      nodes: ['a', 'b', 'c'].map((name) => ({ name, mine: 'off' as const, late: name === 'c' })),
      links: [
        ['a', 'b'],
        ['b', 'c'],
      ],
      // Else what the others know would come to c by the exchange of mempools.
      wrapNetwork: (sim, network) => (sim.name === 'c' ? withoutMempools(network) : network),
    });
    await world.start();
    const peer = await startHostilePeer(world, { name: 'peer', links: ['a'] });
    await world.run(5_000);
    const known = transfers(world, 0, 5);
    const fresh = transfers(world, 1, 5);
    const late = transfers(world, 2, 5);
    await peer.publish('tx', encodeTxBatch(known));
    await world.run(1_000);
    await world.node('c').start(); // and never hears of these
    await world.run(5_000);
    await peer.publish('tx', encodeTxBatch([...fresh, ...known.slice(0, 2).map(twinOf), penniless(world, 'nobody')]));
    await world.run(1_000);
    await peer.publish('tx', encodeTxBatch([...late, ...fresh.slice(0, 3).map(twinOf)]));
    await world.run(5_000);
    const sizes = world.running.map(({ name, node }) => [name, node.mempool.pool.size]);
    expect(sizes).toEqual([
      ['a', 15],
      ['b', 15],
      ['c', 10],
    ]);
    expect(penaltiesOf(world)).toEqual([]);
    await expectHealthy(world);
  });
});

describe('BATCH-5: nobody amplifies', () => {
  test('a batch of known ones goes no further; of a mostly known one the new do', async () => {
    const { world, a, peer, heard, checked } = await openLab();
    const txs = transfers(world, 0, 8);
    await peer.publish('tx', encodeTxBatch(txs.slice(0, 4)));
    await world.run(500);
    await peer.publish('tx', encodeTxBatch(txs.slice(0, 3)));
    await peer.publish('tx', encodeTxBatch(txs.slice(0, 5)));
    await world.run(500);
    expect(heard).toEqual([idsOf(txs.slice(0, 4)), idsOf(txs.slice(4, 5))]);
    expect(await verdicts(a, 'batch')).toEqual({ accept: 1, 'ignore batch/nothing-new': 1, 'ignore batch/few-new': 1 });
    expect(await verdicts(a, 'tx')).toEqual({ accept: 5, 'ignore tx/known': 7 });
    // Three new of six are half of it.
    await peer.publish('tx', encodeTxBatch(txs.slice(2)));
    await world.run(500);
    expect(heard.at(-1)).toEqual(idsOf(txs.slice(2)));
    expect(checked).toHaveLength(8);
    expect(penaltiesOf(world)).toEqual([]);
    await expectHealthy(world);
  });

  test('however transactions are cut, what is sent on is less than twice what is new', async () => {
    const { world, a, peer, heard, heardBytes } = await openLab();
    const txs = transfers(world, 0, 60);
    const cuts: Tx[][] = [];
    for (let at = 0; at < txs.length; at++) {
      cuts.push([txs[at]!], txs.slice(at - 1, at + 1), txs.slice(Math.max(0, at - 3), at + 1), txs.slice(0, at + 1));
    }
    for (const cut of cuts.filter(({ length }) => length > 0)) await peer.publish('tx', encodeTxBatch(cut));
    await world.run(2_000);
    expect(a.node.mempool.pool.size).toBe(60);
    expect(new Set(heard.flat())).toEqual(new Set(idsOf(txs)));
    const perTx = txs[0]!.bytes.length;
    expect(heardBytes()).toBeLessThanOrEqual(2 * 60 * (perTx + 3));
    expect(penaltiesOf(world)).toEqual([]);
  });

  test('what comes in other cuts from all sides reaches everybody', async () => {
    const world = openWorld({ nodes: 5 });
    await world.start();
    const names = world.running.map(({ name }) => name);
    const peers = await Promise.all(
      names.map((name) => startHostilePeer(world, { name: `peer of ${name}`, links: [name] })),
    );
    await world.run(5_000);
    const txs = [0, 1, 2, 3, 4].flatMap((account) => transfers(world, account, 12));
    // Every peer tells a share, some of it its neighbours tell as well, in pieces of another size.
    for (const [at, peer] of peers.entries()) {
      const own = txs.slice(at * 10, at * 10 + 30);
      const size = 3 + at;
      for (let from = 0; from < own.length; from += size) {
        await peer.publish('tx', encodeTxBatch(own.slice(from, from + size)));
      }
    }
    const isMined = (sim: SimNode): boolean =>
      [0, 1, 2, 3, 4].every(
        (account) => sim.node.chain.accounts.get(simulationKey(`account ${account}`).address).nonce === 12n,
      );
    await world.until('mined everywhere', () => world.running.every(isMined), 60_000);
    expect(penaltiesOf(world)).toEqual([]);
    await expectHealthy(world);
  });
});

/** Asks nobody for a mempool. */
function withoutMempools(network: Network): Network {
  return {
    ...boundMethods(network),
    self: network.self,
    open: (peer, protocol, signal) =>
      protocol.name === MEMPOOL.name ? Promise.reject(new Error('not asked')) : network.open(peer, protocol, signal),
  };
}
