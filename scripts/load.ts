/**
 * Load: transfers at a steady rate from several accounts, and what became of them. Each sender's transactions go out
 * one after the other, so that nonces arrive in order; one whose transaction was refused asks for its nonce again. What a
 * node that is overloaded refuses is sent again when it says.
 */
import { formatAddress } from '../crypto/address.ts';
import type { KeyPair } from '../crypto/mnemonic.ts';
import type { Clock } from '../node/ports.ts';
import { type GrapevineClient, GrapevineError, type TransactionState } from './client.ts';
import { untilAdmitted } from './until-admitted.ts';

export interface LoadOptions {
  readonly client: GrapevineClient;
  readonly senders: readonly KeyPair[];
  /** Transactions in all. */
  readonly count: number;
  readonly ratePerS: number;
  /** Units per transfer. */
  readonly amount: bigint;
  /** Default: the network's minimum. */
  readonly fee?: bigint;
  /** Recipient, bech32m; default: the next sender. */
  readonly to?: string;
  readonly memo?: string;
  readonly clock: Clock;
}

export interface AcceptedTransaction {
  readonly id: string;
  /** Index in `senders`. */
  readonly sender: number;
}

export interface LoadResult {
  readonly submitted: number;
  readonly accepted: readonly AcceptedTransaction[];
  /** How many were refused, by code. */
  readonly rejected: Readonly<Record<string, number>>;
}

/** Requests on their way at once; beyond that the rate is not kept. */
const MAX_IN_FLIGHT = 64;

interface Sender {
  readonly index: number;
  readonly key: KeyPair;
  /** undefined: to be asked for. */
  nonce: bigint | undefined;
  /** The end of its queue. */
  last: Promise<void>;
}

/**
 * Resolves when all transactions have been answered. Refusals are counted, never thrown.
 *
 * @throws what failed here, not at the node: nothing more is sent then
 */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { count, ratePerS, clock } = options;
  if (options.senders.length === 0) throw new RangeError('load needs a sender');
  const senders = options.senders.map((key, index): Sender => {
    return { index, key, nonce: undefined, last: Promise.resolve() };
  });
  const accepted: AcceptedTransaction[] = [];
  const rejected: Record<string, number> = {};
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const startMs = clock.monotonicMs();
  for (let submitted = 0; submitted < count && failure === undefined; submitted++) {
    const delayMs = startMs + (submitted * 1000) / ratePerS - clock.monotonicMs();
    if (delayMs > 0) await clock.sleep(delayMs, NEVER);
    if (inFlight.size >= MAX_IN_FLIGHT) await Promise.race(inFlight);
    const sender = senders[submitted % senders.length]!;
    const answered = sender.last.then(async () => {
      if (failure !== undefined) return;
      try {
        accepted.push(await sendOne(sender, options));
      } catch (error) {
        if (error instanceof GrapevineError) rejected[error.code] = (rejected[error.code] ?? 0) + 1;
        else failure ??= { error };
      }
    });
    sender.last = answered;
    inFlight.add(answered);
    answered.finally(() => inFlight.delete(answered));
  }
  await Promise.all(inFlight);
  if (failure !== undefined) throw failure.error;
  return { submitted: count, accepted, rejected };
}

const NEVER = new AbortController().signal;

async function sendOne(sender: Sender, options: LoadOptions): Promise<AcceptedTransaction> {
  const { client, senders } = options;
  try {
    sender.nonce ??= BigInt((await client.account(formatAddress(sender.key.address))).pendingNonce);
    const transfer = {
      secretKey: sender.key.secretKey,
      to: options.to ?? formatAddress(senders[(sender.index + 1) % senders.length]!.address),
      amount: options.amount,
      nonce: sender.nonce,
      ...(options.fee === undefined ? {} : { fee: options.fee }),
      ...(options.memo === undefined ? {} : { memo: options.memo }),
    };
    const { id } = await untilAdmitted(() => client.sendTransaction(transfer), options.clock, NEVER);
    sender.nonce += 1n;
    return { id, sender: sender.index };
  } catch (error) {
    sender.nonce = undefined; // what was refused has not used it
    throw error;
  }
}

export interface SettledLoad {
  /** How many came as far as was asked. */
  readonly reached: number;
  /** Left the mempool unmined, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Still on their way when time was up. */
  readonly open: number;
}

const POLL_MS = 250;

/**
 * Waits until accepted transactions have come as far as `state`, asking for one per sender at a time: a sender's
 * transactions are mined in order.
 */
export async function settleLoad(
  client: GrapevineClient,
  accepted: readonly AcceptedTransaction[],
  state: Exclude<TransactionState, 'dropped'>,
  options: { readonly timeoutMs: number; readonly clock: Clock },
): Promise<SettledLoad> {
  const queues = Map.groupBy(accepted, ({ sender }) => sender);
  const end = options.clock.monotonicMs() + options.timeoutMs;
  const dropped: Record<string, number> = {};
  let reached = 0;
  let open = 0;
  await Promise.all(
    [...queues.values()].map(async (queue) => {
      for (const [done, { id }] of queue.entries()) {
        const timeoutMs = Math.max(0, end - options.clock.monotonicMs());
        try {
          await client.waitFor(id, state, { timeoutMs, pollMs: POLL_MS });
          reached += 1;
        } catch (error) {
          if (!(error instanceof GrapevineError) || error.status !== 0) throw error;
          if (error.code === 'client/timeout') {
            open += queue.length - done;
            return;
          }
          if (error.code.startsWith('client/')) throw error;
          dropped[error.code] = (dropped[error.code] ?? 0) + 1;
        }
      }
    }),
  );
  return { reached, dropped, open };
}
