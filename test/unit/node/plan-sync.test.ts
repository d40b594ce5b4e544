import { expect, test } from 'vitest';
import type { BlockId, ChainId, Checkpoint } from '../../../chain/types.ts';
import type { LocalStatus, PeerStatus } from '../../../node/sync/peer-status.ts';
import { planSync, type SyncOrder } from '../../../node/sync/plan-sync.ts';

const at = (height: number, branch = 'a'): Checkpoint => ({
  height: BigInt(height),
  id: `${branch}${height}` as BlockId,
});

function status(fields: Partial<Omit<PeerStatus, 'totalWork'>> & { readonly work: number }): PeerStatus {
  const { work, ...others } = fields;
  return {
    chainId: 'c' as ChainId,
    software: 'test',
    tip: at(work),
    totalWork: BigInt(work),
    agreed: at(0),
    final: at(0),
    offenders: '00'.repeat(32),
    mempool: '00'.repeat(8),
    ...others,
  };
}

/** On branch a up to height 10, which is agreed to 8 and final to 7. */
const local: LocalStatus = {
  ...status({ work: 10, agreed: at(8), final: at(7) }),
  knows: (id) => id.startsWith('a') && Number(id.slice(1)) <= 10,
};

function plan(peers: Record<string, PeerStatus>, order?: SyncOrder): unknown {
  return planSync(local, new Map(Object.entries(peers)), order);
}

test('idle: no peers, or none that is ahead', () => {
  expect(plan({})).toEqual({ kind: 'idle' });
  expect(plan({ same: status({ work: 10, agreed: at(8), final: at(7) }), less: status({ work: 4 }) })).toEqual({
    kind: 'idle',
  });
});

test('a tip with more work that we do not know is fetched', () => {
  expect(plan({ p: status({ work: 12 }) })).toEqual({ kind: 'blocks', peer: 'p' });
});

test('a tip with less work but a higher agreed checkpoint is fetched: fork choice prefers it', () => {
  expect(plan({ p: status({ work: 9, tip: at(9, 'b'), agreed: at(9, 'b') }) })).toEqual({ kind: 'blocks', peer: 'p' });
});

test('a tip that we know is not fetched, whatever is claimed of its work', () => {
  expect(plan({ p: status({ work: 1_000, tip: at(9) }) })).toEqual({ kind: 'idle' });
});

test('of several the one that fork choice prefers: agreed height before work', () => {
  const heavy = status({ work: 90, agreed: at(8) });
  const agreed = status({ work: 20, agreed: at(15) });
  expect(plan({ heavy, agreed })).toEqual({ kind: 'blocks', peer: 'agreed' });
  expect(plan({ light: status({ work: 20 }), heavy: status({ work: 90 }) })).toEqual({ kind: 'blocks', peer: 'heavy' });
});

test('votes are fetched where we have the block that the peer says is agreed or final', () => {
  expect(plan({ p: status({ work: 10, agreed: at(10) }) })).toEqual({ kind: 'votes', peer: 'p' });
  expect(plan({ p: status({ work: 10, agreed: at(8), final: at(8) }) })).toEqual({ kind: 'votes', peer: 'p' });
});

test('votes for a block we lack are of no use, and blocks come before votes', () => {
  expect(plan({ p: status({ work: 5, tip: at(5), agreed: at(9, 'b'), final: at(9, 'b') }) })).toEqual({ kind: 'idle' });
  const votes = status({ work: 10, agreed: at(10) });
  expect(plan({ votes, blocks: status({ work: 30 }) })).toEqual({ kind: 'blocks', peer: 'blocks' });
});

test('in turn: the first that has anything, blocks or votes, however much the others claim', () => {
  const [none, votes] = [status({ work: 4 }), status({ work: 10, agreed: at(10) })];
  const [few, many] = [status({ work: 20 }), status({ work: 1_000, agreed: at(900) })];
  expect(plan({ none, few, votes, many }, 'in-turn')).toEqual({ kind: 'blocks', peer: 'few' });
  expect(plan({ none, votes, few, many }, 'in-turn')).toEqual({ kind: 'votes', peer: 'votes' });
  expect(plan({ none }, 'in-turn')).toEqual({ kind: 'idle' });
});
