/**
 * Asks for what a sender's later transactions wait for: one that is missed would otherwise hold up all that follow until
 * an exchange of mempools or a block brings it, and of what follows only some is parked (TX-10).
 *
 * Who sent something from behind a gap is asked for what is in front of it, a moment later, as most of that is on its way;
 * then the others that did so, in turn. What comes is checked as a batch is, and not published: whoever else misses it
 * asks too. A gap that nobody can fill costs `MAX_FAILURES` requests, and then one for each transaction from behind it, at
 * most every `MAX_WAIT_MS`.
 */
import { decodeTx } from '../../chain/codec.ts';
import type { NonceRange } from '../../chain/mempool.ts';
import type { Tx } from '../../chain/types.ts';
import { type Address, addressToBytes } from '../../crypto/address.ts';
import type { ChainService } from '../chain-service.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { Metrics } from '../metrics.ts';
import { decodeTxsChunk, encodeSenderTxsRequest, MAX_TXS_PER_CHUNK } from '../net/wire.ts';
import type { OutcomeVerdict } from '../pipeline/outcome.ts';
import type { Clock, Logger, Network, PeerKey } from '../ports.ts';
import { exchange, PeerFault } from '../requests/exchange.ts';
import { reportFault } from '../requests/report-fault.ts';
import { SENDER_TXS } from './protocols.ts';

export interface GapFetchDeps {
  readonly network: Pick<Network, 'open' | 'penalize'>;
  readonly clock: Clock;
  readonly chain: Pick<ChainService, 'accounts'>;
  readonly mempool: Pick<MempoolService, 'pool'>;
  readonly metrics: Pick<Metrics, 'syncRequests'>;
  readonly logger: Logger;
  /** Takes transactions from a peer's mempool through the spine. */
  readonly receiveTxs: (txs: readonly Tx[], from: PeerKey) => Promise<OutcomeVerdict>;
  /** False while the node is behind: it could not tell a good transaction. */
  readonly mayAsk: () => boolean;
  readonly onFailure: (error: unknown) => void;
}

/** Several times what paths through the net differ by. Doubled after each request that filled nothing. */
const MIN_WAIT_MS = 250;
const MAX_WAIT_MS = 8_000;
/** Requests in a row that filled nothing. The exchange of mempools goes on. */
const MAX_FAILURES = 6;
/** Senders. Each has the money for a transaction; the one whose gap was seen first is given up. */
const MAX_GAPS = 256;
/** Peers of a gap. */
const MAX_PEERS = 4;

/** Of one sender. */
interface Gap {
  /** The highest nonce that was seen: where it is too far ahead to be parked, all up to it are missing. */
  highest: bigint;
  /** That sent something from behind it; the next to be asked first. */
  readonly peers: Set<PeerKey>;
  failures: number;
  /** It has been decided when it is next looked at; else a transaction from behind it will. */
  isPending: boolean;
  cancel: () => void;
}

/**
 * Decides whom to ask, and when: each peer one request at a time. Whoever gives what no honest peer has is penalized; a
 * failure of ours goes to `onFailure`.
 */
export class GapFetch {
  readonly #deps: GapFetchDeps;
  readonly #gaps = new Map<Address, Gap>();
  readonly #asked = new Set<PeerKey>();
  readonly #stopping = new AbortController();
  readonly #requests = new Set<Promise<void>>();

  constructor(deps: GapFetchDeps) {
    this.#deps = deps;
  }

