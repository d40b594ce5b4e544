import type { Address } from '../crypto/address.ts';
import { FeeHeap } from './fee-heap.ts';
import { MAX_TX_BYTES } from './params.ts';
import { PoolDigest, type ShortTxId } from './pool-digest.ts';
import type { TxReason } from './reasons.ts';
import type { PoolTx } from './sender-queue.ts';
import { SenderQueue } from './sender-queue.ts';
import { ShortIds } from './short-ids.ts';
import type { Account, AccountView, Block, Tx, TxId } from './types.ts';
import { checkTxStateful } from './validate/tx-stateful.ts';
import type { Verdict } from './verdict.ts';
import { accept, ignore } from './verdict.ts';

export interface MempoolLimits {
  /** Sum of the encoded sizes of all transactions (TX-15). */
  readonly maxBytes: number;
  /** Transactions of one sender (TX-14). */
  readonly maxPerSender: number;
  /** How far a nonce may be above the sender's next free one (TX-10). */
  readonly maxGap: bigint;
  /** Parked transactions of all senders. Those that lose their place in front do not count against it (TX-15). */
  readonly maxParked: number;
  /** How long a transaction waits before it is dropped. */
  readonly expiryMs: number;
  /** A replacement pays at least this many percent more fee (TX-13). */
  readonly replaceFeePercent: number;
}

/** Some 100 blocks' worth of transactions, and more than a block's time of a fast devnet's load. */
export const DEFAULT_MEMPOOL_BYTES = 32 * 1024 * 1024;

/** Of TX-10. */
export const MAX_NONCE_GAP = 64n;

const FIXED_LIMITS = {
  // A devnet's load comes from ten accounts: thousands each must fit. What a flooder takes, it must pay for
  // (TX-11) or be evicted from (TX-15).
  maxPerSender: 10_000,
  // What overtook others on the way; what is missing is asked for. A parked transaction can't be mined and pays
  // nothing, so it is the cheapest spam.
  maxGap: MAX_NONCE_GAP,
  // Hundreds of blocks: what they did not take is underpriced or stuck behind a gap, and only holds up its sender.
  expiryMs: 3 * 60 * 60 * 1000,
  replaceFeePercent: 10,
};

/** The limits of a pool of so many bytes, which leave room for what can be mined whatever its size. */
export function mempoolLimits(maxBytes: number): MempoolLimits {
  // A quarter of the bytes, were all as long as can be. What cannot be mined is never charged its fee, whatever it offers.
  return { ...FIXED_LIMITS, maxBytes, maxParked: Math.floor(maxBytes / 4 / MAX_TX_BYTES) };
}

/** A sender's last transaction, and what it was worth when it was put in its place among others'. */
interface Tail {
  readonly pooled: PoolTx;
  readonly dueRate: number;
}

/** Share of its bound below which a pool forgets who is to go first: nobody empties and fills a tenth of it at will. */
const TAILS_KEPT_ABOVE = 0.9;

export interface RemovedTx<R extends string = TxReason> {
  readonly tx: Tx;
  readonly reason: R;
}

export interface AddOutcome {
  readonly verdict: Verdict<Tx, TxReason>;
  /** Accepted, but not minable before the gap in front of it is filled (TX-10). */
  readonly parked: boolean;
  /** What had to go: the replaced one, and the cheapest where the pool was full. */
  readonly evicted: readonly RemovedTx[];
  /** Formerly parked transactions that this one made ready, in nonce order. */
  readonly released: readonly Tx[];
}

export interface NonceRange {
  readonly from: bigint;
  readonly to: bigint;
}

export interface BlocksOutcome {
  readonly removed: readonly RemovedTx<TxReason | 'mined'>[];
  /** Transactions of disconnected blocks that are back in the pool. */
  readonly readded: readonly Tx[];
}

/**
 * Transactions that wait to be mined: per sender a queue in nonce order, whose contiguous run from the account's
 * nonce is *ready*, the rest *parked*.
 *
 * Specification: every transaction that was accepted is in the pool until it is reported as removed, with a
 * reason. The ready transactions of a sender apply in nonce order to the accounts given last, and its whole queue
 * is covered by its balance. Bounds: `maxBytes`, `maxPerSender`; there are no more senders than transactions.
 * Complexity: `add` O(log n) and a shift within the sender's queue; `onBlocks` O(transactions of the blocks and of
 * the accounts they touch); `candidates` O(senders) and O(log senders) for each one taken.
 *
 * The accounts passed in are always those at the tip; signatures and TX-1..7 were checked before.
 */
