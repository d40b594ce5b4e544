/**
 * The genesis document: a JSON file that fixes everything two nodes must have in common. The genesis block commits
 * to its canonical form through `txRoot`, so the chain id differs as soon as any parameter, balance or voter does.
 */
import { type Address, formatAddress } from '../crypto/address.ts';
import { taggedHash } from '../crypto/hash.ts';
import { chainIdOf, makeHeader, ZERO_ADDRESS, ZERO_BLOCK_ID } from './codec.ts';
import type { ElectorateRule } from './electorate.ts';
import { JsonReader } from './json-reader.ts';
import { type ChainParams, MAX_U64, UNITS_PER_COIN } from './params.ts';
import { bitsForHashes, bitsToTarget, workOfTarget } from './target.ts';
import type { Account, Block, ChainEntry, ChainId } from './types.ts';

const TAG = 'grapevine/genesis/1';
const MAX_ALLOC = 10_000;
const MAX_VOTERS = 1_000;
/** Votes that a link may have: peers give what proves it in one answer of so many. */
export const MAX_LINK_VOTES = 2_048;
/** Blocks in the window of an electorate of miners; with more than a few voters in the genesis, less (`mostVotersOf`). */
export const MAX_WINDOW = 1_000;
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
const HOUR_MS = 3_600_000;
/** Longest half-life and longest solve time that a genesis may ask for. */
export const MAX_SPAN_MS = 30 * 24 * HOUR_MS;
const MAX_U32 = 0xffff_ffff;
/** A devnet's five budgeted miners together, hashes per millisecond: 160,000 per 2-second block. */
const DEVNET_HASHES_PER_MS = 80n;
const DEVNET_EASIEST_HASHES = 256n;

/** The JSON file. Amounts are decimal strings: JSON numbers lose digits above 2^53. */
export interface GenesisDoc {
  /** Lower-case letters, digits, hyphens; at most 32. */
  readonly name: string;
  /** `YYYY-MM-DDTHH:mm:ss.sssZ`, the earliest time of the chain. */
  readonly timestamp: string;
  readonly params: Omit<ChainParams, 'blockReward' | 'minFee'> & {
    readonly blockReward: string;
    readonly minFee: string;
  };
  readonly alloc: readonly { readonly address: string; readonly balance: string }[];
  /** The electorate, bech32m addresses; under `miners` what fills the window until there are so many blocks. */
  readonly voters: readonly string[];
  /** Absent, or given as `genesis`: the voters above, for ever. The canonical document has it for `miners` only. */
  readonly electorate?: ElectorateRule;
}

/** What a net starts from. */
export interface Genesis {
  /** Canonical: alloc and voters in the order of their addresses. */
  readonly doc: GenesisDoc;
  readonly chainId: ChainId;
  /** Height 0, no transactions, no work. */
  readonly block: Block;
  readonly entry: ChainEntry;
  readonly params: ChainParams;
  readonly accounts: ReadonlyMap<Address, Account>;
  /** The voters of the document. */
  readonly electorate: readonly Address[];
  readonly electorateRule: ElectorateRule;
}

/** The document is not one; `field` names the place, e.g. `params.blockTimeMs`. */
export class GenesisError extends Error {
  readonly field: string;

  constructor(field: string, problem: string) {
    super(`genesis: ${field === '' ? 'document' : field}: ${problem}`);
    this.name = 'GenesisError';
    this.field = field;
  }
}

const read = new JsonReader((field, problem) => new GenesisError(field, problem));

export interface GenesisOptions {
  readonly name?: string;
  /** Milliseconds since the epoch. */
  readonly timestampMs: number;
  readonly alloc: Iterable<{ readonly address: Address; readonly balance: bigint }>;
  readonly voters: Iterable<Address>;
  /** Default: the voters, for ever. */
  readonly electorate?: ElectorateRule;
  /** Overrides; what is left out follows from `blockTimeMs`. */
  readonly params?: Partial<ChainParams>;
}

/**
 * Makes a document with devnet defaults.
 * @throws GenesisError where the options make no valid document.
 */
export function genesisDoc(options: GenesisOptions): GenesisDoc {
  const params = devnetParams(options.params ?? {});
  const doc = {
    name: options.name ?? 'devnet',
    timestamp: new Date(options.timestampMs).toISOString(),
    params: { ...params, blockReward: params.blockReward.toString(), minFee: params.minFee.toString() },
    alloc: Array.from(options.alloc, ({ address, balance }) => ({
      address: formatAddress(address),
      balance: balance.toString(),
    })),
    voters: Array.from(options.voters, formatAddress),
    ...(options.electorate === undefined ? {} : { electorate: options.electorate }),
  };
  return parseGenesis(doc).doc;
}

