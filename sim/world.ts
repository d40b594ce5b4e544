/**
 * Several nodes in one process, built by the same `composeNode` as the real one, on virtual time, seeded randomness
 * and a network in memory. One seed gives one course of events.
 */
import type { ElectorateRule } from '../chain/electorate.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../chain/genesis.ts';
import { DEFAULT_MEMPOOL_BYTES } from '../chain/mempool.ts';
import type { ChainParams } from '../chain/params.ts';
import { signTxBy } from '../chain/sign.ts';
import { bitsForHashes, bitsToTarget, workOfTarget } from '../chain/target.ts';
import type { BlockId, Tx } from '../chain/types.ts';
import { type Address, addressOf } from '../crypto/address.ts';
import { sha256 } from '../crypto/hash.ts';
import { publicKeyOf } from '../crypto/keys.ts';
import { nobleBackend } from '../crypto/noble-backend.ts';
import { createSigner } from '../crypto/sign.ts';
import type { SigningBackend } from '../crypto/signature.ts';
import type { VoterKey } from '../node/agreement/agreement-service.ts';
import { composeNode, type GrapevineNode } from '../node/compose.ts';
import type { Part } from '../node/lifecycle.ts';
import { createMetrics, type Metrics } from '../node/metrics.ts';
import type { MineMode } from '../node/mining/mine-modes.ts';
import type { Logger, Network, SignatureVerifier } from '../node/ports.ts';
import type { Store } from '../node/store/store.ts';
import { createDrawnSolver } from './drawn-solver.ts';
import type { GossipParams } from './gossip-params.ts';
import type { LinkProfile } from './link.ts';
import { MemoryHub } from './memory-hub.ts';
import type { MemoryNetwork } from './memory-network.ts';
import { createMortalStore } from './mortal-store.ts';
import { createSeededRng, type SeededRng } from './seeded-rng.ts';
import { createSharedCodec } from './shared-codec.ts';
import { createSharedVerifier } from './shared-verifier.ts';
import { Trace } from './trace.ts';
import { type NodeClock, VirtualClock } from './virtual-clock.ts';

export interface NodeSpec {
  readonly name: string;
  /** Has a key in the electorate; default true. */
  readonly voter?: boolean;
  /** Votes by itself; default: as `voter`. False leaves the key to whoever else holds it. */
  readonly votes?: boolean;
  /** Whose key it has; default its own name. Of two nodes with one key the second is no further elector. */
  readonly keyOf?: string;
  /** Default `continuous`. */
  readonly mine?: MineMode;
  readonly mineIntervalMs?: number;
  /** Share of the net's hash rate, relative to the other nodes; default 1. */
  readonly hashShare?: number;
  /** How far its wall clock is ahead. */
  readonly clockOffsetMs?: number;
  /** Default: the world's. */
  readonly genesis?: Genesis;
  /** Not started with the others; default false. */
  readonly late?: boolean;
  readonly mempoolMaxBytes?: number;
}

export interface WorldOptions {
  readonly seed: string;
  readonly nodes: readonly NodeSpec[];
  /** The store that the node of that name keeps over its restarts. Called at each start. */
  readonly openStore: (name: string) => Promise<Store>;
  readonly params?: Partial<ChainParams>;
  /** The authors of the last blocks vote; these nodes do until there are so many. Default: all voters, for ever. */
  readonly miners?: { readonly window: number; readonly founders: readonly string[] };
  readonly link?: LinkProfile;
  /** Default: what a devnet's nodes use. */
  readonly gossip?: GossipParams;
  /** What makes and checks signatures; default the reference, which is slow. */
  readonly signatures?: SigningBackend;
  /** Puts something between a node and what checks its signatures. */
  readonly wrapVerifier?: (name: string, verifier: SignatureVerifier) => SignatureVerifier;
  /** What stands in front of a node as the API does: started last and stopped first. */
  readonly front?: (name: string) => Part | undefined;
  /** Who has a link with whom; default: everybody with everybody. */
  readonly links?: readonly (readonly [string, string])[];
  /** How long before the world begins its chain did; default 0. */
  readonly chainAgeMs?: number;
  /** Puts something between a node and its network: what a liar says is not what it knows. */
  readonly wrapNetwork?: (sim: SimNode, network: Network) => Network;
  /** Hears each line of a node's log. */
  readonly onLog?: (sim: SimNode, line: LogLine) => void;
  /** Called with each life of a node, before it starts. */
  readonly onComposed?: (sim: SimNode, node: GrapevineNode) => void;
}

