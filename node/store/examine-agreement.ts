/** Examines what the node knows of the agreement: certificates, the final block, votes, guards, evidence. */

import type { BlockTree } from '../../chain/block-tree.ts';
import { checkpointOf } from '../../chain/checkpoint.ts';
import { type Dynasty, dynastyAfter, Electorates } from '../../chain/electorate.ts';
import type { Genesis } from '../../chain/genesis.ts';
import type { BlockId, Certificate, Checkpoint, Vote } from '../../chain/types.ts';
import { checkCertificate, checkVoteStateless, contradiction, voteSignatureItem } from '../../chain/validate/vote.ts';
import { type Address, formatAddress } from '../../crypto/address.ts';
import { equalBytes } from '../../crypto/bytes.ts';
import type { SignatureVerifier } from '../ports.ts';
import { type Examination, textOf } from './examination.ts';
import { GUARD_FILE } from './guard-file.ts';
import * as keys from './keys.ts';
import * as records from './records.ts';
import type { VoteGuard } from './store.ts';
import { isSameGuard, strongerGuard } from './vote-guards.ts';

export interface AgreementContext {
  readonly genesis: Genesis;
  /** The chain as it is after repair. */
  readonly tree: BlockTree;
  /** Undefined where the record can't be read. */
  readonly storedFinal: Checkpoint | undefined;
  readonly verifier: SignatureVerifier;
  /** The second copy of the guards; undefined where there is none that is good. */
  readonly filedGuards: ReadonlyMap<Address, VoteGuard> | undefined;
  /** There is no second copy, though this store had one. */
  readonly isGuardFileGone: boolean;
  /** No guard is lower than this where guards are in doubt: nothing above it can have been voted for. */
  readonly safeHeight: bigint;
  readonly onProgress: (stage: string, done: number, total: number) => void;
}

export interface ExaminedAgreement {
  readonly final: Checkpoint;
  readonly certificates: number;
  readonly votes: number;
  /** Guards that repair raises. */
  readonly raised: readonly { readonly voter: Address; readonly height: bigint }[];
}

/** Signatures handed to the verifier at a time. */
const BATCH = 256;

/**
 * Examines certificates, the final block, votes, evidence and guards, in this order: each needs what those before it
 * have shown. It comes after `examineChain`, on the tree which that gives. What is wrong goes into `exam`, as faults
 * and as the writes that mend them; a guard is never lowered (VOTE-8).
 */
export async function examineAgreement(exam: Examination, context: AgreementContext): Promise<ExaminedAgreement> {
  const examiner = new AgreementExaminer(exam, context);
  const certificates = await examiner.examineCertificates();
  const final = examiner.examineFinal();
  const votes = await examiner.examineVotes();
  await examiner.examineEvidence();
  const raised = await examiner.examineGuards();
  return { final, certificates, votes, raised };
}

class AgreementExaminer {
  readonly #exam: Examination;
  readonly #context: AgreementContext;
  readonly #electorates: Electorates;
  /** Whoever can have voted: the list of the genesis, and under `miners` the authors of blocks. */
  readonly #electors: ReadonlySet<Address>;
  readonly #interval: bigint;
  readonly #rules: { readonly chainId: Genesis['chainId']; readonly checkpointInterval: number };
  /** Good certificates by target. */
  readonly #agreed = new Map<BlockId, Certificate | undefined>();
  readonly #dynasties = new Map<BlockId, Dynasty>();
  /** Encodings of votes whose signature is good: most stand twice, alone and in a certificate. */
  readonly #verified = new Set<string>();
  /** The highest each voter is seen to have voted for. */
  readonly #highest = new Map<Address, VoteGuard>();

