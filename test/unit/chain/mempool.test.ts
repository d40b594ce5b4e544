import { describe, expect, test } from 'vitest';
import type { MempoolLimits } from '../../../chain/mempool.ts';
import { DEFAULT_MEMPOOL_BYTES, Mempool, mempoolLimits } from '../../../chain/mempool.ts';
import type { Account, AccountView, Tx } from '../../../chain/types.ts';
import type { Address } from '../../../crypto/address.ts';
import type { TxOptions } from '../../tree-fixtures.ts';
import { accountsOf, addressAt, blockOf, everybody, senderAt, txOf } from '../../tree-fixtures.ts';

const RICH = everybody({ balance: 10_000_000n, nonce: 0n });
const TX_BYTES = 176;
const ignored = (reason: string) => ({ kind: 'ignore', reason });

function poolOf(limits: Partial<MempoolLimits> = {}) {
  return new Mempool({ ...mempoolLimits(DEFAULT_MEMPOOL_BYTES), ...limits });
}

/** Adds and expects acceptance. */
function addAll(pool: Mempool, accounts: AccountView, ...options: TxOptions[]): Tx[] {
  return options.map((option) => {
    const tx = txOf(option);
    expect(pool.add(tx, accounts, 0).verdict).toEqual({ kind: 'accept', value: tx });
    return tx;
  });
}

const only = (...accounts: [Address, Account][]) => accountsOf(new Map(accounts));

test('the limits are those of docs/PROTOCOL.md', () => {
  expect(mempoolLimits(DEFAULT_MEMPOOL_BYTES)).toEqual({
    maxBytes: 32 * 1024 * 1024,
    maxPerSender: 10_000,
    maxGap: 64n,
    maxParked: 19_418,
    expiryMs: 3 * 3_600_000,
    replaceFeePercent: 10,
  });
});

