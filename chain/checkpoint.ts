import type { Checkpoint } from './types.ts';

/** Of a header, or of whatever else has a block's height and id. */
export function checkpointOf({ height, id }: Checkpoint): Checkpoint {
  return { height, id };
}

export function isSameCheckpoint(a: Checkpoint, b: Checkpoint): boolean {
  return a.id === b.id && a.height === b.height;
}
