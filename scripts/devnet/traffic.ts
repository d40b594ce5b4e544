/**
 * Load on the devnet, and what becomes of it: transactions at a steady rate from the ten development accounts, and
 * for each the time until every node has it.
 */
import { signTxBy } from '../../chain/sign.ts';
import type { ChainId, Tx } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import type { KeyPair } from '../../crypto/mnemonic.ts';
import { createSigner, type Signer } from '../../crypto/sign.ts';
import type { SigningBackend } from '../../crypto/signature.ts';
import { isSampled, MAX_SUBMIT_BATCH } from '../../node/api/limits.ts';
import type { Clock, Rng } from '../../node/ports.ts';
import { type ChainEvent, type GrapevineClient, GrapevineError } from '../client.ts';
import { AgreedBlocks } from './agreed-blocks.ts';
import { BlockRate } from './block-rate.ts';

export interface TrafficNode {
  readonly name: string;
  readonly client: GrapevineClient;
  readonly isRunning: boolean;
}

export interface TrafficCounts {
  readonly submitted: number;
  readonly mined: number;
  /** In agreed blocks. */
  readonly agreed: number;
  /** Refused for what they are, or not answered. */
  readonly rejected: number;
  /** Refused by an overloaded node, which asks not to be sent more for a while, or due meanwhile and so not made. */
  readonly heldBack: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Latencies kept for the percentiles: a day at 1 tx/s, ten minutes at 140. */
const MAX_SAMPLES = 86_400;
/** A transaction that some node has not shown by then (it was down) is no longer timed. */
const FORGET_MS = 60_000;
const AMOUNT = 1_000n;
/** Blocks remembered as counted: every node tells of each, one that lags later than the others. */
const MAX_COUNTED = 1_000;

const MEMO = new TextEncoder().encode('devnet load');
/** Requests that have not been answered. */
const MAX_IN_FLIGHT = 64;
/** Between two looks at what is due: at high rates a request to each node so often. */
const MIN_INTERVAL_MS = 20;
/** Timed transactions a second, about: at higher rates a sample is. */
const TIMED_PER_S = 50;

interface Account {
  readonly index: number;
  readonly key: KeyPair;
  readonly address: string;
  readonly signer: Signer;
  /** undefined: to be asked for. */
  nonce: bigint | undefined;
  isAsking: boolean;
}

interface SendRequest {
  readonly node: TrafficNode;
  /** The sender of each transaction, in order; one may come several times. */
  readonly accounts: readonly Account[];
  /** The nodes that are up: those it must reach. */
  readonly expected: ReadonlySet<string>;
}

interface Timing {
  readonly sentAtMs: number;
  readonly seenBy: Set<string>;
  /** Those it must reach. */
  readonly expected: ReadonlySet<string>;
}

export class Traffic {
  readonly #nodes: () => readonly TrafficNode[];
  readonly #accounts: readonly Account[];
  readonly #chainId: ChainId;
  readonly #minFee: bigint;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #sample: number;
  readonly #timings = new Map<string, Timing>();
  readonly #latenciesMs: number[] = [];
  readonly #ids = new Set<string>();
  readonly #mined = new Set<string>();
  readonly #minedRate = new BlockRate();
  readonly #blocks = new AgreedBlocks();
  readonly #agreed = new Set<string>();
  readonly #agreedRate = new BlockRate();
  readonly #counted = new Set<string>();
  /** By name, until when a node has asked not to be sent more. */
  readonly #pausedUntilMs = new Map<string, number>();
  #rejected = 0;
  #heldBack = 0;
  #txsInBlocks = 0;
  #turn = 0;

