/** The node's events as the API tells them. */
import { blockFrontOf } from '../../chain/codec.ts';
import type { Block, BlockId, TxId, Vote } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import type { ApiBackend } from '../api/backend.ts';
import { blockRefDto, blockSummaryDto, transactionDto } from '../api/dto.ts';
import type { ChainEvent } from '../api/schemas.ts';
import type { GrapevineNode } from '../compose.ts';
import type { BlockOrigin } from '../events.ts';

/**
 * Tells each event in the turn in which the node emits it, so a listener must not be slow. One that throws is
 * reported, and the others hear of it all the same (`EventBus`).
 */
export function eventFeed({ events, agreement }: GrapevineNode): Pick<ApiBackend, 'subscribe'> {
  return {
    subscribe(listener, wantsTx) {
      const disposers = [
        events.on('tx', ({ tx, from, parked }) => {
          if (!wantsTx(tx.id)) return;
          const source = from === 'api' || from === 'reorg' ? from : 'peer';
          listener({ type: 'tx', state: 'pending', parked, source, ...txEventFields(tx) });
        }),
        events.on('tx-dropped', ({ tx, reason }) => {
          if (!wantsTx(tx.id)) return;
          listener({ type: 'tx', state: 'dropped', parked: false, reason, ...txEventFields(tx) });
        }),
        events.on('block', ({ block, from }) => listener(blockEvent(block, from))),
        events.on('reorg', ({ forkPoint, from, to, abandoned }) => {
          listener({
            type: 'reorg',
            forkPoint: blockRefDto(forkPoint),
            from: blockRefDto(from),
            to: blockRefDto(to),
            abandonedBlocks: abandoned.map(({ header }) => header.id),
            abandonedTransactions: abandoned.flatMap(({ txs }) => txs.map(({ id }) => id)),
          });
        }),
        events.on('agreed', ({ certificate: { source, target, votes } }) => {
          listener({
            type: 'agreed',
            ...blockRefDto(target),
            source: blockRefDto(source),
            votes: votes.length,
            n: agreement.rules.electorate.length,
          });
        }),
        events.on('final', ({ checkpoint }) => listener({ type: 'final', ...blockRefDto(checkpoint) })),
        events.on('evidence', ({ evidence: { kind, voter, first, second } }) => {
          const span = ({ source, target }: Vote) => ({ source: blockRefDto(source), target: blockRefDto(target) });
          listener({
            type: 'evidence',
            kind,
            voter: formatAddress(voter),
            first: span(first),
            second: span(second),
          });
        }),
      ];
      return () => {
        for (const dispose of disposers) dispose();
      };
    },
  };
}

function txEventFields(tx: Parameters<typeof transactionDto>[0]) {
  const { id, from, to, nonce, amount, fee } = transactionDto(tx);
  return { id, from, to, nonce, amount, fee };
}

function blockEvent(block: Block, from: BlockOrigin): ChainEvent {
  const { id, height, parent, miner, timestampMs, txCount } = blockSummaryDto(blockFrontOf(block), {
    state: 'mined',
    confirmations: 1,
  });
  const source = from === 'mined' || from === 'sync' || from === 'reorg' ? from : 'peer';
  const transactions: BlockId[] | TxId[] = block.txs.map((tx) => tx.id);
  return { type: 'block', id, height, parent, miner, timestampMs, source, txCount, transactions };
}
