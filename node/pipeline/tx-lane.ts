/**
 * Transactions: what they pass on their way from bytes to the mempool, and out again. From peers they come in batches,
 * from the API one by one; whatever goes out goes through the batcher.
 *
 * A batch has one verdict, and takes effect whole or not at all (BATCH-3): all of it is checked before anything of it
 * is added. It is passed on as it came only where every signature in it has been found good *here* (BATCH-4): a peer
 * may know less than this node, check what this node has skipped, and would count a bad one against this node. And only
 * where at least half of its bytes are new and good (BATCH-5): whatever a sender repeats, nobody sends on more than
 * twice the bytes that it is the first to hear. Of any other batch the new ones go out in one of this node's own.
 */
import type { ChainParams } from '../../chain/params.ts';
import type { TxReason } from '../../chain/reasons.ts';
import type { ChainId, Tx, TxId } from '../../chain/types.ts';
import { checkTxStateless } from '../../chain/validate/tx-stateless.ts';
import { accept, ignore, reject } from '../../chain/verdict.ts';
import type { EventBus } from '../events.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { Metrics } from '../metrics.ts';
import type { ObjectCodec } from '../object-codec.ts';
import type { Clock, Network, PeerKey, SignatureVerifier } from '../ports.ts';
import type { Item } from './lane-item.ts';
import { countVerdict, type OutcomeVerdict } from './outcome.ts';
import { NOTHING_NEW_UNITS } from './redundancy-budget.ts';
import { SeenCache } from './seen-cache.ts';
import { TxBatcher } from './tx-batcher.ts';

export interface TxLaneDeps {
  readonly chainId: ChainId;
  readonly params: ChainParams;
  readonly mempool: Pick<MempoolService, 'pool' | 'isVerified' | 'screen' | 'add'>;
  readonly verifier: SignatureVerifier;
  readonly codec: ObjectCodec;
  readonly network: Pick<Network, 'penalize'>;
  readonly clock: Clock;
  readonly txLingerMs?: number;
  readonly events: EventBus;
  readonly metrics: Metrics;
  /** A good transaction may wait for others of its sender; from a peer, or nobody's. */
  readonly onGap: (tx: Tx, from: PeerKey | undefined) => void;
  /** Takes an encoded batch. Never rejects. */
  readonly publish: (batch: Uint8Array) => Promise<void>;
  /** So many KiB of a batch were no news, and `NOTHING_NEW_UNITS` more where all of it was. */
  readonly onRedundant: (item: Item, units: number) => void;
}

/** Ids remembered per generation. */
const SEEN_TXS = 65_536;
/** For each bad transaction of a batch beyond the first, which costs its sender what a rejected message costs. */
const BAD_TX_POINTS = 10;
/** Bad transactions of one batch that count: ten are enough to be refused. */
const MAX_BAD_TXS = 10;

type TxVerdict = { readonly kind: 'accept' } | { readonly kind: 'ignore' | 'reject'; readonly reason: TxReason };

/** A transaction on its way through the checks. */
interface Candidate {
  readonly tx: Tx;
  /** Undefined: nothing has been found against it so far. */
  verdict: TxVerdict | undefined;
  /** Its signature, these very bytes, has been found good by this node. */
  isProven: boolean;
}

interface Batch {
  readonly item: Item;
  readonly candidates: readonly Candidate[];
}

/**
 * Owns what it has seen, and the batches that go out. Batches may be checked side by side; they take effect in the
 * order of their arrival (`before`). Rejects where the verifier does: then nothing has been added.
 */
export class TxLane {
  readonly #deps: TxLaneDeps;
  readonly #seen = new SeenCache<TxId>(SEEN_TXS);
  readonly #batcher: TxBatcher;
  readonly #disposers: (() => void)[] = [];

  constructor(deps: TxLaneDeps) {
    this.#deps = deps;
    this.#batcher = new TxBatcher(deps);
    this.#disposers.push(
      // What was dropped may be good later (a nonce gap closed, a balance filled): let it be heard again.
      deps.events.on('tx-dropped', ({ tx }) => this.#seen.delete(tx.id)),
      // The nodes of the branch that won may never have heard of what was mined on the one that lost.
      deps.events.on('tx', ({ tx, from }) => {
        if (from === 'reorg') this.#batcher.add(tx);
      }),
    );
  }

