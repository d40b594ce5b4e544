/** What the tests of the pure chain share: a small net that needs two hashes per block, keys, and unmined blocks. */

import { makeHeader, makeTx, txRootOf } from '../../../chain/codec.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../../../chain/genesis.ts';
import { signTx } from '../../../chain/sign.ts';
import { type Accounts, connectBlock } from '../../../chain/state.ts';
import { bitsForHashes, meetsTarget } from '../../../chain/target.ts';
import type { Block, BlockDelta, ChainEntry, Header, HeaderBody, Tx, TxBody } from '../../../chain/types.ts';
import { type Address, addressOf } from '../../../crypto/address.ts';
import { publicKeyOf } from '../../../crypto/keys.ts';

export const GENESIS_TIME_MS = Date.parse('2025-01-01T00:00:00.000Z');

export interface TestKey {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly address: Address;
}

/** A key that is the same in every run. `seed`: 1 to 255. */
export function testKey(seed: number): TestKey {
  const secretKey = new Uint8Array(32).fill(seed);
  const publicKey = publicKeyOf(secretKey);
  return { secretKey, publicKey, address: addressOf(publicKey) };
}

export const alice = testKey(1);
export const bob = testKey(2);
export const carol = testKey(3);
export const miner = testKey(4);

export const genesis: Genesis = parseGenesis(
  genesisDoc({
    name: 'unit',
    timestampMs: GENESIS_TIME_MS,
    alloc: [
      { address: alice.address, balance: 1_000_000n },
      { address: bob.address, balance: 500_000n },
    ],
    voters: [alice.address, bob.address, carol.address],
    params: { powLimitBits: bitsForHashes(2n), initialBits: bitsForHashes(2n), minFee: 10n, blockReward: 5_000n },
  }),
);

export const rules = { chainId: genesis.chainId, params: genesis.params };

type Transfer = Partial<Omit<TxBody, 'publicKey'>>;

/** A signed transfer of 100 with a fee of 10 to bob, nonce 0, unless told otherwise. */
export function transfer(from: TestKey, fields: Transfer = {}): Tx {
  return signTx(transferBody(fields), from.secretKey);
}

/** The same with a signature of zeros: thousands of times faster, for rules that do not look at it. */
export function unsigned(from: Pick<TestKey, 'publicKey'>, fields: Transfer = {}): Tx {
  return makeTx({ ...transferBody(fields), publicKey: from.publicKey }, new Uint8Array(64));
}

function transferBody(fields: Transfer): Omit<TxBody, 'publicKey'> {
  return {
    chainId: genesis.chainId,
    nonce: 0n,
    to: bob.address,
    amount: 100n,
    fee: 10n,
    memo: new Uint8Array(),
    ...fields,
  };
}

/** A block on `parent` with a correct root and coinbase, without work. */
export function blockOn(
  parent: Header,
  txs: readonly Tx[],
  fields: Partial<HeaderBody> & { readonly coinbase?: bigint } = {},
): Block {
  const { coinbase: given, ...headerFields } = fields;
  const coinbase = given ?? txs.reduce((sum, tx) => sum + tx.fee, genesis.params.blockReward);
  const body = {
    height: parent.height + 1n,
    parent: parent.id,
    timestampMs: parent.timestampMs + 2_000n,
    bits: genesis.params.initialBits,
    miner: miner.address,
    nonce: 0n,
    ...headerFields,
  };
  return { header: makeHeader({ txRoot: txRootOf(body, coinbase, txs), ...body }), coinbase, txs };
}

/** Tries nonces from 0 until the id meets (or, with `meets` false, misses) the target in `body.bits`. */
export function mine(body: Omit<HeaderBody, 'nonce'>, meets = true): Header {
  for (let nonce = 0n; nonce < 1_000_000n; nonce += 1n) {
    const header = makeHeader({ ...body, nonce });
    if (meetsTarget(header.id, header.bits) === meets) return header;
  }
  throw new Error('no nonce found');
}

/** The delta of a block that must connect. */
export function deltaOf(view: Accounts, block: Block): BlockDelta {
  const result = connectBlock(view, block, genesis.params);
  if (!result.ok) throw new Error(`block does not connect: ${result.reason}`);
  return result.delta;
}

export function entryOf(header: Header, parent: ChainEntry): ChainEntry {
  return { header, totalWork: parent.totalWork + 2n, effectiveTimeMs: parent.effectiveTimeMs + 2_000n, arrival: 0 };
}

export function stateOf(accounts: Accounts): Record<string, string> {
  return Object.fromEntries(
    [...accounts.entries()].map(([a, { balance, nonce }]) => [a, `${balance}/${nonce}`]).sort(),
  );
}
