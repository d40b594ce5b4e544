/**
 * Keys that everybody knows. A devnet's genesis funds ten accounts of this mnemonic, as anvil and hardhat do with
 * theirs. Whatever is sent to them elsewhere is gone.
 */
import { UNITS_PER_COIN } from '../chain/params.ts';
import { taggedHash } from '../crypto/hash.ts';
import { type KeyPair, keyFromBranchKey } from '../crypto/mnemonic.ts';

export const DEV_MNEMONIC = 'test test test test test test test test test test test junk';
/** The mnemonic's branch, `branchKeyOf(DEV_MNEMONIC)`: to derive it takes 0.1 s, which each node of a devnet would pay. */
export const DEV_BRANCH_KEY =
  'xprvA15ACzFrPqoLZKTwt2Ke4e6XMC6W6X93Xz1tYXCW35WttHhr9dcWg6sjVViUJxoVtcZDt2UqDmGv8GiLhh9hge6AfYjTfWnZUrZtRqZsxtJ';
export const DEV_ACCOUNT_COUNT = 10;
/** Of each of these accounts at genesis, as much as anvil gives. */
export const DEV_BALANCE = 10_000n * UNITS_PER_COIN;
/** The only network whose name makes the development keys the default. */
export const DEV_NETWORK = 'devnet';
/** Signs the canary that shows, at the start of a devnet, that messages reach every node. */
export const CANARY_INDEX = 100;
/** Voter keys of the devnet's nodes: this plus the node's number. */
export const FIRST_VOTER_INDEX = 1000;
const MAX_NODES = 1000;

export const DEV_WARNING =
  'These keys are published: everybody has them. Use them on a devnet only, never for anything of value.';

const known = new Map<number, KeyPair>();

/** There are few development keys, and they never change. */
function devKey(index: number): KeyPair {
  let key = known.get(index);
  if (key === undefined) {
    key = keyFromBranchKey(DEV_BRANCH_KEY, index);
    known.set(index, key);
  }
  return key;
}

/**
 * @param index 0 to 9
 * @throws RangeError outside that
 */
export function devAccount(index: number): KeyPair {
  if (!Number.isInteger(index) || index < 0 || index >= DEV_ACCOUNT_COUNT) {
    throw new RangeError(`development accounts are 0 to ${DEV_ACCOUNT_COUNT - 1}, not ${index}`);
  }
  return devKey(index);
}

/** All ten. */
export function devAccounts(): readonly KeyPair[] {
  return Array.from({ length: DEV_ACCOUNT_COUNT }, (_, index) => devKey(index));
}

/**
 * The key of a devnet node's vote and coinbase.
 *
 * @param node 0 to 999
 * @throws RangeError outside that
 */
export function devVoter(node: number): KeyPair {
  checkNode(node);
  return devKey(FIRST_VOTER_INDEX + node);
}

function checkNode(node: number): void {
  if (!Number.isInteger(node) || node < 0 || node >= MAX_NODES) throw new RangeError(`no development node ${node}`);
}

/** Signs the canary. */
export function devCanary(): KeyPair {
  return devKey(CANARY_INDEX);
}

/** The libp2p identity of a devnet node: an Ed25519 seed, 32 bytes. */
export function devIdentitySeed(node: number): Uint8Array {
  const index = new Uint8Array(4);
  new DataView(index.buffer).setUint32(0, node);
  return taggedHash('grapevine/dev-identity/1', index);
}
