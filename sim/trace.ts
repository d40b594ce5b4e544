/** What happened, line by line, in a running hash: two runs are the same if their hashes are. */
import { createHash, type Hash } from 'node:crypto';
import type { Clock } from '../node/ports.ts';

/**
 * Lines are hashed in pieces of about this many characters: one call of the hash costs more than a line, and a line kept
 * by itself outlives its time in the young generation.
 */
const PIECE = 65_536;
/** Latest pieces kept for a look at what differs: some 30,000 lines. */
const KEPT_PIECES = 40;

/**
 * Has no clock of its own and no randomness: what is added, in which order and at what virtual time, is all that the
 * hash says.
 */
export class Trace {
  /** Hears each entry as it is added. */
  onEntry: (node: string, kind: string, detail: string) => void = () => {};
  readonly #clock: Clock;
  readonly #hash: Hash = createHash('sha256');
  readonly #pieces: string[] = [];
  #count = 0;
  #piece = '';
  #timeMs = -1;
  #time = '';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(node: string, kind: string, detail: string): void {
    this.onEntry(node, kind, detail);
    const nowMs = this.#clock.monotonicMs();
    if (nowMs !== this.#timeMs) {
      this.#timeMs = nowMs;
      this.#time = nowMs.toFixed(3);
    }
    this.#piece += `${this.#time} ${node} ${kind} ${detail}\n`;
    this.#count += 1;
    if (this.#piece.length > PIECE) this.#flush();
  }

  get count(): number {
    return this.#count;
  }

  /** The latest ones, oldest first. */
  lines(): readonly string[] {
    return [...this.#pieces, this.#piece].join('').split('\n').slice(0, -1);
  }

  /** Hex. */
  hash(): string {
    this.#flush();
    return this.#hash.copy().digest('hex');
  }

  #flush(): void {
    if (this.#piece === '') return;
    this.#hash.update(this.#piece);
    this.#pieces.push(this.#piece);
    if (this.#pieces.length > KEPT_PIECES) this.#pieces.shift();
    this.#piece = '';
  }
}
