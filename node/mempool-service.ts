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
import { MempoolJournal, type MempoolJournalDeps } from './mempool-journal.ts';
import type { PeerKey } from './ports.ts';

export interface MempoolServiceDeps extends MempoolJournalDeps {
  readonly chain: ChainService;
  readonly events: EventBus;
  readonly limits: MempoolLimits;
}

/** Dropped transactions whose reason is remembered. */
const DROPPED_KEPT = 10_000;
const EXPIRY_CHECK_MS = 30_000;

/**
 * Owns the pool and its journal: nobody else changes `pool`. It adds and removes at once, and the journal follows; who
 * acknowledges a transaction waits for `journalled`. It checks no signature: that was done before `add`.
 */
export class MempoolService {
  readonly pool: Mempool;
  readonly #deps: MempoolServiceDeps;
  readonly #dropped = new Lru<TxId, TxReason>(DROPPED_KEPT);
  readonly #journal: MempoolJournal;
  readonly #disposers: (() => void)[] = [];
  #version = 0;

  constructor(deps: MempoolServiceDeps, stored: readonly Tx[]) {
    this.#deps = deps;
    this.pool = new Mempool(deps.limits);
    this.#journal = new MempoolJournal(deps);
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
          if (reason === 'mined') this.#journal.remove(tx.id);
          else this.#remove(tx, reason);
        }
        for (const tx of readded) {
          this.#journal.restore(tx);
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
    await this.#journal.stop();
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
      this.#journal.add(tx);
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

  /** As `MempoolJournal.written`. */
  journalled(id: TxId): Promise<boolean> {
    return this.#journal.written(id);
  }

  droppedReason(id: TxId): TxReason | undefined {
    return this.#dropped.get(id);
  }

  #remove(tx: Tx, reason: TxReason): void {
    this.#dropped.set(tx.id, reason);
    this.#journal.remove(tx.id);
    this.#deps.events.emit('tx-dropped', { tx, reason });
    this.#changed();
  }

  #changed(): void {
    this.#version += 1;
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
