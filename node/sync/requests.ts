/** The asking side of the sync protocols. Each request is bounded in time between frames and in what it may return. */
import { decodeBlock, decodeHeader } from '../../chain/codec.ts';
import type { Block, BlockId, Header } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import type { Clock, Network, PeerKey, StreamProtocol } from '../ports.ts';
import * as messages from './messages.ts';
import type { PeerStatus } from './peer-status.ts';
import {
  BODIES,
  EVIDENCE,
  HEADERS,
  MAX_EVIDENCE_PER_REQUEST,
  MAX_HEADERS_PER_REQUEST,
  MAX_VOTES_PER_REQUEST,
  STATUS,
  VOTES,
} from './protocols.ts';

/** What the peer did wrong. `stalled` and `gone` are no proof of malice; `invalid` is. */
export class PeerFault extends Error {
  readonly kind: 'stalled' | 'gone' | 'invalid';

  constructor(kind: PeerFault['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PeerFault';
    this.kind = kind;
  }
}

export interface RequestDeps {
  readonly network: Network;
  readonly clock: Clock;
}

/** Points for each fault. A stall may be the network's: ten at a time, as links that flap bring, leave the mesh be. */
export const FAULT_POINTS: Readonly<Record<PeerFault['kind'], number>> = { invalid: 100, stalled: 5, gone: 0 };

/** A peer that sends no frame for this long has stalled. */
export const STALL_MS = 3000;
/** A peer that keeps us waiting this long in all has stalled, however often it sends something. */
export const PATIENCE_MS = 12_000;

/** Swaps status messages. */
export async function requestStatus(
  deps: RequestDeps,
  peer: PeerKey,
  own: PeerStatus,
  signal: AbortSignal,
): Promise<PeerStatus> {
  for await (const frame of exchange(deps, peer, STATUS, messages.encodeStatus(own), signal)) {
    const status = messages.decodeStatus(frame);
    if (status === undefined) throw new PeerFault('invalid', 'malformed status');
    return status;
  }
  throw new PeerFault('gone', 'no status came');
}

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

/** Sends one request frame and yields the reply's frames; every failure becomes a {@link PeerFault}. */
async function* exchange(
  deps: RequestDeps,
  peer: PeerKey,
  protocol: StreamProtocol,
  request: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { network, clock } = deps;
  const attempt = new AbortController();
  const onAbort = (): void => attempt.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  let cancelStall = (): void => {};
  let isStalled = false;
  let waitedMs = 0;
  let armedAtMs = 0;
  const arm = (): void => {
    armedAtMs = clock.monotonicMs();
    cancelStall = clock.after(Math.min(STALL_MS, PATIENCE_MS - waitedMs), () => {
      isStalled = true;
      attempt.abort(new Error('no answer in time'));
    });
  };
  const disarm = (): void => {
    cancelStall();
    waitedMs += clock.monotonicMs() - armedAtMs;
  };
  try {
    arm();
    const stream = await network.open(peer, protocol, attempt.signal);
    const abortStream = (): void => stream.abort(new Error('request given up'));
    attempt.signal.addEventListener('abort', abortStream, { once: true });
    let isDone = false;
    try {
      await stream.send(request);
      await stream.close();
      for await (const frame of stream.frames) {
        disarm();
        yield frame;
        arm(); // the time the caller takes is not the peer's
      }
      isDone = true;
    } finally {
      attempt.signal.removeEventListener('abort', abortStream);
      if (!isDone) stream.abort(new Error('request given up'));
    }
  } catch (error) {
    if (error instanceof PeerFault) throw error;
    signal.throwIfAborted();
    if (isStalled) throw new PeerFault('stalled', `${protocol.name}: no answer in time`);
    throw new PeerFault('gone', `${protocol.name}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  } finally {
    cancelStall();
    signal.removeEventListener('abort', onAbort);
  }
}
