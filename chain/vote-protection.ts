/**
 * What must move with a voter's key to another machine, so that the voter cannot contradict itself there (VOTE-8): the
 * guard of its votes, as a JSON document. Validator clients of Ethereum have EIP-3076 for this.
 *
 * A voter votes in one place at a time. An export disables the store it is made from, and counts as one *move*; a
 * store that was disabled takes back only a document of a later move than its own. So neither the machine that
 * was left, nor an old document, can vote beside the machine that has moved on. What no file can rule out is that one
 * document is imported on two machines.
 */
import { type Address, formatAddress } from '../crypto/address.ts';
import { bytesToHex } from '../crypto/bytes.ts';
import { taggedHash } from '../crypto/hash.ts';
import { JsonReader } from './json-reader.ts';

const FORMAT = 'grapevine-vote-protection/1';
const TAG = 'grapevine/vote-protection/1';
/** The most that a document may say. The store keeps a u32, and has room for one more. */
const MAX_MOVES = 0xffff_fffe;
/**
 * No others: the checksum is over these, so one more was written by another hand; and what a later version may have to
 * say about a guard must not be passed over.
 */
const KEYS = ['chainId', 'voter', 'sourceHeight', 'targetHeight', 'moves', 'disabled', 'checksum'] as const;
const read = new JsonReader(malformed);

/** The guard of one voter. */
export interface VoteProtection {
  /** Highest source and target voted for; zeros before the first vote. */
  readonly sourceHeight: bigint;
  readonly targetHeight: bigint;
  /** The voter has moved away: no vote may be cast on this guard. */
  readonly disabled: boolean;
  /** Moves from machine to machine so far. */
  readonly moves: number;
}

/** `checksum` is over all else: a slip of the hand must not lower a guard. It is no signature. */
export interface VoteProtectionDocument {
  readonly format: typeof FORMAT;
  readonly chainId: string;
  /** bech32m address. */
  readonly voter: string;
  readonly sourceHeight: string;
  readonly targetHeight: string;
  readonly moves: number;
  /** False: a copy of a store that goes on voting. */
  readonly disabled: boolean;
  readonly checksum: string;
}

export interface ProtectedVoter {
  readonly chainId: string;
  readonly voter: Address;
  readonly protection: VoteProtection;
}

export const PROTECTION_FAULTS = [
  'protection/malformed',
  'protection/bad-checksum',
  'protection/wrong-chain',
  'protection/wrong-voter',
  'protection/moved-on',
  'protection/still-voting',
  'protection/no-move-left',
] as const;
export type ProtectionFault = (typeof PROTECTION_FAULTS)[number];

/** The document cannot be taken; `code` says why, for programs. */
export class VoteProtectionError extends Error {
  override readonly name = 'VoteProtectionError';
  readonly code: ProtectionFault;

  constructor(code: ProtectionFault, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The guard that an export leaves behind and writes down: disabled, one move further; a second export changes nothing.
 * @throws VoteProtectionError `no-move-left`
 */
export function planExport(current: VoteProtection): VoteProtection {
  if (!current.disabled && current.moves >= MAX_MOVES) {
    throw new VoteProtectionError(
      'protection/no-move-left',
      `the voter has moved ${current.moves} times: no more count`,
    );
  }
  return current.disabled ? current : { ...current, disabled: true, moves: current.moves + 1 };
}

export interface ImportContext {
  readonly chainId: string;
  /** Whose guard is expected; undefined: whoever's it is. */
  readonly voter: Address | undefined;
  /** What the store has of the document's voter. */
  readonly current: VoteProtection | undefined;
  /** Take a copy of a store that goes on voting: the operator knows that it does not any more. */
  readonly force: boolean;
}

/**
 * The guard after an import: never lower in anything than either was.
 * @throws VoteProtectionError `wrong-chain`, `wrong-voter`, `moved-on`, `still-voting`
 */
export function planImport({ chainId, voter, protection }: ProtectedVoter, context: ImportContext): VoteProtection {
  const { current } = context;
  if (chainId !== context.chainId) {
    const message = `the document is of chain ${chainId}, this store of ${context.chainId}`;
    throw new VoteProtectionError('protection/wrong-chain', message);
  }
  if (context.voter !== undefined && voter !== context.voter) {
    const message = `the document is of voter ${formatAddress(voter)}, not ${formatAddress(context.voter)}`;
    throw new VoteProtectionError('protection/wrong-voter', message);
  }
  if (current?.disabled === true && protection.moves <= current.moves) {
    throw new VoteProtectionError(
      'protection/moved-on',
      'the voter has moved away from here since: import what the machine that it moved to exports',
    );
  }
  if (!protection.disabled && !context.force) {
    throw new VoteProtectionError(
      'protection/still-voting',
      'the store that this was exported from goes on voting: export there again, without --no-disable',
    );
  }
  return {
    sourceHeight: higher(protection.sourceHeight, current?.sourceHeight ?? 0n),
    targetHeight: higher(protection.targetHeight, current?.targetHeight ?? 0n),
    moves: Math.max(protection.moves, current?.moves ?? 0),
    disabled: false,
  };
}

/**
 * Writes a guard down, with its checksum. Whether it is a disabled one is for the caller: an export that moves the
 * voter has made the guard that `planExport` gives durable before the document leaves.
 */
export function voteProtectionDocument({ chainId, voter, protection }: ProtectedVoter): VoteProtectionDocument {
  const fields = {
    format: FORMAT,
    chainId,
    voter: formatAddress(voter),
    sourceHeight: protection.sourceHeight.toString(),
    targetHeight: protection.targetHeight.toString(),
    moves: protection.moves,
    disabled: protection.disabled,
  } as const;
  return { ...fields, checksum: checksumOf(fields) };
}

/**
 * Reads a document, as JSON.parse gives it.
 * @throws VoteProtectionError `malformed` naming the field, `bad-checksum`
 */
export function parseVoteProtection(json: unknown): ProtectedVoter {
  const fields = read.documentAt(json, FORMAT, KEYS);
  const chainId = read.stringAt(fields.chainId, 'chainId');
  if (!/^[0-9a-f]{64}$/.test(chainId)) throw malformed('chainId', 'must be 64 hex digits');
  const parsed: ProtectedVoter = {
    chainId,
    voter: read.addressAt(fields.voter, 'voter'),
    protection: {
      sourceHeight: read.u64At(fields.sourceHeight, 'sourceHeight'),
      targetHeight: read.u64At(fields.targetHeight, 'targetHeight'),
      moves: read.integerAt(fields.moves, 'moves', 0, MAX_MOVES),
      disabled: read.booleanAt(fields.disabled, 'disabled'),
    },
  };
  if (fields.checksum !== voteProtectionDocument(parsed).checksum) {
    throw new VoteProtectionError('protection/bad-checksum', 'the checksum does not fit: the document was changed');
  }
  return parsed;
}

function checksumOf(fields: Omit<VoteProtectionDocument, 'checksum'>): string {
  return bytesToHex(taggedHash(TAG, new TextEncoder().encode(JSON.stringify(fields))));
}

function malformed(place: string, problem: string): VoteProtectionError {
  return new VoteProtectionError('protection/malformed', `${place === '' ? 'document' : place}: ${problem}`);
}

function higher(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
