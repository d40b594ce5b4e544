/**
 * Sends transactions at a steady rate, each account's at one node while that node runs. An account has one request
 * under way at a time, and sends again what was not taken, so that a refusal leaves no gap in its nonces; what falls due
 * meanwhile goes with the next. So where nodes answer slowly requests are larger, not more.
 */
import { type Address, formatAddress } from '../../crypto/address.ts';
import type { KeyPair } from '../../crypto/mnemonic.ts';
import { MAX_SUBMIT_BATCH } from '../../node/api/limits.ts';
import type { Clock, Rng } from '../../node/ports.ts';
import { type GrapevineClient, GrapevineError, isForNow } from '../client.ts';
import { type Answer, LoadAccount, type LoadAccountOptions, type Unsettled } from './load-account.ts';

export interface LoadNode {
  readonly name: string;
  readonly client: Pick<GrapevineClient, 'account' | 'submitBatch'>;
  readonly isRunning: boolean;
}

/** Hears what becomes of the load. */
export interface LoadListener {
  /**
   * @param id hex
   * @param sinceMs when it fell due, or was sent again after a refusal
   * @param expected names of the nodes that are up: those it must reach
   */
  onSent(id: string, sinceMs: number, expected: ReadonlySet<string>): void;
  onTaken(id: string): void;
  /** For now or for good. */
  onRefused(id: string): void;
}

export interface LoadSenderOptions extends Omit<LoadAccountOptions, 'key'> {
  readonly nodes: () => readonly LoadNode[];
  readonly accounts: readonly KeyPair[];
  readonly clock: Clock;
  readonly rng: Rng;
  readonly listener: LoadListener;
}

/** Between two looks at what is due: at high rates a request to each node so often. */
const MIN_INTERVAL_MS = 20;
/** A node that did not answer, or took no more of a request, is sent nothing for so long, nor what stands behind a gap. */
const PAUSE_MS = 1_000;
/** After the load ends, for what no node has taken yet. */
const FINISH_MS = 10_000;

/** What the node would take if it had what stands before it, or had mined some: the sender waits, and no other. */
const WAITING: ReadonlySet<string> = new Set(['tx/nonce-gap', 'tx/sender-limit', 'tx/pool-full']);

type SubmitBatch = GrapevineClient['submitBatch'];

interface Parcel {
  readonly account: LoadAccount;
  readonly item: Unsettled;
}

/**
 * One `run` at a time; `rejected` and `heldBack` count over all of them. That a node refuses, or does not answer, is
 * no failure of the run.
 */
export class LoadSender {
  readonly #options: LoadSenderOptions;
  readonly #accounts: readonly LoadAccount[];
  /** By name, until when a node is sent nothing. */
  readonly #pausedUntilMs = new Map<string, number>();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #failures: unknown[] = [];
  #turn = 0;
  #rejected = 0;
  #heldBack = 0;

  constructor(options: LoadSenderOptions) {
    this.#options = options;
    this.#accounts = options.accounts.map((key) => new LoadAccount({ ...options, key }));
  }

  /** Refused for what they are. */
  get rejected(): number {
    return this.#rejected;
  }

  /**
   * Due while a node or an account waited, or more than an account keeps, and so never made; signed and not taken before
   * another of its account was rejected; and what no node had said to have taken when the load ended.
   */
  get heldBack(): number {
    return this.#heldBack;
  }

