/** A development network on this machine: N nodes in N processes, from start over ready to a report at the end. */
import { join } from 'node:path';
import { formatAddress } from '../../crypto/address.ts';
import type { SigningBackend } from '../../crypto/signature.ts';
import { makeDirectory } from '../../node/make-directory.ts';
import type { Clock, Rng } from '../../node/ports.ts';
import { GrapevineClient as Client, type GrapevineClient, type NodeStatus } from '../client.ts';
import { devAccounts, devCanary } from '../dev-accounts.ts';
import type { NodeStartedMessage } from '../node.ts';
import { createKeepAliveRequest } from './keep-alive-request.ts';
import { LoadSender } from './load-sender.ts';
import { closedNetFlags, planNet } from './net-plan.ts';
import type { NetworkDir } from './network-dir.ts';
import { NodeCounts } from './node-counts.ts';
import { NodeProcess } from './node-process.ts';
import {
  type AgreementState,
  AgreementWatch,
  comparedHeight,
  differenceOf,
  type NodeView,
  type Outcome,
  tipLag,
} from './outcome.ts';
import { type DevnetReport, reportOf } from './report.ts';
import { residentBytes } from './resident-memory.ts';
import type { Screen } from './screen.ts';
import { Traffic } from './traffic.ts';

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

/** Ready must come within this; a machine that is slower than that has another problem. */
const READY_DEADLINE_MS = 60_000;
/** After the load ends: until what is pending is mined and agreed everywhere. Longer than agreement may stand still. */
const SETTLE_MS = 30_000;
/** The same for somebody who waits for the end. */
const HURRIED_MS = 2_000;
const POLL_MS = 25;

/** What each transaction of the load pays, in units. */
const AMOUNT = 1_000n;
const MEMO = new TextEncoder().encode('devnet load');

interface Member {
  readonly process: NodeProcess;
  readonly client: GrapevineClient;
  status: NodeStatus | undefined;
  /** Of incarnations that are gone. */
  readonly counts: NodeCounts;
  stopEvents: AbortController;
}

/**
 * Owns the nodes' processes, and the load that is sent to them. Made by `start`; `stop` ends all of it and may be
 * called at any time, more than once. A node that ends by itself is not started again: it is one of the report's
 * errors.
 */
export class Devnet {
  readonly #options: DevnetOptions;
  readonly #members: Member[] = [];
  readonly #traffic: Traffic;
  readonly #sender: LoadSender;
  readonly #request = createKeepAliveRequest();
  readonly #agreementWatch: AgreementWatch;
  #agreement: AgreementState = 'reached';
  #unexpectedExits = 0;
  #failures = 0;
  #kills = 0;
  #rssMaxMb = 0;
  #readyMs = 0;
  #isStopping = false;

