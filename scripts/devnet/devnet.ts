/** A development network on this machine: N nodes in N processes, from start over ready to a report at the end. */
import { join } from 'node:path';
import { formatAddress } from '../../crypto/address.ts';
import type { SigningBackend } from '../../crypto/signature.ts';
import { makeDirectory } from '../../node/make-directory.ts';
import { peerIdOfSeed } from '../../node/net/identity.ts';
import type { Clock, Rng } from '../../node/ports.ts';
import { GrapevineClient as Client, type GrapevineClient, type NodeStatus } from '../client.ts';
import { devAccounts, devCanary, devIdentitySeed } from '../dev-accounts.ts';
import type { NodeStartedMessage } from '../node.ts';
import { createKeepAliveRequest } from './keep-alive-request.ts';
import type { NetworkDir } from './network-dir.ts';
import { NodeProcess } from './node-process.ts';
import { findFreePort } from './ports.ts';
import { residentBytes } from './resident-memory.ts';
import type { Screen } from './screen.ts';
import { type Percentiles, Traffic } from './traffic.ts';

export interface DevnetOptions {
  readonly dir: NetworkDir;
  readonly basePort: number;
  readonly hashBudget: number;
  readonly logLevel: string;
  /** Flags for every node, after the devnet's own. */
  readonly nodeArgs: readonly string[];
  readonly clock: Clock;
  readonly rng: Rng;
  readonly screen: Screen;
  /** Signs the load; `ratePerS` transactions a second will be asked for. */
  readonly backend: SigningBackend;
  readonly ratePerS: number;
  /** `startedAtMs` on the monotonic clock: readiness is counted from here. */
  readonly startedAtMs: number;
  /** Aborts the start: what has been started is stopped. */
  readonly signal: AbortSignal;
}

export interface DevnetReport {
  readonly nodes: number;
  readonly readyMs: number;
  readonly submitted: number;
  readonly mined: number;
  /** While the load ran, by the blocks that hold it. */
  readonly minedPerS: number;
  readonly rejected: number;
  readonly heldBack: number;
  readonly height: number;
  readonly agreedHeight: number;
  readonly finalHeight: number;
  readonly sameTip: boolean;
  readonly propagationMs: Percentiles;
  /** Of each gossip message that a node received, and of each transaction, whichever batches it came in. */
  readonly copiesPerMessage: number;
  readonly copiesPerTx: number;
  readonly errors: number;
  readonly kills: number;
  readonly rssMb: { readonly max: number };
}

/** Ready must come within this; a machine that is slower than that has another problem. */
const READY_DEADLINE_MS = 60_000;
/** After the load ends: until what is pending is mined and final everywhere. */
const SETTLE_MS = 30_000;
const POLL_MS = 25;
/** Nodes that each node dials at start. All of them up to this many; beyond, a ring and random others. */
const BOOTSTRAP_PEERS = 8;
/** p2p ports begin this far above the API's. */
const P2P_PORT_OFFSET = 100;

interface Member {
  readonly process: NodeProcess;
  readonly client: GrapevineClient;
  status: NodeStatus | undefined;
  /** Of incarnations that are gone. */
  pastErrors: number;
  pastMessages: number;
  pastCopies: number;
  pastTxs: number;
  pastTxCopies: number;
  stopEvents: AbortController;
}

export class Devnet {
  readonly #options: DevnetOptions;
  readonly #members: Member[] = [];
  readonly #traffic: Traffic;
  readonly #request = createKeepAliveRequest();
  #unexpectedExits = 0;
  #failures = 0;
  #kills = 0;
  #rssMaxMb = 0;
  #readyMs = 0;
  #isStopping = false;