  constructor(options: {
    readonly nodes: () => readonly TrafficNode[];
    readonly accounts: readonly KeyPair[];
    readonly chainId: ChainId;
    readonly minFee: bigint;
    readonly clock: Clock;
    readonly rng: Rng;
    /** Signs; the fastest there is, where the load is to be high. */
    readonly backend: SigningBackend;
    /** Transactions a second that `run` will be asked for. */
    readonly rate: number;
  }) {
    this.#nodes = options.nodes;
    this.#accounts = options.accounts.map((key, index) => ({
      index,
      key,
      address: formatAddress(key.address),
      signer: createSigner(key.secretKey, options.backend.sign),
      nonce: undefined,
      isAsking: false,
    }));
    this.#sample = Math.max(1, Math.round(options.rate / TIMED_PER_S));
    this.#chainId = options.chainId;
    this.#minFee = options.minFee;
    this.#clock = options.clock;
    this.#rng = options.rng;
  }

  get counts(): TrafficCounts {
    return {
      submitted: this.#ids.size,
      mined: this.#mined.size,
      agreed: this.#agreed.size,
      rejected: this.#rejected,
      heldBack: this.#heldBack,
    };
  }

  /**
   * Transactions in the blocks that nodes told of, whoever sent them. What a reorganisation puts into a second block
   * counts twice: it was mined twice.
   */
  get txsInBlocks(): number {
    return this.#txsInBlocks;
  }

  /** Transactions of the load that were mined in a second, while it ran. */
  get minedPerS(): number {
    return round(this.#minedRate.perS);
  }

  /** And that were in agreed blocks. */
  get agreedPerS(): number {
    return round(this.#agreedRate.perS);
  }

  /** Submission at one node → in every node's mempool or chain, in milliseconds. */
  get propagationMs(): Percentiles {
    const sorted = [...this.#latenciesMs].sort((a, b) => a - b);
    const at = (share: number): number =>
      round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
    return { p50: at(0.5), p99: at(0.99), max: round(sorted.at(-1) ?? 0) };
  }

  /**
   * Sends `rate` transactions a second until the signal aborts; then waits for the answers still due. Several that are
   * due at once travel in one request, those of an account always to one node and in order of their nonces.
   *
   * @throws what a request failed with, other than that the node refused or did not answer: the run ends with it
   */
  async run(rate: number, signal: AbortSignal): Promise<void> {
    const inFlight = new Set<Promise<void>>();
    const begin = this.#clock.monotonicMs();
    let sent = 0;
    const failures: unknown[] = [];
    while (!signal.aborted && failures.length === 0) {
      const due = Math.floor(((this.#clock.monotonicMs() - begin) / 1000) * rate) + 1 - sent;
      if (due <= 0) {
        const waitMs = begin + (sent * 1000) / rate - this.#clock.monotonicMs();
        await this.#clock.sleep(Math.max(1, waitMs), signal).catch(() => undefined); // aborted: the condition ends it
        continue;
      }
      for (const request of this.#requestsFor(due)) {
        const answered = this.#send(request)
          // Thrown below: nobody would handle it before, and an unhandled rejection ends the process.
          .catch((error: unknown) => {
            failures.push(error);
          })
          .finally(() => inFlight.delete(answered));
        inFlight.add(answered);
      }
      sent += due;
      // Nodes that answer slowly are not sent more than they can hold: the rate is then not kept.
      while (inFlight.size >= MAX_IN_FLIGHT) await Promise.race(inFlight);
      await this.#clock.sleep(MIN_INTERVAL_MS, signal).catch(() => undefined);
    }
    await Promise.all(inFlight);
    if (failures.length > 0) throw failures[0];
  }

  /** One transaction in so many is timed; the events of the others are not needed. */
  get sample(): number {
    return this.#sample;
  }

  /** What a node said: it has the transaction, or has mined it, or a block is agreed. */
  onEvent(node: string, event: ChainEvent): void {
    if (event.type === 'tx' && event.state === 'pending') this.#seen(node, event.id);
    if (event.type === 'block') {
      this.#countBlock(event.id, event.txCount);
      this.#blocks.addBlock(event.id, event.parent, event.transactions);
      const before = this.#mined.size;
      for (const id of event.transactions) {
        this.#seen(node, id);
        if (this.#ids.has(id)) this.#mined.add(id);
      }
      if (this.#mined.size > before) this.#minedRate.add(event.id, this.#clock.monotonicMs(), this.#mined.size);
    }
    if (event.type === 'agreed') this.#noteAgreed(event.id);
    if (event.type === 'reorg') {
      // Another node's block event, or this one's for the new branch, counts them again.
      for (const id of event.abandonedTransactions) this.#mined.delete(id);
    }
  }

  /** Asks a node for the state of what no event has shown as mined: events can be missed, answers cannot. */
  async recount(client: GrapevineClient, signal: AbortSignal): Promise<void> {
    await this.#askFor(client, this.#mined, signal);
  }

  /** The same for agreement. For when next to all is agreed: it is a request for each that is not known to be. */
  async recountAgreed(client: GrapevineClient, signal: AbortSignal): Promise<void> {
    await this.#askFor(client, this.#agreed, signal);
  }

  async #askFor(client: GrapevineClient, known: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    for (const id of this.#ids) {
      if (signal.aborted) return;
      if (known.has(id)) continue;
      const found = await client.transaction(id).catch(() => undefined); // unknown there: not mined
      if (found === undefined || found.state === 'pending' || found.state === 'dropped') continue;
      this.#mined.add(id);
      if (found.state !== 'mined') this.#agreed.add(id);
    }
  }

  /** Shares out the next `count` transactions: one request per node that some of the next accounts send at. */
  #requestsFor(count: number): readonly SendRequest[] {
    const running = this.#nodes().filter((node) => node.isRunning);
    const requests = new Map<TrafficNode, Account[]>();
    const nowMs = this.#clock.monotonicMs();
    for (let i = 0; i < count; i++) {
      const index = this.#turn++ % this.#accounts.length;
      const node = running[index % running.length];
      const account = this.#accounts[index]!;
      if (node === undefined || account.isAsking) continue;
      if (nowMs < (this.#pausedUntilMs.get(node.name) ?? nowMs)) {
        this.#heldBack += 1;
        continue;
      }
      const accounts = requests.get(node);
      if (accounts === undefined) requests.set(node, [account]);
      else accounts.push(account);
    }
    const expected = new Set(running.map(({ name }) => name));
    return [...requests].flatMap(([node, accounts]) =>
      chunksOf(accounts, MAX_SUBMIT_BATCH).map((chunk) => ({ node, accounts: chunk, expected })),
    );
  }

  async #send({ node, accounts, expected }: SendRequest): Promise<void> {
    const senders = new Set(accounts);
    try {
      await Promise.all([...senders].map((account) => this.#learnNonce(account, node)));
      // Another request is asking for the nonce of those that have none: they are passed over.
      const sent = accounts.flatMap((account) =>
        account.nonce === undefined ? [] : [{ account, tx: this.#sign(account) }],
      );
      if (sent.length === 0) return;
      const sentAtMs = this.#clock.monotonicMs();
      for (const { tx } of sent) {
        const { id } = tx;
        if (isSampled(id, this.#sample)) this.#timings.set(id, { sentAtMs, seenBy: new Set(), expected });
      }
      this.#forgetOld();
      const results = await node.client.submitBatch(sent.map(({ tx }) => tx));
      for (const [at, result] of results.entries()) {
        if ('state' in result) this.#ids.add(result.id);
        else this.#onRefusal(sent[at]!.account, sent[at]!.tx.id, result.code);
      }
    } catch (error) {
      if (!(error instanceof GrapevineError)) throw error;
      if (error.retryAfterS === undefined) {
        this.#rejected += accounts.length;
      } else {
        this.#pausedUntilMs.set(node.name, this.#clock.monotonicMs() + error.retryAfterS * 1000);
        this.#heldBack += accounts.length;
      }
      for (const account of senders) account.nonce = undefined; // ask again: what was refused has not used its nonce
    }
  }

  async #learnNonce(account: Account, node: TrafficNode): Promise<void> {
    if (account.nonce !== undefined || account.isAsking) return;
    account.isAsking = true;
    try {
      account.nonce = BigInt((await node.client.account(account.address)).pendingNonce);
    } finally {
      account.isAsking = false;
    }
  }

  #sign(account: Account): Tx {
    const others = this.#accounts.length - 1;
    const at = (account.index + 1 + Math.floor(this.#rng.unit() * others)) % this.#accounts.length;
    const nonce = account.nonce!;
    account.nonce = nonce + 1n;
    const body = {
      chainId: this.#chainId,
      nonce,
      to: this.#accounts[at]!.key.address,
      amount: AMOUNT,
      fee: this.#minFee,
      memo: MEMO,
    };
    return signTxBy(body, account.signer);
  }

  #onRefusal(account: Account, id: string, code: string): void {
    if (code === 'overloaded') this.#heldBack += 1;
    else this.#rejected += 1;
    this.#timings.delete(id);
    account.nonce = undefined;
  }

  #countBlock(id: string, txCount: number): void {
    if (this.#counted.has(id)) return;
    this.#counted.add(id);
    this.#txsInBlocks += txCount;
    if (this.#counted.size > MAX_COUNTED) this.#counted.delete(this.#counted.values().next().value!);
  }

  #noteAgreed(id: string): void {
    const before = this.#agreed.size;
    for (const tx of this.#blocks.addAgreed(id)) if (this.#ids.has(tx)) this.#agreed.add(tx);
    if (this.#agreed.size > before) this.#agreedRate.add(id, this.#clock.monotonicMs(), this.#agreed.size);
  }

  #seen(node: string, id: string): void {
    const timing = this.#timings.get(id);
    if (timing === undefined || !timing.expected.has(node)) return;
    timing.seenBy.add(node);
    if (timing.seenBy.size < timing.expected.size) return;
    this.#timings.delete(id);
    if (this.#latenciesMs.length < MAX_SAMPLES) this.#latenciesMs.push(this.#clock.monotonicMs() - timing.sentAtMs);
  }

  #forgetOld(): void {
    const limit = this.#clock.monotonicMs() - FORGET_MS;
    for (const [id, { sentAtMs }] of this.#timings) {
      if (sentAtMs > limit) return; // in order of sending
      this.#timings.delete(id);
    }
  }
}

function chunksOf<T>(items: readonly T[], length: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / length) }, (_, at) =>
    items.slice(at * length, (at + 1) * length),
  );
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
