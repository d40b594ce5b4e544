/**
 * Blocks of which a peer's status tells before gossip has brought them. Gossip brings a new block to everybody, most of it
 * known, and takes longest when the block is large and all are busy with it: who were sent it in full as well would be
 * busier still.
 */
import type { BlockId } from '../../chain/types.ts';
import type { BlockOrigin } from '../events.ts';
import { Lru } from '../lru.ts';
import type { Clock } from '../ports.ts';
import type { PeerStatus } from './peer-status.ts';

/** A single block that was first heard of so long ago is asked for. */
export const GOSSIP_GRACE_MS = 2_000;
/** Blocks of which it is remembered when they were first heard of: a claim costs nothing. */
const HEARD_KEPT = 64;

/**
 * Specification: the next block on our tip is left to gossip for `GOSSIP_GRACE_MS` since it was first heard of, where gossip
 * has brought the last block that came from others and has not been seen to fail since. Who claims more than that one block
 * is asked at once. Holds nothing up but the question for that block.
 */
export class GossipGrace {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly #onOver: () => void;
  readonly #heardAtMs = new Lru<BlockId, number>(HEARD_KEPT);
  #isTrusted = false;
  #cancel: (() => void) | undefined;

  /** @param onOver a block has been left to gossip for long enough: whoever asks looks again */
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
  }

  /** A peer says so. */
  hear({ tip }: PeerStatus, ownHeight: bigint): void {
    if (tip.height !== ownHeight + 1n || this.#heardAtMs.get(tip.id) !== undefined) return;
    this.#heardAtMs.set(tip.id, this.#clock.monotonicMs());
  }

  /** Whether a peer with this status is not to be asked for its tip yet. `onOver` is called when it may be. */
  covers({ tip }: PeerStatus, ownHeight: bigint): boolean {
    if (!this.#isTrusted || tip.height !== ownHeight + 1n) return false;
    const heardAtMs = this.#heardAtMs.get(tip.id);
    if (heardAtMs === undefined) return false;
    const leftMs = heardAtMs + GOSSIP_GRACE_MS - this.#clock.monotonicMs();
    if (leftMs <= 0) return false;
    this.#cancel ??= this.#clock.after(leftMs, () => {
      this.#cancel = undefined;
      this.#onOver();
    });
    return true;
  }

  /** Nothing will be told any more. */
  stop(): void {
    this.#cancel?.();
  }
}
