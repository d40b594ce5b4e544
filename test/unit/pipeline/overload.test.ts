/** A whole node that lags behind its work, by a clock that stands still until the test moves it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { signTx, signVote } from '../../../chain/sign.ts';
import { encodeTxBatch } from '../../../chain/tx-batch.ts';
import type { Checkpoint, Header, Tx } from '../../../chain/types.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import { type BuiltApi, buildApi } from '../../../node/api/server.ts';
import { createApiBackend } from '../../../node/backend/api-backend.ts';
import { OBJECT_CODEC, type ObjectCodec } from '../../../node/object-codec.ts';
import { INTERVAL_MS, TARGET_MS } from '../../../node/pipeline/admission.ts';
import type { Clock, SignatureVerifier, VerifyPriority } from '../../../node/ports.ts';
import type { Store } from '../../../node/store/store.ts';
import { type LogLine, recordingLogger, silentLogger } from '../../loggers.ts';
import { composeFixture, fixtureGenesis, mineOn, type NodeFixture, networkOfOnePeer } from '../../node-fixture.ts';
import { alice, bob, miner } from '../chain/chain-fixtures.ts';
import { openMemoryStore } from '../store/open-store.ts';
import { HeldVerifier } from './held-verifier.ts';

const genesis = fixtureGenesis([alice.address, bob.address]);
/** Signatures of a batch of messages with one transaction each. */
const BATCH = 128;
/** As a block of thousands of transactions may bring. */
const PAUSE_MS = 1_400;

class HeldClock implements Clock {
  readonly #system = createSystemClock();
  ms = 0;
  nowMs = (): number => this.#system.nowMs();
  monotonicMs = (): number => this.ms;
  after: Clock['after'] = (delayMs, fn) => this.#system.after(delayMs, fn);
  sleep: Clock['sleep'] = (delayMs, signal) => this.#system.sleep(delayMs, signal);
}

function transfer(nonce: number, from = alice): Tx {
  const body = { chainId: genesis.chainId, to: bob.address, amount: 1n, fee: 1000n, memo: new Uint8Array(0) };
  return signTx({ ...body, nonce: BigInt(nonce) }, from.secretKey);
}

function voteFor({ id, height }: Header): Uint8Array {
  const { header } = genesis.entry;
  const source: Checkpoint = { height: header.height, id: header.id };
  return signVote({ chainId: genesis.chainId, source, target: { height, id } }, alice.secretKey).bytes;
}

let clock: HeldClock;
let closers: (() => Promise<unknown>)[];
beforeEach(() => {
  clock = new HeldClock();
  closers = [];
});
afterEach(async () => {
  for (const close of closers) await close();
});

interface Lab extends NodeFixture {
  readonly lines: readonly LogLine[];
  submit(tx: Tx): Promise<{ readonly status: number; readonly retryAfter: unknown; readonly code: unknown }>;
  submitBatch(txs: readonly Tx[]): Promise<{ readonly status: number; readonly retryAfter: unknown }>;
}

async function open(verifier: SignatureVerifier, codec = OBJECT_CODEC): Promise<Lab> {
  const store: Store = await openMemoryStore();
  const { logger, lines } = recordingLogger();
  const fixture = await composeFixture({ genesis, store, verifier, clock, logger, codec });
  const api: BuiltApi = await buildApi({
    backend: createApiBackend({
      node: fixture.node,
      network: networkOfOnePeer(new Map()),
      store,
      clock,
      name: 'fixture',
      version: '1.2.3',
      genesisDoc: genesis.doc,
      voter: undefined,
      signatureBackend: 'noble',
      giveWay: async () => {},
      gossipCounts: async () => ({ messages: 0, copies: 0, txs: 0, txCopies: 0 }),
      internalErrors: async () => 0,
    }),
    clock,
    logger: silentLogger,
    metrics: () => fixture.metrics.registry.metrics(),
    options: { host: '127.0.0.1', port: 0 },
  });
  closers.push(
    () => api.app.close(),
    () => fixture.node.stop(),
  );
  const post = async (url: string, payload: Uint8Array) => {
    const headers = { 'content-type': 'application/octet-stream' };
    const answer = await api.app.inject({ method: 'POST', url, payload: Buffer.from(payload), headers });
    return {
      status: answer.statusCode,
      retryAfter: answer.headers['retry-after'],
      code: answer.json<Record<string, unknown>>().code,
    };
  };
  return {
    ...fixture,
    lines,
    submit: (tx) => post('/v1/transactions', tx.bytes),
    submitBatch: (txs) => post('/v1/transactions/batch', encodeTxBatch(txs)),
  };
}

/** Three batches, of which two have had their verdict, late and an interval apart. */
async function overload(lab: Lab, verifier: HeldVerifier): Promise<void> {
  const txs = Array.from({ length: 2 * BATCH + 40 }, (_, nonce) => transfer(nonce));
  for (const tx of txs) void lab.gossip('tx', encodeTxBatch([tx]));
  await verifier.waitFor(3);
  clock.ms += TARGET_MS;
  for (const at of [0, 1]) {
    verifier.calls[at]!.answer();
    await expect.poll(() => lab.node.mempool.pool.size, { interval: 1, timeout: 20_000 }).toBe((at + 1) * BATCH);
    clock.ms += INTERVAL_MS;
  }
}

