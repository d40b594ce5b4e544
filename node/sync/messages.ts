/**
 * Between the wire's bytes and the chain's types. Layouts and limits are those of `net/wire.ts`: `encode*` throws
 * RangeError where the caller breaks one, `decode*` returns undefined for a frame that does, and never throws.
 *
 * Headers, bodies, votes and other objects of the chain pass as they are: only their lengths are checked, and whoever
 * asked decodes them. A request's `max` may be any u32; what is answered has a bound of its own (`protocols.ts`).
 */
import { blockIdFromBytes, blockIdToBytes, chainIdFromBytes, chainIdToBytes } from '../../chain/codec.ts';
import type { BlockId } from '../../chain/types.ts';
import { type Address, addressFromBytes, addressToBytes } from '../../crypto/address.ts';
import { bytesToHex, hexToBytes } from '../../crypto/bytes.ts';
import * as wire from '../net/wire.ts';
import type { PeerStatus } from './peer-status.ts';

/** Work takes as many bytes as it has, at most 40; the name of the software at most 64 characters. */
export function encodeStatus(status: PeerStatus): Uint8Array {
  return wire.encodeStatus({
    chainId: chainIdToBytes(status.chainId),
    version: status.software,
    tipHeight: status.tip.height,
    tipId: blockIdToBytes(status.tip.id),
    tipWork: bigintToBytes(status.totalWork),
    agreedHeight: status.agreed.height,
    agreedId: blockIdToBytes(status.agreed.id),
    finalHeight: status.final.height,
    finalId: blockIdToBytes(status.final.id),
    offenders: hexToBytes(status.offenders),
    mempool: hexToBytes(status.mempool),
  });
}

/** Work may have leading zeros, or no bytes, which is 0. Whether the chain is ours is for the caller to look at. */
export function decodeStatus(frame: Uint8Array): PeerStatus | undefined {
  const message = wire.decodeStatus(frame);
  if (message === undefined) return undefined;
  return {
    chainId: chainIdFromBytes(message.chainId),
    software: message.version,
    tip: { height: message.tipHeight, id: blockIdFromBytes(message.tipId) },
    totalWork: bytesToBigint(message.tipWork),
    agreed: { height: message.agreedHeight, id: blockIdFromBytes(message.agreedId) },
    final: { height: message.finalHeight, id: blockIdFromBytes(message.finalId) },
    offenders: bytesToHex(message.offenders),
    mempool: bytesToHex(message.mempool),
  };
}

export interface HeadersRequest {
  readonly locator: readonly BlockId[];
  readonly max: number;
}

/** At most `MAX_LOCATOR_IDS` ids. */
export function encodeHeadersRequest(request: HeadersRequest): Uint8Array {
  return wire.encodeHeadersRequest({ locator: request.locator.map(blockIdToBytes), max: request.max });
}

/** The locator may be empty. */
export function decodeHeadersRequest(frame: Uint8Array): HeadersRequest | undefined {
  const message = wire.decodeHeadersRequest(frame);
  return message && { locator: message.locator.map(blockIdFromBytes), max: message.max };
}

/** At most `MAX_HEADERS_PER_CHUNK` canonical headers, parents first, `HEADER_BYTES` each. */
export function encodeHeadersChunk(headers: readonly Uint8Array[]): Uint8Array {
  return wire.encodeHeadersChunk({ headers });
}

/** The headers are not decoded, and there may be none, which the asking side takes for malformed. */
export function decodeHeadersChunk(frame: Uint8Array): readonly Uint8Array[] | undefined {
  return wire.decodeHeadersChunk(frame)?.headers;
}

/** At most `MAX_BODY_IDS` ids; the answer keeps their order. */
export function encodeBodiesRequest(ids: readonly BlockId[]): Uint8Array {
  return wire.encodeBodiesRequest({ ids: ids.map(blockIdToBytes) });
}

/** An id may occur twice; each is answered. */
export function decodeBodiesRequest(frame: Uint8Array): readonly BlockId[] | undefined {
  return wire.decodeBodiesRequest(frame)?.ids.map(blockIdFromBytes);
}

/** A block by id; `block` undefined: the peer does not have it. */
export interface BodyReply {
  readonly id: BlockId;
  readonly block: Uint8Array | undefined;
}

/** At most `MAX_BLOCK_BYTES` (BLK-2). On the wire an empty block says that there is none. */
export function encodeBodyReply(reply: BodyReply): Uint8Array {
  return wire.encodeBodyReply({ id: blockIdToBytes(reply.id), block: reply.block ?? new Uint8Array() });
}

