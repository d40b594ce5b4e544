/** Votes that no honest voter casts, with the keys of a world's nodes. */
import { makeEvidence } from '../../chain/evidence.ts';
import { signVote } from '../../chain/sign.ts';
import type { BlockId, Checkpoint, Evidence, Vote } from '../../chain/types.ts';
import { simulationKey, type World } from '../../sim/world.ts';

/** A vote by the node of that name, whatever its guard says. */
export function voteBy(world: World, name: string, source: Checkpoint, target: Checkpoint): Vote {
  return signVote({ chainId: world.genesis.chainId, source, target }, simulationKey(name).secretKey);
}

/** Two votes of one voter for one target height, from genesis to blocks that nobody has. */
export function doubleVote(world: World, name: string, height: number): Evidence {
  const source = { height: 0n, id: world.genesis.entry.header.id };
  const vote = (digit: string): Vote =>
    voteBy(world, name, source, { height: BigInt(height), id: digit.repeat(64) as BlockId });
  return makeEvidence(vote('a'), vote('b'))!;
}
