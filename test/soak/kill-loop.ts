/**
 * Kills a real node, under load, at random moments, again and again, and looks for anything lost that it had
 * acknowledged: blocks, transactions taken by the API, agreed and final blocks, its own votes and their guard.
 *
 *   node test/soak/kill-loop.ts --iterations 1000 --seed 1 [--keep] [--quiet]
 *
 * The node is the only voter and miner of its net, so that nobody else could give back what it lost. After each kill
 * either the store is read here, or the node is started again and asked through its API. At the end `db verify`
 * reads everything, and everything ever acknowledged is looked for once more.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BlockTree } from '../../chain/block-tree.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../../chain/genesis.ts';
import { UNITS_PER_COIN } from '../../chain/params.ts';
import { bitsForHashes } from '../../chain/target.ts';
import type { BlockId, TxId } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import { nobleBackend } from '../../crypto/noble-backend.ts';
import { createSystemClock } from '../../node/adapters.ts';
import { openLevelStore } from '../../node/store/open-level-store.ts';
import { verifyStore } from '../../node/store/verify-store.ts';
import { createInlineVerifier } from '../../node/verify/inline-verifier.ts';
import { GrapevineClient, GrapevineError } from '../../scripts/client.ts';
import { devAccount, devVoter } from '../../scripts/dev-accounts.ts';
import { findFreePort } from '../../scripts/devnet/ports.ts';
import type { NodeStartedMessage } from '../../scripts/node.ts';
import { untilAdmitted } from '../../scripts/until-admitted.ts';

export interface KillLoopOptions {
  readonly iterations: number;
  readonly seed: number;
  /** Hears of each iteration. */
  readonly onIteration?: (line: string) => void;
  /** Leave the directory behind; it is left in any case where something was lost. */
  readonly keep?: boolean;
}

export interface KillLoopReport {
  readonly iterations: number;
  readonly seed: number;
  /** Killed before the API answered. */
  readonly killedStarting: number;
  /** Acknowledged in all. */
  readonly blocks: number;
  readonly transactions: number;
  readonly votes: number;
  readonly agreed: number;
  readonly finals: number;
  readonly height: number;
  readonly seconds: number;
  /** Nothing, or there is a bug. */
  readonly losses: readonly string[];
  readonly directory: string;
}

const CLI = fileURLToPath(new URL('../../scripts/cli.ts', import.meta.url));
const SENDERS = 3;
const BLOCK_MS = 100;
const HASH_BUDGET = 0.1;
/** A node is killed within this long after its start, or, one time in four, of its process's. */
const MAX_LIFE_MS = 1_200;
const START_DEADLINE_MS = 60_000;
const POLL_MS = 25;
/** Asked for through the API after a restart; the others are looked for at the end. */
const ASKED = 40;
const clock = createSystemClock();

/** What a node said before it was killed. */
interface Acknowledged {
  readonly blocks: Map<bigint, BlockId>;
  readonly agreed: Map<bigint, BlockId>;
  readonly txs: Set<TxId>;
  final: bigint;
  /** Highest target of an own vote that it counted. */
  vote: bigint;
  finals: number;
  votes: number;
}

/** Runs the loop. What is lost is in the report; throws where a node can't even start again. */
export async function runKillLoop(options: KillLoopOptions): Promise<KillLoopReport> {
  const loop = new KillLoop(options, await mkdtemp(join(tmpdir(), 'grapevine-kill-')));
  return loop.run();
}

class KillLoop {
  readonly #options: KillLoopOptions;
  readonly #directory: string;
  readonly #random: () => number;
  readonly #genesis: Genesis;
  readonly #all: Acknowledged = nothing();
  readonly #losses: string[] = [];
  #killedStarting = 0;

  constructor(options: KillLoopOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#random = makeRandom(options.seed);
    this.#genesis = makeGenesis();
  }