export interface LogLine {
  readonly atMs: number;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** 2025-01-01T00:00:00Z: where the time of a world begins. */
const EPOCH_MS = 1_735_689_600_000;
/** A target that a few hashes meet: mining takes virtual time, not real time. */
const EASIEST_HASHES = 2n;
const INITIAL_HASHES = 16n;
const BLOCK_TIME_MS = 2_000;
const ALLOCATION = 1_000_000_000_000n;
const FUNDED = 10;
const KEPT_LOG_LINES = 5_000;
const START_MS = 10_000;

/** The funded accounts' keys, and voters' keys by node name. Known to everybody: simulation only. */
export function simulationKey(name: string): VoterKey {
  let key = simulationKeys.get(name);
  if (key === undefined) {
    const secretKey = sha256(new TextEncoder().encode(`grapevine simulation key ${name}`));
    const publicKey = publicKeyOf(secretKey);
    key = { secretKey, publicKey, address: addressOf(publicKey) };
    simulationKeys.set(name, key);
  }
  return key;
}

/** A few per world; finding the public key is what costs. */
const simulationKeys = new Map<string, VoterKey>();

/** One node of a world: over its restarts the same key, place and clock. */
export class SimNode {
  readonly spec: NodeSpec;
  readonly log: LogLine[] = [];
  /** How far its wall clock is ahead, from now on. */
  clockOffsetMs: number;
  /** Its hash rate is this many times what its share makes it, from the next search on. */
  hashFactor = 1;
  readonly #world: World;
  #life: Life | undefined;

  constructor(world: World, spec: NodeSpec) {
    this.#world = world;
    this.spec = spec;
    this.clockOffsetMs = spec.clockOffsetMs ?? 0;
  }

  get name(): string {
    return this.spec.name;
  }

  get isRunning(): boolean {
    return this.#life !== undefined;
  }

  /** What it signs votes with and is paid at. */
  get key(): ReturnType<typeof simulationKey> {
    return simulationKey(this.spec.keyOf ?? this.name);
  }

  /** The running node. Throws when it is stopped. */
  get node(): GrapevineNode {
    return this.#running.node;
  }

  get metrics(): Metrics {
    return this.#running.metrics;
  }

  get network(): MemoryNetwork {
    return this.#running.network;
  }

  get store(): Store {
    return this.#running.store;
  }

  get height(): number {
    return Number(this.node.chain.tip.header.height);
  }

  get agreedHeight(): number {
    return Number(this.node.agreement.agreed.height);
  }

  get finalHeight(): number {
    return Number(this.node.agreement.final.height);
  }

  get tipId(): BlockId {
    return this.node.chain.tip.header.id;
  }

  /** Internal errors so far in this life: must be 0. */
  async internalErrors(): Promise<number> {
    const { values } = await this.metrics.internalErrors.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  async start(): Promise<void> {
    if (this.#life !== undefined) throw new Error(`${this.name} runs already`);
    const clock = this.#world.clock.forNode(() => this.clockOffsetMs);
    const life = this.#world.compose(this, clock);
    this.#life = await this.#world.clock.runUntilSettled(life, START_MS);
  }

  /** Graceful. */
  async stop(): Promise<void> {
    const { node, clock } = this.#running;
    await this.#world.clock.runUntilSettled(node.stop(), START_MS);
    clock.kill();
    this.#life = undefined;
  }

  /** As SIGKILL: nothing it was about to do happens any more. */
  kill(): void {
    this.#running.kill();
    this.#life = undefined;
  }

  /** Kills it where it runs, and starts it again on the same store. */
  async restart(): Promise<void> {
    if (this.isRunning) this.kill();
    await this.start();
  }

  get #running(): Life {
    if (this.#life === undefined) throw new Error(`${this.name} is not running`);
    return this.#life;
  }
}

interface Life {
  readonly node: GrapevineNode;
  readonly metrics: Metrics;
  readonly network: MemoryNetwork;
  readonly store: Store;
  readonly clock: NodeClock;
  kill(): void;
}

/**
 * Nothing happens between its calls: time moves in `start`, `run` and `until`, and while a node starts or stops. All
 * keys are known to everybody (`simulationKey`).
 */
export class World {
  readonly clock = new VirtualClock(EPOCH_MS);
  readonly trace = new Trace(this.clock);
  readonly hub: MemoryHub;
  readonly genesis: Genesis;
  readonly nodes: readonly SimNode[];
  readonly #byName: ReadonlyMap<string, SimNode>;
  readonly #options: WorldOptions;
  readonly #rng: SeededRng;
  readonly #signatures: SigningBackend;
  readonly #verifier: SignatureVerifier;
  readonly #codec = createSharedCodec();
  readonly #nonces = new Map<number, bigint>();
  readonly #totalShare: number;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#rng = createSeededRng(options.seed);
    this.#signatures = options.signatures ?? nobleBackend;
    this.#verifier = createSharedVerifier(this.#signatures);
    this.hub = new MemoryHub({
      clock: this.clock,
      rng: this.#rng.fork('network'),
      trace: this.trace,
      ...(options.link !== undefined && { link: options.link }),
      ...(options.gossip !== undefined && { gossip: options.gossip }),
    });
    this.genesis = createWorldGenesis(
      options.miners?.founders ?? [
        ...new Set(options.nodes.filter(({ voter }) => voter !== false).map(({ name, keyOf }) => keyOf ?? name)),
      ],
      options.params,
      'simulation',
      options.miners && { kind: 'miners', window: options.miners.window },
      options.chainAgeMs,
    );
    this.nodes = options.nodes.map((spec) => new SimNode(this, spec));
    this.#byName = new Map(this.nodes.map((each) => [each.name, each]));
    this.#totalShare = options.nodes.reduce(
      (sum, { hashShare, mine }) => sum + (mine === 'off' ? 0 : (hashShare ?? 1)),
      0,
    );
    for (const [a, b] of options.links ?? pairsOf(options.nodes.map(({ name }) => name))) this.hub.link(a, b);
  }

