/** What the node says of its own chain. */

import type { Agreement } from '../../chain/agreement.ts';
import { checkpointOf } from '../../chain/checkpoint.ts';
import type { ChainEntry, ChainId, Checkpoint } from '../../chain/types.ts';
import type { PeerStatus } from './peer-status.ts';

export interface OwnStatusDeps {
  readonly chain: {
    readonly genesis: { readonly chainId: ChainId };
    readonly tip: ChainEntry;
  };
  readonly agreement: {
    readonly agreed: Checkpoint;
    readonly final: Checkpoint;
    readonly rules: Pick<Agreement, 'offendersDigest'>;
  };
  readonly software: string;
  readonly mempoolFingerprint: () => string;
}

/** Asked for several times a swap, at each time for what is so then: made anew only where something is not as it was. */
export class OwnStatus {
  readonly #deps: OwnStatusDeps;
  #last: PeerStatus | undefined;

  constructor(deps: OwnStatusDeps) {
    this.#deps = deps;
  }

  now(): PeerStatus {
    const { chain, agreement, software, mempoolFingerprint } = this.#deps;
    const { header, totalWork } = chain.tip;
    const { agreed, final } = agreement;
    const { offendersDigest } = agreement.rules;
    const mempool = mempoolFingerprint();
    const last = this.#last;
    if (
      last !== undefined &&
      last.tip.id === header.id &&
      last.agreed === agreed &&
      last.final === final &&
      last.offenders === offendersDigest &&
      last.mempool === mempool
    ) {
      return last;
    }
    this.#last = {
      chainId: chain.genesis.chainId,
      software,
      tip: checkpointOf(header),
      totalWork,
      agreed,
      final,
      offenders: offendersDigest,
      mempool,
    };
    return this.#last;
  }
}
