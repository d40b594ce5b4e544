/**
 * What it costs a node to miss transactions: `node bench/gaps.ts [LINK_MS] [LOST_MS]`. Five simulated nodes, ten accounts,
 * 750 tx/s at one of them, nobody mines. Another hears nothing for a while, in virtual time, of what comes.
 */
import type { TxId } from '../chain/types.ts';
import { ignore } from '../chain/verdict.ts';
import { MapDatabase, openMapStore } from '../sim/map-store.ts';
import { World } from '../sim/world.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const ACCOUNTS = 10;
const SLICE_MS = 20;
const PER_SLICE = (750 * SLICE_MS) / 1_000;
const AFTER_MS = 4_000;
/** Gives up: an exchange of mempools is at most 24 s away. */
const DEADLINE_MS = 60_000;

/** @returns after how many milliseconds all that was missed is there, and what was ignored meanwhile for a gap in its nonces */
async function measure(
  linkMs: number,
  lostMs: number,
): Promise<{ readonly afterMs: number; readonly ignored: number }> {
  const world = new World({
    seed: 'gaps',
    nodes: NAMES.map((name) => ({ name, mine: 'off' })),
    openStore: async () => openMapStore(new MapDatabase()),
    link: { latencyMs: [1, linkMs], jitterMs: 1, loss: 0 },
  });
  await world.start();
  await world.run(5_000);
  let sent = 0;
  const send = async (ms: number): Promise<TxId[]> => {
    const ids: TxId[] = [];
    for (let slice = 0; slice < ms / SLICE_MS; slice++) {
      for (let at = 0; at < PER_SLICE; at++) {
        const tx = world.transfer(sent++ % ACCOUNTS);
        ids.push(tx.id);
        void world.node('a').node.ingest.submitTx(tx.bytes);
      }
      await world.run(SLICE_MS);
    }
    return ids;
  };
  const { mempool } = world.node('e').node;
  const { add } = mempool;
  mempool.add = () => ({ verdict: ignore('tx/known'), parked: false });
  const lost = new Set(await send(lostMs));
  await world.run(linkMs);
  mempool.add = add;
  const beganMs = world.clock.monotonicMs();
  const missed = [...lost].filter((id) => !mempool.pool.has(id));
  const isThere = (): boolean => missed.every((id) => mempool.pool.has(id));
  let afterMs = Number.POSITIVE_INFINITY;
  while (world.clock.monotonicMs() - beganMs < AFTER_MS) {
    await send(SLICE_MS);
    if (isThere()) afterMs = Math.min(afterMs, world.clock.monotonicMs() - beganMs);
  }
  if (await world.clock.runUntil(isThere, DEADLINE_MS))
    afterMs = Math.min(afterMs, world.clock.monotonicMs() - beganMs);
  const { values } = await world.node('e').metrics.verdicts.get();
  const gaps = values.filter(({ labels }) => labels.reason === 'tx/nonce-gap');
  return { afterMs, ignored: gaps.reduce((sum, { value }) => sum + value, 0) };
}

if (import.meta.main) {
  const [linkMs, lostMs] = [Number(process.argv[2] ?? 2), Number(process.argv[3] ?? 20)];
  const { afterMs, ignored } = await measure(linkMs, lostMs);
  console.log(
    `links of 1 to ${linkMs} ms, ${lostMs} ms missed: all there after ${afterMs} ms, ${ignored} ignored meanwhile`,
  );
}
