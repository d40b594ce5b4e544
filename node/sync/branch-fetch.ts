/**
 * Fetches the branch that a peer has and we lack: headers first, checked in full before any body is asked for, then
 * bodies from everybody, then the votes. Headers and votes may be asked of several peers at once, bodies are those of one
 * branch at a time. Who is asked, and what becomes of it, the service decides.
 */
import { groupByLink } from '../../chain/link-book.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { Block, BlockId, ChainEntry, Header, Vote } from '../../chain/types.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ChainService } from '../chain-service.ts';
import { Lru } from '../lru.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Logger, Network, PeerKey } from '../ports.ts';
import { FAULT_POINTS, PeerFault } from '../requests/exchange.ts';
import { BEHIND_BLOCKS, CatchUpState, type FetchOutcome } from './catch-up-state.ts';
import { downloadBodies } from './download-bodies.ts';
import { checkHeaderChain } from './header-chain.ts';
import type { PeerStatus } from './peer-status.ts';
import { MAX_HEADERS_PER_REQUEST, MAX_VOTES_PER_REQUEST } from './protocols.ts';
import { goesBefore, isOneChain, type ProvedBranch, workOf } from './proved-branch.ts';
import { requestHeaders, requestVotes } from './requests.ts';

export interface BranchFetchDeps {
  readonly network: Network;
  readonly chain: ChainService;
  readonly agreement: AgreementService;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Takes votes from a peer's store through the spine. */
  readonly receiveVotes: (votes: readonly Uint8Array[]) => Promise<Reason | undefined>;
  /** Only checks them: electors' votes with good signatures, or what is wrong. */
  readonly checkVotes: (votes: readonly Uint8Array[]) => Promise<readonly Vote[] | Reason>;
  /** Who may be asked for bodies, besides the peer whose branch it is. */
  readonly peers: () => readonly PeerKey[];
  /** Hears of a peer that failed while others go on. */
  readonly onFault: (peer: PeerKey, error: unknown, protocol: string) => void;
  readonly signal: AbortSignal;
}

/** Headers held while a branch proves itself: some 20 MB. A longer one is fetched in parts, if its parts are better. */
const MAX_PENDING_HEADERS = 50_000;
/** A peer's turn: what is not had by then is asked for again when the others have had theirs. */
const TURN_MS = 60_000;
/** Headers that we have may come first, from below a fork; for no longer than this in one piece. */
const NO_HEADER_MS = 30_000;
/** Peers of which it is remembered how far their headers are known. */
const KNOWN_TO_KEPT = 256;

/**
 * What a peer claims decides what it is asked, never what is believed: headers have to show their work, votes their
 * signatures. Calls reject with a PeerFault where the peer is at fault, and with a StoreError where a block could not
 * be written. Bodies are of one branch at a time; the other calls may be made beside that.
 */
export class BranchFetch {
  readonly #deps: BranchFetchDeps;
  readonly #state: CatchUpState;
  /** The one whose bodies are being fetched. */
  #fetched: ProvedBranch | undefined;
  /** Those whose bodies are still to be asked for. Few: each is of a peer that is asked nothing else meanwhile. */
  readonly #proved = new Set<ProvedBranch>();
  /** The last header that a peer gave in a turn in which we had all it gave. */
  readonly #knownTo = new Lru<PeerKey, BlockId>(KNOWN_TO_KEPT);

