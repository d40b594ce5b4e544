/**
 * Consensus parameters and wire limits. Parameters are part of the genesis document, so two nets that differ in
 * any of them have different chain ids; limits that bound decoding are constants of the protocol version.
 */

/** u64: the largest amount, nonce, height or time on the wire. */
export const MAX_U64 = 0xffff_ffff_ffff_ffffn;
/** Longest memo, bytes (TX-6). */
export const MAX_MEMO_BYTES = 256;
/** Bytes of a transaction with an empty memo; see the layout in `codec.ts`. */
export const MIN_TX_BYTES = 176;
export const MAX_TX_BYTES = MIN_TX_BYTES + MAX_MEMO_BYTES;
/** Largest encoded batch of transactions (BATCH-1). */
export const MAX_TX_BATCH_BYTES = 64 * 1024;
export const HEADER_BYTES = 113;
export const VOTE_BYTES = 210;
/** What a voter signs, and what its id is made of: all but the signature at its end. */
export const VOTE_BODY_BYTES = VOTE_BYTES - 64;
/** Kind byte and two votes. */
export const EVIDENCE_BYTES = 1 + 2 * VOTE_BYTES;
/** Largest encoded block (BLK-2). */
export const MAX_BLOCK_BYTES = 1_000_000;
export const MAX_BLOCK_TXS = Math.floor(MAX_BLOCK_BYTES / MIN_TX_BYTES);
/** Bytes of a short id in a compact block (CMPCT-3). */
export const SHORT_ID_BYTES = 6;
/** Bytes of a compact block without its short ids; see the layout in `compact-block.ts`. */
export const COMPACT_BLOCK_FIXED_BYTES = 1 + HEADER_BYTES + 8 + 8 + 4;
/** Largest encoded compact block (CMPCT-1). */
export const MAX_COMPACT_BLOCK_BYTES = COMPACT_BLOCK_FIXED_BYTES + MAX_BLOCK_TXS * SHORT_ID_BYTES;
/** Blocks whose median gives the earliest allowed timestamp (BLK-6), as Bitcoin's BIP113. */
export const MEDIAN_TIME_SPAN = 11;
/** Smallest unit per coin. */
export const UNITS_PER_COIN = 100_000_000n;

/** What a net's genesis fixes. Times in milliseconds, amounts in the smallest unit. */
export interface ChainParams {
  /** ASERT's ideal block interval. */
  readonly blockTimeMs: number;
  /** ASERT's half-life: a lag of this much halves the difficulty. */
  readonly halfLifeMs: number;
  /** Longest solve time that counts towards the lag: an overnight pause is not a debt of blocks (ADR 0003). */
  readonly maxSolveTimeMs: number;
  /** A block's timestamp may be this far ahead of the node's clock (BLK-7). */
  readonly maxFutureMs: number;
  /** Easiest target, compact. */
  readonly powLimitBits: number;
  /** Target of the first block after genesis, compact. */
  readonly initialBits: number;
  /** New units per block. */
  readonly blockReward: bigint;
  /** Smallest fee of a transaction (TX-5). */
  readonly minFee: bigint;
  /** Votes name heights that are multiples of this. */
  readonly checkpointInterval: number;
}
