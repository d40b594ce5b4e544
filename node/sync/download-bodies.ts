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
  const { entries, signal } = deps;
  const arrived = new Map<BlockId, Arrived>();
  const assigned = new Set<number>();
  const failed = new Set<PeerKey>();
  const active = new Map<Promise<void>, PeerKey>();
  let connected = 0;
  let notify = (): void => {};
  const checks = new Set<Promise<void>>();
  let connecting: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  /** Ends the requests that are still on when the download does. */
  const ending = new AbortController();
  const onAbort = (): void => ending.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  let cancelWait = (): void => {};
  const waitForBody = (): void => {
    cancelWait();
    cancelWait = deps.clock.after(NO_BODY_MS, () => {
      if (arrived.size > 0)
        waitForBody(); // it is our turn: they are being checked and connected
      else failure ??= { error: new PeerFault('gone', `no peer gave block ${entries[connected]!.header.id} in time`) };
      notify();
    });
  };
  waitForBody();

  const requestsOf = (peer: PeerKey): number => [...active.values()].filter((each) => each === peer).length;
  const idlePeer = (): PeerKey | undefined =>
    deps
      .peers()
      .filter((peer) => !failed.has(peer) && requestsOf(peer) < REQUESTS_PER_PEER)
      .sort((a, b) => requestsOf(a) - requestsOf(b))[0];

  const nextBatch = (): number[] => {
    const batch: number[] = [];
    const end = Math.min(entries.length, connected + WINDOW_BLOCKS);
    for (let at = connected; at < end && batch.length < MAX_BODIES_PER_REQUEST; at++) {
      const isOpen = !assigned.has(at) && !arrived.has(entries[at]!.header.id);
      if (isOpen) batch.push(at);
      else if (batch.length > 0) break; // consecutive
    }
    return batch;
  };

  /** In the order in which they will be connected. */
  const checkAhead = (): void => {
    let signatures = 0;
    for (let at = connected; at < entries.length; at++) {
      const next = arrived.get(entries[at]!.header.id);
      if (next === undefined) return;
      signatures += next.block.txs.length;
      if (signatures > MAX_AHEAD_SIGNATURES && at > connected) return;
      if (next.isBegun) continue;
      next.isBegun = true;
      const check: Promise<void> = deps
        .checkAhead(next.block)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          checks.delete(check);
          next.isChecked = true;
          notify();
        });
      checks.add(check);
    }
  };

  /** The blocks that can be connected next. */
  const nextRun = (): Block[] => {
    const run: Block[] = [];
    let txs = 0;
    for (let at = connected; at < entries.length && run.length < MAX_RUN_BLOCKS; at++) {
      const next = arrived.get(entries[at]!.header.id);
      if (next?.isChecked !== true) break;
      txs += next.block.txs.length;
      if (txs > MAX_RUN_TXS && run.length > 0) break;
      run.push(next.block);
    }
    return run;
  };

  const connectRun = (run: readonly Block[]): Promise<void> | undefined => {
    if (run.length === 0) return undefined;
    return deps
      .connect(run)
      .then(
        () => {
          for (const { header } of run) arrived.delete(header.id);
          connected += run.length;
          waitForBody();
          checkAhead();
        },
        (error: unknown) => {
          failure ??= { error };
        },
      )
      .finally(() => {
        connecting = undefined;
        notify();
      });
  };

  const fetchBatch = async (peer: PeerKey, batch: readonly number[]): Promise<void> => {
    try {
      const ids = batch.map((at) => entries[at]!.header.id);
      let sliceStartMs = deps.clock.monotonicMs();
      for await (const { id, block } of requestBodies(deps, peer, ids, ending.signal)) {
        if (block === undefined) throw new PeerFault('gone', `does not have block ${id}`);
        const verdict = deps.checkBody(block);
        if (verdict.kind !== 'accept') throw new PeerFault('invalid', `body of ${id}: ${verdict.reason}`);
        arrived.set(id, { block, isBegun: false, isChecked: false });
        waitForBody();
        checkAhead();
        notify();
        if (deps.clock.monotonicMs() - sliceStartMs < SLICE_MS) continue;
        await new Promise<void>((resolve) => deps.clock.after(0, resolve));
        sliceStartMs = deps.clock.monotonicMs();
      }
    } catch (error) {
      failed.add(peer);
      if (!ending.signal.aborted) deps.onFault(peer, error); // else it was we who hung up
    } finally {
      for (const at of batch) assigned.delete(at);
    }
  };

  try {
    while (connected < entries.length) {
      signal.throwIfAborted();
      if (failure !== undefined) throw failure.error;
      if (!deps.mayGoOn()) return false;
      for (let batch = nextBatch(); batch.length > 0; batch = nextBatch()) {
        const peer = idlePeer();
        if (peer === undefined) break;
        for (const at of batch) assigned.add(at);
        const request: Promise<void> = fetchBatch(peer, batch).finally(() => {
          active.delete(request);
          notify();
        });
        active.set(request, peer);
      }
      connecting ??= connectRun(nextRun());
      if (active.size === 0 && checks.size === 0 && connecting === undefined)
        throw new PeerFault('gone', `no peer gave block ${entries[connected]!.header.id}`);
      await new Promise<void>((resolve) => {
        notify = resolve; // a block came, was checked or connected, or a request ended
      });
    }
    return true;
  } finally {
    cancelWait();
    signal.removeEventListener('abort', onAbort);
    ending.abort(new Error('the download has ended'));
    await Promise.allSettled([...active.keys(), ...checks, connecting]);
  }
}
