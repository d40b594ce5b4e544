/** The genesis that a scenario asks for, and what is wrong with it, by its place in the scenario. */
import { GenesisError } from '../chain/genesis.ts';
import type { ChainParams } from '../chain/params.ts';
import { bitsForHashes } from '../chain/target.ts';
import { ADDRESS_BYTES, type Address, addressFromBytes } from '../crypto/address.ts';
import type { ScenarioNodes } from './scenario-nodes.ts';
import { parseDuration, type Scenario, ScenarioError } from './scenario-schema.ts';
import { worldGenesis } from './world.ts';

/** Where a scenario says what a genesis document has under that name. */
const PLACES: Readonly<Record<string, string>> = {
  'params.blockTimeMs': 'params.blockTime',
  'params.halfLifeMs': 'params.halfLife',
  'params.maxSolveTimeMs': 'params.maxSolveTime',
  'params.maxFutureMs': 'params.maxFuture',
  'params.initialBits': 'params.hashesPerBlock',
  'electorate.window': 'electorate.miners.window',
  voters: 'nodes',
};

/** Parameters that differ from a simulated net's. */
export function paramsOf({ params }: Scenario): Partial<ChainParams> {
  const { blockTime, halfLife, maxSolveTime, maxFuture, checkpointInterval, hashesPerBlock } = params ?? {};
  return {
    ...(blockTime !== undefined && { blockTimeMs: parseDuration(blockTime) }),
    ...(halfLife !== undefined && { halfLifeMs: parseDuration(halfLife) }),
    ...(maxSolveTime !== undefined && { maxSolveTimeMs: parseDuration(maxSolveTime) }),
    ...(maxFuture !== undefined && { maxFutureMs: parseDuration(maxFuture) }),
    ...(checkpointInterval !== undefined && { checkpointInterval }),
    ...(hashesPerBlock !== undefined && { initialBits: bitsForHashes(BigInt(hashesPerBlock)) }),
  };
}

/** @throws ScenarioError where no chain could have these parameters, or so many voters */
export function checkGenesis(scenario: Scenario, nodes: ScenarioNodes): void {
  const { electorate } = scenario;
  const voters = electorate === undefined ? nodes.voters : nodes.founders(electorate).length;
  try {
    worldGenesis(
      Array.from({ length: voters }, (_, at) => nobody(at)),
      {
        params: paramsOf(scenario),
        electorate:
          electorate === undefined ? { kind: 'genesis' } : { kind: 'miners', window: electorate.miners.window },
      },
    );
  } catch (error) {
    if (!(error instanceof GenesisError)) throw error;
    const { field, message } = error;
    const problem = message.slice(message.indexOf(`${field}: `) + field.length + 2);
    const unit = field.endsWith('Ms') ? ', in milliseconds' : '';
    throw new ScenarioError(PLACES[field] ?? field, `${field === 'voters' ? 'voters: ' : ''}${problem}${unit}`);
  }
}

function nobody(at: number): Address {
  const bytes = new Uint8Array(ADDRESS_BYTES);
  new DataView(bytes.buffer).setUint32(0, at);
  return addressFromBytes(bytes);
}
