import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256 } from '../../../crypto/hash.ts';
import { publicKeyOf } from '../../../crypto/keys.ts';
import { loadSignatureBackend } from '../../../crypto/load-backend.ts';
import { signDigest } from '../../../crypto/sign.ts';
import type { SignatureBackend } from '../../../crypto/signature.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { SignatureItem } from '../../../node/ports.ts';
import { PACKED_ITEM_BYTES, unpackItem } from '../../../node/verify/packed-items.ts';
import { VerifierBusyError } from '../../../node/verify/verifier-busy-error.ts';
import { VerifyPool, type VerifyPoolOptions } from '../../../node/verify/verify-pool.ts';
import type { BatchRequest, VerifyThreadEvents } from '../../../node/verify/verify-thread.ts';
import { silentLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';

/** An item whose "signature" is good when its first digest byte is even. */
function item(n: number): SignatureItem {
  const digest = new Uint8Array(32);
  new DataView(digest.buffer).setUint32(28, n);
  digest[0] = n & 0xff;
  return { digest, signature: new Uint8Array(64), publicKey: new Uint8Array(33) };
}
const items = (count: number, from = 0) => Array.from({ length: count }, (_, i) => item(from + i));
const isGood = ({ digest }: SignatureItem) => digest[0]! % 2 === 0;
const backend: SignatureBackend = { name: 'even', verify: isGood };

/** A thread that answers when the test says so. */
class FakeThread {
  readonly events: VerifyThreadEvents;
  readonly batches: BatchRequest[] = [];
  isTerminated = false;

  constructor(events: VerifyThreadEvents) {
    this.events = events;
  }

  post(batch: BatchRequest): void {
    this.batches.push(batch);
  }

  terminate(): Promise<void> {
    this.isTerminated = true;
    return Promise.resolve();
  }

  sizes(): number[] {
    return this.batches.map(({ items }) => items.byteLength / PACKED_ITEM_BYTES);
  }

  answer(msPerItem = 0.075): void {
    const batch = this.batches.shift()!;
    const packed = new Uint8Array(batch.items);
    const results = Uint8Array.from({ length: packed.length / PACKED_ITEM_BYTES }, (_, i) =>
      isGood(unpackItem(packed, i)) ? 1 : 0,
    );
    this.events.onReply({ id: batch.id, results: results.buffer, elapsedMs: msPerItem * results.length });
  }

  die(): void {
    this.events.onExit(new Error('killed'));
  }
}

let clock: ManualClock;
let threads: FakeThread[];
let deaths: number;
let pool: VerifyPool;

function makePool(options: Partial<VerifyPoolOptions> = {}): VerifyPool {
  return new VerifyPool({
    size: 1,
    backend,
    clock,
    logger: silentLogger,
    onThreadDeath: () => {
      deaths += 1;
    },
    spawn: (_, events) => {
      const thread = new FakeThread(events);
      threads.push(thread);
      return thread;
    },
    ...options,
  });
}

/** Takes so long for a check. */
function slowBackend(checkMs: number): { readonly backend: SignatureBackend; readonly spentMs: () => number } {
  let spentMs = 0;
  const verify = (each: SignatureItem): boolean => {
    clock.advance(checkMs);
    spentMs += checkMs;
    return isGood(each);
  };
  return { backend: { name: 'slow', verify }, spentMs: () => spentMs };
}

/** Answers until nothing is owed. */
function answerAll(): void {
  for (let next = threads.find(({ batches }) => batches.length > 0); next !== undefined; ) {
    next.answer();
    next = threads.find(({ batches }) => batches.length > 0);
  }
}

beforeEach(() => {
  clock = new ManualClock();
  threads = [];
  deaths = 0;
  pool = makePool();
});
afterEach(() => pool.close());

describe('verdicts', () => {
  test('one for each item, in order, however the request was cut into batches', async () => {
    const all = items(1000);
    const verdicts = pool.verify(all);
    expect(threads[0]!.sizes().every((size) => size <= 256)).toBe(true);
    answerAll();
    expect(await verdicts).toEqual(all.map(isGood));
  });

  test('items of wrong lengths are false and shift no others', async () => {
    const odd = { ...item(2), publicKey: new Uint8Array(65) };
    const checking = makePool({ backend: { name: 'x', verify: () => false } });
    const verdicts = checking.verify([item(2), ...items(20), { ...odd, digest: new Uint8Array(31).fill(1) }, item(4)]);
    const thread = threads[0]!;
    const packed = new Uint8Array(thread.batches[0]!.items);
    expect([...unpackItem(packed, 21).publicKey].every((byte) => byte === 0)).toBe(true);
    answerAll();
    expect((await verdicts)[0]).toBe(true);
    expect((await verdicts)[22]).toBe(true);
    await checking.close();
  });

  test('nothing to check needs no thread', async () => {
    expect(await pool.verify([])).toEqual([]);
    expect(threads).toEqual([]);
  });
});

describe('batches', () => {
  test('no more than four of a priority are with a thread; the rest gathers and goes in full ones', () => {
    void pool.verify(items(100), 'bulk');
    for (let i = 0; i < 60; i++) void pool.verify(items(10), 'bulk');
    const [thread] = threads;
    expect(thread!.sizes().length).toBe(4);
    thread!.answer();
    expect(thread!.sizes().length).toBe(4);
    answerAll();
  });

  test('half-empty ones go to an idle thread only, and linger for company', async () => {
    void pool.verify(items(30), 'bulk');
    const [thread] = threads;
    expect(thread!.sizes()).toEqual([30]);
    thread!.answer();
    const later = [pool.verify(items(3), 'bulk'), pool.verify(items(4), 'bulk')];
    expect(thread!.sizes()).toEqual([]);
    clock.advance(5);
    expect(thread!.sizes()).toEqual([7]);
    answerAll();
    expect((await Promise.all(later)).flat().length).toBe(7);
  });

  test('are sized by time: a slow backend gets small ones', () => {
    void pool.verify(items(2000), 'bulk');
    for (let i = 0; i < 20; i++) threads[0]!.answer(4);
    expect(threads[0]!.sizes()).toEqual([2, 2, 2, 2]);
    answerAll();
  });

  test('a block is shared out among all threads', () => {
    const many = makePool({ size: 3 });
    void many.verify(items(120)).catch(() => undefined);
    expect(threads.map((thread) => thread.sizes())).toEqual([[40], [40], [40]]);
    return many.close();
  });
});

describe('priorities', () => {
  test('urgent items go out at once, whatever bulk is with the threads', async () => {
    const flood = pool.verify(items(5000), 'bulk');
    const urgent = pool.verify(items(8, 100_000));
    const [thread] = threads;
    expect(thread!.batches.map(({ priority }) => priority)).toEqual(['bulk', 'bulk', 'bulk', 'bulk', 'urgent']);
    thread!.answer(); // of bulk: what the thread does first is its own business
    thread!.batches.unshift(thread!.batches.splice(3, 1)[0]!);
    thread!.answer();
    expect((await urgent).length).toBe(8);
    answerAll();
    expect((await flood).length).toBe(5000);
  });

  test('bulk beyond the bound is refused, urgent never', async () => {
    const small = makePool({ maxBulkItems: 100 });
    const first = small.verify(items(90), 'bulk').catch(() => undefined);
    const second = small.verify(items(90), 'bulk').catch(() => undefined);
    await expect(small.verify(items(101), 'bulk')).rejects.toThrow(VerifierBusyError);
    const urgent = small.verify(items(500));
    answerAll();
    expect((await urgent).length).toBe(500);
    await small.close();
    await Promise.all([first, second]);
  });
});

describe('small requests', () => {
  test('are checked here while that is quicker, within an allowance', async () => {
    expect(await pool.verify([item(2)])).toEqual([true]);
    expect(await pool.verify([item(3)])).toEqual([false]);
    expect(threads).toEqual([]);
  });

  test('go to a thread when the event loop has given its share', () => {
    const { backend, spentMs } = slowBackend(0.2);
    const slow = makePool({ backend });
    for (let i = 0; i < 100; i++) void slow.verify([item(2)], 'bulk').catch(() => undefined);
    expect(spentMs()).toBeGreaterThan(1);
    expect(spentMs()).toBeLessThan(7);
    expect(threads.length).toBe(1);
    return slow.close();
  });
});

test('a backend whose first checks take ten times what is expected has no more of the allowance than any', () => {
  const { backend, spentMs } = slowBackend(2);
  const cold = makePool({ backend });
  for (let i = 0; i < 20; i++) void cold.verify([item(2)], 'bulk').catch(() => undefined);
  expect(spentMs()).toBeLessThan(10);
  expect(threads.length).toBe(1);
  return cold.close();
});

describe('threads, which cost memory,', () => {
  test('are not started for the few signatures of a quiet net, however long a pause falls into one of them', async () => {
    let verifyMs = 30;
    const quiet = makePool({
      backend: {
        name: 'paused once',
        verify(each) {
          clock.advance(verifyMs);
          verifyMs = 0.1;
          return isGood(each);
        },
      },
    });
    for (let block = 0; block < 20; block++) {
      clock.advance(2000);
      for (let vote = 0; vote < 5; vote++) expect(await quiet.verify([item(vote)])).toEqual([vote % 2 === 0]);
      expect(await quiet.verify(items(8), 'bulk')).toEqual(items(8).map(isGood));
    }
    expect(threads).toEqual([]);
    await quiet.close();
  });

  test('are handed what is left where checks turn out to be dear: the event loop is not held up for the rest', async () => {
    pool = makePool({
      backend: {
        name: 'slow',
        verify(each) {
          clock.advance(2.7);
          return isGood(each);
        },
      },
    });
    const begin = clock.monotonicMs();
    const verdicts = pool.verify(items(10));
    expect(clock.monotonicMs() - begin).toBe(2.7);
    expect(threads[0]!.sizes()).toEqual([9]);
    threads[0]!.answer(2.7);
    expect(await verdicts).toEqual(items(10).map(isGood));
  });

  test('are started by the first batch that is worth one, and then take what is quicker there', async () => {
    const large = pool.verify(items(100));
    expect(threads[0]!.sizes()).toEqual([40, 40, 20]);
    const small = pool.verify(items(8));
    expect(threads[0]!.sizes()).toEqual([40, 40, 20, 8]);
    answerAll();
    expect((await large).length + (await small).length).toBe(108);
  });

  test('are not started for the rest of a few signatures, where a pause fell into the first of them', async () => {
    let pauseMs = 30;
    const quiet = makePool({
      backend: {
        name: 'paused once',
        verify(each) {
          clock.advance(pauseMs);
          pauseMs = 0;
          return isGood(each);
        },
      },
    });
    expect(await quiet.verify(items(5))).toEqual(items(5).map(isGood));
    expect(threads).toEqual([]);
    await quiet.close();
  });

  test('end when they did less than a hundredth of half a minute, in small batches; the next large one starts another', async () => {
    void pool.verify(items(100));
    clock.advance(60_000);
    expect(threads[0]!.isTerminated).toBe(false); // it owes an answer
    answerAll();
    clock.advance(30_000);
    expect(threads[0]!.isTerminated).toBe(false); // the answer was of a large batch
    for (let block = 0; block < 30; block++) {
      clock.advance(2000);
      if (threads[0]!.isTerminated) break;
      void pool.verify(items(8)); // 0.6 ms
      answerAll();
    }
    expect(threads[0]!.isTerminated).toBe(true);
    threads[0]!.events.onExit(new Error('terminated'));
    expect(deaths).toBe(0);
    const later = pool.verify(items(100));
    answerAll();
    expect(await later).toEqual(items(100).map(isGood));
    expect(threads.length).toBe(2);
  });

  test.each([
    ['that are seldom and large', 50, 0.075, 2000],
    ['of a slow backend, one at a time', 1, 2.7, 2000],
    ['that are small and many', 8, 0.075, 40],
  ])('do not end between requests %s: each would start another', (_, count, msPerItem, everyMs) => {
    // So that the pool knows what one costs.
    for (let i = 0; i < 50; i++) {
      void pool.verify(items(100));
      for (const thread of threads) while (thread.batches.length > 0) thread.answer(msPerItem);
    }
    for (let ms = 0; ms < 120_000; ms += everyMs) {
      clock.advance(everyMs);
      void pool.verify(items(count));
      for (const thread of threads) while (thread.batches.length > 0) thread.answer(msPerItem);
    }
    expect(threads.length).toBe(1);
    expect(threads[0]!.isTerminated).toBe(false);
  });
});

describe('threads that die', () => {
  test('are replaced, and their batches checked again: no verdict is lost', async () => {
    const all = items(600);
    const verdicts = pool.verify(all, 'bulk');
    threads[0]!.answer();
    threads[0]!.die();
    expect(deaths).toBe(1);
    expect(threads.length).toBe(2);
    threads[0]!.batches.length = 0;
    answerAll();
    expect(await verdicts).toEqual(all.map(isGood));
  });

  test('what killed two is checked here', async () => {
    const verdicts = pool.verify(items(60));
    threads[0]!.die();
    threads[1]!.die();
    expect(await verdicts).toEqual(items(60).map(isGood));
  });

  test('three in a row: all is checked here, and a thread is tried again later', async () => {
    const first = pool.verify(items(2000), 'bulk');
    for (let i = 0; i < 3; i++) threads[i]!.die();
    expect(await first).toEqual(items(2000).map(isGood));
    expect(await pool.verify(items(50))).toEqual(items(50).map(isGood));
    expect(threads.length).toBe(3);
    clock.advance(10_000);
    void pool.verify(items(50)).catch(() => undefined);
    expect(threads.length).toBe(4);
  });

  test('real ones: a thread is killed at work', async () => {
    const { backend: native } = await loadSignatureBackend('auto');
    const started: import('../../../node/verify/verify-thread.ts').VerifyThread[] = [];
    const { spawnVerifyThread } = await import('../../../node/verify/verify-thread.ts');
    const real = new VerifyPool({
      size: 1,
      backend: native,
      clock: createSystemClock(),
      logger: silentLogger,
      spawn(name, events) {
        const thread = spawnVerifyThread(name, events);
        started.push(thread);
        return thread;
      },
    });
    const secretKey = sha256(Uint8Array.of(1));
    const publicKey = publicKeyOf(secretKey);
    const digest = sha256(Uint8Array.of(2));
    const good = { digest, signature: signDigest(digest, secretKey), publicKey };
    const mixed = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? { ...good, digest: sha256(digest) } : good));
    const verdicts = real.verify(mixed);
    await started[0]!.terminate();
    expect(await verdicts).toEqual(mixed.map((_, i) => i % 3 !== 0));
    expect(started.length).toBe(2);
    await real.close();
  });
});

