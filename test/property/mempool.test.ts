import { describe, expect, test } from 'vitest';
import { Mempool } from '../../chain/mempool.ts';
import { type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';
import { Accounts, connectBlock, PendingState } from '../../chain/state.ts';
import type { Block, BlockDelta, ChainEntry, Tx, TxId } from '../../chain/types.ts';
import { fc } from '../fast-check.ts';
import { blockOf, childOf, genesisEntry, senderAt, type TxOptions, txOf } from '../tree-fixtures.ts';

const SENDERS = 4;
const LIMITS = { maxBytes: 8 * 176, maxPerSender: 6, maxGap: 3n, maxParked: 5, expiryMs: 50, replaceFeePercent: 10 };
const PARAMS = {
  blockTimeMs: 1000,
  halfLifeMs: 60_000,
  maxSolveTimeMs: 60_000,
  maxFutureMs: 10_000,
  powLimitBits: 0x207fffff,
  initialBits: 0x207fffff,
  blockReward: 500n,
  minFee: 1n,
  checkpointInterval: 1,
};

type Step =
  | {
      readonly kind: 'add';
      readonly sender: number;
      readonly offset: number;
      readonly amount: number;
      readonly fee: number;
      readonly to: number;
      readonly memoBytes: number;
    }
  | { readonly kind: 'mine'; readonly count: number; readonly foreign: number }
  | { readonly kind: 'reorg'; readonly depth: number; readonly again: number }
  | { readonly kind: 'expire'; readonly afterMs: number }
  | { readonly kind: 'drop'; readonly index: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      sender: fc.nat(SENDERS - 1),
      offset: fc.constantFrom(-1, 0, 0, 0, 0, 1, 2, 5),
      amount: fc.integer({ min: 1, max: 150 }),
      fee: fc.integer({ min: 1, max: 60 }),
      to: fc.nat(SENDERS - 1),
      memoBytes: fc.constantFrom(0, 0, 0, 100, 256),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('mine' as const), count: fc.nat(4), foreign: fc.nat(SENDERS) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reorg' as const), depth: fc.nat(3), again: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), afterMs: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), index: fc.nat(20) }) },
);

/** Long ones for the most part: short histories fill no pool. */
const histories = fc.array(step, { minLength: 1, maxLength: 80, size: 'max' });

/** A pool beside the chain it serves, and a book of where every accepted transaction is. */
class Model {
  readonly pool = new Mempool(LIMITS);
  readonly accounts: Accounts;
  readonly chain: { block: Block; delta: BlockDelta }[] = [];
  readonly where = new Map<TxId, 'pool' | 'mined' | 'gone'>();
  /** Ready ones that had to go for room, and parked ones. */
  readonly evicted = { ready: 0, parked: 0 };
  #top: ChainEntry = genesisEntry();
  #nowMs = 0;

  readonly #idOf: (id: TxId) => TxId;

  /** @param idOf what stands in the place of an id */
  constructor(idOf = (id: TxId) => id) {
    this.#idOf = idOf;
    this.accounts = new Accounts(
      Array.from({ length: SENDERS }, (_, i) => [senderAt(i), { balance: 1500n, nonce: 0n }] as const),
    );
  }

  run(step: Step): void {
    this.#nowMs += 1;
    switch (step.kind) {
      case 'add':
        this.#add(step);
        break;
      case 'mine':
        this.#mine(step.count, step.foreign);
        break;
      case 'reorg':
        this.#reorg(step.depth, step.again);
        break;
      case 'expire':
        this.#nowMs += step.afterMs;
        for (const { tx } of this.pool.expire(this.#nowMs)) this.where.set(tx.id, 'gone');
        break;
      case 'drop': {
        const tx = this.pool.list(100)[step.index];
        if (tx !== undefined && this.pool.drop(tx.id, 'tx/evicted') !== undefined) this.where.set(tx.id, 'gone');
        break;
      }
      default:
        step satisfies never;
    }
  }

  check(): void {
    const listed = this.pool.list(1000);
    expect(this.pool.bytes).toBe(listed.reduce((sum, tx) => sum + tx.bytes.length, 0));
    expect(this.pool.bytes).toBeLessThanOrEqual(LIMITS.maxBytes);
    expect(new Set(listed.map((tx) => tx.id))).toEqual(
      new Set([...this.where].filter(([, place]) => place === 'pool').map(([id]) => id)),
    );
    const candidates = [...this.pool.candidates()];
    expect(candidates.length).toBe(this.pool.size - this.pool.parkedSize);
    const state = new PendingState(this.accounts);
    for (const tx of candidates) expect(state.transfer(tx)).toBeUndefined();
    for (let i = 0; i < SENDERS; i += 1) this.#checkSender(i, candidates);
  }

  #checkSender(index: number, candidates: readonly Tx[]): void {
    const address = senderAt(index);
    const account = this.accounts.get(address);
    const queue = this.pool.ofSender(address);
    expect(queue.length).toBeLessThanOrEqual(LIMITS.maxPerSender);
    let next = account.nonce;
    for (const tx of queue) {
      if (tx.nonce === next) next += 1n;
      expect(this.pool.isParked(tx.id)).toBe(tx.nonce >= next);
    }
    const ready = candidates.filter((tx) => tx.from === address).map((tx) => tx.nonce);
    expect(ready).toEqual(Array.from({ length: Number(next - account.nonce) }, (_, i) => account.nonce + BigInt(i)));
    expect(this.pool.pendingNonce(address, account)).toBe(next);
  }

  #add(step: Extract<Step, { kind: 'add' }>): void {
    const pending = this.pool.pendingNonce(senderAt(step.sender), this.accounts.get(senderAt(step.sender)));
    const nonce = pending + BigInt(step.offset);
    if (nonce < 0n) return;
    const tx = this.#tx({
      sender: step.sender,
      nonce,
      amount: BigInt(step.amount),
      fee: BigInt(step.fee),
      to: senderAt(step.to),
      memoBytes: step.memoBytes,
    });
    const sizeBefore = this.pool.size;
    const readyBefore = new Set(this.pool.candidates());
    const outcome = this.pool.add(tx, this.accounts, this.#nowMs);
    for (const { tx: evicted, reason } of outcome.evicted) {
      this.where.set(evicted.id, 'gone');
      if (reason !== 'tx/evicted') continue;
      this.evicted[readyBefore.has(evicted) ? 'ready' : 'parked'] += 1;
      if (!readyBefore.has(evicted)) continue;
      // TX-15: nothing that could be mined goes for room while another sender's cannot.
      const parked = this.pool.list(1000).filter(({ id, from }) => this.pool.isParked(id) && from !== tx.from);
      expect(parked).toEqual([]);
    }
    if (outcome.verdict.kind === 'accept') {
      this.where.set(tx.id, 'pool');
      expect(outcome.parked).toBe(this.pool.isParked(tx.id));
    } else {
      expect(outcome.evicted).toEqual([]);
      expect(this.pool.size).toBe(sizeBefore);
    }
  }

  #tx(options: TxOptions): Tx {
    const tx = txOf(options);
    return { ...tx, id: this.#idOf(tx.id) };
  }

  #mine(count: number, foreign: number): void {
    const txs: Tx[] = [];
    // One that the pool has never seen goes first: it may overtake or overspend what waits.
    if (foreign < SENDERS) {
      const nonce = this.accounts.get(senderAt(foreign)).nonce;
      const tx = this.#tx({ sender: foreign, nonce, amount: 300n + BigInt(this.chain.length), fee: 7n });
      if (!this.pool.has(tx.id)) txs.push(tx);
    }
    const state = new PendingState(this.accounts);
    const fitting = [...txs, ...[...this.pool.candidates()].slice(0, count)].filter(
      (tx) => state.transfer(tx) === undefined,
    );
    this.#apply(this.pool.onBlocks([this.#connect(fitting)], [], this.accounts, this.#nowMs));
  }

  #reorg(depth: number, again: number): void {
    const undone = this.chain.splice(Math.max(0, this.chain.length - depth)).reverse();
    for (const { block, delta } of undone) {
      this.accounts.undo(delta);
      for (const tx of block.txs) this.where.set(tx.id, 'gone');
    }
    const state = new PendingState(this.accounts);
    const old = undone.toReversed().flatMap(({ block }) => block.txs);
    const mined = old.slice(0, again).filter((tx) => state.transfer(tx) === undefined);
    const connected = this.#connect(mined);
    const disconnected = undone.map(({ block }) => block);
    const outcome = this.pool.onBlocks([connected], disconnected, this.accounts, this.#nowMs);
    const reported = new Set([...outcome.removed.map(({ tx }) => tx.id), ...outcome.readded.map((tx) => tx.id)]);
    const minedIds = new Set(mined.map((tx) => tx.id));
    for (const tx of old) expect(minedIds.has(tx.id) || reported.has(tx.id)).toBe(true);
    this.#apply(outcome);
  }

  #connect(txs: readonly Tx[]): Block {
    this.#top = childOf(this.#top, { salt: this.chain.length });
    const fees = txs.reduce((sum, tx) => sum + tx.fee, 0n);
    const block: Block = { ...blockOf(txs, this.#top.header), coinbase: PARAMS.blockReward + fees };
    const result = connectBlock(this.accounts, block, PARAMS);
    if (!result.ok) throw new Error(result.reason);
    this.accounts.apply(result.delta);
    this.chain.push({ block, delta: result.delta });
    for (const tx of txs) this.where.set(tx.id, 'mined');
    return block;
  }

  #apply(outcome: ReturnType<Mempool['onBlocks']>): void {
    for (const { tx, reason } of outcome.removed) this.where.set(tx.id, reason === 'mined' ? 'mined' : 'gone');
    for (const tx of outcome.readded) this.where.set(tx.id, 'pool');
  }
}

