/**
 * The envelopes of the stream protocols, with their limits. `encode*` throws a `RangeError` where the caller breaks a
 * limit (our fault), `decode*` returns `undefined` for whatever does not keep them (the peer's fault) and never throws.
 *
 * Protobuf has several byte strings for one value, so nothing in here is hashed, signed or compared as bytes.
 */
import type { Uint8ArrayList } from 'uint8arraylist';
import {
  EVIDENCE_BYTES,
  HEADER_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCK_TXS,
  MAX_TX_BYTES,
  MAX_U64,
  MIN_TX_BYTES,
  VOTE_BYTES,
} from '../../chain/params.ts';
import { POOL_DIGEST_BYTES, POOL_FINGERPRINT_BYTES, SHORT_TX_ID_BYTES } from '../../chain/pool-digest.ts';
import { ADDRESS_BYTES } from '../../crypto/address.ts';
import * as generated from './wire.generated.js';

export const MAX_LOCATOR_IDS = 64;
export const MAX_BODY_IDS = 16;
export const MAX_HEADERS_PER_CHUNK = 512;
export const MAX_VOTES_PER_CHUNK = 1024;
export const MAX_EVIDENCE_PER_CHUNK = 256;
export const MAX_POOL_IDS = 4096;
/** Ids that a request may pass over: more than a pool of 128 MiB holds. */
export const MAX_POOL_SKIP = 2 ** 20;
export const MAX_TXS_PER_REQUEST = 1024;
export const MAX_TXS_PER_CHUNK = 256;
const MAX_VERSION_LENGTH = 64;
/** 2^256 per block and u64 blocks: 320 bits. */
const MAX_WORK_BYTES = 40;
const ID_BYTES = 32;

/** Largest frame of each protocol: the longest message that keeps the limits, and room for protobuf's tags. */
export const STATUS_FRAME_BYTES = 1024;
export const HEADERS_REQUEST_FRAME_BYTES = 4 * 1024;
export const HEADERS_FRAME_BYTES = MAX_HEADERS_PER_CHUNK * (HEADER_BYTES + 4) + 1024;
export const BODIES_REQUEST_FRAME_BYTES = 8 * 1024;
export const BODY_FRAME_BYTES = MAX_BLOCK_BYTES + 1024;
/** Indexes below 2^14 take two bytes and, as protons does not pack them, a tag each. */
export const BLOCK_TXS_REQUEST_FRAME_BYTES = 3 * MAX_BLOCK_TXS + 1024;
export const BLOCK_TXS_FRAME_BYTES = MAX_BLOCK_BYTES + 3 * MAX_BLOCK_TXS + 1024;
export const VOTES_REQUEST_FRAME_BYTES = 64;
export const VOTES_FRAME_BYTES = MAX_VOTES_PER_CHUNK * (VOTE_BYTES + 4) + 1024;
export const EVIDENCE_REQUEST_FRAME_BYTES = 64;
export const EVIDENCE_FRAME_BYTES = MAX_EVIDENCE_PER_CHUNK * (EVIDENCE_BYTES + 4) + 1024;
export const MEMPOOL_REQUEST_FRAME_BYTES = POOL_DIGEST_BYTES + 64;
export const MEMPOOL_FRAME_BYTES = MAX_POOL_IDS * SHORT_TX_ID_BYTES + 1024;
export const TXS_REQUEST_FRAME_BYTES = MAX_TXS_PER_REQUEST * SHORT_TX_ID_BYTES + 64;
export const SENDER_TXS_REQUEST_FRAME_BYTES = 64;
export const TXS_FRAME_BYTES = MAX_TXS_PER_CHUNK * (MAX_TX_BYTES + 4) + 1024;

/** Where a node stands; ids are 32 bytes, work is big-endian. */
export interface StatusMessage {
  readonly chainId: Uint8Array;
  readonly version: string;
  readonly tipHeight: bigint;
  readonly tipId: Uint8Array;
  readonly tipWork: Uint8Array;
  readonly agreedHeight: bigint;
  readonly agreedId: Uint8Array;
  readonly finalHeight: bigint;
  readonly finalId: Uint8Array;
  /** Digest of the set of offenders, 32 bytes. */
  readonly offenders: Uint8Array;
  /** Fingerprint of the mempool, `POOL_FINGERPRINT_BYTES`. */
  readonly mempool: Uint8Array;
}

export interface HeadersRequestMessage {
  /** Block ids, 32 bytes each, newest first. */
  readonly locator: readonly Uint8Array[];
  readonly max: number;
}

export interface HeadersChunkMessage {
  /** Canonical headers, `HEADER_BYTES` each. */
  readonly headers: readonly Uint8Array[];
}

export interface BodiesRequestMessage {
  readonly ids: readonly Uint8Array[];
}

