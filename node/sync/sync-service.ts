/**
 * Brings the node to the best tip its peers can prove: swaps status with them, then headers first, bodies from
 * several peers at once, votes and certificates last. Also mends what gossip lost: a random peer is asked for its
 * status every few seconds.
 */

import { blockBytes, decodeEvidence } from '../../chain/codec.ts';
import { ParkedBlocks } from '../../chain/parked-blocks.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { Block, BlockId, Checkpoint, Vote } from '../../chain/types.ts';
import type { Verdict } from '../../chain/verdict.ts';
import type { Address } from '../../crypto/address.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Logger, Network, PeerKey, Rng } from '../ports.ts';
import { Conversations } from '../requests/conversations.ts';
import { FAULT_POINTS, PeerFault } from '../requests/exchange.ts';
import { type Store, StoreError } from '../store/store.ts';
import { type Answer, Askings } from './askings.ts';
import { BranchFetch, type FetchOutcome } from './branch-fetch.ts';
import { decodeStatus, encodeStatus } from './messages.ts';
import { OwnStatus } from './own-status.ts';
import { isSameStatus, type PeerStatus } from './peer-status.ts';
import type { SyncOrder, SyncPlan } from './plan-sync.ts';
import { MAX_EVIDENCE_PER_REQUEST, STATUS } from './protocols.ts';
import { goesBefore, type ProvedBranch } from './proved-branch.ts';
import { requestEvidence } from './requests.ts';
import { serveSync } from './serve.ts';
import { SyncPlanner } from './sync-planner.ts';

export interface SyncServiceDeps {
  readonly network: Network;
  readonly chain: ChainService;
  readonly agreement: AgreementService;
  readonly store: Store;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly events: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly software: string;
  /** Takes votes from a peer's store through the spine. */
  readonly receiveVotes: (votes: readonly Uint8Array[]) => Promise<Reason | undefined>;
  /** Only checks them: electors' votes with good signatures, or what is wrong. */
  readonly checkVotes: (votes: readonly Uint8Array[]) => Promise<readonly Vote[] | Reason>;
  /** The same with evidence. */
  readonly receiveEvidence: (evidence: readonly Uint8Array[]) => Promise<Reason | undefined>;
  /** What the node's mempool holds, as its status says it, and what happens where a peer's says something else. */
  readonly mempoolFingerprint: () => string;
  readonly onOtherMempool: (peer: PeerKey) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Mean time between status exchanges with a random peer, where there is something to find. */
const EXCHANGE_MS = 2000;
/** After one that found nothing, so many are left out: 8 s. A stream for each is most of what an idle node does. */
const QUIET_EXCHANGES = 3;
/** First and longest time that a peer is left alone after it gave nothing for what it claimed. */
const MIN_BACK_OFF_MS = 1000;
const MAX_BACK_OFF_MS = 60_000;
/** A peer that has not answered in full by then is not waited for: the next is asked too. */
const HEDGE_MS = 3000;
/** Peers asked at once. Each may have sent `MAX_PENDING_HEADERS`. */
const MAX_ASKED = 4;
/** Parked blocks are given up after this long. */
const PARKED_MAX_AGE_MS = 600_000;
/** A peer of another network is hung up on only then, so that it hears our status and its own log says why. */
const GOODBYE_MS = 500;
const NOBODY: ReadonlySet<PeerKey> = new Set();
const POINTS = { ...FAULT_POINTS, wrongNetwork: 100 };

/** What came of a peer that was asked, and the status for which it was. */
interface Given {
  readonly what: 'headers' | 'bodies' | 'votes';
  readonly status: PeerStatus;
  readonly given: ProvedBranch | FetchOutcome;
}

/** A branch that a peer has proved. */
interface WaitingBranch {
  readonly peer: PeerKey;
  readonly status: PeerStatus;
  readonly branch: ProvedBranch;
}

export class SyncService {
  readonly #deps: SyncServiceDeps;
  /** Who came first is first; who gave nothing for what it claimed is last. */
  readonly #statuses = new Map<PeerKey, PeerStatus>();
  readonly #own: OwnStatus;
  readonly #planner = new SyncPlanner();
  readonly #parked = new ParkedBlocks();
  readonly #stopping = new AbortController();
  readonly #branch: BranchFetch;
  readonly #askings: Askings<Given>;
  /** Waits until the bodies of another branch have come, or that is outdone. Its peer is asked nothing meanwhile. */
  #waiting: WaitingBranch | undefined;
  #isFetchingBodies = false;
  /** With each peer that was asked for its status. */
  readonly #conversations: Conversations;
  readonly #disposers: (() => void)[] = [];
  /** Peers of another network → cancels the hanging up. */
  readonly #foreign = new Map<PeerKey, () => void>();
  /** Peers that gave nothing for what they claimed. */
  readonly #backOff = new Map<PeerKey, { readonly waitMs: number; readonly untilMs: number }>();
  /** The own mempool's fingerprint when last a peer that was asked had just what we have; undefined: it had not. */
  #settledMempool: string | undefined;
  /** Exchanges left out since. */
  #leftOut = 0;
  /** Peers whose status has been asked for and has not come. */
  readonly #asking = new Set<PeerKey>();
  /** Peers that are being asked for evidence. */
  readonly #evidenceFrom = new Set<PeerKey>();
  #running: Promise<void> | undefined;
  #runAgain = false;
  #metPeer = false;