describe('Mempool, over random histories', () => {
  test('bounded, contiguous, minable, and nothing is lost without a reason', () => {
    const evicted = { ready: 0, parked: 0 };
    fc.assert(
      fc.property(histories, (steps) => {
        const model = new Model();
        for (const one of steps) {
          model.run(one);
          model.check();
        }
        evicted.ready += model.evicted.ready;
        evicted.parked += model.evicted.parked;
      }),
      { numRuns: 300 },
    );
    expect(Math.min(evicted.ready, evicted.parked)).toBeGreaterThan(100);
  });

  test('by short ids, shared ones too, it gives what a look through all of it finds, oldest first', () => {
    const SHARED = 2;
    const sharing = (id: TxId): TxId =>
      (`${Number.parseInt(id.slice(0, 2), 16) % SHARED}`.repeat(16) + id.slice(16)) as TxId;
    const ids = Array.from({ length: SHARED + 1 }, (_, digit) => `${digit}`.repeat(16) as ShortTxId);
    let shared = 0;
    fc.assert(
      fc.property(histories, fc.nat(20), (steps, from) => {
        const model = new Model(sharing);
        for (const [at, one] of steps.entries()) {
          model.run(one);
          if (at < from) continue; // asked for the first time where there is something in it
          const open = new Set(ids);
          const found = [...model.pool.txs()].filter(({ id }) => open.delete(shortTxId(id)));
          expect(model.pool.withShortIds(ids.toReversed()).map(({ id }) => id)).toEqual(found.map(({ id }) => id));
          expect(ids.filter((id) => !model.pool.hasShortId(id))).toEqual([...open]);
          if (found.length < model.pool.size) shared += 1;
        }
      }),
      { numRuns: 300 },
    );
    expect(shared).toBeGreaterThan(200);
  });
});
