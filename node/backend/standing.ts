/** How blocks and transactions stand: what the parts of the API's backend ask of the chain and of agreement. */
import type { ChainEntry, TxId } from '../../chain/types.ts';
import { type BlockStanding, blockStanding } from '../api/dto.ts';
import type { TransactionState } from '../api/schemas.ts';
import type { ApiBackendDeps } from './backend-deps.ts';

export interface MinedPlace {
  readonly entry: ChainEntry;
  readonly index: number;
}

/** Reads the node as it is at the call: two calls about one block may differ, as the tip moves between them. */
export class Standing {
  readonly #deps: Pick<ApiBackendDeps, 'node' | 'store'>;

  constructor(deps: Pick<ApiBackendDeps, 'node' | 'store'>) {
    this.#deps = deps;
  }

  ofBlock({ header: { id, height } }: ChainEntry): BlockStanding {
    const { chain, agreement } = this.#deps.node;
    return blockStanding(height, chain.tree.isOnMain(id), {
      tip: chain.tip.header.height,
      agreed: agreement.agreed.height,
      final: agreement.final.height,
    });
  }

  /** Of a transaction in this block of the main chain. */
  ofMinedIn(entry: ChainEntry): TransactionState {
    const { state } = this.ofBlock(entry);
    return state === 'side' ? 'pending' : state; // between two writes of a reorg
  }

  /** Where a transaction was mined on the main chain; undefined: nowhere. */
  async minedPlace(id: TxId): Promise<MinedPlace | undefined> {
    const location = await this.#deps.store.txLocation(id);
    const entry = location && this.#deps.node.chain.tree.get(location.block);
    return location && entry && { entry, index: location.index };
  }
}