  node(name: string): SimNode {
    const found = this.#byName.get(name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  get running(): readonly SimNode[] {
    return this.nodes.filter((each) => each.isRunning);
  }

  /** Starts all that are not `late`. */
  async start(): Promise<void> {
    for (const each of this.nodes) if (each.spec.late !== true) await each.start();
  }

  run(durationMs: number): Promise<void> {
    return this.clock.run(durationMs);
  }

  /** Runs until the condition holds. Throws, naming it and each node's state, when it does not in time. */
  async until(what: string, condition: () => boolean, withinMs: number): Promise<void> {
    if (await this.clock.runUntil(condition, withinMs)) return;
    const states = this.running.map(
      (each) => `${each.name}: height ${each.height}, agreed ${each.agreedHeight}, final ${each.finalHeight}`,
    );
    throw new Error(`not within ${withinMs} virtual ms: ${what}\n${states.join('\n')}`);
  }

  /** All running nodes, or those named, have this block height final. */
  untilFinal(height: number, withinMs: number, names?: readonly string[]): Promise<void> {
    const nodes = names?.map((name) => this.node(name)) ?? this.running;
    return this.until(`height ${height} final`, () => nodes.every((each) => each.finalHeight >= height), withinMs);
  }

  /** A transfer of the funded account with that index, its next nonce used. */
  transfer(account: number, amount = 1n): Tx {
    const nonce = this.#nonces.get(account) ?? 0n;
    this.#nonces.set(account, nonce + 1n);
    return this.transferOnce(account, Number(nonce), amount);
  }

