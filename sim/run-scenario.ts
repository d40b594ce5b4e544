/** Runs a scenario with a seed: builds its world, does what the timeline says, and reports. */
import type { TxId } from '../chain/types.ts';
import type { SigningBackend } from '../crypto/signature.ts';
import type { GrapevineNode } from '../node/compose.ts';
import { StoreError } from '../node/store/store.ts';
import { createLiar, type Liar, tapPublished } from './behaviours.ts';
import { checkPlan } from './check-plan.ts';
import { checkExpectations, type ExpectationResult } from './expectations.ts';
import { buildHistory, saveHistory } from './history.ts';
import { MineQueue } from './mine-queue.ts';
import { type HeightSample, RunLog } from './run-log.ts';
import { paramsOf } from './scenario-genesis.ts';
import { connectAll, cutBetween, listenToNetwork, networkTotals, observeSpread } from './scenario-network.ts';
import { ScenarioNodes } from './scenario-nodes.ts';
import { type FaultEvent, faultOf, LOAD_FROM, parseDuration, type Scenario } from './scenario-schema.ts';
import { ScenarioStores } from './scenario-stores.ts';
import { createSeededRng } from './seeded-rng.ts';
import type { SimDisk } from './sim-disk.ts';
import { Spread, type SpreadReport } from './spread.ts';
import { type SimNode, World } from './world.ts';

export interface RunOptions {
  readonly seed: string;
  /** Nodes in all, instead of what the scenario says. */
  readonly nodes?: number;
  /** Default: the reference, which is slow. */
  readonly backend?: SigningBackend;
  /** Called now and then with how far the run is: virtual time. What it does has no part in the run. */
  readonly onProgress?: (virtualMs: number) => void;
}

export interface ScenarioReport {
  readonly scenario: string;
  /** A number where it is one, and written as JSON would. */
  readonly seed: number | string;
  readonly nodes: number;
  readonly virtualMs: number;
  readonly traceHash: string;
  readonly passed: boolean;
  readonly expectations: readonly ExpectationResult[];
  readonly copiesPerDelivery: number;
  readonly hops: { readonly p50: number; readonly p99: number };
  readonly coverage: number;
  readonly agreementMs: { readonly p50: number; readonly p99: number };
  readonly reorgs: number;
  readonly deepestReorg: number;
  /** Blocks that did not stay on the main chain. */
  readonly forks: number;
  readonly finalHeight: number;
  readonly tipHeight: number;
  readonly messages: { readonly sent: number; readonly lost: number; readonly bytes: number };
  readonly txs: { readonly accepted: number; readonly final: number };
  readonly faults: number;
  /** Of them, nodes that died at a write. */
  readonly crashesAtWrites: number;
  readonly spread: SpreadReport;
  readonly heights: readonly {
    readonly atMs: number;
    readonly lowest: number;
    readonly highest: number;
    readonly final: number;
  }[];
}

interface Step {
  readonly atMs: number;
  readonly run: () => Promise<void> | void;
}

const SAMPLE_MS = 500;
/** Accounts that send: the last one is left to liars. */
const SENDERS = 9;
const SETTLE_MS = 60_000;
const DEFAULT_BLOCK_TIME = '2s';
/** Digits that a JSON number keeps. */
const WHOLE = /^(0|[1-9]\d{0,14})$/;

/**
 * What comes of the draws, as a node that cannot mine what it is asked for, fails the run and stands in the report.
 * @throws ScenarioError where what the scenario says does not fit a net of that size, whatever the seed
 */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<ScenarioReport> {
  const run = new ScenarioRun(scenario, options);
  return run.run();
}

class ScenarioRun {
  readonly #scenario: Scenario;
  readonly #seed: string;
  readonly #nodes: ScenarioNodes;
  readonly #world: World;
  readonly #log: RunLog;
  readonly #spread: Spread;
  readonly #stores: ScenarioStores;
  readonly #liars = new Map<string, Liar>();
  readonly #sent: { readonly id: TxId; isAccepted: boolean }[] = [];
  readonly #rng;
  /** Disks whose node died at a write that took the power with it; they forget when it starts again. */
  readonly #powerLosses: SimDisk[] = [];
  /** Lives that ended at a write, as the timeline wants it. */
  readonly #diedAtWrites = new WeakSet<GrapevineNode>();
  readonly #mining: MineQueue;
  readonly #onProgress: RunOptions['onProgress'];
  #faults = 0;
  #crashes = 0;

