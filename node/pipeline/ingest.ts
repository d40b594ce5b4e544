/**
 * The spine: every transaction, block, vote and evidence, from a peer or from the API, goes through here, one way.
 *
 *   bytes → decode → stateless check → seen? → signature → stateful check → verdict → outcome
 *
 * The lanes of the queue are served in order of urgency, by a table of handlers, one batch a turn of the event loop.
 * Several batches of a lane may be with the verifier at once, so that its threads are kept busy; none waits for one of
 * another lane, so a flood of transactions holds up no block. Within a lane verdicts take effect in the order of
 * arrival, whichever batch was checked first: a sender's nonces stay in order, and a simulation repeats itself.
 */
import { encodeEvidence } from '../../chain/codec.ts';
import { encodeCompactBlock, makeCompactBlock } from '../../chain/compact-block.ts';
import { type ChainParams, MAX_TX_BATCH_BYTES } from '../../chain/params.ts';
import type { Reason, TxReason } from '../../chain/reasons.ts';
import { encodeTxBatches } from '../../chain/tx-batch.ts';
import type { Block, ChainId, Evidence, Tx, TxId, Vote } from '../../chain/types.ts';
import { accept, ignore, reject, type Verdict } from '../../chain/verdict.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ObjectCodec } from '../object-codec.ts';
import type { GossipMessage, Network, PeerKey, Rng, SignatureVerifier, TopicKind } from '../ports.ts';
import { VerifierBusyError } from '../verify/verifier-busy-error.ts';
import { Admission } from './admission.ts';
import { BlockLane, type BlockLaneDeps } from './block-lane.ts';
import { EvidenceLane } from './evidence-lane.ts';
import { Item } from './lane-item.ts';
import { type OutcomeVerdict, settleOutcome } from './outcome.ts';
import { type Lane, PriorityQueue } from './priority-queue.ts';
import { RedundancyBudget, type RedundantKind } from './redundancy-budget.ts';
import { TxLane, type TxLaneDeps } from './tx-lane.ts';
import { VoteLane } from './vote-lane.ts';

export interface IngestDeps extends Omit<BlockLaneDeps, 'internalError'> {
  /** As `TxBatcherDeps` has it. */
  readonly txLingerMs?: number;
  readonly chainId: ChainId;
  readonly params: ChainParams;
  readonly mempool: TxLaneDeps['mempool'];
  readonly onGap: TxLaneDeps['onGap'];
  readonly network: Pick<Network, 'open' | 'publish' | 'isRefused' | 'penalize' | 'disconnect'>;
  readonly agreement: AgreementService;
  readonly verifier: SignatureVerifier;
  readonly codec: ObjectCodec;
  readonly rng: Rng;
  /** There may be blocks that are not here: who may vote is not known for sure. */
  readonly isCatchingUp: () => boolean;
}

/** The answer to a transaction from the API. */
export interface TxAnswer {
  readonly verdict: Verdict<Tx, TxReason | 'overloaded' | 'internal-error'>;
  readonly parked: boolean;
  /** Not given where it was not decoded: the bytes are none, or the node is overloaded. */
  readonly id?: TxId;
  /** What is wrong with bytes that are no transaction (TX-1). */
  readonly detail?: string;
}

/**
 * Messages served per turn, fewer where they are long (`TURN_BYTES`): enough to fill a verifier's batch, few enough to
 * let a block in between.
 */
const BATCH: Readonly<Record<Lane, number>> = { block: 1, evidence: 16, vote: 64, api: 64, tx: 128 };
/** Batches being checked at once. Few: what is still in its lane can be overtaken, and counts as waiting. */
const UNDERWAY: Readonly<Record<Lane, number>> = { block: 1, evidence: 1, vote: 4, api: 4, tx: 8 };
/** Verdicts on what has not been looked at. */
const UNSEEN_REASONS: ReadonlySet<Reason> = new Set<Reason>(['overloaded', 'internal-error']);
/** What is said of a vote or of evidence whoever signed it. */
const REDUNDANT_REASONS: ReadonlySet<Reason> = new Set<Reason>([
  'vote/known',
  'vote/too-old',
  'vote/offender',
  'vote/not-elector',
  'evidence/known',
  'evidence/not-elector',
]);

/** Of these, what is said of a signer who has no vote as far as the node knows the chain. */
const STRANGER_REASONS: ReadonlySet<Reason> = new Set<Reason>(['vote/not-elector', 'evidence/not-elector']);