/**
 * Checks a document, as JSON.parse gives it, and derives the genesis block.
 * @throws GenesisError naming the field: unknown, missing, out of range, or given twice.
 */
export function parseGenesis(json: unknown): Genesis {
  const root = read.objectAt(json, '', ['name', 'timestamp', 'params', 'alloc', 'voters'], ['electorate']);
  const name = read.stringAt(root.name, 'name');
  if (!NAME.test(name)) throw new GenesisError('name', 'must be 1 to 32 lower-case letters, digits or hyphens');
  const timestamp = read.stringAt(root.timestamp, 'timestamp');
  const timestampMs = parseTimestamp(timestamp);
  const params = parseParams(root.params);
  const accounts = parseAlloc(root.alloc);
  const electorate = parseVoters(root.voters);
  const electorateRule = parseElectorate(root.electorate, electorate);
  const doc: GenesisDoc = {
    name,
    timestamp,
    params: { ...params, blockReward: params.blockReward.toString(), minFee: params.minFee.toString() },
    alloc: Array.from(accounts, ([address, { balance }]) => ({
      address: formatAddress(address),
      balance: balance.toString(),
    })),
    voters: electorate.map(formatAddress),
    ...(electorateRule.kind === 'genesis' ? {} : { electorate: electorateRule }),
  };
  // Key order is that of the literals above and in parseParams; every value in `doc` has one spelling only.
  const canonical = new TextEncoder().encode(JSON.stringify(doc));
  const header = makeHeader({
    height: 0n,
    parent: ZERO_BLOCK_ID,
    txRoot: taggedHash(TAG, canonical),
    timestampMs: BigInt(timestampMs),
    bits: params.initialBits,
    miner: ZERO_ADDRESS,
    nonce: 0n,
  });
  const totalWork = workOfTarget(bitsToTarget(params.initialBits)!);
  return {
    doc,
    chainId: chainIdOf(header.id),
    block: { header, coinbase: 0n, txs: [] },
    entry: { header, totalWork, effectiveTimeMs: 0n, arrival: 0 },
    params,
    accounts,
    electorate,
    electorateRule,
  };
}

function devnetParams(given: Partial<ChainParams>): ChainParams {
  const blockTimeMs = given.blockTimeMs ?? 2_000;
  const halfLifeMs = given.halfLifeMs ?? 30 * blockTimeMs;
  const maxSolveTimeMs = given.maxSolveTimeMs ?? halfLifeMs;
  const hashes = BigInt(Math.max(1, Math.trunc(blockTimeMs))) * DEVNET_HASHES_PER_MS;
  return {
    blockTimeMs,
    halfLifeMs,
    maxSolveTimeMs,
    maxFutureMs: given.maxFutureMs ?? Math.min(10_000, Math.floor(maxSolveTimeMs / 2)),
    powLimitBits: given.powLimitBits ?? bitsForHashes(DEVNET_EASIEST_HASHES),
    initialBits: given.initialBits ?? bitsForHashes(hashes),
    blockReward: given.blockReward ?? 50n * UNITS_PER_COIN,
    minFee: given.minFee ?? 1_000n,
    checkpointInterval: given.checkpointInterval ?? 1,
  };
}

