import type { Address } from '../crypto/address.ts';
import { bytesToHex } from '../crypto/bytes.ts';
import type { BlockTree } from './block-tree.ts';
import { isSameCheckpoint } from './checkpoint.ts';
import {
  Candidates,
  type Dynasty,
  dynastyAfter,
  dynastyOfPath,
  type Electorate,
  type ElectorateRule,
  Electorates,
  quorumOf,
} from './electorate.ts';
import { makeEvidence, offendersDigest } from './evidence.ts';
import {
  areSupermajorities,
  hasQuorum,
  type Link,
  LinkBook,
  type LinkState,
  talliesOf,
  toCertificate,
} from './link-book.ts';
import type { EvidenceReason, VoteReason } from './reasons.ts';
import type { BlockId, Certificate, ChainEntry, Checkpoint, Evidence, Vote } from './types.ts';
import { contradiction } from './validate/vote.ts';
import type { Verdict } from './verdict.ts';
import { accept, ignore, reject } from './verdict.ts';
import { VoterLog } from './voter-log.ts';

export interface AgreementLimits {
  /** Votes kept of each voter: see {@link VoterLog}. */
  readonly maxVotesPerVoter: number;
  /** Targets up to this many heights above our tip are kept (VOTE-7). */
  readonly window: bigint;
  /** Votes up to this many heights below the final block are kept: a late twin of one is still evidence. */
  readonly evidenceDepth: bigint;
}

export const DEFAULT_AGREEMENT_LIMITS: AgreementLimits = {
  // 1024 checkpoints of stalled agreement, 210 bytes each: older votes could only complete older links.
  maxVotesPerVoter: 1024,
  // A node further behind than this syncs before it can do anything with the votes.
  window: 1000n,
  evidenceDepth: 128n,
};

/**
 * So far above our tip votes are of now: they come a moment before their block, or our tip has just gone back. Those for
 * heights further ahead push no other vote of their voter out of its log.
 */
const NEAR_HEIGHTS = 16n;

function horizonOf(tree: BlockTree): bigint {
  return tree.tip.header.height + NEAR_HEIGHTS;
}

export interface AgreementOptions {
  /** The voters of the genesis: the electorate, or what fills the window of miners at first. Duplicates count once. */
  readonly electorate: readonly Address[];
  /** Default: the voters of the genesis, for ever. */
  readonly rule?: ElectorateRule;
  /** Agreed and final from the start. */
  readonly genesis: Checkpoint;
  readonly checkpointInterval: number;
  readonly limits?: Partial<AgreementLimits>;
}

/** Two certificates whose final blocks exclude each other: a third or more of the electorate broke VOTE-8. */
export interface AgreementConflict {
  /** What made our final block final. We stay on it. */
  readonly ours: Certificate | undefined;
  /** What would have made the other one final. */
  readonly theirs: Certificate;
}

/** What a vote, a block or a certificate brought about. */
export interface AgreementUpdate {
  /** Newly agreed checkpoints, sources before targets. */
  readonly agreed: readonly Certificate[];
  /** Set when the final block moved. */
  readonly final?: Checkpoint;
  /** With `final`: the link from it to its direct child. Not always among `agreed`, whose target it may not be first. */
  readonly finalizedBy?: Certificate;
  readonly conflict?: AgreementConflict;
}

export interface VoteOutcome extends AgreementUpdate {
  readonly verdict: Verdict<Vote, VoteReason>;
  /** Set with the vote that first proves its voter's equivocation; that vote is accepted, to travel once. */
  readonly evidence?: Evidence;
}

export interface CertificateOutcome extends AgreementUpdate {
  /** False while the source is not agreed here or one of the two blocks is unknown; and without a quorum. */
  readonly applied: boolean;
  readonly evidence: readonly Evidence[];
}

export interface AgreementSnapshot {
  /** Lowest target first. */
  readonly certificates: readonly Certificate[];
  readonly final: Checkpoint;
  readonly votes: readonly Vote[];
  readonly evidence: readonly Evidence[];
  /** Electorate `miners`: every block of the tree. */
  readonly entries?: Iterable<ChainEntry>;
  /** Electorate `miners`: the links that lead to `final`, lowest first, from far enough below to know its dynasty. */
  readonly pathToFinal?: readonly Certificate[];
}

