/** Decides what of a mempool is offered, and what is asked for. Pure. */
import type { Mempool } from '../../chain/mempool.ts';
import { bucketOf, type ShortTxId, shortTxId } from '../../chain/pool-digest.ts';

/** Gossip has had its time by then: what is younger is on its way, and would only come twice. */
const SETTLED_MS = 2_000;

/**
 * Short ids of what the pool has had for a while in those buckets, oldest first and none twice: somebody may have made
 * two transactions that share one, and who is told of both would take this node for a liar.
 *
 * @param nowMs wall clock, as the pool was told
 * @param page how many the asking side has seen already, and how many more it takes
 */
export function idsToOffer(
  pool: Pick<Mempool, 'olderThan'>,
  buckets: ReadonlySet<number>,
  nowMs: number,
  page: { readonly skip: number; readonly limit: number },
): readonly ShortTxId[] {
  const ids = new Set<ShortTxId>();
  let passed = 0;
  for (const { id } of pool.olderThan(SETTLED_MS, nowMs)) {
    if (!buckets.has(bucketOf(id)) || passed++ < page.skip) continue;
    ids.add(shortTxId(id));
    if (ids.size === page.limit) break;
  }
  return [...ids];
}

/** Of what a peer offers, what the pool lacks and the node has not had its fill of. */
export function idsToWant(
  offered: readonly ShortTxId[],
  pool: Pick<Mempool, 'hasShortId'>,
  isUnwanted: (id: ShortTxId) => boolean,
  limit: number,
): readonly ShortTxId[] {
  const wanted = new Set<ShortTxId>();
  for (const id of offered) {
    if (wanted.size === limit) break;
    if (!pool.hasShortId(id) && !isUnwanted(id)) wanted.add(id);
  }
  return [...wanted];
}
