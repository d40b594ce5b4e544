/**
 * Asks for what a sender's later transactions wait for: one that is missed would otherwise hold up all that follow until
 * an exchange of mempools or a block brings it, and of what follows only some is parked (TX-10).
 *
 * A moment after something from behind a gap came, as most of what is missing is on its way, whoever sent it is asked for
 * what is in front of it; where that has nothing, others are. A peer has one request of ours at a time, so gaps that
 * one lost message has made wait for each other. What comes is checked as a batch is, and not published: whoever else
 * misses it asks too. Where what came was refused, nobody is asked again before something has changed.
 */
import type { NonceRange } from '../../chain/mempool.ts';
import type { Tx, TxId } from '../../chain/types.ts';
import { type Address, addressToBytes } from '../../crypto/address.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import { Lru } from '../lru.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { Metrics } from '../metrics.ts';
import { encodeSenderTxsRequest, MAX_TXS_PER_CHUNK } from '../net/wire.ts';
import type { OutcomeVerdict } from '../pipeline/outcome.ts';
import type { Clock, Logger, Network, PeerKey } from '../ports.ts';
import { PeerFault } from '../requests/exchange.ts';
import { reportFault } from '../requests/report-fault.ts';
import { MAX_PEERS, roundOf, toGiveUp } from './plan-gaps.ts';
import { SENDER_TXS } from './protocols.ts';
import { requestTxs } from './request-txs.ts';
import { touchedBy } from './touched-by.ts';

export interface GapFetchDeps {
  readonly network: Pick<Network, 'open' | 'penalize'>;
  readonly clock: Clock;
  readonly chain: Pick<ChainService, 'accounts'>;
  readonly mempool: Pick<MempoolService, 'pool'>;
  readonly events: EventBus;
  readonly metrics: Pick<Metrics, 'syncRequests'>;
  readonly logger: Logger;
  /** Takes transactions from a peer's mempool through the spine. */
  readonly receiveTxs: (txs: readonly Tx[], from: PeerKey) => Promise<OutcomeVerdict>;
  /** Its stay was over here: peers that give each other such ones would keep them for ever. */
  readonly hasExpired: (id: TxId) => boolean;
  /** False while the node is behind: it could not tell a good transaction. */
  readonly mayAsk: () => boolean;
  readonly onFailure: (error: unknown) => void;
}

/** Several times what paths through the net differ by. Doubled after each round that filled nothing. */
const MIN_WAIT_MS = 250;
const MAX_WAIT_MS = 8_000;
/** Rounds in vain. After these only what comes from behind the gap begins another. The exchange of mempools goes on. */
const MAX_FAILURES = 5;
/** How long a peer that stalled is asked for nothing: it may be slow, and each stall costs it points. */
const STALLED_MS = 60_000;
/** Senders. Each has the money for a transaction, and pays nothing. */
const MAX_GAPS = 256;
/** Senders whose missing ones nobody had, or were refused. */
const REMEMBERED = 1_024;

/** Of one sender. */
interface Gap {
  readonly sender: Address;
  /** Who told of it first; undefined: this node's API or journal. */
  readonly owner: PeerKey | undefined;
  /** The highest nonce that was seen: where it is too far ahead to be parked, all up to it are missing. */
  highest: bigint;
  /** The nonce that was missing first when it was last looked at, which the rest is about. */
  from: bigint;
  /** That sent something from behind it, and are connected. */
  readonly peers: Set<PeerKey>;
  /** That were asked in this round, in vain. */
  readonly tried: Set<PeerKey>;
  /** Something came in this round, and was refused. */
  isRefused: boolean;
  /** That gave something, and is asked first. */
  giver: PeerKey | undefined;
  /** Rounds in vain. */
  failures: number;
  cancel: () => void;
}

/** `roomless`: it is good, and the pool has no room; `unseen`: nobody had time to look at it. */
type Answer = 'filled' | 'empty' | 'refused' | 'roomless' | 'unseen';

