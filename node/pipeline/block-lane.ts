/**
 * Blocks from gossip: from a compact block's bytes to the verdict on the full block (CMPCT-1..CMPCT-8).
 *
 *   bytes → header → mempool → [transactions from the sender, from others, the full body] → chain service → verdict
 *
 * What the mempool completes is checked in its turn. What lacks transactions leaves the lane and holds up nobody but
 * its own descendants; several messages about one block are worked on together, by a `Reconstruction`. A message is
 * accepted, and so forwarded, when the block has been found good and the message to be of that block.
 *
 * Attackers can send a header that is not theirs with short ids that are wrong, at no cost, as often as they have
 * identities. So nothing about a block is concluded from one message: each peer has one for each block, the honest one
 * is looked at when it comes, and a false one is rejected only once the block itself has shown that it is false.
 *
 * Bounds: `MAX_RECONSTRUCTIONS` blocks, `MAX_MESSAGES` of each, `DEADLINE_MS` for all of it.
 */
import { decodeBlockHeader } from '../../chain/codec.ts';
import { type CompactBlock, decodeCompactBlock, isCompactOf, rebuildBlock } from '../../chain/compact-block.ts';
import { HEADER_BYTES } from '../../chain/params.ts';
import { BODY_MISMATCH_REASONS } from '../../chain/reasons.ts';
import { bitsToTarget, workOfTarget } from '../../chain/target.ts';
import type { Block, BlockId, ChainEntry, Header, Tx } from '../../chain/types.ts';
import { accept, ignore, reject } from '../../chain/verdict.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import { sha256 } from '../../crypto/hash.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import { Lru } from '../lru.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Logger, Network, PeerKey } from '../ports.ts';
import { StoreError } from '../store/store.ts';
import { type BlockAnnouncement, type BlockSource, fetchBlock } from './fetch-block.ts';
import type { OutcomeVerdict } from './outcome.ts';

export interface BlockLaneDeps {
  readonly chain: Pick<
    ChainService,
    'tree' | 'tip' | 'checkHeader' | 'hasFairWork' | 'recentBlock' | 'txsAbove' | 'receiveBlock'
  >;
  readonly mempool: Pick<MempoolService, 'pool'>;
  readonly network: Pick<Network, 'open' | 'penalize'>;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** A block came whose parent we lack: park it and fetch what is missing. */
  readonly onOrphan: (block: Block, from: PeerKey) => void;
  /** The peer told of a block that we could not make use of: ask what it has. */
  readonly onBlockMissed: (from: PeerKey) => void;
  /**
   * A header came by gossip whose parent is unknown; or that would have more work below it than our tip, were it not ahead
   * of our clock (BLK-7).
   */
  readonly onEarlyHeader: (header: Header, why: 'orphan' | 'too-new') => void;
  /** Who may have the block, best first. */
  readonly peersWith: (
    block: { readonly height: bigint; readonly id: BlockId },
    except: ReadonlySet<PeerKey>,
  ) => readonly PeerKey[];
  readonly internalError: (error: unknown, where: string) => void;
}

/** Blocks whose transactions are being fetched, or that wait for such a block. Each cost its sender a block's work. */
const MAX_RECONSTRUCTIONS = 16;
/** Messages about one block, one of each peer: more liars than that can keep us from forwarding, not from the block. */
const MAX_MESSAGES = 32;
/** Blocks whose messages' senders are remembered. */
const REMEMBERED_BLOCKS = 256;
const REMEMBERED_PEERS = 256;
/** From the message to its verdict; unsettled gossip expires after 10 s. */
const DEADLINE_MS = 8_000;

/** How far below our tip a block of no more work is looked at (CMPCT-8): more than branches of a net that is whole differ by. */
const MAX_DEPTH = 128n;

interface Message extends BlockAnnouncement {
  /** SHA-256 of its bytes. */
  readonly digest: string;
  readonly done: (verdict: OutcomeVerdict) => void;
}

/** `block/known`: the block has come another way meanwhile. */
interface Outcome {
  readonly verdict: OutcomeVerdict;
  readonly block: Block;
  /** Made by the short ids of this message, which therefore is of the block. */
  readonly of?: BlockAnnouncement | undefined;
  /** A message has been accepted: of two true ones, which only its author can make, one is enough. */
  isForwarded: boolean;
}

