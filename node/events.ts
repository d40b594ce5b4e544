/** What the services tell each other and the API's listeners. Facts that already hold, never requests. */

import type { TxReason } from '../chain/reasons.ts';
import type { Block, Certificate, ChainEntry, Checkpoint, Evidence, Tx } from '../chain/types.ts';
import type { PeerKey } from './ports.ts';

/** Who gave us a block: a peer by gossip, our miner, the block download, or a move to another branch that we had already. */
export type BlockOrigin = PeerKey | 'mined' | 'sync' | 'reorg';

export interface NodeEvents {
  /** A transaction entered the mempool: first heard now, or back from an abandoned block. */
  tx: { readonly tx: Tx; readonly from: PeerKey | 'api' | 'reorg'; readonly parked: boolean };
  /** A transaction left the mempool without being mined. */
  'tx-dropped': { readonly tx: Tx; readonly reason: TxReason };
  /** A block joined the main chain. */
  block: { readonly entry: ChainEntry; readonly block: Block; readonly from: BlockOrigin };
  /** Blocks left the main chain; `block` events for the new branch follow. */
  reorg: {
    readonly forkPoint: Checkpoint;
    readonly from: Checkpoint;
    readonly to: Checkpoint;
    readonly abandoned: readonly Block[];
  };
  /** A block entered the tree, on whichever branch; it is stored and fully valid. */
  entry: { readonly entry: ChainEntry; readonly block: Block };
  /** The tip moved; comes once, after the `reorg` and `block` events of the move. Old tip down, fork point up. */
  tip: { readonly entry: ChainEntry; readonly disconnected: readonly Block[]; readonly connected: readonly Block[] };
  agreed: { readonly certificate: Certificate };
  final: { readonly checkpoint: Checkpoint };
  evidence: { readonly evidence: Evidence };
}

export type EventListener<K extends keyof NodeEvents> = (event: NodeEvents[K]) => void;

/** A typed event bus. Listeners run synchronously in order of subscription; one that throws is reported, not fatal. */
export class EventBus {
  readonly #listeners: { readonly [K in keyof NodeEvents]: Set<EventListener<K>> } = {
    tx: new Set(),
    'tx-dropped': new Set(),
    block: new Set(),
    reorg: new Set(),
    entry: new Set(),
    tip: new Set(),
    agreed: new Set(),
    final: new Set(),
    evidence: new Set(),
  };
  readonly #onError: (error: unknown, event: keyof NodeEvents) => void;

  constructor(onError: (error: unknown, event: keyof NodeEvents) => void) {
    this.#onError = onError;
  }

  /** Subscribes; the returned disposer unsubscribes. */
  on<K extends keyof NodeEvents>(kind: K, listener: EventListener<K>): () => void {
    const listeners = this.#listeners[kind];
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<K extends keyof NodeEvents>(kind: K, event: NodeEvents[K]): void {
    for (const listener of this.#listeners[kind]) {
      try {
        listener(event);
      } catch (error) {
        this.#onError(error, kind);
      }
    }
  }
}