  private constructor(options: DevnetOptions) {
    this.#options = options;
    const { genesis } = options.dir;
    this.#traffic = new Traffic({
      nodes: () =>
        this.#members.map(({ process, client }) => ({ name: process.name, client, isRunning: process.isRunning })),
      accounts: devAccounts(),
      chainId: genesis.chainId,
      minFee: genesis.params.minFee,
      clock: options.clock,
      rng: options.rng,
      backend: options.backend,
      rate: options.ratePerS,
    });
  }

  /** Starts all processes; resolves when each one's API answers. On failure stops those that did start. */
  static async start(options: DevnetOptions): Promise<Devnet> {
    const devnet = new Devnet(options);
    const onAbort = (): void => {
      void devnet.stop(); // a node that is stopped while it starts makes the start fail
    };
    options.signal.addEventListener('abort', onAbort);
    try {
      await devnet.#startAll();
      options.signal.throwIfAborted();
      return devnet;
    } catch (error) {
      await devnet.stop();
      throw error;
    } finally {
      options.signal.removeEventListener('abort', onAbort);
    }
  }

  /** Something of the run failed that no node counts: it is one of the report's errors. */
  noteFailure(): void {
    this.#failures += 1;
  }

  get traffic(): Traffic {
    return this.#traffic;
  }

  async #startAll(): Promise<void> {
    const { dir, basePort, hashBudget, logLevel, nodeArgs, screen, rng } = this.#options;
    const taken = new Set<number>();
    const ports: { readonly api: number; readonly p2p: number }[] = [];
    const choose = async (wanted: number, what: string): Promise<number> => {
      const port = await findFreePort(wanted, taken);
      taken.add(port);
      if (port !== wanted) screen.say(`port ${wanted} is in use: ${what} takes ${port}`);
      return port;
    };
    const { nodes } = dir.shape;
    for (let index = 0; index < nodes; index++) {
      ports.push({
        api: await choose(basePort + 1 + index, `the API of node${index + 1}`),
        p2p: await choose(basePort + 1 + Math.max(P2P_PORT_OFFSET, nodes) + index, `node${index + 1}`),
      });
    }
    const addresses = ports.map(
      ({ p2p }, index) => `/ip4/127.0.0.1/tcp/${p2p}/p2p/${peerIdOfSeed(devIdentitySeed(index))}`,
    );
    for (const [index, { api, p2p }] of ports.entries()) {
      const dataDir = dir.nodeDir(index);
      await makeDirectory(dataDir);
      const bootstrap = bootstrapOf(index, addresses, rng);
      const process = new NodeProcess(
        {
          index,
          dataDir,
          logPath: join(dir.path, `node${index + 1}.log`),
          genesisPath: dir.genesisPath,
          apiPort: api,
          p2pPort: p2p,
          bootstrap,
          extraFlags: [
            ...closedNetFlags(bootstrap, nodes, nodeArgs),
            `--hash-budget=${hashBudget}`,
            `--log-level=${logLevel}`,
            ...nodeArgs,
          ],
        },
        (node, how) => {
          this.#unexpectedExits += 1;
          screen.say(`${node.name} ended unexpectedly (${how}); see ${node.launch.logPath}`);
        },
      );
      const client = new Client({
        url: process.apiUrl,
        timeoutMs: 10_000,
        clock: this.#options.clock,
        request: this.#request,
      });
      this.#members.push({
        process,
        client,
        status: undefined,
        pastErrors: 0,
        pastMessages: 0,
        pastCopies: 0,
        pastTxs: 0,
        pastTxCopies: 0,
        stopEvents: new AbortController(),
      });
    }
    const started = await Promise.all(this.#members.map((member) => this.#launch(member)));
    for (const [index, { apiUrl, peerId }] of started.entries()) screen.say(`node${index + 1}  ${apiUrl}  ${peerId}`);
  }

  async #launch(member: Member): Promise<NodeStartedMessage> {
    const started = await member.process.start();
    member.stopEvents = new AbortController();
    this.#follow(member, member.stopEvents.signal);
    return started;
  }

  /** Ready: every mesh has formed, and a canary sent at one node has reached all. Returns the milliseconds it took. */
  async untilReady(signal: AbortSignal): Promise<number> {
    const { clock, startedAtMs } = this.#options;
    const deadline = clock.monotonicMs() + READY_DEADLINE_MS;
    let missing = 'nothing has answered yet';
    await this.#until(
      deadline,
      () => `not ready: ${missing}`,
      async () => {
        signal.throwIfAborted();
        for (const { process, client } of this.#members) {
          const readiness = await client.readiness();
          if (!readiness.ready) {
            missing = `${process.name}: ${readiness.missing.join('; ')}`;
            return false;
          }
        }
        return true;
      },
    );
    const canary = devCanary();
    const { id } = await this.#members[0]!.client.sendTransaction({
      secretKey: canary.secretKey,
      to: formatAddress(canary.address),
      amount: 1n,
      memo: 'canary',
    });
    await this.#until(
      deadline,
      () => `the canary ${id} has not reached ${missing}`,
      async () => {
        signal.throwIfAborted();
        for (const { process, client } of this.#members) {
          missing = process.name;
          if ((await client.transaction(id).catch(() => undefined)) === undefined) return false; // 404: not there yet
        }
        return true;
      },
    );
    this.#readyMs = Math.round(clock.monotonicMs() - startedAtMs);
    return this.#readyMs;
  }

  /** Asks every node for its status. */
  async refresh(): Promise<readonly { readonly name: string; readonly status: NodeStatus | undefined }[]> {
    await Promise.all(
      this.#members.map(async (member) => {
        member.status = member.process.isRunning ? await member.client.status().catch(() => undefined) : undefined;
      }),
    );
    return this.#members.map(({ process, status }) => ({ name: process.name, status }));
  }

  /** Of each node that runs, what `GET /metrics` says; '' of one that does not answer: it may be dying. */
  metrics(): Promise<readonly string[]> {
    const running = this.#members.filter(({ process }) => process.isRunning);
    return Promise.all(running.map(({ client }) => client.metrics().catch(() => '')));
  }

  /** Resident memory of the largest node process so far. */
  async sampleMemory(): Promise<void> {
    const running = this.#members.filter(({ process }) => process.isRunning);
    for (const bytes of await Promise.all(running.map(memoryOf))) {
      this.#rssMaxMb = Math.max(this.#rssMaxMb, Math.round(bytes / 1024 / 1024));
    }
  }

  /** Kills a random node with SIGKILL and starts it again; resolves when it is back in the mesh. */
  async killAndRestartOne(): Promise<void> {
    const { rng, screen, clock } = this.#options;
    const member = this.#members[Math.floor(rng.unit() * this.#members.length)]!;
    if (!member.process.isRunning) return;
    member.status = await member.client.status().catch(() => member.status);
    this.#bankCounts(member);
    member.stopEvents.abort();
    await member.process.end('SIGKILL');
    this.#kills += 1;
    screen.say(`${member.process.name} killed`);
    const begin = clock.monotonicMs();
    await this.#launch(member);
    await this.#until(
      begin + READY_DEADLINE_MS,
      () => `${member.process.name} did not come back`,
      async () => {
        return this.#isStopping || (await member.client.readiness()).ready;
      },
    );
    screen.say(`${member.process.name} back in the mesh after ${Math.round(clock.monotonicMs() - begin)} ms`);
  }

  /**
   * Waits until the load is mined and every node has the same final block, then counts.
   * @throws the signal's reason when it aborts
   */
  async settleAndReport(signal: AbortSignal): Promise<DevnetReport> {
    const { clock, dir } = this.#options;
    const deadline = clock.monotonicMs() + SETTLE_MS;
    let outcome = await this.#measure();
    await this.#until(
      deadline,
      () => '',
      async () => {
        if (signal.aborted) return true;
        await this.#traffic.recount(this.#members[0]!.client);
        const { submitted, mined } = this.#traffic.counts;
        outcome = await this.#measure();
        // A node that is gone will not settle: it is reported as it stands.
        if (this.#members.some(({ process }) => !process.isRunning)) return true;
        return mined >= submitted && outcome.sameTip && outcome.height - outcome.finalHeight <= 2;
      },
    ).catch(() => undefined); // what has not settled by then is reported as it stands
    signal.throwIfAborted();
    await this.refresh();
    for (const member of this.#members) this.#bankCounts(member);
    await this.sampleMemory();
    const total = (of: (member: Member) => number): number => this.#members.reduce((sum, each) => sum + of(each), 0);
    const ratio = (copies: number, things: number): number =>
      things === 0 ? 0 : Math.round((copies / things) * 100) / 100;
    return {
      nodes: dir.shape.nodes,
      readyMs: this.#readyMs,
      ...this.#traffic.counts,
      minedPerS: this.#traffic.minedPerS,
      ...outcome,
      propagationMs: this.#traffic.propagationMs,
      copiesPerMessage: ratio(
        total(({ pastCopies }) => pastCopies),
        total(({ pastMessages }) => pastMessages),
      ),
      copiesPerTx: ratio(
        total(({ pastTxCopies }) => pastTxCopies),
        total(({ pastTxs }) => pastTxs),
      ),
      errors:
        this.#unexpectedExits + this.#failures + this.#members.reduce((sum, { pastErrors }) => sum + pastErrors, 0),
      kills: this.#kills,
      rssMb: { max: this.#rssMaxMb },
    };
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { stopEvents } of this.#members) stopEvents.abort();
    await Promise.all(this.#members.map(({ process }) => process.end('SIGTERM')));
  }

  /** Heights of the lowest node, and whether all name the same block at the lowest final height. */
  async #measure(): Promise<Pick<DevnetReport, 'height' | 'agreedHeight' | 'finalHeight' | 'sameTip'>> {
    const statuses = (await this.refresh()).map(({ status }) => status);
    const lowest = (pick: (status: NodeStatus) => string): number =>
      Math.min(...statuses.map((status) => (status === undefined ? 0 : Number(pick(status)))));
    const finalHeight = lowest((status) => status.final.height);
    const ids = await Promise.all(
      this.#members.map(({ client }) =>
        client.block(finalHeight).then(
          ({ id }) => id,
          () => undefined, // a node that does not answer has not the same block
        ),
      ),
    );
    return {
      height: Math.max(...statuses.map((status) => Number(status?.tip.height ?? 0))),
      agreedHeight: lowest((status) => status.agreed.height),
      finalHeight,
      sameTip: ids[0] !== undefined && ids.every((id) => id === ids[0]),
    };
  }

  /** Adds a node's counters to those of its earlier incarnations: they begin anew with each process. */
  #bankCounts(member: Member): void {
    if (member.status === undefined) return;
    member.pastErrors += member.status.internalErrors;
    member.pastMessages += member.status.gossip.messages;
    member.pastCopies += member.status.gossip.copies;
    member.pastTxs += member.status.gossip.txs;
    member.pastTxCopies += member.status.gossip.txCopies;
  }

  #follow(member: Member, signal: AbortSignal): void {
    const { screen } = this.#options;
    const run = async (): Promise<void> => {
      const { sample } = this.#traffic;
      for await (const event of member.client.events(['tx', 'block', 'reorg'], { signal, sample })) {
        if (event.type !== 'hello') this.#traffic.onEvent(member.process.name, event);
      }
    };
    run().catch((error: unknown) => {
      if (!signal.aborted) screen.say(`${member.process.name}: no events: ${(error as Error).message}`);
    });
  }

  async #until(deadline: number, why: () => string, condition: () => Promise<boolean>): Promise<void> {
    const { clock } = this.#options;
    const forever = new AbortController().signal;
    while (!(await condition())) {
      if (clock.monotonicMs() > deadline) throw new Error(why());
      await clock.sleep(POLL_MS, forever);
    }
  }
}