/** The block is not decoded: whether it is the one that `id` names is for the caller to check. */
export function decodeBodyReply(frame: Uint8Array): BodyReply | undefined {
  const message = wire.decodeBodyReply(frame);
  return message && { id: blockIdFromBytes(message.id), block: message.block.length === 0 ? undefined : message.block };
}

export interface BlockTxsRequest {
  readonly id: BlockId;
  /** Places of transactions in the block, rising, at least one. */
  readonly indexes: readonly number[];
}

/** At most `MAX_BLOCK_TXS` places, each below that (CMPCT-5). */
export function encodeBlockTxsRequest({ id, indexes }: BlockTxsRequest): Uint8Array {
  return wire.encodeBlockTxsRequest({ id: blockIdToBytes(id), indexes });
}

/** Undefined also where the places do not rise. That the block has so many transactions is not known here. */
export function decodeBlockTxsRequest(frame: Uint8Array): BlockTxsRequest | undefined {
  const message = wire.decodeBlockTxsRequest(frame);
  return message && { id: blockIdFromBytes(message.id), indexes: message.indexes };
}

/** Encoded transactions; none: the peer has not got them. */
export function encodeBlockTxsReply(txs: readonly Uint8Array[]): Uint8Array {
  return wire.encodeBlockTxsReply({ txs });
}

/** Each has the length of a transaction, `MIN_TX_BYTES` to `MAX_TX_BYTES`; more is not looked at. */
export function decodeBlockTxsReply(frame: Uint8Array): readonly Uint8Array[] | undefined {
  return wire.decodeBlockTxsReply(frame)?.txs;
}

export interface VotesRequest {
  readonly fromHeight: bigint;
  readonly max: number;
}

/** Target heights at and above `fromHeight`. */
export function encodeVotesRequest(request: VotesRequest): Uint8Array {
  return wire.encodeVotesRequest(request);
}

/** The height may be any u64, above the tip too. */
export function decodeVotesRequest(frame: Uint8Array): VotesRequest | undefined {
  return wire.decodeVotesRequest(frame);
}

/** At most `MAX_VOTES_PER_CHUNK` canonical votes, `VOTE_BYTES` each. */
export function encodeVotesChunk(votes: readonly Uint8Array[]): Uint8Array {
  return wire.encodeVotesChunk({ votes });
}

/** The votes are not decoded, and there may be none, which the asking side takes for malformed. */
export function decodeVotesChunk(frame: Uint8Array): readonly Uint8Array[] | undefined {
  return wire.decodeVotesChunk(frame)?.votes;
}

export interface EvidenceRequest {
  /** Only against voters with a higher address. */
  readonly after: Address | undefined;
  readonly max: number;
}

/** On the wire an empty address asks from the first one on. */
export function encodeEvidenceRequest({ after, max }: EvidenceRequest): Uint8Array {
  return wire.encodeEvidenceRequest({ after: after === undefined ? new Uint8Array() : addressToBytes(after), max });
}

/** Undefined also where `after` is neither empty nor an address of 20 bytes. */
export function decodeEvidenceRequest(frame: Uint8Array): EvidenceRequest | undefined {
  const message = wire.decodeEvidenceRequest(frame);
  if (message === undefined) return undefined;
  return { after: message.after.length === 0 ? undefined : addressFromBytes(message.after), max: message.max };
}

/** At most `MAX_EVIDENCE_PER_CHUNK` canonical pieces, `EVIDENCE_BYTES` each; none: there are no more. */
export function encodeEvidenceChunk(evidence: readonly Uint8Array[]): Uint8Array {
  return wire.encodeEvidenceChunk({ evidence });
}

/** The pieces are not decoded. Unlike headers and votes, an empty chunk is an answer: there are no more. */
export function decodeEvidenceChunk(frame: Uint8Array): readonly Uint8Array[] | undefined {
  return wire.decodeEvidenceChunk(frame)?.evidence;
}

const U64_BYTES = 8;
const U64_END = 1n << 64n;

/** Big-endian, no zeros before it; zero is one zero byte. Work mostly fits 64 bits: text is made only where it does not. */
function bigintToBytes(value: bigint): Uint8Array {
  if (value >= U64_END) {
    const hex = value.toString(16);
    return hexToBytes(hex.length % 2 === 0 ? hex : `0${hex}`);
  }
  const bytes = new Uint8Array(U64_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, value);
  const from = bytes.findIndex((byte) => byte !== 0);
  return bytes.subarray(from === -1 ? U64_BYTES - 1 : from);
}

function bytesToBigint(bytes: Uint8Array): bigint {
  if (bytes.length > U64_BYTES) return BigInt(`0x${bytesToHex(bytes)}`);
  const padded = new Uint8Array(U64_BYTES);
  padded.set(bytes, U64_BYTES - bytes.length);
  return new DataView(padded.buffer).getBigUint64(0);
}
