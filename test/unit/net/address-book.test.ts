import { describe, expect, it } from 'vitest';
import type { AddressBookDeps, AddressBookOptions } from '../../../node/net/address-book.ts';
import { AddressBook } from '../../../node/net/address-book.ts';
import { peerIdOfSeed } from '../../../node/net/identity.ts';
import { silentLogger } from '../../loggers.ts';
import { ManualClock, settled } from '../../manual-clock.ts';

const peerOf = (n: number): string => peerIdOfSeed(new Uint8Array(32).fill(n));
const addressOf = (n: number): string => `/ip4/127.0.0.1/tcp/${9_000 + n}/p2p/${peerOf(n)}`;

const OPTIONS: AddressBookOptions = {
  maxAddresses: 1_000,
  maxAddressesPerPeer: 4,
  targetConnections: 2,
  maxParallelDials: 8,
  minRedialMs: 250,
  maxRedialMs: 30_000,
  stableMs: 10_000,
  maxFailures: 5,
};

function setUp(init: Partial<Omit<AddressBookDeps, 'options'>> & { options?: Partial<AddressBookOptions> } = {}) {
  const clock = new ManualClock();
  const dials: { atMs: number; addresses: readonly string[] }[] = [];
  const up = new Set<string>();
  const saves: ReadonlyMap<string, number>[] = [];
  const book: AddressBook = new AddressBook({
    self: peerOf(0),
    bootstrap: [],
    store: {
      loadPeers: async () => new Map(),
      savePeers: async (peers) => {
        saves.push(peers);
      },
    },
    clock,
    rng: { unit: () => 0.5, bytes: () => new Uint8Array() },
    logger: silentLogger,
    dial: async (addresses) => {
      dials.push({ atMs: clock.monotonicMs(), addresses });
      const peer = addresses[0]!.split('/p2p/')[1]!;
      if (!up.has(peer)) throw new Error('refused');
      book.onConnected(peer, addresses[0]);
      return peer;
    },
    ...init,
    options: { ...OPTIONS, ...init.options },
  });
  return { book, clock, dials, up, saves };
}

