/** What happened, line by line, in a running hash: two runs are the same if their hashes are. */
import { createHash, type Hash } from 'node:crypto';
import type { Clock } from '../node/ports.ts';

/** Latest lines kept for a look at what differs. */
const KEPT_LINES = 20_000;

/** Lines are hashed in pieces of about this many characters: one call of the hash costs more than a line. */
const PIECE = 65_536;

export class Trace {
  /** Hears each entry as it is added. */
  onEntry: (node: string, kind: string, detail: string) => void = () => {};
  readonly #clock: Clock;
  readonly #hash: Hash = createHash('sha256');
  #lines: string[] = [];
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
    const line = `${this.#time} ${node} ${kind} ${detail}`;
    this.#piece += `${line}\n`;
    if (this.#piece.length > PIECE) this.#flush();
    this.#count += 1;
    this.#lines.push(line);
    if (this.#lines.length > 2 * KEPT_LINES) this.#lines = this.#lines.slice(-KEPT_LINES);
  }

  get count(): number {
    return this.#count;
  }

  lines(): readonly string[] {
    return this.#lines;
  }

  /** Hex. */
  hash(): string {
    this.#flush();
    return this.#hash.copy().digest('hex');
  }

  #flush(): void {
    this.#hash.update(this.#piece);
    this.#piece = '';
  }
}