function parseParams(json: unknown): ChainParams {
  const fields = read.objectAt(json, 'params', [
    'blockTimeMs',
    'halfLifeMs',
    'maxSolveTimeMs',
    'maxFutureMs',
    'powLimitBits',
    'initialBits',
    'blockReward',
    'minFee',
    'checkpointInterval',
  ]);
  const blockTimeMs = read.integerAt(fields.blockTimeMs, 'params.blockTimeMs', 50, HOUR_MS);
  const halfLifeMs = read.integerAt(fields.halfLifeMs, 'params.halfLifeMs', blockTimeMs, MAX_SPAN_MS);
  const maxSolveTimeMs = read.integerAt(fields.maxSolveTimeMs, 'params.maxSolveTimeMs', blockTimeMs, MAX_SPAN_MS);
  // Else a timestamp far ahead, cut by the cap, and then an honest one, in full, would set the chain clock back
  // again and again, and so raise the difficulty without work.
  const maxFutureMs = read.integerAt(fields.maxFutureMs, 'params.maxFutureMs', 1, maxSolveTimeMs - 1);
  const powLimitBits = bitsAt(fields.powLimitBits, 'params.powLimitBits');
  const initialBits = bitsAt(fields.initialBits, 'params.initialBits');
  if (bitsToTarget(initialBits)! > bitsToTarget(powLimitBits)!) {
    throw new GenesisError('params.initialBits', 'must not be easier than params.powLimitBits');
  }
  return {
    blockTimeMs,
    halfLifeMs,
    maxSolveTimeMs,
    maxFutureMs,
    powLimitBits,
    initialBits,
    blockReward: read.u64At(fields.blockReward, 'params.blockReward', 0n, 1_000_000n * UNITS_PER_COIN),
    minFee: read.u64At(fields.minFee, 'params.minFee', 0n, 1_000n * UNITS_PER_COIN),
    checkpointInterval: read.integerAt(fields.checkpointInterval, 'params.checkpointInterval', 1, 10_000),
  };
}

function parseTimestamp(text: string): number {
  const ms = Date.parse(text);
  if (!Number.isFinite(ms) || ms < 0 || new Date(ms).toISOString() !== text) {
    throw new GenesisError('timestamp', 'must be a time since 1970 written like 2025-01-31T12:00:00.000Z');
  }
  return ms;
}

function parseAlloc(json: unknown): ReadonlyMap<Address, Account> {
  const accounts = new Map<Address, Account>();
  let supply = 0n;
  for (const [i, item] of read.arrayAt(json, 'alloc', MAX_ALLOC).entries()) {
    const fields = read.objectAt(item, `alloc[${i}]`, ['address', 'balance']);
    const address = read.addressAt(fields.address, `alloc[${i}].address`);
    if (accounts.has(address)) throw new GenesisError(`alloc[${i}].address`, 'is given twice');
    const balance = read.u64At(fields.balance, `alloc[${i}].balance`, 1n, MAX_U64);
    supply += balance;
    if (supply > MAX_U64) throw new GenesisError(`alloc[${i}].balance`, 'brings the supply above 2^64 - 1');
    accounts.set(address, { balance, nonce: 0n });
  }
  return new Map([...accounts].sort(([a], [b]) => compareText(a, b)));
}

function parseVoters(json: unknown): readonly Address[] {
  const voters = new Set<Address>();
  for (const [i, item] of read.arrayAt(json, 'voters', MAX_VOTERS).entries()) {
    const address = read.addressAt(item, `voters[${i}]`);
    if (voters.has(address)) throw new GenesisError(`voters[${i}]`, 'is given twice');
    voters.add(address);
  }
  return [...voters].sort(compareText);
}

function parseElectorate(json: unknown, voters: readonly Address[]): ElectorateRule {
  if (json === undefined) return { kind: 'genesis' };
  const { kind } = read.objectAt(json, 'electorate', ['kind'], ['window']);
  if (kind === 'genesis') {
    read.objectAt(json, 'electorate', ['kind']);
    return { kind };
  }
  if (kind !== 'miners') throw new GenesisError('electorate.kind', "must be 'genesis' or 'miners'");
  const { window } = read.objectAt(json, 'electorate', ['kind', 'window']);
  // Somebody has to agree the first blocks.
  if (voters.length === 0) throw new GenesisError('voters', 'must not be empty with an electorate of miners');
  const rule = { kind, window: read.integerAt(window, 'electorate.window', 1, MAX_WINDOW) } as const;
  if (mostVotersOf(rule.window, voters.length) > MAX_LINK_VOTES) {
    const most = Math.floor((MAX_LINK_VOTES + 1 - voters.length) / 2);
    throw new GenesisError(
      'electorate.window',
      `must be at most ${most} with ${voters.length} voters, or a link might need more than ${MAX_LINK_VOTES} votes`,
    );
  }
  return rule;
}

/**
 * Voters that a link of an electorate of miners can have: the authors of the forward window, all of them others than
 * those of the rear one, which, as the last that has founders in it, lacks one block of a window.
 */
function mostVotersOf(window: number, founders: number): number {
  return window + (window - 1) + founders;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function bitsAt(json: unknown, field: string): number {
  const bits = read.integerAt(json, field, 1, MAX_U32);
  if (bitsToTarget(bits) === undefined) throw new GenesisError(field, 'is not a target in canonical compact form');
  return bits;
}
