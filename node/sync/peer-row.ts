/** What peers said of their chains, in the order in which they are asked, and who is left alone for now. */
import type { Clock, PeerKey } from '../ports.ts';
import type { PeerStatus } from './peer-status.ts';

/** First and longest time that a peer is left alone after it gave nothing for what it claimed. */
const MIN_BACK_OFF_MS = 1000;
const MAX_BACK_OFF_MS = 60_000;

/** Bounded by the connected peers: whoever disconnects is forgotten, and nobody else is noted. */
export class PeerRow {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #isConnected: (peer: PeerKey) => boolean;
  /** Who came first is first; who gave nothing for what it claimed is last. */
  readonly #statuses = new Map<PeerKey, PeerStatus>();
  /** Peers that gave nothing for what they claimed. */
  readonly #backOff = new Map<PeerKey, { readonly waitMs: number; readonly untilMs: number }>();

  constructor(clock: Pick<Clock, 'monotonicMs'>, isConnected: (peer: PeerKey) => boolean) {
    this.#clock = clock;
    this.#isConnected = isConnected;
  }

  /** In the order of the row. */
  get statuses(): ReadonlyMap<PeerKey, PeerStatus> {
    return this.#statuses;
  }

  /** The peer says so now. It keeps its place; who has none goes to the end. */
  note(peer: PeerKey, status: PeerStatus): void {
    this.#statuses.set(peer, status);
  }

  forget(peer: PeerKey): void {
    this.#statuses.delete(peer);
    this.#backOff.delete(peer);
  }

  /** It gave something: the next time that it gives nothing, the wait begins anew. */
  believe(peer: PeerKey): void {
    this.#backOff.delete(peer);
  }

  /** To the end of the row, with what it said last. */
  putLast(peer: PeerKey): void {
    const status = this.#statuses.get(peer);
    if (status === undefined) return;
    this.#statuses.delete(peer);
    this.#statuses.set(peer, status);
  }

  /**
   * It gave nothing for `asked`: left alone for a while, longer each time. To the end of the row, if it has said
   * something else since; until it says something, if not.
   */
  backOff(peer: PeerKey, asked: PeerStatus): void {
    if (this.#statuses.get(peer) === asked) this.#statuses.delete(peer);
    else this.putLast(peer);
    if (!this.#isConnected(peer)) return;
    const waitMs = Math.min(MAX_BACK_OFF_MS, 2 * (this.#backOff.get(peer)?.waitMs ?? MIN_BACK_OFF_MS / 2));
    this.#backOff.set(peer, { waitMs, untilMs: this.#clock.monotonicMs() + waitMs });
  }

  /** Those whose wait is not over. */
  backedOff(): readonly PeerKey[] {
    if (this.#backOff.size === 0) return [];
    const nowMs = this.#clock.monotonicMs();
    return [...this.#backOff].filter(([, { untilMs }]) => untilMs > nowMs).map(([peer]) => peer);
  }
}
