/**
 * Decoding and stateless checks, each made once for all nodes of a world. In a world a message's bytes are one array
 * that all nodes are handed, and nobody writes to; so its identity stands for its content.
 */
import type { Decoded } from '../chain/codec.ts';
import type { ChainParams } from '../chain/params.ts';
import type { BlockReason } from '../chain/reasons.ts';
import type { Block, ChainId, Tx, Vote } from '../chain/types.ts';
import type { Verdict } from '../chain/verdict.ts';
import { OBJECT_CODEC, type ObjectCodec } from '../node/object-codec.ts';
import type { SignatureItem } from '../node/ports.ts';

/**
 * For a world only: what it decodes is shared by all nodes, so nobody may write to an object or to the bytes it came
 * from.
 */
export function createSharedCodec(): ObjectCodec {
  const bodies = new WeakMap<
    Block,
    { readonly chainId: ChainId; readonly params: ChainParams; readonly verdict: Verdict<Block, BlockReason> }
  >();
  return {
    decodeTx: remembered<Uint8Array, Decoded<Tx>>(OBJECT_CODEC.decodeTx),
    decodeTxBatch: remembered<Uint8Array, Decoded<readonly Tx[]>>(OBJECT_CODEC.decodeTxBatch),
    decodeVote: remembered<Uint8Array, Decoded<Vote>>(OBJECT_CODEC.decodeVote),
    decodeBlock: remembered<Uint8Array, Decoded<Block>>(OBJECT_CODEC.decodeBlock),
    checkBlockBody(block, context) {
      const known = bodies.get(block);
      // Nodes with another genesis ask with another context.
      if (known?.chainId === context.chainId && known.params === context.params) return known.verdict;
      const verdict = OBJECT_CODEC.checkBlockBody(block, context);
      bodies.set(block, { ...context, verdict });
      return verdict;
    },
    txSignatureItem: remembered<Tx, SignatureItem>(OBJECT_CODEC.txSignatureItem),
    voteSignatureItem: remembered<Vote, SignatureItem>(OBJECT_CODEC.voteSignatureItem),
  };
}

function remembered<K extends object, V>(work: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = work(key);
      known.set(key, value);
    }
    return value;
  };
}
