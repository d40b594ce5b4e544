/**
 * Gets what a compact block lacks, from one peer after the other (CMPCT-5): the transactions from whoever sent the
 * message, then from others, then the full body. Decides whom a failure is held against.
 */
import { type CompactBlock, fillBlock, rebuildBlock } from '../../chain/compact-block.ts';
import type { Block, Header, Tx } from '../../chain/types.ts';
import type { Lru } from '../lru.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Logger, Network, PeerKey } from '../ports.ts';
import { PeerFault } from '../requests/exchange.ts';
import { reportFault } from '../requests/report-fault.ts';
import { requestBlockTxs, requestBodies } from '../sync/requests.ts';

/** A compact block and who sent it. */
export interface BlockAnnouncement {
  readonly compact: CompactBlock;
  readonly from: PeerKey;
}

/** A full block, and where what the mempool lacked came from. */
export interface BlockSource {
  readonly block: Block;
  readonly source: 'mempool' | 'request' | 'body';
  /** By whose short ids it was put together. */
  readonly of?: BlockAnnouncement;
}

export interface FetchBlockDeps {
  readonly network: Pick<Network, 'open' | 'penalize'>;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly header: Header;
  /** In order of arrival; more may come while this runs. */
  readonly announcements: readonly BlockAnnouncement[];
  readonly knownTxs: (compact: CompactBlock) => Iterable<Tx>;
  /** Other peers to ask, best first. */
  readonly peersWith: (except: ReadonlySet<PeerKey>) => readonly PeerKey[];
  /** Peers that failed a request about some block, until they answer one: they are asked last. Filled here. */
  readonly unreliable: Lru<PeerKey, true>;
  /** Takes a block whose transactions may be wrong; false where they are. */
  readonly offer: (found: BlockSource, from: PeerKey) => Promise<boolean>;
  /** True when the block has been taken, or judged, another way. */
  readonly isOver: () => boolean;
  readonly signal: AbortSignal;
}

/** Shorter than sync's: several are asked, one after the other, before the deadline. */
const STALL_MS = 1_500;
/** Peers beside the senders that are asked for transactions, and then for the body. */
const MAX_OTHERS = 2;
const MAX_BODY_REQUESTS = 4;

/** True when the block was taken. Never rejects for a peer's fault, nor when the signal aborts. */
export async function fetchBlock(deps: FetchBlockDeps): Promise<boolean> {
  const { announcements, signal, isOver, unreliable } = deps;
  const senders = new Set<PeerKey>();
  const failed = new Set<PeerKey>();
  const isReliable = (peer: PeerKey): boolean => unreliable.get(peer) !== true;
  const reliableFirst = (peers: readonly PeerKey[]): readonly PeerKey[] =>
    peers.toSorted((a, b) => Number(isReliable(b)) - Number(isReliable(a)));
  const next = (mayAsk: (peer: PeerKey) => boolean): BlockAnnouncement | undefined =>
    announcements.find(({ from }) => !senders.has(from) && mayAsk(from));
  let first: BlockAnnouncement | undefined;
  let others: readonly PeerKey[] | undefined;
  let bodies: PeerKey[] | undefined;

  /** Whatever has not been tried, the best first; a message that came meanwhile goes before the next resort. */
  const attempt = async (): Promise<boolean | 'exhausted'> => {
    const askSender = (announcement: BlockAnnouncement): Promise<boolean> => {
      first ??= announcement;
      senders.add(announcement.from);
      return askTxs(deps, announcement, announcement.from, failed);
    };
    const reliable = next(isReliable);
    if (reliable !== undefined) return askSender(reliable);
    others ??= reliableFirst(deps.peersWith(new Set(announcements.map(({ from }) => from)))).slice(0, MAX_OTHERS);
    const [other, ...rest] = others;
    const announced = first ?? announcements[0];
    if (other !== undefined && announced !== undefined) {
      others = rest;
      return askTxs(deps, announced, other, failed);
    }
    const unlikely = next(() => true);
    if (unlikely !== undefined) return askSender(unlikely);
    bodies ??= reliableFirst([...senders, ...deps.peersWith(senders)])
      .filter((peer) => !failed.has(peer))
      .slice(0, MAX_BODY_REQUESTS);
    const peer = bodies.shift();
    return peer === undefined ? 'exhausted' : askBody(deps, peer, failed);
  };

  while (!signal.aborted && !isOver()) {
    const result = await attempt();
    if (result === 'exhausted') break;
    if (result) return true;
  }
  return isOver();
}

/** Asks `peer` for what `announcement` lacks; what it lacks by now, as the mempool goes on filling. */
async function askTxs(
  deps: FetchBlockDeps,
  announcement: BlockAnnouncement,
  peer: PeerKey,
  failed: Set<PeerKey>,
): Promise<boolean> {
  const { compact, from } = announcement;
  const { header, metrics, signal } = deps;
  const rebuilt = rebuildBlock(compact, deps.knownTxs(compact));
  if (rebuilt.kind === 'complete')
    return deps.offer({ block: rebuilt.block, source: 'mempool', of: announcement }, from);
  let block: Block | undefined;
  try {
    const txs = await requestBlockTxs({ ...deps, stallMs: STALL_MS }, peer, header.id, rebuilt.missing, signal);
    metrics.syncRequests.inc({ protocol: 'block-txs', result: 'ok' });
    deps.unreliable.delete(peer);
    metrics.blockTxBytesFetched.inc(bytesOf(txs));
    if (txs.length === 0) return false;
    block = fillBlock(compact, rebuilt, txs);
    // Who sent the message has checked it against the block, or lies. Another peer may be right and the message wrong.
    if (block === undefined && peer === from) throw new PeerFault('invalid', 'transactions that are not the message’s');
  } catch (error) {
    onFault(deps, peer, error, 'block-txs', failed);
  }
  return block !== undefined && deps.offer({ block, source: 'request', of: announcement }, peer);
}

async function askBody(deps: FetchBlockDeps, peer: PeerKey, failed: Set<PeerKey>): Promise<boolean> {
  const { header, metrics, signal } = deps;
  try {
    for await (const { block } of requestBodies({ ...deps, stallMs: STALL_MS }, peer, [header.id], signal)) {
      metrics.syncRequests.inc({ protocol: 'bodies', result: 'ok' });
      deps.unreliable.delete(peer);
      if (block === undefined) return false;
      metrics.blockTxBytesFetched.inc(bytesOf(block.txs));
      if (await deps.offer({ block, source: 'body' }, peer)) return true;
      throw new PeerFault('invalid', `body of ${header.id} that is not its header's`);
    }
  } catch (error) {
    onFault(deps, peer, error, 'bodies', failed);
  }
  return false;
}

function onFault(deps: FetchBlockDeps, peer: PeerKey, error: unknown, protocol: string, failed: Set<PeerKey>): void {
  failed.add(peer);
  if (deps.signal.aborted) return; // it was we who hung up
  if (!(error instanceof PeerFault)) throw error;
  deps.unreliable.set(peer, true);
  reportFault(deps, peer, protocol, error);
}

function bytesOf(txs: readonly Tx[]): number {
  return txs.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