export class Mempool {
  readonly #limits: MempoolLimits;
  /** In order of arrival, so that what expires is in front. */
  readonly #byId = new Map<TxId, PoolTx>();
  readonly #senders = new Map<Address, SenderQueue>();
  /**
   * Every sender's last transaction, what is worth least first: what eviction takes, so that it never opens a gap. Kept
   * from when something had to go until the pool is well below its bound; most pools never are full.
   */
  #tails: FeeHeap<Tail> | undefined;
  readonly #digest = new PoolDigest();
  /** Kept from when somebody first asks until the pool is empty. */
  #shortIds: ShortIds | undefined;
  #bytes = 0;
  #ready = 0;
  #nextSeq = 0;

  constructor(limits: MempoolLimits = mempoolLimits(DEFAULT_MEMPOOL_BYTES)) {
    this.#limits = limits;
  }

  /** Transactions in the pool, parked ones included. */
  get size(): number {
    return this.#byId.size;
  }

  /** Sum of their encoded sizes. */
  get bytes(): number {
    return this.#bytes;
  }

  get parkedSize(): number {
    return this.#byId.size - this.#ready;
  }

  /** As many are parked as may be. */
  get isParkingFull(): boolean {
    return this.parkedSize >= this.#limits.maxParked;
  }

  get(id: TxId): Tx | undefined {
    return this.#byId.get(id)?.tx;
  }

  has(id: TxId): boolean {
    return this.#byId.has(id);
  }

  /** True for a transaction in the pool that waits for a gap in front of it to be filled. */
  isParked(id: TxId): boolean {
    const pooled = this.#byId.get(id);
    return pooled !== undefined && !this.#senders.get(pooled.tx.from)!.isReady(pooled);
  }

