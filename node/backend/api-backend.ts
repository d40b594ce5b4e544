/** What the API shows and does, over the node's services: reads, and requests passed to their owners. */
import type { ApiBackend } from '../api/backend.ts';
import { entryRefDto } from '../api/dto.ts';
import { agreementCalls } from './agreement-calls.ts';
import type { ApiBackendDeps } from './backend-deps.ts';
import { blockCalls } from './block-calls.ts';
import { eventFeed } from './event-feed.ts';
import { nodeCalls } from './node-calls.ts';
import { Standing } from './standing.ts';
import { transactionCalls } from './transaction-calls.ts';

/**
 * The API's one way into the node. It keeps no state but the time at which it was made, which uptime counts from;
 * anything that changes the node goes through the service that owns it.
 */
export function createApiBackend(deps: ApiBackendDeps): ApiBackend {
  const { node, network } = deps;
  const { chain, genesis } = node;
  const standing = new Standing(deps);
  return {
    identity: { peerId: network.self, name: deps.name, network: genesis.doc.name, chainId: genesis.chainId },
    genesis: deps.genesisDoc,
    head: () => entryRefDto(chain.tip),
    ...transactionCalls(deps, standing),
    ...blockCalls(deps, standing),
    ...agreementCalls(deps),
    ...nodeCalls(deps),
    ...eventFeed(node),
  };
}