export interface BodyReplyMessage {
  readonly id: Uint8Array;
  /** Canonical block; empty: the peer does not have it. */
  readonly block: Uint8Array;
}

export interface BlockTxsRequestMessage {
  readonly id: Uint8Array;
  /** Places in the block, rising, at least one. */
  readonly indexes: readonly number[];
}

export interface BlockTxsReplyMessage {
  /** Canonical transactions; none: the peer has not got them. */
  readonly txs: readonly Uint8Array[];
}

export interface VotesRequestMessage {
  readonly fromHeight: bigint;
  readonly max: number;
}

export interface VotesChunkMessage {
  /** Canonical votes, `VOTE_BYTES` each. */
  readonly votes: readonly Uint8Array[];
}

export interface EvidenceRequestMessage {
  /** Address, 20 bytes, or empty. */
  readonly after: Uint8Array;
  readonly max: number;
}

export interface EvidenceChunkMessage {
  /** Canonical evidence, `EVIDENCE_BYTES` each. */
  readonly evidence: readonly Uint8Array[];
}

export interface MempoolRequestMessage {
  /** `POOL_DIGEST_BYTES`. */
  readonly digest: Uint8Array;
  /** Ids of the answer that the asking side has seen already. */
  readonly skip: number;
}

export interface MempoolReplyMessage {
  /** Short ids, one after the other. */
  readonly ids: Uint8Array;
}

export interface TxsRequestMessage {
  /** Short ids, one after the other. */
  readonly ids: Uint8Array;
}

export interface TxsChunkMessage {
  /** Canonical transactions. */
  readonly txs: readonly Uint8Array[];
}

export interface SenderTxsRequestMessage {
  /** Address, 20 bytes. */
  readonly sender: Uint8Array;
  readonly fromNonce: bigint;
  readonly max: number;
}

interface Wire<M> {
  readonly encode: (message: M) => Uint8Array;
  readonly decode: (bytes: Uint8Array | Uint8ArrayList) => M | undefined;
}

interface GeneratedCodec<G, L> {
  encode(message: Partial<G>): Uint8Array;
  decode(bytes: Uint8Array | Uint8ArrayList, options?: { limits?: L }): G;
}

/** Joins a generated codec, the limits that stop decoding early, and the check that both directions must pass. */
function wire<M, G, L>(
  codec: GeneratedCodec<G, L>,
  limits: L,
  keepsLimits: (message: M) => boolean,
  maxBytes: number,
  toGenerated: (message: M) => Partial<G>,
  fromGenerated: (message: G) => M,
): Wire<M> {
  return {
    encode(message) {
      if (!keepsLimits(message)) throw new RangeError('message breaks the wire limits');
      return codec.encode(toGenerated(message));
    },
    decode(bytes) {
      if (bytes.byteLength > maxBytes) return undefined;
      try {
        const message = fromGenerated(codec.decode(bytes, { limits }));
        return keepsLimits(message) ? message : undefined;
      } catch {
        return undefined; // protons throws on anything malformed: the peer's fault, a value here
      }
    },
  };
}

const isId = (bytes: Uint8Array): boolean => bytes.byteLength === ID_BYTES;
const isU64 = (value: bigint): boolean => value >= 0n && value <= MAX_U64;
const isU32 = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
const isListOf = (list: readonly Uint8Array[], max: number, length: number): boolean =>
  list.length <= max && list.every((item) => item.byteLength === length);
/** protons types its arrays as mutable and its bytes as unshared; it writes to neither. */
const mutable = (list: readonly Uint8Array[]): Uint8Array<ArrayBuffer>[] => list as Uint8Array<ArrayBuffer>[];
const unshared = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => bytes as Uint8Array<ArrayBuffer>;

const status = wire<StatusMessage, generated.Status, object>(
  generated.Status,
  {},
  (m) =>
    isId(m.chainId) &&
    m.version.length <= MAX_VERSION_LENGTH &&
    isU64(m.tipHeight) &&
    isId(m.tipId) &&
    m.tipWork.byteLength <= MAX_WORK_BYTES &&
    isU64(m.agreedHeight) &&
    isId(m.agreedId) &&
    isU64(m.finalHeight) &&
    isId(m.finalId) &&
    isId(m.offenders) &&
    m.mempool.byteLength === POOL_FINGERPRINT_BYTES,
  STATUS_FRAME_BYTES,
  (m) => ({
    ...m,
    chainId: unshared(m.chainId),
    tipId: unshared(m.tipId),
    tipWork: unshared(m.tipWork),
    agreedId: unshared(m.agreedId),
    finalId: unshared(m.finalId),
    offenders: unshared(m.offenders),
    mempool: unshared(m.mempool),
  }),
  (m) => m,
);
export const encodeStatus = status.encode;
export const decodeStatus = status.decode;