  constructor(exam: Examination, context: AgreementContext) {
    const { genesis } = context;
    this.#exam = exam;
    this.#context = context;
    const root = checkpointOf(genesis.entry.header);
    this.#electorates = new Electorates(genesis.electorateRule, genesis.electorate, root);
    this.#dynasties.set(root.id, this.#electorates.firstDynasty);
    const authors = genesis.electorateRule.kind === 'miners' ? authorsOf(context.tree) : [];
    this.#electors = new Set([...genesis.electorate, ...authors]);
    this.#interval = BigInt(genesis.params.checkpointInterval);
    this.#rules = { chainId: genesis.chainId, checkpointInterval: genesis.params.checkpointInterval };
    this.#agreed.set(genesis.entry.header.id, undefined);
  }

  /** Sources come before targets, as keys are in the order of heights. */
  async examineCertificates(): Promise<number> {
    const exam = this.#exam;
    const { tree } = this.#context;
    let count = 0;
    for await (const { key, value } of exam.records('certificate', records.decodeCertificate)) {
      const { source, target, votes } = value;
      const name = `certificate of height ${target.height} (${target.id})`;
      for (const vote of votes) this.#note(vote);
      const wrong = equalBytes(keys.certificateKey(target), key)
        ? await this.#whyNotACertificate(value)
        : 'stands under the key of another';
      if (wrong !== undefined) {
        exam.fault('certificate-invalid', `${name}: ${wrong}`);
        exam.remove(Uint8Array.from(key));
        continue;
      }
      const unproved = this.#agreed.has(source.id) ? whyNotOnTree(value, tree) : 'its source is not agreed';
      if (unproved !== undefined) {
        exam.fault('certificate-unproved', `${name}: ${unproved}`);
        exam.remove(Uint8Array.from(key));
        continue;
      }
      this.#agreed.set(target.id, value);
      const dynasty = this.#dynasties.get(source.id);
      if (dynasty !== undefined) this.#dynasties.set(target.id, dynastyAfter(dynasty, value, this.#interval));
      count += 1;
      if (count % 64 === 0) this.#progress('certificates', count, target.height);
    }
    return count;
  }

  /** The final block is on the main chain and agreed; where it is not, the highest that is proved final. */
  examineFinal(): Checkpoint {
    const { storedFinal, tree, genesis } = this.#context;
    const wrong = this.#whyNotFinal(storedFinal);
    if (wrong === undefined && storedFinal !== undefined) return storedFinal;
    if (storedFinal !== undefined) this.#exam.fault('final', `the final block ${storedFinal.height}: ${wrong}`);
    const interval = BigInt(genesis.params.checkpointInterval);
    let best = checkpointOf(genesis.entry.header);
    for (const certificate of this.#agreed.values()) {
      if (certificate === undefined) continue;
      const { source, target } = certificate;
      if (target.height === source.height + interval && source.height > best.height && tree.isOnMain(source.id)) {
        best = source;
      }
    }
    this.#exam.put(keys.META.final, records.encodeCheckpoint(best));
    return best;
  }

