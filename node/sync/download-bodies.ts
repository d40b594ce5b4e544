/**
 * Fetches the bodies of a checked run of headers from several peers at once and connects them in order, several at a
 * time where several are there. What has arrived has its signatures checked while earlier blocks are being connected.
 *
 * Work is handed out in batches of consecutive blocks. A batch that its peer does not finish — it stalls, vanishes,
 * sends something else, or does not have a block — goes back and is given to another peer. What has arrived waits
 * for its turn in a buffer, bounded by how far ahead of the next block to connect batches may be handed out.
 */
import type { BlockReason } from '../../chain/reasons.ts';
import type { Block, BlockId, ChainEntry } from '../../chain/types.ts';
import type { Verdict } from '../../chain/verdict.ts';
import type { PeerKey } from '../ports.ts';
import { PeerFault, type RequestDeps } from '../requests/exchange.ts';
import { MAX_BODIES_PER_REQUEST } from './protocols.ts';
import { requestBodies } from './requests.ts';

export interface DownloadDeps extends RequestDeps {
  readonly entries: readonly ChainEntry[];
  /** Who may be asked, the preferred first. Asked anew whenever work is handed out. */
  readonly peers: () => readonly PeerKey[];
  /** Whether a body fits its header; a peer that sends one that does not is at fault, not the block. */
  readonly checkBody: (block: Block) => Verdict<Block, BlockReason>;
  /** Checks the signatures of a block that will be connected soon. Its outcome is for `connect` to find. */
  readonly checkAhead: (block: Block) => Promise<void>;
  /** Each the parent of the next. */
  readonly connect: (blocks: readonly Block[]) => Promise<void>;
  readonly onFault: (peer: PeerKey, error: unknown) => void;
  /** False: it ends where it is, with what has been connected. Asked whenever something has come. */
  readonly mayGoOn: () => boolean;
  readonly signal: AbortSignal;
}

/** Blocks handed out ahead of the next to connect: at 1 MB a block, 64 MB of buffer at most. */
const WINDOW_BLOCKS = 64;
const REQUESTS_PER_PEER = 2;
/** Signatures checked, or being checked, ahead of the next block to connect: what one thread does in half a second. */
const MAX_AHEAD_SIGNATURES = 8192;
/**
 * Connected at once, at most: writing to the disk is shared by that many blocks, and no other block has its turn
 * meanwhile. A block with more transactions goes alone.
 */
const MAX_RUN_BLOCKS = 16;
const MAX_RUN_TXS = 512;
/**
 * Without a new body for this long it ends, however many are left to ask: each time to stall or to refuse is short, but
 * whoever comes back under new names has them without end.
 */
const NO_BODY_MS = 30_000;
/** Bodies are decoded for so long before the event loop has its turn. */
const SLICE_MS = 5;

interface Arrived {
  readonly block: Block;
  /** Begun; `isChecked` when it is done. */
  isBegun: boolean;
  isChecked: boolean;
}

/**
 * Resolves when all are connected, with true, or when it may not go on, with false. Rejects when no peer is left to ask,
 * no body comes, a block is refused, or the signal aborts.
 */
export async function downloadBodies(deps: DownloadDeps): Promise<boolean> {
  return new BodyDownload(deps).run();
}

class BodyDownload {
  readonly #deps: DownloadDeps;
  /** Come, and not connected yet. */
  readonly #arrived = new Map<BlockId, Arrived>();
  /** Places of blocks that have been asked for and have not come. */
  readonly #assigned = new Set<number>();
  readonly #failed = new Set<PeerKey>();
  readonly #requests = new Map<Promise<void>, PeerKey>();
  readonly #checks = new Set<Promise<void>>();
  #connecting: Promise<void> | undefined;
  /** Blocks connected: the place of the next one. */
  #connected = 0;
  #failure: { readonly error: unknown } | undefined;
  /** Ends the requests that are still on when the download does. */
  readonly #ending = new AbortController();
  #cancelWait = (): void => {};
  /** A block came, was checked or connected, or a request ended. */
  #notify = (): void => {};

  constructor(deps: DownloadDeps) {
    this.#deps = deps;
  }

