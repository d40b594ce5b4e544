/**
 * Messages waiting to be checked: one bounded first-in-first-out lane per kind of message. Blocks, evidence and votes
 * go ahead of transactions, so that a flood of transactions cannot hold up agreement; evidence goes ahead of votes,
 * which it may make void. A full lane refuses the newcomer: what waits is older and as likely to be good, and the
 * sender's copies come by other peers.
 */
import { UsageCounter } from '../../chain/usage-counter.ts';
import type { TopicKind } from '../ports.ts';

/** The topics, and the API's transactions: the node's own users do not queue behind the network's. */
export type Lane = TopicKind | 'api';

/**
 * Messages at most, by lane, in order of service. A compact block is up to 34 KB, evidence 421 bytes, a vote 210, a
 * transaction of the API 432 at most, a batch of them up to 64 KiB: see `TX_LANE_BYTES`.
 */
export const LANE_LIMITS: Readonly<Record<Lane, number>> = {
  block: 32,
  evidence: 256,
  vote: 4096,
  api: 4096,
  tx: 8192,
};
export const LANES = Object.keys(LANE_LIMITS) as readonly Lane[];
/** Bytes of batches at most, and of one peer's: it takes eight peers to fill the lane. */
export const TX_LANE_BYTES = 8 * 1024 * 1024;
export const TX_LANE_BYTES_PER_PEER = 1024 * 1024;
/** Blocks of one peer: it takes four to keep the others' out, and garbage in all of a share has its sender banned. */
export const BLOCKS_PER_PEER = 10;
/** What is served in one turn has at most so many bytes, or is one message: some milliseconds of decoding. */
const TURN_BYTES = 32 * 1024;

export interface Queued {
  readonly bytes: { readonly length: number };
  /** Whose share it takes. */
  readonly from: string;
}

interface LaneQueue<T> {
  /** Of `PriorityQueue`'s `#busy`; the lanes' bits are in order of service, from the lowest. */
  readonly bit: number;
  /** What waits, from `head` on. */
  items: T[];
  head: number;
}

/**
 * O(1) for each message, amortised, but for a peer's share of the lane of blocks, which is counted anew. It does not
 * know what is being checked: `take` is told how many of each lane may go.
 */
export class PriorityQueue<T extends Queued> {
  readonly #lanes = Object.fromEntries(
    LANES.map((kind, index): [Lane, LaneQueue<T>] => [kind, { bit: 1 << index, items: [], head: 0 }]),
  ) as Readonly<Record<Lane, LaneQueue<T>>>;
  /** The bits of the lanes in which anything waits: the others need not be looked at. */
  #busy = 0;
  #txBytes = 0;
  /** By peer. None while all together fit into one peer's share, as nearly always; once made, kept until no bytes wait. */
  #txBytesOf: UsageCounter<string> | undefined;

  length(kind: Lane): number {
    return lengthOf(this.#lanes[kind]);
  }

  get isEmpty(): boolean {
    return this.#busy === 0;
  }

  /** False, and nothing kept, when the lane is full, or a peer's share of it. */
  push(kind: Lane, item: T): boolean {
    const lane = this.#lanes[kind];
    if (lengthOf(lane) >= LANE_LIMITS[kind]) return false;
    if (kind === 'block') {
      const ofPeer = lane.items.filter((each, at) => at >= lane.head && each.from === item.from);
      if (ofPeer.length >= BLOCKS_PER_PEER) return false;
    }
    if (kind === 'tx' && !this.#takeRoom(lane, item)) return false;
    // Pushed to an empty list it would take the room of 17, and it is mostly alone when its turn comes.
    if (lane.items.length === 0) lane.items = [item];
    else lane.items.push(item);
    this.#busy |= lane.bit;
    return true;
  }

  /**
   * Up to `max` items, of which the second and later ones fit into `TURN_BYTES`, of the most urgent lane that has any;
   * a lane of which none may be taken is passed over.
   */
  take(max: Readonly<Record<Lane, number>>): { readonly kind: Lane; readonly items: T[] } | undefined {
    for (let index = 0; index < LANES.length; index++) {
      if ((this.#busy & (1 << index)) === 0) continue;
      const kind = LANES[index]!;
      const most = max[kind];
      if (most === 0) continue;
      const lane = this.#lanes[kind];
      const { head } = lane;
      let end = head;
      for (let bytes = 0; end < lane.items.length && end - head < most; end++) {
        bytes += lane.items[end]!.bytes.length;
        if (bytes > TURN_BYTES && end > head) break;
      }
      const items = cut(lane, end);
      if (lengthOf(lane) === 0) this.#busy &= ~lane.bit;
      if (kind === 'tx') this.#giveRoomBack(items);
      return { kind, items };
    }
    return undefined;
  }

  /** All that waits, most urgent first; nothing does afterwards. */
  drain(): T[] {
    const items: T[] = [];
    for (let batch = this.take(LANE_LIMITS); batch !== undefined; batch = this.take(LANE_LIMITS)) {
      items.push(...batch.items);
    }
    return items;
  }

  #takeRoom(lane: LaneQueue<T>, { from, bytes: { length } }: T): boolean {
    const all = this.#txBytes + length;
    if (all > TX_LANE_BYTES) return false;
    if (all > TX_LANE_BYTES_PER_PEER) {
      this.#txBytesOf ??= bytesByPeer(lane);
      if (this.#txBytesOf.of(from) + length > TX_LANE_BYTES_PER_PEER) return false;
    }
    this.#txBytesOf?.change(from, length);
    this.#txBytes = all;
    return true;
  }

  #giveRoomBack(items: readonly T[]): void {
    for (const { from, bytes } of items) {
      this.#txBytes -= bytes.length;
      this.#txBytesOf?.change(from, -bytes.length);
    }
    if (this.#txBytes === 0) this.#txBytesOf = undefined;
  }
}

function bytesByPeer<T extends Queued>({ items, head }: LaneQueue<T>): UsageCounter<string> {
  const bytesOf = new UsageCounter<string>();
  for (let at = head; at < items.length; at++) bytesOf.change(items[at]!.from, items[at]!.bytes.length);
  return bytesOf;
}

function lengthOf({ items, head }: LaneQueue<unknown>): number {
  return items.length - head;
}

/** Takes what is waiting in the lane before `end`. */
function cut<T>(lane: LaneQueue<T>, end: number): T[] {
  const { items, head } = lane;
  if (head === 0 && end === items.length) {
    lane.items = [];
    return items;
  }
  const taken = items.slice(head, end);
  lane.head = end;
  // What was taken is let go of by the half, which costs O(1) each.
  if (end * 2 > items.length) {
    items.splice(0, end);
    lane.head = 0;
  }
  return taken;
}
