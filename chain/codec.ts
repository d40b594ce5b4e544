/**
 * The canonical encoding: one byte string per object, fixed-width big-endian fields, no optional parts.
 * Layouts are in `docs/PROTOCOL.md`. Decoders take bytes from anyone: they never throw, check every length before
 * they allocate, and copy what they keep, so that no decoded object pins (or shares) a network buffer.
 */
import { ADDRESS_BYTES, type Address, addressFromBytes, addressOf, addressToBytes } from '../crypto/address.ts';
import { bytesToHex, equalBytes, hexToBytes } from '../crypto/bytes.ts';
import { doubleSha256, taggedHash } from '../crypto/hash.ts';
import { PUBLIC_KEY_BYTES } from '../crypto/keys.ts';
import { merkleLeafHash, merkleRootOfHashes } from '../crypto/merkle.ts';
import { SIGNATURE_BYTES } from '../crypto/signature.ts';
import { EVIDENCE_BYTES, HEADER_BYTES, MAX_MEMO_BYTES, MIN_TX_BYTES, VOTE_BYTES } from './params.ts';
import type {
  Block,
  BlockId,
  ChainId,
  Evidence,
  Header,
  HeaderBody,
  Tx,
  TxBody,
  TxId,
  Vote,
  VoteBody,
  VoteId,
} from './types.ts';
import { ByteReader, ByteWriter } from './wire.ts';

/** What decoding gives: a value, or what is wrong with the bytes (for logs, never shown as a reason code). */
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly detail: string };

/** First byte of every transaction, header and vote. */
const VERSION = 1;
const ID_BYTES = 32;
/** Where a transaction's memo length stands: all fields before it have fixed widths. */
const MEMO_LENGTH_OFFSET = 110;
/** coinbase u64 and txCount u32, which follow the header in a block. */
const BLOCK_FIXED_BYTES = HEADER_BYTES + 12;
const ID_TEXT = /^[0-9a-f]{64}$/;

const TX_TAG = 'grapevine/tx/1';
const VOTE_TAG = 'grapevine/vote/1';

// Ids -----------------------------------------------------------------------------------------------------------

/** All-zero id: the genesis block's parent. */
export const ZERO_BLOCK_ID = '0'.repeat(64) as BlockId;
/** All-zero address: the genesis block's miner, whom nobody can be. */
export const ZERO_ADDRESS: Address = addressFromBytes(new Uint8Array(ADDRESS_BYTES));

/** Takes 32 bytes; throws RangeError for another length. */
export function txIdFromBytes(bytes: Uint8Array): TxId {
  return idFromBytes(bytes) as TxId;
}

/** Takes 32 bytes; throws RangeError for another length. */
export function blockIdFromBytes(bytes: Uint8Array): BlockId {
  return idFromBytes(bytes) as BlockId;
}

/** Takes 32 bytes; throws RangeError for another length. */
export function voteIdFromBytes(bytes: Uint8Array): VoteId {
  return idFromBytes(bytes) as VoteId;
}

/**
 * The last one is remembered: every transaction and vote names its chain, nearly always the same, and a text of their own
 * for each would be made, kept and compared character by character.
 */
let lastChainId: { readonly bytes: Uint8Array; readonly id: ChainId } | undefined;

/** Takes 32 bytes; throws RangeError for another length. */
export function chainIdFromBytes(bytes: Uint8Array): ChainId {
  if (lastChainId === undefined || !equalBytes(bytes, lastChainId.bytes)) {
    lastChainId = { bytes: new Uint8Array(bytes), id: idFromBytes(bytes) as ChainId };
  }
  return lastChainId.id;
}

/** The chain id is the genesis block's id. */
export function chainIdOf(genesis: BlockId): ChainId {
  return genesis as string as ChainId;
}

/** Returns 32 bytes. */
export function txIdToBytes(id: TxId): Uint8Array {
  return hexToBytes(id);
}

/** Returns 32 bytes. */
export function blockIdToBytes(id: BlockId): Uint8Array {
  return hexToBytes(id);
}

/** Returns 32 bytes. */
export function voteIdToBytes(id: VoteId): Uint8Array {
  return hexToBytes(id);
}

/** Returns 32 bytes. */
export function chainIdToBytes(id: ChainId): Uint8Array {
  return hexToBytes(id);
}

/** Text from the API edge: 64 lower-case hex digits, else undefined. */
export function parseTxId(text: string): TxId | undefined {
  return ID_TEXT.test(text) ? (text as TxId) : undefined;
}