  /**
   * Sends `rate` transactions a second until the signal aborts; then what is due, and waits for answers.
   *
   * @param hurry when it aborts, nothing more is sent
   * @throws what a request failed with, other than that the node refused or did not answer: the run ends with it
   */
  async run(rate: number, signal: AbortSignal, hurry: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const begin = clock.monotonicMs();
    const dueAtMs = (count: number): number => begin + (count * 1000) / rate;
    let made = 0;
    while (!signal.aborted && this.#failures.length === 0) {
      for (; dueAtMs(made) <= clock.monotonicMs(); made++) this.#makeDue(dueAtMs(made));
      this.#sendAll();
      const waitMs = this.#hasWork ? 0 : dueAtMs(made) - clock.monotonicMs();
      await clock.sleep(Math.max(MIN_INTERVAL_MS, waitMs), signal).catch(() => undefined); // aborted: the condition ends it
    }
    const endMs = clock.monotonicMs() + FINISH_MS;
    while (this.#hasWork && this.#failures.length === 0) {
      if (hurry.aborted || clock.monotonicMs() >= endMs) break;
      this.#sendAll();
      await clock.sleep(MIN_INTERVAL_MS, hurry).catch(() => undefined); // aborted: the condition ends it
    }
    await Promise.all(this.#inFlight);
    for (const account of this.#accounts) this.#heldBack += account.dropDue() + account.dropUnsettled();
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  get #hasWork(): boolean {
    return this.#accounts.some(({ hasWork }) => hasWork);
  }

  #makeDue(atMs: number): void {
    const account = this.#accounts[this.#turn++ % this.#accounts.length];
    if (account?.addDue(atMs) !== true) this.#heldBack += 1;
  }

  /** To each running node what its accounts have, unless it wants none. */
  #sendAll(): void {
    const running = this.#options.nodes().filter(({ isRunning }) => isRunning);
    const expected = new Set(running.map(({ name }) => name));
    const nowMs = this.#options.clock.monotonicMs();
    for (const [at, node] of running.entries()) {
      const isPaused = nowMs < (this.#pausedUntilMs.get(node.name) ?? nowMs);
      const accounts: LoadAccount[] = [];
      for (const [index, account] of this.#accounts.entries()) {
        if (index % running.length !== at || !account.hasWork || account.isInFlight) continue;
        if (isPaused || nowMs < account.waitsUntilMs) this.#heldBack += account.dropDue();
        else accounts.push(account);
      }
      if (accounts.length === 0) continue;
      const answered = this.#send(node, accounts, expected)
        // Thrown by `run`: nobody would handle it before, and an unhandled rejection ends the process.
        .catch((error: unknown) => {
          this.#failures.push(error);
        })
        .finally(() => {
          for (const account of accounts) account.isInFlight = false;
          this.#inFlight.delete(answered);
        });
      for (const account of accounts) account.isInFlight = true;
      this.#inFlight.add(answered);
    }
  }

  async #send(node: LoadNode, accounts: readonly LoadAccount[], expected: ReadonlySet<string>): Promise<void> {
    const { listener } = this.#options;
    try {
      await this.#learnNonces(node, accounts);
      const limit = Math.floor(MAX_SUBMIT_BATCH / accounts.length);
      const parcels = accounts.flatMap((account): Parcel[] =>
        account.next(limit, () => this.#receiver(account)).map((item) => ({ account, item })),
      );
      const nowMs = this.#options.clock.monotonicMs();
      for (const { item } of parcels) listener.onSent(item.tx.id, item.sinceMs ?? nowMs, expected);
      const results = await node.client.submitBatch(parcels.map(({ item }) => item.tx));
      this.#onAnswers(node, parcels, results);
    } catch (error) {
      if (!(error instanceof GrapevineError)) throw error;
      this.#onFailure(node, accounts, error);
    }
  }

  /** Waits for all answers, for an account with a question under way is in flight. */
  async #learnNonces({ client }: LoadNode, accounts: readonly LoadAccount[]): Promise<void> {
    const asked = accounts.filter(({ needsNonce }) => needsNonce);
    const answers = await Promise.allSettled(asked.map(({ address }) => client.account(formatAddress(address))));
    for (const [at, answer] of answers.entries()) {
      if (answer.status === 'rejected') throw answer.reason;
      asked[at]!.learnNonce(BigInt(answer.value.pendingNonce));
    }
  }

  /** Any other account. */
  #receiver(account: LoadAccount): Address {
    const others = this.#accounts.filter((each) => each !== account);
    return (others[Math.floor(this.#options.rng.unit() * others.length)] ?? account).address;
  }

  #onAnswers(node: LoadNode, parcels: readonly Parcel[], results: Awaited<ReturnType<SubmitBatch>>): void {
    const { listener, clock } = this.#options;
    const answers = new Map<Unsettled, Answer>();
    for (const [at, { account, item }] of parcels.entries()) {
      const result = results[at]!;
      if ('state' in result) {
        answers.set(item, 'taken');
        listener.onTaken(result.id);
        continue;
      }
      refuse(item, listener);
      if (isForNow(result.code)) {
        this.#pause(node, Math.max(PAUSE_MS, (result.retryAfterS ?? 0) * 1000));
      } else if (WAITING.has(result.code)) {
        account.waitsUntilMs = clock.monotonicMs() + PAUSE_MS;
      } else {
        this.#rejected += 1;
        answers.set(item, 'rejected');
      }
    }
    for (const account of new Set(parcels.map((parcel) => parcel.account))) this.#heldBack += account.settle(answers);
  }

  #onFailure(node: LoadNode, accounts: readonly LoadAccount[], { status, retryAfterS }: GrapevineError): void {
    if (retryAfterS === undefined && (status === 0 || status >= 500)) {
      this.#pause(node, PAUSE_MS); // it may have taken them: they go again as they are
      return;
    }
    for (const account of accounts) {
      for (const item of account.unsettled) refuse(item, this.#options.listener);
      if (retryAfterS === undefined) this.#rejected += account.dropDue() + account.dropUnsettled();
    }
    if (retryAfterS !== undefined) this.#pause(node, retryAfterS * 1000);
  }

  #pause({ name }: LoadNode, ms: number): void {
    this.#pausedUntilMs.set(name, this.#options.clock.monotonicMs() + ms);
  }
}

function refuse(item: Unsettled, listener: LoadListener): void {
  item.sinceMs = undefined;
  listener.onRefused(item.tx.id);
}
