import type { EvidenceReason } from '../reasons.ts';
import type { Evidence } from '../types.ts';
import type { Verdict } from '../verdict.ts';
import { accept, reject } from '../verdict.ts';
import { checkVoteStateless, contradiction, type VoteContext, voteSignatureItem } from './vote.ts';

/**
 * EVID-2 and EVID-4, which need nothing but the genesis: they reject. The signatures (EVID-5) are the caller's to
 * check, with `evidenceSignatureItems`; EVID-3 and EVID-6 are `Agreement`'s.
 */
export function checkEvidenceStateless(evidence: Evidence, context: VoteContext): Verdict<Evidence, EvidenceReason> {
  const { first, second, kind } = evidence;
  for (const vote of [first, second]) {
    if (vote.chainId !== context.chainId) return reject('evidence/wrong-chain'); // EVID-2
    // EVID-4: a vote that breaks VOTE-4 never counts, so it contradicts nothing.
    if (checkVoteStateless(vote, context).kind !== 'accept') return reject('evidence/not-contradictory');
  }
  if (contradiction(first, second) !== kind) return reject('evidence/not-contradictory'); // EVID-4
  return accept(evidence);
}

/** What a signature verifier needs to check EVID-5: one item for each vote. */
export function evidenceSignatureItems(evidence: Evidence) {
  return [voteSignatureItem(evidence.first), voteSignatureItem(evidence.second)] as const;
}