  constructor(deps: SyncServiceDeps) {
    this.#deps = deps;
    this.#own = new OwnStatus(deps);
    this.#conversations = new Conversations(deps, STATUS);
    this.#askings = new Askings(deps.clock);
    this.#branch = new BranchFetch({
      ...deps,
      peers: () => [...this.#statuses.keys()],
      onFault: (peer, error, protocol) => this.#onFault(peer, error, protocol),
      signal: this.#stopping.signal,
    });
  }

  /** True while blocks that others prove are missing, as `BranchFetch` has it. A peer's mere claim does not count. */
  get isBehind(): boolean {
    return this.#branch.isBehind;
  }

  /** True while there may be more than is here, as `BranchFetch` has it. */
  get isCatchingUp(): boolean {
    return this.#branch.isCatchingUp;
  }

  /** False while blocks or votes are on their way without which a vote would be wasted, as `BranchFetch` has it. */
  get mayVote(): boolean {
    return this.#branch.mayVote;
  }

  /** True where it is behind and no peer has given the blocks so far. */
  get isStuck(): boolean {
    return this.#branch.isStuck;
  }

  /** True once a peer of the same network has answered. */
  get hasMetPeer(): boolean {
    return this.#metPeer;
  }

  statusOf(peer: PeerKey): PeerStatus | undefined {
    return this.#statuses.get(peer);
  }

  /** Registers the answering side; before the network starts. */
  register(): void {
    serveSync({
      ...this.#deps,
      signal: this.#stopping.signal,
      ownStatus: () => this.#own.now(),
      onStatus: (peer, status) => this.#onStatus(peer, status),
    });
  }

