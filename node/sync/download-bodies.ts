/**
 * Fetches the bodies of a checked run of headers from several peers at once and connects them in order.
 *
 * Work is handed out in batches of consecutive blocks. A batch that its peer does not finish — it stalls, vanishes,
 * sends something else, or does not have a block — goes back and is given to another peer. What has arrived waits
 * for its turn in a buffer, bounded by how far ahead of the next block to connect batches may be handed out.
 */
import type { BlockReason } from '../../chain/reasons.ts';
import type { Block, BlockId, ChainEntry } from '../../chain/types.ts';
import type { Verdict } from '../../chain/verdict.ts';
import type { PeerKey } from '../ports.ts';
import { MAX_BODIES_PER_REQUEST } from './protocols.ts';
import { PeerFault, type RequestDeps, requestBodies } from './requests.ts';

export interface DownloadDeps extends RequestDeps {
  readonly entries: readonly ChainEntry[];
  /** Who may be asked, the preferred first. Asked anew whenever work is handed out. */
  readonly peers: () => readonly PeerKey[];
  /** Whether a body fits its header; a peer that sends one that does not is at fault, not the block. */
  readonly checkBody: (block: Block) => Verdict<Block, BlockReason>;
  readonly connect: (block: Block) => Promise<void>;
  readonly onFault: (peer: PeerKey, error: unknown) => void;
  readonly signal: AbortSignal;
}

/** Blocks handed out ahead of the next to connect: at 1 MB a block, 64 MB of buffer at most. */
const WINDOW_BLOCKS = 64;
const REQUESTS_PER_PEER = 2;

/** Resolves when all are connected. Rejects when no peer is left to ask, a block is refused, or the signal aborts. */
export async function downloadBodies(deps: DownloadDeps): Promise<void> {
  const { entries, signal } = deps;
  const arrived = new Map<BlockId, Block>();
  const assigned = new Set<number>();
  const failed = new Set<PeerKey>();
  const active = new Map<Promise<void>, PeerKey>();
  let connected = 0;
  let notify = (): void => {};
  /** Ends the requests that are still on when the download does. */
  const ending = new AbortController();
  const onAbort = (): void => ending.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });

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

  const fetchBatch = async (peer: PeerKey, batch: readonly number[]): Promise<void> => {
    try {
      const ids = batch.map((at) => entries[at]!.header.id);
      for await (const { id, block } of requestBodies(deps, peer, ids, ending.signal)) {
        if (block === undefined) throw new PeerFault('gone', `does not have block ${id}`);
        const verdict = deps.checkBody(block);
        if (verdict.kind !== 'accept') throw new PeerFault('invalid', `body of ${id}: ${verdict.reason}`);
        arrived.set(id, block);
        notify();
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
      const next = arrived.get(entries[connected]!.header.id);
      if (next !== undefined) {
        arrived.delete(next.header.id);
        await deps.connect(next);
        connected += 1;
        continue;
      }
      if (active.size === 0) throw new PeerFault('gone', `no peer gave block ${entries[connected]!.header.id}`);
      await new Promise<void>((resolve) => {
        notify = resolve; // a block came, or a request ended
      });
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    ending.abort(new Error('the download has ended'));
    await Promise.allSettled(active.keys());
  }
}
