/** What a node has counted over all its incarnations: its own counters begin anew with each process. */
import type { NodeStatus } from '../client.ts';

const BLOCKS_DROPPED = /^grapevine_queue_dropped_total\{kind="block"\} (\S+)/m;

/** Zeros at first. What a process has counted is lost where it ends before that is added. */
export class NodeCounts {
  /** Errors of its own that it has noticed. */
  errors = 0;
  /** Gossip messages that were news to it, and copies of messages that it received. */
  messages = 0;
  copies = 0;
  /** The same of transactions, whichever batches they came in. */
  txs = 0;
  txCopies = 0;
  /** That it had no room for. */
  blocksDropped = 0;

  /**
   * Adds what a process has counted, at its end.
   *
   * @param metrics as `GET /metrics` says them; '' where it does not answer any more
   */
  add({ internalErrors, gossip }: Pick<NodeStatus, 'internalErrors' | 'gossip'>, metrics: string): void {
    this.errors += internalErrors;
    this.messages += gossip.messages;
    this.copies += gossip.copies;
    this.txs += gossip.txs;
    this.txCopies += gossip.txCopies;
    this.blocksDropped += Number(BLOCKS_DROPPED.exec(metrics)?.[1] ?? 0);
  }
}