/** Text from the API edge: 64 lower-case hex digits, else undefined. */
export function parseBlockId(text: string): BlockId | undefined {
  return ID_TEXT.test(text) ? (text as BlockId) : undefined;
}

// Transactions --------------------------------------------------------------------------------------------------

/** What a sender signs: tagged hash of the encoding less its signature, 32 bytes; its hex is the TxId. */
export function txDigest(body: TxBody): Uint8Array {
  return taggedHash(TX_TAG, encodeTxBody(body, 0));
}

/**
 * Makes a transaction from what was signed and a 64-byte signature, which is not verified here.
 * A memo longer than MAX_MEMO_BYTES is encoded (up to 65,535 bytes) and left to rule TX-6 to name.
 * @throws RangeError where a field does not fit its width.
 */
export function makeTx(body: TxBody, signature: Uint8Array): Tx {
  if (signature.length !== SIGNATURE_BYTES) throw new RangeError(`a signature is ${SIGNATURE_BYTES} bytes`);
  const bytes = encodeTxBody(body, SIGNATURE_BYTES);
  bytes.set(signature, bytes.length - SIGNATURE_BYTES);
  return txOf(bytes);
}

/** Decodes one transaction and nothing after it. */
export function decodeTx(bytes: Uint8Array): Decoded<Tx> {
  const length = txLengthAt(bytes, 0);
  if (!length.ok) return length;
  if (bytes.length !== length.value) return malformed('trailing bytes after the transaction');
  return { ok: true, value: txOf(new Uint8Array(bytes)) };
}

function encodeTxBody(body: TxBody, room: number): Uint8Array {
  return new ByteWriter(MIN_TX_BYTES - SIGNATURE_BYTES + body.memo.length + room)
    .u8(VERSION)
    .raw(chainIdToBytes(body.chainId), ID_BYTES)
    .raw(checkedPublicKey(body.publicKey), PUBLIC_KEY_BYTES)
    .u64(body.nonce)
    .raw(addressToBytes(body.to), ADDRESS_BYTES)
    .u64(body.amount)
    .u64(body.fee)
    .u16(body.memo.length)
    .raw(body.memo).bytes;
}

/** Length of the transaction that starts at `offset`, with everything checked that could make `txOf` fail. */
function txLengthAt(bytes: Uint8Array, offset: number): Decoded<number> {
  const available = bytes.length - offset;
  if (available < MIN_TX_BYTES) return malformed('transaction cut short');
  if (bytes[offset] !== VERSION) return malformed('unknown transaction version');
  if (!isCompressed(bytes[offset + 1 + ID_BYTES])) return malformed('public key is not compressed');
  const memoLength = new ByteReader(bytes, offset + MEMO_LENGTH_OFFSET).u16();
  if (memoLength > MAX_MEMO_BYTES) return malformed('memo too long');
  const length = MIN_TX_BYTES + memoLength;
  if (available < length) return malformed('memo cut short');
  return { ok: true, value: length };
}

/** Takes ownership of `bytes`, which are exactly one well-formed transaction. */
function txOf(bytes: Uint8Array): Tx {
  const reader = new ByteReader(bytes, 1);
  const chainId = chainIdFromBytes(reader.raw(ID_BYTES));
  const publicKey = reader.raw(PUBLIC_KEY_BYTES);
  const nonce = reader.u64();
  const to = addressFromBytes(reader.raw(ADDRESS_BYTES));
  const amount = reader.u64();
  const fee = reader.u64();
  const memo = reader.raw(reader.u16());
  const digest = taggedHash(TX_TAG, bytes.subarray(0, reader.offset));
  const signature = reader.raw(SIGNATURE_BYTES);
  const [id, from, leafHash] = [txIdFromBytes(digest), addressOf(publicKey), merkleLeafHash(bytes)];
  return { id, chainId, publicKey, from, nonce, to, amount, fee, memo, signature, bytes, leafHash };
}

// Headers and blocks --------------------------------------------------------------------------------------------

/**
 * The 113 bytes of a header. The nonce stands last, in bytes 105..112, so that a miner hashes the first 64 once.
 * @throws RangeError where a field does not fit its width.
 */
export function encodeHeader(body: HeaderBody): Uint8Array {
  return new ByteWriter(HEADER_BYTES)
    .u8(VERSION)
    .u64(body.height)
    .raw(blockIdToBytes(body.parent), ID_BYTES)
    .raw(body.txRoot, ID_BYTES)
    .u64(body.timestampMs)
    .u32(body.bits)
    .raw(addressToBytes(body.miner), ADDRESS_BYTES)
    .u64(body.nonce).bytes;
}

