import type { Genesis } from '../../chain/genesis.ts';
import type { Store, StoredChain } from './store.ts';

/**
 * What the store holds; an empty one begins the chain of this genesis.
 *
 * @throws StoreError when the store is damaged, of another schema, or of another net
 */
export async function loadOrInitialize(store: Store, genesis: Genesis): Promise<StoredChain> {
  const stored = await store.load(genesis.chainId);
  if (stored !== undefined) return stored;
  const { entry, block, accounts } = genesis;
  await store.initialize({ entry, block, delta: { before: new Map(), after: accounts } }, accounts);
  const begun = await store.load(genesis.chainId);
  if (begun === undefined) throw new Error('the store is empty after it was initialised');
  return begun;
}