/**
 * Owns the queue, and knows what of it is being checked; the lanes decide. Each message of gossip and each submission
 * is answered once: with `overloaded` where there is no room for it, with `internal-error` where its check fails.
 */
export class Ingest {
  readonly #deps: IngestDeps;
  readonly #blocks: BlockLane;
  readonly #txs: TxLane;
  readonly #votes: VoteLane;
  readonly #evidence: EvidenceLane;
  readonly #admission: Admission;
  readonly #redundancy: RedundancyBudget;
  /** One batch of a lane is served alone where `UNDERWAY` says 1, so that those need not wait for the one before. */
  readonly #handlers: Readonly<Record<Lane, (items: readonly Item[], before: Promise<void>) => Promise<void>>> = {
    tx: (items, before) => this.#txs.serveBatches(items, before),
    api: (items, before) => this.#txs.serveSubmitted(items, before),
    block: (items) => this.#serveBlocks(items),
    vote: (items, before) => this.#votes.serve(items, before),
    evidence: (items) => this.#evidence.serve(items),
  };
  readonly #queue = new PriorityQueue<Item>();
  readonly #underway: Record<Lane, number> = { block: 0, evidence: 0, vote: 0, api: 0, tx: 0 };
  /** What may be taken of each lane now. */
  readonly #room: Record<Lane, number> = { ...BATCH };
  /** The last batch of each lane; settled when it and all before it have taken effect. */
  readonly #tails: Record<Lane, Promise<void>> = {
    block: Promise.resolve(),
    evidence: Promise.resolve(),
    vote: Promise.resolve(),
    api: Promise.resolve(),
    tx: Promise.resolve(),
  };
  #isScheduled = false;
  readonly #onTurn = (): void => {
    this.#isScheduled = false;
    this.#serveNext();
  };
  #stopped = false;

  constructor(deps: IngestDeps) {
    this.#deps = deps;
    this.#blocks = new BlockLane({ ...deps, internalError: (error, where) => this.internalError(error, where) });
    this.#redundancy = new RedundancyBudget(deps.clock);
    this.#txs = new TxLane({
      ...deps,
      publish: (batch) => this.#publish('tx', batch),
      onRedundant: (item, units) => this.#onRedundant('tx', item, units),
    });
    this.#votes = new VoteLane({ ...deps, onScreenedOut: (item, verdict) => this.#onIgnored('vote', item, verdict) });
    this.#evidence = new EvidenceLane({
      ...deps,
      onIgnored: (item, verdict) => this.#onIgnored('evidence', item, verdict),
    });
    this.#admission = new Admission({ ...deps, backlog: (lane) => this.#queue.length(lane) + this.#underway[lane] });
  }

  queueLength(kind: Lane): number {
    return this.#queue.length(kind);
  }

  /** Submissions are refused because the node lags behind its work. */
  isOverloaded(): boolean {
    return this.#admission.checkRefusing();
  }

  /** When who was refused as `overloaded` may come again, in seconds. */
  get retryAfterS(): number {
    return this.#admission.retryAfterS;
  }

  /** Takes a message from gossip; answers it by `settle` when its verdict is known. */
  receiveGossip(message: GossipMessage): void {
    if (message.kind === 'tx' && message.data.length > MAX_TX_BATCH_BYTES) {
      settleOutcome(this.#deps, message, reject('batch/malformed')); // BATCH-1: nothing that takes the lane's room
      return;
    }
    const item = new Item({
      bytes: message.data,
      from: message.from,
      done: (verdict) => settleOutcome(this.#deps, message, verdict),
    });
    const known = message.kind === 'block' ? this.#blocks.screen(message.data) : undefined;
    if (known === undefined) this.#enqueue(message.kind, item);
    else {
      this.#onBlockVerdict(item, known);
      item.answer(known);
    }
  }

  /**
   * Takes a transaction from the API, encoded or decoded by who had to, and, when it is good, publishes it. A node that lags
   * behind refuses before it decodes.
   */
  submitTx(submitted: Uint8Array | Tx): Promise<TxAnswer> {
    if (!this.#admission.admits()) {
      this.#deps.metrics.queueDropped.inc({ kind: 'api' });
      return Promise.resolve({ verdict: ignore('overloaded'), parked: false });
    }
    const decoded =
      submitted instanceof Uint8Array ? this.#deps.codec.decodeTx(submitted) : { ok: true as const, value: submitted };
    if (!decoded.ok) {
      return Promise.resolve({ verdict: reject('tx/malformed'), parked: false, detail: decoded.detail });
    }
    const tx = decoded.value;
    return new Promise((resolve) => {
      const done = (verdict: OutcomeVerdict, parked: boolean): void => {
        const answer = verdict.kind === 'accept' ? accept(tx) : (verdict as TxAnswer['verdict']);
        resolve({ verdict: answer, parked, id: tx.id });
      };
      this.#enqueue('api', new Item({ bytes: tx.bytes, tx, from: 'api', done }));
    });
  }

  /**
   * Takes a block this node mined: the same checks, then publishes it.
   * Rejects with a StoreError, and publishes nothing, when it cannot be written.
   */
  async submitBlock(block: Block): Promise<Verdict<Block, Reason>> {
    const { chain, rng } = this.#deps;
    const verdict = await chain.receiveBlock(block, 'mined');
    if (verdict.kind !== 'accept') return verdict;
    // Our own goes out once it is ours to build on. Its salt is this node's choice (CMPCT-3).
    const salt = Buffer.from(rng.bytes(8)).readBigUInt64BE();
    void this.#publish('block', encodeCompactBlock(makeCompactBlock(block, salt)));
    return verdict;
  }

  /** Publishes this node's own vote, which has been counted already. */
  publishVote(vote: Vote): void {
    this.#votes.noteOwn(vote);
    void this.#publish('vote', vote.bytes);
  }

  /** Publishes evidence that this node found, or had from a peer's store. */
  publishEvidence(evidence: Evidence): void {
    void this.#publish('evidence', encodeEvidence(evidence));
  }

  /**
   * Transactions from a peer's mempool, none twice; none is published. Rejects with a reason where one of them is none
   * that an honest peer has, ignores where not all were looked at, and accepts otherwise, whatever came of each.
   */
  async receiveTxs(txs: readonly Tx[], from: PeerKey): Promise<OutcomeVerdict> {
    const verdicts = await Promise.all(
      encodeTxBatches(txs).map(
        (bytes) =>
          new Promise<OutcomeVerdict>((done) => this.#enqueue('tx', new Item({ bytes, from, isPulled: true, done }))),
      ),
    );
    const isUnseen = ({ reason }: { readonly reason: Reason }): boolean => UNSEEN_REASONS.has(reason);
    const bad = verdicts.find(({ kind }) => kind === 'reject');
    return bad ?? verdicts.find((verdict) => verdict.kind === 'ignore' && isUnseen(verdict)) ?? { kind: 'accept' };
  }

  /** As `EvidenceLane` has it. */
  receiveEvidence(encoded: readonly Uint8Array[]): Promise<Reason | undefined> {
    return this.#evidence.receive(encoded);
  }

  /** As `VoteLane` has it. */
  receiveVotes(encoded: readonly Uint8Array[]): Promise<Reason | undefined> {
    return this.#votes.receive(encoded);
  }

  /** As `VoteLane` has it. */
  checkVotes(encoded: readonly Uint8Array[]): Promise<readonly Vote[] | Reason> {
    return this.#votes.check(encoded);
  }

  /** Waits for what is being checked, and publishes what that leaves to publish; takes nothing more from the queue. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const item of this.#queue.drain()) item.answer(ignore('overloaded')); // somebody may wait for it
    await this.#blocks.stop();
    await Promise.all(Object.values(this.#tails));
    await this.#txs.stop();
  }

  #enqueue(kind: Lane, item: Item): void {
    item.sinceMs = this.#deps.clock.monotonicMs();
    if (this.#stopped || !this.#queue.push(kind, item)) {
      this.#deps.metrics.queueDropped.inc({ kind });
      item.answer(ignore('overloaded'));
      // Copies count as new from now on, but all may have come already.
      if (kind === 'block' && !this.#stopped) this.#deps.onBlockMissed(item.from as PeerKey);
      return;
    }
    this.#schedule();
  }

  /** Serves the next batch after the event loop has had its turn. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#deps.clock.after(0, this.#onTurn);
  }

  #serveNext(): void {
    const batch = this.#stopped ? undefined : this.#queue.take(this.#room);
    if (batch === undefined) return; // the end of a batch schedules again
    this.#scheduleRest();
    const { kind } = batch;
    // The mesh has been told to keep back its copies of a block that waits here. There are few of a peer.
    const items = kind === 'block' ? batch.items : batch.items.filter(this.#isWelcome);
    if (items.length > 0) this.#tails[kind] = this.#serve(kind, items, this.#tails[kind]);
  }

  #setUnderway(kind: Lane, change: 1 | -1): void {
    this.#underway[kind] += change;
    this.#room[kind] = this.#underway[kind] < UNDERWAY[kind] ? BATCH[kind] : 0;
  }

  /** What comes when nothing waits schedules by itself. */
  #scheduleRest(): void {
    if (!this.#queue.isEmpty) this.#schedule();
  }

  /** What a peer sent before it was refused is not worth checking, but for blocks, and has its answer. */
  readonly #isWelcome = (item: Item): boolean => {
    if (item.from === 'api' || !this.#deps.network.isRefused(item.from)) return true;
    item.answer(ignore('overloaded'));
    return false;
  };

  /** Never rejects. `before`: settles when the batches before this one have taken effect. */
  async #serve(kind: Lane, items: readonly Item[], before: Promise<void>): Promise<void> {
    const begin = this.#deps.clock.monotonicMs();
    this.#setUnderway(kind, 1);
    if (kind === 'tx' || kind === 'api') this.#admission.onTaken(kind, items[0]!.sinceMs);
    try {
      await this.#handlers[kind](items, before);
    } catch (error) {
      this.#onFailed(kind, items, error);
    } finally {
      await before;
      this.#onServed(kind, items, begin);
    }
  }

  #onFailed(kind: Lane, items: readonly Item[], error: unknown): void {
    if (!(error instanceof VerifierBusyError)) {
      this.internalError(error, `ingest-${kind}`);
      return;
    }
    this.#deps.metrics.queueDropped.inc({ kind }, items.filter(({ isAnswered }) => !isAnswered).length);
    this.#answerRest(kind, items, 'overloaded');
  }

  #onServed(kind: Lane, items: readonly Item[], begunAtMs: number): void {
    const { clock, metrics } = this.#deps;
    this.#answerRest(kind, items, 'internal-error');
    this.#setUnderway(kind, -1);
    if (kind === 'tx' || kind === 'api') this.#admission.onServed(kind);
    metrics.checkSeconds?.observe({ kind }, (clock.monotonicMs() - begunAtMs) / 1000);
    this.#scheduleRest();
  }

  /** Whoever has no answer yet gets this one. Never throws: those after this batch wait for its end. */
  #answerRest(kind: Lane, items: readonly Item[], reason: 'overloaded' | 'internal-error'): void {
    for (const item of items) {
      try {
        item.answer(ignore(reason));
      } catch (error) {
        this.internalError(error, `answer-${kind}`);
      }
    }
  }

  /** A peer sent by gossip what is no news here, and had not to sign it well for that. */
  #onRedundant(kind: RedundantKind, { from, isPulled }: Item, units: number): void {
    if (from === 'api' || isPulled || this.#redundancy.spend(from, kind, units)) return;
    this.#deps.network
      .disconnect(from, `too much that is no news: ${kind}`)
      .catch((error: unknown) => this.internalError(error, 'disconnect'));
  }

  async #serveBlocks(items: readonly Item[]): Promise<void> {
    for (const item of items) {
      const answer = item.answerLater();
      await this.#blocks.serve(item.bytes, item.from as PeerKey, (verdict) => {
        this.#onBlockVerdict(item, verdict);
        answer(verdict);
      });
    }
  }

  /** Whatever a block is ignored for, another message that is ignored for it costs nothing to make, or little. */
  #onBlockVerdict(item: Item, verdict: OutcomeVerdict): void {
    if (verdict.kind === 'ignore') this.#onRedundant('block', item, 1);
  }

  /** Votes of strangers, and evidence against them, may be of electors who made blocks that are still to come. */
  #onIgnored(kind: 'vote' | 'evidence', item: Item, verdict: OutcomeVerdict): void {
    if (verdict.kind !== 'ignore' || !REDUNDANT_REASONS.has(verdict.reason)) return;
    if (STRANGER_REASONS.has(verdict.reason) && this.#deps.isCatchingUp()) return;
    this.#onRedundant(kind, item, 1);
  }

  /** Never rejects. */
  async #publish(kind: TopicKind, bytes: Uint8Array): Promise<void> {
    try {
      await this.#deps.network.publish(kind, bytes);
    } catch (error) {
      this.internalError(error, `publish-${kind}`);
    }
  }

  internalError(error: unknown, where: string): void {
    this.#deps.metrics.internalErrors.inc({ where });
    this.#deps.logger.error({ err: error, where }, 'internal error');
  }
}
