/** Votes: from their bytes to what the agreement says of them. By gossip one by one, from a peer's store in links. */
import { groupByLink } from '../../chain/link-book.ts';
import type { ChainParams } from '../../chain/params.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { ChainId, Vote, VoteId } from '../../chain/types.ts';
import { checkVoteStateless } from '../../chain/validate/vote.ts';
import { ignore, reject, type Verdict } from '../../chain/verdict.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ObjectCodec } from '../object-codec.ts';
import type { SignatureVerifier } from '../ports.ts';
import type { Item } from './lane-item.ts';
import type { OutcomeVerdict } from './outcome.ts';
import { SeenCache } from './seen-cache.ts';

export interface VoteLaneDeps {
  readonly chainId: ChainId;
  readonly params: ChainParams;
  readonly agreement: AgreementService;
  readonly verifier: SignatureVerifier;
  readonly codec: ObjectCodec;
  /** The vote was ignored before its signature was checked. */
  readonly onScreenedOut: (item: Item, verdict: OutcomeVerdict) => void;
}

/** Ids remembered per generation. */
const SEEN_VOTES = 65_536;

/**
 * Checks form and signatures, and gives the agreement what is left, in the order of arrival (`before`). What it
 * remembers as seen are good votes only: a vote with a broken signature has the id of the good one.
 */
export class VoteLane {
  readonly #deps: VoteLaneDeps;
  readonly #seen = new SeenCache<VoteId>(SEEN_VOTES);

  constructor(deps: VoteLaneDeps) {
    this.#deps = deps;
  }

  /** This node's own, which has been counted already. */
  noteOwn({ id }: Vote): void {
    this.#seen.add(id);
  }

  /** Votes from gossip. All signatures are checked in one request. */
  async serve(items: readonly Item[], before: Promise<void>): Promise<void> {
    const { verifier, codec, agreement } = this.#deps;
    const verdicts: Verdict<Vote, Reason>[] = [];
    const waiting: { readonly index: number; readonly vote: Vote }[] = [];
    for (const [index, item] of items.entries()) {
      const checked = this.#checkStateless(item.bytes);
      const verdict = checked.kind === 'accept' ? this.#screen(checked.value) : checked;
      verdicts[index] = verdict;
      if (verdict.kind === 'accept') waiting.push({ index, vote: verdict.value });
      else if (checked.kind === 'accept') this.#deps.onScreenedOut(item, verdict);
    }
    const good = await verifier.verify(waiting.map(({ vote }) => codec.voteSignatureItem(vote)));
    await before;
    for (const [position, { index, vote }] of waiting.entries()) {
      if (good[position] !== true) {
        verdicts[index] = reject('vote/bad-signature'); // VOTE-5
        continue;
      }
      const verdict = agreement.receiveVote(vote);
      if (verdict.kind === 'accept') this.#seen.add(vote.id);
      verdicts[index] = verdict;
    }
    for (const [index, item] of items.entries()) item.answer(verdicts[index]!);
  }

  /**
   * Votes from a peer's store, lowest targets first: links with a quorum are taken as certificates, the rest as votes.
   * Every signature is checked. Returns the reason if one was bad; nothing is taken then.
   */
  async receive(encoded: readonly Uint8Array[]): Promise<Reason | undefined> {
    const { agreement } = this.#deps;
    const votes = await this.check(encoded);
    if (typeof votes === 'string') return votes;
    for (const link of groupByLink(votes)) {
      agreement.receiveProof(link);
      for (const vote of link) agreement.receiveVote(vote);
    }
    return undefined;
  }

  /** Votes of electors with good signatures, or what is wrong with the first that is none. Nothing is taken. */
  async check(encoded: readonly Uint8Array[]): Promise<readonly Vote[] | Reason> {
    const { verifier, codec, agreement } = this.#deps;
    const votes: Vote[] = [];
    for (const bytes of encoded) {
      const checked = this.#checkStateless(bytes);
      if (checked.kind !== 'accept') return checked.reason;
      const isElector = agreement.rules.isElector(checked.value.voter);
      if (!isElector && agreement.rules.rule.kind === 'genesis') return 'vote/not-elector'; // VOTE-3
      if (isElector) votes.push(checked.value); // else by a miner of blocks that we lack, or that have grown old
    }
    const good = await verifier.verify(votes.map(codec.voteSignatureItem));
    return good.includes(false) ? 'vote/bad-signature' : votes; // VOTE-5
  }

  /** VOTE-1, VOTE-2. */
  #checkStateless(bytes: Uint8Array): Verdict<Vote, Reason> {
    const { chainId, params, codec } = this.#deps;
    const decoded = codec.decodeVote(bytes);
    if (!decoded.ok) return reject('vote/malformed');
    return checkVoteStateless(decoded.value, { chainId, checkpointInterval: params.checkpointInterval });
  }

  /** VOTE-6, and what would not count, which is not worth a signature check either. */
  #screen(vote: Vote): Verdict<Vote, Reason> {
    return this.#seen.has(vote.id) ? ignore('vote/known') : this.#deps.agreement.rules.screen(vote);
  }
}