describe('Mempool.add', () => {
  test('TX-8: a known transaction is ignored', () => {
    const pool = poolOf();
    const [tx] = addAll(pool, RICH, {});
    expect(pool.add(tx!, RICH, 0).verdict).toEqual(ignored('tx/known'));
    expect(pool.size).toBe(1);
  });

  test('TX-9: a nonce below the account’s is ignored', () => {
    const accounts = everybody({ balance: 1_000_000n, nonce: 3n });
    expect(poolOf().add(txOf({ nonce: 2n }), accounts, 0).verdict).toEqual(ignored('tx/nonce-used'));
  });

  test('TX-10: within the gap a transaction is parked, and released when the gap is filled', () => {
    const pool = poolOf();
    const outcome = pool.add(txOf({ nonce: 2n }), RICH, 0);
    expect(outcome.verdict.kind).toBe('accept');
    expect(outcome.parked).toBe(true);
    expect([pool.size, pool.parkedSize]).toEqual([1, 1]);
    expect([...pool.candidates()]).toEqual([]);
    const [first] = addAll(pool, RICH, { nonce: 0n });
    const filler = txOf({ nonce: 1n });
    const released = pool.add(filler, RICH, 0);
    expect(released.parked).toBe(false);
    expect(released.released.map((tx) => tx.nonce)).toEqual([2n]);
    expect(pool.parkedSize).toBe(0);
    expect(pool.isParked(first!.id)).toBe(false);
    expect([...pool.candidates()].map((tx) => tx.nonce)).toEqual([0n, 1n, 2n]);
  });

  test('TX-10: beyond the gap it is ignored and not kept; the gap counts from the next free nonce', () => {
    const pool = poolOf({ maxGap: 4n });
    expect(pool.add(txOf({ nonce: 5n }), RICH, 0).verdict).toEqual(ignored('tx/nonce-gap'));
    expect(pool.size).toBe(0);
    addAll(pool, RICH, { nonce: 0n }, { nonce: 1n }, { nonce: 6n });
    expect(pool.add(txOf({ nonce: 7n }), RICH, 0).verdict).toEqual(ignored('tx/nonce-gap'));
    expect(pool.pendingNonce(senderAt(0), RICH.get(senderAt(0)))).toBe(2n);
    expect(pool.isParked(txOf({ nonce: 6n }).id)).toBe(true);
  });

  test('TX-11: a sender’s queue together must not cost more than its balance', () => {
    const accounts = everybody({ balance: 250n, nonce: 0n });
    const pool = poolOf();
    addAll(pool, accounts, { nonce: 0n, amount: 90n, fee: 10n }, { nonce: 1n, amount: 90n, fee: 10n });
    expect(pool.add(txOf({ nonce: 2n, amount: 41n, fee: 10n }), accounts, 0).verdict).toEqual(
      ignored('tx/balance-low'),
    );
    expect(pool.add(txOf({ nonce: 2n, amount: 40n, fee: 10n }), accounts, 0).verdict.kind).toBe('accept');
    expect(pool.add(txOf({ sender: 1, amount: 241n, fee: 10n }), accounts, 0).verdict).toEqual(
      ignored('tx/balance-low'),
    );
  });

  test('TX-11: a replacement is measured without the one it replaces', () => {
    const accounts = everybody({ balance: 200n, nonce: 0n });
    const pool = poolOf();
    addAll(pool, accounts, { nonce: 0n, amount: 100n, fee: 100n });
    expect(pool.add(txOf({ nonce: 0n, amount: 80n, fee: 121n }), accounts, 0).verdict).toEqual(
      ignored('tx/balance-low'),
    );
    expect(pool.add(txOf({ nonce: 0n, amount: 80n, fee: 120n }), accounts, 0).verdict.kind).toBe('accept');
  });

  test('TX-12: a recipient that could not hold the amount is ignored', () => {
    const accounts = only(
      [senderAt(0), { balance: 5000n, nonce: 0n }],
      [addressAt(1), { balance: 2n ** 64n - 1n, nonce: 0n }],
    );
    expect(poolOf().add(txOf(), accounts, 0).verdict).toEqual(ignored('tx/recipient-overflow'));
  });

  test('TX-13: the same nonce again needs ten percent more fee', () => {
    const pool = poolOf();
    const [, old] = addAll(pool, RICH, { nonce: 0n }, { nonce: 1n, fee: 1000n }, { nonce: 2n });
    expect(pool.add(txOf({ nonce: 1n, fee: 1099n }), RICH, 0).verdict).toEqual(ignored('tx/replacement-underpriced'));
    const better = txOf({ nonce: 1n, fee: 1100n });
    const outcome = pool.add(better, RICH, 0);
    expect(outcome.verdict).toEqual({ kind: 'accept', value: better });
    expect(outcome.evicted).toEqual([{ tx: old, reason: 'tx/replaced' }]);
    expect(outcome.parked).toBe(false);
    expect(outcome.released).toEqual([]); // nonce 2 was ready before and is again
    expect([pool.size, pool.parkedSize, pool.bytes]).toEqual([3, 0, 3 * TX_BYTES]);
    expect(pool.has(old!.id)).toBe(false);
  });

  test('TX-13: an equal fee never replaces, even where ten percent rounds to nothing', () => {
    const pool = poolOf({ replaceFeePercent: 0 });
    addAll(pool, RICH, { fee: 1000n });
    expect(pool.add(txOf({ fee: 1000n, amount: 2n }), RICH, 0).verdict).toEqual(ignored('tx/replacement-underpriced'));
  });

  test('TX-14: a sender has a limit; replacing is still possible', () => {
    const pool = poolOf({ maxPerSender: 2 });
    addAll(pool, RICH, { nonce: 0n }, { nonce: 1n });
    expect(pool.add(txOf({ nonce: 2n }), RICH, 0).verdict).toEqual(ignored('tx/sender-limit'));
    expect(pool.add(txOf({ nonce: 1n, fee: 2000n }), RICH, 0).verdict.kind).toBe('accept');
    expect(pool.add(txOf({ sender: 1 }), RICH, 0).verdict.kind).toBe('accept');
  });

  test('TX-15: full, the cheapest last transaction of a sender makes room', () => {
    const pool = poolOf({ maxBytes: 3 * TX_BYTES });
    const [, cheap] = addAll(
      pool,
      RICH,
      { sender: 1, nonce: 0n, fee: 1100n },
      { sender: 1, nonce: 1n, fee: 1500n },
      { sender: 2, fee: 1900n },
    );
    const outcome = pool.add(txOf({ sender: 3, fee: 1600n }), RICH, 0);
    // Sender 1's first is cheaper, but taking it would leave a gap in front of its second.
    expect(outcome.evicted).toEqual([{ tx: cheap, reason: 'tx/evicted' }]);
    expect(pool.bytes).toBe(3 * TX_BYTES);
  });

  test('TX-15: cheaper than, or as cheap as, all that could go: ignored, and nothing is evicted', () => {
    const pool = poolOf({ maxBytes: 2 * TX_BYTES });
    addAll(pool, RICH, { sender: 1, fee: 1500n }, { sender: 2, fee: 1600n });
    expect(pool.add(txOf({ sender: 3, fee: 1500n }), RICH, 0)).toEqual({
      verdict: ignored('tx/pool-full'),
      parked: false,
      evicted: [],
      released: [],
    });
    // A long one needs the room of two, and pays less than the second of them.
    const long = txOf({ sender: 3, fee: 1590n * 2n, memoBytes: 176 });
    expect(pool.add(long, RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
    expect(pool.size).toBe(2);
    expect(pool.add(txOf({ sender: 4, fee: 1501n }), RICH, 0).verdict.kind).toBe('accept');
  });

  test('TX-15: one byte more than there is room for is too many', () => {
    const pool = poolOf({ maxBytes: 2 * TX_BYTES - 1 });
    addAll(pool, RICH, { sender: 1 });
    expect(pool.add(txOf({ sender: 2 }), RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
  });

  test('TX-15: a sender’s next transaction does not evict the one it stands on', () => {
    const pool = poolOf({ maxBytes: 2 * TX_BYTES });
    addAll(pool, RICH, { sender: 1, nonce: 0n, fee: 1000n }, { sender: 2, fee: 5000n });
    expect(pool.add(txOf({ sender: 1, nonce: 1n, fee: 4000n }), RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
    expect(pool.add(txOf({ sender: 3, fee: 4000n }), RICH, 0).evicted).toHaveLength(1);
  });

  test('TX-15: what is parked takes no room of others, whatever fee it offers', () => {
    const pool = poolOf({ maxBytes: 3 * TX_BYTES });
    addAll(pool, RICH, { sender: 1, fee: 1000n }, { sender: 2, fee: 1000n }, { sender: 3, nonce: 1n, fee: 1000n });
    expect(pool.add(txOf({ sender: 4, nonce: 1n, fee: 9000n }), RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
    const outcome = pool.add(txOf({ sender: 4, fee: 9000n }), RICH, 0);
    expect([outcome.verdict.kind, outcome.evicted.length, pool.size]).toEqual(['accept', 1, 3]);
  });

  test('TX-15: so many are parked and no more; what fills a gap, replaces or is ready is taken', () => {
    const pool = poolOf({ maxParked: 2 });
    addAll(pool, RICH, { sender: 1, nonce: 1n }, { sender: 2, nonce: 3n, fee: 1000n });
    expect(pool.add(txOf({ sender: 3, nonce: 1n }), RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
    addAll(pool, RICH, { sender: 2, nonce: 3n, fee: 2000n }, { sender: 3 }, { sender: 1, nonce: 0n });
    expect(pool.parkedSize).toBe(1);
    addAll(pool, RICH, { sender: 3, nonce: 2n });
  });

  test.each([20, 1000])('TX-15: what is parked fills no pool: %s transactions’ bytes', (count) => {
    const pool = new Mempool(mempoolLimits(count * TX_BYTES));
    const verdicts = Array.from({ length: count }, (_, at) =>
      pool.add(txOf({ sender: at % 60, nonce: BigInt(1 + Math.floor(at / 60)), fee: 9000n }), RICH, 0),
    );
    expect(verdicts.at(-1)!.verdict).toEqual(ignored('tx/pool-full'));
    expect(pool.parkedSize * TX_BYTES).toBeLessThanOrEqual((count * TX_BYTES) / 4);
    addAll(pool, RICH, { sender: 61 });
  });

  test('TX-15: what is parked goes first, whatever fee it offers, of those what offers least', () => {
    const pool = poolOf({ maxBytes: 5 * TX_BYTES });
    const [, dear] = addAll(pool, RICH, { fee: 10n }, { nonce: 2n, fee: 500n });
    const [cheap] = addAll(pool, RICH, { sender: 1, nonce: 1n, fee: 400n });
    addAll(pool, RICH, { sender: 2, fee: 20n }, { sender: 3, fee: 30n });
    const evictedBy = (sender: number, fee: bigint) => pool.add(txOf({ sender, fee }), RICH, 0).evicted;
    expect(evictedBy(4, 5n)).toEqual([{ tx: cheap, reason: 'tx/evicted' }]);
    expect(evictedBy(5, 5n)).toEqual([{ tx: dear, reason: 'tx/evicted' }]);
    expect(evictedBy(6, 5n)).toEqual([]); // no cheaper than what is left
    expect(pool.parkedSize).toBe(0);
  });

  test('TX-15: a parked last one does not keep what its sender has ready in the pool', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    addAll(pool, RICH, { fee: 1n }, { nonce: 1n, fee: 1n }, { nonce: 2n, fee: 1n }, { nonce: 9n, fee: 900n });
    addAll(pool, RICH, { sender: 1, fee: 50n }, { sender: 2, fee: 50n }, { sender: 3, fee: 50n });
    expect(pool.ofSender(senderAt(0)).map(({ nonce }) => nonce)).toEqual([0n]);
  });

  test('TX-15: what counts is whether it is parked when room is needed, not when it came', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    const [first] = addAll(pool, RICH, { fee: 40n }, { nonce: 1n, fee: 300n });
    addAll(pool, RICH, { sender: 1, nonce: 1n, fee: 200n }, { sender: 2, fee: 10n });
    addAll(pool, RICH, { sender: 3, fee: 90n }); // evicts the parked one
    expect(pool.ofSender(senderAt(1))).toEqual([]);
    pool.drop(first!.id, 'tx/expired'); // what stood behind it is parked now
    addAll(pool, RICH, { sender: 4, fee: 20n }, { sender: 5, fee: 5n });
    expect(pool.ofSender(senderAt(0))).toEqual([]);
    expect(pool.has(txOf({ sender: 2, fee: 10n }).id)).toBe(true);
  });

  test('TX-15: parked ones that have become ready count by their fee', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    addAll(pool, RICH, { nonce: 1n, fee: 100n }, { sender: 1, nonce: 1n, fee: 200n });
    addAll(pool, RICH, { sender: 2, fee: 50n }, { sender: 3, fee: 60n });
    addAll(pool, RICH, { fee: 70n }); // evicts another's parked one, not the one that it makes ready
    expect(pool.ofSender(senderAt(0)).map(({ nonce }) => nonce)).toEqual([0n, 1n]);
    expect(pool.parkedSize).toBe(0);
    addAll(pool, RICH, { sender: 4, fee: 55n });
    expect(Array.from(pool.candidates(), ({ fee }) => fee)).toEqual([70n, 100n, 60n, 55n]);
  });

  test('TX-15: what fills a gap does not evict what it makes ready, where that pays more than others', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    addAll(
      pool,
      RICH,
      { nonce: 1n, fee: 500n },
      { sender: 2, fee: 10n },
      { sender: 3, fee: 20n },
      { sender: 4, fee: 900n },
    );
    expect(pool.add(txOf({ fee: 600n }), RICH, 0).evicted.map(({ tx }) => tx.fee)).toEqual([10n]);
  });

  test('TX-15: what was in the middle can go once it is its sender’s last', () => {
    const pool = poolOf({ maxBytes: 3 * TX_BYTES });
    const [middle, last] = addAll(
      pool,
      RICH,
      { sender: 1, nonce: 0n, fee: 1000n },
      { sender: 1, nonce: 1n, fee: 9000n },
      { sender: 2, fee: 5000n },
    );
    expect(pool.add(txOf({ sender: 3, fee: 1500n }), RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
    pool.drop(last!.id, 'tx/evicted');
    addAll(pool, RICH, { sender: 4, fee: 6000n });
    const outcome = pool.add(txOf({ sender: 3, fee: 1500n }), RICH, 0);
    expect(outcome.evicted).toEqual([{ tx: middle, reason: 'tx/evicted' }]);
  });

  test('TX-15: what came after the first eviction goes in its turn', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    addAll(pool, RICH, ...[1, 2, 3, 4].map((sender) => ({ sender, fee: 9000n })));
    const [next] = addAll(pool, RICH, { sender: 5, fee: 10_000n });
    // Each of these takes the place of one that was there first, so that only later ones are left.
    addAll(pool, RICH, ...[6, 7, 8].map((sender) => ({ sender, fee: 11_000n })));
    const outcome = pool.add(txOf({ sender: 9, fee: 20_000n }), RICH, 0);
    expect(outcome.evicted).toEqual([{ tx: next, reason: 'tx/evicted' }]);
  });

  test('TX-15: what became its sender’s last after the first eviction goes in its turn', () => {
    // So many that the pool stays nearly full without one, and keeps who is to go first.
    const pool = poolOf({ maxBytes: 20 * TX_BYTES });
    const [middle, last] = addAll(
      pool,
      RICH,
      { sender: 1, nonce: 0n, fee: 2000n },
      { sender: 1, nonce: 1n, fee: 9000n },
      ...Array.from({ length: 18 }, (_, at) => ({ sender: 10 + at, fee: 5000n })),
    );
    expect(pool.add(txOf({ sender: 2, fee: 6000n }), RICH, 0).evicted.map(({ tx }) => tx.fee)).toEqual([5000n]);
    pool.drop(last!.id, 'tx/expired');
    addAll(pool, RICH, { sender: 3, fee: 9000n });
    const outcome = pool.add(txOf({ sender: 4, fee: 3000n }), RICH, 0);
    expect(outcome.evicted).toEqual([{ tx: middle, reason: 'tx/evicted' }]);
  });

  test('TX-15: refused again and again, the pool keeps working', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    addAll(pool, RICH, { sender: 1, nonce: 0n, fee: 9000n }, { sender: 1, nonce: 1n, fee: 1000n });
    addAll(pool, RICH, { sender: 2, nonce: 0n, fee: 9000n }, { sender: 2, nonce: 1n, fee: 1100n });
    for (let sender = 10; sender < 500; sender += 1) {
      const long = txOf({ sender, fee: 6000n, memoBytes: 256 }); // room of three, of which one pays more
      expect(pool.add(long, RICH, 0).verdict).toEqual(ignored('tx/pool-full'));
    }
    const outcome = pool.add(txOf({ sender: 3, fee: 2000n }), RICH, 0);
    expect(outcome.evicted.map(({ tx }) => tx.fee)).toEqual([1000n]);
  });
});

describe('Mempool.candidates', () => {
  test('best fee per byte first, each sender in nonce order, parked ones left out', () => {
    const pool = poolOf();
    addAll(
      pool,
      RICH,
      { sender: 1, nonce: 0n, fee: 2000n },
      { sender: 1, nonce: 1n, fee: 9000n },
      { sender: 2, nonce: 0n, fee: 3000n },
      { sender: 2, nonce: 1n, fee: 1000n },
      { sender: 3, nonce: 1n, fee: 99_000n },
      { sender: 4, nonce: 0n, fee: 4000n, memoBytes: 256 },
    );
    expect([...pool.candidates()].map((tx) => tx.fee)).toEqual([3000n, 2000n, 9000n, 4000n, 1000n]);
  });

  test('of equal fee rates the first that came', () => {
    const pool = poolOf();
    const added = addAll(pool, RICH, { sender: 5 }, { sender: 3 }, { sender: 4 });
    expect([...pool.candidates()]).toEqual(added);
    expect(pool.list(2)).toEqual(added.slice(0, 2));
  });
});

test('a sender’s consecutive ones end at a gap, and the first gap is what its parked ones wait for', () => {
  const pool = poolOf();
  const txs = addAll(pool, RICH, ...[0n, 1n, 2n, 5n, 6n, 9n].map((nonce) => ({ nonce })));
  const from = (nonce: bigint, limit = 100) => pool.consecutive(senderAt(0), nonce, limit).map((tx) => tx.nonce);
  expect(from(0n)).toEqual([0n, 1n, 2n]);
  expect(from(1n, 1)).toEqual([1n]);
  expect([from(3n), from(5n), from(9n), from(10n)]).toEqual([[], [5n, 6n], [9n], []]);
  expect(pool.consecutive(senderAt(1), 0n, 100)).toEqual([]);
  expect(pool.firstGap(senderAt(0))).toEqual({ from: 3n, to: 4n });
  expect(pool.firstGap(senderAt(1))).toBeUndefined();
  for (const tx of txs.slice(3)) pool.drop(tx.id, 'tx/expired');
  expect(pool.firstGap(senderAt(0))).toBeUndefined();
});

describe('Mempool.onBlocks', () => {
  test('after a reorg to a lower nonce those that stay are behind a gap, where what was mined cannot return', () => {
    const pool = poolOf({ maxBytes: 3 * TX_BYTES });
    const mined = txOf({ nonce: 0n, fee: 1n });
    const [kept] = addAll(pool, only([senderAt(0), { balance: 1_000n, nonce: 1n }]), { nonce: 1n, fee: 100n });
    addAll(pool, RICH, { sender: 1, fee: 90n }, { sender: 2, fee: 90n });
    const outcome = pool.onBlocks([], [blockOf([mined])], everybody({ balance: 1_000n, nonce: 0n }), 0);
    expect(outcome.removed).toEqual([{ tx: mined, reason: 'tx/pool-full' }]);
    expect(pool.isParked(kept!.id)).toBe(true);
    expect(pool.parkedSize).toBe(1);
    expect(Array.from(pool.candidates(), ({ id }) => id)).not.toContain(kept!.id);
    expect(pool.firstGap(senderAt(0))).toEqual({ from: 0n, to: 0n });
  });

  test('after a reorg with a full pool what waits for the rest of its block to return does not go first', () => {
    const pool = poolOf({ maxBytes: 4 * TX_BYTES });
    const rich = { balance: 10_000_000n, nonce: 0n };
    const accounts = only(
      [senderAt(2), { ...rich, nonce: 1n }],
      ...[3, 4, 5].map((sender) => [senderAt(sender), rich] as [Address, Account]),
    );
    const [dear] = addAll(pool, accounts, { sender: 2, nonce: 1n, fee: 9_000n });
    addAll(pool, accounts, { sender: 3, fee: 100n }, { sender: 4, fee: 200n }, { sender: 5, fee: 300n });
    pool.onBlocks([], [blockOf([txOf({ sender: 1, fee: 500n }), txOf({ sender: 2, fee: 500n })])], RICH, 0);
    expect(pool.has(dear!.id)).toBe(true);
    expect(pool.parkedSize).toBe(0);
  });

  test('what returns behind a gap, or is refused, takes the place of nothing', () => {
    const full = poolOf({ maxBytes: 3 * TX_BYTES });
    const held = addAll(full, RICH, { sender: 3, fee: 1_000n }, { sender: 4, fee: 1_000n }, { sender: 5, fee: 1_000n });
    const back = [txOf({ sender: 1, fee: 10n }), txOf({ sender: 1, nonce: 1n, fee: 9_000n })];
    const reasons = full.onBlocks([], [blockOf(back)], RICH, 0).removed.map(({ reason }) => reason);
    expect(reasons).toEqual(['tx/pool-full', 'tx/pool-full']);
    expect(held.every(({ id }) => full.has(id))).toBe(true);

    const limited = poolOf({ maxBytes: 3 * TX_BYTES, maxPerSender: 2 });
    const accounts = everybody({ balance: 10_000_000n, nonce: 1n });
    const [first, last] = addAll(limited, accounts, { nonce: 1n, fee: 900n }, { nonce: 2n, fee: 900n });
    addAll(limited, accounts, { sender: 2, nonce: 1n, fee: 900n });
    const long = txOf({ nonce: 0n, fee: 10n, memoBytes: 100 });
    expect(limited.onBlocks([], [blockOf([long])], everybody({ balance: 10_000_000n, nonce: 0n }), 0).removed).toEqual([
      { tx: long, reason: 'tx/pool-full' },
    ]);
    expect(limited.has(first!.id) && limited.has(last!.id)).toBe(true);
  });

  test('a full pool makes room when a block has taken all of a sender’s', () => {
    const pool = poolOf({ maxBytes: 3 * TX_BYTES });
    const [mined] = addAll(pool, RICH, { fee: 50n }, { sender: 1, fee: 60n }, { sender: 2, fee: 70n });
    addAll(pool, RICH, { sender: 3, fee: 80n }); // evicts the cheapest: who is to go next is known from now on
    expect(pool.has(mined!.id)).toBe(false);
    pool.onBlocks([blockOf(pool.ofSender(senderAt(1)))], [], only([senderAt(1), { balance: 10_000n, nonce: 1n }]), 0);
    addAll(pool, RICH, { sender: 4, fee: 10n }, { sender: 5, fee: 90n });
    expect(pool.size).toBe(3);
    expect(Array.from(pool.candidates(), ({ fee }) => fee)).toEqual([90n, 80n, 70n]);
  });

  const sender = senderAt(0);

  test('removes what was mined, and what its nonce overtook', () => {
    const pool = poolOf();
    const [mined, overtaken, next] = addAll(pool, RICH, { nonce: 0n }, { nonce: 1n }, { nonce: 2n });
    const other = txOf({ nonce: 1n, amount: 7n });
    const after = only([sender, { balance: 9_000_000n, nonce: 2n }]);
    const outcome = pool.onBlocks([blockOf([mined!, other])], [], after, 0);
    expect(outcome.removed).toEqual([
      { tx: mined, reason: 'mined' },
      { tx: overtaken, reason: 'tx/nonce-used' },
    ]);
    expect(outcome.readded).toEqual([]);
    expect([...pool.candidates()]).toEqual([next]);
    expect(pool.parkedSize).toBe(0);
  });

  test('releases what was parked when the gap was mined without us', () => {
    const pool = poolOf();
    const [parked] = addAll(pool, RICH, { nonce: 1n });
    pool.onBlocks([blockOf([txOf({ nonce: 0n })])], [], only([sender, { balance: 9_000_000n, nonce: 1n }]), 0);
    expect([...pool.candidates()]).toEqual([parked]);
  });

  test('a mined transaction that cost more than planned drops the tail that is no longer covered', () => {
    const pool = poolOf();
    const accounts = only([sender, { balance: 4000n, nonce: 0n }]);
    const [, , tail] = addAll(pool, accounts, { nonce: 0n }, { nonce: 1n }, { nonce: 2n });
    const dearer = txOf({ nonce: 0n, amount: 1500n, fee: 1000n });
    const outcome = pool.onBlocks([blockOf([dearer])], [], only([sender, { balance: 1500n, nonce: 1n }]), 0);
    expect(outcome.removed.map(({ reason }) => reason)).toEqual(['tx/nonce-used', 'tx/balance-low']);
    expect(outcome.removed[1]!.tx).toBe(tail);
    expect(pool.size).toBe(1);
  });

  test('puts transactions of disconnected blocks back, unless mined again', () => {
    const pool = poolOf();
    const [a, b, c] = [txOf({ nonce: 0n }), txOf({ nonce: 1n }), txOf({ nonce: 2n })];
    const later = everybody({ balance: 1_000_000n, nonce: 3n });
    const [pending] = addAll(pool, later, { nonce: 3n });
    const now = everybody({ balance: 1_000_000n, nonce: 1n });
    const outcome = pool.onBlocks([blockOf([a])], [blockOf([c]), blockOf([a, b])], now, 5);
    expect(outcome).toEqual({ removed: [], readded: [b, c] });
    expect([...pool.candidates()]).toEqual([b, c, pending]);
  });

  test('a disconnected payment leaves its recipient with less: the uncovered tail goes', () => {
    const pool = poolOf();
    const recipient = senderAt(7);
    const before = only([recipient, { balance: 5000n, nonce: 0n }], [sender, { balance: 0n, nonce: 1n }]);
    const [kept, dropped] = addAll(pool, before, { sender: 7, nonce: 0n }, { sender: 7, nonce: 1n, amount: 2000n });
    const payment = txOf({ to: recipient, amount: 4000n });
    const after = only([recipient, { balance: 1001n, nonce: 0n }], [sender, { balance: 5000n, nonce: 0n }]);
    const outcome = pool.onBlocks([], [blockOf([payment])], after, 0);
    expect(outcome.readded).toEqual([payment]);
    expect(outcome.removed).toEqual([{ tx: dropped, reason: 'tx/balance-low' }]);
    expect(pool.has(kept!.id)).toBe(true);
  });

  test('a disconnected transaction whose nonce the new branch used is reported', () => {
    const tx = txOf({ nonce: 0n });
    const outcome = poolOf().onBlocks([], [blockOf([tx])], everybody({ balance: 9999n, nonce: 1n }), 0);
    expect(outcome).toEqual({ removed: [{ tx, reason: 'tx/nonce-used' }], readded: [] });
  });

  test('one that comes back goes before the sender’s last where the sender is at its limit', () => {
    const pool = poolOf({ maxPerSender: 2 });
    const at = (nonce: bigint) => everybody({ balance: 1_000_000n, nonce });
    const [, last] = addAll(pool, at(1n), { nonce: 1n }, { nonce: 2n });
    const back = txOf({ nonce: 0n });
    const outcome = pool.onBlocks([], [blockOf([back])], at(0n), 0);
    expect(outcome).toEqual({ removed: [{ tx: last, reason: 'tx/sender-limit' }], readded: [back] });
    expect([...pool.candidates()].map((tx) => tx.nonce)).toEqual([0n, 1n]);
  });
});

describe('Mempool.expire and drop', () => {
  test('drops what has waited for the expiry; those behind it are parked', () => {
    const pool = poolOf({ expiryMs: 1000 });
    const [first, second] = [txOf({ nonce: 0n }), txOf({ nonce: 1n })];
    pool.add(first, RICH, 0);
    pool.add(second, RICH, 500);
    expect(pool.expire(999)).toEqual([]);
    expect(pool.expire(1000)).toEqual([{ tx: first, reason: 'tx/expired' }]);
    expect(pool.isParked(second.id)).toBe(true);
    expect(pool.expire(1500)).toEqual([{ tx: second, reason: 'tx/expired' }]);
    expect([pool.size, pool.bytes, pool.parkedSize]).toEqual([0, 0, 0]);
  });

  test('drops one by id', () => {
    const pool = poolOf();
    const [tx] = addAll(pool, RICH, {});
    expect(pool.drop(tx!.id, 'tx/recipient-overflow')).toEqual({ tx, reason: 'tx/recipient-overflow' });
    expect(pool.drop(tx!.id, 'tx/evicted')).toBeUndefined();
    expect(pool.get(tx!.id)).toBeUndefined();
    expect(pool.ofSender(senderAt(0))).toEqual([]);
    expect(pool.pendingNonce(senderAt(0), { balance: 0n, nonce: 4n })).toBe(4n);
  });
});

describe('Mempool.olderThan', () => {
  test('gives what has been here for a while, in order of arrival', () => {
    const pool = poolOf();
    const txs = [0n, 1n, 2n].map((nonce) => txOf({ nonce }));
    for (const [at, tx] of txs.entries()) pool.add(tx, RICH, 1000 * at);
    expect([...pool.olderThan(1001, 2000)]).toEqual(txs.slice(0, 1));
    expect([...pool.olderThan(1000, 2000)]).toEqual(txs.slice(0, 2));
    expect([...pool.olderThan(500, 9000)]).toEqual(txs);
  });

  test('after the clock was set back what came before is still old, and what comes then young', () => {
    const pool = poolOf();
    const [before, after] = [txOf({ nonce: 0n }), txOf({ nonce: 1n })];
    pool.add(before, RICH, 7_200_000);
    pool.add(after, RICH, 0);
    expect([...pool.olderThan(500, 100)]).toEqual([before]);
    expect([...pool.olderThan(500, 500)]).toEqual([before, after]);
  });
});