  private constructor(options: DevnetOptions) {
    this.#options = options;
    const { genesis } = options.dir;
    this.#agreementWatch = new AgreementWatch(genesis.params.checkpointInterval);
    this.#traffic = new Traffic(options.clock, options.ratePerS);
    this.#sender = new LoadSender({
      nodes: () =>
        this.#members.map(({ process, client }) => ({ name: process.name, client, isRunning: process.isRunning })),
      accounts: devAccounts(),
      chainId: genesis.chainId,
      amount: AMOUNT,
      fee: genesis.params.minFee,
      memo: MEMO,
      clock: options.clock,
      rng: options.rng,
      backend: options.backend,
      listener: this.#traffic,
    });
  }

  /**
   * Starts all processes; resolves when each one's API answers. On failure stops those that did start.
   *
   * @throws the signal's reason where it is aborted; once it is, no process is started
   */
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

  /** Of the nodes, in order. */
  get clients(): readonly GrapevineClient[] {
    return this.#members.map(({ client }) => client);
  }

  /** Load from the development accounts, as {@link LoadSender.run}. */
  sendLoad(signal: AbortSignal, hurry: AbortSignal, ratePerS = this.#options.ratePerS): Promise<void> {
    return this.#sender.run(ratePerS, signal, hurry);
  }

  async #startAll(): Promise<void> {
    const { dir, basePort, hashBudget, logLevel, nodeArgs, screen, rng } = this.#options;
    const { nodes } = dir.shape;
    const places = await planNet({ nodes, basePort, rng, say: (line) => screen.say(line) });
    for (const [index, { apiPort, p2pPort, bootstrap }] of places.entries()) {
      const dataDir = dir.nodeDir(index);
      await makeDirectory(dataDir);
      const process = new NodeProcess(
        {
          index,
          dataDir,
          logPath: join(dir.path, `node${index + 1}.log`),
          genesisPath: dir.genesisPath,
          apiPort,
          p2pPort,
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
        counts: new NodeCounts(),
        stopEvents: new AbortController(),
      });
    }
    this.#options.signal.throwIfAborted();
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
          if ((await client.transaction(id).catch(() => undefined)) === undefined) return false; // not there yet, or no answer
        }
        return true;
      },
    );
    this.#readyMs = Math.round(clock.monotonicMs() - startedAtMs);
    return this.#readyMs;
  }

  /** Asks every node for its status. */
  async refresh(): Promise<readonly NodeView[]> {
    await Promise.all(
      this.#members.map(async (member) => {
        member.status = member.process.isRunning ? await member.client.status().catch(() => undefined) : undefined;
      }),
    );
    const views = this.#members.map(({ process, status }) => ({ name: process.name, status }));
    this.#agreement = this.#agreementWatch.add(views, this.#options.clock.monotonicMs());
    return views;
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
    await this.#bankCounts(member);
    member.stopEvents.abort();
    await member.process.end('SIGKILL');
    this.#kills += 1;
    screen.say(`${member.process.name} killed`);
    if (this.#isStopping) return;
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
   * Waits until the load is mined and agreed and the nodes agree, then counts. A while at most: what has not settled by
   * then is counted as it stands. When the signal aborts, no longer than the nodes' tips may just be moving.
   */
  async settleAndReport(signal: AbortSignal): Promise<DevnetReport> {
    const { clock } = this.#options;
    const { client } = this.#members[0]!;
    const deadline = clock.monotonicMs() + SETTLE_MS;
    let abortedAtMs: number | undefined;
    let outcome = await this.#measure();
    await this.#until(
      deadline,
      () => '',
      async () => {
        await this.#traffic.recount(client, signal);
        outcome = await this.#measure();
        if (signal.aborted) abortedAtMs ??= clock.monotonicMs();
        if (abortedAtMs !== undefined) return outcome.sameTip || clock.monotonicMs() - abortedAtMs > HURRIED_MS;
        // A node that is gone will not settle: it is reported as it stands.
        if (this.#members.some(({ process }) => !process.isRunning)) return true;
        const { submitted, mined } = this.#traffic.counts;
        if (mined < submitted || !outcome.sameTip) return false;
        if (outcome.agreement !== 'reached') return outcome.agreement === 'off';
        await this.#traffic.recountAgreed(client, signal);
        return this.#traffic.counts.agreed >= submitted;
      },
    ).catch(() => undefined); // what has not settled by then is reported as it stands
    await this.refresh();
    await Promise.all(this.#members.map((member) => this.#bankCounts(member)));
    await this.sampleMemory();
    const { difference, ...agreement } = outcome;
    return reportOf({
      counts: this.#members.map(({ counts }) => counts),
      readyMs: this.#readyMs,
      traffic: this.#traffic,
      sender: this.#sender,
      outcome: agreement,
      difference,
      otherErrors: this.#unexpectedExits + this.#failures,
      kills: this.#kills,
      rssMaxMb: this.#rssMaxMb,
    });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const { stopEvents } of this.#members) stopEvents.abort();
    await Promise.all(this.#members.map(({ process }) => process.end('SIGTERM')));
  }

  async #measure(): Promise<Outcome & { readonly difference: string | undefined }> {
    const { dir } = this.#options;
    const nodes = await this.refresh();
    const lag = tipLag(dir.shape.blockTimeMs);
    const height = comparedHeight(nodes, lag);
    const ids = await Promise.all(
      this.#members.map(({ client }) =>
        client.blocks({ from: String(height), limit: 1 }).then(
          ({ blocks }) => blocks.find((block) => block.height === String(height))?.id,
          () => undefined, // a node that does not answer has not the same block
        ),
      ),
    );
    const difference = differenceOf(nodes, height, ids, lag);
    const lowest = (pick: (status: NodeStatus) => string): number =>
      Math.min(...nodes.map(({ status }) => (status === undefined ? 0 : Number(pick(status)))));
    return {
      height: Math.max(...nodes.map(({ status }) => Number(status?.tip.height ?? 0))),
      agreedHeight: lowest((status) => status.agreed.height),
      finalHeight: lowest((status) => status.final.height),
      sameTip: difference === undefined,
      agreement: this.#agreement,
      difference,
    };
  }

  /** Adds a node's counters to those of its earlier incarnations: they begin anew with each process. */
  async #bankCounts(member: Member): Promise<void> {
    if (member.status === undefined) return;
    member.counts.add(member.status, await member.client.metrics().catch(() => '')); // it may be dying
  }

  #follow(member: Member, signal: AbortSignal): void {
    const { screen } = this.#options;
    const run = async (): Promise<void> => {
      const { sample } = this.#traffic;
      for await (const event of member.client.events(['tx', 'block', 'reorg', 'agreed'], { signal, sample })) {
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

/** From the kernel where it says it: to write out all its metrics is no small part of what a node does at rest. */
async function memoryOf({ process, client }: Member): Promise<number> {
  const bytes = residentBytes(process.pid);
  if (bytes !== undefined) return bytes;
  const metrics = await client.metrics().catch(() => ''); // one that does not answer may be dying
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)?.[1] ?? 0);
}
