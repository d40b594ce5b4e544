/** Transactions that differ from node to node keep nobody from pulling others'. */
import { expect, test } from 'vitest';
import { DEFAULT_MEMPOOL_BYTES, Mempool, mempoolLimits } from '../../../chain/mempool.ts';
import { encodeShortTxIds, shortTxId } from '../../../chain/pool-digest.ts';
import type { Block, Header, Tx } from '../../../chain/types.ts';
import type { Address } from '../../../crypto/address.ts';
import type { ChainService } from '../../../node/chain-service.ts';
import { EventBus } from '../../../node/events.ts';
import { MempoolExchange } from '../../../node/exchange/mempool-exchange.ts';
import { MEMPOOL } from '../../../node/exchange/protocols.ts';
import { RefusedTxs } from '../../../node/exchange/refused-txs.ts';
import type { MempoolService } from '../../../node/mempool-service.ts';
import { createMetrics } from '../../../node/metrics.ts';
import {
  decodeMempoolRequest,
  decodeTxsRequest,
  encodeMempoolReply,
  encodeTxsChunk,
  MAX_POOL_IDS,
  MAX_TXS_PER_CHUNK,
} from '../../../node/net/wire.ts';
import type { OutcomeVerdict } from '../../../node/pipeline/outcome.ts';
import type { FrameStream, Network, StreamProtocol } from '../../../node/ports.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { silentLogger } from '../../loggers.ts';
import { addressAt, blockOf, childOf, everybody, genesisEntry, senderAt, txOf } from '../../tree-fixtures.ts';

const RICH = everybody({ balance: 10_000_000n, nonce: 0n });
/** More than one request takes. */
const CONFLICTS = 1_500;

/** Of the sender of those that conflict. */
const OTHER = txOf({ nonce: 9_999n });

type Lab = ReturnType<typeof setUp>;

/** A peer offers, oldest first, what conflicts with the pool and then one that does not. */
function setUp(conflicts = CONFLICTS) {
  const state = { isFull: false, verdict: { kind: 'accept' } as OutcomeVerdict };
  const clock = new VirtualClock(0);
  const pool = new Mempool(mempoolLimits(DEFAULT_MEMPOOL_BYTES));
  const conflicting = Array.from({ length: conflicts }, (_, nonce) => txOf({ nonce: BigInt(nonce), amount: 2n }));
  for (let nonce = 0; nonce < conflicts; nonce++) pool.add(txOf({ nonce: BigInt(nonce), amount: 1n }), RICH, 0);
  const good = txOf({ sender: 1 });
  const offered = [...conflicting, good];
  const byId = new Map(offered.map((tx) => [Buffer.from(encodeShortTxIds([shortTxId(tx.id)])).toString('hex'), tx]));
  let asked = 0;
  const answer = (protocol: StreamProtocol, request: Uint8Array): Uint8Array[] => {
    if (protocol.name === MEMPOOL.name) {
      const { skip } = decodeMempoolRequest(request)!;
      const ids = offered.slice(skip, skip + MAX_POOL_IDS).map(({ id }) => shortTxId(id));
      return [encodeMempoolReply({ ids: encodeShortTxIds(ids) })];
    }
    const { ids } = decodeTxsRequest(request)!;
    const txs = Array.from({ length: ids.length / 8 }, (_, at) => {
      asked += 1;
      return byId.get(Buffer.from(ids.subarray(8 * at, 8 * at + 8)).toString('hex'))!.bytes;
    });
    return Array.from({ length: Math.ceil(txs.length / MAX_TXS_PER_CHUNK) }, (_, at) =>
      encodeTxsChunk({ txs: txs.slice(at * MAX_TXS_PER_CHUNK, (at + 1) * MAX_TXS_PER_CHUNK) }),
    );
  };
  const open = async (peer: string, protocol: StreamProtocol): Promise<FrameStream> => {
    let frames: Uint8Array[] = [];
    return {
      peer,
      frames: (async function* () {
        yield* frames;
      })(),
      async send(request) {
        frames = answer(protocol, request);
      },
      close: async () => {},
      abort() {},
    };
  };
  const onFailure = (error: unknown): void => {
    throw error;
  };
  const events = new EventBus(onFailure);
  const exchange = new MempoolExchange({
    network: { open } as Partial<Network> as Network,
    clock,
    chain: { accounts: RICH } as unknown as ChainService,
    mempool: { pool, screen: () => undefined } as Partial<MempoolService> as MempoolService,
    events,
    metrics: createMetrics({ processMetrics: false }),
    logger: silentLogger,
    receiveTxs: async (txs) => {
      if (state.verdict.kind === 'accept' && !state.isFull) for (const tx of txs) pool.add(tx, RICH, clock.nowMs());
      return state.verdict;
    },
    mayPull: () => true,
    onFailure,
  });
  exchange.follow();
  const entry = genesisEntry();
  const tip = (blocks: { readonly connected?: readonly Block[]; readonly disconnected?: readonly Block[] }): void =>
    events.emit('tip', { entry, connected: [], disconnected: [], ...blocks });
  const block = (...txs: readonly Tx[]): void => tip({ connected: [blockOf(txs, minedBy(addressAt(77)))] });
  return { clock, pool, exchange, events, good, state, tip, block, asked: () => asked };
}

