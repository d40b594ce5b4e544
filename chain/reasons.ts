/**
 * Every reason a check can give: a closed list, safe as a metric label and as an API error code.
 * `docs/PROTOCOL.md` says which rule gives which.
 */
export const TX_REASONS = [
  'tx/malformed', // TX-1
  'tx/wrong-chain', // TX-2
  'tx/zero-amount', // TX-3
  'tx/amount-overflow', // TX-4
  'tx/fee-too-low', // TX-5
  'tx/memo-too-long', // TX-6
  'tx/bad-signature', // TX-7
  'tx/known', // TX-8
  'tx/nonce-used', // TX-9
  'tx/nonce-gap', // TX-10
  'tx/balance-low', // TX-11
  'tx/recipient-overflow', // TX-12
  'tx/replacement-underpriced', // TX-13
  'tx/sender-limit', // TX-14
  'tx/pool-full', // TX-15
  'tx/expired',
  'tx/evicted',
  'tx/replaced',
] as const;
export type TxReason = (typeof TX_REASONS)[number];

/** Of a batch of transactions as a whole; each of its transactions has a verdict of its own besides. */
export const BATCH_REASONS = [
  'batch/malformed', // BATCH-1, BATCH-2
  'batch/bad-tx', // BATCH-3: a transaction breaks a rule whose breach is the sender's fault
  'batch/unproven', // BATCH-4: the signature of one was not checked here
  'batch/few-new', // BATCH-5: less than half of it is new here and good
  'batch/nothing-new', // BATCH-5: none of it is
] as const;

export const BLOCK_REASONS = [
  'block/malformed', // BLK-1
  'block/too-large', // BLK-2
  'block/bad-pow', // BLK-3
  'block/wrong-height', // BLK-4
  'block/wrong-target', // BLK-5
  'block/timestamp-too-old', // BLK-6
  'block/timestamp-too-new', // BLK-7
  'block/bad-merkle-root', // BLK-8
  'block/wrong-coinbase', // BLK-9
  'block/duplicate-tx', // BLK-10
  'block/bad-tx', // BLK-11: a transaction breaks a stateless TX rule
  'block/bad-signature', // BLK-12
  'block/nonce-order', // BLK-13
  'block/balance-low', // BLK-14
  'block/overflow', // BLK-15
  'block/known',
  'block/unknown-parent', // BLK-16: parked
  'block/conflicts-final', // FORK-1
  'block/invalid-ancestor',
  'block/compact-mismatch', // CMPCT-7: the message is not of the block whose header it carries
  'block/repeated', // CMPCT-6: the peer has sent another message about this block before
  'block/incomplete', // CMPCT-5: its transactions could not be had in time
  'block/too-deep', // CMPCT-8: on an old block, and on a branch with no more work than ours
] as const;
export type BlockReason = (typeof BLOCK_REASONS)[number];

/** BLK-2, BLK-8: the body is not its header's. They are about the bytes that came, and say nothing about the block. */
export const BODY_MISMATCH_REASONS: ReadonlySet<Reason> = new Set<BlockReason>([
  'block/too-large',
  'block/bad-merkle-root',
]);

export const VOTE_REASONS = [
  'vote/malformed', // VOTE-1
  'vote/wrong-chain', // VOTE-2
  'vote/not-elector', // VOTE-3
  'vote/bad-span', // VOTE-4: target not above source, or off the checkpoint grid
  'vote/bad-signature', // VOTE-5
  'vote/known', // VOTE-6
  'vote/too-old', // VOTE-7: target at or below the last final height
  'vote/too-new', // VOTE-7: target further above our tip than the window
  'vote/offender', // VOTE-9: a voter with evidence against it counts for nothing
  'vote/not-on-chain', // VOTE-10: source is not an ancestor of target
] as const;
export type VoteReason = (typeof VOTE_REASONS)[number];

export const EVIDENCE_REASONS = [
  'evidence/malformed', // EVID-1
  'evidence/wrong-chain', // EVID-2
  'evidence/not-elector', // EVID-3
  'evidence/not-contradictory', // EVID-4
  'evidence/bad-signature', // EVID-5
  'evidence/known', // EVID-6: there is evidence against this voter already
] as const;
export type EvidenceReason = (typeof EVIDENCE_REASONS)[number];

/** The closed list. */
export const REASONS = [
  ...TX_REASONS,
  ...BATCH_REASONS,
  ...BLOCK_REASONS,
  ...VOTE_REASONS,
  ...EVIDENCE_REASONS,
  'overloaded',
  'internal-error',
] as const;
export type Reason = (typeof REASONS)[number];