  async run(): Promise<KillLoopReport> {
    const { iterations, seed, onIteration = () => {}, keep = false } = this.#options;
    const beganMs = clock.monotonicMs();
    await writeFile(this.#genesisPath, JSON.stringify(this.#genesis.doc));
    let last = nothing();
    for (let i = 1; i <= iterations; i += 1) {
      const before = last;
      const readsStore = this.#random() < 0.5;
      if (readsStore) await this.#checkStore(i, before);
      last = await this.#live(readsStore ? undefined : before, i);
      merge(this.#all, last);
      const lost = this.#losses.length === 0 ? '' : `; LOST: ${this.#losses.length}`;
      const seconds = ((clock.monotonicMs() - beganMs) / 1000).toFixed(0);
      onIteration(
        `${i} of ${iterations}, ${seconds} s: ${last.blocks.size} blocks, ${last.txs.size} transactions, ` +
          `vote ${this.#all.vote}, final ${this.#all.final}${lost}`,
      );
      if (this.#losses.length > 20) break;
    }
    await this.#checkStore(iterations, this.#all);
    await this.#verify();
    const height = await this.#height();
    if (this.#losses.length === 0 && !keep) await rm(this.#directory, { recursive: true, force: true });
    return {
      iterations,
      seed,
      killedStarting: this.#killedStarting,
      blocks: this.#all.blocks.size,
      transactions: this.#all.txs.size,
      votes: this.#all.votes,
      agreed: this.#all.agreed.size,
      finals: this.#all.finals,
      height,
      seconds: Math.round((clock.monotonicMs() - beganMs) / 1000),
      losses: this.#losses,
      directory: this.#directory,
    };
  }

  get #dataDir(): string {
    return join(this.#directory, 'node');
  }

  get #genesisPath(): string {
    return join(this.#directory, 'genesis.json');
  }

  get #place() {
    return { location: join(this.#dataDir, 'store'), dataDir: this.#dataDir };
  }

  // One life ----------------------------------------------------------------------------------------------------

  /** Starts the node, asks it for what it said before, loads it, kills it. */
  async #live(before: Acknowledged | undefined, iteration: number): Promise<Acknowledged> {
    const said = nothing();
    const log = openSync(join(this.#directory, 'node.log'), 'a');
    const port = await findFreePort(20_000 + Math.floor(this.#random() * 20_000), new Set());
    const flags = { genesis: this.#genesisPath, 'data-dir': this.#dataDir, 'api-port': String(port) };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(
      process.execPath,
      [
        ...[CLI, 'node', ...args, '--dev-index=0', '--listen=/ip4/127.0.0.1/tcp/0'],
        ...[`--hash-budget=${HASH_BUDGET}`, '--log-level=warn', '--log-format=json'],
      ],
      { stdio: ['ignore', log, log, 'ipc'] },
    );
    closeSync(log);
    const dead = new AbortController();
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => {
        dead.abort();
        resolve(signal ?? `status ${code}`);
      });
    });
    const started = startOf(child);
    const lifeMs = this.#random() * MAX_LIFE_MS;
    const killsStarting = this.#random() < 0.25 && before === undefined;
    if (killsStarting) {
      await pause(lifeMs, dead.signal);
      this.#killedStarting += 1;
    } else {
      const message = await Promise.race([started, exited, pause(START_DEADLINE_MS, dead.signal)]);
      if (typeof message !== 'object') {
        child.kill('SIGKILL');
        throw new Error(
          `iteration ${iteration}: the node did not start: ${message ?? 'too slow'}\n${await this.#logEnd()}`,
        );
      }
      const client = new GrapevineClient({ url: message.apiUrl, timeoutMs: 20_000 });
      if (before !== undefined) await this.#ask(client, before, iteration);
      const load = this.#load(client, said, dead.signal);
      await pause(lifeMs, dead.signal);
      child.kill('SIGKILL');
      await exited;
      await load;
    }
    child.kill('SIGKILL');
    const how = await exited;
    if (how !== 'SIGKILL') {
      throw new Error(`iteration ${iteration}: the node ended by itself: ${how}\n${await this.#logEnd()}`);
    }
    return said;
  }

  /** Sends transactions and listens, until the node is gone. */
  async #load(client: GrapevineClient, said: Acknowledged, signal: AbortSignal): Promise<void> {
    const untilDead = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        if (!signal.aborted && !isGone(error)) throw error;
      }
    };
    const listen = untilDead(async () => {
      for await (const event of client.events(['block', 'agreed', 'final'], { signal })) {
        if (event.type === 'hello') continue;
        if (event.type !== 'block' && event.type !== 'agreed' && event.type !== 'final') continue;
        const height = BigInt(event.height);
        const id = event.id as BlockId;
        if (event.type === 'block') said.blocks.set(height, id);
        if (event.type === 'agreed') said.agreed.set(height, id);
        if (event.type === 'final') {
          said.finals += 1;
          if (height > said.final) said.final = height;
        }
      }
    });
    const voter = formatAddress(devVoter(0).address);
    const poll = untilDead(async () => {
      while (!signal.aborted) {
        for (const { height, links } of (await client.tip()).votes) {
          if (!links.some(({ voters }) => voters.includes(voter)) || BigInt(height) <= said.vote) continue;
          said.vote = BigInt(height);
          said.votes += 1;
        }
        await clock.sleep(POLL_MS, signal);
      }
    });
    const senders = Array.from({ length: SENDERS }, (_, i) =>
      untilDead(async () => {
        const { secretKey, address } = devAccount(i);
        const to = formatAddress(devAccount(i + SENDERS).address);
        let nonce = BigInt((await client.account(formatAddress(address))).pendingNonce);
        while (!signal.aborted) {
          const transfer = { secretKey, to, amount: 1n, nonce };
          const { id } = await untilAdmitted(() => client.sendTransaction(transfer), clock, signal);
          said.txs.add(id as TxId);
          nonce += 1n;
        }
      }),
    );
    await Promise.all([listen, poll, ...senders]);
  }

  // Looking for what was said -----------------------------------------------------------------------------------

  /** Through the API of the node that was started again. */
  async #ask(client: GrapevineClient, before: Acknowledged, iteration: number): Promise<void> {
    const lost = (what: string): void => this.#lost(iteration, `${what} (asked the API)`);
    const tip = await client.tip();
    if (BigInt(tip.final.height) < before.final) lost(`final ${before.final}: it is ${tip.final.height}`);
    for (const [height, id] of [...before.blocks].slice(-ASKED)) {
      const block = await client.block(String(height)).catch(notFound);
      if (block?.id !== id) lost(`block ${height} ${id}: there is ${block?.id}`);
    }
    for (const id of [...before.txs].slice(-ASKED)) {
      const status = await client.transaction(id).catch(notFound);
      if (status === undefined || status.state === 'dropped') lost(`transaction ${id}: ${status?.reason ?? 'unknown'}`);
    }
  }

  /** In the store itself. */
  async #checkStore(iteration: number, said: Acknowledged): Promise<void> {
    const lost = (what: string): void => this.#lost(iteration, `${what} (read the store)`);
    const store = await openLevelStore(this.#place);
    try {
      const stored = await store.load(this.#genesis.chainId);
      if (stored === undefined) {
        if (said.blocks.size + said.txs.size > 0) lost('the whole chain');
        return;
      }
      const tree = new BlockTree(stored.entries);
      tree.setTip(stored.tip);
      for (const [height, id] of said.blocks) {
        const found = tree.mainAt(height)?.header.id;
        if (found !== id || (await store.block(id)) === undefined) lost(`block ${height} ${id}: there is ${found}`);
      }
      for (const [height, id] of said.agreed) {
        const certificate = await store.certificate(height);
        if (certificate?.target.id !== id) lost(`certificate of ${height} ${id}`);
      }
      if (stored.final.height < said.final) lost(`final ${said.final}: it is ${stored.final.height}`);
      const guard = await store.voteGuard(devVoter(0).address);
      if ((guard?.targetHeight ?? 0n) < said.vote) lost(`guard of vote ${said.vote}: it is ${guard?.targetHeight}`);
      const mempool = new Set(stored.mempool.map(({ id }) => id));
      for (const id of said.txs) {
        if (mempool.has(id)) continue;
        const location = await store.txLocation(id);
        if (location === undefined || !tree.isOnMain(location.block)) lost(`transaction ${id}`);
      }
      let supply = 0n;
      for (const { balance } of stored.accounts.values()) supply += balance;
      const { accounts, params } = this.#genesis;
      let paid = params.blockReward * tree.tip.header.height;
      for (const { balance } of accounts.values()) paid += balance;
      if (supply !== paid) lost(`supply: ${supply}, not ${paid}`);
    } finally {
      await store.close();
    }
  }

  async #verify(): Promise<void> {
    const { faults } = await verifyStore(this.#place, {
      genesis: this.#genesis,
      verifier: createInlineVerifier(nobleBackend, clock),
      signatures: false,
      nowMs: clock.nowMs(),
      onProgress: () => {},
      onMigrated: () => {},
    });
    for (const { kind, detail } of faults) this.#lost(this.#options.iterations, `db verify: ${kind}: ${detail}`);
  }

