/**
 * The only writer of the agreement: counts votes, stores what they prove, and casts this node's own vote.
 *
 * What is told to others (`agreed`, `final`, the events) is told only once it is on disk. Fork choice may use what
 * is proved a moment earlier: it can be proved again from the votes.
 */
import type { Agreement, AgreementUpdate } from '../../chain/agreement.ts';
import { planVote } from '../../chain/plan-vote.ts';
import type { EvidenceReason, VoteReason } from '../../chain/reasons.ts';
import { signVoteBy } from '../../chain/sign.ts';
import type { Certificate, Checkpoint, Evidence, Vote } from '../../chain/types.ts';
import type { Verdict } from '../../chain/verdict.ts';
import type { Address } from '../../crypto/address.ts';
import { createSigner, type Signer } from '../../crypto/sign.ts';
import type { SigningBackend } from '../../crypto/signature.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import type { Clock, Logger } from '../ports.ts';
import { SerialQueue } from '../serial-queue.ts';
import { type Store, StoreError, type VoteGuard } from '../store/store.ts';

export interface VoterKey {
  readonly secretKey: Uint8Array;
  /** 33 bytes, compressed. */
  readonly publicKey: Uint8Array;
  readonly address: Address;
}

export interface AgreementServiceDeps {
  readonly agreement: Agreement;
  readonly chain: Pick<ChainService, 'tree' | 'genesis' | 'tip' | 'reconsiderTip' | 'afterAgreement'>;
  readonly store: Pick<Store, 'voteGuard' | 'saveVotes' | 'saveOwnVote' | 'saveAgreement' | 'saveEvidence'>;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publish: (vote: Vote) => void;
  readonly publishEvidence: (evidence: Evidence) => void;
  readonly voter: VoterKey | undefined;
  /** Default: noble's, which takes a millisecond. */
  readonly sign?: SigningBackend['sign'] | undefined;
  /** False while the node is behind: a vote for an old tip helps nobody. */
  readonly mayVote: () => boolean;
  readonly onFailure: (error: unknown) => void;
}

/** What the store refused is offered to it again after this: on a quiet net nothing else may come that would ask. */
const RETRY_MS = 10_000;

/**
 * Counts votes and evidence, and casts own votes, one at a time. What a call decides holds in memory at once; what it
 * proves is written in turn with the blocks, and told after that. Where the store refuses that, or an own vote, it is
 * tried again; what fails goes to `onFailure`, and no call throws for it but `follow`. It casts no vote before
 * `start`.
 */
export class AgreementService {
  readonly rules: Agreement;
  readonly #deps: AgreementServiceDeps;
  readonly #signer: Signer | undefined;
  readonly #writes = new SerialQueue();
  readonly #disposers: (() => void)[] = [];
  #agreed: Checkpoint;
  #final: Checkpoint;
  #guard: VoteGuard | undefined;
  readonly #restored: AgreementUpdate;
  /** Proved, and not yet on disk: written with the next that is. One a height at most. */
  #unsaved: Certificate[] = [];
  #unsavedFinal: Checkpoint | undefined;
  #unsavedFinalizer: Certificate | undefined;
  #voting: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();
  #voteAgain = false;
  #phase: 'following' | 'voting' | 'stopped' = 'following';
  #voteFailure: StoreError | undefined;
  #cancelRetry: (() => void) | undefined;

  /**
   * @param stored what was read from the store, and taken up by `deps.agreement`
   * @param restored what its votes prove beyond that; written by `follow`
   */
  constructor(
    deps: AgreementServiceDeps,
    stored: { readonly final: Checkpoint; readonly certificates: readonly Certificate[] },
    restored: AgreementUpdate,
  ) {
    this.#deps = deps;
    this.#signer = deps.voter && createSigner(deps.voter.secretKey, deps.sign, deps.voter.publicKey);
    this.rules = deps.agreement;
    this.#agreed = stored.certificates.at(-1)?.target ?? stored.final;
    this.#final = stored.final;
    this.#restored = restored;
  }

  /** The highest agreed checkpoint that is on disk. */
  get agreed(): Checkpoint {
    return this.#agreed;
  }

  /** The last final checkpoint, on disk: never reorganised away. */
  get final(): Checkpoint {
    return this.#final;
  }

  get isVoter(): boolean {
    const { voter } = this.#deps;
    return voter !== undefined && this.rules.isElector(voter.address);
  }

  /** True where the vote protection was exported: the voter votes from another machine now. */
  get hasMovedAway(): boolean {
    return this.#guard?.disabled === true;
  }

  /** Why the last own vote could not be written, and so was not cast; undefined: it was, or none is due from here. */
  get voteFailure(): StoreError | undefined {
    return this.#voteFailure;
  }

