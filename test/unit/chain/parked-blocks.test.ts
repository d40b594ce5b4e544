import { describe, expect, test } from 'vitest';
import type { ParkedBlock } from '../../../chain/parked-blocks.ts';
import { ParkedBlocks } from '../../../chain/parked-blocks.ts';
import { blockOf, chainOn, childOf, genesisEntry } from '../../tree-fixtures.ts';

const LIMITS = { maxBlocks: 4, maxBytes: 1000, maxBlocksPerPeer: 2 };
const genesis = genesisEntry();
const chain = chainOn(genesis, 6).map((entry) => blockOf([], entry.header));
const ids = (parked: readonly ParkedBlock[]) => parked.map((one) => one.block.header.id);

describe('ParkedBlocks', () => {
  test('BLK-16: gives a block back when its parent comes, once', () => {
    const pool = new ParkedBlocks(LIMITS);
    const sibling = blockOf([], childOf(chainOn(genesis, 1)[0]!, { salt: 3 }).header);
    expect(pool.add(chain[1]!, 'p', 100, 0)).toEqual({ parked: true, evicted: [] });
    expect(pool.add(sibling, 'q', 100, 1).parked).toBe(true);
    expect(pool.add(chain[1]!, 'q', 100, 2)).toEqual({ parked: false, evicted: [] });
    expect(pool.has(chain[1]!.header.id)).toBe(true);
    expect(pool.get(chain[1]!.header.id)?.from).toBe('p');
    expect(ids(pool.take(chain[0]!.header.id))).toEqual([chain[1]!.header.id, sibling.header.id]);
    expect(pool.take(chain[0]!.header.id)).toEqual([]);
    expect([pool.size, pool.bytes]).toEqual([0, 0]);
  });

  test('names only parents that are not parked themselves', () => {
    const pool = new ParkedBlocks(LIMITS);
    pool.add(chain[2]!, 'p', 100, 0);
    pool.add(chain[1]!, 'q', 100, 0);
    pool.add(chain[5]!, 'p', 100, 0);
    expect(pool.missing()).toEqual([chain[0]!.header.id, chain[4]!.header.id]);
  });

  test('a peer over its share pushes out its own oldest block, not others’', () => {
    const pool = new ParkedBlocks(LIMITS);
    pool.add(chain[0]!, 'honest', 100, 0);
    pool.add(chain[1]!, 'flooder', 100, 1);
    pool.add(chain[2]!, 'flooder', 100, 2);
    expect(ids(pool.add(chain[3]!, 'flooder', 100, 3).evicted)).toEqual([chain[1]!.header.id]);
    expect(pool.has(chain[0]!.header.id)).toBe(true);
    expect(pool.size).toBe(3);
  });

  test('full by count or by bytes: the oldest goes', () => {
    const pool = new ParkedBlocks(LIMITS);
    for (const [i, peer] of ['a', 'b', 'c', 'd'].entries()) pool.add(chain[i]!, peer, 100, i);
    expect(ids(pool.add(chain[4]!, 'e', 100, 9).evicted)).toEqual([chain[0]!.header.id]);
    expect(ids(pool.add(chain[5]!, 'f', 800, 9).evicted)).toEqual(chain.slice(1, 3).map((block) => block.header.id));
    expect(pool.bytes).toBe(1000);
    expect(pool.add(chain[0]!, 'g', 1001, 9)).toEqual({ parked: false, evicted: [] });
  });

  test('takes out a whole branch above an invalid block', () => {
    const pool = new ParkedBlocks({ ...LIMITS, maxBlocksPerPeer: 4 });
    for (const block of chain.slice(1, 4)) pool.add(block, 'p', 10, 0);
    pool.add(chain[5]!, 'p', 10, 0);
    expect(ids(pool.takeBranch(chain[1]!.header.id))).toEqual(chain.slice(1, 4).map((block) => block.header.id));
    expect(pool.size).toBe(1);
    expect(pool.takeBranch(chain[0]!.header.id)).toEqual([]);
  });

  test('expires what has waited long enough', () => {
    const pool = new ParkedBlocks(LIMITS);
    pool.add(chain[0]!, 'a', 10, 1000);
    pool.add(chain[1]!, 'b', 10, 2000);
    expect(ids(pool.expire(3000, 2000))).toEqual([chain[0]!.header.id]);
    expect(pool.size).toBe(1);
  });
});