export interface LinkTally {
  readonly source: Checkpoint;
  readonly target: Checkpoint;
  readonly voters: readonly Address[];
  /** Of each electorate that the link needs, forward first; undefined while its source is not agreed. */
  readonly tallies: readonly { readonly weight: number; readonly total: number }[] | undefined;
}

interface AgreedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** Undefined for genesis, and for a final block restored without its certificate. */
  readonly certificate: Certificate | undefined;
  /** Of the links that begin here; undefined where the path to here is not known: they never count. */
  readonly dynasty: Dynasty | undefined;
  readonly electorates: readonly Electorate[] | undefined;
}

interface Changes {
  readonly agreed: Certificate[];
  final: Checkpoint | undefined;
  finalizedBy: Certificate | undefined;
  conflict: AgreementConflict | undefined;
}

/**
 * The two-thirds rule over the proof-of-work chain, after Casper the Friendly Finality Gadget (Buterin and
 * Griffith, arXiv:1710.09437), with one equal vote for each elector of the genesis, or, under the rule `miners`, with
 * the weights and dynasties of `electorate.ts`.
 *
 * Specification: a checkpoint is *agreed* when more than two thirds of each electorate in force at its source voted
 * one link to it from an agreed ancestor; genesis is agreed. An agreed checkpoint is *final* when its direct child checkpoint is agreed
 * from it. Agreed ones never un-agree, the final one only moves up along one chain. Two conflicting final blocks
 * take a third of the electorate breaking VOTE-8, and their votes, brought together, name them.
 *
 * Bounds: votes ≤ candidates × `maxVotesPerVoter`, links ≤ votes, evidence ≤ candidates, agreed ≤ checkpoints above
 * the final one; candidates are the electors, under `miners` the authors that can be in a window still. Complexity:
 * `addVote` O(log votes of the voter) and an ancestor look-up for the first vote of a link; under `miners` a new
 * dynasty costs O(window). No call looks at the whole tree or at all votes.
 *
 * Signatures, chain id and grid are checked before votes get here (`validate/vote.ts`).
 */
export class Agreement {
  readonly checkpointInterval: bigint;
  readonly #electorates: Electorates;
  readonly #candidates: Candidates;
  readonly #genesis: Checkpoint;
  readonly #limits: AgreementLimits;

  readonly #logs = new Map<Address, VoterLog>();
  #logsBegun = 0;
  readonly #links = new LinkBook();
  readonly #offenders = new Map<Address, Evidence>();
  #offendersDigest = bytesToHex(offendersDigest([]));

  readonly #agreed = new Map<BlockId, AgreedCheckpoint>();
  /** The same, by height, ascending. */
  readonly #agreedByHeight: Checkpoint[] = [];
  #final: Checkpoint;
  #finalizedBy: Certificate | undefined;
  #conflict: AgreementConflict | undefined;
  #bestAgreed: Checkpoint;

  constructor(options: AgreementOptions) {
    const rule = options.rule ?? { kind: 'genesis' };
    this.#electorates = new Electorates(rule, options.electorate, options.genesis);
    this.#candidates = new Candidates(this.#electorates);
    this.checkpointInterval = BigInt(options.checkpointInterval);
    this.#genesis = options.genesis;
    this.#limits = { ...DEFAULT_AGREEMENT_LIMITS, ...options.limits };
    this.#final = options.genesis;
    this.#bestAgreed = options.genesis;
    this.#recordAgreed(options.genesis, undefined, this.#electorates.firstDynasty, undefined);
  }

  /** The last final checkpoint; genesis at first. */
  get final(): Checkpoint {
    return this.#final;
  }

  /** The highest agreed checkpoint that descends from the final one. */
  get bestAgreed(): Checkpoint {
    return this.#bestAgreed;
  }

  /** Set once a final block that excludes ours has come up; people must decide then. */
  get conflict(): AgreementConflict | undefined {
    return this.#conflict;
  }