interface Reconstruction {
  readonly header: Header;
  readonly messages: Message[];
  /** Settles when it is over and, if the block is good, the block has taken effect. Never rejects. */
  readonly ended: Promise<void>;
  /** What the chain service said; messages that come later are answered at once. */
  outcome: Outcome | undefined;
}

type Senders = Lru<BlockId, Map<PeerKey, string>>;

/**
 * Decides about messages; about blocks the chain service does. `serve` takes one message at a time; what waits for
 * transactions goes on beside it.
 */
export class BlockLane {
  readonly #deps: BlockLaneDeps;
  readonly #reconstructions = new Map<BlockId, Reconstruction>();
  /** Who has sent a message about the block, and the hash of the message. */
  readonly #senders: Senders = new Lru(REMEMBERED_BLOCKS);
  /** The same for blocks that are too deep, apart: they are cheap, and would push out the others. */
  readonly #deepSenders: Senders = new Lru(REMEMBERED_BLOCKS);
  /** Good blocks of which only false messages have come: the first true one is still forwarded. */
  readonly #unforwarded = new Lru<BlockId, true>(REMEMBERED_BLOCKS);
  readonly #unreliable = new Lru<PeerKey, true>(REMEMBERED_PEERS);
  readonly #stopping = new AbortController();

  constructor(deps: BlockLaneDeps) {
    this.#deps = deps;
  }

