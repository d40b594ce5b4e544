import { expect, it, onTestFinished } from 'vitest';
import { chainIdFromBytes } from '../../../chain/codec.ts';
import type { Tx } from '../../../chain/types.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import { createSystemClock } from '../../../node/adapters.ts';
import type { Clock } from '../../../node/ports.ts';
import { GrapevineError } from '../../../scripts/client.ts';
import { devAccounts } from '../../../scripts/dev-accounts.ts';
import { type LoadNode, LoadSender } from '../../../scripts/devnet/load-sender.ts';
import { createSeededRng } from '../../../sim/seeded-rng.ts';

const forever = new AbortController().signal;

/** Time passes only while somebody sleeps; what was answered before is handled first. */
function virtualClock(): Clock & { atMs: number } {
  const clock = {
    ...createSystemClock(),
    atMs: 0,
    monotonicMs: () => clock.atMs,
    sleep: async (ms: number) => {
      await new Promise((resolve) => setImmediate(resolve));
      clock.atMs += ms;
    },
  };
  return clock;
}

type Answer = 'take' | 'lose' | GrapevineError | string;

/** A node that answers each transaction of each request so; `lose`: it takes it, and its answer does not arrive. */
class FakeNode implements LoadNode {
  readonly name: string;
  isRunning = true;
  readonly taken: Tx[] = [];
  readonly requests: (readonly Tx[])[] = [];
  readonly #answer: (tx: Tx, request: number) => Answer;

  constructor(name: string, answer: (tx: Tx, request: number) => Answer) {
    this.name = name;
    this.#answer = answer;
  }

  readonly client = {
    account: async () => ({
      address: '',
      balance: '0',
      nonce: '0',
      pendingNonce: '0',
      waiting: { transactions: 0, parked: 0, amount: '0' },
    }),
    submitBatch: async (txs: readonly Tx[]) => {
      const request = this.requests.push(txs) - 1;
      const results = txs.map((tx) => {
        const answer = this.#answer(tx, request);
        if (answer instanceof GrapevineError) throw answer;
        if (answer !== 'take' && answer !== 'lose') return { id: tx.id, code: answer, detail: '' };
        this.taken.push(tx);
        if (answer === 'lose') throw new GrapevineError('client/no-answer', 'gone');
        return { id: tx.id, state: 'pending' as const, parked: false };
      });
      return results as Awaited<ReturnType<LoadNode['client']['submitBatch']>>;
    },
  };
}

interface Run {
  readonly nodes: readonly LoadNode[];
  readonly accounts?: number;
  readonly rate: number;
  readonly ms: number;
  readonly clock?: ReturnType<typeof virtualClock>;
  readonly hurry?: AbortSignal;
}

/** One transaction at 0 ms, then evenly; the last look at what is due is 20 ms before the end. */
async function send({ nodes, accounts = 1, rate, ms, clock = virtualClock(), hurry = forever }: Run) {
  const ending = new AbortController();
  const heard = { sent: [] as { id: string; sinceMs: number }[], taken: new Set<string>(), refused: 0 };
  const sender = new LoadSender({
    nodes: () => nodes,
    accounts: devAccounts().slice(0, accounts),
    chainId: chainIdFromBytes(new Uint8Array(32)),
    amount: 1n,
    fee: 1n,
    memo: new Uint8Array(),
    clock: {
      ...clock,
      sleep: async (delayMs, signal) => {
        await clock.sleep(delayMs, signal);
        if (clock.atMs >= ms) ending.abort();
      },
    },
    rng: createSeededRng('load'),
    backend: nobleBackend,
    listener: {
      onSent: (id, sinceMs) => void heard.sent.push({ id, sinceMs }),
      onTaken: (id) => void heard.taken.add(id),
      onRefused: () => {
        heard.refused += 1;
      },
    },
  });
  await sender.run(rate, ending.signal, hurry);
  return { ...heard, rejected: sender.rejected, heldBack: sender.heldBack };
}

