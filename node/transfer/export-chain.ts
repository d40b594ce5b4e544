/** Writes a store's main chain as one stream (`stream-format.ts`). */
import { BlockTree } from '../../chain/block-tree.ts';
import { encodeBlock } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import type { Checkpoint } from '../../chain/types.ts';
import { encodeCertificate } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { StreamEncoder, TransferError } from './stream-format.ts';

export interface ExportReport {
  readonly tip: Checkpoint;
  readonly final: Checkpoint;
  readonly certificates: number;
}

/**
 * @param write takes the next bytes; resolves when there is room for more
 * @throws TransferError `export/empty`, `export/pruned`; StoreError
 */
export async function exportChain(
  store: Store,
  genesis: Genesis,
  write: (bytes: Uint8Array) => Promise<void>,
  onProgress: (height: number, total: number) => void,
): Promise<ExportReport> {
  const stored = await store.load(genesis.chainId);
  if (stored === undefined) throw new TransferError('export/empty', 'the store is empty: there is no chain to export');
  if (stored.bodiesFrom > 1n) {
    throw new TransferError(
      'export/pruned',
      `blocks below height ${stored.bodiesFrom} were pruned: only a whole chain can be exported; another node has it`,
    );
  }
  const tree = new BlockTree(stored.entries);
  tree.setTip(stored.tip);
  const { height: tipHeight } = tree.tip.header;
  const encoder = new StreamEncoder();
  await write(encoder.start(genesis));
  let certificates = 0;
  for (let height = 1n; height <= tipHeight; height += 1n) {
    const { id } = tree.mainAt(height)!.header;
    await write(encoder.block(encodeBlock((await store.block(id))!)));
    const certificate = await store.certificate(height);
    if (certificate?.target.id === id) {
      await write(encoder.certificate(encodeCertificate(certificate)));
      certificates += 1;
    }
    if (height % 64n === 0n || height === tipHeight) onProgress(Number(height), Number(tipHeight));
  }
  const tip = { height: tipHeight, id: stored.tip };
  await write(encoder.end(tip, stored.final));
  return { tip, final: stored.final, certificates };
}
