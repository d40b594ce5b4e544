/** Votes: from their bytes to what the agreement says of them. By gossip one by one, from a peer's store in links. */
import { groupByLink } from '../../chain/link-book.ts';
import type { ChainParams } from '../../chain/params.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { ChainId, Vote, VoteId } from '../../chain/types.ts';
import { checkVoteStateless } from '../../chain/validate/vote.ts';
import { ignore, reject, type Verdict } from '../../chain/verdict.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ObjectCodec } from '../object-codec.ts';
import type { SignatureItem, SignatureVerifier } from '../ports.ts';
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
    // Only the waits stand here: an async function keeps all its variables while it waits, and a turn is often one vote.
    const screened = items.map(this.#screenItem);
    const good = await this.#verify(screened);
    await before;
    this.#answer(items, screened, good);
  }

  /** Accepts where the signature is to be checked. */
  readonly #screenItem = (item: Item): Verdict<Vote, Reason> => {
    const checked = this.#checkStateless(item.bytes);
    if (checked.kind !== 'accept') return checked;
    const verdict = this.#screen(checked.value);
    if (verdict.kind !== 'accept') this.#deps.onScreenedOut(item, verdict);
    return verdict;
  };

  /** Whose signatures are good, of those accepted so far. */
  #verify(screened: readonly Verdict<Vote, Reason>[]): Promise<readonly boolean[]> {
    const { verifier, codec } = this.#deps;
    const signed: SignatureItem[] = [];
    for (const each of screened) if (each.kind === 'accept') signed.push(codec.voteSignatureItem(each.value));
    return verifier.verify(signed);
  }

  /** All are counted before any is answered. */
  #answer(items: readonly Item[], screened: readonly Verdict<Vote, Reason>[], good: readonly boolean[]): void {
    let checked = 0;
    const verdicts = screened.map((each) => {
      if (each.kind !== 'accept') return each;
      const isGood = good[checked++] === true;
      return isGood ? this.#giveToAgreement(each.value) : reject<Reason>('vote/bad-signature'); // VOTE-5
    });
    for (let at = 0; at < items.length; at++) items[at]!.answer(verdicts[at]!);
  }

  #giveToAgreement(vote: Vote): Verdict<Vote, Reason> {
    const verdict = this.#deps.agreement.receiveVote(vote);
    if (verdict.kind === 'accept') this.#seen.add(vote.id);
    return verdict;
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
