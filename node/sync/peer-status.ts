/** What a peer says of its chain. Claims, not facts: they steer what is asked for, never what is believed. */
import type { BlockId, ChainId, Checkpoint } from '../../chain/types.ts';

export interface PeerStatus {
  readonly chainId: ChainId;
  readonly software: string;
  readonly tip: Checkpoint;
  readonly totalWork: bigint;
  readonly agreed: Checkpoint;
  readonly final: Checkpoint;
  /** Digest of the set of voters with evidence against them, 64 hex digits: where it differs, evidence is fetched. */
  readonly offenders: string;
  /** Fingerprint of the ids in the mempool, 16 hex digits: where it differs, transactions are exchanged. */
  readonly mempool: string;
}

/** What of the own chain decides what is asked of whom. */
export interface LocalStatus extends Pick<PeerStatus, 'totalWork' | 'agreed' | 'final'> {
  readonly knows: (id: BlockId) => boolean;
}

/** Neither has anything that the other lacks. */
export function isSameStatus(a: PeerStatus, b: PeerStatus): boolean {
  return (
    a.tip.id === b.tip.id &&
    a.agreed.id === b.agreed.id &&
    a.final.id === b.final.id &&
    a.offenders === b.offenders &&
    a.mempool === b.mempool
  );
}
