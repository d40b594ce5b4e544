/** Signature checks: the backends on one thread, the pool, and the trip to a thread. */
import { availableParallelism } from 'node:os';
import { loadSignatureBackend, SIGNATURE_BACKENDS } from '../crypto/load-backend.ts';
import type { SignatureBackend, SignatureParts } from '../crypto/signature.ts';
import { createSystemClock } from '../node/adapters.ts';
import { PACKED_ITEM_BYTES, packItem } from '../node/verify/packed-items.ts';
import { VerifyPool } from '../node/verify/verify-pool.ts';
import { spawnVerifyThread } from '../node/verify/verify-thread.ts';
import { fixtureGenesis, silentLogger } from '../test/node-fixture.ts';
import { type Bench, interleave, makeRow, median, type Row, threadMs } from './measure.ts';
import { itemsOf, makeSenders, makeTransfers } from './signed-items.ts';

export const THREADS = Math.max(1, availableParallelism() - 1);

/** Checks per second of a plain loop over `items`, for at least `ms`, by `clockMs`. */
export function loopRate(
  backend: SignatureBackend,
  items: readonly SignatureParts[],
  ms: number,
  clockMs: () => number = () => performance.now(),
): number {
  const begin = clockMs();
  let count = 0;
  do {
    for (let i = 0; i < 16; i++) if (!backend.verify(items[(count + i) % items.length]!)) throw new Error('bad item');
    count += 16;
  } while (clockMs() - begin < ms);
  return (count / (clockMs() - begin)) * 1000;
}

/** Checks per second of the pool, kept busy with requests of 128 from an otherwise idle event loop. */
export async function poolRate(pool: VerifyPool, items: readonly SignatureParts[], total: number): Promise<number> {
  const begin = performance.now();
  let next = 0;
  const feed = async (): Promise<void> => {
    while (next < total) {
      const from = next % (items.length - 127);
      next += 128;
      const verdicts = await pool.verify(items.slice(from, from + 128), 'bulk');
      if (verdicts.includes(false)) throw new Error('bad item');
    }
  };
  await Promise.all(Array.from({ length: 6 * THREADS }, feed));
  return (next / (performance.now() - begin)) * 1000;
}

async function run({ short }: { readonly short: boolean }): Promise<Row[]> {
  const rounds = short ? 3 : 9;
  const senders = makeSenders();
  const genesis = fixtureGenesis(senders.map(({ address }) => address));
  const items = itemsOf(makeTransfers(genesis.chainId, senders, 512));
  const loaded = await Promise.all(
    SIGNATURE_BACKENDS.map(async (name) => (await loadSignatureBackend(name).catch(() => undefined))?.backend),
  );
  const backends = loaded.filter((backend) => backend !== undefined);
  const ms = short ? 150 : 400;
  const rates = await interleave(
    rounds,
    Object.fromEntries(backends.map((backend) => [backend.name, () => loopRate(backend, items, ms, threadMs)])),
  );
  const fastest = backends[0]!;
  const rows = backends.map(({ name }) =>
    makeRow(`verify ${name}, one thread`, 'checks/s', rates[name]!, rates[fastest.name]),
  );

  const clock = createSystemClock();
  const pool = new VerifyPool({ size: THREADS, backend: fastest, clock, logger: silentLogger });
  const total = Math.round(((rates[fastest.name]![0] ?? 1000) * THREADS * ms) / 1000);
  const pooled = await interleave(rounds, {
    loop: () => loopRate(fastest, items, ms) * THREADS,
    pool: () => poolRate(pool, items, total),
  });
  await pool.close();
  rows.push(makeRow(`verify pool, ${THREADS} thread(s) against plain loops`, 'checks/s', pooled.pool, pooled.loop));
  rows.push(...(await measureTrip(fastest, items[0]!, rounds)));
  return rows;
}

/** One signature checked here, and by an idle thread: decides what the pool does itself. */
async function measureTrip(backend: SignatureBackend, item: SignatureParts, rounds: number): Promise<Row[]> {
  let answered = (): void => {};
  const thread = spawnVerifyThread(backend.name, { onReply: () => answered(), onExit: () => {} });
  const trip = async (): Promise<number> => {
    const packed = new Uint8Array(PACKED_ITEM_BYTES);
    packItem(packed, 0, item);
    const begin = performance.now();
    await new Promise<void>((resolve) => {
      answered = resolve;
      thread.post({ id: 1, priority: 'urgent', items: packed.buffer });
    });
    const elapsedMs = performance.now() - begin;
    await new Promise((resolve) => setTimeout(resolve, 2)); // idle again
    return elapsedMs;
  };
  await trip();
  const times = await interleave(rounds, {
    here: () => 1000 / loopRate(backend, [item], 10),
    there: async () => {
      const trips: number[] = [];
      for (let i = 0; i < 20; i++) trips.push(await trip());
      return median(trips);
    },
  });
  await thread.terminate();
  return [makeRow('verify one signature by an idle thread, against here', 'ms', times.there, times.here)];
}

export const verifyBench: Bench = { name: 'verify', run };
