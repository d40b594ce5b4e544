import type { ChainId } from '../../chain/types.ts';
import type { TopicKind } from '../ports.ts';

/** The gossip topic of one kind of object on one net: `/grapevine/<chain-id-hex>/<kind>/1`. */
export function topicName(chainId: ChainId, kind: TopicKind): string {
  return `/grapevine/${chainId}/${kind}/1`;
}
