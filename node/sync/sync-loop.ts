/**
 * Asks peers for what they claim beyond ours, until nobody has anything left: who is next, how many at once, whose branch
 * goes first, and what a peer's answer means for its place in the row.
 */
import type { BlockId } from '../../chain/types.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ChainService } from '../chain-service.ts';
import type { Clock, PeerKey } from '../ports.ts';
import type { BranchFetch } from './branch-fetch.ts';
import type { FetchOutcome } from './catch-up-state.ts';
import { InFlightRequests, type PeerAnswer } from './in-flight-requests.ts';
import type { PeerRow } from './peer-row.ts';
import type { PeerStatus } from './peer-status.ts';
import type { SyncOrder, SyncPlan } from './plan-sync.ts';
import { goesBefore, type ProvedBranch } from './proved-branch.ts';
import { SyncPlanner } from './sync-planner.ts';

export interface SyncLoopDeps {
  readonly chain: ChainService;
  readonly agreement: AgreementService;
  readonly clock: Clock;
  readonly branch: BranchFetch;
  readonly row: PeerRow;
  /** Hears of a peer that failed a request. */
  readonly onFault: (peer: PeerKey, error: unknown, protocol: string) => void;
  /** Ends it. What was asked of peers before ends by itself, as `branch` has the same signal. */
  readonly signal: AbortSignal;
}

/** A peer that has not answered in full by then is not waited for: the next is asked too. */
const HEDGE_MS = 3000;
/** Peers asked at once. Each may have sent `MAX_PENDING_HEADERS`. */
const MAX_ASKED = 4;
const NOBODY: ReadonlySet<PeerKey> = new Set();

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

/**
 * One run at a time; what comes up meanwhile is looked at after it. Up to `MAX_ASKED` peers are asked at once, bodies
 * of one branch at a time. A peer's fault ends its turn, never the run.
 */
export class SyncLoop {
  readonly #deps: SyncLoopDeps;
  readonly #branch: BranchFetch;
  readonly #row: PeerRow;
  readonly #planner = new SyncPlanner();
  readonly #inFlight: InFlightRequests<Given>;
  /** Waits until the bodies of another branch have come, or that is outdone. Its peer is asked nothing meanwhile. */
  #waiting: WaitingBranch | undefined;
  #isFetchingBodies = false;
  #running: Promise<void> | undefined;
  #runAgain = false;

  constructor(deps: SyncLoopDeps) {
    this.#deps = deps;
    this.#branch = deps.branch;
    this.#row = deps.row;
    this.#inFlight = new InFlightRequests(deps.clock);
  }

  /** Resolves when nobody is being asked any more; the signal has been given. */
  async ended(): Promise<void> {
    await this.#running;
  }

  /**
   * There may be something to ask for: asks at once, or after what is underway.
   *
   * @param came whose status came; undefined: perhaps several
   */
  wake(came?: PeerKey): void {
    if (this.#deps.signal.aborted) return;
    if (this.#running !== undefined) {
      this.#runAgain = true;
      this.#inFlight.wake();
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
        this.wake();
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
    for (let plan = first; !this.#deps.signal.aborted; plan = this.#plan({ order })) {
      const wanted = plan.kind !== 'idle' && this.#inFlight.size < MAX_ASKED ? plan : undefined;
      if (wanted === undefined && this.#inFlight.size === 0) break;
      const waitMs = wanted === undefined ? Number.POSITIVE_INFINITY : nextAtMs - clock.monotonicMs();
      if (wanted !== undefined && waitMs <= 0) {
        if (this.#inFlight.size > 0) order = 'in-turn';
        this.#follow(wanted);
        nextAtMs = clock.monotonicMs() + hedgeMs;
        // A long download need not be a slow one, and who is asked beside it mostly has the same.
        if (this.#isFetchingBodies) hedgeMs *= 2;
        continue;
      }
      const answer = await this.#inFlight.next(waitMs);
      if (answer === undefined) continue;
      const wereBodiesDue = this.#isFetchingBodies && answer.value.what !== 'bodies';
      if (!this.#take(answer)) order = 'in-turn';
      if (wereBodiesDue) continue;
      hedgeMs = HEDGE_MS;
      nextAtMs = clock.monotonicMs() + (this.#inFlight.has(answer.peer) ? HEDGE_MS : 0);
    }
    await this.#inFlight.ended();
  }

  #follow({ peer, kind }: Exclude<SyncPlan, { readonly kind: 'idle' }>): void {
    const status = this.#row.statuses.get(peer)!;
    const given = kind === 'blocks' ? this.#branch.prove(peer, status) : this.#branch.fetchVotes(peer);
    this.#ask(peer, kind === 'blocks' ? 'headers' : 'votes', status, given);
  }

  #ask(peer: PeerKey, what: Given['what'], status: PeerStatus, given: Promise<Given['given']>): void {
    const caught = given.catch((error: unknown): FetchOutcome => {
      this.#deps.onFault(peer, error, what);
      return 'nothing';
    });
    this.#inFlight.ask(
      peer,
      caught.then((each) => ({ what, status, given: each })),
    );
  }

  /** @returns whether the peer gave something, and soon: what it claims is to be believed then */
  #take({ peer, tookMs, value: { what, status, given } }: PeerAnswer<Given>): boolean {
    if (what === 'bodies') this.#isFetchingBodies = false;
    const isBeside = this.#isFetchingBodies;
    const outcome = typeof given === 'string' ? given : this.#queue({ peer, status, branch: given });
    if (outcome === 'progress') this.#row.believe(peer);
    // Where all bodies have come, it is asked for their votes.
    if (what === 'bodies' && outcome === 'progress') this.#ask(peer, 'votes', status, this.#branch.takeVotes(peer));
    if (!isBeside) this.#fetchBodies();
    const isSoon = tookMs < HEDGE_MS || what === 'bodies'; // bodies come from everybody
    if ((outcome === 'progress' || outcome === 'proved') && isSoon && !isBeside) return true;
    if (outcome === 'nothing') this.#row.backOff(peer, status);
    else this.#row.putLast(peer);
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
    return this.#planner.plan(local, this.#row.statuses, this.#leftAlone(), options);
  }

  /** Peers that are not to be asked now: they gave nothing, or are being asked. */
  #leftAlone(): ReadonlySet<PeerKey> {
    const backedOff = this.#row.backedOff();
    if (backedOff.length === 0 && this.#inFlight.size === 0) return NOBODY;
    const waiting = this.#waiting === undefined ? [] : [this.#waiting.peer];
    return new Set([...backedOff, ...this.#inFlight.peers, ...waiting]);
  }
}
