import type { Certificate, Checkpoint } from '../../chain/types.ts';
import type { Store } from '../store/store.ts';

/**
 * The links that led to a final checkpoint, lowest first, down to genesis or to the second one that goes to a direct
 * child: as many as its dynasty follows from (`dynastyOfPath`). Fewer where the store has no more of them.
 *
 * @param interval of checkpoints, in blocks
 */
export async function loadPathToFinal(
  final: Checkpoint,
  interval: bigint,
  store: Pick<Store, 'certificate'>,
): Promise<readonly Certificate[]> {
  const path: Certificate[] = [];
  let direct = 0;
  for (let at = final; at.height > 0n && direct < 2; ) {
    const link = await store.certificate(at.height);
    if (link?.target.id !== at.id) break;
    path.unshift(link);
    if (link.target.height === link.source.height + interval) direct += 1;
    at = link.source;
  }
  return path;
}
