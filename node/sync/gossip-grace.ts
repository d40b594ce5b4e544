/**
 * Blocks of which a peer's status tells before gossip has brought them. Gossip brings a new block to everybody, most of it
 * known, and takes longest when the block is large and all are busy with it: who were sent it in full as well would be
 * busier still.
 */
import { nextBits } from '../../chain/asert.ts';
import type { Genesis } from '../../chain/genesis.ts';
import { bitsToTarget, workOfTarget } from '../../chain/target.ts';
import type { BlockId, ChainEntry } from '../../chain/types.ts';
import type { BlockOrigin } from '../events.ts';
import type { Clock } from '../ports.ts';
import type { PeerStatus } from './peer-status.ts';

/** A single block that was first heard of so long ago is asked for. */
export const GOSSIP_GRACE_MS = 2_000;
/** Blocks of which it is remembered when they were first heard of: a claim costs nothing. */
export const HEARD_KEPT = 64;

/** What every block on a tip has, whoever makes it. */
export interface NextBlock {
  readonly height: bigint;
  readonly totalWork: bigint;
}

/** What a block on the tip will have: its height (BLK-4), and by its bits (BLK-5) the work up to it. */
export function nextBlockOn(tip: ChainEntry, { params, entry }: Genesis): NextBlock {
  const position = { height: tip.header.height, effectiveTimeMs: tip.effectiveTimeMs };
  const target = bitsToTarget(nextBits(params, position, entry.effectiveTimeMs))!;
  return { height: tip.header.height + 1n, totalWork: tip.totalWork + workOfTarget(target) };
}

/**
 * Specification: the next block on our tip is left to gossip for `GOSSIP_GRACE_MS` since it was first heard of, where gossip
 * has brought the last block that came from others and has not been seen to fail since. Who claims another height or other
 * work is asked at once. Holds nothing up but the question for that block.
 */
export class GossipGrace {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly #onOver: () => void;
  /** In the order in which they were heard of. */
  readonly #heardAtMs = new Map<BlockId, number>();
  #isTrusted = false;
  #isStopped = false;
  /** The first block that is waited for. */
  #waiting: { readonly untilMs: number; readonly cancel: () => void } | undefined;

  /** @param onOver a block is left to gossip no longer: whoever asks looks again */
  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** A block has come to be on our chain. */
  onBlock(from: BlockOrigin): void {
    if (from === 'mined' || from === 'reorg') return; // says nothing of gossip
    this.#isTrusted = from !== 'sync';
  }

  /** Gossip told of a block that could not be made use of, and may not do so again. */
  onMissed(): void {
    this.#isTrusted = false;
    if (this.#waiting === undefined) return;
    this.#endWait();
    this.#onOver();
  }

  /** A peer says so. */
  hear(status: PeerStatus, next: NextBlock): void {
    const { id } = status.tip;
    if (!isNext(status, next) || this.#heardAtMs.has(id)) return;
    const nowMs = this.#clock.monotonicMs();
    if (this.#heardAtMs.size >= HEARD_KEPT) {
      const [oldest, heardAtMs] = this.#heardAtMs.entries().next().value!;
      // To forget one that is waited for would have its time begin anew: then rather this one is asked for at once.
      if (nowMs - heardAtMs < GOSSIP_GRACE_MS) return;
      this.#heardAtMs.delete(oldest);
    }
    this.#heardAtMs.set(id, nowMs);
  }

  /** Whether a peer with this status is not to be asked for its tip yet. `onOver` is called when it may be. */
  covers(status: PeerStatus, next: NextBlock): boolean {
    if (!this.#isTrusted || this.#isStopped || !isNext(status, next)) return false;
    const heardAtMs = this.#heardAtMs.get(status.tip.id);
    if (heardAtMs === undefined) return false;
    const untilMs = heardAtMs + GOSSIP_GRACE_MS;
    if (untilMs <= this.#clock.monotonicMs()) return false;
    this.#waitUntil(untilMs);
    return true;
  }

  /** From here on nothing is left to gossip, and nobody told. */
  stop(): void {
    this.#isStopped = true;
    this.#endWait();
  }

  #waitUntil(untilMs: number): void {
    if (this.#waiting !== undefined && this.#waiting.untilMs <= untilMs) return;
    this.#endWait();
    const cancel = this.#clock.after(untilMs - this.#clock.monotonicMs(), () => {
      this.#waiting = undefined;
      this.#onOver();
    });
    this.#waiting = { untilMs, cancel };
  }

  #endWait(): void {
    this.#waiting?.cancel();
    this.#waiting = undefined;
  }
}

function isNext({ tip, totalWork }: PeerStatus, next: NextBlock): boolean {
  return tip.height === next.height && totalWork === next.totalWork;
}