  /**
   * The verdict on a message about a block that is known and has been forwarded, whose like a peer can make without end;
   * undefined for any other. Cheap: before it takes the room of one that is news.
   */
  screen(bytes: Uint8Array): OutcomeVerdict | undefined {
    const header = decodeBlockHeader(bytes.subarray(1, 1 + HEADER_BYTES));
    if (!header.ok || !this.#deps.chain.tree.has(header.value.id)) return undefined;
    if (this.#unforwarded.get(header.value.id) === true) return undefined;
    return decodeCompactBlock(bytes).ok ? ignore('block/known') : reject('block/malformed');
  }

  /**
   * Resolves when the next message may be served: the block has taken effect, is refused, or waits for transactions.
   * `done` is called once, possibly later; before the block is written.
   */
  async serve(bytes: Uint8Array, from: PeerKey, done: (verdict: OutcomeVerdict) => void): Promise<void> {
    const decoded = decodeCompactBlock(bytes);
    if (!decoded.ok) {
      done(reject('block/malformed')); // CMPCT-1
      return;
    }
    let isDone = false;
    const message: Message = {
      compact: decoded.value,
      digest: bytesToHex(sha256(bytes)),
      from,
      done: (verdict) => {
        if (!isDone) done(verdict);
        isDone = true;
      },
    };
    try {
      await this.#serve(message);
    } catch (error) {
      message.done(ignore('internal-error'));
      throw error;
    }
  }

  /** Gives up what is being fetched. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    await Promise.all(Array.from(this.#reconstructions.values(), ({ ended }) => ended));
  }

  async #serve(message: Message): Promise<void> {
    const { chain } = this.#deps;
    const { header } = message.compact;
    const verdict = chain.checkHeader(header); // CMPCT-2
    const isOrphan = verdict.kind === 'ignore' && verdict.reason === 'block/unknown-parent';
    const parent = isOrphan ? this.#reconstructions.get(header.parent) : undefined;
    if (verdict.kind !== 'accept' && !isOrphan) {
      await this.#serveUnusable(message, verdict);
      return;
    }
    // Of an orphan like that the search of the mempool would cost more than the header. Sync has it, if it is good.
    if (isOrphan && !chain.hasFairWork(header)) {
      message.done(verdict);
      this.#deps.onBlockMissed(message.from);
      return;
    }
    const isTooDeep = verdict.kind === 'accept' && this.#isTooDeep(verdict.value);
    if (!this.#mayTell(message, isTooDeep ? this.#deepSenders : this.#senders)) return;
    if (isTooDeep) {
      message.done(ignore('block/too-deep')); // CMPCT-8
      this.#deps.onBlockMissed(message.from);
      return;
    }
    if (isOrphan && parent === undefined) {
      await this.#serveUnusable(message, verdict);
      return;
    }
    const known = this.#reconstructions.get(header.id);
    if (known === undefined) {
      if (parent === undefined && (await this.#serveFromMempool(message))) return;
      this.#reconstruct(message, parent);
    } else if (known.outcome !== undefined) {
      this.#settle([message], known.outcome);
    } else {
      known.messages.push(message);
      if (verdict.kind === 'accept') await this.#serveFromMempool(message, known);
    }
  }

  #isTooDeep({ header, totalWork }: Pick<ChainEntry, 'header' | 'totalWork'>): boolean {
    const { tip } = this.#deps.chain;
    return header.height + MAX_DEPTH < tip.header.height && totalWork <= tip.totalWork;
  }

  /** A block that is known, or cannot be judged, or whose header is bad. */
  async #serveUnusable(message: Message, verdict: OutcomeVerdict): Promise<void> {
    const { chain, onEarlyHeader } = this.#deps;
    const { compact, done } = message;
    const { header } = compact;
    const reason = verdict.kind === 'accept' ? undefined : verdict.reason;
    if (reason === 'block/timestamp-too-new' && this.#outworksTip(header)) onEarlyHeader(header, 'too-new');
    if (reason === 'block/unknown-parent') {
      onEarlyHeader(header, 'orphan');
      await this.#serveOrphan(message);
    } else if (
      reason === 'block/known' &&
      this.#unforwarded.get(header.id) === true &&
      this.#mayTell(message, this.#senders)
    ) {
      const block = chain.recentBlock(header.id);
      if (block === undefined) done(verdict);
      else this.#settle([message], { verdict, block, isForwarded: false });
    } else done(verdict);
  }

  /** For a header on a known parent. Where it does not, its work may have been done long ago, or when it was cheap. */
  #outworksTip({ parent, bits }: Header): boolean {
    const { tree, tip } = this.#deps.chain;
    return tree.get(parent)!.totalWork + workOfTarget(bitsToTarget(bits)!) > tip.totalWork;
  }

  /** BLK-16: parked where the mempool has all of it, otherwise left to sync, which needs the parent first. */
  async #serveOrphan({ compact, from, done }: Message): Promise<void> {
    const { onOrphan, onBlockMissed } = this.#deps;
    const rebuilt = rebuildBlock(compact, this.#knownTxs(compact));
    if (rebuilt.kind === 'complete') {
      await this.#receive(rebuilt.block, from, (verdict) => {
        if (isUnfit(verdict)) return;
        done(verdict);
        if (verdict.kind === 'ignore' && verdict.reason === 'block/unknown-parent') onOrphan(rebuilt.block, from);
      });
    }
    done(ignore('block/unknown-parent')); // if nothing has been said
    onBlockMissed(from);
  }

  /** CMPCT-6: one message of each peer about each block. Answers what is over the limits. */
  #mayTell({ compact, digest, from, done }: Message, ofBlocks: Senders): boolean {
    const { id } = compact.header;
    const senders = ofBlocks.get(id) ?? new Map<PeerKey, string>();
    ofBlocks.set(id, senders);
    const before = senders.get(from);
    // Who is honest forwards one message of a block, so a second one is a liar's; the same again is gossip's doing.
    if (before !== undefined) done(before === digest ? ignore('block/known') : reject('block/repeated'));
    else if (senders.size >= MAX_MESSAGES) done(ignore('overloaded'));
    else {
      senders.set(from, digest);
      return true;
    }
    return false;
  }

  /** CMPCT-4. False where transactions are missing, or those that were found are not the block's. */
  async #serveFromMempool(message: Message, reconstruction?: Reconstruction): Promise<boolean> {
    const rebuilt = rebuildBlock(message.compact, this.#knownTxs(message.compact));
    if (rebuilt.kind !== 'complete') return false;
    return this.#offer(
      { block: rebuilt.block, source: 'mempool', of: message },
      message.from,
      reconstruction ?? [message],
    );
  }

  #reconstruct(message: Message, parent: Reconstruction | undefined): void {
    const { header } = message.compact;
    if (this.#reconstructions.size >= MAX_RECONSTRUCTIONS || this.#stopping.signal.aborted) {
      message.done(ignore('overloaded'));
      this.#deps.onBlockMissed(message.from);
      return;
    }
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const reconstruction: Reconstruction = { header, messages: [message], ended, outcome: undefined };
    this.#reconstructions.set(header.id, reconstruction);
    this.#run(reconstruction, parent)
      .catch((error: unknown) => this.#deps.internalError(error, 'reconstruction'))
      .finally(() => {
        this.#reconstructions.delete(header.id);
        for (const { done } of reconstruction.messages) done(ignore('block/incomplete')); // CMPCT-5
        resolve();
      });
  }

  async #run(reconstruction: Reconstruction, parent: Reconstruction | undefined): Promise<void> {
    const { chain, clock, events, network, metrics, logger, peersWith, onBlockMissed } = this.#deps;
    const { header, messages } = reconstruction;
    const deadline = new AbortController();
    const cancel = clock.after(DEADLINE_MS, () => deadline.abort(new Error('the time is over')));
    const onStop = (): void => deadline.abort(this.#stopping.signal.reason);
    this.#stopping.signal.addEventListener('abort', onStop, { once: true });
    const offEntry = events.on('entry', ({ entry, block }) => {
      if (entry.header.id !== header.id) return;
      if (reconstruction.outcome === undefined) {
        this.#conclude(reconstruction, { verdict: ignore('block/known'), block, isForwarded: false });
      }
      deadline.abort(new Error('the block is there')); // what is still being asked for is not needed
    });
    try {
      await parent?.ended;
      const verdict = chain.checkHeader(header);
      if (verdict.kind !== 'accept') {
        for (const message of messages) await this.#serveUnusable(message, verdict);
        return;
      }
      const isTaken = await fetchBlock({
        network,
        clock,
        metrics,
        logger,
        header,
        announcements: messages,
        knownTxs: (compact) => this.#knownTxs(compact),
        peersWith: (except) => peersWith(header, except),
        unreliable: this.#unreliable,
        offer: (found, from) => this.#offer(found, from, reconstruction),
        isOver: () => reconstruction.outcome !== undefined,
        signal: deadline.signal,
      });
      if (!isTaken && !this.#stopping.signal.aborted) {
        logger.debug({ block: header.id, messages: messages.length }, 'block not completed in time');
        onBlockMissed(messages[0]!.from);
      }
    } finally {
      cancel();
      offEntry();
      this.#stopping.signal.removeEventListener('abort', onStop);
    }
  }

  /**
   * Hands the block to the chain service and answers the messages by what it says. False, and nobody answered, where
   * the body is not the header's: then these were not its transactions.
   */
  async #offer(
    { block, source, of }: BlockSource,
    from: PeerKey,
    to: Reconstruction | readonly Message[],
  ): Promise<boolean> {
    const { metrics } = this.#deps;
    let fits = true;
    await this.#receive(block, from, (verdict) => {
      if (isUnfit(verdict)) {
        fits = false;
        return;
      }
      if (verdict.kind === 'accept') metrics.blockRebuilds.inc({ source });
      const outcome: Outcome = { verdict, block, of, isForwarded: false };
      if ('messages' in to) this.#conclude(to, outcome);
      else this.#settle(to, outcome);
    });
    return fits;
  }

  #conclude(reconstruction: Reconstruction, outcome: Outcome): void {
    reconstruction.outcome ??= outcome;
    this.#settle(reconstruction.messages.splice(0), reconstruction.outcome);
  }

  /** CMPCT-7. */
  #settle(messages: readonly Message[], outcome: Outcome): void {
    const { verdict, block } = outcome;
    const { id } = block.header;
    const isGood = verdict.kind === 'accept' || verdict.reason === 'block/known';
    for (const message of messages) {
      const { compact, done } = message;
      if (!isGood) done(verdict);
      else if (message !== outcome.of && !isCompactOf(compact, block)) {
        done(reject('block/compact-mismatch'));
        if (!outcome.isForwarded) this.#unforwarded.set(id, true);
      } else if (outcome.isForwarded) done(ignore('block/known'));
      else {
        done(accept(block));
        outcome.isForwarded = true;
        this.#unforwarded.delete(id);
      }
    }
  }

  /** What a block with this header may hold: the mempool, and what a rival of its has taken from there. */
  #knownTxs({ header }: CompactBlock): Iterable<Tx> {
    const { chain, mempool } = this.#deps;
    const above = chain.txsAbove(header.parent);
    return above.length === 0 ? mempool.pool.txs() : [...mempool.pool.txs(), ...above];
  }

  async #receive(block: Block, from: PeerKey, onVerdict: (verdict: OutcomeVerdict) => void): Promise<void> {
    try {
      await this.#deps.chain.receiveBlock(block, from, onVerdict);
    } catch (error) {
      // Counted and logged by the chain service, after the verdict; the block is fetched again later.
      if (!(error instanceof StoreError)) throw error;
    }
  }
}

function isUnfit(verdict: OutcomeVerdict): boolean {
  return verdict.kind === 'reject' && BODY_MISMATCH_REASONS.has(verdict.reason);
}
