import { expect, test } from 'vitest';
import type { BlockId, ChainId, Checkpoint } from '../../../chain/types.ts';
import type { PeerStatus } from '../../../node/sync/peer-status.ts';
import { planSync, type SyncOrder } from '../../../node/sync/plan-sync.ts';
import { type PlannedChain, SyncPlanner } from '../../../node/sync/sync-planner.ts';
import { fc } from '../../fast-check.ts';

const HEIGHTS = 6;
/** One object for each, as the node has them. */
const checkpoints = ['a', 'b'].flatMap((branch) =>
  Array.from(
    { length: HEIGHTS },
    (_, height): Checkpoint => ({
      height: BigInt(height),
      id: `${branch}${height}` as BlockId,
    }),
  ),
);
const checkpoint = fc.constantFrom(...checkpoints);
const peer = fc.constantFrom('p', 'q', 'r', 's');
const work = fc.bigInt(0n, 8n);

function statusOf(tip: Checkpoint, totalWork: bigint, agreed: Checkpoint, final: Checkpoint): PeerStatus {
  return {
    chainId: 'c' as ChainId,
    software: 'test',
    tip,
    totalWork,
    agreed,
    final,
    offenders: '00'.repeat(32),
    mempool: '00'.repeat(8),
  };
}

type Step =
  | {
      readonly kind: 'status';
      readonly peer: string;
      readonly status: PeerStatus;
      readonly isNamed: boolean;
      readonly order: SyncOrder;
    }
  | { readonly kind: 'leave'; readonly peer: string }
  | { readonly kind: 'block'; readonly id: BlockId }
  | { readonly kind: 'own'; readonly totalWork: bigint; readonly agreed: Checkpoint; readonly final: Checkpoint }
  | { readonly kind: 'leave-alone'; readonly peers: readonly string[] };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('status' as const),
      peer,
      status: fc.tuple(checkpoint, work, checkpoint, checkpoint).map((parts) => statusOf(...parts)),
      isNamed: fc.boolean(),
      order: fc.constantFrom('best-claim', 'in-turn'),
    }),
  },
  fc.record({ kind: fc.constant('leave' as const), peer }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('block' as const), id: checkpoint.map(({ id }) => id) }) },
  fc.record({ kind: fc.constant('own' as const), totalWork: work, agreed: checkpoint, final: checkpoint }),
  fc.record({ kind: fc.constant('leave-alone' as const), peers: fc.array(peer, { maxLength: 2 }) }),
);

test('whatever comes, the plan is that over all peers', () => {
  const seen = { idle: 0, blocks: 0, votes: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const planner = new SyncPlanner();
      const statuses = new Map<string, PeerStatus>();
      const known = new Set(checkpoints.filter(({ height }) => height < 3n).map(({ id }) => id));
      let own = { totalWork: 8n, agreed: checkpoints.at(-1)!, final: checkpoints.at(-1)! };
      let leftAlone: ReadonlySet<string> = new Set();
      for (const each of steps) {
        if (each.kind === 'status') statuses.set(each.peer, each.status);
        else if (each.kind === 'leave') statuses.delete(each.peer);
        else if (each.kind === 'block') known.add(each.id);
        else if (each.kind === 'own') own = each;
        else leftAlone = new Set(each.peers);
        if (each.kind !== 'status') continue; // the node plans when one comes
        const came = each.isNamed ? each.peer : undefined;
        const local = { ...own, knows: (id: BlockId) => known.has(id), blocks: known.size };
        const plan = planner.plan(local, statuses, leftAlone, { came, order: each.order });
        const usable = new Map([...statuses].filter(([name]) => !leftAlone.has(name)));
        expect(plan).toEqual(planSync(local, usable, each.order));
        seen[plan.kind] += 1;
      }
    }),
    { numRuns: 500 },
  );
  expect(Math.min(seen.idle, seen.blocks, seen.votes)).toBeGreaterThan(100);
});

/** A map that nobody may go through. */
class Closed<K, V> extends Map<K, V> {
  override [Symbol.iterator](): never {
    throw new Error('looked at all');
  }
}

test('where nobody had anything, only the status that came is looked at, until the own chain is another', () => {
  const planner = new SyncPlanner();
  const [first, second] = checkpoints as [Checkpoint, Checkpoint];
  const local: PlannedChain = { totalWork: 8n, agreed: second, final: second, knows: () => true, blocks: 2 };
  const status = statusOf(second, 8n, second, second);
  const closed = new Closed<string, PeerStatus>();
  closed.set('p', status);
  const none: ReadonlySet<string> = new Set();
  const plan = (changed: Partial<PlannedChain> = {}) =>
    planner.plan({ ...local, ...changed }, closed, none, { came: 'p' });
  expect(() => plan()).toThrow('looked at all');
  expect(planner.plan(local, new Map(), none)).toEqual({ kind: 'idle' });
  expect(plan()).toEqual({ kind: 'idle' });
  expect(plan()).toEqual({ kind: 'idle' });
  expect(() => plan({ blocks: 3 })).toThrow('looked at all');
  expect(() => plan({ totalWork: 9n })).toThrow('looked at all');
  expect(() => plan({ agreed: first })).toThrow('looked at all');
  expect(() => plan({ final: first })).toThrow('looked at all');
  expect(() => planner.plan(local, closed, new Set(['q']), { came: 'p' })).toThrow('looked at all');
});