const headersRequest = wire<HeadersRequestMessage, generated.HeadersRequest, { locator?: number }>(
  generated.HeadersRequest,
  { locator: MAX_LOCATOR_IDS },
  (m) => isListOf(m.locator, MAX_LOCATOR_IDS, ID_BYTES) && isU32(m.max),
  HEADERS_REQUEST_FRAME_BYTES,
  (m) => ({ locator: mutable(m.locator), max: m.max }),
  (m) => m,
);
export const encodeHeadersRequest = headersRequest.encode;
export const decodeHeadersRequest = headersRequest.decode;

const headersChunk = wire<HeadersChunkMessage, generated.HeadersChunk, { headers?: number }>(
  generated.HeadersChunk,
  { headers: MAX_HEADERS_PER_CHUNK },
  (m) => isListOf(m.headers, MAX_HEADERS_PER_CHUNK, HEADER_BYTES),
  HEADERS_FRAME_BYTES,
  (m) => ({ headers: mutable(m.headers) }),
  (m) => m,
);
export const encodeHeadersChunk = headersChunk.encode;
export const decodeHeadersChunk = headersChunk.decode;

const bodiesRequest = wire<BodiesRequestMessage, generated.BodiesRequest, { ids?: number }>(
  generated.BodiesRequest,
  { ids: MAX_BODY_IDS },
  (m) => isListOf(m.ids, MAX_BODY_IDS, ID_BYTES),
  BODIES_REQUEST_FRAME_BYTES,
  (m) => ({ ids: mutable(m.ids) }),
  (m) => m,
);
export const encodeBodiesRequest = bodiesRequest.encode;
export const decodeBodiesRequest = bodiesRequest.decode;

const bodyReply = wire<BodyReplyMessage, generated.BodyReply, object>(
  generated.BodyReply,
  {},
  (m) => isId(m.id) && m.block.byteLength <= MAX_BLOCK_BYTES,
  BODY_FRAME_BYTES,
  (m) => ({ id: unshared(m.id), block: unshared(m.block) }),
  (m) => m,
);
export const encodeBodyReply = bodyReply.encode;
export const decodeBodyReply = bodyReply.decode;

const blockTxsRequest = wire<BlockTxsRequestMessage, generated.BlockTxsRequest, { indexes?: number }>(
  generated.BlockTxsRequest,
  { indexes: MAX_BLOCK_TXS },
  (m) =>
    isId(m.id) &&
    m.indexes.length > 0 &&
    m.indexes.length <= MAX_BLOCK_TXS &&
    m.indexes.every((index, at) => index < MAX_BLOCK_TXS && index > (m.indexes[at - 1] ?? -1)),
  BLOCK_TXS_REQUEST_FRAME_BYTES,
  (m) => ({ id: unshared(m.id), indexes: [...m.indexes] }),
  (m) => m,
);
export const encodeBlockTxsRequest = blockTxsRequest.encode;
export const decodeBlockTxsRequest = blockTxsRequest.decode;

const blockTxsReply = wire<BlockTxsReplyMessage, generated.BlockTxsReply, { txs?: number }>(
  generated.BlockTxsReply,
  { txs: MAX_BLOCK_TXS },
  (m) =>
    m.txs.length <= MAX_BLOCK_TXS &&
    m.txs.every(({ byteLength }) => byteLength >= MIN_TX_BYTES && byteLength <= MAX_TX_BYTES),
  BLOCK_TXS_FRAME_BYTES,
  (m) => ({ txs: mutable(m.txs) }),
  (m) => m,
);
export const encodeBlockTxsReply = blockTxsReply.encode;
export const decodeBlockTxsReply = blockTxsReply.decode;

const votesRequest = wire<VotesRequestMessage, generated.VotesRequest, object>(
  generated.VotesRequest,
  {},
  (m) => isU64(m.fromHeight) && isU32(m.max),
  VOTES_REQUEST_FRAME_BYTES,
  (m) => m,
  (m) => m,
);
export const encodeVotesRequest = votesRequest.encode;
export const decodeVotesRequest = votesRequest.decode;

const votesChunk = wire<VotesChunkMessage, generated.VotesChunk, { votes?: number }>(
  generated.VotesChunk,
  { votes: MAX_VOTES_PER_CHUNK },
  (m) => isListOf(m.votes, MAX_VOTES_PER_CHUNK, VOTE_BYTES),
  VOTES_FRAME_BYTES,
  (m) => ({ votes: mutable(m.votes) }),
  (m) => m,
);
export const encodeVotesChunk = votesChunk.encode;
export const decodeVotesChunk = votesChunk.decode;