/** Makes a header with its id; work is not checked here. Throws RangeError where a field does not fit its width. */
export function makeHeader(body: HeaderBody): Header {
  return headerOf(encodeHeader(body));
}

/** Decodes one header and nothing after it. */
export function decodeHeader(bytes: Uint8Array): Decoded<Header> {
  if (bytes.length > HEADER_BYTES) return malformed('trailing bytes after the header');
  return decodeBlockHeader(bytes);
}

/** The header at the front of a block's encoding: lets its proof of work be checked before the body is decoded. */
export function decodeBlockHeader(bytes: Uint8Array): Decoded<Header> {
  if (bytes.length < HEADER_BYTES) return malformed('header cut short');
  if (bytes[0] !== VERSION) return malformed('unknown header version');
  return { ok: true, value: headerOf(new Uint8Array(bytes.subarray(0, HEADER_BYTES))) };
}

/** Takes ownership of `bytes`, which are exactly one header. */
function headerOf(bytes: Uint8Array): Header {
  const reader = new ByteReader(bytes, 1);
  const height = reader.u64();
  const parent = blockIdFromBytes(reader.raw(ID_BYTES));
  const txRoot = reader.raw(ID_BYTES);
  const timestampMs = reader.u64();
  const bits = reader.u32();
  const miner = addressFromBytes(reader.raw(ADDRESS_BYTES));
  const nonce = reader.u64();
  const id = blockIdFromBytes(doubleSha256(bytes));
  return { id, height, parent, txRoot, timestampMs, bits, miner, nonce, bytes };
}

/** Bytes that `encodeBlock` would give, without making them. */
export function blockBytes(block: Pick<Block, 'txs'>): number {
  return block.txs.reduce((sum, tx) => sum + tx.bytes.length, BLOCK_FIXED_BYTES);
}

/** header | coinbase u64 | txCount u32 | transactions. */
export function encodeBlock(block: Block): Uint8Array {
  const writer = new ByteWriter(blockBytes(block))
    .raw(block.header.bytes, HEADER_BYTES)
    .u64(block.coinbase)
    .u32(block.txs.length);
  for (const tx of block.txs) writer.raw(tx.bytes);
  return writer.bytes;
}

/** What stands in front of a block's transactions: all that a summary of it needs. */
export interface BlockFront {
  readonly header: Header;
  readonly coinbase: bigint;
  readonly txCount: number;
}

/** What `decodeBlockFront` gives for the block's encoding. */
export function blockFrontOf({ header, coinbase, txs }: Block): BlockFront {
  return { header, coinbase, txCount: txs.length };
}

/** Decodes what stands in front of the transactions; whether they are as many as it says is not looked at. */
export function decodeBlockFront(bytes: Uint8Array): Decoded<BlockFront> {
  const header = decodeBlockHeader(bytes);
  if (!header.ok) return header;
  if (bytes.length < BLOCK_FIXED_BYTES) return malformed('block cut short');
  const reader = new ByteReader(bytes, HEADER_BYTES);
  return { ok: true, value: { header: header.value, coinbase: reader.u64(), txCount: reader.u32() } };
}

const TOO_MANY_TXS = 'more transactions claimed than bytes for them';
const BYTES_AFTER_TXS = 'trailing bytes after the transactions';

/** A block whose transactions are there one at a time, by their places. */
export interface BlockReader {
  readonly front: BlockFront;
  /** Of its encoding. */
  readonly sizeBytes: number;
  /** Undefined where there is none at that place. Each call may decode it anew. */
  readonly txAt: (index: number) => Tx | undefined;
}

/** Of a block that is decoded already, which it keeps; `readEncodedBlock` does the same for bytes. */
export function readBlock(block: Block): BlockReader {
  return { front: blockFrontOf(block), sizeBytes: blockBytes(block), txAt: (index) => block.txs[index] };
}

/**
 * Checks all that `decodeBlock` checks, but decodes a transaction only when it is asked for: who wants a few of a large
 * block, or all of them in slices. Keeps `bytes`. Linear in the bytes given, whatever count they claim.
 */