  /** Publishes what waits; resolves when it is with the network. */
  stop(): Promise<void> {
    for (const dispose of this.#disposers.splice(0)) dispose();
    return this.#batcher.flush();
  }

  /** Transactions, one an item, from the API. What is accepted is published. */
  async serveSubmitted(items: readonly Item[], before: Promise<void>): Promise<void> {
    const waiting: Item[] = [];
    const open: Candidate[] = [];
    for (const item of items) {
      const candidate = this.#screen(item.tx!);
      // Who submits what waits under another signature hears whether that is a good one.
      const isTwin = !candidate.isProven && this.#deps.mempool.pool.has(candidate.tx.id);
      if (isTwin) candidate.verdict = undefined;
      if (candidate.verdict === undefined) {
        waiting.push(item);
        open.push(candidate);
      } else item.answer(candidate.verdict);
    }
    judge(open, await this.#verify(open));
    await before;
    for (let at = 0; at < open.length; at++) {
      const [item, candidate] = [waiting[at]!, open[at]!];
      const { verdict, parked } = this.#add(candidate, item.from);
      if (verdict.kind === 'accept') this.#batcher.add(candidate.tx);
      item.answer(verdict, parked);
    }
  }

  /** Encoded batches, one an item, from peers. All signatures that are not known yet are checked in one request. */
  async serveBatches(items: readonly Item[], before: Promise<void>): Promise<void> {
    // Only the waits stand here: an async function keeps all its variables while it waits, and a turn is often one batch.
    const { batches, open } = this.#screenBatches(items);
    if (open.length > 0) judge(open, await this.#verify(open));
    await before;
    this.#answerBatches(batches);
  }

  #screenBatches(items: readonly Item[]): { readonly batches: readonly Batch[]; readonly open: readonly Candidate[] } {
    const batches: Batch[] = [];
    const open: Candidate[] = [];
    for (const item of items) {
      const decoded = this.#deps.codec.decodeTxBatch(item.bytes);
      if (!decoded.ok) {
        item.answer(reject('batch/malformed')); // BATCH-1, BATCH-2
        continue;
      }
      const candidates = decoded.value.map(this.#screen);
      // What breaks a rule as it stands spares the rest of its batch their signature checks.
      if (candidates.some(isBad)) {
        item.answer(this.#refuse({ item, candidates }));
        continue;
      }
      batches.push({ item, candidates });
      for (const candidate of candidates) if (candidate.verdict === undefined) open.push(candidate);
    }
    return { batches, open };
  }

  #answerBatches(batches: readonly Batch[]): void {
    for (const batch of batches) {
      batch.item.answer(batch.candidates.some(isBad) ? this.#refuse(batch) : this.#take(batch));
    }
  }

  /** TX-2..TX-6 and TX-8, and what the state says before the signature is known. */
  readonly #screen = (tx: Tx): Candidate => {
    const { chainId, params, mempool } = this.#deps;
    const verdict = checkTxStateless(tx, { chainId, params });
    if (verdict.kind !== 'accept') return { tx, verdict, isProven: false };
    const isKnown = this.#seen.has(tx.id) || mempool.pool.has(tx.id); // TX-8
    if (isKnown) return { tx, verdict: ignore('tx/known'), isProven: mempool.isVerified(tx) };
    const reason = mempool.screen(tx);
    return { tx, verdict: reason === undefined ? undefined : ignore(reason), isProven: false };
  };

  /** Whose signatures are good. */
  #verify(candidates: readonly Candidate[]): Promise<readonly boolean[]> {
    const { verifier, codec } = this.#deps;
    return verifier.verify(
      candidates.map(({ tx }) => codec.txSignatureItem(tx)),
      'bulk',
    );
  }

  /** Into the mempool, unless something has been found against it. */
  #add({ tx, verdict }: Candidate, from: PeerKey | 'api'): { readonly verdict: TxVerdict; readonly parked: boolean } {
    if (verdict !== undefined) return { verdict, parked: false };
    const added = this.#deps.mempool.add(tx, from);
    if (added.verdict.kind === 'accept') this.#seen.add(tx.id);
    if (this.#mayWait(added)) this.#deps.onGap(tx, from === 'api' ? undefined : from);
    return added;
  }

  /** Parked; or not, because it is too far ahead, or as many are parked as may be. */
  #mayWait({ verdict, parked }: { readonly verdict: TxVerdict; readonly parked: boolean }): boolean {
    if (verdict.kind === 'accept') return parked;
    if (verdict.reason === 'tx/nonce-gap') return true;
    return verdict.reason === 'tx/pool-full' && this.#deps.mempool.pool.isParkingFull;
  }

  /** BATCH-3. Nothing of the batch is remembered: its good ones may come again, in another's. */
  #refuse({ item, candidates }: Batch): OutcomeVerdict {
    const { metrics, network } = this.#deps;
    for (const candidate of candidates) {
      countVerdict(metrics, 'tx', isBad(candidate) ? candidate.verdict : ignore('batch/bad-tx'));
    }
    const more = Math.min(candidates.filter(isBad).length, MAX_BAD_TXS) - 1;
    if (more > 0) network.penalize(item.from, more * BAD_TX_POINTS, `${more} more invalid transactions in a batch`);
    return reject('batch/bad-tx');
  }

  #take({ item, candidates }: Batch): OutcomeVerdict {
    const fresh: Tx[] = [];
    let [freshBytes, allBytes] = [0, 0];
    for (const candidate of candidates) {
      const { verdict } = this.#add(candidate, item.from);
      countVerdict(this.#deps.metrics, 'tx', verdict);
      allBytes += candidate.tx.bytes.length;
      if (verdict.kind !== 'accept') continue;
      freshBytes += candidate.tx.bytes.length;
      fresh.push(candidate.tx);
    }
    const isMostlyNew = 2 * freshBytes >= allBytes; // BATCH-5
    if (isMostlyNew && candidates.every(({ isProven }) => isProven)) return accept(undefined); // BATCH-4
    this.#deps.onRedundant(item, (allBytes - freshBytes) / 1024 + (fresh.length === 0 ? NOTHING_NEW_UNITS : 0));
    if (fresh.length === 0) return ignore('batch/nothing-new');
    if (!item.isPulled) for (const tx of fresh) this.#batcher.add(tx);
    return ignore(isMostlyNew ? 'batch/unproven' : 'batch/few-new');
  }
}

/** TX-7. */
function judge(candidates: readonly Candidate[], good: readonly boolean[]): void {
  for (let at = 0; at < candidates.length; at++) {
    const candidate = candidates[at]!;
    candidate.isProven = good[at] === true;
    if (!candidate.isProven) candidate.verdict = reject('tx/bad-signature');
  }
}

function isBad(candidate: Candidate): candidate is Candidate & { readonly verdict: { readonly kind: 'reject' } } {
  return candidate.verdict?.kind === 'reject';
}