test('a submission is decoded once, and not at all by a node that lags', async () => {
  const verifier = new HeldVerifier();
  let decoded = 0;
  const decodeTx: ObjectCodec['decodeTx'] = (bytes) => {
    decoded += 1;
    return OBJECT_CODEC.decodeTx(bytes);
  };
  const lab = await open(verifier, { ...OBJECT_CODEC, decodeTx });
  await overload(lab, verifier);
  expect(await lab.submit(transfer(0, bob))).toMatchObject({ status: 429 });
  expect(decoded).toBe(0);

  verifier.calls[2]!.answer();
  await expect.poll(() => lab.node.mempool.pool.size, { interval: 1, timeout: 20_000 }).toBe(2 * BATCH + 40);
  const single = lab.submit(transfer(0, bob));
  await verifier.waitFor(4);
  verifier.calls[3]!.answer();
  expect(await single).toMatchObject({ status: 202 });
  expect(decoded).toBe(1);
  const several = lab.submitBatch([transfer(1, bob), transfer(2, bob)]);
  await verifier.waitFor(5);
  verifier.calls[4]!.answer();
  expect(await several).toMatchObject({ status: 200 });
  expect(decoded).toBe(1); // the batch was decoded to take it apart
});

test('a node that lags refuses submissions until it has caught up, and says when to come again', async () => {
  const verifier = new HeldVerifier();
  const lab = await open(verifier);
  await overload(lab, verifier);

  const [single, several] = [transfer(0, bob), transfer(1, bob)];
  const waitedS = (TARGET_MS + 2 * INTERVAL_MS) / 1000; // the last batch, until now
  const busy = { status: 429, code: 'overloaded', retryAfter: String(Math.ceil(waitedS)) };
  expect(await lab.submit(single)).toEqual(busy);
  expect(await lab.submitBatch([single, several])).toEqual(busy);
  expect(lab.node.ingest.queueLength('api')).toBe(0);
  const metrics = await lab.metrics.registry.metrics();
  expect(metrics).toContain('grapevine_overloaded 1');
  expect(metrics).toContain('grapevine_queue_dropped_total{kind="api"} 3');
  expect(metrics).toContain('grapevine_queue_messages{kind="api"} 0');
  expect(lab.lines.filter(({ message }) => message.startsWith('overloaded'))).toHaveLength(1);

  verifier.calls[2]!.answer();
  await expect.poll(() => lab.node.mempool.pool.size, { interval: 1, timeout: 20_000 }).toBe(2 * BATCH + 40);
  const taken = lab.submit(single);
  await verifier.waitFor(4);
  verifier.calls[3]!.answer();
  expect(await taken).toMatchObject({ status: 202 });
  expect(await lab.metrics.registry.metrics()).toContain('grapevine_overloaded 0');
});

test('what comes by gossip is taken all the same: blocks and votes at once, transactions in their turn', async () => {
  const verifier = new HeldVerifier();
  const lab = await open(verifier);
  await overload(lab, verifier);
  expect(lab.node.ingest.isOverloaded()).toBe(true);

  const tx = lab.gossip('tx', encodeTxBatch([transfer(0, bob)]));
  const block = mineOn(lab.node, miner.address, []);
  expect(await lab.gossipBlock(block)).toBe('accept');
  await expect.poll(() => lab.node.chain.tip.header.id, { interval: 1, timeout: 20_000 }).toBe(block.header.id);
  const voted = lab.gossip('vote', voteFor(block.header));
  const answer = (priority: VerifyPriority): void => {
    for (const call of verifier.calls.slice(2)) if (call.priority === priority) call.answer();
  };
  await expect
    .poll(
      () =>
        verifier.calls
          .slice(3)
          .map(({ priority }) => priority)
          .sort(),
      { timeout: 20_000 },
    )
    .toEqual(['bulk', 'urgent']);
  answer('urgent');
  expect(await voted).toBe('accept');
  expect(lab.node.ingest.isOverloaded()).toBe(true);
  answer('bulk');
  expect(await tx).toBe('accept');
});

test('a burst is taken whole, though what comes later in it finds late ones before it', async () => {
  const verifier = new HeldVerifier();
  const lab = await open(verifier);
  const txs = Array.from({ length: 300 }, (_, nonce) => transfer(nonce));
  const answers = txs.slice(0, 200).map((tx) => lab.submit(tx));
  await verifier.waitFor(1);
  clock.ms += PAUSE_MS;
  verifier.calls[0]!.answer();
  await expect.poll(() => lab.node.mempool.pool.size, { interval: 1, timeout: 20_000 }).toBeGreaterThan(0);
  answers.push(...txs.slice(200).map((tx) => lab.submit(tx)));
  const isDone = Promise.all(answers).then((all) => all.map(({ status }) => status));
  let answered = 1;
  await expect
    .poll(
      () => {
        for (const call of verifier.calls.slice(answered)) call.answer();
        answered = verifier.calls.length;
        return lab.node.mempool.pool.size;
      },
      { interval: 1, timeout: 60_000 },
    )
    .toBe(300);
  expect(new Set(await isDone)).toEqual(new Set([202]));
});