function noncesOf(txs: readonly Tx[]): number[] {
  return [...new Set(txs.map(({ nonce }) => Number(nonce)))].sort((a, b) => a - b);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const overloaded = new GrapevineError('overloaded', 'too much to do', { status: 429, retryAfterS: 5 });

it('what an overloaded node had no room for goes again, the same bytes, so no nonce is left out', async () => {
  const clock = virtualClock();
  const askedAtMs: number[] = [];
  const node = new FakeNode('node1', (tx, request) => {
    askedAtMs[request] = clock.atMs;
    return request === 1 && tx.nonce % 2n === 0n ? 'overloaded' : 'take';
  });
  const run = await send({ nodes: [node], rate: 1_000, ms: 3_000, clock });
  const [, refusedInPart, next] = node.requests;
  expect(refusedInPart).toHaveLength(20);
  const refused = refusedInPart!.filter(({ nonce }) => nonce % 2n === 0n).map(({ id }) => id);
  expect(next!.slice(0, refused.length).map(({ id }) => id)).toEqual(refused);
  expect(askedAtMs.slice(0, 3)).toEqual([0, 20, 1_020]);
  expect(run).toMatchObject({ rejected: 0, refused: 10 });
  expect(noncesOf(node.taken)).toEqual(upTo(run.taken.size));
  expect(node.taken).toHaveLength(run.taken.size); // each once
});

it('a node that took a part, and says when to take more, is asked then', async () => {
  const clock = virtualClock();
  const node = new FakeNode('node1', () => 'take');
  const askedAtMs: number[] = [];
  const { submitBatch } = node.client;
  node.client.submitBatch = async (txs) => {
    askedAtMs.push(clock.atMs);
    if (askedAtMs.length !== 2) return await submitBatch(txs);
    const taken = await submitBatch(txs.slice(0, 1));
    return [...taken, ...txs.slice(1).map(({ id }) => ({ id, code: 'overloaded', detail: '', retryAfterS: 3 }))];
  };
  const run = await send({ nodes: [node], rate: 1_000, ms: 4_000, clock });
  expect(askedAtMs.slice(0, 3)).toEqual([0, 20, 3_020]);
  expect(noncesOf(node.taken)).toEqual(upTo(run.taken.size));
});

it('a node that lacks what stands before a nonce is asked again later: nothing is signed anew', async () => {
  const clock = virtualClock();
  const quick = new FakeNode('node1', () => 'take');
  // Accounts are at it from when the other dies; it has heard of nothing until two seconds later.
  const behind = new FakeNode('node2', () => (clock.atMs < 3_000 ? 'tx/nonce-gap' : 'take'));
  const { sleep } = clock;
  clock.sleep = async (ms, signal) => {
    await sleep(ms, signal);
    quick.isRunning = clock.atMs < 1_000;
  };
  const run = await send({ nodes: [quick, behind], accounts: 1, rate: 100, ms: 6_000, clock });
  expect(run.rejected).toBe(0);
  const nonces = [...quick.taken, ...behind.taken].map(({ nonce }) => Number(nonce));
  expect(nonces).toEqual(upTo(run.taken.size)); // each nonce once, in order
  expect(quick.taken.length).toBeGreaterThan(90);
  expect(run.taken.size + run.heldBack).toBe(599);
});

it('after a rejection no nonce below one that a node has taken is signed again, whatever another node says', async () => {
  const first = new FakeNode('node1', () => {
    if (first.taken.length === 10) first.isRunning = false;
    return 'take';
  });
  let rejections = 0;
  const second = new FakeNode('node2', () => (rejections++ === 0 ? 'tx/balance-low' : 'take')); // says that 0 is next
  const run = await send({ nodes: [first, second], rate: 50, ms: 1_000 });
  expect(run.rejected).toBe(1);
  const nonces = [...first.taken, ...second.taken].map(({ nonce }) => Number(nonce));
  expect(nonces).toEqual(upTo(run.taken.size));
});

it('a nonce that is told late, after another question failed, does not count', async () => {
  const clock = virtualClock();
  const node = new FakeNode('node1', () => 'take');
  let asked = 0;
  node.client.account = async () => {
    asked += 1;
    if (asked === 1) throw new GrapevineError('client/no-answer', 'gone');
    while (clock.atMs < 500) await new Promise((resolve) => setImmediate(resolve));
    return {
      address: '',
      balance: '0',
      nonce: '0',
      pendingNonce: '0',
      waiting: { transactions: 0, parked: 0, amount: '0' },
    };
  };
  const run = await send({ nodes: [node], accounts: 2, rate: 100, ms: 4_000, clock });
  expect(run).toMatchObject({ rejected: 0 });
  for (const from of new Set(node.taken.map((tx) => tx.from))) {
    const ofOne = node.taken.filter((tx) => tx.from === from);
    expect(noncesOf(ofOne)).toEqual(upTo(ofOne.length));
  }
});

it('a node that fails may have taken what it was sent: it goes again, the same bytes', async () => {
  const broken = new GrapevineError('internal-error', 'oh', { status: 500 });
  const node = new FakeNode('node1', (_, request) => (request === 1 ? broken : 'take'));
  const run = await send({ nodes: [node], rate: 100, ms: 2_000 });
  expect(run.rejected).toBe(0);
  expect(node.requests[2]!.slice(0, node.requests[1]!.length)).toEqual(node.requests[1]);
});

it('what falls due behind requests without end is bounded, and so is what a request carries', async () => {
  const clock = virtualClock();
  const node = new FakeNode('node1', () => 'take');
  const { submitBatch } = node.client;
  const waiting: (() => void)[] = [];
  node.client.submitBatch = async (txs) => {
    const results = await submitBatch(txs);
    if (node.requests.length <= 2) await new Promise<void>((resolve) => waiting.push(resolve));
    return results;
  };
  const { sleep } = clock;
  clock.sleep = async (ms, signal) => {
    await sleep(ms, signal);
    if (clock.atMs >= 2_000) for (const release of waiting.splice(0)) release();
  };
  const run = await send({ nodes: [node], accounts: 2, rate: 1_000, ms: 2_500, clock });
  // Of the 1,000 of each account meanwhile 500 are kept.
  expect(run.heldBack).toBeGreaterThan(900);
  expect(run.taken.size + run.heldBack).toBe(2_481);
  expect(Math.max(...node.requests.map((txs) => txs.length))).toBe(500);
});

it('who is in a hurry does not wait for what no node has taken', async () => {
  const hurry = new AbortController();
  const clock = virtualClock();
  const node = new FakeNode('node1', () => 'overloaded');
  const { sleep } = clock;
  clock.sleep = async (ms, signal) => {
    await sleep(ms, signal);
    if (clock.atMs >= 1_500) hurry.abort();
  };
  const run = await send({ nodes: [node], rate: 100, ms: 1_000, clock, hurry: hurry.signal });
  expect(clock.atMs).toBe(1_500);
  expect(run.taken.size).toBe(0);
});

it('a request without an answer goes again, at another node if that one is gone, and the taken are taken once', async () => {
  const lost = new FakeNode('node1', () => {
    lost.isRunning = false;
    return 'lose';
  });
  const other = new FakeNode('node2', () => 'take');
  const run = await send({ nodes: [lost, other], accounts: 2, rate: 100, ms: 500 });
  expect(run).toMatchObject({ rejected: 0, heldBack: 0 });
  expect(run.taken.size).toBe(49);
  expect(other.requests.flat().map(({ id }) => id)).toContain(lost.taken[0]!.id);
});

it('an account has one request under way; what falls due meanwhile shares the next, and counts from then', async () => {
  const clock = virtualClock();
  let release = (): void => {};
  const node = new FakeNode('node1', () => 'take');
  const { submitBatch } = node.client;
  node.client.submitBatch = async (txs) => {
    const results = await submitBatch(txs);
    if (node.requests.length === 1) await new Promise<void>((resolve) => (release = resolve));
    return results;
  };
  const cancel = clock.sleep;
  clock.sleep = async (ms, signal) => {
    await cancel(ms, signal);
    if (clock.atMs >= 200) release();
  };
  const run = await send({ nodes: [node], rate: 100, ms: 400, clock });
  expect(node.requests.map((txs) => txs.length).slice(0, 2)).toEqual([1, 22]);
  expect(run.sent.map(({ sinceMs }) => sinceMs)).toEqual(upTo(run.sent.length).map((at) => at * 10));
});

it('a node that asks to wait is sent nothing until then, and what falls due meanwhile is held back', async () => {
  const clock = virtualClock();
  const askedAtMs: number[] = [];
  const node = new FakeNode('node1', () => {
    askedAtMs.push(clock.atMs);
    return askedAtMs.length === 1 ? overloaded : 'take';
  });
  const run = await send({ nodes: [node], rate: 10, ms: 5_500, clock });
  expect(askedAtMs.slice(0, 2)).toEqual([0, 5_000]);
  expect(run.taken.size + run.heldBack).toBe(55);
  expect(run).toMatchObject({ rejected: 0, heldBack: 49 });
  expect(run.sent[1]!.sinceMs).toBe(5_000); // the wait was asked for
});

it('of a node that never takes more, all is held back in the end, and the run ends', async () => {
  const node = new FakeNode('node1', () => overloaded);
  const run = await send({ nodes: [node], rate: 10, ms: 1_000 });
  expect(run).toMatchObject({ rejected: 0, heldBack: 10 });
});

it('what is refused for what it is is rejected, and the account asks for its nonce anew', async () => {
  let asked = 0;
  const node = new FakeNode('node1', (tx) => (asked === 1 && tx.nonce === 3n ? 'tx/underfunded' : 'take'));
  const { account } = node.client;
  node.client.account = async () => {
    asked += 1;
    return { ...(await account()), pendingNonce: asked === 1 ? '0' : '3' };
  };
  const run = await send({ nodes: [node], rate: 100, ms: 200 });
  expect(asked).toBe(2);
  expect(run).toMatchObject({ rejected: 1, heldBack: 0 });
  expect(noncesOf(node.taken)).toEqual(upTo(run.taken.size));
});

it('a node that refuses the caller rejects what is due, and the run goes on', async () => {
  const node = new FakeNode('node1', () => 'take');
  node.client.account = () => Promise.reject(new GrapevineError('forbidden', 'not from here', { status: 403 }));
  const run = await send({ nodes: [node], rate: 100, ms: 500 });
  expect(run).toMatchObject({ rejected: 49, heldBack: 0 });
});

it('a request that fails in a way nobody foresaw ends the run with that, and nothing before is left unhandled', async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', onUnhandled);
  onTestFinished(() => void process.off('unhandledRejection', onUnhandled));
  const node = new FakeNode('node1', () => 'take');
  node.client.account = () => Promise.reject(new TypeError('no such field'));
  await expect(send({ nodes: [node], rate: 100, ms: 2_000 })).rejects.toThrow('no such field');
  expect(unhandled).toEqual([]);
});