  /** Rules TX-8..TX-15, cheapest first. All of them ignore: the sender may be honest at a tip we have not seen. */
  add(tx: Tx, accounts: AccountView, nowMs: number): AddOutcome {
    if (this.#byId.has(tx.id)) return refused('tx/known'); // TX-8
    const reason = this.senderRefusal(tx, accounts);
    if (reason !== undefined) return refused(reason);
    const account = accounts.get(tx.from);
    const queue = this.#senders.get(tx.from);
    const replaced = queue?.at(tx.nonce);
    const wouldPark = tx.nonce > (queue?.base ?? account.nonce) + BigInt(queue?.readyCount ?? 0);
    if (wouldPark && replaced === undefined && this.isParkingFull) return refused('tx/pool-full');
    const victims = this.#planRoom(tx, replaced, (sender) => sender === tx.from);
    // Its fee is paid only once the gap is filled: it buys no room of others (the DETER attack, CCS 2021).
    if (victims === undefined || (wouldPark && victims.length > 0)) return refused('tx/pool-full');

    const evicted: RemovedTx[] = victims.map((victim) => this.#remove(victim, 'tx/evicted'));
    if (replaced !== undefined) evicted.push(this.#remove(replaced, 'tx/replaced'));
    const { parked, released } = this.#insert(tx, account, nowMs);
    // A replacement in the middle un-readies and re-readies those behind it: they were not parked before.
    return { verdict: accept(tx), parked, evicted, released: replaced === undefined ? released : [] };
  }

  /**
   * TX-9..TX-14: what its sender's account and others in the pool say of a transaction that is not in it; undefined where
   * nothing is against it but perhaps its room (TX-15).
   */
  senderRefusal(tx: Tx, accounts: AccountView): TxReason | undefined {
    const queue = this.#senders.get(tx.from);
    // TX-9..TX-12. The gap counts from the sender's next free nonce, not from the account's: a long queue is no gap.
    const stateful = checkTxStateful(tx, accounts, this.#limits.maxGap + BigInt(queue?.readyCount ?? 0));
    if (stateful.kind !== 'accept') return stateful.reason;
    const replaced = queue?.at(tx.nonce);
    if (replaced !== undefined && !this.#paysToReplace(tx, replaced.tx)) return 'tx/replacement-underpriced';
    // TX-11 over the queue: a sender's transactions never spend more together than it has, so what is ready stays
    // minable whatever its order of arrival, and nobody relays for free what could not be paid for.
    const committed = (queue?.cost ?? 0n) - (replaced === undefined ? 0n : costOf(replaced.tx));
    if (committed + costOf(tx) > accounts.get(tx.from).balance) return 'tx/balance-low';
    return replaced === undefined && (queue?.size ?? 0) >= this.#limits.maxPerSender ? 'tx/sender-limit' : undefined;
  }

  /**
   * The tip moved. Removes what was mined and what no longer applies, and puts back the transactions of
   * disconnected blocks that the new branch has not mined. Looks only at accounts that the blocks touch.
   *
   * @param connected from the fork point up
   * @param disconnected from the old tip down
   * @param accounts as of the new tip
   * @returns each removed one with its reason; a disconnected transaction that can't come back is among them.
   */
  onBlocks(
    connected: readonly Block[],
    disconnected: readonly Block[],
    accounts: AccountView,
    nowMs: number,
  ): BlocksOutcome {
    const removed: RemovedTx<TxReason | 'mined'>[] = [];
    const mined = new Set<TxId>();
    const touched = new Set<Address>();
    for (const block of connected) {
      for (const tx of block.txs) {
        mined.add(tx.id);
        touched.add(tx.from);
      }
    }
    // What a disconnected block paid is gone: its recipients and its miner may have less than before.
    for (const block of disconnected) {
      touched.add(block.header.miner);
      for (const tx of block.txs) touched.add(tx.from).add(tx.to);
    }
    for (const address of touched) {
      const queue = this.#senders.get(address);
      if (queue === undefined) continue;
      // What was mined is among it: the nonce is as of after it.
      for (const { tx } of this.#rebase(address, queue, accounts.get(address).nonce)) {
        removed.push({ tx, reason: mined.has(tx.id) ? 'mined' : 'tx/nonce-used' });
      }
    }
    const back: Tx[] = [];
    for (const block of disconnected.toReversed()) {
      for (const tx of block.txs) {
        if (mined.has(tx.id)) continue;
        const outcome = this.#readd(tx, accounts, nowMs, touched);
        removed.push(...outcome);
        if (this.#byId.has(tx.id)) back.push(tx);
      }
    }
    for (const address of touched) {
      const queue = this.#senders.get(address);
      const balance = accounts.get(address).balance;
      while (queue !== undefined && queue.cost > balance) removed.push(this.#remove(queue.last!, 'tx/balance-low'));
    }
    return { removed, readded: back.filter((tx) => this.#byId.has(tx.id)) };
  }

  /** Removes what has been here for `expiryMs`, counted from when it was added or last put back. */
  expire(nowMs: number): RemovedTx[] {
    const removed: RemovedTx[] = [];
    for (const pooled of this.#byId.values()) {
      if (nowMs - pooled.addedAtMs < this.#limits.expiryMs) break; // the rest is younger
      removed.push(this.#remove(pooled, 'tx/expired'));
    }
    return removed;
  }

  /** Takes one out, e.g. one that the block template found not to apply. Undefined when it is not in the pool. */
  drop(id: TxId, reason: TxReason): RemovedTx | undefined {
    const pooled = this.#byId.get(id);
    return pooled === undefined ? undefined : this.#remove(pooled, reason);
  }

  /**
   * Ready transactions, best fee per byte first, each sender's in nonce order: greedy over the heads of the
   * senders' queues. Parked ones are left out. The pool must not change while this is being iterated.
   */
  *candidates(): Generator<Tx, void, undefined> {
    const heads = new FeeHeap<PoolTx>((a, b) => a.feeRate > b.feeRate || (a.feeRate === b.feeRate && a.seq < b.seq));
    for (const queue of this.#senders.values()) {
      const head = queue.readyAt(0);
      if (head !== undefined) heads.push(head);
    }
    const taken = new Map<Address, number>();
    for (let head = heads.pop(); head !== undefined; head = heads.pop()) {
      yield head.tx;
      const index = (taken.get(head.tx.from) ?? 0) + 1;
      taken.set(head.tx.from, index);
      const next = this.#senders.get(head.tx.from)!.readyAt(index);
      if (next !== undefined) heads.push(next);
    }
  }

  /** The next nonce the sender can use without a gap: after its ready run. `account` is the one at the tip. */
  pendingNonce(address: Address, account: Account): bigint {
    const queue = this.#senders.get(address);
    return queue === undefined ? account.nonce : queue.base + BigInt(queue.readyCount);
  }

  /** The nonces that a sender's parked transactions wait for first, both included. Undefined where none is parked. */
  firstGap(address: Address): NonceRange | undefined {
    const queue = this.#senders.get(address);
    const parked = queue?.firstParked;
    if (queue === undefined || parked === undefined) return undefined;
    return { from: queue.base + BigInt(queue.readyCount), to: parked.tx.nonce - 1n };
  }

  /** Those of whose transactions some are parked. O(senders). */
  *sendersWithGap(): Generator<Address, void, undefined> {
    for (const [address, queue] of this.#senders) if (queue.firstParked !== undefined) yield address;
  }

  /** Up to `limit` of a sender's transactions whose nonces follow one another, the first of them being `nonce`. */
  consecutive(address: Address, nonce: bigint, limit: number): Tx[] {
    return Array.from(this.#senders.get(address)?.consecutive(nonce).take(limit) ?? [], ({ tx }) => tx);
  }

  /** How many of a sender's wait, how many of these are parked, and what all of them spend. */
  waitingOf(address: Address): { readonly size: number; readonly parked: number; readonly cost: bigint } {
    const queue = this.#senders.get(address);
    if (queue === undefined) return { size: 0, parked: 0, cost: 0n };
    return { size: queue.size, parked: queue.size - queue.readyCount, cost: queue.cost };
  }

  /** One sender's transactions in nonce order, parked ones included. */
  ofSender(address: Address): Tx[] {
    return Array.from(this.#senders.get(address)?.txs() ?? [], (pooled) => pooled.tx);
  }

  /** All transactions in order of arrival, parked ones included. The pool must not change while this is iterated. */
  *txs(): Generator<Tx, void, undefined> {
    for (const pooled of this.#byId.values()) yield pooled.tx;
  }

  /** Up to `limit` transactions in order of arrival, parked ones included. */
  list(limit: number): Tx[] {
    return Array.from(this.#byId.values().take(limit), (pooled) => pooled.tx);
  }

  /** Whether one with that short id is in the pool. O(1), but for the first time. */
  hasShortId(id: ShortTxId): boolean {
    return this.#shortIdsNow().get(id) !== undefined;
  }

  /** Those with these short ids, in order of arrival; of several that share one, the oldest. O(k log k) for k ids. */
  withShortIds(ids: Iterable<ShortTxId>): Tx[] {
    const index = this.#shortIdsNow();
    const found = Array.from(new Set(ids)).flatMap((id) => index.get(id) ?? []);
    return found.sort((a, b) => a.seq - b.seq).map(({ tx }) => tx);
  }

  /** Fingerprint of the ids in the pool, parked ones included. */
  get digest(): Pick<PoolDigest, 'total' | 'fingerprint' | 'buckets'> {
    return this.#digest;
  }

  /**
   * Those that were added or put back at least `ageMs` before `nowMs`, in order of arrival, parked ones included. What is
   * from later than now is from before the clock was set back.
   */
  *olderThan(ageMs: number, nowMs: number): Generator<Tx, void, undefined> {
    for (const { tx, addedAtMs } of this.#byId.values()) {
      if (addedAtMs <= nowMs && nowMs - addedAtMs < ageMs) return; // the rest is younger
      yield tx;
    }
  }

  /** TX-13. */
  #paysToReplace(tx: Tx, old: Tx): boolean {
    const percent = BigInt(100 + this.#limits.replaceFeePercent);
    return tx.fee > old.fee && tx.fee * 100n >= old.fee * percent;
  }

  /**
   * TX-15: what to evict so that `tx` fits in place of `replaced`; undefined when that would cost a transaction
   * that pays as much per byte as `tx`. Takes senders' last transactions only, and none that `tx` stands behind; first
   * what is parked, whose fee is not due.
   *
   * @param isSpared senders whose parked ones count by their fee all the same: `tx` may be what makes them ready
   */
  #planRoom(tx: Tx, replaced: PoolTx | undefined, isSpared: (sender: Address) => boolean): PoolTx[] | undefined {
    const { maxBytes } = this.#limits;
    let excess = this.#bytes - (replaced?.tx.bytes.length ?? 0) + tx.bytes.length - maxBytes;
    if (excess <= 0) {
      if (this.#bytes < TAILS_KEPT_ABOVE * maxBytes) this.#tails = undefined;
      return [];
    }
    const tails = this.#tailsNow();
    const feeRate = feeRateOf(tx);
    const victims: PoolTx[] = [];
    /** How many of a sender's last ones are among the victims. */
    const taken = new Map<Address, number>();
    const aside: Tail[] = [];
    const spared = new Set<SenderQueue>();
    while (excess > 0) {
      const tail = tails.pop();
      if (tail === undefined) break;
      const { pooled } = tail;
      const { from, nonce, bytes } = pooled.tx;
      const queue = this.#senders.get(from);
      const gone = taken.get(from) ?? 0;
      if (queue?.fromEnd(gone) !== pooled) continue; // stale: no longer the last of its sender
      const now = isSpared(from) ? { pooled, dueRate: pooled.feeRate } : tailOf(queue, pooled);
      if (now.dueRate !== tail.dueRate) {
        tails.push(now); // stale: it has become ready, or parked; or it is spared
        if (isSpared(from)) spared.add(queue);
        continue;
      }
      aside.push(tail);
      if (from === tx.from && nonce <= tx.nonce) continue;
      if (pooled !== replaced) {
        if (tail.dueRate >= feeRate) break;
        victims.push(pooled);
        excess -= bytes.length;
      }
      taken.set(from, gone + 1);
      const before = queue.fromEnd(gone + 1);
      if (before !== undefined) tails.push(tailOf(queue, before));
    }
    for (const tail of aside) tails.push(tail); // victims too: stale as soon as they are removed
    for (const queue of spared) tails.push(tailOf(queue, queue.last!)); // the next plan does not spare them
    this.#boundTails();
    return excess > 0 ? undefined : victims;
  }

  #insert(tx: Tx, account: Account, nowMs: number): { readonly parked: boolean; readonly released: readonly Tx[] } {
    let queue = this.#senders.get(tx.from);
    if (queue === undefined) {
      queue = new SenderQueue(account.nonce);
      this.#senders.set(tx.from, queue);
    }
    const pooled: PoolTx = { tx, feeRate: feeRateOf(tx), cost: costOf(tx), addedAtMs: nowMs, seq: this.#nextSeq++ };
    const readyBefore = queue.readyCount;
    queue.insert(pooled);
    this.#ready += queue.readyCount - readyBefore;
    this.#byId.set(tx.id, pooled);
    this.#digest.toggle(tx.id);
    this.#shortIds?.add(pooled);
    this.#bytes += tx.bytes.length;
    if (queue.last === pooled) this.#pushTail(queue);
    // One more ready is the transaction itself.
    const released = queue.readyCount > readyBefore + 1 ? queue.ready(readyBefore + 1).map((ready) => ready.tx) : [];
    return { parked: !queue.isReady(pooled), released };
  }

  #remove(pooled: PoolTx, reason: TxReason): RemovedTx {
    const { tx } = pooled;
    const queue = this.#senders.get(tx.from)!;
    const wasLast = queue.last === pooled;
    const readyBefore = queue.readyCount;
    queue.remove(pooled);
    this.#ready += queue.readyCount - readyBefore;
    this.#forget(pooled);
    if (queue.size === 0) this.#senders.delete(tx.from);
    else if (wasLast || queue.readyCount < readyBefore) this.#pushTail(queue);
    return { tx, reason };
  }

  /** As `remove`, of all below the sender's new nonce at once: a block takes hundreds of one sender. */
  #rebase(sender: Address, queue: SenderQueue, nonce: bigint): readonly PoolTx[] {
    const readyBefore = queue.readyCount;
    const used = queue.rebase(nonce);
    this.#ready += queue.readyCount - readyBefore;
    for (const pooled of used) this.#forget(pooled);
    if (queue.size === 0) this.#senders.delete(sender);
    else this.#pushTail(queue);
    return used;
  }

  /** What is out of its sender's queue. */
  #forget(pooled: PoolTx): void {
    const { id, bytes } = pooled.tx;
    this.#byId.delete(id);
    this.#digest.toggle(id);
    if (this.#byId.size === 0) this.#shortIds = undefined;
    else this.#shortIds?.remove(pooled);
    this.#bytes -= bytes.length;
  }

  #shortIdsNow(): ShortIds {
    if (this.#shortIds === undefined) {
      this.#shortIds = new ShortIds();
      for (const pooled of this.#byId.values()) this.#shortIds.add(pooled);
    }
    return this.#shortIds;
  }

  /** The queue, which is not empty, has another last one, or that may be parked now. */
  #pushTail(queue: SenderQueue): void {
    this.#tails?.push(tailOf(queue, queue.last!));
    this.#boundTails();
  }

  #tailsNow(): FeeHeap<Tail> {
    if (this.#tails === undefined) {
      this.#tails = new FeeHeap(goesBefore);
      for (const queue of this.#senders.values()) this.#tails.push(tailOf(queue, queue.last!));
    }
    return this.#tails;
  }

  /** Stale tails stay in the heap until popped; past twice the senders it is built anew, O(1) amortised. */
  #boundTails(): void {
    if (this.#tails === undefined || this.#tails.size <= 2 * this.#senders.size + 64) return;
    this.#tails = undefined;
    this.#tailsNow();
  }

  /**
   * As `add`, but a transaction that was in the chain goes before those of its sender that were not.
   *
   * @param touched whose queues are not whole yet: what is parked there may be ready in a moment
   */
  #readd(tx: Tx, accounts: AccountView, nowMs: number, touched: ReadonlySet<Address>): RemovedTx[] {
    if (this.#byId.has(tx.id)) return [];
    const account = accounts.get(tx.from);
    if (tx.nonce < account.nonce) return [{ tx, reason: 'tx/nonce-used' }];
    const queue = this.#senders.get(tx.from);
    const replaced = queue?.at(tx.nonce);
    const isOver = replaced === undefined && (queue?.size ?? 0) >= this.#limits.maxPerSender;
    if (replaced !== undefined && !this.#paysToReplace(tx, replaced.tx)) {
      return [{ tx, reason: 'tx/replacement-underpriced' }];
    }
    if (isOver && queue!.last!.tx.nonce < tx.nonce) return [{ tx, reason: 'tx/sender-limit' }];
    const gone = isOver ? queue!.last! : replaced;
    const victims = this.#planRoom(tx, gone, (sender) => touched.has(sender));
    const wouldPark = tx.nonce > (queue?.base ?? account.nonce) + BigInt(queue?.readyCount ?? 0);
    if (victims === undefined || (wouldPark && victims.length > 0)) return [{ tx, reason: 'tx/pool-full' }];
    const removed = victims.map((victim) => this.#remove(victim, 'tx/evicted'));
    if (gone !== undefined) removed.push(this.#remove(gone, isOver ? 'tx/sender-limit' : 'tx/replaced'));
    this.#insert(tx, account, nowMs);
    return removed;
  }
}

function refused(reason: TxReason): AddOutcome {
  return { verdict: ignore(reason), parked: false, evicted: [], released: [] };
}

function tailOf(queue: SenderQueue, pooled: PoolTx): Tail {
  return { pooled, dueRate: dueRateOf(queue, pooled) };
}

/** Units per byte that a miner can have of it now: of what is parked nothing, whatever fee it offers. */
function dueRateOf(queue: SenderQueue, pooled: PoolTx): number {
  return queue.isReady(pooled) ? pooled.feeRate : 0;
}

/** Whether `a` is evicted before `b`: what is worth less, of the parked ones what offers less, of equals the younger. */
function goesBefore({ pooled: a, dueRate }: Tail, { pooled: b, dueRate: other }: Tail): boolean {
  if (dueRate !== other) return dueRate < other;
  return a.feeRate !== b.feeRate ? a.feeRate < b.feeRate : a.seq > b.seq;
}

function costOf(tx: Tx): bigint {
  return tx.amount + tx.fee;
}

/** Units per byte. A double: rounding can only swap transactions whose rates differ in the 16th digit. */
function feeRateOf(tx: Tx): number {
  return Number(tx.fee) / tx.bytes.length;
}
