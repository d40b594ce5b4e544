/** The API's calls about blocks. */
import type { ApiBackend } from '../api/backend.ts';
import { blockSummaryDto, transactionDto } from '../api/dto.ts';
import type { BlockInfo } from '../api/schemas.ts';
import type { ApiBackendDeps } from './backend-deps.ts';
import { inSlices } from './in-slices.ts';
import type { Standing } from './standing.ts';

/** Blocks by id on any branch, by height on the main chain. A page ends where bodies were pruned, with no `next`. */
export function blockCalls(deps: ApiBackendDeps, standing: Standing): Pick<ApiBackend, 'block' | 'blocks'> {
  const { giveWay } = deps;
  const { chain } = deps.node;
  return {
    async block(ref): Promise<BlockInfo | undefined> {
      const entry = 'id' in ref ? chain.tree.get(ref.id) : chain.tree.mainAt(ref.height);
      const block = entry && (await chain.readBlock(entry.header.id));
      if (entry === undefined || block === undefined) return undefined;
      const { front, sizeBytes, txAt } = block;
      const transactions = await inSlices(front.txCount, (index) => transactionDto(txAt(index)!), giveWay);
      return { ...blockSummaryDto(front, standing.ofBlock(entry)), sizeBytes, transactions };
    },

    async blocks(from, limit) {
      const top = from === undefined || from > chain.tip.header.height ? chain.tip.header.height : from;
      const blocks = [];
      let height = top;
      for (; height >= 0n && blocks.length < limit; height--) {
        const entry = chain.tree.mainAt(height);
        if (entry === undefined) break; // the tip moved down while we read
        const block = await chain.blockFront(entry.header.id);
        if (block === undefined) return { blocks }; // pruned, and so is all below
        blocks.push(blockSummaryDto(block, standing.ofBlock(entry)));
      }
      return { blocks, ...(height >= 0n && { next: height.toString() }) };
    },
  };
}
