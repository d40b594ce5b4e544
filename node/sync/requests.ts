/** The asking side of the sync protocols. Each request is bounded in what it may return. */
import { decodeBlock, decodeHeader, decodeTx } from '../../chain/codec.ts';
import type { Block, BlockId, Header, Tx } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import type { PeerKey } from '../ports.ts';
import { exchange, PeerFault, type RequestDeps } from '../requests/exchange.ts';
import * as messages from './messages.ts';
import {
  BLOCK_TXS,
  BODIES,
  EVIDENCE,
  HEADERS,
  MAX_EVIDENCE_PER_REQUEST,
  MAX_HEADERS_PER_REQUEST,
  MAX_VOTES_PER_REQUEST,
  VOTES,
} from './protocols.ts';

/** Headers after the newest block of the locator that the peer has, oldest first. */
export async function requestHeaders(
  deps: RequestDeps,
  peer: PeerKey,
  locator: readonly BlockId[],
  signal: AbortSignal,
): Promise<readonly Header[]> {
  const headers: Header[] = [];
  const request = messages.encodeHeadersRequest({ locator, max: MAX_HEADERS_PER_REQUEST });
  for await (const frame of exchange(deps, peer, HEADERS, request, signal)) {
    const chunk = messages.decodeHeadersChunk(frame);
    if (chunk === undefined || chunk.length === 0) throw new PeerFault('invalid', 'malformed headers');
    for (const bytes of chunk) {
      const header = decodeHeader(bytes);
      if (!header.ok) throw new PeerFault('invalid', `malformed header: ${header.detail}`);
      headers.push(header.value);
    }
    if (headers.length > MAX_HEADERS_PER_REQUEST) throw new PeerFault('invalid', 'more headers than asked for');
  }
  return headers;
}

/**
 * Blocks by id, one at a time as they arrive, in the order asked for. `undefined`: the peer does not have it.
 * The header is the one asked for; the body may not fit it, which is the caller's to check.
 */
export async function* requestBodies(
  deps: RequestDeps,
  peer: PeerKey,
  ids: readonly BlockId[],
  signal: AbortSignal,
): AsyncGenerator<{ readonly id: BlockId; readonly block: Block | undefined }> {
  let next = 0;
  for await (const frame of exchange(deps, peer, BODIES, messages.encodeBodiesRequest(ids), signal)) {
    const reply = messages.decodeBodyReply(frame);
    const id = ids[next];
    if (reply === undefined || id === undefined || reply.id !== id) {
      throw new PeerFault('invalid', 'a body that was not asked for');
    }
    next += 1;
    if (reply.block === undefined) {
      yield { id, block: undefined };
      continue;
    }
    const block = decodeBlock(reply.block);
    if (!block.ok || block.value.header.id !== id) throw new PeerFault('invalid', 'the body of another block');
    yield { id, block: block.value };
  }
  if (next < ids.length) throw new PeerFault('gone', `${next} of ${ids.length} bodies came`);
}

/**
 * Transactions of a block, by their places in it: one for each index, in order, or none where the peer has not got
 * them. Whether they are the block's is the caller's to check.
 */
export async function requestBlockTxs(
  deps: RequestDeps,
  peer: PeerKey,
  id: BlockId,
  indexes: readonly number[],
  signal: AbortSignal,
): Promise<readonly Tx[]> {
  const request = messages.encodeBlockTxsRequest({ id, indexes });
  for await (const frame of exchange(deps, peer, BLOCK_TXS, request, signal)) {
    const encoded = messages.decodeBlockTxsReply(frame);
    if (encoded === undefined) throw new PeerFault('invalid', 'malformed transactions of a block');
    if (encoded.length === 0) return [];
    if (encoded.length !== indexes.length) throw new PeerFault('invalid', 'not as many transactions as asked for');
    return encoded.map((bytes) => {
      const tx = decodeTx(bytes);
      if (!tx.ok) throw new PeerFault('invalid', `malformed transaction of a block: ${tx.detail}`);
      return tx.value;
    });
  }
  throw new PeerFault('gone', 'no transactions came');
}

/** Encoded votes with targets at or above the height, certificates' votes included, lowest targets first. */
export async function requestVotes(
  deps: RequestDeps,
  peer: PeerKey,
  fromHeight: bigint,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const votes: Uint8Array[] = [];
  const seen = new Set<string>();
  const request = messages.encodeVotesRequest({ fromHeight, max: MAX_VOTES_PER_REQUEST });
  for await (const frame of exchange(deps, peer, VOTES, request, signal)) {
    const chunk = messages.decodeVotesChunk(frame);
    if (chunk === undefined || chunk.length === 0) throw new PeerFault('invalid', 'malformed votes');
    for (const vote of chunk) {
      const key = bytesToHex(vote);
      if (seen.has(key)) throw new PeerFault('invalid', 'the same vote twice');
      seen.add(key);
      votes.push(vote);
    }
    if (votes.length > MAX_VOTES_PER_REQUEST) throw new PeerFault('invalid', 'more votes than asked for');
  }
  return votes;
}

/** One page of encoded evidence, against voters with addresses above `after`. */
export async function requestEvidence(
  deps: RequestDeps,
  peer: PeerKey,
  after: Address | undefined,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const request = messages.encodeEvidenceRequest({ after, max: MAX_EVIDENCE_PER_REQUEST });
  for await (const frame of exchange(deps, peer, EVIDENCE, request, signal)) {
    const chunk = messages.decodeEvidenceChunk(frame);
    if (chunk === undefined) throw new PeerFault('invalid', 'malformed evidence');
    return chunk;
  }
  throw new PeerFault('gone', 'no evidence came');
}