export function readEncodedBlock(bytes: Uint8Array): Decoded<BlockReader> {
  const front = decodeBlockFront(bytes);
  if (!front.ok) return front;
  const { txCount } = front.value;
  if (txCount > (bytes.length - BLOCK_FIXED_BYTES) / MIN_TX_BYTES) return malformed(TOO_MANY_TXS);
  const starts = new Uint32Array(txCount + 1);
  let next = BLOCK_FIXED_BYTES;
  for (let index = 0; index < txCount; index += 1) {
    starts[index] = next;
    const length = txLengthAt(bytes, next);
    if (!length.ok) return length;
    next += length.value;
  }
  starts[txCount] = next;
  if (next < bytes.length) return malformed(BYTES_AFTER_TXS);
  const txAt = (index: number): Tx | undefined =>
    index >= 0 && index < txCount ? txOf(bytes.slice(starts[index], starts[index + 1])) : undefined;
  return { ok: true, value: { front: front.value, sizeBytes: bytes.length, txAt } };
}

/**
 * Decodes one block and nothing after it. Linear in the bytes given, whatever count they claim; the size itself
 * is rule BLK-2.
 */
export function decodeBlock(bytes: Uint8Array): Decoded<Block> {
  const front = decodeBlockFront(bytes);
  if (!front.ok) return front;
  const { header, coinbase, txCount } = front.value;
  const txs = decodeTxsToEnd(bytes, BLOCK_FIXED_BYTES, txCount);
  return txs.ok ? { ok: true, value: { header, coinbase, txs: txs.value } } : txs;
}

/**
 * Decodes `count` transactions that stand one after the other from `offset` on, and nothing after them. The count is
 * held against the bytes before anything is allocated for it.
 */
export function decodeTxsToEnd(bytes: Uint8Array, offset: number, count: number): Decoded<readonly Tx[]> {
  const reader = new ByteReader(bytes, offset);
  if (count > reader.remaining / MIN_TX_BYTES) return malformed(TOO_MANY_TXS);
  const txs: Tx[] = [];
  for (let i = 0; i < count; i += 1) {
    const length = txLengthAt(bytes, reader.offset);
    if (!length.ok) return length;
    txs.push(txOf(new Uint8Array(reader.raw(length.value))));
  }
  if (reader.remaining > 0) return malformed(BYTES_AFTER_TXS);
  return { ok: true, value: txs };
}

/**
 * Merkle root (RFC 9162) of a block: leaf 0 is the coinbase record height u64 | miner 20 | amount u64, then each
 * transaction's full encoding, so that a block id commits to signatures too. Returns 32 bytes.
 */
export function txRootOf(
  header: Pick<HeaderBody, 'height' | 'miner'>,
  coinbase: bigint,
  txs: readonly Tx[],
): Uint8Array {
  const hashes = [merkleLeafHash(coinbaseLeaf(header, coinbase))];
  for (const tx of txs) hashes.push(tx.leafHash);
  return merkleRootOfHashes(hashes);
}

/** The leaves of `txRootOf`, for proofs: transaction i of the block is leaf i + 1. */
export function txRootLeaves(
  header: Pick<HeaderBody, 'height' | 'miner'>,
  coinbase: bigint,
  txs: readonly Tx[],
): readonly Uint8Array[] {
  return [coinbaseLeaf(header, coinbase), ...txs.map((tx) => tx.bytes)];
}

function coinbaseLeaf(header: Pick<HeaderBody, 'height' | 'miner'>, coinbase: bigint): Uint8Array {
  return new ByteWriter(8 + ADDRESS_BYTES + 8)
    .u64(header.height)
    .raw(addressToBytes(header.miner), ADDRESS_BYTES)
    .u64(coinbase).bytes;
}

// Votes ---------------------------------------------------------------------------------------------------------

/** What a voter signs: tagged hash of the encoding less its signature, 32 bytes; its hex is the VoteId. */
export function voteDigest(body: VoteBody): Uint8Array {
  return taggedHash(VOTE_TAG, encodeVoteBody(body, 0));
}

/**
 * Makes a vote from what was signed and a 64-byte signature, which is not verified here.
 * @throws RangeError where a field does not fit its width.
 */
export function makeVote(body: VoteBody, signature: Uint8Array): Vote {
  if (signature.length !== SIGNATURE_BYTES) throw new RangeError(`a signature is ${SIGNATURE_BYTES} bytes`);
  const bytes = encodeVoteBody(body, SIGNATURE_BYTES);
  bytes.set(signature, VOTE_BYTES - SIGNATURE_BYTES);
  return voteOf(bytes);
}

