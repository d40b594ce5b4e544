/**
 * The mempool's copy on disk, from which a restart fills it. Written behind, one write at a time: what somebody waits for
 * at once, the rest within a second and in small portions, so that the work on a large block is not the moment in which
 * thousands of its transactions are taken out.
 *
 * It lags, and may: what has not been written yet others have told of and tell again, and what is mined or dropped and
 * still stands in it the mempool refuses at the next start. It is never wrong the other way: who was told that a
 * transaction is written finds it after a crash, unless it was mined or dropped since.
 */
import type { Tx, TxId } from '../chain/types.ts';
import type { Clock } from './ports.ts';
import { SerialQueue } from './serial-queue.ts';
import type { Store } from './store/store.ts';

export interface MempoolJournalDeps {
  readonly store: Pick<Store, 'saveMempool'>;
  readonly clock: Clock;
  /** Hears of a write that failed, the first since one did not: the pool goes on without it. */
  readonly onFailure: (error: unknown) => void;
}

/** From a change that nobody waits for to its write. */
const LAG_MS = 1_000;
/** Changes that a write takes where nobody waits, some milliseconds of work, and how soon the next portion follows. */
const PORTION = 512;
const NEXT_PORTION_MS = 50;
const NOTHING: ReadonlyMap<TxId, Tx> = new Map();

/** Owns what is still to be written: at most what the pool holds, and one id for each that has left it. */
export class MempoolJournal {
  readonly #deps: MempoolJournalDeps;
  readonly #queue = new SerialQueue();
  /** To be written, by id. An id may be in both this and `#removed`: then it stands in the journal afterwards. */
  readonly #added = new Map<TxId, Tx>();
  readonly #removed = new Set<TxId>();
  /** Of those added, what somebody waits for. */
  readonly #asked = new Map<TxId, Tx>();
  /** In the write that is under way. */
  #writing: ReadonlyMap<TxId, Tx> = NOTHING;
  /** The write of what is asked for, until it begins. */
  #nextAsked: Promise<void> | undefined;
  #cancelDue: (() => void) | undefined;
  /** The last write failed. */
  #isRefused = false;

  constructor(deps: MempoolJournalDeps) {
    this.#deps = deps;
  }

  add(tx: Tx): void {
    this.#added.set(tx.id, tx);
    this.#schedule(LAG_MS);
  }

  /**
   * As `add`, of one that was written with a move of the tip. Its removal, from when it was mined, may have been on its way
   * and come after that: so it is written again, at once.
   */
  restore(tx: Tx): void {
    this.#removed.add(tx.id); // should it go again before that
    this.#schedule(LAG_MS);
    this.#asked.set(tx.id, tx);
    void this.#writeAsked();
  }

  /** What has come and gone since the last write needs none. */
  remove(id: TxId): void {
    if (this.#added.delete(id) || this.#asked.delete(id)) return;
    this.#removed.add(id);
    this.#schedule(LAG_MS);
  }

  /**
   * Has the transaction written, and resolves when it is: from then on it survives the process, and may be acknowledged.
   * With false where the store refused it: a later write takes it along. At once where it is not to be written.
   */
  async written(id: TxId): Promise<boolean> {
    const tx = this.#added.get(id);
    if (tx !== undefined) {
      this.#added.delete(id);
      this.#asked.set(id, tx);
    }
    if (this.#asked.has(id)) await this.#writeAsked();
    else if (this.#writing.has(id)) await this.#queue.idle();
    return !this.#isUnwritten(id);
  }

  /** Writes all that is left. */
  async stop(): Promise<void> {
    this.#cancelDue?.();
    await this.#queue.run(() => this.#write([...this.#asked.values(), ...this.#added.values()], [...this.#removed]));
    this.#cancelDue?.();
  }

  #isUnwritten(id: TxId): boolean {
    return this.#added.has(id) || this.#asked.has(id) || this.#writing.has(id);
  }

  /** What is asked for in one turn, and while another write is under way, shares a write. */
  #writeAsked(): Promise<void> {
    this.#nextAsked ??= this.#queue.run(async () => {
      await undefined;
      this.#nextAsked = undefined;
      await this.#write([...this.#asked.values()], []);
    });
    return this.#nextAsked;
  }

  #schedule(afterMs: number): void {
    this.#cancelDue ??= this.#deps.clock.after(afterMs, () => {
      void this.#queue.run(async () => {
        const isWritten = await this.#write(
          Array.from(this.#added.values().take(PORTION)),
          Array.from(this.#removed.values().take(PORTION)),
        );
        this.#cancelDue = undefined;
        if (isWritten && this.#added.size + this.#removed.size > 0) this.#schedule(NEXT_PORTION_MS);
      });
    });
  }

  /**
   * One write. Never rejects.
   * @returns false where the store refused: what was to be written waits for the next change
   */
  async #write(added: readonly Tx[], removed: readonly TxId[]): Promise<boolean> {
    const ids = new Set(removed);
    for (const id of ids) this.#removed.delete(id);
    const writing = new Map<TxId, Tx>();
    for (const tx of added) {
      writing.set(tx.id, tx);
      this.#added.delete(tx.id);
      this.#asked.delete(tx.id);
      if (this.#removed.delete(tx.id)) ids.add(tx.id); // later it would take out what is written here
    }
    if (writing.size + ids.size === 0) return true;
    this.#writing = writing;
    try {
      await this.#deps.store.saveMempool(added, [...ids]);
      this.#isRefused = false;
      return true;
    } catch (error) {
      // The pool in memory is whole; only its copy lags. What has been overtaken meanwhile stays so.
      for (const tx of added) if (!this.#removed.has(tx.id)) this.#added.set(tx.id, tx);
      for (const id of ids) this.#removed.add(id);
      // Each change tries again, and a full disk is no place for as many lines.
      if (!this.#isRefused) this.#deps.onFailure(error);
      this.#isRefused = true;
      return false;
    } finally {
      this.#writing = NOTHING;
    }
  }
}
