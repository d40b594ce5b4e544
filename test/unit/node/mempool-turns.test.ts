import { expect, test } from 'vitest';
import type { Mempool } from '../../../chain/mempool.ts';
import { encodeShortTxIds, POOL_DIGEST_BYTES, shortTxId } from '../../../chain/pool-digest.ts';
import type { TxId } from '../../../chain/types.ts';
import type { ChainService } from '../../../node/chain-service.ts';
import { EventBus } from '../../../node/events.ts';
import { MempoolExchange, type MempoolExchangeDeps } from '../../../node/exchange/mempool-exchange.ts';
import { MEMPOOL } from '../../../node/exchange/protocols.ts';
import type { MempoolService } from '../../../node/mempool-service.ts';
import { createMetrics } from '../../../node/metrics.ts';
import { encodeMempoolReply, encodeTxsChunk } from '../../../node/net/wire.ts';
import type { FrameStream, Network, PeerKey, StreamProtocol } from '../../../node/ports.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { silentLogger } from '../../loggers.ts';
import { openWorld } from '../../sim/open-world.ts';
import { everybody } from '../../tree-fixtures.ts';

const tx = openWorld({ nodes: 2 }).transferOnce(0, 0);

/** An exchange whose peers all answer at once, with nothing but for those in `holders`, who have the transaction. */
function setUp() {
  const clock = new VirtualClock(0);
  const holders = new Set<PeerKey>();
  const held = new Set<TxId>();
  const pulls: PeerKey[] = [];
  const open = async (peer: PeerKey, protocol: StreamProtocol): Promise<FrameStream> => {
    const isIds = protocol.name === MEMPOOL.name;
    if (isIds) pulls.push(peer);
    const ids = holders.has(peer) ? [shortTxId(tx.id)] : [];
    return {
      peer,
      frames: (async function* () {
        yield isIds ? encodeMempoolReply({ ids: encodeShortTxIds(ids) }) : encodeTxsChunk({ txs: [tx.bytes] });
      })(),
      send: async () => {},
      close: async () => {},
      abort() {},
    };
  };
  const pool = {
    digest: { buckets: () => new Uint8Array(POOL_DIGEST_BYTES) },
    has: (id: TxId) => held.has(id),
    hasShortId: () => false,
    senderRefusal: () => undefined,
  } as unknown as Mempool;
  const onFailure = (error: unknown): void => {
    throw error;
  };
  const exchange = new MempoolExchange({
    network: { open, peers: () => [] } as Pick<Network, 'open' | 'peers'> as Network,
    clock,
    chain: { accounts: everybody({ balance: 0n, nonce: 0n }) } as unknown as ChainService,
    mempool: { pool, screen: () => undefined } as Partial<MempoolService> as MempoolService,
    events: new EventBus(onFailure),
    metrics: createMetrics({ processMetrics: false }),
    logger: silentLogger,
    receiveTxs: async (txs) => {
      for (const { id } of txs) held.add(id);
      return { kind: 'accept' };
    },
    mayPull: () => true,
    onFailure,
  } satisfies MempoolExchangeDeps);
  return { clock, exchange, holders, held, pulls };
}

test('the only peer that differs is asked at each interval, however often in vain', async () => {
  const { clock, exchange, holders, held, pulls } = setUp();
  let sinceMs = 0;
  while (held.size === 0) {
    exchange.onOtherMempool('other');
    await clock.run(2_000);
    if (pulls.length === 5 && holders.size === 0) {
      holders.add('other');
      sinceMs = clock.monotonicMs();
    }
    expect(clock.monotonicMs() - sinceMs).toBeLessThan(sinceMs === 0 ? 120_000 : 30_000);
  }
});

test('one that speaks all the time has no turn before those that have waited longer', async () => {
  const { clock, exchange, holders, held, pulls } = setUp();
  const others = Array.from({ length: 11 }, (_, at) => `p${at}`);
  holders.add('p7');
  for (let tick = 0; held.size === 0; tick++) {
    exchange.onOtherMempool('loud');
    if (tick % 10 === 0) exchange.onOtherMempool(others[(tick / 10) % others.length]!);
    await clock.run(100);
    expect(clock.monotonicMs()).toBeLessThan(12 * 24_000);
  }
  const loud = pulls.filter((peer) => peer === 'loud').length;
  expect(loud).toBeLessThan(pulls.length / 2);
  expect(new Set(pulls).size).toBeGreaterThan(1);
});

test('one that has left is not asked for what it said', async () => {
  const { clock, exchange, pulls } = setUp();
  exchange.onOtherMempool('first');
  await clock.run(100);
  exchange.onOtherMempool('gone');
  exchange.onPeerDisconnected('gone');
  await clock.run(10_000);
  exchange.onOtherMempool('first');
  await clock.run(100);
  expect(pulls).toEqual(['first', 'first']);
});

test('whoever comes under ever new names has no turn before one that has waited since', async () => {
  const { clock, exchange, holders, held } = setUp();
  exchange.onPeerConnected('honest');
  for (let name = 0; held.size === 0; name++) {
    if (name === 5) holders.add('honest');
    exchange.onPeerConnected(`new${name}`);
    exchange.onOtherMempool('honest');
    exchange.onOtherMempool(`new${name}`);
    await clock.run(3_000);
    expect(name).toBeLessThan(20);
  }
});
