import type { Checkpoint } from './types.ts';

/** Of a header, or of whatever else has a block's height and id. */
export function checkpointOf({ height, id }: Checkpoint): Checkpoint {
  return { height, id };
}

/** By id and by height: a vote may name a block with a height that is not its own (VOTE-10). */
export function isSameCheckpoint(a: Checkpoint, b: Checkpoint): boolean {
  return a.id === b.id && a.height === b.height;
}