  async #height(): Promise<number> {
    const store = await openLevelStore(this.#place);
    const stored = await store.load(this.#genesis.chainId);
    await store.close();
    return stored === undefined ? 0 : Number(stored.entries.at(-1)!.header.height);
  }

  #lost(iteration: number, what: string): void {
    this.#losses.push(`iteration ${iteration}: ${what}`);
  }

  async #logEnd(): Promise<string> {
    return (await readFile(join(this.#directory, 'node.log'), 'utf8')).slice(-4_000);
  }
}

function makeGenesis(): Genesis {
  const accounts = Array.from({ length: 2 * SENDERS }, (_, i) => devAccount(i).address);
  return parseGenesis(
    genesisDoc({
      name: 'devnet',
      timestampMs: Math.floor(clock.nowMs()),
      alloc: accounts.map((address) => ({ address, balance: 10_000n * UNITS_PER_COIN })),
      voters: [devVoter(0).address],
      params: { blockTimeMs: BLOCK_MS, initialBits: bitsForHashes(4_000n) },
    }),
  );
}

function nothing(): Acknowledged {
  return { blocks: new Map(), agreed: new Map(), txs: new Set(), final: 0n, vote: 0n, finals: 0, votes: 0 };
}

function merge(all: Acknowledged, said: Acknowledged): void {
  for (const [height, id] of said.blocks) all.blocks.set(height, id);
  for (const [height, id] of said.agreed) all.agreed.set(height, id);
  for (const id of said.txs) all.txs.add(id);
  if (said.final > all.final) all.final = said.final;
  if (said.vote > all.vote) all.vote = said.vote;
  all.finals += said.finals;
  all.votes += said.votes;
}

/** Ends early where the node does. */
function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return clock.sleep(delayMs, signal).catch(() => undefined);
}

function startOf(child: ChildProcess): Promise<NodeStartedMessage> {
  return new Promise((resolve) => {
    child.once('message', (message) => resolve(message as NodeStartedMessage));
  });
}

/** What a request says whose node was killed. */
function isGone(error: unknown): boolean {
  return error instanceof GrapevineError && error.status === 0;
}

function notFound(error: unknown): undefined {
  if (error instanceof GrapevineError && error.status === 404) return undefined;
  throw error;
}

/** Mulberry32: the same moments for the same seed, as far as processes go. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      iterations: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '1' },
      keep: { type: 'boolean', default: false },
      quiet: { type: 'boolean', default: false },
    },
  });
  const report = await runKillLoop({
    iterations: Number(values.iterations),
    seed: Number(values.seed),
    keep: values.keep,
    ...(values.quiet ? {} : { onIteration: (line) => console.error(line) }),
  });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.losses.length === 0 ? 0 : 1;
}
