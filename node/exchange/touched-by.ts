import type { Block } from '../../chain/types.ts';
import type { Address } from '../../crypto/address.ts';

/** The accounts that these blocks changed, or change back. */
export function touchedBy(blocks: readonly Block[]): ReadonlySet<Address> {
  const accounts = new Set<Address>();
  for (const { header, txs } of blocks) {
    accounts.add(header.miner);
    for (const { from, to } of txs) accounts.add(from).add(to);
  }
  return accounts;
}
