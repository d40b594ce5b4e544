/** What a timeline asks to be mined on demand: one order after the other, beside everything else that it does. */
import type { GrapevineNode } from '../node/compose.ts';
import type { Clock } from '../node/ports.ts';
import type { SimNode } from './world.ts';

interface Order {
  /** Of the event, for what is said of it: `timeline[2]`. */
  readonly path: string;
  readonly sim: SimNode;
  readonly blocks: number;
}

interface Mining {
  readonly order: Order;
  /** The life that mines: with it the order ends. */
  readonly node: GrapevineNode;
  readonly foundBefore: number;
  /** Blocks, or what it failed with. */
  outcome?: number | Error;
}

/**
 * Mining takes what time the draws make it, but what the timeline does meanwhile comes at its own time: `between` would
 * look at other times than the faults' otherwise. An order waits for the one before, whoever's it is, so that blocks come
 * in the order of the file.
 */
export class MineQueue {
  readonly #clock: Clock;
  readonly #mayDie: (node: GrapevineNode) => boolean;
  readonly #waiting: Order[] = [];
  readonly #unmined: string[] = [];
  #current: Mining | undefined;
  #orders = 0;

  /** @param mayDie whether a life ended at a write, as the timeline asks for: that it mined less is no fault then */
  constructor(clock: Clock, mayDie: (node: GrapevineNode) => boolean) {
    this.#clock = clock;
    this.#mayDie = mayDie;
  }

  /** What was asked for so far. */
  get orders(): number {
    return this.#orders;
  }

  /** By order that was not carried out, why. Complete after {@link end}. */
  get unmined(): readonly string[] {
    return this.#unmined;
  }

  /** Whether {@link proceed} has something to do. */
  get mayProceed(): boolean {
    return this.#current === undefined ? this.#waiting.length > 0 : isOver(this.#current);
  }

  add(order: Order): void {
    this.#orders += 1;
    this.#waiting.push(order);
    this.proceed();
  }

  /** Takes note of what is over, and begins what waited for that. */
  proceed(): void {
    while (this.mayProceed) {
      if (this.#current !== undefined) this.#close(this.#current);
      this.#current = undefined;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#begin(next);
    }
  }

  /** The scenario is over: what has not been found is not found any more. */
  end(): void {
    this.proceed();
    const open = this.#current;
    if (open !== undefined)
      this.#miss(open.order, `found ${foundBy(open)} of ${open.order.blocks} blocks until the end`);
    for (const order of this.#waiting) this.#miss(order, `found 0 of ${order.blocks} blocks until the end`);
  }

  #begin(order: Order): void {
    const { sim, blocks } = order;
    // Only who died at a write, or while others mined, gets here; checkPlan refused the others.
    if (!sim.isRunning) {
      this.#miss(order, `is not running at ${this.#now()}`);
      return;
    }
    const { node } = sim;
    const mining: Mining = { order, node, foundBefore: node.mining.found };
    this.#current = mining;
    node.mining.mine(blocks, new AbortController().signal).then(
      (mined) => {
        mining.outcome = mined.length;
      },
      (error: unknown) => {
        mining.outcome = error instanceof Error ? error : new Error(String(error));
      },
    );
  }

  #close(mining: Mining): void {
    const { order, node, outcome } = mining;
    if (outcome === order.blocks || this.#mayDie(node)) return;
    const found = `${foundBy(mining)} of ${order.blocks} blocks`;
    if (outcome instanceof Error) this.#miss(order, `found ${found}: ${outcome.message}`);
    else this.#miss(order, `was stopped at ${this.#now()}, ${found} found`);
  }

  #miss({ path, sim }: Order, what: string): void {
    this.#unmined.push(`${path}: ${sim.name} ${what}`);
  }

  #now(): string {
    return `${Number((this.#clock.monotonicMs() / 1_000).toFixed(1))}s`;
  }
}

/** A life that was killed never says how its mining went. */
function isOver({ order: { sim }, node, outcome }: Mining): boolean {
  return outcome !== undefined || !sim.isRunning || sim.node !== node;
}

function foundBy({ node, foundBefore }: Mining): number {
  return node.mining.found - foundBefore;
}
