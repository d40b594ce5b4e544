import { expect, test } from 'vitest';
import type { Tx } from '../../chain/types.ts';
import type { TxLocation } from '../../node/store/store.ts';
import { fc } from '../fast-check.ts';
import {
  addressOfWallet,
  chainIdOf,
  indexOnChain,
  makeChild,
  makeCommit,
  makeGenesis,
  makeTransfer,
  type TestBlock,
  WALLETS,
} from '../unit/store/chain-builder.ts';
import { FaultyLevel, openMemoryStore } from '../unit/store/open-store.ts';

/** One step: blocks on some known block, then the tip moves to some known block, or stays. */
const stepArbitrary = fc.record({
  parent: fc.nat(),
  transfers: fc.array(
    fc.array(fc.record({ from: fc.nat(WALLETS - 1), to: fc.nat(WALLETS + 2), amount: fc.bigInt(1n, 1_000n) }), {
      maxLength: 4,
    }),
    { maxLength: 3 },
  ),
  tip: fc.option(fc.nat()),
  fails: fc.constantFrom('no', 'no', 'no', 'yes', 'late'),
});

test('load and the index equal a model after any sequence of commits, reorganisations and failed writes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 12 }), async (steps) => {
      const genesis = makeGenesis();
      const chainId = chainIdOf(genesis);
      const db = new FaultyLevel();
      let store = await openMemoryStore(db);
      await store.initialize(genesis, genesis.accounts);
      let known = [genesis];
      let tip = genesis;
      const txs = new Map<string, Tx>();
      for (const step of steps) {
        let parent = known[step.parent % known.length]!;
        const added: TestBlock[] = [];
        for (const transfers of step.transfers) {
          const used = new Map<number, bigint>();
          const block = transfers.map(({ from, to, amount }) => {
            const ahead = used.get(from) ?? 0n;
            used.set(from, ahead + 1n);
            return makeTransfer(parent, chainId, from, to, amount, ahead);
          });
          for (const tx of block) txs.set(tx.id, tx);
          parent = makeChild(parent, block, known.length + added.length);
          added.push(parent);
        }
        const after = [...known, ...added];
        const next = step.tip === null ? tip : after[step.tip % after.length]!;
        const change = next === tip ? { added } : makeCommit(added, tip, next);
        if (step.fails !== 'no' && (added.length > 0 || next !== tip)) {
          db.batchesLeft = 0;
          db.arrivesLate = step.fails === 'late';
          await expect(store.commit(change)).rejects.toMatchObject({ code: 'full' });
          db.batchesLeft = Number.POSITIVE_INFINITY;
          db.arrivesLate = false;
          continue;
        }
        await store.commit(change);
        known = after;
        tip = next;
      }
      // A write that failed last is undone by the next one.
      await store.savePeers(new Map());
      await store.close();
      await db.open();
      store = await openMemoryStore(db);

      const loaded = await store.load(chainId);
      expect(loaded?.tip).toBe(tip.entry.header.id);
      expect(loaded?.accounts).toEqual(tip.accounts);
      const byArrival = loaded?.entries.toSorted((a, b) => a.arrival - b.arrival);
      expect(byArrival).toEqual(known.map(({ entry }) => entry));
      const seen = new Set<string>();
      for (const { header } of loaded?.entries ?? []) {
        expect(header.id === genesis.entry.header.id || seen.has(header.parent)).toBe(true);
        seen.add(header.id);
      }
      for (const { entry, block, delta } of known) {
        expect(await store.block(entry.header.id)).toEqual(block);
        expect(await store.delta(entry.header.id)).toEqual(delta);
      }
      const index = indexOnChain(tip);
      for (const { id } of txs.values()) expect(await store.txLocation(id)).toEqual(index.get(id));
      for (let wallet = 0; wallet < WALLETS + 3; wallet += 1) {
        const address = addressOfWallet(wallet);
        const items = await store.history(address, 1_000);
        const expected = [...index.keys()].filter((id) => txs.get(id)?.from === address || txs.get(id)?.to === address);
        const places = items.map(({ block, index: at }) => ({ block, index: at }));
        expect(places.toSorted(byPlace)).toEqual(expected.map((id) => index.get(id)!).toSorted(byPlace));
      }
    }),
    { numRuns: 150 },
  );
});

function byPlace(a: TxLocation, b: TxLocation): number {
  return a.block.localeCompare(b.block) || a.index - b.index;
}
