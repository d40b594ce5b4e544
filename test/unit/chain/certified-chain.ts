/** A chain with real work and real votes, for certificates: four voters, targets that two hashes meet. */
import { nextBits } from '../../../chain/asert.ts';
import { txRootOf } from '../../../chain/codec.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../../../chain/genesis.ts';
import { signVote } from '../../../chain/sign.ts';
import { bitsForHashes } from '../../../chain/target.ts';
import type { Certificate, ChainEntry, Checkpoint, Header, HeaderBody } from '../../../chain/types.ts';
import { checkHeader } from '../../../chain/validate/header.ts';
import { checkpointOf } from '../../tree-fixtures.ts';
import { GENESIS_TIME_MS, mine, type TestKey, testKey } from './chain-fixtures.ts';

export const VOTERS: readonly TestKey[] = [11, 12, 13, 14].map(testKey);
export const OUTSIDER = testKey(15);

export function certifiedGenesis(name = 'certified', options: Partial<Parameters<typeof genesisDoc>[0]> = {}): Genesis {
  return parseGenesis(
    genesisDoc({
      name,
      timestampMs: GENESIS_TIME_MS,
      alloc: [],
      voters: VOTERS.map(({ address }) => address),
      ...options,
      params: { powLimitBits: bitsForHashes(2n), initialBits: bitsForHashes(2n), ...options.params },
    }),
  );
}

/** A mined child; `fields` may break rules, `meets` false the work. */
export function minedChild(
  genesis: Genesis,
  parent: ChainEntry,
  fields: Partial<HeaderBody> = {},
  meets = true,
): ChainEntry {
  const height = parent.header.height + 1n;
  const miner = fields.miner ?? VOTERS[Number(height) % VOTERS.length]!.address;
  const bits = nextBits(
    genesis.params,
    { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs },
    genesis.entry.effectiveTimeMs,
  );
  const timestampMs = parent.header.timestampMs + BigInt(genesis.params.blockTimeMs);
  const body = { height, parent: parent.header.id, timestampMs, bits, miner, ...fields };
  const header = mine({ txRoot: txRootOf(body, 0n, []), ...body }, meets);
  const verdict = checkHeader(header, {
    parent,
    recentTimesMs: [parent.header.timestampMs],
    nowMs: header.timestampMs,
    params: genesis.params,
    genesisEffectiveTimeMs: genesis.entry.effectiveTimeMs,
  });
  if (verdict.kind === 'accept') return { ...verdict.value, arrival: Number(height) };
  return { header, totalWork: parent.totalWork, effectiveTimeMs: parent.effectiveTimeMs, arrival: 0 };
}

/** Genesis and `length` blocks on it. */
export function minedChain(genesis: Genesis, length: number, miner?: (height: number) => TestKey): ChainEntry[] {
  const entries = [genesis.entry];
  for (let height = 1; height <= length; height += 1) {
    const fields = miner === undefined ? {} : { miner: miner(height).address };
    entries.push(minedChild(genesis, entries.at(-1)!, fields));
  }
  return entries;
}

export function signedLink(
  genesis: Genesis,
  source: ChainEntry | Checkpoint,
  target: ChainEntry | Checkpoint,
  voters: readonly TestKey[] = VOTERS.slice(0, 3),
): Certificate {
  const ends = { source: toCheckpoint(source), target: toCheckpoint(target) };
  const votes = voters.map(({ secretKey }) => signVote({ chainId: genesis.chainId, ...ends }, secretKey));
  return { ...ends, votes };
}

export function headersOf(entries: readonly ChainEntry[]): Header[] {
  return entries.slice(1).map(({ header }) => header);
}

function toCheckpoint(end: ChainEntry | Checkpoint): Checkpoint {
  return 'header' in end ? checkpointOf(end) : end;
}
