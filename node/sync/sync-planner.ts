/** Plans as `planSync` does over all peers, and looks at no more of them than it takes. */
import type { PeerKey } from '../ports.ts';
import type { LocalStatus, PeerStatus } from './peer-status.ts';
import { planSync, type SyncOrder, type SyncPlan } from './plan-sync.ts';

/** The own chain at one moment. */
export interface PlannedChain extends LocalStatus {
  /** How many blocks it knows: they are never forgotten, so as many are the same. */
  readonly blocks: number;
}

/**
 * Statuses come several times a second, and mostly with nothing new. Where no peer had anything for the chain as it is,
 * what came since is looked at alone: whether a peer has something for us does not hang on what others claim, so the
 * others still have nothing.
 *
 * Specification: the plan is that of `planSync` over all peers that are not left alone. A peer whose status has changed
 * is named at the next plan, or that one names nobody. Complexity: O(1) at rest, O(peers) otherwise.
 */
export class SyncPlanner {
  /** The chain for which no peer had anything, none of them left alone. */
  #idleFor: PlannedChain | undefined;

  /**
   * @param leftAlone peers that are not to be asked now
   * @param options.came the one peer whose status is another since the last plan; undefined: several, or who knows
   * @param options.order as `planSync` has it
   */
  plan(
    local: PlannedChain,
    statuses: ReadonlyMap<PeerKey, PeerStatus>,
    leftAlone: ReadonlySet<PeerKey>,
    { came, order }: { readonly came?: PeerKey | undefined; readonly order?: SyncOrder } = {},
  ): SyncPlan {
    const status = came === undefined ? undefined : statuses.get(came);
    let usable = statuses;
    if (leftAlone.size > 0) usable = new Map([...statuses].filter(([peer]) => !leftAlone.has(peer)));
    else if (came !== undefined && status !== undefined && this.#isIdleFor(local)) usable = new Map([[came, status]]);
    const plan = planSync(local, usable, order);
    this.#idleFor = plan.kind === 'idle' && leftAlone.size === 0 ? local : undefined;
    return plan;
  }

  #isIdleFor(local: PlannedChain): boolean {
    const idle = this.#idleFor;
    return (
      idle !== undefined &&
      idle.blocks === local.blocks &&
      idle.totalWork === local.totalWork &&
      idle.agreed === local.agreed &&
      idle.final === local.final
    );
  }
}
