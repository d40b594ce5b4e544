import { expect, test } from 'vitest';
import { nextBits } from '../../../chain/asert.ts';
import { BlockTree } from '../../../chain/block-tree.ts';
import { MEDIAN_TIME_SPAN } from '../../../chain/params.ts';
import type { BlockId, ChainEntry, Header, HeaderBody } from '../../../chain/types.ts';
import { checkHeader } from '../../../chain/validate/header.ts';
import { checkHeaderChain } from '../../../node/sync/header-chain.ts';
import { genesis, mine, miner } from '../chain/chain-fixtures.ts';

const FAR = 10n ** 15n;

function child(parent: ChainEntry, fields: Partial<HeaderBody> = {}, meets = true): Header {
  const body = {
    height: parent.header.height + 1n,
    parent: parent.header.id,
    txRoot: new Uint8Array(32),
    timestampMs: parent.header.timestampMs + 2_000n,
    bits: nextBits(
      genesis.params,
      { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs },
      genesis.entry.effectiveTimeMs,
    ),
    miner: miner.address,
    ...fields,
  };
  return mine(body, meets);
}

function entryOf(header: Header, parent: ChainEntry): ChainEntry {
  const verdict = checkHeader(header, {
    parent,
    recentTimesMs: [parent.header.timestampMs],
    nowMs: FAR,
    params: genesis.params,
    genesisEffectiveTimeMs: genesis.entry.effectiveTimeMs,
  });
  if (verdict.kind !== 'accept') throw new Error(verdict.reason);
  return { ...verdict.value, arrival: 0 };
}

function extend(from: ChainEntry, length: number, fields: Partial<HeaderBody> = {}): ChainEntry[] {
  const entries: ChainEntry[] = [];
  let parent = from;
  for (let at = 0; at < length; at++) {
    parent = entryOf(child(parent, fields), parent);
    entries.push(parent);
  }
  return entries;
}

const headersOf = (entries: readonly ChainEntry[]): Header[] => entries.map(({ header }) => header);
const chain = extend(genesis.entry, 20);
const known = chain.slice(0, 8);
const otherMiner = { miner: genesis.electorate[0]! };

function check(headers: readonly Header[], finalId = genesis.entry.header.id, nowMs = FAR) {
  const tree = new BlockTree([genesis.entry, ...known]);
  tree.setTip(known.at(-1)!.header.id);
  const continuesFinal = (id: BlockId) => tree.isAncestor(finalId, id);
  return checkHeaderChain(headers, { view: tree, continuesFinal, genesis, nowMs });
}

test('an answer without headers is accepted and brings nothing', () => {
  expect(check([])).toEqual({ kind: 'accept', value: [] });
});

test('a good run from our tip: entries with work and chain clock, in order', () => {
  expect(check(headersOf(chain.slice(8)))).toEqual({ kind: 'accept', value: chain.slice(8) });
});

test('headers we have already are passed over', () => {
  expect(check(headersOf(chain))).toEqual({ kind: 'accept', value: chain.slice(8) });
  expect(check(headersOf(known))).toEqual({ kind: 'accept', value: [] });
});

test('of a branch that leaves below our tip the blocks from there on are new', () => {
  const branch = extend(known[3]!, 6, otherMiner);
  expect(check(headersOf([...known.slice(0, 4), ...branch]))).toEqual({ kind: 'accept', value: branch });
});

test('FORK-1: a branch that leaves below the final block is not for us', () => {
  const branch = extend(known[3]!, 2, otherMiner);
  expect(check(headersOf(branch), known[5]!.header.id)).toEqual({ kind: 'ignore', reason: 'block/conflicts-final' });
  expect(check(headersOf(branch), known[3]!.header.id)).toEqual({ kind: 'accept', value: branch });
});

test('BLK-16: a run that hangs in the air, or has a gap, is rejected for its unknown parent', () => {
  expect(check(headersOf(chain.slice(9)))).toEqual({ kind: 'reject', reason: 'block/unknown-parent' });
  const gap = headersOf(chain.slice(8)).filter((_, index) => index !== 3);
  expect(check(gap)).toEqual({ kind: 'reject', reason: 'block/unknown-parent' });
});

test.each([
  ['BLK-3', 'block/bad-pow', {}, false],
  ['BLK-4', 'block/wrong-height', { height: 99n }, true],
  ['BLK-5', 'block/wrong-target', { bits: 0x1f00ffff }, true],
  ['BLK-6', 'block/timestamp-too-old', { timestampMs: chain[5]!.header.timestampMs }, true],
] as const)('%s: one bad header spoils the run, wherever it is', (_rule, reason, fields, meets) => {
  const bad = child(chain[11]!, fields, meets);
  expect(check([...headersOf(chain.slice(8, 12)), bad])).toEqual({ kind: 'reject', reason });
});

test('BLK-6 looks back over the run itself, not only over our tree', () => {
  const last = chain.at(-1)!;
  const median = chain.slice(-MEDIAN_TIME_SPAN)[MEDIAN_TIME_SPAN >> 1]!.header.timestampMs;
  const run = headersOf(chain.slice(8));
  expect(check([...run, child(last, { timestampMs: median })])).toEqual({
    kind: 'reject',
    reason: 'block/timestamp-too-old',
  });
  expect(check([...run, child(last, { timestampMs: median + 1n })]).kind).toBe('accept');
});

test('BLK-7: what is ahead of our clock is not held against the peer, and what is not is taken', () => {
  const before = (at: number) => chain[at]!.header.timestampMs - BigInt(genesis.params.maxFutureMs) - 1n;
  const verdict = check(headersOf(chain.slice(8)), genesis.entry.header.id, before(9));
  expect(verdict.kind === 'accept' && verdict.value.map(({ header }) => header.id)).toEqual([chain[8]!.header.id]);
  expect(check(headersOf(chain.slice(8)), genesis.entry.header.id, before(8))).toEqual({
    kind: 'ignore',
    reason: 'block/timestamp-too-new',
  });
});
