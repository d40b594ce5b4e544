/**
 * The only writer of the mempool. Follows the tip, journals what waits so that a restart forgets nothing, and
 * remembers for a while why transactions were dropped.
 */
import { Mempool, type MempoolLimits } from '../chain/mempool.ts';
import type { TxReason } from '../chain/reasons.ts';
import type { Tx, TxId } from '../chain/types.ts';
import type { Verdict } from '../chain/verdict.ts';
import type { ChainService } from './chain-service.ts';
import type { EventBus } from './events.ts';
import { Lru } from './lru.ts';
import type { Clock, PeerKey } from './ports.ts';
import type { Store } from './store/store.ts';

export interface MempoolServiceDeps {
  readonly chain: ChainService;
  readonly store: Store;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly limits: MempoolLimits;
  /** Hears of a write that failed, the first since one did not: the pool goes on without it. */
  readonly onFailure: (error: unknown) => void;
}

/** Dropped transactions whose reason is remembered. */
const DROPPED_KEPT = 10_000;
const EXPIRY_CHECK_MS = 30_000;
const NOTHING: readonly Tx[] = [];

/**
 * Owns the pool and its journal: nobody else changes `pool`. It adds and removes at once, and writes behind, one
 * write at a time; who acknowledges a transaction waits for `journalled`. It checks no signature: that was done
 * before `add`.
 */
export class MempoolService {
  readonly pool: Mempool;
  readonly #deps: MempoolServiceDeps;
  readonly #dropped = new Lru<TxId, TxReason>(DROPPED_KEPT);
  /**
   * What is to be written next, in order of arrival. Of what stands in both, the pool says which holds. Lists, since there
   * is a write for every few transactions: a Map of its own each would cost more than what is in it.
   */
  #added: Tx[] = [];
  #removed: TxId[] = [];
  /** Added by the write that is under way. */
  #writing = NOTHING;
  readonly #disposers: (() => void)[] = [];
  #flushing: Promise<void> | undefined;
  #version = 0;
  /** The last write failed. */
  #isRefused = false;

  constructor(deps: MempoolServiceDeps, stored: readonly Tx[]) {
    this.#deps = deps;
    this.pool = new Mempool(deps.limits);
    // The store keeps no order; a sender's later nonces would look like a gap before its earlier ones.
    for (const tx of [...stored].sort((a, b) => (a.nonce < b.nonce ? -1 : a.nonce > b.nonce ? 1 : 0))) {
      const { verdict } = this.pool.add(tx, deps.chain.accounts, deps.clock.nowMs());
      if (verdict.kind !== 'accept') this.#remove(tx, verdict.reason);
    }
  }

