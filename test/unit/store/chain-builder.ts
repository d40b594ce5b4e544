/** Small real chains for the store's tests: real encodings, ids and state changes; no work and no real signatures. */
import { makeHeader, makeTx, makeVote, txRootOf, ZERO_BLOCK_ID } from '../../../chain/codec.ts';
import type { ChainParams } from '../../../chain/params.ts';
import { Accounts, connectBlock } from '../../../chain/state.ts';
import type { Account, Block, BlockId, ChainId, Checkpoint, Tx, TxId, Vote } from '../../../chain/types.ts';
import { type Address, addressOf } from '../../../crypto/address.ts';
import type { ChainCommit, StoredBlock } from '../../../node/store/store.ts';

export const PARAMS: ChainParams = {
  blockTimeMs: 1_000,
  halfLifeMs: 60_000,
  maxSolveTimeMs: 6_000,
  maxFutureMs: 10_000,
  powLimitBits: 0x207fffff,
  initialBits: 0x207fffff,
  blockReward: 50n,
  minFee: 1n,
  checkpointInterval: 1,
};
export const WALLETS = 5;
export const GENESIS_BALANCE = 1_000_000n;
const FEE = 2n;

/** A block with the state after it. */
export interface TestBlock extends StoredBlock {
  readonly parent: TestBlock | undefined;
  readonly accounts: ReadonlyMap<Address, Account>;
}

/** A compressed point by its form; nothing here verifies signatures. */
export function publicKeyOf(wallet: number): Uint8Array {
  return new Uint8Array(33).fill(wallet + 1).fill(2, 0, 1);
}

export function addressOfWallet(wallet: number): Address {
  return addressOf(publicKeyOf(wallet));
}

export function makeGenesis(salt = 0n): TestBlock {
  const accounts = new Map<Address, Account>();
  for (let i = 0; i < WALLETS; i += 1) accounts.set(addressOfWallet(i), { balance: GENESIS_BALANCE, nonce: 0n });
  const miner = addressOfWallet(0);
  const txRoot = txRootOf({ height: 0n, miner }, 0n, []);
  const body = {
    height: 0n,
    parent: ZERO_BLOCK_ID,
    txRoot,
    timestampMs: 0n,
    bits: PARAMS.initialBits,
    miner,
    nonce: salt,
  };
  const header = makeHeader(body);
  return {
    entry: { header, totalWork: 2n, effectiveTimeMs: 0n, arrival: 0 },
    block: { header, coinbase: 0n, txs: [] },
    delta: { before: new Map(), after: new Map() },
    parent: undefined,
    accounts,
  };
}

/** A transfer that is next for its sender on `parent`, or after `ahead` more. */
export function makeTransfer(
  parent: TestBlock,
  chainId: ChainId,
  from: number,
  to: number,
  amount: bigint,
  ahead = 0n,
): Tx {
  const nonce = (parent.accounts.get(addressOfWallet(from))?.nonce ?? 0n) + ahead;
  const body = {
    chainId,
    publicKey: publicKeyOf(from),
    nonce,
    to: addressOfWallet(to),
    amount,
    fee: FEE,
    memo: new Uint8Array(),
  };
  return makeTx(body, new Uint8Array(64).fill(from + 1));
}

/** A child of `parent`; `arrival` also makes its id unlike its siblings'. */
export function makeChild(parent: TestBlock, txs: readonly Tx[], arrival: number): TestBlock {
  const height = parent.entry.header.height + 1n;
  const miner = addressOfWallet(arrival % WALLETS);
  const coinbase = PARAMS.blockReward + FEE * BigInt(txs.length);
  const timestampMs = height * 1_000n + 1n;
  const header = makeHeader({
    height,
    parent: parent.entry.header.id,
    txRoot: txRootOf({ height, miner }, coinbase, txs),
    timestampMs,
    bits: PARAMS.initialBits,
    miner,
    nonce: BigInt(arrival),
  });
  const block: Block = { header, coinbase, txs };
  const state = new Accounts(parent.accounts);
  const connected = connectBlock(state, block, PARAMS);
  if (!connected.ok) throw new Error(`the test's block is wrong: ${connected.reason}`);
  state.apply(connected.delta);
  const totalWork = parent.entry.totalWork + 2n ** 200n;
  return {
    // Below zero on the first blocks: an honest chain clock can be, too.
    entry: { header, totalWork, effectiveTimeMs: timestampMs - 5_000n, arrival },
    block,
    delta: connected.delta,
    parent,
    accounts: new Map(state.entries()),
  };
}

/** Genesis, then `length` blocks in line with one or two transfers each. */
export function makeChain(length: number): { readonly chainId: ChainId; readonly blocks: readonly TestBlock[] } {
  const genesis = makeGenesis();
  const chainId = chainIdOf(genesis);
  const blocks = [genesis];
  for (let i = 1; i <= length; i += 1) {
    const parent = blocks[i - 1]!;
    const txs = [makeTransfer(parent, chainId, i % WALLETS, (i + 1) % WALLETS, BigInt(i))];
    if (i % 2 === 0) txs.push(makeTransfer(parent, chainId, i % WALLETS, i % WALLETS, 1n, 1n)); // to itself
    blocks.push(makeChild(parent, txs, i));
  }
  return { chainId, blocks };
}

export function chainIdOf(genesis: TestBlock): ChainId {
  return genesis.entry.header.id as string as ChainId;
}

/** Saves `added` and moves the tip `from` → `to`. */
export function makeCommit(added: readonly TestBlock[], from: TestBlock, to: TestBlock): ChainCommit {
  const connected: TestBlock[] = [];
  const disconnected: TestBlock[] = [];
  let old = from;
  let next = to;
  while (old !== next) {
    if (old.entry.header.height >= next.entry.header.height) {
      disconnected.push(old);
      old = old.parent!;
    } else {
      connected.unshift(next);
      next = next.parent!;
    }
  }
  const accounts = new Map<Address, Account | undefined>();
  for (const address of new Set([...from.accounts.keys(), ...to.accounts.keys()])) {
    const account = to.accounts.get(address);
    const before = from.accounts.get(address);
    if (account?.balance !== before?.balance || account?.nonce !== before?.nonce) accounts.set(address, account);
  }
  return {
    added,
    move: {
      tip: to.entry.header.id,
      disconnected: disconnected.map(({ block }) => block),
      connected: connected.map(({ block }) => block),
      accounts,
    },
  };
}

export function makeTestVote(chainId: ChainId, voter: number, source: Checkpoint, target: Checkpoint): Vote {
  const ends = { source: checkpointOf(source), target: checkpointOf(target) };
  return makeVote({ chainId, publicKey: publicKeyOf(voter), ...ends }, new Uint8Array(64).fill(9));
}

export function checkpointOf({ height, id }: Checkpoint): Checkpoint {
  return { height, id };
}

/** What the index must say on the chain that ends in `tip`. */
export function indexOnChain(tip: TestBlock): Map<TxId, { readonly block: BlockId; readonly index: number }> {
  const index = new Map<TxId, { block: BlockId; index: number }>();
  for (let at: TestBlock | undefined = tip; at !== undefined; at = at.parent) {
    for (const [i, tx] of at.block.txs.entries()) index.set(tx.id, { block: at.entry.header.id, index: i });
  }
  return index;
}
