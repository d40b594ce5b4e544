import { beforeEach, expect, test } from 'vitest';
import { signVote } from '../../../chain/sign.ts';
import type { BlockId, ChainId, Checkpoint } from '../../../chain/types.ts';
import type { GrapevineNode } from '../../../node/compose.ts';
import { RunLog } from '../../../sim/run-log.ts';
import type { PlannedNode } from '../../../sim/scenario-nodes.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type SimNode, simulationKey } from '../../../sim/world.ts';

const key = simulationKey('a');
const at = (branch: string, height: number): Checkpoint => ({
  height: BigInt(height),
  id: `${branch}${height.toString(16).padStart(3, '0')}`.padStart(64, '0') as BlockId,
});
let log: RunLog;

beforeEach(() => {
  log = new RunLog(new VirtualClock(0), [{ name: 'a', behaviour: 'honest' } as PlannedNode]);
});

function vote(source: Checkpoint, target: Checkpoint): void {
  const body = { chainId: 'ab'.repeat(32) as ChainId, source, target };
  log.onVote('a', signVote(body, key.secretKey).bytes);
}

test.each([
  ['the vote before', [9, 10, 10]],
  ['an earlier one, after a step back to it', [9, 10, 9, 10]],
  ['one before a step back to nothing that contradicts', [5, 9, 10, 4, 10]],
])('a double vote is seen beside %s', (_, heights) => {
  const seen = new Set<number>();
  for (const height of heights) {
    vote(at('c', height - 1), at(seen.has(height) ? 'b' : 'a', height));
    seen.add(height);
  }
  expect(log.contradictions).toContain(`a: double vote at height ${heights.at(-1)}`);
});

test('a surround vote is seen whatever came between', () => {
  vote(at('a', 5), at('a', 6));
  vote(at('a', 7), at('a', 8));
  vote(at('a', 4), at('a', 9));
  expect(log.contradictions).toEqual(['a: surround vote at height 9']);
});

test('votes that go forward, and one that is published again, contradict none', () => {
  for (const height of [5, 6, 6, 7, 9]) vote(at('a', height - 1), at('a', height));
  expect(log.contradictions).toEqual([]);
});

/** A node whose final block is the test's to say. */
function finalizing() {
  let branch = 'a';
  let final = at('a', 0);
  let onFinal: (event: { readonly checkpoint: Checkpoint }) => void = () => {};
  const node = {
    events: {
      on(kind: string, handler: typeof onFinal) {
        if (kind === 'final') onFinal = handler;
      },
    },
    chain: {
      tree: {
        get: () => ({}),
        ancestorAt: (_: BlockId, height: bigint) => ({ header: { id: at(branch, Number(height)).id } }),
      },
    },
    agreement: {
      get final() {
        return final;
      },
    },
  } as unknown as GrapevineNode;
  const live = (): void => log.onLife({ name: 'a', key, spec: {} } as unknown as SimNode, node);
  const move = (to: string, height: number): void => {
    branch = to;
    final = at(to, height);
  };
  return {
    live,
    move,
    finalize(to: string, height: number): void {
      move(to, height);
      onFinal({ checkpoint: final });
    },
  };
}

test.each([
  ['above', 11],
  ['at the same height', 10],
  ['below', 9],
])('a node that leaves its own final block for another branch, %s, conflicts with itself', (_, height) => {
  const node = finalizing();
  node.live();
  node.finalize('a', 5);
  node.finalize('a', 10);
  expect(log.conflicts).toEqual([]);
  node.finalize('b', height);
  expect(log.conflicts).toEqual([`a at height ${Math.min(height, 10)}`]);
});

test('a node that comes back with another final block, as high or higher, has forgotten its own', () => {
  const node = finalizing();
  node.live();
  node.finalize('a', 10);
  node.live();
  expect(log.forgotten).toEqual([]);
  node.move('b', 12);
  node.live();
  expect(log.forgotten).toEqual(['a: final 10, now another block']);
});