const evidenceRequest = wire<EvidenceRequestMessage, generated.EvidenceRequest, object>(
  generated.EvidenceRequest,
  {},
  (m) => (m.after.byteLength === 0 || m.after.byteLength === ADDRESS_BYTES) && isU32(m.max),
  EVIDENCE_REQUEST_FRAME_BYTES,
  (m) => ({ after: unshared(m.after), max: m.max }),
  (m) => m,
);
export const encodeEvidenceRequest = evidenceRequest.encode;
export const decodeEvidenceRequest = evidenceRequest.decode;

const evidenceChunk = wire<EvidenceChunkMessage, generated.EvidenceChunk, { evidence?: number }>(
  generated.EvidenceChunk,
  { evidence: MAX_EVIDENCE_PER_CHUNK },
  (m) => isListOf(m.evidence, MAX_EVIDENCE_PER_CHUNK, EVIDENCE_BYTES),
  EVIDENCE_FRAME_BYTES,
  (m) => ({ evidence: mutable(m.evidence) }),
  (m) => m,
);
export const encodeEvidenceChunk = evidenceChunk.encode;
export const decodeEvidenceChunk = evidenceChunk.decode;

const isShortIds = (ids: Uint8Array, max: number): boolean =>
  ids.byteLength % SHORT_TX_ID_BYTES === 0 && ids.byteLength <= max * SHORT_TX_ID_BYTES;

const mempoolRequest = wire<MempoolRequestMessage, generated.MempoolRequest, object>(
  generated.MempoolRequest,
  {},
  (m) => m.digest.byteLength === POOL_DIGEST_BYTES && isU32(m.skip) && m.skip <= MAX_POOL_SKIP,
  MEMPOOL_REQUEST_FRAME_BYTES,
  (m) => ({ digest: unshared(m.digest), skip: m.skip }),
  (m) => m,
);
/** `skip` is at most `MAX_POOL_SKIP`. */
export const encodeMempoolRequest = mempoolRequest.encode;
/** The digest is whole; what it says is not known to be of any pool. */
export const decodeMempoolRequest = mempoolRequest.decode;

const mempoolReply = wire<MempoolReplyMessage, generated.MempoolReply, object>(
  generated.MempoolReply,
  {},
  (m) => isShortIds(m.ids, MAX_POOL_IDS),
  MEMPOOL_FRAME_BYTES,
  (m) => ({ ids: unshared(m.ids) }),
  (m) => m,
);
/** At most `MAX_POOL_IDS` ids; none: there is nothing to offer. */
export const encodeMempoolReply = mempoolReply.encode;
/** The ids are whole. That none comes twice `decodeShortTxIds` checks. */
export const decodeMempoolReply = mempoolReply.decode;

const txsRequest = wire<TxsRequestMessage, generated.TxsRequest, object>(
  generated.TxsRequest,
  {},
  (m) => isShortIds(m.ids, MAX_TXS_PER_REQUEST) && m.ids.byteLength > 0,
  TXS_REQUEST_FRAME_BYTES,
  (m) => ({ ids: unshared(m.ids) }),
  (m) => m,
);
/** 1 to `MAX_TXS_PER_REQUEST` ids. */
export const encodeTxsRequest = txsRequest.encode;
/** The ids are whole. That none comes twice `decodeShortTxIds` checks. */
export const decodeTxsRequest = txsRequest.decode;

const txsChunk = wire<TxsChunkMessage, generated.TxsChunk, { txs?: number }>(
  generated.TxsChunk,
  { txs: MAX_TXS_PER_CHUNK },
  (m) =>
    m.txs.length <= MAX_TXS_PER_CHUNK &&
    m.txs.every((tx) => tx.byteLength >= MIN_TX_BYTES && tx.byteLength <= MAX_TX_BYTES),
  TXS_FRAME_BYTES,
  (m) => ({ txs: mutable(m.txs) }),
  (m) => m,
);
/** At most `MAX_TXS_PER_CHUNK` transactions. */
export const encodeTxsChunk = txsChunk.encode;
/** The transactions are not decoded, and there may be none, which the asking side takes for malformed. */
export const decodeTxsChunk = txsChunk.decode;

const senderTxsRequest = wire<SenderTxsRequestMessage, generated.SenderTxsRequest, object>(
  generated.SenderTxsRequest,
  {},
  (m) =>
    m.sender.byteLength === ADDRESS_BYTES &&
    isU64(m.fromNonce) &&
    Number.isInteger(m.max) &&
    m.max >= 1 &&
    m.max <= MAX_TXS_PER_CHUNK,
  SENDER_TXS_REQUEST_FRAME_BYTES,
  (m) => ({ sender: unshared(m.sender), fromNonce: m.fromNonce, max: m.max }),
  (m) => m,
);
/** 1 to `MAX_TXS_PER_CHUNK` transactions: the answer is one frame. */
export const encodeSenderTxsRequest = senderTxsRequest.encode;
export const decodeSenderTxsRequest = senderTxsRequest.decode;
