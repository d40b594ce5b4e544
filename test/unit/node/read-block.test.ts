import { expect, test } from 'vitest';
import type { Block } from '../../../chain/types.ts';
import type { ChainService } from '../../../node/chain-service.ts';
import type { Store } from '../../../node/store/store.ts';
import { openMemoryStore } from '../store/open-store.ts';
import { makeTx, mineBlock, openOffline, receive } from '../store/real-chain.ts';

/** A chain that was started after the block was stored, so that it has it from there. */
async function stored(txs: number): Promise<{ readonly store: Store; readonly block: Block }> {
  const store = await openMemoryStore();
  const { chain } = await openOffline(store);
  const block = mineBlock(
    chain.tip,
    Array.from({ length: txs }, (_, nonce) => makeTx(BigInt(nonce))),
  );
  await receive(await openOffline(store), block);
  return { store, block };
}

async function chainOn(store: Store): Promise<ChainService> {
  return (await openOffline(store)).chain;
}

test('a place at which a stored block has no transaction gives none', async () => {
  for (const txs of [0, 2]) {
    const { store, block } = await stored(txs);
    const chain = await chainOn(store);
    for (const index of [-1, txs, txs + 1, 1_000]) {
      expect((await chain.readBlock(block.header.id))!.txAt(index), `${index} of ${txs}`).toBeUndefined();
    }
    for (const [index, { id }] of block.txs.entries()) {
      expect((await chain.readBlock(block.header.id))?.txAt(index)?.id).toBe(id);
    }
  }
});

test('a stored block that is cut short, or has more behind it, is damage', async () => {
  const { store, block } = await stored(2);
  const whole = (await store.encodedBlock(block.header.id))!;
  const firstTx = whole.length - block.txs[1]!.bytes.length;
  for (const bytes of [
    ...[whole.length - 1, firstTx, firstTx - 1, 3, 0].map((length) => whole.subarray(0, length)),
    Uint8Array.of(...whole, 0),
  ]) {
    const chain = await chainOn(store);
    Object.assign(store, { encodedBlock: async () => bytes });
    const reading = chain.readBlock(block.header.id);
    await expect(reading, `${bytes.length} bytes`).rejects.toMatchObject({ code: 'damaged' });
  }
});