  async examineVotes(): Promise<number> {
    const exam = this.#exam;
    let count = 0;
    let batch: { readonly key: Uint8Array; readonly vote: Vote }[] = [];
    const flush = async (): Promise<void> => {
      const good = await this.#signed(batch.map(({ vote }) => vote));
      for (const [i, { key, vote }] of batch.entries()) {
        if (good[i] === true) continue;
        exam.fault('vote-invalid', `${nameOf(vote)}: vote/bad-signature`);
        exam.remove(key);
      }
      batch = [];
    };
    for await (const { key, value: vote } of exam.records('vote', records.decodeStoredVote)) {
      this.#note(vote);
      const wrong = equalBytes(keys.voteKey(vote), key) ? this.#whyNotAVote(vote) : 'stands under the key of another';
      if (wrong !== undefined) {
        exam.fault('vote-invalid', `${nameOf(vote)}: ${wrong}`);
        exam.remove(Uint8Array.from(key));
        continue;
      }
      count += 1;
      if (count % 1024 === 0) this.#progress('votes', count, vote.target.height);
      if (this.#verified.has(textOf(vote.bytes))) continue;
      batch.push({ key: Uint8Array.from(key), vote });
      if (batch.length >= BATCH) await flush();
    }
    await flush();
    return count;
  }

  async examineEvidence(): Promise<void> {
    const exam = this.#exam;
    for await (const { key, value } of exam.records('evidence', records.decodeStoredEvidence)) {
      const { first, second, kind, voter } = value;
      for (const vote of [first, second]) this.#note(vote);
      const wrong = !equalBytes(keys.evidenceKey(value), key)
        ? 'stands under the key of another'
        : contradiction(first, second) !== kind
          ? 'the two votes do not contradict each other'
          : (this.#whyNotAVote(first) ?? this.#whyNotAVote(second) ?? (await this.#unsigned([first, second])));
      if (wrong === undefined) continue;
      exam.fault('evidence-invalid', `evidence against ${voter}: ${wrong}`);
      exam.remove(Uint8Array.from(key));
    }
  }

  /**
   * VOTE-8. A guard is never lowered. Of its two copies the stronger counts. Where one may be gone or old, and the second
   * copy with it, every key that can have voted here gets one above all that it can have voted for: silence for a
   * while, rather than a contradiction.
   */
  async examineGuards(): Promise<ExaminedAgreement['raised']> {
    const exam = this.#exam;
    const { filedGuards, isGuardFileGone } = this.#context;
    const guards = new Map<Address, VoteGuard>();
    let isBehind = false;
    const voters = new Set<Address>([...this.#electors, ...this.#highest.keys()]);
    for await (const key of exam.keys('guard')) voters.add(keys.addressOfKey(key));
    for await (const { key, value } of exam.records('guard', records.decodeGuard)) {
      guards.set(keys.addressOfKey(key), value);
    }
    if (isGuardFileGone) exam.fault('guard-file', whatStandsAlone([...guards.keys()]));
    for (const [voter, filed] of filedGuards ?? []) {
      const guard = strongerGuard(filed, guards.get(voter));
      if (isSameGuard(guard, guards.get(voter))) continue;
      // A crash between the two copies leaves the first one behind, in an import ahead: no fault.
      exam.put(keys.guardKey(voter), records.encodeGuard(guard));
      guards.set(voter, guard);
    }
    for (const [voter, value] of guards) {
      const voted = this.#highest.get(voter);
      if (voted === undefined) continue;
      if (voted.sourceHeight <= value.sourceHeight && voted.targetHeight <= value.targetHeight) continue;
      exam.fault(
        'guard-behind',
        `the guard of ${voter} is ${value.sourceHeight} -> ${value.targetHeight}, and it has voted up to ` +
          `${voted.sourceHeight} -> ${voted.targetHeight}`,
      );
      isBehind = true;
    }
    const isDoubtful = exam.isGuardDoubtful && filedGuards === undefined;
    if (!isDoubtful && !isBehind) return [];
    return [...voters].map((voter) => this.#raise(voter, guards.get(voter)));
  }

  #raise(voter: Address, guard: VoteGuard | undefined): { readonly voter: Address; readonly height: bigint } {
    const voted = this.#highest.get(voter);
    const height = [guard?.targetHeight, guard?.sourceHeight, voted?.targetHeight, voted?.sourceHeight].reduce<bigint>(
      (most, next) => (next !== undefined && next > most ? next : most),
      this.#context.safeHeight,
    );
    // Whether the voter has moved away stays as it is; of a guard that can't be read it is not known.
    const raised = { ...guard, sourceHeight: height, targetHeight: height };
    this.#exam.put(keys.guardKey(voter), records.encodeGuard(raised));
    return { voter, height };
  }

  #note({ voter, source, target }: Vote): void {
    const before = this.#highest.get(voter) ?? { sourceHeight: 0n, targetHeight: 0n };
    this.#highest.set(voter, {
      sourceHeight: source.height > before.sourceHeight ? source.height : before.sourceHeight,
      targetHeight: target.height > before.targetHeight ? target.height : before.targetHeight,
    });
  }

  #whyNotFinal(final: Checkpoint | undefined): string | undefined {
    if (final === undefined) return 'there is no record of it';
    const entry = this.#context.tree.get(final.id);
    if (entry === undefined) return 'its block is missing';
    if (entry.header.height !== final.height) return `its block has height ${entry.header.height}`;
    if (!this.#context.tree.isOnMain(final.id)) return 'it is not on the main chain';
    return this.#agreed.has(final.id) ? undefined : 'no certificate proves it';
  }

  #whyNotAVote(vote: Vote): string | undefined {
    const verdict = checkVoteStateless(vote, this.#rules);
    if (verdict.kind !== 'accept') return verdict.reason;
    return this.#electors.has(vote.voter) ? undefined : 'vote/not-elector';
  }

  /** Which electorates it needs follows from its source; where that is not agreed, that is what is wrong, later. */
  async #whyNotACertificate(certificate: Certificate): Promise<string | undefined> {
    const dynasty = this.#dynasties.get(certificate.source.id);
    const isFixed = this.#electorates.rule.kind === 'genesis';
    if (dynasty === undefined && !isFixed) return this.#unsigned(certificate.votes);
    const inForce = this.#electorates.inForce(dynasty ?? this.#electorates.firstDynasty, this.#context.tree);
    return checkCertificate(certificate, { ...this.#rules, electorates: inForce }) ?? this.#unsigned(certificate.votes);
  }

  async #unsigned(votes: readonly Vote[]): Promise<string | undefined> {
    return (await this.#signed(votes)).includes(false) ? 'vote/bad-signature' : undefined;
  }

  async #signed(votes: readonly Vote[]): Promise<readonly boolean[]> {
    const unknown = votes.filter((vote) => !this.#verified.has(textOf(vote.bytes)));
    const good = await this.#context.verifier.verify(unknown.map(voteSignatureItem));
    for (const [i, vote] of unknown.entries()) if (good[i] === true) this.#verified.add(textOf(vote.bytes));
    return votes.map((vote) => this.#verified.has(textOf(vote.bytes)));
  }

  #progress(stage: string, _count: number, height: bigint): void {
    this.#context.onProgress(stage, Number(height), Number(this.#context.tree.tip.header.height));
  }
}

/** A certificate joins two blocks of the tree, of those heights, one above the other. */
function whyNotOnTree({ source, target }: Certificate, tree: BlockTree): string | undefined {
  const block = tree.get(target.id);
  if (block === undefined) return 'its block is missing';
  if (block.header.height !== target.height) return `its block has height ${block.header.height}`;
  return tree.ancestorAt(target.id, source.height)?.header.id === source.id ? undefined : 'its source is no ancestor';
}

/** Says what the loss of the second copy leaves. Which of the store's votes are its own nothing but a guard tells. */
function whatStandsAlone(voters: readonly Address[]): string {
  const gone = `its file ${GUARD_FILE}, the second copy of the vote guards, is missing`;
  if (voters.length > 0) {
    return `${gone}: what ${voters.map(formatAddress).join(', ')} may not vote for stands in the database alone`;
  }
  return (
    `${gone}, and the database holds no guard either: a key that has voted from here could contradict itself; ` +
    'let none that has vote from here again'
  );
}

function nameOf(vote: Vote): string {
  return `vote ${vote.id} of ${vote.voter} for height ${vote.target.height}`;
}

/** Authors of the blocks of a tree, on all its branches. */
function authorsOf(tree: BlockTree): ReadonlySet<Address> {
  const authors = new Set<Address>();
  const seen = new Set<BlockId>();
  for (const leaf of tree.leaves()) {
    let { id, height, miner, parent } = leaf.header;
    while (height > 0n && !seen.has(id)) {
      seen.add(id);
      authors.add(miner);
      const entry = tree.get(parent);
      if (entry === undefined) break;
      ({ id, height, miner, parent } = entry.header);
    }
  }
  return authors;
}