/**
 * A net whose nodes know all others is closed, unless the user's own flags say who there is: those the devnet does not
 * know of would be strangers in it. One node alone has nobody to be closed with.
 */
export function closedNetFlags(bootstrap: readonly string[], nodes: number, nodeArgs: readonly string[]): string[] {
  if (nodeArgs.some((arg) => /^--(bootstrap|closed-net)(=|$)/.test(arg))) return [];
  return [`--closed-net=${nodes > 1 && bootstrap.length === nodes - 1}`];
}

function bootstrapOf(index: number, addresses: readonly string[], rng: Rng): string[] {
  const others = addresses.filter((_, other) => other !== index);
  if (others.length <= BOOTSTRAP_PEERS) return others;
  const chosen = new Set([addresses[(index + 1) % addresses.length]!]); // the ring keeps the net in one piece
  while (chosen.size < BOOTSTRAP_PEERS) chosen.add(others[Math.floor(rng.unit() * others.length)]!);
  return [...chosen];
}

/** From the kernel where it says it: to write out all its metrics is no small part of what a node does at rest. */
async function memoryOf({ process, client }: Member): Promise<number> {
  const bytes = residentBytes(process.pid);
  if (bytes !== undefined) return bytes;
  const metrics = await client.metrics().catch(() => ''); // one that does not answer may be dying
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)?.[1] ?? 0);
}
