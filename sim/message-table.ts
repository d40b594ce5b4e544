/**
 * Every gossip message of a world, once: nodes hand each other references. What each node knows of a message stands
 * with the message, in arrays indexed by the node's place.
 *
 * Rationale: with N nodes and D copies each, N · D arrivals per message must cost an array access, not a hash of the
 * content and a string-keyed map. And as a message spreads within a moment, what all nodes know of it is near the
 * processor; what one node knows of all messages is not. A message is forgotten when it was last new to anybody longer
 * ago than the seen cache's TTL.
 */
import { bytesToHex } from '../crypto/bytes.ts';
import { sha256 } from '../crypto/hash.ts';
import type { TopicKind } from '../node/ports.ts';

/** What travels over a link is told apart by this. */
export const ITEM = 0;

const STATE_BITS = 2;
const STATE_MASK = (1 << STATE_BITS) - 1;
const MAX_HOPS = 255;

/**
 * Made by `MessageTable` alone, so that there is one for each content. `data` is not copied: nobody may write to it.
 */
export class GossipItem {
  readonly tag = ITEM;
  readonly seq: number;
  readonly id: string;
  readonly kind: TopicKind;
  /** Index of the kind's topic. */
  readonly topic: number;
  readonly data: Uint8Array;
  readonly publishedAtMs: number;
  /** When it was new to a node for the last time. */
  lastNewMs: number;
  /** Two words a place, beside each other so that one look at memory brings both: when it was seen, and the rest. */
  #known: Uint32Array;

  constructor(of: {
    readonly seq: number;
    readonly id: string;
    readonly kind: TopicKind;
    readonly topic: number;
    readonly data: Uint8Array;
    readonly nowMs: number;
    readonly places: number;
  }) {
    this.seq = of.seq;
    this.id = of.id;
    this.kind = of.kind;
    this.topic = of.topic;
    this.data = of.data;
    this.publishedAtMs = of.nowMs;
    this.lastNewMs = of.nowMs;
    this.#known = new Uint32Array(2 * of.places);
  }

  /** The whole millisecond after the one in which the node at that place saw it; 0: never. */
  seenAt(place: number): number {
    return this.#known[2 * place]!;
  }

  /** What that node knows of it, as its router has it; 0 to 3. */
  state(place: number): number {
    return this.#known[2 * place + 1]! & STATE_MASK;
  }

  /** Steps from the publisher to that node, `MAX_HOPS` at most. */
  hop(place: number): number {
    return this.#known[2 * place + 1]! >>> STATE_BITS;
  }

  see(place: number, seenAt: number, state: number, hop: number): void {
    this.#known[2 * place] = seenAt;
    this.#known[2 * place + 1] = (Math.min(hop, MAX_HOPS) << STATE_BITS) | state;
  }

  setState(place: number, state: number): void {
    this.#known[2 * place + 1] = (this.hop(place) << STATE_BITS) | state;
  }

  growTo(places: number): void {
    const known = this.#known;
    this.#known = new Uint32Array(2 * places);
    this.#known.set(known);
  }

  forget(place: number): void {
    this.see(place, 0, 0, 0);
  }
}

const FIRST_PLACES = 64;

/**
 * Bound: the messages published since the oldest that some node has seen within a seen TTL, a few bytes of each per node.
 * O(1) per message.
 */
export class MessageTable {
  readonly #ttlMs: number;
  readonly #byId = new Map<string, GossipItem>();
  readonly #freePlaces: number[] = [];
  #places = FIRST_PLACES;
  #usedPlaces = 0;
  #nextSeq = 0;

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** A place in what each message keeps of each node, where nothing is known yet. */
  takePlace(): number {
    const free = this.#freePlaces.pop();
    if (free !== undefined) return free;
    if (this.#usedPlaces === this.#places) {
      this.#places *= 2;
      for (const item of this.#byId.values()) item.growTo(this.#places);
    }
    this.#usedPlaces += 1;
    return this.#usedPlaces - 1;
  }

  /** The node is gone, and knows nothing when it comes back. */
  givePlaceBack(place: number): void {
    for (const item of this.#byId.values()) item.forget(place);
    this.#freePlaces.push(place);
  }

  /** The message with that content: the one that is known, or a new one. */
  intern(kind: TopicKind, topic: number, data: Uint8Array, nowMs: number): GossipItem {
    const id = contentId(topic, data);
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    this.#forget(nowMs);
    const item = new GossipItem({ seq: this.#nextSeq, id, kind, topic, data, nowMs, places: this.#places });
    this.#nextSeq += 1;
    this.#byId.set(id, item);
    return item;
  }

  /** Oldest first. */
  #forget(nowMs: number): void {
    for (const [id, item] of this.#byId) {
      if (item.lastNewMs + this.#ttlMs >= nowMs) return;
      this.#byId.delete(id);
    }
  }
}

/** As in the real network the topic is part of what identifies a message. Hex. */
function contentId(topic: number, data: Uint8Array): string {
  const input = new Uint8Array(data.byteLength + 1);
  input[0] = topic;
  input.set(data, 1);
  return bytesToHex(sha256(input));
}