  /** The peer sent a good transaction whose nonce is above its sender's next free one. */
  onGap(tx: Pick<Tx, 'from' | 'nonce'>, peer: PeerKey): void {
    if (this.#stopping.signal.aborted) return;
    const gap = this.#gaps.get(tx.from) ?? this.#open(tx.from);
    if (tx.nonce > gap.highest) gap.highest = tx.nonce;
    gap.peers.add(peer);
    if (gap.peers.size > MAX_PEERS) gap.peers.delete(gap.peers.values().next().value!);
    this.#lookLater(tx.from, gap);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    for (const { cancel } of this.#gaps.values()) cancel();
    await Promise.all(this.#requests);
  }

  #open(sender: Address): Gap {
    const gap: Gap = { highest: 0n, peers: new Set(), failures: 0, isPending: false, cancel: () => {} };
    this.#gaps.set(sender, gap);
    if (this.#gaps.size > MAX_GAPS) {
      const [oldest, { cancel }] = this.#gaps.entries().next().value!;
      cancel();
      this.#gaps.delete(oldest);
    }
    return gap;
  }

  #lookLater(sender: Address, gap: Gap): void {
    if (gap.isPending) return;
    gap.isPending = true;
    gap.cancel = this.#deps.clock.after(Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** gap.failures), () =>
      this.#look(sender, gap),
    );
  }

  #look(sender: Address, gap: Gap): void {
    gap.isPending = false;
    if (this.#stopping.signal.aborted || this.#gaps.get(sender) !== gap) return; // stopped, or given up while asking
    const missing = this.#missing(sender, gap);
    if (missing === undefined || !this.#deps.mayAsk()) {
      this.#gaps.delete(sender);
      return;
    }
    const peer = gap.peers.values().find((each) => !this.#asked.has(each));
    if (peer === undefined) {
      if (gap.peers.size > 0) this.#lookLater(sender, gap); // all are being asked for another's
      return;
    }
    gap.isPending = true;
    this.#asked.add(peer);
    const request = this.#ask(peer, sender, missing)
      .then(
        (isFilled) => {
          gap.peers.delete(peer);
          gap.peers.add(peer); // the others first, next time
          return isFilled;
        },
        (error: unknown) => {
          gap.peers.delete(peer);
          this.#onFault(peer, error);
          return false;
        },
      )
      .then((isFilled) => {
        this.#requests.delete(request);
        this.#asked.delete(peer);
        gap.failures = isFilled ? 0 : gap.failures + 1;
        gap.isPending = false;
        if (isFilled) this.#look(sender, gap);
        else if (gap.failures < MAX_FAILURES) this.#lookLater(sender, gap);
      });
    this.#requests.add(request);
  }

  #missing(sender: Address, { highest }: Gap): NonceRange | undefined {
    const { chain, mempool } = this.#deps;
    const next = mempool.pool.pendingNonce(sender, chain.accounts.get(sender));
    return mempool.pool.firstGap(sender) ?? (next <= highest ? { from: next, to: highest } : undefined);
  }

  /** @returns whether the first of them is there now */
  async #ask(peer: PeerKey, sender: Address, { from, to }: NonceRange): Promise<boolean> {
    const { chain, mempool, metrics, logger, receiveTxs } = this.#deps;
    const span = to - from + 1n;
    const max = span > MAX_TXS_PER_CHUNK ? MAX_TXS_PER_CHUNK : Number(span);
    const txs = await this.#request(peer, sender, from, max);
    metrics.syncRequests.inc({ protocol: 'sender-txs', result: 'ok' });
    if (txs.length === 0) return false;
    const verdict = await receiveTxs(txs, peer);
    if (verdict.kind === 'reject') throw new PeerFault('invalid', `${SENDER_TXS.name}: ${verdict.reason}`);
    logger.debug(
      { peer, sender, from, wanted: max, came: txs.length },
      'asked for what was missing in front of others',
    );
    return mempool.pool.pendingNonce(sender, chain.accounts.get(sender)) > from;
  }

  async #request(peer: PeerKey, sender: Address, fromNonce: bigint, max: number): Promise<readonly Tx[]> {
    const txs: Tx[] = [];
    const request = encodeSenderTxsRequest({ sender: addressToBytes(sender), fromNonce, max });
    for await (const frame of exchange(this.#deps, peer, SENDER_TXS, request, this.#stopping.signal)) {
      const chunk = decodeTxsChunk(frame);
      if (chunk === undefined || chunk.txs.length === 0) throw new PeerFault('invalid', 'malformed transactions');
      for (const bytes of chunk.txs) {
        const tx = decodeTx(bytes);
        if (!tx.ok) throw new PeerFault('invalid', `malformed transaction: ${tx.detail}`);
        const isNext = tx.value.from === sender && tx.value.nonce === fromNonce + BigInt(txs.length);
        if (!isNext || txs.length === max) throw new PeerFault('invalid', 'a transaction that was not asked for');
        txs.push(tx.value);
      }
    }
    return txs;
  }

  #onFault(peer: PeerKey, error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    if (error instanceof PeerFault) reportFault(this.#deps, peer, 'sender-txs', error);
    else this.#deps.onFailure(error);
  }
}