  /**
   * Takes up the guard, follows the chain and writes what the stored votes prove; casts no vote yet. Before anybody can
   * give a block or a vote: what those prove is higher, and must not be written first.
   */
  async follow(): Promise<void> {
    const { events, store, voter, chain, agreement, logger } = this.#deps;
    if (voter !== undefined) this.#guard = await store.voteGuard(voter.address);
    if (this.hasMovedAway) {
      logger.warn(
        { voter: voter?.address },
        'not voting: the vote protection of this voter was exported from here; to vote here again, import what the machine it moved to exports',
      );
    }
    this.#disposers.push(
      events.on('entry', ({ entry }) => this.#settle(agreement.onBlock(entry, chain.tree))),
      events.on('tip', () => this.considerVoting()),
    );
    this.#settle(this.#restored);
  }

  /** Begins to vote. */
  start(): void {
    const { chain, onFailure } = this.#deps;
    this.#phase = 'voting';
    chain.reconsiderTip().catch(onFailure); // the last run may have ended between a proof and the move it asks for
    this.#repeatLastVote();
    this.considerVoting();
  }

  /** Finishes what is being written, and tries nothing again. Also where it never began to vote; again does no harm. */
  async stop(): Promise<void> {
    this.#phase = 'stopped';
    for (const dispose of this.#disposers.splice(0)) dispose();
    this.#cancelRetry?.();
    await this.#voting;
    await this.settled();
  }

  /** VOTE-3 and VOTE-6..VOTE-10, on a vote that has passed the others (`checkVoteStateless`, VOTE-5). */
  receiveVote(vote: Vote): Verdict<Vote, VoteReason> {
    const outcome = this.rules.addVote(vote, this.#deps.chain.tree);
    if (outcome.verdict.kind === 'accept') this.#write(() => this.#deps.store.saveVotes([vote]));
    this.#settle(outcome);
    return outcome.verdict;
  }

  /**
   * Takes votes that a peer gives as proof of one link. A quorum of them is taken as a certificate: it counts
   * whatever evidence there is against its voters, or a node that hears the evidence first could never follow.
   * @param votes of one link, signatures good
   */
  receiveProof(votes: readonly Vote[]): void {
    const [first] = votes;
    if (first === undefined || !this.rules.isQuorum(votes)) return;
    const { source, target } = first;
    const { chain } = this.#deps;
    const outcome = this.rules.addCertificate({ source, target, votes }, chain.tree);
    const { evidence, ...update } = outcome;
    for (const each of evidence) this.#report(each);
    this.#settle(update);
  }

  /**
   * Rules EVID-3 and EVID-6 on evidence whose signatures are good. What is new is stored, and told to the net: what
   * came by gossip is forwarded by its verdict, the rest is published here.
   */
  receiveEvidence(evidence: Evidence, from: 'gossip' | 'sync'): Verdict<Evidence, EvidenceReason> {
    const verdict = this.rules.addEvidence(evidence);
    if (verdict.kind === 'accept') this.#report(evidence, from);
    return verdict;
  }

  /** Up to `max` pieces of evidence, one for each offender, in order of their addresses, above `after`. */
  evidenceAfter(after: string, max: number): readonly Evidence[] {
    return this.rules.evidence
      .filter(({ voter }) => voter > after)
      .sort((a, b) => (a.voter < b.voter ? -1 : 1))
      .slice(0, max);
  }

  /** Resolves when what has been proved so far is on disk and told. */
  async settled(): Promise<void> {
    await this.#writes.idle();
    await this.#saving;
  }

  /** Casts a vote for the tip if the rules and our earlier votes allow one. Asked again while at it: looks again. */
  considerVoting(): void {
    if (this.#phase !== 'voting') return;
    if (this.#voting !== undefined) {
      this.#voteAgain = true;
      return;
    }
    this.#voting = this.#vote()
      .catch((error: unknown) => {
        if (error instanceof StoreError) {
          this.#voteFailure = error;
          this.#retryLater();
        }
        this.#deps.onFailure(error);
      })
      .finally(() => {
        this.#voting = undefined;
        if (this.#voteAgain) {
          this.#voteAgain = false;
          this.considerVoting();
        }
      });
  }

  /** A vote that was on disk before a crash may not have been heard by anybody; it can only be this one again. */
  #repeatLastVote(): void {
    const { voter, publish } = this.#deps;
    if (voter === undefined || this.#guard === undefined || this.hasMovedAway) return;
    const last = this.rules.votesFrom(this.#guard.targetHeight).find((vote) => vote.voter === voter.address);
    if (last !== undefined) publish(last);
  }

  async #vote(): Promise<void> {
    const { voter, mayVote, chain, agreement, store, publish } = this.#deps;
    if (voter === undefined || this.#signer === undefined || !this.isVoter || this.hasMovedAway) {
      this.#voteFailure = undefined; // no vote is due any more
      return;
    }
    if (!mayVote()) return;
    // What the net has heard from this voter binds it too, should the store have lost its guard.
    const heard = agreement.lastVoteOf(voter.address);
    const guard = higherGuard(this.#guard, heard && guardOf(heard));
    const link = planVote({
      tree: chain.tree,
      agreement,
      tip: chain.tip,
      guard,
      voter: voter.address,
    });
    if (link === undefined) {
      this.#voteFailure = undefined; // nor is one for this tip
      return;
    }
    const vote = signVoteBy({ chainId: chain.genesis.chainId, ...link }, this.#signer);
    const next = { ...this.#guard, ...guardOf(link) };
    await store.saveOwnVote(vote, next); // VOTE-8: on disk before anybody can hear it
    this.#voteFailure = undefined;
    this.#guard = next;
    this.#settle(agreement.addVote(vote, chain.tree));
    publish(vote);
  }

  #settle(outcome: AgreementUpdate & { readonly evidence?: Evidence }): void {
    const { agreement, logger } = this.#deps;
    const { evidence, conflict } = outcome;
    if (evidence !== undefined) this.#report(evidence);
    if (conflict !== undefined) {
      const theirs = { height: conflict.theirs.target.height.toString(), id: conflict.theirs.target.id };
      logger.error(
        { theirs, ours: agreement.final.id },
        'two conflicting checkpoints are final: a third of the voters lied',
      );
    }
    if (outcome.agreed.length === 0 && outcome.final === undefined) return;
    this.#unsaved.push(...outcome.agreed);
    if (outcome.final !== undefined) this.#unsavedFinal = outcome.final;
    if (outcome.finalizedBy !== undefined) this.#unsavedFinalizer = outcome.finalizedBy;
    this.#save();
  }

  #save(): void {
    this.#saving = this.#deps.chain
      .afterAgreement(() => this.#saveAgreed())
      .catch((error: unknown) => {
        if (error instanceof StoreError) this.#retryLater();
        this.#deps.onFailure(error);
      });
  }

  #retryLater(): void {
    if (this.#phase === 'stopped' || this.#cancelRetry !== undefined) return;
    this.#cancelRetry = this.#deps.clock.after(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      if (this.#unsaved.length > 0 || this.#unsavedFinal !== undefined) this.#save();
      this.considerVoting();
    });
  }

  #report(evidence: Evidence, from: 'gossip' | 'sync' | 'found' = 'found'): void {
    const { logger, store, events, publishEvidence } = this.#deps;
    logger.warn(
      { voter: evidence.voter, kind: evidence.kind },
      'voter broke the voting rules; its votes no longer count',
    );
    this.#write(async () => {
      await store.saveEvidence(evidence);
      events.emit('evidence', { evidence });
    });
    if (from !== 'gossip') publishEvidence(evidence);
  }

