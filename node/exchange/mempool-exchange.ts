/**
 * Mends what gossip lost: where a peer's status says that its mempool is another, what it holds and we lack is pulled.
 * Every node does so with whomever it swaps status with, so a transaction that one node has reaches all in a number of
 * rounds logarithmic in theirs. What is pulled is not published: nobody amplifies.
 *
 * Who is asked is not the peers' to say: of those that have spoken of another mempool since the last pull it is the one
 * whose turn was longest ago, however often others speak.
 *
 * Costs where the pools differ: 2 KiB, 8 bytes for each id in the buckets that differ, and the transactions. Under load
 * pools always differ by what is on its way; one pull is under way at a time, `MIN_INTERVAL_MS` apart, and twice as far
 * after each that found nothing, until one finds something or a peer comes: a link that was cut has been healed.
 */
import { decodeShortTxIds, encodeShortTxIds, type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';
import type { Tx, TxId } from '../../chain/types.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import { Lru } from '../lru.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { Metrics } from '../metrics.ts';
import {
  decodeMempoolReply,
  encodeMempoolRequest,
  encodeTxsRequest,
  MAX_POOL_IDS,
  MAX_POOL_SKIP,
  MAX_TXS_PER_REQUEST,
} from '../net/wire.ts';
import type { OutcomeVerdict } from '../pipeline/outcome.ts';
import type { Clock, Logger, Network, PeerKey } from '../ports.ts';
import { exchange, PeerFault } from '../requests/exchange.ts';
import { reportFault } from '../requests/report-fault.ts';
import { MinedIds } from './mined-ids.ts';
import { idsToWant } from './plan-exchange.ts';
import { MEMPOOL, TXS } from './protocols.ts';
import { RefusedTxs } from './refused-txs.ts';
import { requestTxs } from './request-txs.ts';
import { serveMempool } from './serve-mempool.ts';
import { touchedBy } from './touched-by.ts';

export interface MempoolExchangeDeps {
  readonly network: Network;
  readonly clock: Clock;
  readonly chain: Pick<ChainService, 'accounts'>;
  readonly mempool: MempoolService;
  readonly events: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Takes transactions from a peer's mempool through the spine. */
  readonly receiveTxs: (txs: readonly Tx[], from: PeerKey) => Promise<OutcomeVerdict>;
  /** False while the node is behind: it could not tell a good transaction. */
  readonly mayPull: () => boolean;
  readonly onFailure: (error: unknown) => void;
}

/** Under load pools always differ: three seconds cost a node at 1,500 transactions a second about a tenth of its bytes. */
const MIN_INTERVAL_MS = 3_000;
const MAX_INTERVAL_MS = 24_000;
/** Short ids remembered of each sort that is not to be pulled. Some ten full blocks. */
const UNWANTED_KEPT = 32_768;
const PEERS_REMEMBERED = 256;
const NO_TURN: Turn = { atMs: Number.NEGATIVE_INFINITY, skip: 0 };

interface Turn {
  /** When it was, monotonic, if it gave nothing new. */
  readonly atMs: number;
  /** How far into the peer's pool the next one goes. */
  readonly skip: number;
}

/**
 * Decides whom to pull from, and when; one pull at a time. `register` and `follow` come before the network starts.
 * Whoever gives what no honest peer has is penalized, and its turn is over; a failure of ours goes to `onFailure`.
 */
export class MempoolExchange {
  readonly #deps: MempoolExchangeDeps;
  /** On this branch. */
  readonly #mined = new MinedIds(UNWANTED_KEPT);
  /** Another with its nonce was mined on this branch. */
  #spent = new Lru<ShortTxId, true>(UNWANTED_KEPT);
  /** Peers give up at other times than we do: among them a transaction would stay for ever. */
  readonly #expired = new Lru<ShortTxId, true>(UNWANTED_KEPT);
  /** What was refused as things stand with its sender. */
  readonly #refused = new RefusedTxs(UNWANTED_KEPT);
  /** For which there was no room at this tip, or no money. */
  #passing = new Lru<ShortTxId, true>(UNWANTED_KEPT);
  /** Peers' last turns, or when they came. */
  readonly #turns = new Lru<PeerKey, Turn>(PEERS_REMEMBERED);
  /** Connected peers that have spoken of another mempool since the last pull. */
  readonly #differing = new Set<PeerKey>();
  readonly #stopping = new AbortController();
  readonly #disposers: (() => void)[] = [];
  #pulling: Promise<void> | undefined;
  #pulledAtMs = Number.NEGATIVE_INFINITY;
  #intervalMs = MIN_INTERVAL_MS;

  constructor(deps: MempoolExchangeDeps) {
    this.#deps = deps;
  }

  /** Registers the answering side; before the network starts. */
  register(): void {
    serveMempool({ ...this.#deps, signal: this.#stopping.signal });
  }

  /** Keeps up what is not wanted from others; before the network starts. */
  follow(): void {
    this.#disposers.push(
      this.#deps.events.on('tip', ({ connected, disconnected }) => {
        this.#passing = new Lru(UNWANTED_KEPT);
        if (this.#refused.size > 0) {
          for (const account of touchedBy([...connected, ...disconnected])) this.#refused.onChange(account);
        }
        if (disconnected.length > 0) {
          this.#spent = new Lru(UNWANTED_KEPT);
          this.#mined.clear();
        }
        for (const { txs } of connected) this.#mined.add(txs);
      }),
      this.#deps.events.on('tx', ({ tx }) => this.#refused.onChange(tx.from)),
      this.#deps.events.on('tx-dropped', ({ tx, reason }) => {
        this.#refused.onChange(tx.from);
        if (reason === 'tx/expired') this.#expired.set(shortTxId(tx.id), true);
      }),
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    for (const dispose of this.#disposers.splice(0)) dispose();
    await this.#pulling;
  }

  /** 16 hex digits: equal for equal sets of transactions. */
  fingerprint(): string {
    return this.#deps.mempool.pool.digest.fingerprint();
  }

  /** True for a transaction whose stay was over here lately. */
  hasExpired(id: TxId): boolean {
    return this.#expired.get(shortTxId(id)) === true;
  }

  onPeerConnected(peer: PeerKey): void {
    this.#intervalMs = MIN_INTERVAL_MS;
    // Behind those that wait already: whoever comes under ever new names would go before them for good.
    if (this.#turns.get(peer) === undefined) {
      this.#turns.set(peer, { atMs: this.#deps.clock.monotonicMs(), skip: 0 });
    }
  }

  onPeerDisconnected(peer: PeerKey): void {
    this.#differing.delete(peer);
  }

  /** The connected peer's fingerprint is not ours. */
  onOtherMempool(peer: PeerKey): void {
    const { clock, mayPull } = this.#deps;
    if (this.#stopping.signal.aborted || !mayPull()) return;
    this.#differing.add(peer);
    const nowMs = clock.monotonicMs();
    if (this.#pulling !== undefined || nowMs - this.#pulledAtMs < this.#intervalMs) return;
    const next = this.#longestWaiting(peer);
    const { skip } = this.#turnOf(next);
    this.#differing.clear();
    this.#pulledAtMs = nowMs;
    this.#turns.set(next, { atMs: nowMs, skip: 0 }); // unless something comes of this one
    this.#pulling = this.#pull(next, skip)
      .catch((error: unknown) => this.#onFault(next, error))
      .finally(() => {
        this.#pulling = undefined;
      });
  }

  #longestWaiting(spoke: PeerKey): PeerKey {
    let longest = spoke;
    for (const peer of this.#differing) if (this.#turnOf(peer).atMs < this.#turnOf(longest).atMs) longest = peer;
    return longest;
  }

  #turnOf(peer: PeerKey): Turn {
    return this.#turns.get(peer) ?? NO_TURN;
  }

  async #pull(peer: PeerKey, skip: number): Promise<void> {
    const { chain, mempool, metrics, receiveTxs, logger } = this.#deps;
    const offered = await this.#requestIds(peer, skip);
    let mined: ReadonlySet<ShortTxId> | undefined;
    const isUnwanted = (id: ShortTxId): boolean => {
      mined ??= this.#mined.shortIds();
      return (
        mined.has(id) ||
        this.#refused.has(id) ||
        [this.#spent, this.#expired, this.#passing].some((ids) => ids.get(id) === true)
      );
    };
    const wanted = idsToWant(offered, mempool.pool, isUnwanted, MAX_TXS_PER_REQUEST);
    metrics.syncRequests.inc({ protocol: 'mempool', result: 'ok' });
    if (wanted.length === 0) {
      this.#intervalMs = Math.min(MAX_INTERVAL_MS, 2 * this.#intervalMs);
      // All of a full answer is of no use: the next begins where it ended.
      const further = skip + MAX_POOL_IDS;
      if (offered.length === MAX_POOL_IDS && further <= MAX_POOL_SKIP) {
        this.#turns.set(peer, { atMs: this.#pulledAtMs, skip: further });
      }
      return;
    }
    const txs = await this.#requestTxs(peer, wanted);
    metrics.syncRequests.inc({ protocol: 'txs', result: 'ok' });
    const verdict = await receiveTxs(txs, peer);
    if (verdict.kind === 'reject') throw new PeerFault('invalid', `mempool: ${verdict.reason}`);
    const refused = txs.filter(({ id }) => !mempool.pool.has(id));
    if (refused.length < txs.length) {
      this.#intervalMs = MIN_INTERVAL_MS;
      this.#turns.set(peer, { ...NO_TURN, skip });
    } else if (wanted.length === MAX_TXS_PER_REQUEST && txs.length > 0 && verdict.kind === 'accept') {
      // There may be more behind them. Whoever has these held another's back at each node could keep that from it.
      const further = skip + offered.indexOf(wanted.at(-1)!) + 1;
      this.#turns.set(peer, { atMs: this.#pulledAtMs, skip: further <= MAX_POOL_SKIP ? further : 0 });
    }
    for (const tx of refused) {
      const reason = mempool.pool.senderRefusal(tx, chain.accounts);
      if (reason === 'tx/nonce-used') this.#spent.set(shortTxId(tx.id), true);
      // Where some were taken, they may be what the refused ones waited for; the next pull shows.
      else if (refused.length === txs.length && verdict.kind === 'accept') {
        // Refused unsigned, or for its recipient: what its sender does has no bearing on that.
        const isOfSender =
          reason !== undefined && reason !== 'tx/recipient-overflow' && mempool.screen(tx) === undefined;
        if (isOfSender) this.#refused.add(tx);
        else this.#passing.set(shortTxId(tx.id), true);
      }
    }
    logger.debug({ peer, wanted: wanted.length, came: txs.length, refused: refused.length }, 'pulled transactions');
  }

  async #requestIds(peer: PeerKey, skip: number): Promise<readonly ShortTxId[]> {
    const request = encodeMempoolRequest({ digest: this.#deps.mempool.pool.digest.buckets(), skip });
    for await (const frame of exchange(this.#deps, peer, MEMPOOL, request, this.#stopping.signal)) {
      const reply = decodeMempoolReply(frame);
      const ids = reply && decodeShortTxIds(reply.ids);
      if (ids === undefined) throw new PeerFault('invalid', 'malformed ids of a mempool');
      return ids;
    }
    throw new PeerFault('gone', 'no ids came');
  }

  #requestTxs(peer: PeerKey, wanted: readonly ShortTxId[]): Promise<readonly Tx[]> {
    const open = new Set(wanted);
    const isAsked = ({ id }: Tx): boolean => open.delete(shortTxId(id));
    const request = encodeTxsRequest({ ids: encodeShortTxIds(wanted) });
    return requestTxs(this.#deps, peer, { protocol: TXS, request, isAsked }, this.#stopping.signal);
  }

  #onFault(peer: PeerKey, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    if (error instanceof PeerFault) reportFault(this.#deps, peer, 'mempool', error);
    else this.#deps.onFailure(error);
  }
}