/**
 * Decides whom to ask, and when. `follow` comes before the network starts. A gap waits for time, for a peer that is free
 * (`#waiting`), or for an answer; it is closed when it is filled and when it has been asked for in vain. Whoever gives what
 * no honest peer has is penalized; a failure of ours goes to `onFailure`.
 */
export class GapFetch {
  readonly #deps: GapFetchDeps;
  readonly #gaps = new Map<Address, Gap>();
  /** Of the gaps those for which no peer is free, in the order in which they came to that. */
  readonly #waiting = new Set<Address>();
  readonly #connected = new Set<PeerKey>();
  readonly #asked = new Set<PeerKey>();
  /** Until when a connected peer is asked for nothing, monotonic. */
  readonly #stalled = new Map<PeerKey, number>();
  /** The missing nonce that nobody had, and in how many rounds. */
  readonly #vain = new Lru<Address, { readonly from: bigint; readonly failures: number }>(REMEMBERED);
  /** The missing nonce, where what came for it was refused for what the sender has. */
  readonly #refused = new Lru<Address, bigint>(REMEMBERED);
  /** The same, where there was no room at this tip. */
  #roomless = new Lru<Address, bigint>(REMEMBERED);
  readonly #stopping = new AbortController();
  readonly #requests = new Set<Promise<void>>();
  readonly #disposers: (() => void)[] = [];

  constructor(deps: GapFetchDeps) {
    this.#deps = deps;
  }

