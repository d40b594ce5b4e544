/**
 * Every gossip message of a world, once: nodes hand each other references, and keep what they know of a message in
 * arrays indexed by its slot.
 *
 * Rationale: with N nodes and D copies each, N · D arrivals per message must cost an array access, not a hash of the
 * content and a string-keyed map. A slot is used again when the message was last new to anybody longer ago than the
 * seen cache's TTL.
 */
import { bytesToHex } from '../crypto/bytes.ts';
import { sha256 } from '../crypto/hash.ts';
import type { TopicKind } from '../node/ports.ts';

/** What travels over a link is told apart by this. */
export const ITEM = 0;

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

  constructor(seq: number, id: string, kind: TopicKind, topic: number, data: Uint8Array, nowMs: number) {
    this.seq = seq;
    this.id = id;
    this.kind = kind;
    this.topic = topic;
    this.data = data;
    this.publishedAtMs = nowMs;
    this.lastNewMs = nowMs;
  }
}

/** Keeps arrays by slot. */
export interface SlotOwner {
  /** The number of slots has doubled, at least: those of `items` move to `seq % slots`. */
  resizeSlots(slots: number, items: Iterable<GossipItem>): void;
  /** The slot is about to belong to another message. */
  clearSlot(slot: number): void;
}

const FIRST_SLOTS = 256;

/** Bound: the messages published within a seen TTL. O(1) per message, but for forgetting: one step per node. */
export class MessageTable {
  readonly #ttlMs: number;
  readonly #byId = new Map<string, GossipItem>();
  readonly #owners = new Set<SlotOwner>();
  #slots = FIRST_SLOTS;
  #nextSeq = 0;

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get slots(): number {
    return this.#slots;
  }

  get size(): number {
    return this.#byId.size;
  }

  addOwner(owner: SlotOwner): void {
    this.#owners.add(owner);
  }

  deleteOwner(owner: SlotOwner): void {
    this.#owners.delete(owner);
  }

  /** The message with that content: the one that is known, or a new one. */
  intern(kind: TopicKind, topic: number, data: Uint8Array, nowMs: number): GossipItem {
    const id = contentId(topic, data);
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    this.#forget(nowMs);
    const oldest = this.#byId.values().next().value;
    if (oldest !== undefined && this.#nextSeq - oldest.seq >= this.#slots) {
      this.#slots *= 2;
      for (const owner of this.#owners) owner.resizeSlots(this.#slots, this.#byId.values());
    }
    const item = new GossipItem(this.#nextSeq, id, kind, topic, data, nowMs);
    this.#nextSeq += 1;
    this.#byId.set(id, item);
    return item;
  }

  /** Oldest first, so that the sequence numbers in use stay within a window. */
  #forget(nowMs: number): void {
    for (const [id, item] of this.#byId) {
      if (item.lastNewMs + this.#ttlMs >= nowMs) return;
      this.#byId.delete(id);
      const slot = item.seq & (this.#slots - 1);
      for (const owner of this.#owners) owner.clearSlot(slot);
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