  /** Writes all that is proved and unsaved, then tells. What a full disk refuses stays for the next time. */
  async #saveAgreed(): Promise<void> {
    const { store, events } = this.#deps;
    const certificates = [...this.#unsaved];
    const final = this.#unsavedFinal;
    const finalizer = this.#unsavedFinalizer;
    if (certificates.length === 0 && final === undefined) return;
    // What made the block final is kept, in the place of another certificate for the same target if need be.
    const isExtra = finalizer !== undefined && !certificates.includes(finalizer);
    await store.saveAgreement(isExtra ? [...certificates, finalizer] : certificates, final);
    this.#unsaved = this.#unsaved.slice(certificates.length);
    if (this.#unsavedFinal === final) this.#unsavedFinal = undefined;
    if (this.#unsavedFinalizer === finalizer) this.#unsavedFinalizer = undefined;
    for (const certificate of certificates) {
      if (certificate.target.height > this.#agreed.height) this.#agreed = certificate.target;
      events.emit('agreed', { certificate });
    }
    if (final !== undefined) {
      this.#final = final;
      events.emit('final', { checkpoint: final });
    }
  }

  #write(task: () => Promise<void>): void {
    this.#writes.run(task).catch(this.#deps.onFailure);
  }
}

function guardOf({ source, target }: Pick<Vote, 'source' | 'target'>): VoteGuard {
  return { sourceHeight: source.height, targetHeight: target.height };
}

function higherGuard(a: VoteGuard | undefined, b: VoteGuard | undefined): VoteGuard | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return {
    sourceHeight: a.sourceHeight > b.sourceHeight ? a.sourceHeight : b.sourceHeight,
    targetHeight: a.targetHeight > b.targetHeight ? a.targetHeight : b.targetHeight,
  };
}
