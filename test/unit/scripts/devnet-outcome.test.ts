import { describe, expect, it } from 'vitest';
import type { NodeStatus } from '../../../scripts/client.ts';
import {
  AgreementWatch,
  comparedHeight,
  differenceOf,
  failuresOf,
  type NodeView,
  STALL_MS,
  tipLag,
} from '../../../scripts/devnet/outcome.ts';

interface Said {
  readonly tip: number;
  readonly agreed?: number;
  readonly final?: number;
  readonly votes?: boolean;
  readonly movedAway?: boolean;
}

/** Nodes as they would answer; `undefined` does not. */
function nodes(...said: readonly (Said | undefined)[]): NodeView[] {
  const ref = (height: number) => ({ height: String(height), id: `${height}` });
  return said.map((each, at) => ({
    name: `node${at + 1}`,
    status:
      each &&
      ({
        tip: ref(each.tip),
        agreed: ref(each.agreed ?? 0),
        final: ref(each.final ?? 0),
        voting: {
          ...(each.votes !== false && { address: 'gv1' }),
          elector: each.votes !== false,
          ...(each.movedAway === true && { movedAway: true }),
        },
      } as NodeStatus),
  }));
}
const three = (said: Said): NodeView[] => nodes(said, said, said);

describe('one chain', () => {
  it('is looked for near the tip, though only genesis is final', () => {
    const apart = nodes({ tip: 32 }, { tip: 32 });
    const height = comparedHeight(apart, tipLag(1_000));
    expect(height).toBe(31);
    expect(differenceOf(apart, height, ['a', 'b'], 1)).toBe('node1 and node2 have not the same block at height 31');
    expect(differenceOf(apart, height, ['a', 'a'], 1)).toBeUndefined();
  });

  it('allows for blocks under way: those of a second, and one at least', () => {
    expect([50, 400, 1_000, 60_000].map(tipLag)).toEqual([20, 3, 1, 1]);
    const [lag, one] = [tipLag(400), nodes({ tip: 10 }, { tip: 13 })];
    expect(differenceOf(one, comparedHeight(one, lag), ['a', 'a'], lag)).toBeUndefined();
    const behind = nodes({ tip: 10 }, { tip: 14 });
    expect(differenceOf(behind, comparedHeight(behind, lag), ['a', 'a'], lag)).toBe(
      'node1 is at height 10, others at 14',
    );
  });

  it('has no other block where all call one final', () => {
    expect(comparedHeight(three({ tip: 12, agreed: 12, final: 12 }), 1)).toBe(12);
  });

  it('is not found where a node does not answer, or not for its block', () => {
    const down = nodes({ tip: 3 }, undefined);
    expect(differenceOf(down, comparedHeight(down, 1), ['a', undefined], 1)).toBe('node2 does not answer');
    const up = three({ tip: 3 });
    expect(differenceOf(up, 2, ['a', undefined, 'a'], 1)).toBe('node1 and node2 have not the same block at height 2');
    expect(differenceOf(up, 2, [undefined, undefined, undefined], 1)).toBeDefined();
  });
});

describe('agreement', () => {
  it('is reached where nothing is to be agreed, and where it follows the tip', () => {
    const watch = new AgreementWatch(1);
    expect(watch.add(three({ tip: 0 }), 0)).toBe('reached');
    expect(watch.add(three({ tip: 1, agreed: 1 }), 1)).toBe('reached');
    expect(watch.add(nodes({ tip: 9, agreed: 9, final: 8 }, { tip: 8, agreed: 8, final: 7 }), 2)).toBe('reached');
  });

  it('stalls where voters have agreed nothing for long enough, however short the chain', () => {
    const watch = new AgreementWatch(1);
    expect(watch.add(three({ tip: 1 }), 1_000)).toBe('behind'); // the votes may be on their way
    expect(watch.add(three({ tip: 2 }), 1_000 + STALL_MS - 1)).toBe('behind');
    expect(watch.add(three({ tip: 2 }), 1_000 + STALL_MS)).toBe('stalled');
    expect(watch.add(three({ tip: 3, agreed: 3, final: 2 }), 1_000 + STALL_MS + 1)).toBe('reached');
  });

  it('stalls where it stood still in the middle of a run, and not while it still advances, or the lowest node does', () => {
    const watch = new AgreementWatch(1);
    watch.add(three({ tip: 5, agreed: 5, final: 4 }), 0);
    expect(watch.add(three({ tip: 8, agreed: 5, final: 4 }), 10)).toBe('behind');
    expect(watch.add(three({ tip: 12, agreed: 6, final: 4 }), 10 + STALL_MS)).toBe('behind');
    const oneStands = nodes({ tip: 30, agreed: 30, final: 29 }, { tip: 30, agreed: 6, final: 4 });
    expect(watch.add(oneStands, 11 + STALL_MS)).toBe('behind');
    expect(watch.add(oneStands, 10 + 2 * STALL_MS)).toBe('stalled');
  });

  it('is counted in checkpoints', () => {
    const watch = new AgreementWatch(4);
    expect(watch.add(three({ tip: 3 }), 0)).toBe('reached');
    expect(watch.add(three({ tip: 11, agreed: 4 }), 1)).toBe('reached');
    expect(watch.add(three({ tip: 12, agreed: 4 }), 2)).toBe('behind');
  });

  it('is off where too few vote by their configuration, not where voters are down', () => {
    const watch = new AgreementWatch(1);
    expect(watch.add(three({ tip: 32, votes: false }), 0)).toBe('off');
    const [yes, no] = [{ tip: 9 }, { tip: 9, votes: false }];
    expect(watch.add(nodes(yes, yes, { tip: 9, movedAway: true }), 1)).toBe('off'); // two of three are no quorum
    expect(watch.add(nodes(yes, yes, yes, no), 2)).toBe('behind');
    expect(watch.add(nodes(yes, yes, undefined), 3)).toBe('behind');
    expect(watch.add(nodes(undefined, undefined, undefined), 4)).toBe('behind');
  });
});

it('a run fails with every reason there is, and without one it does not', () => {
  const good = { height: 9, agreedHeight: 9, finalHeight: 8, agreement: 'reached' } as const;
  expect(failuresOf(good, undefined, 0)).toEqual([]);
  expect(failuresOf({ ...good, agreement: 'off' }, undefined, 0)).toEqual([]);
  expect(failuresOf({ height: 32, agreedHeight: 0, finalHeight: 0, agreement: 'stalled' }, undefined, 0)).toEqual([
    'agreement has stalled: height 32, agreed 0, final 0',
  ]);
  expect(failuresOf(good, 'node2 does not answer', 1)).toEqual([
    'the nodes disagree: node2 does not answer',
    '1 error; see the nodes’ logs',
  ]);
});
