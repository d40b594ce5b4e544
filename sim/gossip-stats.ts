/** What gossip cost and how it spread: counts per node and kind, and each first copy as it arrives. */
import { type PeerKey, TOPIC_KINDS, type TopicKind } from '../node/ports.ts';

export const CONTROL_KINDS = ['subscribe', 'graft', 'prune', 'ihave', 'iwant', 'idontwant'] as const;
export type ControlKind = (typeof CONTROL_KINDS)[number];

/** Messages of one topic at one node, or at all. */
export interface KindCounts {
  /** Own messages published. */
  published: number;
  /** Copies handed to a link: to the mesh, by flood publishing, or in answer to IWANT. */
  sent: number;
  /** Of `sent`, what the link lost. */
  lost: number;
  /** Of `sent`, what answered an IWANT. */
  iwantSent: number;
  /** All copies that arrived: `first + duplicates`. */
  received: number;
  first: number;
  duplicates: number;
  /** Copies not sent because the peer had said IDONTWANT. */
  spared: number;
  /** Payload bytes of `sent`: the data alone. */
  payloadBytes: number;
  /** Bytes of `sent` on the wire: data, topic and framing. */
  wireBytes: number;
}

export interface NodeCounts {
  readonly kinds: Readonly<Record<TopicKind, KindCounts>>;
  /** Control messages sent. */
  readonly control: Record<ControlKind, number>;
  controlBytes: number;
}

/** One first copy at one node. */
export interface Delivery {
  /** Hex, 64 characters; the topic is part of what it hashes. */
  readonly messageId: string;
  readonly kind: TopicKind;
  readonly node: PeerKey;
  readonly from: PeerKey;
  /** Virtual milliseconds since the beginning of the world, of the arrival and of the first publication. */
  readonly atMs: number;
  readonly publishedAtMs: number;
  /** 1: straight from the node that published it. */
  readonly hop: number;
  readonly bytes: number;
}

/** All zero; who counts does so in place. */
export function createNodeCounts(): NodeCounts {
  const kind = (): KindCounts => ({
    published: 0,
    sent: 0,
    lost: 0,
    iwantSent: 0,
    received: 0,
    first: 0,
    duplicates: 0,
    spared: 0,
    payloadBytes: 0,
    wireBytes: 0,
  });
  return {
    kinds: Object.fromEntries(TOPIC_KINDS.map((each) => [each, kind()])) as Record<TopicKind, KindCounts>,
    control: { subscribe: 0, graft: 0, prune: 0, ihave: 0, iwant: 0, idontwant: 0 },
    controlBytes: 0,
  };
}

function addCounts(sum: NodeCounts, part: NodeCounts): void {
  for (const kind of TOPIC_KINDS) {
    const to = sum.kinds[kind];
    for (const key of Object.keys(to) as (keyof KindCounts)[]) to[key] += part.kinds[kind][key];
  }
  for (const control of CONTROL_KINDS) sum.control[control] += part.control[control];
  sum.controlBytes += part.controlBytes;
}

/** All nodes' counts, over their restarts, since the beginning or the last {@link GossipStats.reset}. */
export class GossipStats {
  readonly #nodes = new Map<PeerKey, NodeCounts>();

  /** Live: the same object for as long as the world lasts, until a reset. */
  of(node: PeerKey): NodeCounts {
    let counts = this.#nodes.get(node);
    if (counts === undefined) {
      counts = createNodeCounts();
      this.#nodes.set(node, counts);
    }
    return counts;
  }

  nodes(): Iterable<readonly [node: PeerKey, counts: NodeCounts]> {
    return this.#nodes;
  }

  total(): NodeCounts {
    const sum = createNodeCounts();
    for (const counts of this.#nodes.values()) addCounts(sum, counts);
    return sum;
  }

  /** Over those kinds: what was sent, lost and so on. */
  sum(kinds: readonly TopicKind[] = TOPIC_KINDS): KindCounts {
    const total = this.total();
    const sum = createNodeCounts().kinds.tx;
    for (const kind of kinds) {
      for (const key of Object.keys(sum) as (keyof KindCounts)[]) sum[key] += total.kinds[kind][key];
    }
    return sum;
  }

  /**
   * Copies sent over deliveries, where the publisher's own counts as one: what gerbil-simsub's summaries give as
   * `pubsub.message` and `deliver`. A tree would have just under 1.
   */
  sendsPerDelivery(kinds: readonly TopicKind[] = TOPIC_KINDS): number {
    const { sent, first, published } = this.sum(kinds);
    return sent / (first + published);
  }

  /** Copies that arrived over first copies: 1 where nothing came twice. */
  copiesPerDelivery(kinds: readonly TopicKind[] = TOPIC_KINDS): number {
    const { received, first } = this.sum(kinds);
    return received / first;
  }

  /** Counts from here on: what came before was warming up. */
  reset(): void {
    for (const counts of this.#nodes.values()) {
      const fresh = createNodeCounts();
      for (const kind of TOPIC_KINDS) Object.assign(counts.kinds[kind], fresh.kinds[kind]);
      Object.assign(counts.control, fresh.control);
      counts.controlBytes = 0;
    }
  }
}
