/**
 * What is worked out from an object's bytes alone: decoding, and the rules that need no state. A port, so that many
 * nodes in one process (the simulation) can share the answers; a node by itself hears each object once.
 */
import { type Decoded, decodeBlock, decodeTx, decodeVote } from '../chain/codec.ts';
import type { ChainParams } from '../chain/params.ts';
import type { BlockReason } from '../chain/reasons.ts';
import { decodeTxBatch } from '../chain/tx-batch.ts';
import type { Block, ChainId, Tx, Vote } from '../chain/types.ts';
import { checkBlockBody } from '../chain/validate/block-body.ts';
import { txSignatureItem } from '../chain/validate/tx-stateless.ts';
import { voteSignatureItem } from '../chain/validate/vote.ts';
import type { Verdict } from '../chain/verdict.ts';
import type { SignatureItem } from './ports.ts';

/** Each as the function of that name in `chain/`. */
export interface ObjectCodec {
  decodeTx(bytes: Uint8Array): Decoded<Tx>;
  decodeTxBatch(bytes: Uint8Array): Decoded<readonly Tx[]>;
  decodeVote(bytes: Uint8Array): Decoded<Vote>;
  decodeBlock(bytes: Uint8Array): Decoded<Block>;
  checkBlockBody(
    block: Block,
    context: { readonly chainId: ChainId; readonly params: ChainParams },
  ): Verdict<Block, BlockReason>;
  txSignatureItem(tx: Tx): SignatureItem;
  voteSignatureItem(vote: Vote): SignatureItem;
}

export const OBJECT_CODEC: ObjectCodec = {
  decodeTx,
  decodeTxBatch,
  decodeVote,
  decodeBlock,
  checkBlockBody,
  txSignatureItem,
  voteSignatureItem,
};