  constructor(deps: BranchFetchDeps) {
    this.#deps = deps;
    this.#state = new CatchUpState({
      clock: deps.clock,
      blockTimeMs: deps.chain.genesis.params.blockTimeMs,
      hasBlock: (id) => deps.chain.tree.get(id) !== undefined,
      // Nobody else asks before the next block, which may be long in coming: where a vote was missing, it is this one.
      onMayVoteAgain: () => {
        if (!deps.signal.aborted) deps.agreement.considerVoting();
      },
    });
  }

  /** What the node lacks, as the downloads tell. */
  get state(): Pick<CatchUpState, 'isBehind' | 'isCatchingUp' | 'mayVote' | 'isStuck'> {
    return this.#state;
  }

  /** Nothing is being fetched, and nothing will be for now. */
  end(): void {
    this.#state.end();
  }

  /**
   * The headers of a branch from `peer`, once they have proved more work than our tip has, or the peer has proved that
   * more than two thirds agreed one of them. Where we have the block that the peer says is agreed, and lack its children
   * only, the votes come first: they decide between branches, and no header that is still to come would be the one they
   * agree.
   *
   * @returns the branch, which waits for `takeBodies`, or the outcome where there is none
   */
  async prove(peer: PeerKey, status: PeerStatus): Promise<ProvedBranch | FetchOutcome> {
    const { chain, agreement, logger } = this.#deps;
    const rules = agreement.rules;
    const isHigher = status.agreed.height > rules.bestAgreed.height;
    const workBefore = chain.tip.totalWork;
    if (isHigher && chain.tree.get(status.agreed.id)?.header.height === status.agreed.height) {
      const outcome = await this.fetchVotes(peer);
      // What others proved meanwhile is not this peer's merit.
      if (rules.isAgreed(status.agreed.id)) return outcome === 'progress' ? outcome : 'turn-over';
    }
    const entries = await this.#fetchHeaders(peer);
    if (entries === undefined) return 'turn-over';
    const last = entries.at(-1);
    // Its tip may have come from others while it was asked: no failure, and no merit either.
    if (last === undefined) return chain.tree.has(status.tip.id) ? 'turn-over' : 'nothing';
    // Where bodies are being fetched already, it is to go before their branch too.
    const rival = this.#fetched === undefined ? 0n : workOf(this.#fetched);
    const hasMoreWork = last.totalWork > chain.tip.totalWork;
    const agreed = hasMoreWork && last.totalWork > rival ? undefined : await this.#agreedIn(peer, status, entries);
    if (hasMoreWork || agreed !== undefined) {
      const branch = { entries, agreed };
      this.#proved.add(branch);
      return branch;
    }
    if (last.totalWork > workBefore) return 'turn-over'; // others gave us more while it was asked
    logger.debug({ peer, headers: entries.length }, 'a branch without more work or agreement: not fetched');
    // More votes than one answer holds may be for blocks that we have, below the one it says is agreed.
    if (isHigher) await this.fetchVotes(peer);
    return 'nothing';
  }

  /**
   * The bodies of a branch from everybody. Ends early where its turn is over, or another that goes before it has been
   * proved. One at a time.
   *
   * @returns `progress` where all have come: `takeVotes` is to be called then
   */
  async takeBodies(peer: PeerKey, status: PeerStatus, branch: ProvedBranch): Promise<FetchOutcome> {
    const { chain, clock, logger } = this.#deps;
    this.#proved.delete(branch);
    const entries = this.#rest(branch);
    if (entries === undefined) return 'turn-over'; // others gave it meanwhile: no failure, and no merit either
    const untilMs = clock.monotonicMs() + TURN_MS;
    this.#fetched = branch;
    this.#state.begin(entries.length, entries[0]!.header.id);
    if (this.#state.isBehind)
      logger.info({ peer, blocks: entries.length, from: chain.tip.header.height }, 'catching up');
    const mayGoOn = (): boolean => clock.monotonicMs() < untilMs && !this.#isOutdone(branch);
    let outcome: FetchOutcome = 'nothing';
    try {
      outcome = (await this.#fetchBodies(peer, status, entries, mayGoOn)) ? 'progress' : 'turn-over';
      return outcome;
    } finally {
      this.#fetched = undefined;
      this.#state.bodiesEnded(outcome);
    }
  }

  /** A proved branch whose bodies are not to be asked for after all. */
  drop(branch: ProvedBranch): void {
    this.#proved.delete(branch);
  }

  /** The votes that belong to the bodies that have just come. As `fetchVotes`. */
  async takeVotes(peer: PeerKey): Promise<FetchOutcome> {
    let outcome: FetchOutcome = 'nothing';
    try {
      // All bodies came, which is progress whatever the votes are.
      outcome = (await this.fetchVotes(peer)) === 'turn-over' ? 'turn-over' : 'progress';
      return outcome;
    } finally {
      this.#state.votesEnded(outcome);
    }
  }

  /** What we lack of a branch. Undefined where nothing, or where it would be ours no longer. */
  #rest({ entries, agreed }: ProvedBranch): readonly ChainEntry[] | undefined {
    const { chain, agreement } = this.#deps;
    const { bestAgreed, final } = agreement.rules;
    const at = entries.findIndex(({ header }) => chain.tree.get(header.id) === undefined);
    if (at === -1 || !chain.tree.isAncestor(final.id, entries[at]!.header.parent)) return undefined;
    const isAgreed = agreed !== undefined && agreed.header.height > bestAgreed.height;
    return isAgreed || entries.at(-1)!.totalWork > chain.tip.totalWork ? entries.slice(at) : undefined;
  }

  /** Another has been proved that goes before it, and neither is a part of the other. */
  #isOutdone(branch: ProvedBranch): boolean {
    return [...this.#proved].some((other) => goesBefore(other, branch) && !isOneChain(other, branch));
  }

  /** All have been asked for the first of these that is missing. */
  #doubt(entries: readonly ChainEntry[]): void {
    const missing = entries.find(({ header }) => this.#deps.chain.tree.get(header.id) === undefined);
    if (missing === undefined) return;
    this.#state.onWithheld(missing.header.id);
  }

  /** From everybody, this peer first. False where it might not go on before all had come. */
  async #fetchBodies(
    peer: PeerKey,
    status: PeerStatus,
    entries: readonly ChainEntry[],
    mayGoOn: () => boolean,
  ): Promise<boolean> {
    const { chain } = this.#deps;
    try {
      return await downloadBodies({
        ...this.#deps,
        entries,
        peers: () => [peer, ...this.#deps.peers().filter((other) => other !== peer)],
        checkBody: (block) => {
          const verdict = chain.checkBody(block);
          if (verdict.kind === 'accept') this.#state.onBody(block.header.id);
          return verdict;
        },
        checkAhead: (block) => chain.checkAhead(block),
        connect: (blocks) => this.#connect(blocks, peer),
        onFault: (at, error) => this.#deps.onFault(at, error, 'bodies'),
        mayGoOn,
      });
    } catch (error) {
      if (error instanceof PeerFault && error.kind !== 'invalid') {
        this.#doubt(entries);
        await this.#noteOwed(peer, status, entries);
      }
      throw error;
    }
  }

  /** Nobody gives the bodies: each may have pruned them. Where they are of agreed blocks, we are behind all the same. */
  async #noteOwed(peer: PeerKey, status: PeerStatus, entries: readonly ChainEntry[]): Promise<void> {
    const agreed = await this.#agreedIn(peer, status, entries);
    if (agreed === undefined || entries.indexOf(agreed) + 1 < BEHIND_BLOCKS) return;
    if (!this.#state.owe(agreed.header)) return;
    this.#deps.logger.warn(
      { peer, height: agreed.header.height.toString() },
      'no peer gives the blocks up to one that is agreed; each may have pruned them',
    );
  }

  /**
   * Headers we lack, from the fork on, until they out-work our tip by a window or the peer has no more. Undefined where
   * only such as we have have come for a while: the next turn goes on where this one ended.
   */
  async #fetchHeaders(peer: PeerKey): Promise<readonly ChainEntry[] | undefined> {
    const { chain, agreement, clock, logger, metrics } = this.#deps;
    const branch = new Map<BlockId, ChainEntry>();
    const view = { get: (id: BlockId) => branch.get(id) ?? chain.tree.get(id) };
    const known = this.#knownTo.get(peer);
    this.#knownTo.delete(peer);
    let locator = known === undefined ? chain.tree.locator() : [known];
    let reached = -1n;
    let untilMs = clock.monotonicMs() + NO_HEADER_MS;
    while (branch.size < MAX_PENDING_HEADERS) {
      const headers = await requestHeaders(this.#deps, peer, locator, this.#deps.signal);
      metrics.syncRequests.inc({ protocol: 'headers', result: 'ok' });
      const condemned = headers.map((header) => chain.whyCondemned(header)).find((reason) => reason !== undefined);
      if (condemned !== undefined) throw new PeerFault('invalid', `header chain: ${condemned}`);
      const verdict = checkHeaderChain(headers, {
        view,
        continuesFinal: (id) => branch.has(id) || chain.tree.isAncestor(agreement.rules.final.id, id),
        genesis: chain.genesis,
        nowMs: BigInt(Math.floor(clock.nowMs())),
      });
      if (verdict.kind === 'reject') throw new PeerFault('invalid', `header chain: ${verdict.reason}`);
      if (verdict.kind === 'ignore') {
        logger.warn({ peer, reason: verdict.reason }, 'the chain of this peer is not for us');
        if (verdict.reason === 'block/conflicts-final') await this.#hearRivals(peer, headers[0]!);
        break; // what came before is as good as it was
      }
      for (const entry of verdict.value) branch.set(entry.header.id, entry);
      if (verdict.value.length > 0) untilMs = clock.monotonicMs() + NO_HEADER_MS;
      const last = headers.at(-1);
      const provesWork = (verdict.value.at(-1)?.totalWork ?? 0n) > chain.tip.totalWork;
      if (last === undefined || headers.length < MAX_HEADERS_PER_REQUEST || provesWork) break;
      const good = verdict.value.at(-1)?.header.id ?? last.id;
      if (good !== last.id) break; // the rest is ahead of our clock
      if (last.height <= reached) break; // the peer has moved to another branch, or goes in circles
      reached = last.height;
      locator = [last.id]; // a window of headers that we have, or that are not enough yet: go on from its end
      if (branch.size > 0 || clock.monotonicMs() <= untilMs) continue;
      this.#knownTo.set(peer, last.id);
      return undefined;
    }
    return [...branch.values()];
  }

  /**
   * The votes for a chain that leaves ours below our final block. Where they make a block of it final, a third of the
   * voters lied, and theirs beside ours are the evidence (VOTE-8); nobody else may be left who could tell us.
   */
  async #hearRivals(peer: PeerKey, first: Header): Promise<void> {
    if (this.#deps.chain.tree.get(first.parent) === undefined) return;
    if (await this.#hearVotesFrom(peer, first.height)) return;
    // Where the fork is deep, the rest: of the votes that made ours final the newest are kept, and theirs for the same
    // heights, or for a link around them, contradict these.
    await this.#hearVotesFrom(peer, this.#deps.agreement.rules.final.height + 1n);
  }

  /** Whether these were all that the peer has. */
  async #hearVotesFrom(peer: PeerKey, height: bigint): Promise<boolean> {
    const votes = await requestVotes(this.#deps, peer, height, this.#deps.signal);
    const bad = await this.#deps.receiveVotes(votes);
    if (bad !== undefined) throw new PeerFault('invalid', `votes: ${bad}`);
    return votes.length < MAX_VOTES_PER_REQUEST;
  }

  /** The highest of a branch's blocks that the peer's votes agree, above what we know to be agreed (FORK-2). */
  async #agreedIn(peer: PeerKey, status: PeerStatus, entries: readonly ChainEntry[]): Promise<ChainEntry | undefined> {
    const { agreement, checkVotes } = this.#deps;
    const rules = agreement.rules;
    if (status.agreed.height <= rules.bestAgreed.height) return undefined;
    const encoded = await requestVotes(this.#deps, peer, rules.bestAgreed.height + 1n, this.#deps.signal);
    const votes = await checkVotes(encoded);
    if (typeof votes === 'string') throw new PeerFault('invalid', `votes: ${votes}`);
    const agreed = new Set<BlockId>();
    for (const link of groupByLink(votes)) if (rules.isQuorum(link)) agreed.add(link[0]!.target.id);
    return entries.findLast(({ header }) => agreed.has(header.id));
  }

  async #connect(blocks: readonly Block[], headerPeer: PeerKey): Promise<void> {
    const verdicts = await this.#deps.chain.receiveBlocks(blocks, 'sync');
    for (const [index, verdict] of verdicts.entries()) {
      if (verdict.kind === 'accept' || verdict.reason === 'block/known') {
        this.#state.onConnected();
        continue;
      }
      const { id } = blocks[index]!.header;
      if (verdict.kind === 'ignore') throw new PeerFault('gone', `block ${id}: ${verdict.reason}`);
      // The body fits its header, so whoever built on this block vouched for it.
      this.#deps.network.penalize(headerPeer, FAULT_POINTS.invalid, verdict.reason);
      throw new PeerFault('invalid', `block ${id}: ${verdict.reason}`);
    }
  }

  /** Votes above what we know to be agreed, until the peer has no more that help, or its turn is over. */
  async fetchVotes(peer: PeerKey): Promise<FetchOutcome> {
    const { agreement, clock, metrics, receiveVotes } = this.#deps;
    const untilMs = clock.monotonicMs() + TURN_MS;
    // From the final height on: finality needs the child's votes too, and those may be of an agreed height.
    let from = agreement.rules.final.height + 1n;
    for (let outcome: FetchOutcome = 'nothing'; ; ) {
      const votes = await requestVotes(this.#deps, peer, from, this.#deps.signal);
      metrics.syncRequests.inc({ protocol: 'votes', result: 'ok' });
      // From here: what others proved while it took its time is not this peer's merit.
      const before = agreement.rules.bestAgreed.height;
      const finalBefore = agreement.rules.final.height;
      const bad = await receiveVotes(votes);
      if (bad !== undefined) throw new PeerFault('invalid', `votes: ${bad}`);
      await agreement.settled();
      const helped = agreement.rules.bestAgreed.height > before || agreement.rules.final.height > finalBefore;
      if (helped) outcome = 'progress';
      // A full answer of what we know says nothing of what is above it: where much is agreed and not final, all is there.
      if (votes.length < MAX_VOTES_PER_REQUEST || (!helped && from > before)) return outcome;
      if (clock.monotonicMs() > untilMs) return 'turn-over';
      from = agreement.rules.bestAgreed.height + 1n;
    }
  }
}
