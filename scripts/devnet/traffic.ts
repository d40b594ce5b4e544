/**
 * Load on the devnet, and what becomes of it: transactions at a steady rate from the ten development accounts, and
 * for each the time until every node has it.
 */
import { MAX_MEMO_BYTES } from '../../chain/params.ts';
import { signTx } from '../../chain/sign.ts';
import type { ChainId } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import type { KeyPair } from '../../crypto/mnemonic.ts';
import type { Clock, Rng } from '../../node/ports.ts';
import { type ChainEvent, type GrapevineClient, GrapevineError } from '../client.ts';

export interface TrafficNode {
  readonly name: string;
  readonly client: GrapevineClient;
  readonly isRunning: boolean;
}

export interface TrafficCounts {
  readonly submitted: number;
  readonly mined: number;
  readonly rejected: number;
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

interface Account {
  readonly key: KeyPair;
  nonce: bigint | undefined;
}

interface Timing {
  readonly sentAtMs: number;
  readonly seenBy: Set<string>;
  /** The nodes that were up when it was sent: those it must reach. */
  readonly expected: ReadonlySet<string>;
}

export class Traffic {
  readonly #nodes: () => readonly TrafficNode[];
  readonly #accounts: readonly Account[];
  readonly #chainId: ChainId;
  readonly #minFee: bigint;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #timings = new Map<string, Timing>();
  readonly #latenciesMs: number[] = [];
  readonly #ids = new Set<string>();
  readonly #mined = new Set<string>();
  #rejected = 0;
  #turn = 0;

  constructor(options: {
    readonly nodes: () => readonly TrafficNode[];
    readonly accounts: readonly KeyPair[];
    readonly chainId: ChainId;
    readonly minFee: bigint;
    readonly clock: Clock;
    readonly rng: Rng;
  }) {
    this.#nodes = options.nodes;
    this.#accounts = options.accounts.map((key) => ({ key, nonce: undefined }));
    this.#chainId = options.chainId;
    this.#minFee = options.minFee;
    this.#clock = options.clock;
    this.#rng = options.rng;
  }

  get counts(): TrafficCounts {
    return { submitted: this.#ids.size, mined: this.#mined.size, rejected: this.#rejected };
  }

  /** Submission at one node → in every node's mempool or chain, in milliseconds. */
  get propagationMs(): Percentiles {
    const sorted = [...this.#latenciesMs].sort((a, b) => a - b);
    const at = (share: number): number =>
      round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
    return { p50: at(0.5), p99: at(0.99), max: round(sorted.at(-1) ?? 0) };
  }

  /** Sends `rate` transactions a second until the signal aborts; then waits for the answers still due. */
  async run(rate: number, signal: AbortSignal): Promise<void> {
    const inFlight = new Set<Promise<void>>();
    const begin = this.#clock.monotonicMs();
    let due = 0;
    while (!signal.aborted) {
      const behind = begin + due * (1000 / rate) - this.#clock.monotonicMs();
      if (behind > 0) await this.#clock.sleep(behind, signal).catch(() => undefined); // aborted: the condition ends it
      if (signal.aborted) break;
      due += 1;
      // One at a time per account, so that its nonces arrive in order.
      const index = this.#turn++ % this.#accounts.length;
      const sent = this.#send(index).finally(() => inFlight.delete(sent));
      inFlight.add(sent);
      if (inFlight.size >= this.#accounts.length) await Promise.race(inFlight);
    }
    await Promise.allSettled(inFlight);
  }

  /** What a node said: it has the transaction, or has mined it. */
  onEvent(node: string, event: ChainEvent): void {
    if (event.type === 'tx' && event.state === 'pending') this.#seen(node, event.id);
    if (event.type === 'block') {
      for (const id of event.transactions) {
        this.#seen(node, id);
        if (this.#ids.has(id)) this.#mined.add(id);
      }
    }
    if (event.type === 'reorg') {
      // Another node's block event, or this one's for the new branch, counts them again.
      for (const id of event.abandonedTransactions) this.#mined.delete(id);
    }
  }

  /** Asks a node for the state of what no event has shown as mined: events can be missed, answers cannot. */
  async recount(client: GrapevineClient): Promise<void> {
    for (const id of this.#ids) {
      if (this.#mined.has(id)) continue;
      const found = await client.transaction(id).catch(() => undefined); // unknown there: not mined
      if (found !== undefined && found.state !== 'pending' && found.state !== 'dropped') this.#mined.add(id);
    }
  }

  async #send(index: number): Promise<void> {
    const account = this.#accounts[index]!;
    const running = this.#nodes().filter((node) => node.isRunning);
    const node = running[index % running.length];
    if (node === undefined) return;
    try {
      account.nonce ??= BigInt((await node.client.account(formatAddress(account.key.address))).pendingNonce);
      const recipient =
        this.#accounts[
          (index + 1 + Math.floor(this.#rng.unit() * (this.#accounts.length - 1))) % this.#accounts.length
        ]!;
      const memo = this.#rng.bytes(Math.min(16, MAX_MEMO_BYTES));
      const body = {
        chainId: this.#chainId,
        nonce: account.nonce,
        to: recipient.key.address,
        amount: AMOUNT,
        fee: this.#minFee,
        memo,
      };
      account.nonce += 1n;
      const { id, bytes } = signTx(body, account.key.secretKey);
      this.#timings.set(id, {
        sentAtMs: this.#clock.monotonicMs(),
        seenBy: new Set(),
        expected: new Set(running.map(({ name }) => name)),
      });
      this.#forgetOld();
      await node.client.submit(bytes);
      this.#ids.add(id);
    } catch (error) {
      account.nonce = undefined; // ask again: what was refused has not used its nonce
      if (error instanceof GrapevineError) this.#rejected += 1;
      else throw error;
    }
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

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