describe('threads that cannot be started', () => {
  /** The first `many` are. */
  const startsOnly = (many: number): NonNullable<VerifyPoolOptions['spawn']> => {
    let tries = 0;
    return (_, events) => {
      tries += 1;
      if (tries > many) throw new Error('Worker initialization failure: EAGAIN');
      const thread = new FakeThread(events);
      threads.push(thread);
      return thread;
    };
  };

  test('count as dead; what waits is checked here, and one is tried again later', async () => {
    let tries = 0;
    pool = makePool({
      spawn() {
        tries += 1;
        throw new Error('Worker initialization failure: EAGAIN');
      },
    });
    expect(await pool.verify(items(600), 'bulk')).toEqual(items(600).map(isGood));
    expect(await pool.verify(items(600))).toEqual(items(600).map(isGood));
    expect({ tries, deaths }).toEqual({ tries: 1, deaths: 1 });
    clock.advance(10_000);
    expect(await pool.verify(items(600))).toEqual(items(600).map(isGood));
    expect({ tries, deaths }).toEqual({ tries: 2, deaths: 2 });
  });

  test('leave the work to those that run: no verdict is lost', async () => {
    pool = makePool({ size: 2, spawn: startsOnly(1) });
    const first = pool.verify(items(30));
    const second = pool.verify(items(3000, 30));
    expect(deaths).toBe(1);
    answerAll();
    expect(await first).toEqual(items(30).map(isGood));
    expect(await second).toEqual(items(3000, 30).map(isGood));
    expect(threads.length).toBe(1);
  });

  test('lose no verdict of the batches of one that died', async () => {
    pool = makePool({ spawn: startsOnly(1) });
    const all = pool.verify(items(600));
    threads[0]!.die();
    expect(await all).toEqual(items(600).map(isGood));
    expect(deaths).toBe(2);
  });
});

test('what was answered is settled, whatever sending the next batch does', async () => {
  const first = pool.verify(items(100));
  const [thread] = threads;
  while (thread!.batches.length > 1) thread!.answer();
  pool.verify(items(3000, 100)).catch(() => undefined);
  thread!.post = () => {
    throw new Error('no more');
  };
  expect(() => thread!.answer()).toThrow('no more');
  expect(await first).toEqual(items(100).map(isGood));
});

test('close ends the threads and fails what waits', async () => {
  const waiting = pool.verify(items(1000));
  await Promise.all([expect(waiting).rejects.toThrow('closed'), pool.close()]);
  expect(threads[0]!.isTerminated).toBe(true);
  await expect(pool.verify(items(1))).rejects.toThrow('closed');
});