/** Decodes one vote and nothing after it. */
export function decodeVote(bytes: Uint8Array): Decoded<Vote> {
  if (bytes.length !== VOTE_BYTES) return malformed(`a vote is ${VOTE_BYTES} bytes`);
  if (bytes[0] !== VERSION) return malformed('unknown vote version');
  if (!isCompressed(bytes[1 + ID_BYTES])) return malformed('public key is not compressed');
  return { ok: true, value: voteOf(new Uint8Array(bytes)) };
}

function encodeVoteBody(body: VoteBody, room: number): Uint8Array {
  return new ByteWriter(VOTE_BYTES - SIGNATURE_BYTES + room)
    .u8(VERSION)
    .raw(chainIdToBytes(body.chainId), ID_BYTES)
    .raw(checkedPublicKey(body.publicKey), PUBLIC_KEY_BYTES)
    .u64(body.source.height)
    .raw(blockIdToBytes(body.source.id), ID_BYTES)
    .u64(body.target.height)
    .raw(blockIdToBytes(body.target.id), ID_BYTES).bytes;
}

/** Takes ownership of `bytes`, which are exactly one well-formed vote. */
function voteOf(bytes: Uint8Array): Vote {
  const reader = new ByteReader(bytes, 1);
  const chainId = chainIdFromBytes(reader.raw(ID_BYTES));
  const publicKey = reader.raw(PUBLIC_KEY_BYTES);
  const source = { height: reader.u64(), id: blockIdFromBytes(reader.raw(ID_BYTES)) };
  const target = { height: reader.u64(), id: blockIdFromBytes(reader.raw(ID_BYTES)) };
  const id = voteIdFromBytes(taggedHash(VOTE_TAG, bytes.subarray(0, reader.offset)));
  const signature = reader.raw(SIGNATURE_BYTES);
  return { id, chainId, publicKey, voter: addressOf(publicKey), source, target, signature, bytes };
}

// Evidence ------------------------------------------------------------------------------------------------------

/** By the byte that stands for each. */
export const EVIDENCE_KINDS: readonly Evidence['kind'][] = ['double', 'surround'];

/** kind u8 (0 double, 1 surround) | first vote | second vote. */
export function encodeEvidence(evidence: Evidence): Uint8Array {
  return new ByteWriter(EVIDENCE_BYTES)
    .u8(EVIDENCE_KINDS.indexOf(evidence.kind))
    .raw(evidence.first.bytes, VOTE_BYTES)
    .raw(evidence.second.bytes, VOTE_BYTES).bytes;
}

/** Decodes one piece of evidence and nothing after it. What the votes prove is EVID-4's business. */
export function decodeEvidence(bytes: Uint8Array): Decoded<Evidence> {
  if (bytes.length !== EVIDENCE_BYTES) return malformed(`evidence is ${EVIDENCE_BYTES} bytes`);
  const kind = EVIDENCE_KINDS[bytes[0]!];
  if (kind === undefined) return malformed('unknown kind of evidence');
  const first = decodeVote(bytes.subarray(1, 1 + VOTE_BYTES));
  if (!first.ok) return first;
  const second = decodeVote(bytes.subarray(1 + VOTE_BYTES));
  if (!second.ok) return second;
  if (!isInEvidenceOrder(first.value, second.value)) return malformed('the votes are not in order');
  return { ok: true, value: { kind, voter: first.value.voter, first: first.value, second: second.value } };
}

/** Two votes have one order as evidence, so that it has one encoding: lower target height first, then lower id. */
export function isInEvidenceOrder(first: Vote, second: Vote): boolean {
  const [a, b] = [first.target.height, second.target.height];
  return a === b ? first.id < second.id : a < b;
}

// Shared --------------------------------------------------------------------------------------------------------

function malformed(detail: string): { readonly ok: false; readonly detail: string } {
  return { ok: false, detail };
}

/** Whether the point is on the curve is the signature check's business: it costs a square root. */
function isCompressed(prefix: number | undefined): boolean {
  return prefix === 0x02 || prefix === 0x03;
}

function checkedPublicKey(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== PUBLIC_KEY_BYTES || !isCompressed(publicKey[0])) {
    throw new RangeError('a public key is 33 bytes, compressed');
  }
  return publicKey;
}

function idFromBytes(bytes: Uint8Array): string {
  if (bytes.length !== ID_BYTES) throw new RangeError(`an id is ${ID_BYTES} bytes, got ${bytes.length}`);
  return bytesToHex(bytes);
}
