import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type GenesisDoc, GenesisError, genesisDoc, parseGenesis } from '../../../chain/genesis.ts';
import { MAX_U64, UNITS_PER_COIN } from '../../../chain/params.ts';
import { bitsForHashes, bitsToTarget, workOfTarget } from '../../../chain/target.ts';
import { formatAddress } from '../../../crypto/address.ts';
import { alice, bob, carol, GENESIS_TIME_MS } from './chain-fixtures.ts';

const options = {
  timestampMs: GENESIS_TIME_MS,
  alloc: [alice, bob].map(({ address }) => ({ address, balance: 1_000n })),
  voters: [alice.address, bob.address],
};
const doc = genesisDoc(options);

/** The document with one field, given by its path, replaced; `undefined` removes it. */
function withField(path: readonly (string | number)[], value: unknown): unknown {
  const copy = structuredClone(doc) as unknown as Record<string | number, unknown>;
  let place = copy;
  if (path[0] === 'electorate') copy.electorate = { kind: 'miners', window: 10 };
  for (const key of path.slice(0, -1)) place = place[key] as Record<string | number, unknown>;
  const last = path[path.length - 1]!;
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy;
}

function faultOf(json: unknown): string {
  try {
    parseGenesis(json);
  } catch (error) {
    if (error instanceof GenesisError) return error.field;
    throw error;
  }
  return 'no fault';
}

describe('genesis documents', () => {
  it('have devnet defaults', () => {
    const { params } = parseGenesis(doc);
    expect(params).toEqual({
      blockTimeMs: 2_000,
      halfLifeMs: 60_000,
      maxSolveTimeMs: 60_000,
      maxFutureMs: 10_000,
      powLimitBits: bitsForHashes(256n),
      initialBits: bitsForHashes(160_000n),
      blockReward: 50n * UNITS_PER_COIN,
      minFee: 1_000n,
      checkpointInterval: 1,
    });
  });

  it.each([50, 100, 400, 1_000, 60_000, 3_600_000])('are valid with a block time of %s ms alone', (blockTimeMs) => {
    const { params } = parseGenesis(genesisDoc({ ...options, params: { blockTimeMs } }));
    expect(params.maxFutureMs).toBeLessThan(params.maxSolveTimeMs);
    const hashes = Number(workOfTarget(bitsToTarget(params.initialBits)!));
    expect(hashes / (80 * blockTimeMs)).toBeCloseTo(1, 2);
  });

  it('survive JSON and give the same chain id', () => {
    const again = parseGenesis(JSON.parse(JSON.stringify(doc)));
    expect(again.chainId).toBe(parseGenesis(doc).chainId);
    expect(again.doc).toEqual(doc);
  });

  it('give the block, accounts and electorate', () => {
    const genesis = parseGenesis(doc);
    expect(genesis.block.header).toMatchObject({ height: 0n, nonce: 0n, timestampMs: BigInt(GENESIS_TIME_MS) });
    expect(genesis.block).toMatchObject({ coinbase: 0n, txs: [] });
    expect(genesis.chainId).toBe(genesis.block.header.id);
    expect(genesis.entry.header).toBe(genesis.block.header);
    expect(genesis.entry.effectiveTimeMs).toBe(0n);
    expect(genesis.accounts.get(alice.address)).toEqual({ balance: 1_000n, nonce: 0n });
    expect([...genesis.electorate].sort()).toEqual([alice.address, bob.address].sort());
  });

  it('have the chain id of the committed vector: a change to it is a change of protocol', () => {
    const url = new URL('../../vectors/genesis.json', import.meta.url);
    const vector: { doc: unknown; chainId: string } = JSON.parse(readFileSync(url, 'utf8'));
    expect(parseGenesis(vector.doc).chainId).toBe(vector.chainId);
  });

  it('mean the same whatever the order of keys, accounts and voters, and the case of addresses', () => {
    const shuffled = Object.fromEntries(Object.entries(doc).toReversed()) as unknown as GenesisDoc;
    const upper = doc.voters.toReversed().map((text) => text.toUpperCase());
    const other = parseGenesis({ ...shuffled, alloc: doc.alloc.toReversed(), voters: upper });
    expect(other.chainId).toBe(parseGenesis(doc).chainId);
    expect(other.doc).toEqual(doc);
  });

  it.each([
    ['name', 'other'],
    ['timestamp', '2025-01-01T00:00:00.001Z'],
    ['params.blockTimeMs', 2_001],
    ['params.halfLifeMs', 60_001],
    ['params.maxSolveTimeMs', 60_001],
    ['params.maxFutureMs', 9_999],
    ['params.powLimitBits', bitsForHashes(2n)],
    ['params.initialBits', bitsForHashes(1_000n)],
    ['params.blockReward', '1'],
    ['params.minFee', '1'],
    ['params.checkpointInterval', 2],
    ['alloc.0.balance', '1001'],
    ['alloc.0.address', formatAddress(carol.address)],
    ['voters.0', formatAddress(carol.address)],
  ])('have another chain id with another %s', (path, value) => {
    expect(parseGenesis(withField(path.split('.'), value)).chainId).not.toBe(parseGenesis(doc).chainId);
  });

  it.each([
    ['name', ''],
    ['name', 'Devnet'],
    ['name', 'x'.repeat(33)],
    ['name', 7],
    ['timestamp', '2025-01-01'],
    ['timestamp', '2025-01-01T00:00:00Z'],
    ['timestamp', '1969-12-31T23:59:59.999Z'],
    ['timestamp', 'yesterday'],
    ['params', []],
    ['params.blockTimeMs', 49],
    ['params.blockTimeMs', 3_600_001],
    ['params.blockTimeMs', '2000'],
    ['params.blockTimeMs', 2_000.5],
    ['params.halfLifeMs', 1_999],
    ['params.maxSolveTimeMs', 1_999],
    ['params.maxFutureMs', 0],
    ['params.maxFutureMs', 60_000],
    ['params.powLimitBits', 0],
    ['params.powLimitBits', 0x1e0000ff],
    ['params.initialBits', bitsForHashes(255n)],
    ['params.initialBits', -1],
    ['params.blockReward', '-1'],
    ['params.blockReward', 50],
    ['params.blockReward', '100000000000001'],
    ['params.minFee', '01'],
    ['params.minFee', '1e3'],
    ['params.checkpointInterval', 0],
    ['params.checkpointInterval', 10_001],
    ['alloc', {}],
    ['alloc.0', 'gv1'],
    ['alloc.0.balance', '0'],
    ['alloc.0.balance', (MAX_U64 + 1n).toString()],
    ['alloc.0.address', 'gv1nonsense'],
    ['voters', 'all'],
    ['voters.1', null],
    ['electorate', 'miners'],
    ['electorate.kind', 'stakers'],
    ['electorate.window', 0],
    ['electorate.window', 1_001],
  ])('are refused with %s = %j', (path, value) => {
    expect(faultOf(withField(path.split('.'), value)).replaceAll(/\[(\d+)\]/g, '.$1')).toBe(path);
  });

  it.each(['name', 'timestamp', 'params', 'alloc', 'voters', 'params.minFee', 'params.blockTimeMs'])(
    'are refused without %s',
    (path) => {
      expect(faultOf(withField(path.split('.'), undefined))).toBe(path);
    },
  );

  it.each(['extra', 'params.extra', 'alloc.0.nonce'])('are refused with an unknown %s', (path) => {
    expect(faultOf(withField(path.split('.'), 1)).replace('[0]', '.0')).toBe(path);
  });

  it.each([null, 5, 'text', [], undefined])('are refused when they are %j', (json) => {
    expect(faultOf(json)).toBe('');
  });

  it('are refused with an account or a voter given twice', () => {
    expect(faultOf({ ...doc, alloc: [doc.alloc[0], doc.alloc[1], doc.alloc[0]] })).toBe('alloc[2].address');
    const shouted = doc.voters[0]!.toUpperCase();
    expect(faultOf({ ...doc, voters: [...doc.voters, shouted] })).toBe('voters[2]');
  });

  it('are refused with a supply above u64', () => {
    const alloc = [
      { address: doc.alloc[0]!.address, balance: MAX_U64.toString() },
      { address: doc.alloc[1]!.address, balance: '1' },
    ];
    expect(faultOf({ ...doc, alloc })).toBe('alloc[1].balance');
  });

  it('are refused with too many accounts or voters, before looking at them', () => {
    expect(faultOf({ ...doc, alloc: new Array(10_001).fill(null) })).toBe('alloc');
    expect(faultOf({ ...doc, voters: new Array(1_001).fill(null) })).toBe('voters');
  });
});

