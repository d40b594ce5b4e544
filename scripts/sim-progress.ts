/** How far along simulations are, on standard error: a line that is rewritten on a terminal, elsewhere one now and then. */
import type { Clock } from '../node/ports.ts';

const REDRAW_MS = 200;
/** Where lines stay. A short run says nothing. */
const LINE_MS = 10_000;

export interface SimProgressDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown };
}

/** For all runs of a command, one after the other. `clear` comes before anything else is printed. */
export class SimProgress {
  readonly #clock: SimProgressDeps['clock'];
  readonly #output: SimProgressDeps['output'];
  #saidMs: number;
  #isLineOpen = false;

  constructor({ clock, output }: SimProgressDeps) {
    this.#clock = clock;
    this.#output = output;
    this.#saidMs = clock.monotonicMs();
  }

  /** @param what which run it is */
  update(what: string, virtualMs: number, ofMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const isTerminal = this.#output.isTTY === true;
    if (nowMs - this.#saidMs < (isTerminal ? REDRAW_MS : LINE_MS)) return;
    this.#saidMs = nowMs;
    const line = `${what}: ${Math.floor(virtualMs / 1_000)} of ${Math.ceil(ofMs / 1_000)} virtual seconds`;
    this.#output.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`);
    this.#isLineOpen = isTerminal;
  }

  /** Clears the line: something else is to be printed. */
  clear(): void {
    if (this.#isLineOpen) this.#output.write('\r\u001b[K');
    this.#isLineOpen = false;
  }
}
