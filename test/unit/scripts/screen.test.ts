import { describe, expect, it } from 'vitest';
import type { NodeStatus } from '../../../scripts/client.ts';
import { renderLine, renderTable, type ScreenView } from '../../../scripts/devnet/screen.ts';

const STATUS = {
  tip: { height: '9' },
  agreed: { height: '8' },
  final: { height: '7' },
  peers: 1,
  mempool: { count: 3 },
  mining: { hashRate: 1000, blocks: 2 },
  ready: true,
  missing: [] as readonly string[],
  voting: { address: 'gv1p…', movedAway: false },
};

function viewOf(...changes: readonly (Partial<typeof STATUS> | undefined)[]): ScreenView {
  const rows = changes.map((change, at) => ({
    name: `node${at + 1}`,
    status: change && ({ ...STATUS, ...change } as unknown as NodeStatus),
  }));
  return { rows, txPerSecond: 1.25, uptimeMs: 5_400 };
}

describe('what the devnet shows', () => {
  it('is a line a node: its heights, and whether it is ready, down, or lacks something', () => {
    const lines = renderTable(viewOf({}, undefined, { ready: false, missing: ['a mesh on tx'] }));
    expect(lines).toHaveLength(5);
    expect(lines[1]).toMatch(/^node1 +9 +8 +7 +1 +3 +1000 +2 {2}ready$/);
    expect(lines[2]).toMatch(/^node2 .*down$/);
    expect(lines[3]).toMatch(/^node3 .*a mesh on tx$/);
    expect(lines[4]).toBe('1.3 tx/s, up 5 s');
  });

  it('is one line in a pipe, with the range where nodes differ', () => {
    expect(renderLine(viewOf({}, { tip: { height: '11' } }, undefined))).toBe(
      'up 5 s  nodes 2/3  height 9..11  agreed 8  final 7  peers 1  mempool 3  1.3 tx/s',
    );
  });

  it('says which nodes do not vote: those without a key, and those whose vote has moved to another machine', () => {
    const view = viewOf({}, { voting: { ...STATUS.voting, movedAway: true } }, { voting: {} as typeof STATUS.voting });
    expect(
      renderTable(view)
        .slice(1, 4)
        .map((line) => line.endsWith('ready, does not vote')),
    ).toEqual([false, true, true]);
    expect(renderLine(view)).toContain('nodes 3/3  voting 1  ');
  });
});
