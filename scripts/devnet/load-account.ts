/** One sender of the load. It leaves no nonce out: what no node has taken yet is sent again, the same bytes. */
import { signTxBy } from '../../chain/sign.ts';
import type { ChainId, Tx } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import type { KeyPair } from '../../crypto/mnemonic.ts';
import { createSigner, type Signer } from '../../crypto/sign.ts';
import type { SigningBackend } from '../../crypto/signature.ts';

/** A signed transaction that no node has taken yet. */
export interface Unsettled {
  readonly tx: Tx;
  /** Monotonic time when it fell due; undefined after a refusal: it counts from when it is sent again. */
  sinceMs: number | undefined;
}

export interface LoadAccountOptions {
  readonly key: KeyPair;
  /** Signs; the fastest there is, where the load is to be high. */
  readonly backend: SigningBackend;
  readonly chainId: ChainId;
  /** Units. */
  readonly amount: bigint;
  /** Units. */
  readonly fee: bigint;
  readonly memo: Uint8Array;
}

/** Due and unsigned at most: what is more is turned away. */
const MAX_DUE = 500;

/** What became of one. `again`: it is to be sent again, as it is. */
export type Answer = 'taken' | 'rejected' | 'again';

/** Bound: `MAX_DUE` that are due, and what the last request carried. */
export class LoadAccount {
  readonly address: Address;
  /** A request carries some of its transactions, or asks for its nonce: nothing else is sent meanwhile. */
  isInFlight = false;
  /** Nothing is sent before that, on the monotonic clock: a node lacks what stands before its next nonce. */
  waitsUntilMs = Number.NEGATIVE_INFINITY;
  readonly #options: LoadAccountOptions;
  readonly #signer: Signer;
  #dueAtMs: number[] = [];
  #unsettled: Unsettled[] = [];
  /** undefined: a node must be asked. Nothing is unsettled then, for that would be left behind. */
  #nonce: bigint | undefined;
  /** Those below it are used, whatever a node says that has not heard of them yet. */
  #floor = 0n;

  constructor(options: LoadAccountOptions) {
    this.#options = options;
    this.#signer = createSigner(options.key.secretKey, options.backend.sign);
    this.address = options.key.address;
  }

  /** Whether there is something to send. */
  get hasWork(): boolean {
    return this.#dueAtMs.length > 0 || this.#unsettled.length > 0;
  }

  get unsettled(): readonly Unsettled[] {
    return this.#unsettled;
  }

  /** Whether a node must be asked for the next nonce before anything is signed. */
  get needsNonce(): boolean {
    return this.#nonce === undefined;
  }

  /** A node says that this is the next. */
  learnNonce(nonce: bigint): void {
    this.#nonce = nonce > this.#floor ? nonce : this.#floor;
  }

  /** One more transaction falls due. @returns whether there was room */
  addDue(atMs: number): boolean {
    if (this.#dueAtMs.length >= MAX_DUE) return false;
    this.#dueAtMs.push(atMs);
    return true;
  }

  /** Forgets what is due and not signed. @returns how many */
  dropDue(): number {
    return this.#dueAtMs.splice(0).length;
  }

  /** Forgets what was signed and not taken, and its nonces. @returns how many */
  dropUnsettled(): number {
    this.#nonce = undefined;
    return this.#unsettled.splice(0).length;
  }

  /**
   * What to send next, in order of nonces: what is unsettled, then what is due, which it signs.
   *
   * @param limit transactions at most
   * @param receiver whom the next one pays
   * @throws Error where the nonce is not known
   */
  next(limit: number, receiver: () => Address): readonly Unsettled[] {
    if (this.#nonce === undefined) throw new Error('the nonce is not known');
    for (const sinceMs of this.#dueAtMs.splice(0, Math.max(0, limit - this.#unsettled.length))) {
      const { chainId, amount, fee, memo } = this.#options;
      const body = { chainId, nonce: this.#nonce, to: receiver(), amount, fee, memo };
      this.#nonce += 1n;
      this.#unsettled.push({ tx: signTxBy(body, this.#signer), sinceMs });
    }
    return this.#unsettled.slice(0, limit);
  }

  /**
   * What a node said to these. After a rejection the nonce is asked for anew, and what has not been taken is forgotten.
   *
   * @returns how many of those that were to be sent again are forgotten
   */
  settle(answers: ReadonlyMap<Unsettled, Answer>): number {
    let firstRejected: bigint | undefined;
    this.#unsettled = this.#unsettled.filter((item) => {
      const answer = answers.get(item) ?? 'again';
      const { nonce } = item.tx;
      if (answer === 'taken' && nonce >= this.#floor) this.#floor = nonce + 1n;
      if (answer === 'rejected') firstRejected ??= nonce;
      return answer === 'again';
    });
    if (firstRejected === undefined) return 0;
    if (firstRejected < this.#floor) this.#floor = firstRejected;
    return this.dropUnsettled();
  }
}
