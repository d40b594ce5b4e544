/** The answering side of what mempools ask each other. */
import { decodeShortTxIds, differingBuckets, encodeShortTxIds } from '../../chain/pool-digest.ts';
import { addressFromBytes } from '../../crypto/address.ts';
import { Lru } from '../lru.ts';
import type { MempoolService } from '../mempool-service.ts';
import {
  decodeMempoolRequest,
  decodeSenderTxsRequest,
  decodeTxsRequest,
  encodeMempoolReply,
  encodeTxsChunk,
  MAX_POOL_IDS,
  MAX_TXS_PER_CHUNK,
} from '../net/wire.ts';
import type { PeerKey, StreamProtocol } from '../ports.ts';
import { type Pace, SharedBurst } from '../requests/rate-limiter.ts';
import { type Answer, type ServeDeps, serveRequests } from '../requests/serve-requests.ts';
import { idsToOffer } from './plan-exchange.ts';
import { MEMPOOL, SENDER_TXS, TXS } from './protocols.ts';

export interface ServeMempoolDeps extends ServeDeps {
  readonly mempool: MempoolService;
}

/**
 * What is offered is looked for in the whole pool: a peer that asks more often than this gets an empty answer. Who is
 * honest asks nobody twice in three seconds.
 */
const MIN_INTERVAL_MS = 2_000;
/** Of one sender's transactions: a look-up, and a frame. Who is honest asks for one sender after the other. */
const SENDER_TXS_PACE: Pace = { burst: 100, intervalMs: 50, maxWaitMs: 1_000 };
/** Of all peers together beyond that: new names would each bring a burst. */
const SENDER_TXS_BURST = { burst: 200, intervalMs: 10 };
/** Several times the connections there can be: the peers that ask must not push each other out. */
const PEERS_REMEMBERED = 1_024;

/** Registers the handlers. */
export function serveMempool(deps: ServeMempoolDeps): void {
  const { clock, mempool } = deps;
  const offeredAt = new Lru<PeerKey, number>(PEERS_REMEMBERED);
  const givenAt = new Lru<PeerKey, number>(PEERS_REMEMBERED);
  const isTooSoon = (answeredAt: Lru<PeerKey, number>, peer: PeerKey): boolean => {
    const nowMs = clock.monotonicMs();
    if (nowMs - (answeredAt.get(peer) ?? Number.NEGATIVE_INFINITY) < MIN_INTERVAL_MS) return true;
    answeredAt.set(peer, nowMs);
    return false;
  };
  const serve = (protocol: StreamProtocol, answer: Answer): void => serveRequests(deps, protocol, answer);

  serve(MEMPOOL, async (request, stream) => {
    const asked = decodeMempoolRequest(request);
    if (asked === undefined) return 'malformed';
    const differing = differingBuckets(mempool.pool.digest.buckets(), asked.digest);
    const offered = isTooSoon(offeredAt, stream.peer)
      ? []
      : idsToOffer(mempool.pool, differing, clock.nowMs(), { skip: asked.skip, limit: MAX_POOL_IDS });
    await stream.send(encodeMempoolReply({ ids: encodeShortTxIds(offered) }));
    return 'answered';
  });

  serveRequests(
    deps,
    SENDER_TXS,
    async (request, stream) => {
      const asked = decodeSenderTxsRequest(request);
      if (asked === undefined) return 'malformed';
      const txs = mempool.pool.consecutive(addressFromBytes(asked.sender), asked.fromNonce, asked.max);
      if (txs.length > 0) await stream.send(encodeTxsChunk({ txs: txs.map(({ bytes }) => bytes) }));
      return 'answered';
    },
    SENDER_TXS_PACE,
    new SharedBurst(clock, SENDER_TXS_BURST),
  );

  serve(TXS, async (request, stream) => {
    const asked = decodeTxsRequest(request);
    const ids = asked && decodeShortTxIds(asked.ids);
    if (ids === undefined) return 'malformed';
    const found = isTooSoon(givenAt, stream.peer) ? [] : mempool.pool.withShortIds(ids);
    for (let at = 0; at < found.length; at += MAX_TXS_PER_CHUNK) {
      await stream.send(encodeTxsChunk({ txs: found.slice(at, at + MAX_TXS_PER_CHUNK).map(({ bytes }) => bytes) }));
    }
    return 'answered';
  });
}
