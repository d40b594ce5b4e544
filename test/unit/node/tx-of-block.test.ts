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
      expect(await chain.txOfBlock(block.header.id, index), `${index} of ${txs}`).toBeUndefined();
    }
    for (const [index, { id }] of block.txs.entries()) {
      expect((await chain.txOfBlock(block.header.id, index))?.id).toBe(id);
    }
  }
});

test('a stored block that is cut short is damage, at every place that it says it has', async () => {
  const { store, block } = await stored(2);
  const whole = (await store.encodedBlock(block.header.id))!;
  for (const [length, index] of [
    [whole.length - 1, 1],
    [whole.length - block.txs[1]!.bytes.length - 1, 0],
    [3, 0],
    [3, 5],
  ] as const) {
    const chain = await chainOn(store);
    Object.assign(store, { encodedBlock: async () => whole.subarray(0, length) });
    const reading = chain.txOfBlock(block.header.id, index);
    await expect(reading, `${index} in ${length} bytes`).rejects.toMatchObject({ code: 'damaged' });
  }
});
