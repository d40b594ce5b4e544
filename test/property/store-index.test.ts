import { expect, test } from 'vitest';
import type { TxId } from '../../chain/types.ts';
import { scanRecords } from '../../node/store/database.ts';
import { indexOf } from '../../node/store/derived-records.ts';
import { KIND, META, rangeOf } from '../../node/store/keys.ts';
import { unsealRecord } from '../../node/store/records.ts';
import type { HistoryItem, Store } from '../../node/store/store.ts';
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

const genesis = makeGenesis();
const chainId = chainIdOf(genesis);
const BACKLOG = { maxTxs: 12, maxBlocks: 3, minSlice: 2, maxSlices: 9, settleMs: 3 };

/** What happens to a node's store, one thing after another. */
type Step =
  | { readonly kind: 'extend'; readonly txs: number }
  | { readonly kind: 'reorg'; readonly depth: number; readonly lengths: readonly number[] }
  | { readonly kind: 'index' | 'kill' | 'stop' }
  | { readonly kind: 'full'; readonly arrivesLate: boolean; readonly isSlice: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('extend' as const), txs: fc.integer({ min: 0, max: 7 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('reorg' as const),
      depth: fc.integer({ min: 1, max: 4 }),
      lengths: fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 4 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('index' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'stop' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('full' as const), arrivesLate: fc.boolean(), isSlice: fc.boolean() }),
  },
);

/** A store whose index goes on when told, and the blocks that it must hold. */
class Node {
  readonly db = new FaultyLevel();
  readonly #everMined = new Set<TxId>();
  #goOn: (() => void)[] = [];
  #store: Store | undefined;
  #tip = genesis;
  #made = 0;
  #ms = 0;

  get #open(): Store {
    return this.#store!;
  }

  async start(): Promise<void> {
    this.#goOn = [];
    const pause = (): Promise<void> => new Promise((resolve) => this.#goOn.push(resolve));
    await this.db.open();
    const isNew = this.#store === undefined;
    this.#store = await openMemoryStore(this.db, { pause, backlog: BACKLOG, monotonicMs: () => this.#ms });
    if (isNew) await this.#store.initialize(genesis, genesis.accounts);
    else await this.#store.load(chainId);
  }

  stop(): Promise<void> {
    return this.#open.close();
  }

  async do(step: Step): Promise<void> {
    this.#ms += 1;
    if (step.kind === 'extend') await this.#moveTo([this.#child(this.#tip, step.txs)]);
    else if (step.kind === 'reorg') {
      let fork = this.#tip;
      for (let depth = 0; depth < step.depth; depth++) fork = fork.parent ?? fork;
      const branch: TestBlock[] = [];
      for (const txs of step.lengths) branch.push(this.#child(branch.at(-1) ?? fork, txs));
      await this.#moveTo(branch, fork);
    } else if (step.kind === 'index') {
      await this.#index();
    } else if (step.kind === 'full') {
      this.db.batchesLeft = 0;
      this.db.arrivesLate = step.arrivesLate;
      if (step.isSlice) await this.#index();
      const next = this.#child(this.#tip, 3);
      await expect(this.#open.commit(makeCommit([next], this.#tip, next))).rejects.toMatchObject({ code: 'full' });
      this.db.batchesLeft = Number.POSITIVE_INFINITY;
      this.db.arrivesLate = false;
      await this.#open.savePeers(new Map()); // undoes what arrived after all
    } else {
      if (step.kind === 'stop') await this.stop();
      await this.start();
    }
  }

  /** Lets it write one slice. */
  async #index(): Promise<void> {
    this.#goOn.shift()?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #child(parent: TestBlock, txs: number): TestBlock {
    this.#made += 1;
    // Now and then what stands on an abandoned branch at the same nonces is mined again: the amounts are few.
    const made = Array.from({ length: txs }, (_, i) =>
      makeTransfer(
        parent,
        chainId,
        i % WALLETS,
        (i + txs) % WALLETS,
        BigInt(1 + (i % 2)),
        BigInt(Math.floor(i / WALLETS)),
      ),
    );
    for (const { id } of made) this.#everMined.add(id);
    return makeChild(parent, made, this.#made);
  }

  async #moveTo(added: readonly TestBlock[], fork = this.#tip): Promise<void> {
    const to = added.at(-1) ?? fork;
    await this.#open.commit(makeCommit(added, this.#tip, to));
    this.#tip = to;
  }

  /** What the store says of every transaction and address, and the chain. */
  async expectRight(): Promise<void> {
    const places = indexOnChain(this.#tip);
    for (const id of this.#everMined) expect(await this.#open.txLocation(id)).toEqual(places.get(id));
    for (let wallet = 0; wallet < WALLETS; wallet += 1) {
      const address = addressOfWallet(wallet);
      const all: HistoryItem[] = [];
      for (let at: TestBlock | undefined = this.#tip; at !== undefined; at = at.parent) {
        const { id, height } = at.entry.header;
        for (const [index, tx] of [...at.block.txs.entries()].toReversed()) {
          if (tx.from === address || tx.to === address) all.push({ height, block: id, index });
        }
      }
      expect(await this.#open.history(address, 1_000)).toEqual(all);
      const middle = all[Math.floor(all.length / 2)];
      if (middle === undefined) continue;
      expect(await this.#open.history(address, 3, middle)).toEqual(all.slice(all.indexOf(middle) + 1).slice(0, 3));
      const { height } = middle;
      expect(await this.#open.history(address, 3, { height })).toEqual(
        all.filter((item) => item.height < height).slice(0, 3),
      );
    }
  }

  /** Lets it write all that waits. */
  async finish(): Promise<void> {
    while (this.#goOn.length > 0) await this.#index();
  }

  /** The index on disk is that of the chain once nothing waits: nothing is missing, nothing else is there. */
  async expectIndexed(): Promise<void> {
    await this.db.open();
    const expected = new Map<string, string>();
    for (let at: TestBlock | undefined = this.#tip; at !== undefined; at = at.parent) {
      for (const [key, payload] of indexOf(at.block)) expected.set(hex(key), hex(payload));
    }
    const found = new Map<string, string>();
    for (const kind of [KIND.txLocation, KIND.history]) {
      for await (const [key, record] of scanRecords(this.db, rangeOf(kind))) {
        found.set(hex(key), hex(unsealRecord(key, record)));
      }
    }
    expect(found).toEqual(expected);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

test('whatever is indexed of the chain, and whenever the node dies, the index answers for the whole chain and ends whole', async () => {
  let waited = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const node = new Node();
      await node.start();
      for (const each of steps) {
        await node.do(each);
        if (await node.db.has(META.unindexed)) waited += 1;
        await node.expectRight();
      }
      await node.stop();
      await node.start();
      await node.expectRight();
      await node.finish();
      await node.expectIndexed();
    }),
    { numRuns: 60 },
  );
  expect(waited).toBeGreaterThan(100);
});