  constructor(scenario: Scenario, { seed, nodes, backend, onProgress }: RunOptions) {
    this.#scenario = scenario;
    this.#onProgress = onProgress;
    this.#seed = seed;
    this.#nodes = new ScenarioNodes(scenario, nodes);
    checkPlan(scenario, this.#nodes);
    this.#rng = createSeededRng(`${seed}/scenario ${scenario.name}`);
    const behaviours = new Map(this.#nodes.all.map(({ name, behaviour }) => [name, behaviour]));
    this.#world = new World({
      seed,
      nodes: this.#nodes.all.map(({ spec }) => spec),
      links: [],
      params: paramsOf(scenario),
      ...(scenario.electorate !== undefined && {
        miners: { window: scenario.electorate.miners.window, founders: this.#nodes.founders(scenario.electorate) },
      }),
      ...(backend !== undefined && { signatures: backend }),
      chainAgeMs: historyAgeMs(scenario),
      openStore: (name) => this.#stores.open(name),
      wrapNetwork: (sim, network) => {
        const behaviour = behaviours.get(sim.name)!;
        const liar = createLiar(behaviour, network, {
          world: () => this.#world,
          sim,
          rng: this.#rng.fork(`liar ${sim.name}`),
          clock: this.#world.clock,
        });
        this.#liars.set(sim.name, liar);
        if (behaviour !== 'honest') return liar.network;
        return tapPublished(network, async (kind, data) => {
          if (kind === 'vote') this.#log.onVote(sim.name, data);
          return { kind: 'queued' };
        });
      },
      onComposed: (sim, node) => {
        this.#log.onLife(sim, node);
        this.#liars.get(sim.name)?.begin(node);
      },
      onLog: (sim, line) => this.#log.onLog(sim, line),
    });
    this.#stores = new ScenarioStores({
      scenario,
      nodes: this.#nodes,
      clock: this.#world.clock,
      rng: this.#rng,
    });
    this.#log = new RunLog(this.#world.clock, this.#nodes.all);
    this.#mining = new MineQueue(this.#world.clock, (node) => this.#diedAtWrites.has(node));
    this.#spread = new Spread(() => this.#world.running.length - 1);
    listenToNetwork(this.#world.trace, this.#log);
    observeSpread(this.#world.hub, this.#spread);
  }

  async run(): Promise<ScenarioReport> {
    const { hub } = this.#world;
    connectAll(hub, this.#scenario, this.#nodes, this.#rng.fork('links'));
    const endMs = parseDuration(this.#scenario.duration);
    this.#sample();
    await this.#writeHistory();
    await this.#world.start();
    this.#load(endMs);
    for (const { atMs, run } of this.#steps()) {
      await this.#runTo(atMs);
      this.#faults += 1;
      await run();
    }
    await this.#runTo(endMs);
    this.#mining.end();
    return this.#report();
  }

  async #runTo(atMs: number): Promise<void> {
    const { clock } = this.#world;
    let isThere = clock.monotonicMs() >= atMs;
    while (!isThere) {
      isThere = !(await clock.runUntil(() => this.#mining.mayProceed, atMs - clock.monotonicMs()));
      this.#mining.proceed();
    }
  }

  /** The chain that some nodes have from before the world began. */
  async #writeHistory(): Promise<void> {
    const { history } = this.#scenario;
    if (history === undefined) return;
    const blocks = buildHistory(this.#world.genesis, history.blocks);
    for (const name of this.#nodes.select(history.at)) {
      const store = await this.#stores.open(name);
      await this.#world.clock.runUntilSettled(saveHistory(store, this.#world.genesis, blocks), SETTLE_MS);
    }
  }

  #sample(): void {
    this.#log.sample(this.#world.running);
    this.#onProgress?.(this.#world.clock.monotonicMs());
    this.#world.clock.after(SAMPLE_MS, () => this.#sample());
  }

  // The timeline -----------------------------------------------------------------------------------------------

  #steps(): readonly Step[] {
    const steps = (this.#scenario.timeline ?? []).flatMap((event) => this.#stepsOf(event));
    return steps.sort((a, b) => a.atMs - b.atMs);
  }

  #stepsOf(event: FaultEvent): Step[] {
    const atMs = parseDuration(event.at);
    const { flap } = event;
    if (flap === undefined) return [{ atMs, run: () => this.#apply(event) }];
    const steps: Step[] = [];
    const holder = {};
    const [downMs, upMs, untilMs] = [flap.down, flap.up, flap.until].map(parseDuration) as [number, number, number];
    for (let turnMs = atMs; turnMs < untilMs; turnMs += downMs + upMs) {
      steps.push({ atMs: turnMs, run: () => this.#partition(flap.groups, holder) });
      steps.push({ atMs: Math.min(turnMs + downMs, untilMs), run: () => this.#world.hub.healCutsBy(holder) });
    }
    return steps;
  }

  async #apply(event: FaultEvent): Promise<void> {
    const { hub, clock } = this.#world;
    const each = async (
      selectors: string | readonly string[] | undefined,
      act: (sim: SimNode) => Promise<void> | void,
    ): Promise<void> => {
      for (const name of this.#nodes.select(selectors ?? [])) await act(this.#world.node(name));
    };
    const kill = (sim: SimNode): void => {
      if (sim.isRunning) sim.kill();
    };
    const fault = faultOf(event);
    switch (fault) {
      case 'partition':
        this.#partition(event.partition!);
        break;
      case 'cut': {
        const { from, to, oneWay = false } = event.cut!;
        cutBetween(hub, this.#nodes.select(from), this.#nodes.select(to), oneWay);
        break;
      }
      case 'heal':
        hub.healAll();
        break;
      case 'crash':
        await each(event.crash, kill);
        break;
      case 'losePower':
        await each(event.losePower, async (sim) => {
          kill(sim);
          await clock.runUntilSettled(this.#stores.disk(sim.name).losePower(), SETTLE_MS);
        });
        break;
      case 'crashAtWrite':
        this.#crashAtWrite(event.crashAtWrite!);
        break;
      case 'restart':
        await each(event.restart, async (sim) => {
          kill(sim);
          await this.#start(sim);
        });
        break;
      case 'join':
        await each(event.join, async (sim) => {
          if (!sim.isRunning) await this.#start(sim);
        });
        break;
      case 'leave':
        await each(event.leave, async (sim) => {
          if (sim.isRunning) await sim.stop();
        });
        break;
      case 'clock':
        await each(event.clock!.nodes, (sim) => {
          sim.clockOffsetMs = parseDuration(event.clock!.offset);
        });
        break;
      case 'hashRate':
        await each(event.hashRate!.nodes, (sim) => {
          sim.hashFactor = event.hashRate!.factor;
        });
        break;
      case 'diskFull':
      case 'diskFreed':
        await each(event[fault], (sim) => {
          this.#stores.disk(sim.name).isFull = fault === 'diskFull';
        });
        break;
      case 'mine':
        await each(event.mine!.node, (sim) => {
          const path = `timeline[${this.#scenario.timeline!.indexOf(event)}]`;
          this.#mining.add({ path, sim, blocks: event.mine!.blocks });
        });
        break;
      case 'flap': // expanded above
        break;
      default:
        fault satisfies never;
    }
  }

  /** Or not, where its disk is full: such a node ends as a process would, and may be started again. */
  async #start(sim: SimNode): Promise<void> {
    for (const disk of this.#powerLosses.splice(0)) {
      await this.#world.clock.runUntilSettled(disk.losePower(), SETTLE_MS);
    }
    try {
      await sim.start();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }

  #partition(groups: readonly (string | readonly string[])[], by?: object): void {
    this.#world.hub.partition(
      groups.map((group) => this.#nodes.select(group)),
      by,
    );
  }

  /** The fate of the nth write from now on, and the end of whoever asked for it. */
  #crashAtWrite({ node, nth, fate, within }: NonNullable<FaultEvent['crashAtWrite']>): void {
    const sim = this.#world.node(node);
    const disk = this.#stores.disk(node);
    const untilMs = this.#world.clock.monotonicMs() + parseDuration(within);
    let left = nth;
    disk.onWrite = () => {
      left -= 1;
      if (left > 0 || !sim.isRunning || this.#world.clock.monotonicMs() > untilMs) return 'written';
      disk.onWrite = () => 'written';
      this.#crashes += 1;
      this.#diedAtWrites.add(sim.node);
      sim.kill();
      if (fate === 'power-loss') this.#powerLosses.push(disk);
      return fate === 'unheard' ? 'unheard' : 'lost';
    };
  }

  // Load -------------------------------------------------------------------------------------------------------

  #load(endMs: number): void {
    const { load } = this.#scenario;
    if (load === undefined) return;
    const { clock } = this.#world;
    const rng = this.#rng.fork('load');
    const names = load.at === undefined ? this.#nodes.honest.map(({ name }) => name) : this.#nodes.select(load.at);
    const untilMs = Math.min(endMs, parseDuration(load.until ?? this.#scenario.duration));
    const next = (): void => {
      clock.after(rng.exponential(1_000 / load.txPerSecond), () => {
        if (clock.monotonicMs() >= untilMs) return;
        this.#submit(names, Math.floor(rng.unit() * Math.min(SENDERS, names.length)));
        next();
      });
    };
    clock.after(Math.max(0, parseDuration(load.from ?? LOAD_FROM) - clock.monotonicMs()), next);
  }

  /** Each account sends at one node while that runs, so that its nonces come in order. */
  #submit(names: readonly string[], account: number): void {
    let sim: SimNode | undefined;
    for (let step = 0; step < names.length && sim?.isRunning !== true; step++) {
      sim = this.#world.node(names[(account + step) % names.length]!);
    }
    if (sim?.isRunning !== true) return;
    const tx = this.#world.transfer(account);
    const sent = { id: tx.id, isAccepted: false };
    this.#sent.push(sent);
    void sim.node.ingest.submitTx(tx.bytes).then(({ verdict }) => {
      sent.isAccepted = verdict.kind === 'accept';
    });
  }

  // The report -------------------------------------------------------------------------------------------------

  async #report(): Promise<ScenarioReport> {
    const { clock, hub, trace } = this.#world;
    const log = this.#log;
    log.sample(this.#world.running);
    const honest = new Set(this.#nodes.honest.map(({ name }) => name));
    const running = this.#world.running.filter(({ name }) => honest.has(name));
    const best = running.toSorted((a, b) => b.finalHeight - a.finalHeight)[0];
    const txs = {
      accepted: this.#sent.filter(({ isAccepted }) => isAccepted).length,
      final: await this.#finalTxs(best),
    };
    const spread = this.#spread.report(this.#nodes.all.length);
    const totals = networkTotals(hub);
    const expectations = checkExpectations({
      scenario: this.#scenario,
      world: this.#world,
      nodes: this.#nodes,
      log,
      mining: this.#mining,
      coverage: spread.coverage,
      txs,
    });
    const tipHeight = Math.max(0, ...running.map(({ height }) => height));
    return {
      scenario: this.#scenario.name,
      seed: WHOLE.test(this.#seed) ? Number(this.#seed) : this.#seed,
      nodes: this.#nodes.all.length,
      virtualMs: Math.round(clock.monotonicMs()),
      traceHash: trace.hash(),
      passed: expectations.every(({ passed }) => passed),
      expectations,
      copiesPerDelivery: totals.first === 0 ? 0 : round((totals.first + totals.duplicates) / totals.first),
      hops: spread.hops,
      coverage: round(spread.coverage),
      agreementMs: { p50: percentile(log.agreementMs, 0.5), p99: percentile(log.agreementMs, 0.99) },
      reorgs: log.reorgs,
      deepestReorg: log.deepestReorg,
      forks: Math.max(0, log.blocks - tipHeight),
      finalHeight: best?.finalHeight ?? 0,
      tipHeight,
      messages: { sent: totals.sent, lost: totals.lost, bytes: totals.bytes },
      txs,
      faults: this.#faults,
      crashesAtWrites: this.#crashes,
      spread,
      heights: log.samples.map(summarise),
    };
  }

  async #finalTxs(best: SimNode | undefined): Promise<number> {
    if (best === undefined) return 0;
    const { node, store } = best;
    const count = (async () => {
      let final = 0;
      for (const { id, isAccepted } of this.#sent) {
        const location = isAccepted ? await store.txLocation(id) : undefined;
        const entry = location === undefined ? undefined : node.chain.tree.get(location.block);
        if (entry !== undefined && entry.header.height <= node.agreement.final.height) final += 1;
      }
      return final;
    })();
    return this.#world.clock.runUntilSettled(count, SETTLE_MS);
  }
}

/** Blocks of a history come as they should, and the last of them has just been found. */
function historyAgeMs({ history, params }: Scenario): number {
  return (history?.blocks ?? 0) * parseDuration(params?.blockTime ?? DEFAULT_BLOCK_TIME);
}

function summarise({ atMs, tip, final }: HeightSample): ScenarioReport['heights'][number] {
  const heights = [...tip.values()].map(({ height }) => Number(height));
  return {
    atMs: Math.round(atMs),
    lowest: heights.length === 0 ? 0 : Math.min(...heights),
    highest: Math.max(0, ...heights),
    final: Math.max(0, ...final.values()),
  };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