  /** A transfer with that nonce, which stays free for others. */
  transferOnce(account: number, nonce: number, amount = 1n): Tx {
    const { secretKey, publicKey } = simulationKey(`account ${account}`);
    return signTxBy(
      {
        chainId: this.genesis.chainId,
        nonce: BigInt(nonce),
        to: simulationKey(`account ${(account + 1) % FUNDED}`).address,
        amount,
        fee: this.genesis.params.minFee + 1_000n,
        memo: new Uint8Array(),
      },
      createSigner(secretKey, this.#signatures.sign, publicKey),
    );
  }

  /** Builds a node; `SimNode.start` calls it. */
  async compose(sim: SimNode, clock: NodeClock): Promise<Life> {
    const {
      name,
      voter = true,
      votes = voter,
      mine = 'continuous',
      mineIntervalMs = 1_000,
      hashShare = 1,
      genesis,
      mempoolMaxBytes,
    } = sim.spec;
    const rng = this.#rng.fork(`node ${name} at ${this.clock.monotonicMs()}`);
    const mortal = createMortalStore(await this.#options.openStore(name));
    const network = this.hub.createPort(name, clock);
    const metrics = createMetrics({ processMetrics: false });
    const { params } = this.genesis;
    const initialHashes = Number(workOfTarget(bitsToTarget(params.initialBits)!));
    const netHashRate = (initialHashes / params.blockTimeMs) * 1000;
    const { key } = sim;
    const node = await composeNode(
      {
        genesis: genesis ?? this.genesis,
        software: 'grapevine/sim',
        voter: votes ? key : undefined,
        mine,
        mineIntervalMs,
        minerAddress: key.address,
        mempoolMaxBytes: mempoolMaxBytes ?? DEFAULT_MEMPOOL_BYTES,
        expectsPeers: this.nodes.length > 1,
      },
      {
        clock,
        rng,
        logger: createLogCollector(this.clock, (line) => {
          sim.log.push(line);
          if (sim.log.length > KEPT_LOG_LINES) sim.log.shift();
          this.#options.onLog?.(sim, line);
        }),
        network: this.#options.wrapNetwork?.(sim, network) ?? network,
        store: mortal.store,
        codec: this.#codec,
        verifier: this.#options.wrapVerifier?.(name, this.#verifier) ?? this.#verifier,
        solver: createDrawnSolver({
          clock,
          rng: rng.fork('solver'),
          hashRate: () => (netHashRate * hashShare * sim.hashFactor) / Math.max(this.#totalShare, Number.EPSILON),
        }),
        metrics,
        sign: this.#signatures.sign,
      },
    );
    this.#traceEvents(name, node);
    this.#options.onComposed?.(sim, node);
    await node.start(this.#options.front?.(name));
    return {
      node,
      metrics,
      network,
      store: mortal.store,
      clock,
      kill: () => {
        this.trace.add(name, 'killed', '');
        mortal.kill();
        clock.kill();
        network.kill();
      },
    };
  }

  #traceEvents(name: string, node: GrapevineNode): void {
    const { trace } = this;
    const add = (kind: string, detail: string): void => trace.add(name, kind, detail);
    node.events.on('tx', ({ tx, from, parked }) => add('tx', `${tx.id} ${from}${parked ? ' parked' : ''}`));
    node.events.on('tx-dropped', ({ tx, reason }) => add('tx-dropped', `${tx.id} ${reason}`));
    node.events.on('block', ({ entry, from }) => add('block', `${entry.header.height} ${entry.header.id} ${from}`));
    node.events.on('reorg', ({ from, to, abandoned }) => add('reorg', `${from.id} ${to.id} ${abandoned.length}`));
    node.events.on('agreed', ({ certificate }) =>
      add('agreed', `${certificate.target.height} ${certificate.target.id}`),
    );
    node.events.on('final', ({ checkpoint }) => add('final', `${checkpoint.height} ${checkpoint.id}`));
    node.events.on('evidence', ({ evidence }) => add('evidence', `${evidence.kind} ${evidence.voter}`));
  }
}

/** A genesis with targets that a few hashes meet, and ten funded accounts. */
export function createWorldGenesis(
  voters: readonly string[],
  params: Partial<ChainParams> = {},
  name = 'simulation',
  electorate: ElectorateRule = { kind: 'genesis' },
  chainAgeMs = 0,
): Genesis {
  const addresses = voters.map((voter) => simulationKey(voter).address);
  return worldGenesis(addresses, { params, name, electorate, chainAgeMs });
}

interface WorldGenesisOptions {
  readonly params: Partial<ChainParams>;
  readonly name?: string;
  readonly electorate: ElectorateRule;
  readonly chainAgeMs?: number;
}

/**
 * As {@link createWorldGenesis}, with voters whose keys may be nobody's: finding a key takes time.
 * @throws GenesisError where there is none with these parameters, or so many voters
 */
export function worldGenesis(
  voters: readonly Address[],
  { params, name = 'simulation', electorate, chainAgeMs = 0 }: WorldGenesisOptions,
): Genesis {
  const doc = genesisDoc({
    name,
    timestampMs: EPOCH_MS - chainAgeMs,
    alloc: Array.from({ length: FUNDED }, (_, index) => ({
      address: simulationKey(`account ${index}`).address,
      balance: ALLOCATION,
    })),
    voters,
    electorate,
    params: {
      blockTimeMs: BLOCK_TIME_MS,
      powLimitBits: bitsForHashes(EASIEST_HASHES),
      initialBits: bitsForHashes(INITIAL_HASHES),
      ...params,
    },
  });
  return parseGenesis(doc);
}

function pairsOf(names: readonly string[]): (readonly [string, string])[] {
  return names.flatMap((a, at) => names.slice(at + 1).map((b) => [a, b] as const));
}

function createLogCollector(
  clock: VirtualClock,
  onLine: (line: LogLine) => void,
  bindings: Record<string, unknown> = {},
): Logger {
  const write =
    (level: LogLine['level']) =>
    (fields: object, message: string): void =>
      onLine({ atMs: clock.monotonicMs(), level, fields: { ...bindings, ...fields }, message });
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (more) => createLogCollector(clock, onLine, { ...bindings, ...more }),
  };
}
