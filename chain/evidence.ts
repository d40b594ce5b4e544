import { type Address, addressToBytes } from '../crypto/address.ts';
import { taggedHash } from '../crypto/hash.ts';
import { isInEvidenceOrder } from './codec.ts';
import type { Evidence, Vote } from './types.ts';
import { contradiction } from './validate/vote.ts';

const SET_TAG = 'grapevine/evidence-set/1';

/** The evidence that two votes are, whichever came first; undefined where an honest voter could have cast both. */
export function makeEvidence(a: Vote, b: Vote): Evidence | undefined {
  const kind = contradiction(a, b);
  if (kind === undefined) return undefined;
  const [first, second] = isInEvidenceOrder(a, b) ? [a, b] : [b, a];
  return { kind, voter: a.voter, first, second };
}

/** What two nodes compare to see whether they know of the same offenders: 32 bytes, whatever the order. */
export function offendersDigest(offenders: Iterable<Address>): Uint8Array {
  return taggedHash(SET_TAG, ...Array.from(offenders).sort().map(addressToBytes));
}