describe('AddressBook', () => {
  it('redials a bootstrap peer after 250 ms, doubling to 30 s', async () => {
    const { book, clock, dials } = setUp({ bootstrap: [addressOf(1)] });
    await book.start();
    await clock.advanceSettling(100_000);
    const gaps = dials.slice(1).map(({ atMs }, i) => atMs - dials[i]!.atMs);
    expect(gaps.slice(0, 9)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    await book.stop();
    expect(clock.pending).toBe(0);
  });

  it('spreads the redials by a quarter either way', async () => {
    for (const [unit, gap] of [
      [0, 187.5],
      [0.999999, 312.5],
    ] as const) {
      const { book, clock, dials } = setUp({
        bootstrap: [addressOf(1)],
        rng: { unit: () => unit, bytes: () => new Uint8Array() },
      });
      await book.start();
      await clock.advanceSettling(400);
      expect(dials[1]!.atMs).toBeCloseTo(gap, 1);
    }
  });

  it('redials a lost bootstrap peer after about 250 ms, and one that hangs up each time ever later', async () => {
    const { book, clock, dials, up } = setUp({ bootstrap: [addressOf(1)] });
    up.add(peerOf(1));
    await book.start();
    await settled();
    for (const gap of [250, 250, 250, 500, 1_000]) {
      const lostMs = clock.monotonicMs();
      book.onDisconnected(peerOf(1), false);
      await clock.advanceSettling(gap - 1);
      expect(dials.at(-1)!.atMs).toBeLessThanOrEqual(lostMs);
      await clock.advanceSettling(1);
      expect(dials.at(-1)!.atMs).toBe(lostMs + gap);
      if (gap === 250 && dials.length === 2) await clock.advanceSettling(20_000); // the second connection lasts
    }
  });

  it('waits the longest back-off after hanging up itself', async () => {
    const { book, clock, dials, up } = setUp({ bootstrap: [addressOf(1)] });
    up.add(peerOf(1));
    await book.start();
    await settled();
    book.onDisconnected(peerOf(1), true);
    await clock.advanceSettling(29_999);
    expect(dials).toHaveLength(1);
    await clock.advanceSettling(1);
    expect(dials).toHaveLength(2);
  });

  it('dials bootstrap peers whatever the number of connections, the others up to the target, the latest seen first', async () => {
    const known = new Map([4, 5, 6].map((n) => [addressOf(n), n]));
    const { book, up, dials } = setUp({
      bootstrap: [addressOf(1)],
      store: { loadPeers: async () => known, savePeers: async () => undefined },
    });
    for (const n of [1, 4, 5, 6]) up.add(peerOf(n));
    await book.start();
    await settled();
    expect(dials.map(({ addresses }) => addresses)).toEqual([[addressOf(1)], [addressOf(6)]]);
    book.onDisconnected(peerOf(6), false);
    await settled();
    expect(dials.at(-1)?.addresses).toEqual([addressOf(5)]);
  });

  it('forgets a peer outside the bootstrap list after too many failures', async () => {
    const { book, clock, dials } = setUp({
      store: { loadPeers: async () => new Map([[addressOf(4), 1]]), savePeers: async () => undefined },
    });
    await book.start();
    await clock.advanceSettling(1_000_000);
    expect(dials).toHaveLength(OPTIONS.maxFailures);
    expect(book.addresses().size).toBe(0);
  });

  it('keeps at most the stated number of addresses, bootstrap and connected ones always', async () => {
    const { book, up } = setUp({ bootstrap: [addressOf(1)], options: { maxAddresses: 5, targetConnections: 0 } });
    up.add(peerOf(1));
    await book.start();
    book.onConnected(peerOf(2), addressOf(2));
    for (let n = 3; n < 60; n += 1) {
      book.onConnected(peerOf(n), addressOf(n));
      book.onDisconnected(peerOf(n), false);
    }
    expect(book.addresses().size).toBe(5);
    expect(book.addresses().has(addressOf(1))).toBe(true);
    expect(book.addresses().has(addressOf(2))).toBe(true);
  });

  it('keeps a few addresses of what a peer says about itself, and none of others', async () => {
    const { book } = setUp({ bootstrap: [addressOf(1)] });
    await book.start();
    book.onIdentified(
      peerOf(1),
      Array.from({ length: 20 }, (_, i) => `/ip4/10.0.0.${i}/tcp/1`),
    );
    book.onIdentified(peerOf(1), [addressOf(2), '/ip4/1.2.3.4/udp/5', '/unix/x', 'nonsense', addressOf(0)]);
    expect(book.addresses().size).toBe(4);
    expect(book.addresses().has(addressOf(1))).toBe(true); // the configured one stays
    expect([...book.addresses().keys()].every((address) => address.endsWith(peerOf(1)))).toBe(true);
  });

  it('takes what a peer says about itself for a claim, never connected, until a dial shows it', async () => {
    const { book, clock, dials, up, saves } = setUp({ options: { targetConnections: 1 } });
    await book.start();
    book.onConnected(peerOf(1), undefined); // inbound: its port is nobody's
    book.onIdentified(peerOf(1), [addressOf(1)]);
    await clock.advanceSettling(1_000);
    expect(saves.map((peers) => [...peers])).toEqual([[[addressOf(1), 0]]]);

    up.add(peerOf(1)); // and it is where it says
    book.onDisconnected(peerOf(1), false);
    await clock.advanceSettling(1_000);
    expect(dials.map(({ addresses }) => addresses)).toEqual([[addressOf(1)]]);
    expect(book.addresses().get(addressOf(1))).toBe(1_700_000_001_250);
    book.onIdentified(peerOf(1), [addressOf(1)]); // that it says so again changes nothing
    expect(book.addresses().get(addressOf(1))).toBe(1_700_000_001_250);
  });

  it('gives no room of what was connected to claims, however many names somebody makes', async () => {
    const reached = new Map([10, 11, 12].map((n) => [addressOf(n), n]));
    const { book } = setUp({
      store: { loadPeers: async () => reached, savePeers: async () => undefined },
      options: { maxAddresses: 5, targetConnections: 0 },
    });
    await book.start();
    const claim = (n: number): void => {
      book.onConnected(peerOf(n), undefined);
      book.onIdentified(peerOf(n), [addressOf(n)]);
      book.onDisconnected(peerOf(n), false);
    };
    for (let n = 20; n < 60; n += 1) claim(n);
    // The claims push out each other, the oldest first.
    expect([...book.addresses().keys()]).toEqual([...reached.keys(), addressOf(58), addressOf(59)]);
    for (const n of [70, 71, 72]) {
      book.onConnected(peerOf(n), addressOf(n));
      book.onDisconnected(peerOf(n), false);
    }
    // What is connected takes the room of claims, then of what was connected longest ago; then claims find none.
    claim(80);
    expect([...book.addresses().keys()]).toEqual([11, 12, 70, 71, 72].map(addressOf));
    await book.add(addressOf(81)); // an operator's address does
    expect([...book.addresses().keys()]).toEqual([12, 70, 71, 72, 81].map(addressOf));
  });

  it('dials what was connected before what is only claimed, and that too while there are too few', async () => {
    const known = new Map([[addressOf(4), 0] as const, [addressOf(5), 5] as const]);
    const { book, up, dials } = setUp({
      store: { loadPeers: async () => known, savePeers: async () => undefined },
      options: { maxParallelDials: 1 },
    });
    for (const n of [4, 5]) up.add(peerOf(n));
    await book.start();
    await settled();
    expect(dials.map(({ addresses }) => addresses)).toEqual([[addressOf(5)], [addressOf(4)]]);
    expect(book.addresses().get(addressOf(4))).toBe(1_700_000_000_000);
  });

  it('does not dial itself, and says so where it is told to', async () => {
    const { book, clock, dials } = setUp({ bootstrap: [addressOf(0)] });
    await book.start();
    await clock.advanceSettling(10_000);
    await expect(book.add(addressOf(0))).rejects.toThrow(`address ${addressOf(0)} is this node's own`);
    expect(dials).toEqual([]);
  });

  it('adds and dials an address at once, and refuses a malformed one', async () => {
    const { book, dials, up } = setUp({ options: { targetConnections: 0 } });
    up.add(peerOf(1));
    await book.start();
    await book.add(addressOf(1));
    expect(dials).toHaveLength(1);
    for (const wrong of ['', 'localhost:1', '/ip4/1.2.3.4', '/ip4/1.2.3.4/udp/1', '/ip4/999.1.1.1/tcp/1']) {
      await expect(book.add(wrong)).rejects.toThrow(/address/);
    }
  });

  it('saves what it knows soon after a change and at the end, and survives a store that fails', async () => {
    const { book, clock, saves } = setUp();
    await book.start();
    book.onConnected(peerOf(1), addressOf(1));
    expect(saves).toHaveLength(0);
    await clock.advanceSettling(1_000);
    expect(saves.map((peers) => [...peers])).toEqual([[[addressOf(1), 1_700_000_000_000]]]);
    await book.stop();
    expect(saves).toHaveLength(2);

    const fail = () => Promise.reject(new Error('disk full'));
    const failing = setUp({ store: { loadPeers: fail, savePeers: fail }, bootstrap: [addressOf(1)] });
    await failing.book.start();
    await settled();
    expect(failing.dials).toHaveLength(1);
    await expect(failing.book.stop()).resolves.toBeUndefined();
  });

  it('learns whom a bootstrap address without a peer id belongs to', async () => {
    const dials: string[] = [];
    const { book, clock } = setUp({
      bootstrap: ['/dns4/node-1/tcp/9000'],
      dial: async (addresses) => {
        dials.push(...addresses);
        book.onConnected(peerOf(1), undefined);
        return peerOf(1);
      },
    });
    await book.start();
    await clock.advanceSettling(60_000);
    expect(dials).toEqual(['/dns4/node-1/tcp/9000']);
    book.onDisconnected(peerOf(1), false);
    await clock.advanceSettling(250);
    expect(dials).toHaveLength(2);
  });
});
