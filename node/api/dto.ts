/** From the chain's types to the API's. */
import { type BlockFront, encodeEvidence } from '../../chain/codec.ts';
import { type Electorate, quorumOf } from '../../chain/electorate.ts';
import type { ChainEntry, Checkpoint, Evidence, Tx, Vote } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import { bytesToHex } from '../../crypto/bytes.ts';
import type {
  BlockRef,
  BlockSummary,
  ElectorateInfo,
  EvidenceInfo,
  HistoryEntry,
  Transaction,
  TransactionState,
  VoteInfo,
} from './schemas.ts';

/** Also of what has more than height and id, such as a header: nothing else is copied. */
export function blockRefDto(checkpoint: Checkpoint): BlockRef {
  return { height: checkpoint.height.toString(), id: checkpoint.id };
}

/** For the tip and other places in the tree, whose entries carry work and arrival that the API does not show. */
export function entryRefDto(entry: ChainEntry): BlockRef {
  return blockRefDto(entry.header);
}

/** A memo as text; undefined where it is empty, not UTF-8, or would move a terminal's cursor. */
export function memoText(memo: Uint8Array): string | undefined {
  if (memo.length === 0) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(memo);
    return /\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined; // not UTF-8: the hex says it all
  }
}

function memoFields(memo: Uint8Array): { memo: string; memoText?: string } {
  const text = memoText(memo);
  return text === undefined ? { memo: bytesToHex(memo) } : { memo: bytesToHex(memo), memoText: text };
}

/** For one after the other of many there is `inSlices`: a full block at once would hold up the event loop. */
export function transactionDto(tx: Tx): Transaction {
  return {
    id: tx.id,
    chainId: tx.chainId,
    from: formatAddress(tx.from),
    publicKey: bytesToHex(tx.publicKey),
    nonce: tx.nonce.toString(),
    to: formatAddress(tx.to),
    amount: tx.amount.toString(),
    fee: tx.fee.toString(),
    ...memoFields(tx.memo),
    signature: bytesToHex(tx.signature),
    sizeBytes: tx.bytes.length,
  };
}

/** How a block stands, from the node's point of view. */
export interface BlockStanding {
  readonly state: BlockSummary['state'];
  readonly confirmations: number;
}

/**
 * @param onMain is the block on the main chain
 * @param heights of the tip and of the last agreed and final checkpoints
 */
export function blockStanding(
  height: bigint,
  onMain: boolean,
  heights: { readonly tip: bigint; readonly agreed: bigint; readonly final: bigint },
): BlockStanding {
  if (!onMain) return { state: 'side', confirmations: 0 };
  const state = height <= heights.final ? 'final' : height <= heights.agreed ? 'agreed' : 'mined';
  return { state, confirmations: Number(heights.tip - height) + 1 };
}

/** All but size and transactions, so that a page of blocks is made without decoding their bodies. */
export function blockSummaryDto(block: BlockFront, standing: BlockStanding): BlockSummary {
  const { header } = block;
  return {
    id: header.id,
    height: header.height.toString(),
    parent: header.parent,
    txRoot: bytesToHex(header.txRoot),
    timestampMs: header.timestampMs.toString(),
    bits: header.bits,
    miner: formatAddress(header.miner),
    nonce: header.nonce.toString(),
    coinbase: block.coinbase.toString(),
    txCount: block.txCount,
    state: standing.state,
    confirmations: standing.confirmations,
  };
}

/** @param owner whose history it is, bech32m; a transfer to oneself counts as `out` */
export function historyEntryDto(
  tx: Tx,
  owner: string,
  place: {
    readonly block: Checkpoint;
    readonly index: number;
    readonly timestampMs: bigint;
    readonly state: TransactionState;
  },
): HistoryEntry {
  const from = formatAddress(tx.from);
  return {
    id: tx.id,
    block: blockRefDto(place.block),
    index: place.index,
    timestampMs: place.timestampMs.toString(),
    state: place.state,
    direction: from === owner ? 'out' : 'in',
    from,
    to: formatAddress(tx.to),
    nonce: tx.nonce.toString(),
    amount: tx.amount.toString(),
    fee: tx.fee.toString(),
    ...memoFields(tx.memo),
  };
}

/** Whole, so that a reader can check the signature: `bytes` is the canonical encoding. */
export function voteDto(vote: Vote): VoteInfo {
  const { id, voter, source, target, bytes } = vote;
  return {
    id,
    voter: formatAddress(voter),
    source: blockRefDto(source),
    target: blockRefDto(target),
    bytes: bytesToHex(bytes),
  };
}

/** What anyone can check with nothing else at hand (EVID-4, EVID-5): both votes, also in the canonical encoding. */
export function evidenceDto(evidence: Evidence): EvidenceInfo {
  const { kind, voter, first, second } = evidence;
  return {
    kind,
    voter: formatAddress(voter),
    first: voteDto(first),
    second: voteDto(second),
    bytes: bytesToHex(encodeEvidence(evidence)),
  };
}

/** Voters heaviest first, of equal weight by the text of their addresses, so that two nodes say the same. */
export function electorateDto({ asOf, total, weights }: Electorate): ElectorateInfo {
  const voters = Array.from(weights, ([address, weight]) => ({ address: formatAddress(address), weight }));
  voters.sort((a, b) => b.weight - a.weight || (a.address < b.address ? -1 : 1));
  return { asOf: blockRefDto(asOf), total, quorum: quorumOf(total), voters };
}
