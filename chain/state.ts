/** Accounts, and what a block does to them. A block's effect is a `BlockDelta`, which can be applied and undone. */
import type { Address } from '../crypto/address.ts';
import { type ChainParams, MAX_U64 } from './params.ts';
import type { BlockReason } from './reasons.ts';
import type { Account, AccountView, Block, BlockDelta, Tx, TxId } from './types.ts';

/** What an account never touched reads as. No account is ever stored with these values: it does not exist. */
const EMPTY_ACCOUNT: Account = Object.freeze({ balance: 0n, nonce: 0n });

export type ConnectResult =
  | { readonly ok: true; readonly delta: BlockDelta }
  | { readonly ok: false; readonly reason: BlockReason; readonly txId?: TxId };

/**
 * What `block` does to the accounts of its parent: rules BLK-9, BLK-13, BLK-14, BLK-15. Pure; signatures and
 * stateless rules are checked before. The miner is paid after the transactions, so cannot spend it in this block.
 * `txId` names the transaction at fault, where there is one. O(transactions).
 */
export function connectBlock(view: AccountView, block: Block, params: ChainParams): ConnectResult {
  let due = params.blockReward;
  for (const tx of block.txs) due += tx.fee;
  if (block.coinbase !== due) return { ok: false, reason: 'block/wrong-coinbase' }; // BLK-9
  const pending = new PendingState(view);
  for (const tx of block.txs) {
    const reason = pending.transfer(tx);
    if (reason !== undefined) return { ok: false, reason, txId: tx.id };
  }
  if (!pending.credit(block.header.miner, block.coinbase)) return { ok: false, reason: 'block/overflow' }; // BLK-15
  return { ok: true, delta: pending.delta() };
}

/** Accounts with the changes of a block in the making on top. A change that is refused leaves no trace. */
export class PendingState implements AccountView {
  readonly #base: AccountView;
  readonly #after = new Map<Address, Account>();

  constructor(base: AccountView) {
    this.#base = base;
  }

  get(address: Address): Account {
    return this.#after.get(address) ?? this.#base.get(address);
  }

  /** Moves amount and fee out of the sender and the amount to the recipient; or says which rule forbids it. */
  transfer(tx: Tx): 'block/nonce-order' | 'block/balance-low' | 'block/overflow' | undefined {
    const sender = this.get(tx.from);
    if (tx.nonce !== sender.nonce) return 'block/nonce-order'; // BLK-13
    const cost = tx.amount + tx.fee;
    if (cost > sender.balance) return 'block/balance-low'; // BLK-14
    if (tx.nonce === MAX_U64) return 'block/overflow'; // BLK-15: the next nonce would not fit
    const paid = { balance: sender.balance - cost, nonce: sender.nonce + 1n };
    const recipient = tx.to === tx.from ? paid : this.get(tx.to);
    if (recipient.balance + tx.amount > MAX_U64) return 'block/overflow'; // BLK-15
    this.#after.set(tx.from, paid);
    this.#after.set(tx.to, { balance: recipient.balance + tx.amount, nonce: recipient.nonce });
    return undefined;
  }

  /** Pays `amount` out of nothing; false where the balance would not fit a u64. Nothing makes no account. */
  credit(address: Address, amount: bigint): boolean {
    if (amount === 0n) return true;
    const account = this.get(address);
    if (account.balance + amount > MAX_U64) return false;
    this.#after.set(address, { balance: account.balance + amount, nonce: account.nonce });
    return true;
  }

  delta(): BlockDelta {
    const before = new Map<Address, Account | undefined>();
    for (const address of this.#after.keys()) {
      const account = this.#base.get(address);
      before.set(address, exists(account) ? account : undefined);
    }
    return { before, after: new Map(this.#after) };
  }
}

/**
 * All accounts as of one block, in memory. `apply` and `undo` take O(accounts touched) and refuse, by throwing, a
 * delta that does not belong to this state: that is our bug, and silence would corrupt every later block.
 */
export class Accounts implements AccountView {
  readonly #accounts = new Map<Address, Account>();
  #totalSupply = 0n;

  constructor(accounts: Iterable<readonly [Address, Account]> = []) {
    for (const [address, account] of accounts) this.#put(address, exists(account) ? account : undefined);
  }

  get size(): number {
    return this.#accounts.size;
  }

  get(address: Address): Account {
    return this.#accounts.get(address) ?? EMPTY_ACCOUNT;
  }

  /** Moves to the state after the block. */
  apply(delta: BlockDelta): void {
    for (const [address, account] of delta.before) this.#expect(address, account);
    for (const [address, account] of delta.after) this.#put(address, account);
  }

  /** Moves back to the state before the block: the exact inverse of `apply`. */
  undo(delta: BlockDelta): void {
    for (const [address, account] of delta.after) this.#expect(address, account);
    for (const [address, account] of delta.before) this.#put(address, account);
  }

  /** In no particular order. */
  entries(): IterableIterator<[Address, Account]> {
    return this.#accounts.entries();
  }

  /** Sum of all balances. Kept up to date: O(1). */
  totalSupply(): bigint {
    return this.#totalSupply;
  }

  #put(address: Address, account: Account | undefined): void {
    this.#totalSupply += (account?.balance ?? 0n) - this.get(address).balance;
    if (account === undefined) this.#accounts.delete(address);
    else this.#accounts.set(address, account);
  }

  #expect(address: Address, account: Account | undefined): void {
    const found = this.#accounts.get(address);
    if (found?.balance !== account?.balance || found?.nonce !== account?.nonce) {
      throw new Error(`delta does not belong to this state: account ${address}`);
    }
  }
}

/**
 * The accounts as of a block on another branch, without moving the base: blocks of the old branch undone, blocks
 * of the new one applied. Building takes O(accounts the deltas touch), `get` O(1).
 */
export class BranchView implements AccountView {
  readonly #base: AccountView;
  readonly #changed = new Map<Address, Account | undefined>();

  /**
   * @param undone deltas from the base's tip downwards to the fork point
   * @param applied deltas from the fork point upwards
   */
  constructor(base: AccountView, undone: readonly BlockDelta[], applied: readonly BlockDelta[]) {
    this.#base = base;
    // Downwards: what the lowest block found is what held at the fork point, so later entries overwrite.
    for (const delta of undone) {
      for (const [address, account] of delta.before) this.#changed.set(address, account);
    }
    for (const delta of applied) this.extend(delta);
  }

  get(address: Address): Account {
    if (this.#changed.has(address)) return this.#changed.get(address) ?? EMPTY_ACCOUNT;
    return this.#base.get(address);
  }

  /** Applies one more block on top. */
  extend(delta: BlockDelta): void {
    for (const [address, account] of delta.after) this.#changed.set(address, account);
  }
}

function exists(account: Account): boolean {
  return account.balance !== 0n || account.nonce !== 0n;
}