  follow(): void {
    this.#disposers.push(
      this.#deps.events.on('tip', ({ connected, disconnected }) => {
        this.#roomless = new Lru(REMEMBERED);
        if (this.#refused.size === 0) return;
        for (const account of touchedBy([...connected, ...disconnected])) this.#refused.delete(account);
      }),
      this.#deps.events.on('tx-dropped', ({ tx }) => this.#refused.delete(tx.from)),
    );
  }

  /** What was parked when the node stopped is nobody's news. */
  start(): void {
    for (const sender of this.#deps.mempool.pool.sendersWithGap()) {
      if (!this.#gaps.has(sender)) this.#open(sender, undefined, this.#nextOf(sender));
    }
  }

  /**
   * A good transaction waits for others of its sender, whether it was parked or not.
   *
   * @param peer that sent it; undefined: nobody did
   */
  onGap({ from: sender, nonce }: Pick<Tx, 'from' | 'nonce'>, peer: PeerKey | undefined): void {
    const next = this.#nextOf(sender);
    if (nonce <= next || this.#refused.get(sender) === next || this.#roomless.get(sender) === next) return;
    const gap = this.#gaps.get(sender) ?? this.#open(sender, peer, next);
    if (gap === undefined) return;
    if (nonce > gap.highest) gap.highest = nonce;
    if (peer === undefined || !this.#connected.has(peer) || gap.peers.has(peer)) return;
    if (gap.peers.size >= MAX_PEERS) {
      gap.peers.delete(gap.peers.values().find((each) => gap.tried.has(each)) ?? gap.peers.values().next().value!);
    }
    gap.peers.add(peer);
  }

  onPeerConnected(peer: PeerKey): void {
    this.#connected.add(peer);
  }

  onPeerDisconnected(peer: PeerKey): void {
    this.#connected.delete(peer);
    this.#stalled.delete(peer);
    for (const gap of this.#gaps.values()) {
      gap.peers.delete(peer);
      if (gap.giver === peer) gap.giver = undefined;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    for (const dispose of this.#disposers.splice(0)) dispose();
    for (const { cancel } of this.#gaps.values()) cancel();
    await Promise.all(this.#requests);
  }

  /**
   * Undefined where there is no room: whoever told of most has to do with less.
   *
   * @param from the nonce that is missing first
   */
  #open(sender: Address, owner: PeerKey | undefined, from: bigint): Gap | undefined {
    if (this.#gaps.size >= MAX_GAPS && !this.#makeRoom(owner)) return undefined;
    const vain = this.#vain.get(sender);
    const gap: Gap = {
      sender,
      owner,
      highest: 0n,
      from,
      peers: new Set(),
      tried: new Set(),
      isRefused: false,
      giver: undefined,
      failures: vain?.from === from ? vain.failures : 0,
      cancel: () => {},
    };
    this.#gaps.set(sender, gap);
    this.#lookLater(sender, gap);
    return gap;
  }

  #makeRoom(newcomer: PeerKey | undefined): boolean {
    const isVain = ({ failures }: Gap): boolean => failures >= MAX_FAILURES;
    const gap = toGiveUp([...this.#gaps.values()], newcomer, isVain, this.#connected);
    if (gap !== undefined) this.#close(gap.sender, gap);
    return gap !== undefined;
  }

  #close(sender: Address, gap: Gap): void {
    gap.cancel();
    this.#gaps.delete(sender);
    this.#waiting.delete(sender);
  }

  /** What was found out about another missing nonce says nothing of this one. */
  #isAbout(gap: Gap, from: bigint): void {
    if (gap.from === from) return;
    gap.from = from;
    gap.failures = 0;
    this.#beginRound(gap);
  }

  #beginRound(gap: Gap): void {
    gap.tried.clear();
    gap.isRefused = false;
  }

  #lookLater(sender: Address, gap: Gap): void {
    if (this.#stopping.signal.aborted) return;
    gap.cancel = this.#deps.clock.after(Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** gap.failures), () =>
      this.#look(sender, gap),
    );
  }

  #look(sender: Address, gap: Gap): void {
    if (this.#stopping.signal.aborted || this.#gaps.get(sender) !== gap) return; // given up while it was asked for
    const missing = this.#missing(sender, gap);
    if (missing === undefined) {
      this.#close(sender, gap);
      return;
    }
    this.#isAbout(gap, missing.from);
    this.#waiting.delete(sender);
    if (!this.#deps.mayAsk() || this.#connected.size === 0) {
      this.#lookLater(sender, gap);
      return;
    }
    const untried = this.#untried(gap);
    const peer = untried.find((each) => !this.#asked.has(each));
    if (peer !== undefined) this.#ask(sender, gap, peer, missing);
    else if (untried.length > 0) this.#waiting.add(sender);
    else this.#endRound(sender, gap, missing.from);
  }

  #endRound(sender: Address, gap: Gap, from: bigint): void {
    gap.failures += 1;
    if (gap.isRefused) {
      this.#refused.set(sender, from);
      this.#close(sender, gap);
    } else if (gap.failures >= MAX_FAILURES) {
      this.#vain.set(sender, { from, failures: gap.failures });
      this.#close(sender, gap);
    } else {
      this.#beginRound(gap);
      this.#lookLater(sender, gap);
    }
  }

  /** Whom this round has still to ask. */
  #untried(gap: Gap): readonly PeerKey[] {
    const nowMs = this.#deps.clock.monotonicMs();
    const sound = new Set([...this.#connected].filter((peer) => (this.#stalled.get(peer) ?? 0) <= nowMs));
    return roundOf(gap, sound).filter((peer) => !gap.tried.has(peer));
  }

  #ask(sender: Address, gap: Gap, peer: PeerKey, missing: NonceRange): void {
    this.#asked.add(peer);
    const request = this.#fetch(peer, sender, missing)
      .catch((error: unknown): Answer => {
        this.#onFault(peer, error);
        return 'empty';
      })
      .then((answer) => {
        this.#requests.delete(request);
        this.#asked.delete(peer);
        this.#onAnswer(sender, gap, peer, answer);
        this.#serveWaiting();
      });
    this.#requests.add(request);
  }

  #onAnswer(sender: Address, gap: Gap, peer: PeerKey, answer: Answer): void {
    if (this.#gaps.get(sender) !== gap) return;
    if (answer === 'roomless') {
      this.#roomless.set(sender, gap.from);
      this.#close(sender, gap);
      return;
    }
    if (answer === 'unseen') {
      gap.failures += 1;
      this.#lookLater(sender, gap);
      return;
    }
    if (answer === 'filled') {
      gap.giver = peer;
      this.#beginRound(gap);
    } else gap.tried.add(peer);
    if (answer === 'refused') gap.isRefused = true; // another peer may have another with that nonce
    this.#waiting.add(sender); // behind those that wait already
  }

  /** What has failed already comes last: gaps that nobody fills must not hold up others. */
  #serveWaiting(): void {
    const waiting = Array.from(this.#waiting, (sender) => [sender, this.#gaps.get(sender)!] as const);
    const [failed, fresh] = [
      waiting.filter(([, { failures }]) => failures > 0),
      waiting.filter(([, { failures }]) => failures === 0),
    ];
    for (const [sender, gap] of [...fresh, ...failed]) this.#lookWaiting(sender, gap);
  }

  /** Keeps its place where no peer is free. */
  #lookWaiting(sender: Address, gap: Gap): void {
    const untried = this.#untried(gap);
    if (untried.length === 0 || untried.some((peer) => !this.#asked.has(peer))) this.#look(sender, gap);
  }

  #nextOf(sender: Address): bigint {
    const { chain, mempool } = this.#deps;
    return mempool.pool.pendingNonce(sender, chain.accounts.get(sender));
  }

  #missing(sender: Address, { highest }: Gap): NonceRange | undefined {
    const next = this.#nextOf(sender);
    return this.#deps.mempool.pool.firstGap(sender) ?? (next <= highest ? { from: next, to: highest } : undefined);
  }

  async #fetch(peer: PeerKey, sender: Address, { from, to }: NonceRange): Promise<Answer> {
    const { chain, mempool, metrics, logger, receiveTxs, hasExpired } = this.#deps;
    const span = to - from + 1n;
    const max = span > MAX_TXS_PER_CHUNK ? MAX_TXS_PER_CHUNK : Number(span);
    const came = await this.#request(peer, sender, from, max);
    metrics.syncRequests.inc({ protocol: 'sender-txs', result: 'ok' });
    logger.debug(
      { peer, sender, from, wanted: max, came: came.length },
      'asked for what is missing in front of others',
    );
    const expired = came.findIndex(({ id }) => hasExpired(id));
    const txs = expired === -1 ? came : came.slice(0, expired);
    if (txs.length > 0) {
      const verdict = await receiveTxs(txs, peer);
      if (verdict.kind === 'reject') throw new PeerFault('invalid', `${SENDER_TXS.name}: ${verdict.reason}`);
      if (verdict.kind === 'ignore') return 'unseen';
    }
    if (came.length === 0) return 'empty';
    if (this.#nextOf(sender) !== from) return 'filled';
    return txs.length > 0 && mempool.pool.senderRefusal(txs[0]!, chain.accounts) === undefined ? 'roomless' : 'refused';
  }

  #request(peer: PeerKey, sender: Address, fromNonce: bigint, max: number): Promise<readonly Tx[]> {
    let came = 0n;
    const isAsked = ({ from, nonce }: Tx): boolean => from === sender && came < max && nonce === fromNonce + came++;
    const request = encodeSenderTxsRequest({ sender: addressToBytes(sender), fromNonce, max });
    return requestTxs(this.#deps, peer, { protocol: SENDER_TXS, request, isAsked }, this.#stopping.signal);
  }

  #onFault(peer: PeerKey, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    if (!(error instanceof PeerFault)) {
      this.#deps.onFailure(error);
      return;
    }
    if (error.kind === 'stalled' && this.#connected.has(peer)) {
      this.#stalled.set(peer, this.#deps.clock.monotonicMs() + STALLED_MS);
    }
    reportFault(this.#deps, peer, 'sender-txs', error);
  }
}
