/** Valid blocks made off the clock: thousands in a second, where the net's targets are its easiest. */
import { effectiveTimeMs, nextBits } from '../../chain/asert.ts';
import { makeHeader, txRootOf } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import type { ChainParams } from '../../chain/params.ts';
import { signVote } from '../../chain/sign.ts';
import { bitsForHashes, bitsToTarget, meetsTarget, workOfTarget } from '../../chain/target.ts';
import type { Block, ChainEntry, Checkpoint, Tx, Vote } from '../../chain/types.ts';
import { type SimNode, simulationKey } from '../../sim/world.ts';

/** Each block at the net's pace keeps the target where it is: the work of a branch is its length. */
export const EASY: Partial<ChainParams> = { initialBits: bitsForHashes(2n), powLimitBits: bitsForHashes(2n) };

export interface BuiltBlock {
  readonly block: Block;
  readonly entry: ChainEntry;
}

export interface BranchOptions {
  /** Whose key is paid: tells branches apart. */
  readonly miner: string;
  /** Between two blocks; default: the net's block time. */
  readonly stepMs?: number;
  /** What the block at that place, from 0, takes in. */
  readonly txs?: (at: number) => readonly Tx[];
}

/** `count` blocks on `parent`, lowest first. */
export function branchOn(genesis: Genesis, parent: ChainEntry, count: number, options: BranchOptions): BuiltBlock[] {
  const built: BuiltBlock[] = [];
  for (let at = 0; at < count; at++) {
    built.push(blockOn(genesis, built.at(-1)?.entry ?? parent, options, options.txs?.(at) ?? []));
  }
  return built;
}

function blockOn(genesis: Genesis, parent: ChainEntry, options: BranchOptions, txs: readonly Tx[]): BuiltBlock {
  const { params } = genesis;
  const { address: miner } = simulationKey(options.miner);
  const height = parent.header.height + 1n;
  const timestampMs = parent.header.timestampMs + BigInt(options.stepMs ?? params.blockTimeMs);
  const position = { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs };
  const bits = nextBits(params, position, genesis.entry.effectiveTimeMs);
  const coinbase = txs.reduce((sum, { fee }) => sum + fee, params.blockReward);
  const body = { height, parent: parent.header.id, txRoot: txRootOf({ height, miner }, coinbase, txs), timestampMs };
  for (let nonce = 0n; ; nonce++) {
    const header = makeHeader({ ...body, bits, miner, nonce });
    if (!meetsTarget(header.id, bits)) continue;
    const entry = {
      header,
      totalWork: parent.totalWork + workOfTarget(bitsToTarget(bits)!),
      effectiveTimeMs: effectiveTimeMs(params, parent.effectiveTimeMs, [parent.header.timestampMs], timestampMs),
      arrival: 0,
    };
    return { block: { header, coinbase, txs }, entry };
  }
}

/** Hands the blocks to the node, one after the other, as if somebody had sent them. Throws when one is not taken. */
export async function feed(sim: SimNode, blocks: readonly BuiltBlock[]): Promise<void> {
  for (const { block } of blocks) {
    const verdict = await sim.node.chain.receiveBlock(block, 'somebody');
    if (verdict.kind !== 'accept') throw new Error(`block ${block.header.height}: ${verdict.reason}`);
  }
}

export function checkpointOf({ header }: ChainEntry): Checkpoint {
  return { height: header.height, id: header.id };
}

/** The vote of `voter`, signed with its key of the simulation. */
export function voteOf(genesis: Genesis, voter: string, source: ChainEntry, target: ChainEntry): Vote {
  const link = { chainId: genesis.chainId, source: checkpointOf(source), target: checkpointOf(target) };
  return signVote(link, simulationKey(voter).secretKey);
}
