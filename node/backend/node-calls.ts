/** The API's calls about the node itself: how it is, its peers, mining on demand. */
import { formatAddress } from '../../crypto/address.ts';
import type { ApiBackend, ConnectOutcome, MineOutcome } from '../api/backend.ts';
import { blockRefDto, entryRefDto } from '../api/dto.ts';
import type { NodeStatus } from '../api/schemas.ts';
import { StoreError } from '../store/store.ts';
import type { ApiBackendDeps } from './backend-deps.ts';

type NodeCalls = Pick<ApiBackend, 'readiness' | 'status' | 'peers' | 'connectPeer' | 'disconnectPeer' | 'mine'>;

/**
 * Uptime counts from this call. Mining on demand is refused in the other modes, and where the store cannot be
 * written.
 */
export function nodeCalls(deps: ApiBackendDeps): NodeCalls {
  const { node, network, clock } = deps;
  const { chain, mempool, agreement, sync, mining, genesis } = node;
  const startedAtMs = clock.monotonicMs();
  return {
    readiness() {
      const missing = [...node.missing()];
      return { ready: missing.length === 0, missing };
    },

    async status(): Promise<NodeStatus> {
      const missing = [...node.missing()];
      const { params, doc, electorate, chainId } = genesis;
      return {
        name: deps.name,
        version: deps.version,
        peerId: network.self,
        addresses: [...network.addresses()],
        network: {
          name: doc.name,
          chainId,
          blockTimeMs: params.blockTimeMs,
          minFee: params.minFee.toString(),
          blockReward: params.blockReward.toString(),
          checkpointInterval: params.checkpointInterval,
          voters: electorate.length,
        },
        nowMs: Math.floor(clock.nowMs()),
        uptimeMs: Math.floor(clock.monotonicMs() - startedAtMs),
        ready: missing.length === 0,
        missing,
        tip: entryRefDto(chain.tip),
        agreed: blockRefDto(agreement.agreed),
        final: blockRefDto(agreement.final),
        totalWork: chain.tip.totalWork.toString(),
        syncing: sync.isCatchingUp,
        bodiesFrom: chain.bodiesFrom.toString(),
        peers: network.peers().length,
        mempool: {
          count: mempool.pool.size - mempool.pool.parkedSize,
          bytes: mempool.pool.bytes,
          parked: mempool.pool.parkedSize,
        },
        mining: {
          mode: mining.mode,
          ...(mining.miner && { address: formatAddress(mining.miner) }),
          hashRate: Math.round(mining.hashRate()),
          blocks: mining.found,
        },
        voting: {
          ...(deps.voter && { address: formatAddress(deps.voter) }),
          elector: agreement.isVoter,
          ...(agreement.hasMovedAway && { movedAway: true }),
        },
        gossip: await deps.gossipCounts(),
        signatures: deps.signatureBackend,
        internalErrors: await deps.internalErrors(),
      };
    },

    async peers() {
      return {
        self: network.self,
        addresses: [...network.addresses()],
        peers: network.peers().map((view) => ({
          id: view.peer,
          address: view.address,
          direction: view.direction,
          connectedAtMs: Math.floor(view.connectedAtMs),
          mesh: [...view.mesh],
          score: view.score,
        })),
      };
    },

    async connectPeer(address): Promise<ConnectOutcome> {
      try {
        await network.connect(address);
        return { kind: 'added' };
      } catch (error) {
        return { kind: 'bad-address', detail: error instanceof Error ? error.message : String(error) };
      }
    },

    async disconnectPeer(id) {
      if (!network.peers().some(({ peer }) => peer === id)) return false;
      await network.disconnect(id, 'asked by the operator');
      return true;
    },

    async mine(blocks, signal): Promise<MineOutcome> {
      if (mining.mode !== 'on-demand') {
        return { kind: 'refused', detail: `mining mode is "${mining.mode}"; on-demand mining needs --mine on-demand` };
      }
      try {
        return { kind: 'mined', blocks: (await mining.mine(blocks, signal)).map(blockRefDto) };
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        return { kind: 'refused', detail: error.message }; // asked again, it looks again whether there is room
      }
    },
  };
}