describe('electorates', () => {
  const miners = { kind: 'miners', window: 100 } as const;

  it('are the voters where nothing is said, and saying so changes no chain id', () => {
    const said = parseGenesis({ ...doc, electorate: { kind: 'genesis' } });
    expect(said.electorateRule).toEqual({ kind: 'genesis' });
    expect(said.chainId).toBe(parseGenesis(doc).chainId);
    expect(said.doc).toEqual(doc);
  });

  it('of miners make another chain, for each window', () => {
    const ids = [doc, { ...doc, electorate: miners }, { ...doc, electorate: { ...miners, window: 101 } }].map(
      (each) => parseGenesis(each).chainId,
    );
    expect(new Set(ids).size).toBe(3);
    const parsed = parseGenesis(genesisDoc({ ...options, electorate: miners }));
    expect(parsed).toMatchObject({ electorateRule: miners, doc: { electorate: miners } });
    expect(parseGenesis(JSON.parse(JSON.stringify(parsed.doc))).chainId).toBe(parsed.chainId);
  });

  it('of miners need somebody who agrees the first blocks', () => {
    expect(faultOf({ ...doc, voters: [], electorate: miners })).toBe('voters');
    expect(faultOf({ ...doc, electorate: { kind: 'genesis', window: 5 } })).toBe('electorate.window');
    expect(faultOf({ ...doc, electorate: { kind: 'miners' } })).toBe('electorate.window');
  });
});
