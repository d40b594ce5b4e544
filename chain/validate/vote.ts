import type { Address } from '../../crypto/address.ts';
import { voteDigest } from '../codec.ts';
import type { Electorate } from '../electorate.ts';
import { areSupermajorities, talliesOf } from '../link-book.ts';
import type { VoteReason } from '../reasons.ts';
import type { Certificate, ChainId, Evidence, Vote } from '../types.ts';
import type { Verdict } from '../verdict.ts';
import { accept, reject } from '../verdict.ts';

export interface VoteContext {
  readonly chainId: ChainId;
  /** Votes name heights that are multiples of this. */
  readonly checkpointInterval: number;
}

/**
 * VOTE-2 and VOTE-4, which need nothing but the genesis: they reject. The signature (VOTE-5) is the caller's to
 * check, with `voteSignatureItem`.
 */
export function checkVoteStateless(vote: Vote, context: VoteContext): Verdict<Vote, VoteReason> {
  if (vote.chainId !== context.chainId) return reject('vote/wrong-chain'); // VOTE-2
  const interval = BigInt(context.checkpointInterval);
  const { source, target } = vote;
  const onGrid = source.height % interval === 0n && target.height % interval === 0n;
  if (target.height <= source.height || !onGrid) return reject('vote/bad-span'); // VOTE-4
  return accept(vote);
}

/** What a signature verifier needs to check VOTE-5: 32-byte digest, 64-byte signature, 33-byte key. */
export function voteSignatureItem(vote: Vote): {
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: Uint8Array;
} {
  return { digest: voteDigest(vote), signature: vote.signature, publicKey: vote.publicKey };
}

/**
 * Checks a certificate offline, all but the signatures: what it says is agreed if its source is.
 * @param context `electorates`: those in force for a link from its source; each needs more than two thirds
 * @returns what is wrong, or undefined.
 */
export function checkCertificate(
  certificate: Certificate,
  context: VoteContext & { readonly electorates: readonly Electorate[] },
): string | undefined {
  const { source, target } = certificate;
  const { electorates } = context;
  const voters = new Set<Address>();
  for (const vote of certificate.votes) {
    const verdict = checkVoteStateless(vote, context);
    if (verdict.kind !== 'accept') return verdict.reason;
    if (vote.source.id !== source.id || vote.target.id !== target.id) return 'a vote is for another link';
    if (vote.source.height !== source.height || vote.target.height !== target.height) return 'heights differ';
    if (!electorates.some(({ weights }) => weights.has(vote.voter))) return 'vote/not-elector';
    if (voters.has(vote.voter)) return 'a voter appears twice';
    voters.add(vote.voter);
  }
  return areSupermajorities(talliesOf(voters, electorates)) ? undefined : 'not more than two thirds';
}

/**
 * VOTE-8: how two votes contradict each other; undefined when an honest voter could have cast both. Any two votes
 * with one target height that differ are `double`; one whose span lies strictly inside the other's is `surround`.
 */
export function contradiction(a: Vote, b: Vote): Evidence['kind'] | undefined {
  if (a.voter !== b.voter || a.id === b.id) return undefined;
  if (a.target.height === b.target.height) return 'double';
  const [inner, outer] = a.target.height < b.target.height ? [a, b] : [b, a];
  return outer.source.height < inner.source.height ? 'surround' : undefined;
}
