/**
 * The sync of the node: swaps status with its peers, serves them, keeps the blocks whose parents are to come, and fetches
 * evidence. What peers claim beyond ours `SyncLoop` asks them for. Also mends what gossip lost: a random peer is asked
 * for its status every few seconds.
 */

import { blockBytes } from '../../chain/codec.ts';
import { ParkedBlocks } from '../../chain/parked-blocks.ts';
import type { Reason } from '../../chain/reasons.ts';
import type { Block, Checkpoint, Vote } from '../../chain/types.ts';
import type { Verdict } from '../../chain/verdict.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Logger, Network, PeerKey, Rng } from '../ports.ts';
import { Conversations } from '../requests/conversations.ts';
import { FAULT_POINTS, PeerFault } from '../requests/exchange.ts';
import { reportFault } from '../requests/report-fault.ts';
import { type Store, StoreError } from '../store/store.ts';
import { BranchFetch } from './branch-fetch.ts';
import { EvidenceFetch } from './evidence-fetch.ts';
import { decodeStatus, encodeStatus } from './messages.ts';
import { OwnStatus } from './own-status.ts';
import { PeerRow } from './peer-row.ts';
import { isSameStatus, type PeerStatus } from './peer-status.ts';
import { STATUS } from './protocols.ts';
import { serveSync } from './serve.ts';
import { SyncLoop } from './sync-loop.ts';

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
/** Parked blocks are given up after this long. */
const PARKED_MAX_AGE_MS = 600_000;
/** A peer of another network is hung up on only then, so that it hears our status and its own log says why. */
const GOODBYE_MS = 500;
const WRONG_NETWORK_POINTS = 100;

/**
 * What the rest of the node knows of sync. `register` and `follow` come before the network starts. No call but `stop`
 * waits for a peer, and none rejects: a peer's fault costs it points, a failure of ours goes to `onFailure`.
 */
export class SyncService {
  readonly #deps: SyncServiceDeps;
  readonly #row: PeerRow;
  readonly #own: OwnStatus;
  readonly #parked = new ParkedBlocks();
  readonly #stopping = new AbortController();
  readonly #branch: BranchFetch;
  readonly #loop: SyncLoop;
  /** Beside the block download, which may take long. */
  readonly #evidence: EvidenceFetch;
  /** With each peer that was asked for its status. */
  readonly #conversations: Conversations;
  readonly #disposers: (() => void)[] = [];
  /** Peers of another network → cancels the hanging up. */
  readonly #foreign = new Map<PeerKey, () => void>();
  /** The own mempool's fingerprint when last a peer that was asked had just what we have; undefined: it had not. */
  #settledMempool: string | undefined;
  /** Exchanges left out since. */
  #leftOut = 0;
  /** Peers whose status has been asked for and has not come. */
  readonly #asking = new Set<PeerKey>();
  #metPeer = false;

  constructor(deps: SyncServiceDeps) {
    this.#deps = deps;
    this.#own = new OwnStatus(deps);
    this.#conversations = new Conversations(deps, STATUS);
    this.#row = new PeerRow(deps.clock, (peer) => this.#isConnected(peer));
    const onFault = (peer: PeerKey, error: unknown, protocol: string): void => this.#onFault(peer, error, protocol);
    const { signal } = this.#stopping;
    const peers = (): readonly PeerKey[] => [...this.#row.statuses.keys()];
    this.#branch = new BranchFetch({ ...deps, peers, onFault, signal });
    this.#loop = new SyncLoop({ ...deps, branch: this.#branch, row: this.#row, onFault, signal });
    this.#evidence = new EvidenceFetch({ ...deps, onFault, signal });
  }

  /** True while blocks that others prove are missing, as `CatchUpState` has it. A peer's mere claim does not count. */
  get isBehind(): boolean {
    return this.#branch.state.isBehind;
  }

  /** True while there may be more than is here, as `CatchUpState` has it. */
  get isCatchingUp(): boolean {
    return this.#branch.state.isCatchingUp;
  }

  /** False while blocks or votes are on their way without which a vote would be wasted, as `CatchUpState` has it. */
  get mayVote(): boolean {
    return this.#branch.state.mayVote;
  }

  /** True where it is behind and no peer has given the blocks so far. */
  get isStuck(): boolean {
    return this.#branch.state.isStuck;
  }

  /** True once a peer of the same network has answered. */
  get hasMetPeer(): boolean {
    return this.#metPeer;
  }

  statusOf(peer: PeerKey): PeerStatus | undefined {
    return this.#row.statuses.get(peer);
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
    await this.#loop.ended();
  }

  onPeerConnected(peer: PeerKey): void {
    this.#exchangeStatus(peer);
  }

  onPeerDisconnected(peer: PeerKey): void {
    this.#conversations.forget(peer);
    this.#row.forget(peer);
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
      const tip = this.#row.statuses.get(peer)?.tip;
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
      const hangUp = (): void => network.penalize(peer, WRONG_NETWORK_POINTS, 'wrong network');
      this.#foreign.set(peer, clock.after(GOODBYE_MS, hangUp));
      logger.warn(
        { peer, theirs: status.chainId, ours: chain.genesis.chainId },
        'wrong network: the peer follows another genesis; disconnecting',
      );
      return;
    }
    this.#metPeer = true;
    this.#row.note(peer, status);
    const own = this.#own.now();
    if (status.offenders !== own.offenders) this.#evidence.onOtherOffenders(peer);
    if (status.mempool !== own.mempool) this.#deps.onOtherMempool(peer);
    if (!isSameStatus(status, own)) this.#settledMempool = undefined;
    this.#loop.wake(peer);
  }

  #isConnected(peer: PeerKey): boolean {
    return this.#deps.network.peers().some((view) => view.peer === peer);
  }

  #connectParked(block: Block, from: string): void {
    this.#deps.chain
      .receiveBlock(block, from)
      .then((verdict: Verdict<Block, Reason>) => {
        if (verdict.kind !== 'reject') return;
        this.#parked.takeBranch(block.header.id);
        this.#deps.network.penalize(from, FAULT_POINTS.invalid, verdict.reason);
      })
      .catch((error: unknown) => this.#onFault(from, error, 'parked'));
  }

  #onFault(peer: PeerKey, error: unknown, protocol: string): void {
    if (this.#stopping.signal.aborted) return;
    if (error instanceof StoreError) return; // counted and logged by the chain service; the next status tries again
    if (error instanceof PeerFault) reportFault(this.#deps, peer, protocol, error);
    else this.#deps.onFailure(error);
  }
}