  /** One for each offender, in the order found. */
  get evidence(): readonly Evidence[] {
    return Array.from(this.#offenders.values());
  }

  /** Of the set of offenders, in hex: two nodes that know of the same ones have the same. */
  get offendersDigest(): string {
    return this.#offendersDigest;
  }

  get rule(): ElectorateRule {
    return this.#electorates.rule;
  }

  /** What a link from the best agreed checkpoint needs more than two thirds of: of each, forward first. */
  get inForce(): readonly Electorate[] {
    return this.#inForceAt(this.#bestAgreed.id) ?? this.#inForceAt(this.#final.id) ?? [];
  }

  /** The members of the forward electorate in force. */
  get electorate(): readonly Address[] {
    return Array.from(this.inForce[0]?.weights.keys() ?? []);
  }

  /** The least weight that is more than two thirds of the forward electorate in force: ⌊2n/3⌋ + 1. */
  get quorum(): number {
    return quorumOf(this.inForce[0]?.total ?? 0);
  }

  /** Whether votes of this address are kept: under `miners` it may be in no electorate in force yet, or any more. */
  isElector(address: Address): boolean {
    return this.#candidates.has(address);
  }

  /** Whether votes of this address count in links from an agreed checkpoint. */
  countsFrom(source: BlockId, address: Address): boolean {
    return this.#inForceAt(source)?.some(({ weights }) => weights.has(address)) === true;
  }

  /**
   * Whether votes for one link are more than two thirds of what it needs. Where the source is not agreed here, that is
   * judged, under `miners`, by the electorates in force at our best agreed checkpoint: a guess, not a proof.
   */
  isQuorum(votes: readonly Vote[]): boolean {
    const [first] = votes;
    if (first === undefined) return false;
    const electorates = this.#inForceAt(first.source.id) ?? this.inForce;
    const voters = new Set(votes.map(({ voter }) => voter));
    return electorates.length > 0 && areSupermajorities(talliesOf(voters, electorates));
  }

  /** There can be evidence against no more voters than that, as far as the blocks here tell (EVID-3). */
  get maxOffenders(): number {
    return this.#candidates.everCount;
  }

  isOffender(address: Address): boolean {
    return this.#offenders.has(address);
  }

  /** True for agreed checkpoints from the final one up, and for genesis; older ones are forgotten. */
  isAgreed(id: BlockId): boolean {
    return this.#agreed.has(id);
  }

  /** The votes that agreed a checkpoint, of those from the final one up; older ones are in the store. */
  certificate(id: BlockId): Certificate | undefined {
    return this.#agreed.get(id)?.certificate;
  }

  /** The highest agreed checkpoint on the path from genesis to `leafId`, itself included (FORK-2). */
  highestAgreed(leafId: BlockId, tree: BlockTree): Checkpoint {
    for (let index = this.#agreedByHeight.length - 1; index > 0; index -= 1) {
      const checkpoint = this.#agreedByHeight[index]!;
      if (tree.isAncestor(checkpoint.id, leafId)) return checkpoint;
    }
    return this.#genesis;
  }

  /** Votes per link to targets at one height, most first. Offenders' votes are not counted. */
  votesAt(height: bigint): LinkTally[] {
    return this.#links
      .atTarget(height)
      .map(({ source, target, votes, tallies }) => ({
        source,
        target,
        voters: Array.from(votes.keys()),
        tallies: tallies?.map(({ weight, electorate }) => ({ weight, total: electorate.total })),
      }))
      .sort((a, b) => b.voters.length - a.voters.length);
  }

  /**
   * Kept votes with a target at or above `height`, lowest target first, those of one height in the order in which their
   * voters were first heard: what a peer that syncs needs. Looks at no height beyond the one with the last of them, as
   * any peer can ask for few.
   */
  votesFrom(height: bigint, limit = Number.POSITIVE_INFINITY): Vote[] {
    const votes: Vote[] = [];
    const numberOf = ({ voter }: Vote): number => this.#logs.get(voter)!.number;
    for (const targetHeight of this.#links.targetHeightsFrom(height)) {
      if (votes.length >= limit) break;
      const there = this.#links.atTarget(targetHeight).flatMap((link) => Array.from(link.votes.values()));
      there.sort((a, b) => numberOf(a) - numberOf(b)); // each voter has one at most
      votes.push(...there.slice(0, limit - votes.length));
    }
    return votes;
  }

  /**
   * What VOTE-3, VOTE-6, VOTE-9 and the first half of VOTE-7 say of a vote whose signature is not checked yet, so that replayed and
   * foreign votes cost no check. Accepts what has to be looked at; changes nothing.
   */
  screen(vote: Vote): Verdict<Vote, VoteReason> {
    const log = this.#logs.get(vote.voter);
    if (this.#offenders.has(vote.voter)) return ignore('vote/offender'); // VOTE-9
    if (log?.has(vote) === true) return ignore('vote/known'); // VOTE-6
    const isCandidate = this.#candidates.has(vote.voter) || log?.contradicting(vote) !== undefined;
    if (!isCandidate) return this.#notElector('vote/not-elector'); // VOTE-3
    const isOld = vote.target.height < this.#keptFrom() && log?.contradicting(vote) === undefined;
    return isOld ? ignore('vote/too-old') : accept(vote); // VOTE-7, unless it may be evidence
  }

  /** The kept vote of a voter with the highest target, and so with the highest source. */
  lastVoteOf(voter: Address): Vote | undefined {
    return this.#logs.get(voter)?.votes().at(-1);
  }

  /** VOTE-3 and VOTE-6..VOTE-9. The signature, VOTE-2 and VOTE-4 hold already. VOTE-10 votes are kept, uncounted. */
  addVote(vote: Vote, tree: BlockTree): VoteOutcome {
    const isCandidate = this.#candidates.has(vote.voter);
    if (this.#offenders.has(vote.voter)) return refused(ignore('vote/offender')); // VOTE-9
    if (!isCandidate && !this.#logs.has(vote.voter)) return refused(this.#notElector('vote/not-elector')); // VOTE-3
    const log = this.#log(vote.voter);
    if (log.has(vote)) return refused(ignore('vote/known')); // VOTE-6
    const evidence = this.#findEvidence(vote, log); // VOTE-8, before VOTE-7: evidence is evidence at any height
    if (evidence !== undefined) {
      this.#condemn(evidence);
      return { verdict: accept(vote), evidence, agreed: [] };
    }
    if (!isCandidate) return refused(this.#notElector('vote/not-elector')); // it was one when it cast the others
    // VOTE-7. What does not fit the voter's log is lower than everything in it, or ahead where there is no room.
    const isAhead = vote.target.height > horizonOf(tree);
    if (!log.fits(vote, horizonOf(tree))) return refused(ignore(isAhead ? 'vote/too-new' : 'vote/too-old'));
    if (vote.target.height <= this.#final.height) {
      // Nothing depends on it any more, but a twin of it would be evidence.
      if (vote.target.height >= this.#keptFrom()) this.#keep(vote, log, tree);
      return refused(ignore('vote/too-old'));
    }
    if (vote.target.height > tree.tip.header.height + this.#limits.window) return refused(ignore('vote/too-new'));

    const link = this.#keep(vote, log, tree);
    const changes = noChanges();
    this.#tryAgree(link, tree, changes);
    // VOTE-10: a forwarder may not have known the blocks, so it is not to blame.
    const verdict: Verdict<Vote, VoteReason> = link.state === 'void' ? ignore('vote/not-on-chain') : accept(vote);
    return { verdict, ...toUpdate(changes) };
  }

  /** Counts the votes that waited for this block, which is in the tree now. */
  onBlock(entry: ChainEntry, tree: BlockTree): AgreementUpdate {
    const changes = noChanges();
    this.#candidates.onBlock(entry.header);
    for (const link of this.#links.takeWaiting(entry.header.id)) {
      link.state = linkState(link, tree);
      this.#tryAgree(link, tree, changes);
    }
    return toUpdate(changes);
  }

  /**
   * Agrees a checkpoint by its certificate, whose votes' signatures are verified. Of the votes count those for this
   * very link, one for each elector; without a quorum of them nothing follows but what each vote alone says.
   * Counts votes of known offenders too: others agreed by them before they knew, and a node that learns of the
   * offence first must be able to follow. Safe, as two conflicting final blocks name a third of the voters still.
   */
  addCertificate(given: Certificate, tree: BlockTree): CertificateOutcome {
    const evidence: Evidence[] = [];
    const changes = noChanges();
    const certificate = this.#counted(given);
    for (const vote of certificate.votes) {
      if (this.#offenders.has(vote.voter)) continue;
      const log = this.#log(vote.voter);
      const found = this.#findEvidence(vote, log);
      if (found !== undefined) {
        this.#condemn(found);
        evidence.push(found);
      } else if (vote.target.height >= this.#keptFrom() && log.fits(vote, horizonOf(tree)) && !log.has(vote)) {
        this.#keep(vote, log, tree);
      }
    }
    const { source, target } = certificate;
    let applied = this.#agreed.has(target.id) || tree.isAncestor(target.id, this.#final.id);
    const electorates = this.#inForceAt(source.id);
    const voters = certificate.votes.map(({ voter }) => voter);
    const counts = electorates !== undefined && areSupermajorities(talliesOf(voters, electorates));
    if (counts && linkState(certificate, tree) === 'valid') {
      if (!this.#agreed.has(source.id)) this.#noteConflict(certificate, tree, changes);
      else if (target.height > this.#final.height) {
        this.#agree(certificate, tree, changes);
        applied = true;
      }
    } else if (counts && this.#isRival(source, tree)) {
      this.#noteConflict(certificate, tree, changes);
    }
    return { applied, evidence, ...toUpdate(changes) };
  }

  /** EVID-3 and EVID-6: what the voter's votes are worth, whatever came first. They need no signature check. */
  checkEvidence(evidence: Evidence): Verdict<Evidence, EvidenceReason> {
    if (!this.#candidates.hasBeen(evidence.voter)) return this.#notElector('evidence/not-elector'); // EVID-3
    if (this.#offenders.has(evidence.voter)) return ignore('evidence/known'); // EVID-6
    return accept(evidence);
  }

  /** Takes two contradicting votes that came together. EVID-1, 2, 4 and 5 hold already. */
  addEvidence(evidence: Evidence): Verdict<Evidence, EvidenceReason> {
    const verdict = this.checkEvidence(evidence);
    if (verdict.kind === 'accept') this.#condemn(evidence);
    return verdict;
  }

  /**
   * Takes up what the store kept. To be called once, before any vote; the tree holds the blocks.
   * @returns what the votes agree beyond the certificates: not saved yet when the node went down.
   */
  restore(snapshot: AgreementSnapshot, tree: BlockTree): AgreementUpdate {
    for (const { header } of snapshot.entries ?? []) this.#candidates.onBlock(header);
    this.#final = snapshot.final;
    const { pathToFinal = [] } = snapshot;
    const own = snapshot.certificates.find(({ target }) => target.id === snapshot.final.id);
    const dynasty = dynastyOfPath(pathToFinal, this.checkpointInterval);
    this.#recordAgreed(snapshot.final, own, dynasty, tree);
    for (const certificate of snapshot.certificates) {
      const { source, target } = certificate;
      if (target.height < snapshot.final.height) continue;
      this.#recordAgreed(target, certificate, this.#dynastyAfter(certificate), tree);
      if (source.id === snapshot.final.id && this.#isDirect(certificate)) this.#finalizedBy = certificate;
    }
    this.#setBestAgreed(tree);
    for (const evidence of snapshot.evidence) {
      const { voter, first, second, kind } = evidence;
      if (!this.#offenders.has(voter) && contradiction(first, second) === kind) this.#condemn(evidence);
    }
    const changes = noChanges();
    for (const vote of snapshot.votes) {
      if (!this.#candidates.has(vote.voter) || this.#offenders.has(vote.voter)) continue;
      const log = this.#log(vote.voter);
      if (log.has(vote) || !log.fits(vote, horizonOf(tree))) continue;
      const evidence = this.#findEvidence(vote, log);
      if (evidence !== undefined) this.#condemn(evidence);
      else this.#tryAgree(this.#keep(vote, log, tree), tree, changes);
    }
    this.prune();
    return toUpdate(changes);
  }

  /** Forgets agreed checkpoints below the final one and votes far below it. Done whenever the final block moves. */
  prune(): void {
    for (const [voter, log] of this.#logs) {
      for (const vote of log.prune(this.#keptFrom())) this.#links.remove(vote);
      if (log.votes().length === 0) this.#logs.delete(voter);
    }
    const [genesis, ...others] = this.#agreedByHeight;
    const kept = others.filter((checkpoint) => {
      if (checkpoint.height >= this.#final.height) return true;
      this.#agreed.delete(checkpoint.id);
      return false;
    });
    this.#agreedByHeight.length = 0;
    this.#agreedByHeight.push(genesis!, ...kept);
    const rear = this.#agreed.get(this.#final.id)?.dynasty?.rear;
    if (rear !== undefined) this.#candidates.advance(rear.height);
  }

  /**
   * What a link from here needs; undefined where that is not known, so that it never counts. Under `miners` what lies
   * below the final block has no say any more: its voters may have nothing left to lose.
   */
  #inForceAt(source: BlockId): readonly Electorate[] | undefined {
    if (this.#electorates.rule.kind === 'genesis') return this.#agreed.get(this.#genesis.id)?.electorates;
    const agreed = this.#agreed.get(source);
    return agreed === undefined || agreed.checkpoint.height < this.#final.height ? undefined : agreed.electorates;
  }

  #dynastyAfter(link: Certificate): Dynasty | undefined {
    const dynasty = this.#agreed.get(link.source.id)?.dynasty;
    return dynasty && dynastyAfter(dynasty, link, this.checkpointInterval);
  }

  /** The genesis is the same for all, so that nobody passes on what it does not allow; blocks may be missing here. */
  #notElector<R extends string>(reason: R): Verdict<never, R> {
    return this.#electorates.rule.kind === 'genesis' ? reject(reason) : ignore(reason);
  }

  /** Lowest target height of votes that are kept. */
  #keptFrom(): bigint {
    return this.#final.height - this.#limits.evidenceDepth;
  }

  #isDirect(link: Pick<Link, 'source' | 'target'>): boolean {
    return link.target.height === link.source.height + this.checkpointInterval;
  }

  #log(voter: Address): VoterLog {
    let log = this.#logs.get(voter);
    if (log === undefined) {
      log = new VoterLog(this.#limits.maxVotesPerVoter, this.#logsBegun);
      this.#logsBegun += 1;
      this.#logs.set(voter, log);
    }
    return log;
  }

  #findEvidence(vote: Vote, log: VoterLog): Evidence | undefined {
    const earlier = log.contradicting(vote);
    return earlier && makeEvidence(earlier, vote);
  }

  /** VOTE-9. Certificates keep the votes they have: agreed stays agreed. */
  #condemn(evidence: Evidence): void {
    this.#offenders.set(evidence.voter, evidence);
    this.#offendersDigest = bytesToHex(offendersDigest(this.#offenders.keys()));
    for (const vote of this.#logs.get(evidence.voter)?.votes() ?? []) this.#links.remove(vote);
    this.#logs.delete(evidence.voter);
  }

  #keep(vote: Vote, log: VoterLog, tree: BlockTree): Link {
    const pushedOut = log.add(vote, horizonOf(tree));
    if (pushedOut !== undefined) this.#links.remove(pushedOut);
    return this.#links.add(vote, (link) => linkState(link, tree));
  }

  /** Agrees the link's target if it has the votes and its source is agreed, and then whatever follows from that. */
  #tryAgree(link: Link, tree: BlockTree, changes: Changes): void {
    if (!this.#hasVotes(link)) return;
    if (!this.#agreed.has(link.source.id)) this.#noteConflict(toCertificate(link), tree, changes);
    else if (this.#agreed.get(link.target.id)?.certificate?.source.id !== link.source.id) {
      this.#agree(toCertificate(link), tree, changes);
    }
  }

  /** The certificate with the votes that count for it. */
  #counted(certificate: Certificate): Certificate {
    const { source, target, votes } = certificate;
    const electorates = this.#inForceAt(source.id);
    const counted = new Map<Address, Vote>();
    for (const vote of votes) {
      if (!isSameCheckpoint(vote.source, source) || !isSameCheckpoint(vote.target, target)) continue;
      const mayCount =
        electorates === undefined
          ? this.#candidates.has(vote.voter) || this.#logs.has(vote.voter)
          : electorates.some(({ weights }) => weights.has(vote.voter));
      if (mayCount && !counted.has(vote.voter)) counted.set(vote.voter, vote);
    }
    return counted.size === votes.length ? certificate : { source, target, votes: Array.from(counted.values()) };
  }

  #hasVotes(link: Link): boolean {
    return hasQuorum(link, this.#inForceAt(link.source.id));
  }

  /** The source is agreed and an ancestor of the target. */
  #agree(certificate: Certificate, tree: BlockTree, changes: Changes): void {
    const queue = [certificate];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { source, target } = next;
      const isNew = !this.#agreed.has(target.id);
      if (isNew) {
        this.#recordAgreed(target, next, this.#dynastyAfter(next), tree);
        changes.agreed.push(next);
      }
      if (this.#isDirect(next)) this.#finalize(source, next, tree, changes);
      if (!isNew) continue;
      if (target.height > this.#bestAgreed.height && tree.isAncestor(this.#final.id, target.id)) {
        this.#bestAgreed = target;
      }
      for (const link of this.#links.fromSource(target.id)) {
        if (this.#hasVotes(link)) queue.push(toCertificate(link));
      }
    }
  }

  /** `final` is agreed and `certificate` goes from it to its direct child checkpoint. */
  #finalize(final: Checkpoint, certificate: Certificate, tree: BlockTree, changes: Changes): void {
    if (tree.isAncestor(final.id, this.#final.id)) {
      // At or below the final block: nothing moves. Remember what finalised it, where that was not known.
      if (final.id === this.#final.id) this.#finalizedBy ??= certificate;
      return;
    }
    if (!tree.isAncestor(this.#final.id, final.id)) {
      this.#noteConflict(certificate, tree, changes);
      return;
    }
    this.#final = final;
    this.#finalizedBy = certificate;
    changes.final = final;
    changes.finalizedBy = certificate;
    this.#setBestAgreed(tree);
    this.prune();
  }

  /**
   * Two thirds voting from a block to its direct child say that it is final. Where it excludes our final block its
   * source may be agreed there only, so that the votes alone, not our view of the source, raise the alarm.
   */
  #noteConflict(certificate: Certificate, tree: BlockTree, changes: Changes): void {
    const { id } = certificate.source;
    if (this.#conflict !== undefined || !this.#isDirect(certificate)) return;
    if (tree.isAncestor(id, this.#final.id) || tree.isAncestor(this.#final.id, id)) return;
    this.#conflict = { ours: this.#finalizedBy, theirs: certificate };
    changes.conflict = this.#conflict;
  }

  /** Not on our final chain, at a height that it has. Needs no block: those of a rival chain are never taken. */
  #isRival(checkpoint: Checkpoint, tree: BlockTree): boolean {
    const { id, height } = this.#final;
    return checkpoint.height <= height && tree.ancestorAt(id, checkpoint.height)?.header.id !== checkpoint.id;
  }

  #recordAgreed(
    checkpoint: Checkpoint,
    certificate: Certificate | undefined,
    dynasty: Dynasty | undefined,
    tree: BlockTree | undefined,
  ): void {
    if (this.#agreed.has(checkpoint.id)) return;
    const electorates = dynasty && this.#electorates.inForce(dynasty, tree);
    this.#agreed.set(checkpoint.id, { checkpoint, certificate, dynasty, electorates });
    let index = this.#agreedByHeight.length;
    while (index > 0 && this.#agreedByHeight[index - 1]!.height > checkpoint.height) index -= 1;
    this.#agreedByHeight.splice(index, 0, checkpoint);
  }

  #setBestAgreed(tree: BlockTree): void {
    const above = this.#agreedByHeight.filter((checkpoint) => tree.isAncestor(this.#final.id, checkpoint.id));
    this.#bestAgreed = above.at(-1) ?? this.#final;
  }
}

/**
 * VOTE-10. With the target its ancestors are in the tree, so that the answer is final once the target is there. A
 * checkpoint whose height is not its block's is none.
 */
function linkState(link: Pick<Link, 'source' | 'target'>, tree: BlockTree): LinkState {
  const target = tree.get(link.target.id);
  if (target === undefined) return 'waiting';
  if (target.header.height !== link.target.height) return 'void';
  return tree.ancestorAt(link.target.id, link.source.height)?.header.id === link.source.id ? 'valid' : 'void';
}

function refused(verdict: Verdict<Vote, VoteReason>): VoteOutcome {
  return { verdict, agreed: [] };
}

function noChanges(): Changes {
  return { agreed: [], final: undefined, finalizedBy: undefined, conflict: undefined };
}

function toUpdate(changes: Changes): AgreementUpdate {
  return {
    agreed: changes.agreed,
    ...(changes.final === undefined ? {} : { final: changes.final }),
    ...(changes.finalizedBy === undefined ? {} : { finalizedBy: changes.finalizedBy }),
    ...(changes.conflict === undefined ? {} : { conflict: changes.conflict }),
  };
}
