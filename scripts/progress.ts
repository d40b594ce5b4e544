/** One line on a terminal's standard error that says how far along a command is, and how fast. Silent elsewhere. */
import { createSystemClock } from '../node/adapters.ts';

const REDRAW_MS = 200;

export class Progress {
  readonly #clock = createSystemClock();
  readonly #isShown = process.stderr.isTTY === true;
  #stage = '';
  #beganMs = 0;
  #first = 0;
  #drawnMs = 0;

  /** @param total 0: not known */
  update(stage: string, done: number, total: number): void {
    if (!this.#isShown) return;
    const nowMs = this.#clock.monotonicMs();
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#beganMs = nowMs;
      this.#first = done;
    }
    if (nowMs - this.#drawnMs < REDRAW_MS && done !== total) return;
    this.#drawnMs = nowMs;
    const seconds = Math.max(0.001, (nowMs - this.#beganMs) / 1000);
    const rate = (done - this.#first) / seconds;
    const of = total > 0 ? ` of ${total} (${Math.floor((100 * done) / total)} %)` : '';
    process.stderr.write(`\r\u001b[K${stage}: height ${done}${of}, ${rate.toFixed(0)}/s`);
  }

  /** Clears the line. */
  end(): void {
    if (this.#isShown && this.#stage !== '') process.stderr.write('\r\u001b[K');
  }
}