function minedBy(miner: Address): Header {
  return childOf(genesisEntry(), { miner }).header;
}

/** Two seconds, with a block or without. */
async function tick({ clock, exchange, block }: Lab, { hasBlock = true } = {}): Promise<void> {
  exchange.onOtherMempool('peer');
  if (hasBlock) block();
  await clock.run(2_000);
}

test('what conflicts with a sender’s others is asked for once, however many blocks come', async () => {
  const lab = setUp();
  for (let at = 0; at < 10; at++) await tick(lab);
  expect(lab.pool.has(lab.good.id)).toBe(true);
  const asked = lab.asked();
  for (let at = 0; at < 30; at++) await tick(lab);
  expect(lab.asked()).toBe(asked);
});

test('what is behind more than one request takes is reached, however often its sender has it forgotten', async () => {
  const lab = setUp();
  while (!lab.pool.has(lab.good.id)) {
    lab.events.emit('tx', { tx: txOf({ nonce: 9_999n }), from: 'peer', parked: true });
    await tick(lab);
    expect(lab.clock.monotonicMs()).toBeLessThan(60_000);
  }
});

test.each<[string, (lab: Lab) => void]>([
  ['one of the sender’s is taken', ({ events }) => events.emit('tx', { tx: OTHER, from: 'api', parked: false })],
  ['one of the sender’s goes', ({ events }) => events.emit('tx-dropped', { tx: OTHER, reason: 'tx/replaced' })],
  ['a block has one of the sender’s', ({ block }) => block(OTHER)],
  ['a block pays the sender', ({ block }) => block(txOf({ sender: 7, to: OTHER.from }))],
  ['the sender made a block', ({ tip }) => tip({ connected: [blockOf([], minedBy(OTHER.from))] })],
  ['a block that had one of the sender’s is given up', ({ tip }) => tip({ disconnected: [blockOf([OTHER])] })],
])('what was refused for its sender is asked for again when %s', async (_, change) => {
  const lab = setUp();
  for (let at = 0; at < 10; at++) await tick(lab);
  const before = lab.asked();
  change(lab);
  for (let at = 0; at < 15; at++) await tick(lab);
  expect(lab.asked()).toBeGreaterThan(before);
});

test('what had no room, or could not be looked at, is asked for again at the next tip, and at once', async () => {
  const lab = setUp(1);
  lab.state.isFull = true;
  await tick(lab);
  expect(lab.asked()).toBe(2);
  for (let at = 0; at < 15; at++) await tick(lab, { hasBlock: false });
  expect(lab.asked()).toBe(2);
  lab.block();
  for (let at = 0; at < 15; at++) await tick(lab, { hasBlock: false });
  expect(lab.asked()).toBe(3); // the one that conflicts is refused for that
  lab.block();
  lab.state.isFull = false;
  lab.state.verdict = { kind: 'ignore', reason: 'overloaded' };
  for (let at = 0; at < 60; at++) await tick(lab, { hasBlock: false });
  expect(lab.asked()).toBeGreaterThan(6);
});

test('RefusedTxs: a change of its sender lets a transaction be asked for again, another’s does not', () => {
  const refused = new RefusedTxs(100);
  const [one, other] = [txOf({ sender: 0 }), txOf({ sender: 1 })];
  refused.add(one);
  refused.add(other);
  refused.onChange(senderAt(1));
  expect([one, other].map(({ id }) => refused.has(shortTxId(id)))).toEqual([true, false]);
});

test('RefusedTxs: past its bounds the sender that was refused first is forgotten', () => {
  const refused = new RefusedTxs(10);
  const txs = Array.from({ length: 11 }, (_, at) => txOf({ sender: at === 10 ? 1 : 0, nonce: BigInt(at) }));
  for (const tx of txs) refused.add(tx);
  expect(txs.map(({ id }) => refused.has(shortTxId(id)))).toEqual([...Array(10).fill(false), true]);
  const many = new RefusedTxs(10_000);
  const senders = Array.from({ length: 4_097 }, (_, sender) => txOf({ sender }));
  for (const tx of senders) many.add(tx);
  expect(senders.filter(({ id }) => !many.has(shortTxId(id)))).toEqual([senders[0]]);
});
