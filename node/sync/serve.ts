/** The answering side of the sync protocols: one small handler each. */
import { encodeEvidence } from '../../chain/codec.ts';
import { VOTE_BODY_BYTES } from '../../chain/params.ts';
import type { AgreementService } from '../agreement/agreement-service.ts';
import type { ChainService } from '../chain-service.ts';
import { MAX_HEADERS_PER_CHUNK, MAX_VOTES_PER_CHUNK } from '../net/wire.ts';
import type { PeerKey, StreamProtocol } from '../ports.ts';
import { type Pace, SharedBurst } from '../requests/rate-limiter.ts';
import { serveConversation } from '../requests/serve-conversation.ts';
import { type Answer, type ServeDeps, serveRequests } from '../requests/serve-requests.ts';
import type { Store } from '../store/store.ts';
import * as messages from './messages.ts';
import type { PeerStatus } from './peer-status.ts';
import {
  BLOCK_TXS,
  BODIES,
  EVIDENCE,
  HEADERS,
  MAX_BODIES_PER_REQUEST,
  MAX_EVIDENCE_PER_REQUEST,
  MAX_HEADERS_PER_REQUEST,
  MAX_VOTES_PER_REQUEST,
  STATUS,
  VOTES,
} from './protocols.ts';

export interface ServeSyncDeps extends ServeDeps {
  readonly chain: ChainService;
  readonly agreement: AgreementService;
  readonly store: Store;
  readonly ownStatus: () => PeerStatus;
  readonly onStatus: (peer: PeerKey, status: PeerStatus) => void;
}

/**
 * A request of a few bytes has thousands of headers or votes for an answer, some milliseconds of work. Who is honest asks
 * anew when it has checked them. Bodies need no pace: they are sent as they are kept, and sync wants them fast.
 */
const PACE: Pace = { burst: 100, intervalMs: 50, maxWaitMs: 1_000 };

/**
 * Of all peers and these protocols together. New names would each bring a burst of 100 for a handshake; past these all
 * peers, old ones too, are answered at their steady pace, which is faster than who is honest asks.
 */
const SHARED_BURST = { burst: 200, intervalMs: 10 };

/** Registers all handlers. */
export function serveSync(deps: ServeSyncDeps): void {
  const shared = new SharedBurst(deps.clock, SHARED_BURST);
  const serve = (protocol: StreamProtocol, answer: Answer): void => serveRequests(deps, protocol, answer, PACE, shared);

  serveConversation(deps, STATUS, async (request, stream) => {
    const status = messages.decodeStatus(request);
    if (status === undefined) return 'malformed';
    await stream.send(messages.encodeStatus(deps.ownStatus()));
    deps.onStatus(stream.peer, status);
    return 'answered';
  });

  serve(HEADERS, async (request, stream) => {
    const asked = messages.decodeHeadersRequest(request);
    if (asked === undefined) return 'malformed';
    const entries = deps.chain.tree.afterLocator(asked.locator, Math.min(asked.max, MAX_HEADERS_PER_REQUEST));
    for (let at = 0; at < entries.length; at += MAX_HEADERS_PER_CHUNK) {
      const chunk = entries.slice(at, at + MAX_HEADERS_PER_CHUNK);
      await stream.send(messages.encodeHeadersChunk(chunk.map((entry) => entry.header.bytes)));
    }
    return 'answered';
  });

  serveRequests(deps, BODIES, async (request, stream) => {
    const ids = messages.decodeBodiesRequest(request);
    if (ids === undefined || ids.length > MAX_BODIES_PER_REQUEST) return 'malformed';
    for (const id of ids) {
      await stream.send(messages.encodeBodyReply({ id, block: await deps.chain.encodedBlock(id) }));
    }
    return 'answered';
  });

  serve(BLOCK_TXS, async (request, stream) => {
    const asked = messages.decodeBlockTxsRequest(request);
    if (asked === undefined) return 'malformed';
    const block = deps.chain.recentBlock(asked.id);
    // A place that the block does not have is no fault: the asker may have it from a liar's compact block.
    const txs = asked.indexes.flatMap((index) => block?.txs[index]?.bytes ?? []);
    await stream.send(messages.encodeBlockTxsReply(txs.length === asked.indexes.length ? txs : []));
    return 'answered';
  });

  serve(EVIDENCE, async (request, stream) => {
    const asked = messages.decodeEvidenceRequest(request);
    if (asked === undefined) return 'malformed';
    const { after = '', max } = asked;
    const page = deps.agreement.evidenceAfter(after, Math.min(max, MAX_EVIDENCE_PER_REQUEST));
    await stream.send(messages.encodeEvidenceChunk(page.map(encodeEvidence)));
    return 'answered';
  });

  serve(VOTES, async (request, stream) => {
    const asked = messages.decodeVotesRequest(request);
    if (asked === undefined) return 'malformed';
    const limit = Math.min(asked.max, MAX_VOTES_PER_REQUEST);
    const votes: Uint8Array[] = [];
    const seen = new Set<string>();
    const take = (bytes: Uint8Array): void => {
      if (votes.length >= limit) return;
      const key = Buffer.from(bytes.buffer, bytes.byteOffset, VOTE_BODY_BYTES).toString('latin1');
      if (seen.has(key)) return;
      seen.add(key);
      votes.push(bytes);
    };
    (await deps.store.encodedVotesFrom(asked.fromHeight, limit)).forEach(take);
    // As many as were taken may come again: so many fill the answer all the same.
    if (votes.length < limit) {
      for (const { bytes } of deps.agreement.rules.votesFrom(asked.fromHeight, limit)) take(bytes);
    }
    // Who was away when a voter lied must still learn of it (VOTE-9); two votes at most per elector.
    for (const { first, second } of deps.agreement.rules.evidence) {
      take(first.bytes);
      take(second.bytes);
    }
    for (let at = 0; at < votes.length; at += MAX_VOTES_PER_CHUNK) {
      await stream.send(messages.encodeVotesChunk(votes.slice(at, at + MAX_VOTES_PER_CHUNK)));
    }
    return 'answered';
  });
}
