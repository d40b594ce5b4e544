/** What happened, line by line, in a running hash: two runs are the same if their hashes are. */
import { createHash, type Hash } from 'node:crypto';
import type { Clock } from '../node/ports.ts';

/** Latest lines kept for a look at what differs. */
const KEPT_LINES = 20_000;

export class Trace {
  readonly #clock: Clock;
  readonly #hash: Hash = createHash('sha256');
  #lines: string[] = [];
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(node: string, kind: string, detail: string): void {
    const line = `${this.#clock.monotonicMs().toFixed(3)} ${node} ${kind} ${detail}`;
    this.#hash.update(line).update('\n');
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
    return this.#hash.copy().digest('hex');
  }
}
