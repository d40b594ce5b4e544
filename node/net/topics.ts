import type { ChainId } from '../../chain/types.ts';
import type { TopicKind } from '../ports.ts';

/** Hex digits of the chain id in a topic: eight bytes. */
const CHAIN_TAG_LENGTH = 16;

/**
 * The gossip topic of one kind of object on one net: `/grapevine/<first 16 hex digits of the chain id>/<kind>/1`.
 *
 * Eight bytes keep nets that meet by accident apart; every message carries the name, so it is short. Nothing is decided
 * by it: a status names the whole chain id, and signatures and headers are of one chain alone.
 */
export function topicName(chainId: ChainId, kind: TopicKind): string {
  return `/grapevine/${chainId.slice(0, CHAIN_TAG_LENGTH)}/${kind}/1`;
}
