/**
 * How far along a command is, and how fast, on standard error: a line that is rewritten on a terminal, elsewhere one now
 * and then.
 */
import { createSystemClock } from '../node/adapters.ts';
import type { Clock } from '../node/ports.ts';

const REDRAW_MS = 200;
/** Where lines stay. A short run says nothing. */
const LINE_MS = 5_000;

export interface ProgressDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown };
}

/** For one command. `end` comes before anything else is printed. */
export class Progress {
  readonly #clock: ProgressDeps['clock'];
  readonly #output: ProgressDeps['output'];
  #stage = '';
  #beganMs = 0;
  #first = 0;
  #saidMs: number;
  #isLineOpen = false;

  constructor({ clock, output }: ProgressDeps = { clock: createSystemClock(), output: process.stderr }) {
    this.#clock = clock;
    this.#output = output;
    this.#saidMs = clock.monotonicMs();
  }

  /**
   * @param done height reached
   * @param total height at which it is done; 0: not known
   * @param bytes read so far, where that says more than the height
   */
  update(stage: string, done: number, total: number, bytes?: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#beganMs = nowMs;
      this.#first = done;
    }
    const isTerminal = this.#output.isTTY === true;
    const isDue = nowMs - this.#saidMs >= (isTerminal ? REDRAW_MS : LINE_MS);
    if (!isDue && !(isTerminal && done === total)) return;
    this.#saidMs = nowMs;
    const seconds = Math.max(0.001, (nowMs - this.#beganMs) / 1000);
    const rate = (done - this.#first) / seconds;
    const of = total > 0 ? ` of ${total} (${Math.floor((100 * done) / total)} %)` : '';
    const read = bytes === undefined ? '' : `, ${(bytes / 1_000_000).toFixed(1)} MB read`;
    const line = `${stage}: height ${done}${of}, ${rate.toFixed(0)}/s${read}`;
    this.#output.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`);
    this.#isLineOpen = isTerminal;
  }

  /** Clears the line. */
  end(): void {
    if (this.#isLineOpen) this.#output.write('\r\u001b[K');
    this.#isLineOpen = false;
  }
}