  /** Takes the children of blocks that come; before the network starts. */
  follow(): void {
    this.#disposers.push(
      this.#deps.events.on('entry', ({ entry }) => {
        for (const parked of this.#parked.take(entry.header.id)) this.#connectParked(parked.block, parked.from);
      }),
    );
  }

  start(): void {
    this.#scheduleExchange();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    this.#conversations.stop();
    for (const dispose of this.#disposers.splice(0)) dispose();
    for (const cancel of this.#foreign.values()) cancel();
    await this.#running;
  }

  onPeerConnected(peer: PeerKey): void {
    this.#exchangeStatus(peer);
  }

  onPeerDisconnected(peer: PeerKey): void {
    this.#conversations.forget(peer);
    this.#statuses.delete(peer);
    this.#backOff.delete(peer);
    this.#foreign.get(peer)?.();
    this.#foreign.delete(peer);
  }

  /** A block came by gossip whose parent we lack: keep it, and ask its sender what else we lack. */
  onOrphan(block: Block, from: PeerKey): void {
    this.#parked.expire(this.#deps.clock.nowMs(), PARKED_MAX_AGE_MS);
    this.#parked.add(block, from, blockBytes(block), this.#deps.clock.nowMs());
    this.#exchangeStatus(from);
  }

  /** The peer has a block that we could not make use of: ask what else it has. */
  onBlockMissed(from: PeerKey): void {
    this.#exchangeStatus(from);
  }

  /** Connected peers other than `except`, those first whose status says that they have the block. */
  peersWith(block: Checkpoint, except: ReadonlySet<PeerKey>): readonly PeerKey[] {
    const distance = (peer: PeerKey): number => {
      const tip = this.#statuses.get(peer)?.tip;
      return tip?.id === block.id ? 0 : tip !== undefined && tip.height >= block.height ? 1 : 2;
    };
    const peers = this.#deps.network.peers().map(({ peer }) => peer);
    return peers.filter((peer) => !except.has(peer)).sort((a, b) => distance(a) - distance(b));
  }

  #scheduleExchange(): void {
    const { clock, rng, network } = this.#deps;
    const cancel = clock.after(EXCHANGE_MS * (0.5 + rng.unit()), () => {
      this.#disposers.splice(this.#disposers.indexOf(cancel), 1);
      if (this.#isSettled()) this.#leftOut += 1;
      else {
        const peers = network.peers();
        const chosen = peers[Math.floor(rng.unit() * peers.length)];
        if (chosen !== undefined) this.#exchangeStatus(chosen.peer);
      }
      this.#scheduleExchange();
    });
    this.#disposers.push(cancel);
  }

  /**
   * Nothing was lost when we last looked, no transaction has come or gone since, and agreement keeps up with the chain:
   * where it does not, votes or blocks may be on the other side of a cut.
   */
  #isSettled(): boolean {
    const { chain, agreement } = this.#deps;
    const interval = BigInt(chain.genesis.params.checkpointInterval);
    if (chain.tip.header.height - agreement.agreed.height >= interval) return false;
    return this.#leftOut < QUIET_EXCHANGES && this.#settledMempool === this.#deps.mempoolFingerprint();
  }

  #exchangeStatus(peer: PeerKey): void {
    if (this.#asking.has(peer)) return;
    this.#asking.add(peer);
    this.#conversations
      .ask(peer, encodeStatus(this.#own.now()), decodeStatus)
      .then((status) => {
        const own = this.#own.now();
        this.#settledMempool = isSameStatus(status, own) ? own.mempool : undefined;
        this.#leftOut = 0;
        this.#onStatus(peer, status);
      })
      .catch((error: unknown) => {
        this.#settledMempool = undefined;
        this.#onFault(peer, error, 'status');
      })
      .finally(() => this.#asking.delete(peer));
  }

  #onStatus(peer: PeerKey, status: PeerStatus): void {
    const { chain, network, clock, logger } = this.#deps;
    if (!this.#isConnected(peer)) return; // gone meanwhile: what is kept of it would never be cleaned up
    if (status.chainId !== chain.genesis.chainId) {
      if (this.#foreign.has(peer) || this.#stopping.signal.aborted) return;
      const hangUp = (): void => network.penalize(peer, POINTS.wrongNetwork, 'wrong network');
      this.#foreign.set(peer, clock.after(GOODBYE_MS, hangUp));
      logger.warn(
        { peer, theirs: status.chainId, ours: chain.genesis.chainId },
        'wrong network: the peer follows another genesis; disconnecting',
      );
      return;
    }
    this.#metPeer = true;
    this.#statuses.set(peer, status);
    const own = this.#own.now();
    if (status.offenders !== own.offenders) this.#fetchEvidence(peer);
    if (status.mempool !== own.mempool) this.#deps.onOtherMempool(peer);
    if (!isSameStatus(status, own)) this.#settledMempool = undefined;
    this.#wake(peer);
  }

  /** @param came whose status came; undefined: perhaps several */
  #wake(came?: PeerKey): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#running !== undefined) {
      this.#runAgain = true;
      this.#askings.wake();
      return;
    }
    const plan = this.#plan({ came });
    if (plan.kind === 'idle') {
      this.#branch.end();
      return;
    }
    this.#running = this.#run(plan).finally(() => {
      this.#running = undefined;
      this.#branch.end();
      if (this.#runAgain) {
        this.#runAgain = false;
        this.#wake();
      }
    });
  }

  /**
   * Follows a plan, and others until there is nothing left to do. Who takes long is not waited for: the next is asked
   * beside it (as RFC 8305 tries addresses). A peer that claims more than it gives is left alone for a while, longer each
   * time, so that it cannot hold up what others have to offer. Nor can those that come after it: from the first that gave
   * nothing or took long on, the turn decides and no claim.
   */
  async #run(first: SyncPlan): Promise<void> {
    const { clock } = this.#deps;
    let order: SyncOrder = 'best-claim';
    let hedgeMs = HEDGE_MS;
    let nextAtMs = clock.monotonicMs();
    for (let plan = first; !this.#stopping.signal.aborted; plan = this.#plan({ order })) {
      const wanted = plan.kind !== 'idle' && this.#askings.size < MAX_ASKED ? plan : undefined;
      if (wanted === undefined && this.#askings.size === 0) break;
      const waitMs = wanted === undefined ? Number.POSITIVE_INFINITY : nextAtMs - clock.monotonicMs();
      if (wanted !== undefined && waitMs <= 0) {
        if (this.#askings.size > 0) order = 'in-turn';
        this.#follow(wanted);
        nextAtMs = clock.monotonicMs() + hedgeMs;
        // A long download need not be a slow one, and who is asked beside it mostly has the same.
        if (this.#isFetchingBodies) hedgeMs *= 2;
        continue;
      }
      const answer = await this.#askings.next(waitMs);
      if (answer === undefined) continue;
      const wereBodiesDue = this.#isFetchingBodies && answer.value.what !== 'bodies';
      if (!this.#take(answer)) order = 'in-turn';
      if (wereBodiesDue) continue;
      hedgeMs = HEDGE_MS;
      nextAtMs = clock.monotonicMs() + (this.#askings.has(answer.peer) ? HEDGE_MS : 0);
    }
    await this.#askings.ended();
  }

  #follow({ peer, kind }: Exclude<SyncPlan, { readonly kind: 'idle' }>): void {
    const status = this.#statuses.get(peer)!;
    const given = kind === 'blocks' ? this.#branch.prove(peer, status) : this.#branch.fetchVotes(peer);
    this.#ask(peer, kind === 'blocks' ? 'headers' : 'votes', status, given);
  }

  #ask(peer: PeerKey, what: Given['what'], status: PeerStatus, given: Promise<Given['given']>): void {
    const caught = given.catch((error: unknown): FetchOutcome => {
      this.#onFault(peer, error, what);
      return 'nothing';
    });
    this.#askings.ask(
      peer,
      caught.then((each) => ({ what, status, given: each })),
    );
  }

  /** @returns whether the peer gave something, and soon: what it claims is to be believed then */
  #take({ peer, tookMs, value: { what, status, given } }: Answer<Given>): boolean {
    if (what === 'bodies') this.#isFetchingBodies = false;
    const isBeside = this.#isFetchingBodies;
    const outcome = typeof given === 'string' ? given : this.#queue({ peer, status, branch: given });
    if (outcome === 'progress') this.#backOff.delete(peer);
    // Where all bodies have come, it is asked for their votes.
    if (what === 'bodies' && outcome === 'progress') this.#ask(peer, 'votes', status, this.#branch.takeVotes(peer));
    if (!isBeside) this.#fetchBodies();
    const isSoon = tookMs < HEDGE_MS || what === 'bodies'; // bodies come from everybody
    if ((outcome === 'progress' || outcome === 'proved') && isSoon && !isBeside) return true;
    const said = this.#statuses.get(peer);
    this.#statuses.delete(peer); // and to the end of the row
    if (outcome === 'nothing') this.#backOffFrom(peer);
    if (said !== undefined && (said !== status || outcome !== 'nothing')) this.#statuses.set(peer, said);
    return false;
  }

  /** Keeps a branch until its bodies can be asked for; where two are to be kept, the better one. */
  #queue(found: WaitingBranch): 'proved' | 'turn-over' {
    const kept = this.#waiting;
    const isBetter = kept === undefined || goesBefore(found.branch, kept.branch);
    if (isBetter) this.#waiting = found;
    const dropped = isBetter ? kept : found;
    if (dropped !== undefined) this.#branch.drop(dropped.branch);
    return isBetter ? 'proved' : 'turn-over';
  }

  /** Of the branch that waits. */
  #fetchBodies(): void {
    if (this.#waiting === undefined) return;
    const { peer, status, branch } = this.#waiting;
    this.#waiting = undefined;
    this.#isFetchingBodies = true;
    this.#ask(peer, 'bodies', status, this.#branch.takeBodies(peer, status, branch));
  }

  #plan(options: { readonly came?: PeerKey | undefined; readonly order?: SyncOrder }): SyncPlan {
    const { chain, agreement } = this.#deps;
    const { agreed, final } = agreement;
    const { tree, tip } = chain;
    const knows = (id: BlockId): boolean => tree.has(id);
    const local = { totalWork: tip.totalWork, agreed, final, knows, blocks: tree.size };
    return this.#planner.plan(local, this.#statuses, this.#leftAlone(), options);
  }

  /** Peers that are not to be asked now: they gave nothing, or are being asked. */
  #leftAlone(): ReadonlySet<PeerKey> {
    if (this.#backOff.size === 0 && this.#askings.size === 0) return NOBODY;
    const nowMs = this.#deps.clock.monotonicMs();
    const backedOff = [...this.#backOff].filter(([, { untilMs }]) => untilMs > nowMs).map(([peer]) => peer);
    const waiting = this.#waiting === undefined ? [] : [this.#waiting.peer];
    return new Set([...backedOff, ...this.#askings.peers, ...waiting]);
  }

  #isConnected(peer: PeerKey): boolean {
    return this.#deps.network.peers().some((view) => view.peer === peer);
  }

  #backOffFrom(peer: PeerKey): void {
    if (!this.#isConnected(peer)) return;
    const waitMs = Math.min(MAX_BACK_OFF_MS, 2 * (this.#backOff.get(peer)?.waitMs ?? MIN_BACK_OFF_MS / 2));
    this.#backOff.set(peer, { waitMs, untilMs: this.#deps.clock.monotonicMs() + waitMs });
  }

  /** All of a peer's evidence: it knows of other offenders than we do. Beside the block download, which may take long. */
  #fetchEvidence(peer: PeerKey): void {
    if (this.#evidenceFrom.has(peer) || this.#stopping.signal.aborted) return;
    this.#evidenceFrom.add(peer);
    this.#fetchEvidencePages(peer)
      .catch((error: unknown) => this.#onFault(peer, error, 'evidence'))
      .finally(() => this.#evidenceFrom.delete(peer));
  }

  async #fetchEvidencePages(peer: PeerKey): Promise<void> {
    const { metrics, receiveEvidence } = this.#deps;
    let after: Address | undefined;
    for (;;) {
      const page = await requestEvidence(this.#deps, peer, after, this.#stopping.signal);
      metrics.syncRequests.inc({ protocol: 'evidence', result: 'ok' });
      const bad = await receiveEvidence(page);
      if (bad !== undefined) throw new PeerFault('invalid', `evidence: ${bad}`);
      const last = page.at(-1);
      if (last === undefined || page.length < MAX_EVIDENCE_PER_REQUEST) return;
      const decoded = decodeEvidence(last);
      // Addresses rise, so the pages end.
      if (!decoded.ok || decoded.value.voter <= (after ?? '')) throw new PeerFault('invalid', 'evidence: out of order');
      after = decoded.value.voter;
    }
  }

  #connectParked(block: Block, from: string): void {
    this.#deps.chain
      .receiveBlock(block, from)
      .then((verdict: Verdict<Block, Reason>) => {
        if (verdict.kind !== 'reject') return;
        this.#parked.takeBranch(block.header.id);
        this.#deps.network.penalize(from, POINTS.invalid, verdict.reason);
      })
      .catch((error: unknown) => this.#onFault(from, error, 'parked'));
  }

  #onFault(peer: PeerKey, error: unknown, protocol: string): void {
    const { metrics, network, logger, onFailure } = this.#deps;
    if (this.#stopping.signal.aborted) return;
    if (error instanceof StoreError) return; // counted and logged by the chain service; the next status tries again
    if (!(error instanceof PeerFault)) {
      onFailure(error);
      return;
    }
    metrics.syncRequests.inc({ protocol, result: error.kind });
    logger.debug({ peer, protocol, fault: error.kind, detail: error.message }, 'peer failed a request');
    if (POINTS[error.kind] > 0) network.penalize(peer, POINTS[error.kind], error.message);
  }
}