  async run(): Promise<boolean> {
    const { entries, signal, mayGoOn } = this.#deps;
    const onAbort = (): void => this.#ending.abort(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waitForBody();
    try {
      while (this.#connected < entries.length) {
        signal.throwIfAborted();
        if (this.#failure !== undefined) throw this.#failure.error;
        if (!mayGoOn()) return false;
        this.#handOut();
        this.#connecting ??= this.#connectNext();
        if (this.#requests.size === 0 && this.#checks.size === 0 && this.#connecting === undefined)
          throw new PeerFault('gone', `no peer gave block ${entries[this.#connected]!.header.id}`);
        await new Promise<void>((resolve) => {
          this.#notify = resolve;
        });
      }
      return true;
    } finally {
      this.#cancelWait();
      signal.removeEventListener('abort', onAbort);
      this.#ending.abort(new Error('the download has ended'));
      await Promise.allSettled([...this.#requests.keys(), ...this.#checks, this.#connecting]);
    }
  }

  /** What is under way then, a run that is being written or a body that comes late, begins nothing more. */
  get #isOver(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Anew with each body: gives up where none comes for `NO_BODY_MS`. */
  #waitForBody(): void {
    const { clock, entries } = this.#deps;
    this.#cancelWait();
    if (this.#isOver) return;
    this.#cancelWait = clock.after(NO_BODY_MS, () => {
      if (this.#arrived.size > 0)
        this.#waitForBody(); // it is our turn: they are being checked and connected
      else {
        const { id } = entries[this.#connected]!.header;
        this.#failure ??= { error: new PeerFault('gone', `no peer gave block ${id} in time`) };
      }
      this.#notify();
    });
  }

  /** Asks whoever has time for what is missing, the next blocks first. */
  #handOut(): void {
    for (let batch = this.#nextBatch(); batch.length > 0; batch = this.#nextBatch()) {
      const peer = this.#idlePeer();
      if (peer === undefined) break;
      for (const at of batch) this.#assigned.add(at);
      const request: Promise<void> = this.#fetch(peer, batch).finally(() => {
        this.#requests.delete(request);
        this.#notify();
      });
      this.#requests.set(request, peer);
    }
  }

  #idlePeer(): PeerKey | undefined {
    const requestsOf = (peer: PeerKey): number => [...this.#requests.values()].filter((each) => each === peer).length;
    return this.#deps
      .peers()
      .filter((peer) => !this.#failed.has(peer) && requestsOf(peer) < REQUESTS_PER_PEER)
      .sort((a, b) => requestsOf(a) - requestsOf(b))[0];
  }

  /** Places of consecutive blocks that nobody has been asked for. */
  #nextBatch(): readonly number[] {
    const { entries } = this.#deps;
    const batch: number[] = [];
    const end = Math.min(entries.length, this.#connected + WINDOW_BLOCKS);
    for (let at = this.#connected; at < end && batch.length < MAX_BODIES_PER_REQUEST; at++) {
      const isOpen = !this.#assigned.has(at) && !this.#arrived.has(entries[at]!.header.id);
      if (isOpen) batch.push(at);
      else if (batch.length > 0) break;
    }
    return batch;
  }

  async #fetch(peer: PeerKey, batch: readonly number[]): Promise<void> {
    const { entries, clock, checkBody, onFault } = this.#deps;
    try {
      const ids = batch.map((at) => entries[at]!.header.id);
      let sliceStartMs = clock.monotonicMs();
      for await (const { id, block } of requestBodies(this.#deps, peer, ids, this.#ending.signal)) {
        if (block === undefined) throw new PeerFault('gone', `does not have block ${id}`);
        const verdict = checkBody(block);
        if (verdict.kind !== 'accept') throw new PeerFault('invalid', `body of ${id}: ${verdict.reason}`);
        this.#arrived.set(id, { block, isBegun: false, isChecked: false });
        this.#waitForBody();
        this.#checkAhead();
        this.#notify();
        if (clock.monotonicMs() - sliceStartMs < SLICE_MS) continue;
        await new Promise<void>((resolve) => clock.after(0, resolve));
        sliceStartMs = clock.monotonicMs();
      }
    } catch (error) {
      this.#failed.add(peer);
      if (!this.#ending.signal.aborted) onFault(peer, error); // else it was we who hung up
    } finally {
      for (const at of batch) this.#assigned.delete(at);
    }
  }

  /** Signatures of what has come, in the order in which it will be connected. */
  #checkAhead(): void {
    const { entries } = this.#deps;
    if (this.#isOver) return;
    let signatures = 0;
    for (let at = this.#connected; at < entries.length; at++) {
      const next = this.#arrived.get(entries[at]!.header.id);
      if (next === undefined) return;
      signatures += next.block.txs.length;
      if (signatures > MAX_AHEAD_SIGNATURES && at > this.#connected) return;
      if (!next.isBegun) this.#check(next);
    }
  }

  #check(arrived: Arrived): void {
    arrived.isBegun = true;
    const check: Promise<void> = this.#deps
      .checkAhead(arrived.block)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#checks.delete(check);
        arrived.isChecked = true;
        this.#notify();
      });
    this.#checks.add(check);
  }

  /** The blocks that can be connected next. Undefined where there are none. */
  #connectNext(): Promise<void> | undefined {
    const run = this.#nextRun();
    if (run.length === 0) return undefined;
    return this.#deps
      .connect(run)
      .then(
        () => {
          for (const { header } of run) this.#arrived.delete(header.id);
          this.#connected += run.length;
          this.#waitForBody();
          this.#checkAhead();
        },
        (error: unknown) => {
          this.#failure ??= { error };
        },
      )
      .finally(() => {
        this.#connecting = undefined;
        this.#notify();
      });
  }

  #nextRun(): readonly Block[] {
    const { entries } = this.#deps;
    const run: Block[] = [];
    let txs = 0;
    for (let at = this.#connected; at < entries.length && run.length < MAX_RUN_BLOCKS; at++) {
      const next = this.#arrived.get(entries[at]!.header.id);
      if (next?.isChecked !== true) break;
      txs += next.block.txs.length;
      if (txs > MAX_RUN_TXS && run.length > 0) break;
      run.push(next.block);
    }
    return run;
  }
}