  /** Follows the tip. Before anybody can give a block. */
  follow(): void {
    const { events, chain, clock } = this.#deps;
    this.#disposers.push(
      events.on('tip', ({ connected, disconnected }) => {
        const { removed, readded } = this.pool.onBlocks(connected, disconnected, chain.accounts, clock.nowMs());
        for (const { tx, reason } of removed) {
          if (reason === 'mined') this.#journalRemoval(tx.id);
          else this.#remove(tx, reason);
        }
        for (const tx of readded) {
          this.#journalAddition(tx);
          events.emit('tx', { tx, from: 'reorg', parked: false });
        }
        this.#changed();
      }),
    );
  }

  /** Begins to drop what waits too long. */
  start(): void {
    this.#scheduleExpiry();
  }

  /** Stops following the tip and writes what is not yet journalled. */
  async stop(): Promise<void> {
    for (const dispose of this.#disposers.splice(0)) dispose();
    await this.#flushing; // one write at a time
    if (this.#isDirty) this.#startFlush();
    await this.#flushing;
  }

  /** Rises with every change of content: tells the miner that its template is stale. */
  get version(): number {
    return this.#version;
  }

  /** What rules TX-9 and TX-11 say before the signature is known: a used nonce, or more than the account holds. */
  screen(tx: Tx): TxReason | undefined {
    const sender = this.#deps.chain.accounts.get(tx.from);
    if (tx.nonce < sender.nonce) return 'tx/nonce-used';
    return tx.amount + tx.fee > sender.balance ? 'tx/balance-low' : undefined;
  }

  /** Rules TX-8..TX-15 on a transaction whose signature is good. */
  add(tx: Tx, from: PeerKey | 'api'): { readonly verdict: Verdict<Tx, TxReason>; readonly parked: boolean } {
    const { events, chain, clock } = this.#deps;
    const result = this.pool.add(tx, chain.accounts, clock.nowMs());
    for (const { tx: evicted, reason } of result.evicted) this.#remove(evicted, reason);
    if (result.verdict.kind === 'accept') {
      this.#dropped.delete(tx.id);
      this.#journalAddition(tx);
      events.emit('tx', { tx, from, parked: result.parked });
      this.#changed();
    }
    return { verdict: result.verdict, parked: result.parked };
  }

  /** True for the very bytes that are in the pool: their signature has been checked. */
  isVerified(tx: Tx): boolean {
    const known = this.pool.get(tx.id);
    if (known === tx) return true;
    return known !== undefined && Buffer.compare(known.bytes, tx.bytes) === 0;
  }

  /**
   * Resolves when the transaction is journalled: from then on it survives the process, and may be acknowledged. With
   * false where the store refused it; a later change tries again.
   */
  async journalled(id: TxId): Promise<boolean> {
    while (this.#flushing !== undefined && this.#isUnwritten(id)) await this.#flushing;
    return !this.#isUnwritten(id);
  }

  #isUnwritten(id: TxId): boolean {
    const isIt = (tx: Tx): boolean => tx.id === id;
    return this.#added.some(isIt) || this.#writing.some(isIt);
  }

  droppedReason(id: TxId): TxReason | undefined {
    return this.#dropped.get(id);
  }

  #remove(tx: Tx, reason: TxReason): void {
    this.#dropped.set(tx.id, reason);
    this.#journalRemoval(tx.id);
    this.#deps.events.emit('tx-dropped', { tx, reason });
    this.#changed();
  }

  #changed(): void {
    this.#version += 1;
  }

  #journalAddition(tx: Tx): void {
    this.#added.push(tx);
    this.#startFlush();
  }

  #journalRemoval(id: TxId): void {
    this.#removed.push(id);
    this.#startFlush();
  }

  #startFlush(): void {
    this.#flushing ??= this.#flush();
  }

  get #isDirty(): boolean {
    return this.#added.length + this.#removed.length > 0;
  }

  /**
   * One write: who waits for `journalled` waits for its own, not for those that follow. What the store refuses waits for
   * the next change.
   */
  async #flush(): Promise<void> {
    await undefined; // what arrives in this turn shares one write
    const removed = this.#removed;
    // Removals come first in the store: what was added again after its own is there, what was added before is not.
    const added = removed.length === 0 ? this.#added : this.#added.filter(({ id }) => this.pool.has(id));
    this.#added = [];
    this.#removed = [];
    this.#writing = added;
    try {
      await this.#deps.store.saveMempool(added, removed);
      this.#isRefused = false;
    } catch (error) {
      this.#onRefused(added, removed, error);
    }
    this.#writing = NOTHING;
    this.#flushing = undefined;
    if (!this.#isRefused && this.#isDirty && this.#disposers.length > 0) this.#startFlush();
  }

  /**
   * The pool in memory is whole; only its copy on disk lags. The next change writes this as well, less what has been
   * overtaken meanwhile.
   */
  #onRefused(added: readonly Tx[], removed: readonly TxId[], error: unknown): void {
    this.#added = [...added, ...this.#added];
    this.#removed = [...new Set([...removed, ...this.#removed])];
    // Each change tries again, and a full disk is no place for as many lines.
    if (!this.#isRefused) this.#deps.onFailure(error);
    this.#isRefused = true;
  }

  #scheduleExpiry(): void {
    const { clock } = this.#deps;
    let cancel = (): void => {};
    const check = (): void => {
      for (const { tx, reason } of this.pool.expire(clock.nowMs())) this.#remove(tx, reason);
      cancel = clock.after(EXPIRY_CHECK_MS, check);
    };
    cancel = clock.after(EXPIRY_CHECK_MS, check);
    this.#disposers.push(() => cancel());
  }
}
