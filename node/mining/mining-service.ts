/**
 * Mines on the tip. `continuous`: always; `interval`: one block, then a pause; `on-demand`: when asked; `off`: never.
 * A new tip abandons the search at once; new transactions are taken up at the next refresh.
 */

import { nextBits } from '../../chain/asert.ts';
import { checkpointOf } from '../../chain/checkpoint.ts';
import { makeHeader } from '../../chain/codec.ts';
import { medianTime, recentTimestamps } from '../../chain/median-time.ts';
import type { Reason } from '../../chain/reasons.ts';
import { buildTemplate } from '../../chain/template.ts';
import type { Block, Checkpoint } from '../../chain/types.ts';
import type { Verdict } from '../../chain/verdict.ts';
import type { Address } from '../../crypto/address.ts';
import type { ChainService } from '../chain-service.ts';
import type { EventBus } from '../events.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { Metrics } from '../metrics.ts';
import type { Clock, Logger, PowSolver } from '../ports.ts';
import { SerialQueue } from '../serial-queue.ts';
import type { MineMode } from './mine-modes.ts';

export interface MiningServiceDeps {
  readonly mode: MineMode;
  readonly intervalMs: number;
  readonly miner: Address | undefined;
  readonly solver: PowSolver;
  readonly chain: ChainService;
  readonly mempool: MempoolService;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Takes a block we found through the same checks as any other and publishes it. */
  readonly submit: (block: Block) => Promise<Verdict<Block, Reason>>;
  /** False while the node is behind or has not yet met its peers. */
  readonly mayMine: () => boolean;
  readonly onFailure: (error: unknown) => void;
}

/** How often a template is looked at: as long may a new transaction wait for one that has it. */
const REFRESH_MS = 1000;
/** How old a template may get where nothing new waits: keeps its timestamp honest. */
const MAX_TEMPLATE_AGE_MS = 10_000;
/** How often a node that may not mine yet looks again. */
const IDLE_CHECK_MS = 100;

/**
 * Searches one template at a time. The solver has one search, so `mine` is not for a node that mines by itself; its
 * calls wait for one another. What is found goes the way of any block (`submit`). `mine` rejects where there is no
 * address to pay, and with a StoreError where the block cannot be written.
 */
export class MiningService {
  readonly #deps: MiningServiceDeps;
  readonly #stopping = new AbortController();
  readonly #demand = new SerialQueue();
  #loop: Promise<void> | undefined;
  #found = 0;

  constructor(deps: MiningServiceDeps) {
    this.#deps = deps;
  }

  get mode(): MineMode {
    return this.#deps.mode;
  }

  get miner(): Address | undefined {
    return this.#deps.miner;
  }

  /** Blocks found since the start. */
  get found(): number {
    return this.#found;
  }

  hashRate(): number {
    return this.#deps.solver.hashRate();
  }

  start(): void {
    const { mode } = this.#deps;
    if (mode === 'continuous' || mode === 'interval') this.#loop = this.#run(mode);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#demand.idle();
    await this.#deps.solver.close();
  }

  /**
   * Mines `count` blocks on the tip, one on top of the other. Fewer where the signal aborts or the node stops.
   * @returns the new blocks, lowest first
   */
  mine(count: number, signal: AbortSignal): Promise<readonly Checkpoint[]> {
    return this.#demand.run(async () => {
      const mined: Checkpoint[] = [];
      while (mined.length < count && !signal.aborted && !this.#stopping.signal.aborted) {
        const block = await this.#search(signal);
        if (block === undefined || !(await this.#submit(block))) continue;
        mined.push(checkpointOf(block.header));
      }
      return mined;
    });
  }

  async #run(mode: 'continuous' | 'interval'): Promise<void> {
    const { clock, mayMine, intervalMs, onFailure } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        if (!mayMine()) {
          await clock.sleep(IDLE_CHECK_MS, signal);
          continue;
        }
        const block = await this.#search(signal);
        if (block === undefined) continue;
        await this.#submit(block);
        if (mode === 'interval') await clock.sleep(intervalMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        onFailure(error);
        await clock.sleep(REFRESH_MS, signal).catch(() => undefined); // aborted: the loop's condition ends it
      }
    }
  }

  /** Searches one template; undefined when it went stale first, the signal aborted, or the node stops. */
  async #search(signal: AbortSignal): Promise<Block | undefined> {
    const { chain, mempool, clock, events, solver, miner } = this.#deps;
    if (miner === undefined) throw new Error('mining needs an address to pay: set minerAddress or a voter key');
    const { genesis, tip } = chain;
    const earliest = medianTime(recentTimestamps(chain.tree, tip)) + 1n;
    const now = BigInt(Math.floor(clock.nowMs()));
    const template = buildTemplate({
      parent: tip,
      bits: nextBits(
        genesis.params,
        { height: tip.header.height, effectiveTimeMs: tip.effectiveTimeMs },
        genesis.entry.effectiveTimeMs,
      ),
      timestampMs: now > earliest ? now : earliest,
      miner,
      candidates: mempool.pool.candidates(),
      view: chain.accounts,
      params: genesis.params,
    });

    const version = mempool.version;
    const attempt = new AbortController();
    const abandon = (): void => attempt.abort();
    let cancelRefresh = clock.after(REFRESH_MS, function refresh() {
      const isStale = mempool.version !== version || clock.nowMs() - Number(now) > MAX_TEMPLATE_AGE_MS;
      if (isStale) abandon();
      else cancelRefresh = clock.after(REFRESH_MS, refresh);
    });
    const offTip = events.on('tip', abandon);
    const stops = new Set([signal, this.#stopping.signal]);
    for (const stop of stops) stop.addEventListener('abort', abandon, { once: true });
    try {
      const { nonce } = await solver.solve(template.header, attempt.signal);
      return { header: makeHeader({ ...template.header, nonce }), coinbase: template.coinbase, txs: template.txs };
    } catch (error) {
      if (attempt.signal.aborted) return undefined;
      throw error;
    } finally {
      cancelRefresh();
      offTip();
      for (const stop of stops) stop.removeEventListener('abort', abandon);
    }
  }

  async #submit(block: Block): Promise<boolean> {
    const verdict = await this.#deps.submit(block);
    if (verdict.kind === 'accept') {
      this.#found += 1;
      this.#deps.metrics.blocksMined.inc();
      return true;
    }
    this.#deps.logger.warn({ block: block.header.id, reason: verdict.reason }, 'own block was not taken');
    return false;
  }
}
