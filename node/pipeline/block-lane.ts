/** Blocks from gossip: from their bytes to the verdict, one at a time. */

import type { Reason } from '../../chain/reasons.ts';
import type { Block, Header } from '../../chain/types.ts';
import { ignore, reject, type Verdict } from '../../chain/verdict.ts';
import type { ChainService } from '../chain-service.ts';
import type { BlockOrigin } from '../events.ts';
import type { ObjectCodec } from '../object-codec.ts';
import type { PeerKey } from '../ports.ts';
import { StoreError } from '../store/store.ts';
import type { OutcomeVerdict } from './outcome.ts';

export interface BlockLaneDeps {
  readonly chain: ChainService;
  readonly codec: ObjectCodec;
  /** A block came whose parent we lack: park it and fetch what is missing. */
  readonly onOrphan: (block: Block, bytes: number, from: PeerKey) => void;
  /** A block with good work came by gossip, whether or not it can be used. */
  readonly onFreshBlock: (header: Header) => void;
}

/** What keeps a block from being used, though its work is good and it has not been heard before. */
const FRESH_REASONS: ReadonlySet<Reason> = new Set<Reason>(['block/timestamp-too-new', 'block/unknown-parent']);

export class BlockLane {
  readonly #deps: BlockLaneDeps;

  constructor(deps: BlockLaneDeps) {
    this.#deps = deps;
  }

  /** Resolves when the block has taken effect; `answer` is called before it is written. */
  async serve(bytes: Uint8Array, from: PeerKey, answer: (verdict: OutcomeVerdict) => void): Promise<void> {
    const decoded = this.#deps.codec.decodeBlock(bytes);
    if (!decoded.ok) {
      answer(reject('block/malformed')); // BLK-1
      return;
    }
    await this.#receiveBlock(decoded.value, from, (verdict) => {
      answer(verdict);
      const isFresh = verdict.kind === 'accept' || (verdict.kind === 'ignore' && FRESH_REASONS.has(verdict.reason));
      if (isFresh) this.#deps.onFreshBlock(decoded.value.header);
      if (verdict.kind === 'ignore' && verdict.reason === 'block/unknown-parent') {
        this.#deps.onOrphan(decoded.value, bytes.length, from);
      }
    });
  }

  async #receiveBlock(
    block: Block,
    from: BlockOrigin,
    onVerdict: (verdict: OutcomeVerdict) => void,
  ): Promise<Verdict<Block, Reason>> {
    try {
      return await this.#deps.chain.receiveBlock(block, from, onVerdict);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return ignore('internal-error'); // counted and logged by the chain service; the block is fetched again later
    }
  }
}
