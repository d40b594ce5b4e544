/** Decides what of a mempool is offered and what is asked for. Pure. */
import type { Mempool } from '../../chain/mempool.ts';
import { bucketOf, type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';

/** Gossip has had its time by then: what is younger is on its way, and would only come twice. */
const SETTLED_MS = 2_000;

/**
 * Short ids of what the pool has had for a while in those buckets, oldest first.
 *
 * @param nowMs wall clock, as the pool was told
 */
export function idsToOffer(
  pool: Pick<Mempool, 'addedBy'>,
  buckets: ReadonlySet<number>,
  nowMs: number,
  limit: number,
): readonly ShortTxId[] {
  const ids: ShortTxId[] = [];
  for (const { id } of pool.addedBy(nowMs - SETTLED_MS)) {
    if (!buckets.has(bucketOf(id))) continue;
    ids.push(shortTxId(id));
    if (ids.length === limit) break;
  }
  return ids;
}

/** Of what a peer offers, what the pool lacks and the node has not had its fill of. */
export function idsToWant(
  offered: readonly ShortTxId[],
  pool: Pick<Mempool, 'addedBy'>,
  isUnwanted: (id: ShortTxId) => boolean,
  limit: number,
): readonly ShortTxId[] {
  const lacking = new Set(offered);
  for (const { id } of pool.addedBy(Number.POSITIVE_INFINITY)) lacking.delete(shortTxId(id));
  return [...lacking].filter((id) => !isUnwanted(id)).slice(0, limit);
}
