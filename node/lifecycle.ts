/** Starts parts in order and stops them in reverse, each within a deadline, so that one that hangs holds up nothing. */
import type { Clock, Logger } from './ports.ts';

export interface Part {
  readonly name: string;
  start?(): Promise<void> | void;
  stop?(): Promise<void> | void;
}

/** A part that has not stopped by then is left behind and named in the log. */
const PART_DEADLINE_MS = 2000;
/** For all parts together; five seconds are promised. The store comes last and is never given up before its turn. */
const STOP_DEADLINE_MS = 4000;
/** What the last parts get even when the first ones have used up the time. */
const LEAST_MS = 100;

/**
 * For parts that depend on those before them. A start that fails is the caller's to handle, by `stop`; a stop that
 * fails is logged, and the rest is stopped all the same.
 */
export class Lifecycle {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #started: Part[] = [];
  #stopping: Promise<void> | undefined;

  constructor(deps: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = deps.clock;
    this.#logger = deps.logger;
  }

  /** Starts the part, and stops it at the end. A part whose start fails is stopped as well: it may be half open. */
  async start(part: Part): Promise<void> {
    this.#started.push(part);
    await part.start?.();
  }

  /** Stops all that was started, last first. Called twice, it is one stop. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    const end = this.#clock.monotonicMs() + STOP_DEADLINE_MS;
    for (const part of this.#started.splice(0).reverse()) {
      const deadlineMs = Math.max(LEAST_MS, Math.min(PART_DEADLINE_MS, end - this.#clock.monotonicMs()));
      try {
        if (!(await this.#withinDeadline(Promise.resolve(part.stop?.()), deadlineMs))) {
          this.#logger.warn({ part: part.name, deadlineMs }, 'did not stop in time; left behind');
        }
      } catch (error) {
        this.#logger.error({ err: error, part: part.name }, 'failed to stop');
      }
    }
  }

  async #withinDeadline(stopped: Promise<void>, deadlineMs: number): Promise<boolean> {
    let cancel = (): void => {};
    const late = new Promise<boolean>((resolve) => {
      cancel = this.#clock.after(deadlineMs, () => resolve(false));
    });
    try {
      return await Promise.race([stopped.then(() => true), late]);
    } finally {
      cancel();
    }
  }
}
