/** The API's calls about transactions and accounts: submission, what became of one, balances, history, the mempool. */
import type { BlockReader } from '../../chain/codec.ts';
import type { BlockId } from '../../chain/types.ts';
import { formatAddress } from '../../crypto/address.ts';
import type { ApiBackend, SubmitOutcome } from '../api/backend.ts';
import { entryRefDto, historyEntryDto, transactionDto } from '../api/dto.ts';
import type { AccountHistory, HistoryEntry, TransactionStatus } from '../api/schemas.ts';
import type { ApiBackendDeps } from './backend-deps.ts';
import { inSlices } from './in-slices.ts';
import type { Standing } from './standing.ts';

const NOT_KEPT: SubmitOutcome = {
  kind: 'unavailable',
  code: 'not-ready',
  detail: 'the transaction waits in memory, but could not be written to disk: it would not survive a restart',
};

type TransactionCalls = Pick<ApiBackend, 'submitTransaction' | 'transaction' | 'account' | 'history' | 'mempool'>;

/**
 * A transaction is acknowledged only once it is in the mempool's journal, which survives the process. One that is
 * submitted again is `known` while it waits, and for as long as the store knows where it was mined: who had no answer
 * may ask again.
 */
export function transactionCalls(deps: ApiBackendDeps, standing: Standing): TransactionCalls {
  const { store, giveWay } = deps;
  const { chain, mempool, ingest } = deps.node;
  return {
    async submitTransaction(submitted): Promise<SubmitOutcome> {
      if (chain.storeFailure !== undefined) {
        const code = chain.storeFailure.code === 'full' ? 'disk-full' : 'not-ready';
        return { kind: 'unavailable', code, detail: chain.storeFailure.message };
      }
      const { verdict, parked, id, detail } = await ingest.submitTx(submitted);
      if (detail !== undefined) return { kind: 'refused', reason: 'tx/malformed', detail };
      if (id === undefined) return { kind: 'overloaded', retryAfterS: ingest.retryAfterS };
      // What is acknowledged survives the process. It is in the pool and has been passed on in any case.
      const isKept = await mempool.journalled(id);
      if (verdict.kind === 'accept') return isKept ? { kind: 'accepted', id, parked } : NOT_KEPT;
      switch (verdict.reason) {
        case 'overloaded':
          return { kind: 'overloaded', retryAfterS: ingest.retryAfterS };
        case 'internal-error':
          throw new Error('the transaction could not be checked');
        case 'tx/known':
        case 'tx/nonce-used': {
          if (mempool.pool.has(id)) {
            return isKept ? { kind: 'known', id, state: 'pending', parked: mempool.pool.isParked(id) } : NOT_KEPT;
          }
          // Sent again after it was mined: the client asks for what has happened already.
          const place = await standing.minedPlace(id);
          if (place !== undefined) return { kind: 'known', id, state: standing.ofMinedIn(place.entry), parked: false };
          return { kind: 'refused', reason: 'tx/nonce-used', id };
        }
        default:
          return { kind: 'refused', reason: verdict.reason, id };
      }
    },

    async transaction(id): Promise<TransactionStatus | undefined> {
      const pending = mempool.pool.get(id);
      if (pending !== undefined) {
        const parked = mempool.pool.isParked(id);
        return { id, state: 'pending', parked, confirmations: 0, transaction: transactionDto(pending) };
      }
      const place = await standing.minedPlace(id);
      const tx = place && (await chain.readBlock(place.entry.header.id))?.txAt(place.index);
      if (place !== undefined && tx !== undefined) {
        const { entry, index } = place;
        return {
          id,
          state: standing.ofMinedIn(entry),
          parked: false,
          block: { ...entryRefDto(entry), index },
          confirmations: standing.ofBlock(entry).confirmations,
          transaction: transactionDto(tx),
        };
      }
      const reason = mempool.droppedReason(id);
      return reason && { id, state: 'dropped', parked: false, reason, confirmations: 0 };
    },

    async account(address) {
      const account = chain.accounts.get(address);
      const { size, parked, cost } = mempool.pool.waitingOf(address);
      return {
        address: formatAddress(address),
        balance: account.balance.toString(),
        nonce: account.nonce.toString(),
        pendingNonce: mempool.pool.pendingNonce(address, account).toString(),
        waiting: { transactions: size, parked, amount: cost.toString() },
      };
    },

    async history(address, limit, before): Promise<AccountHistory> {
      const owner = formatAddress(address);
      const entries: HistoryEntry[] = [];
      let block: { readonly id: BlockId; readonly reader: BlockReader | undefined } | undefined;
      for (const item of await store.history(address, limit + 1, before)) {
        const entry = chain.tree.get(item.block);
        // Those of a block stand together: each block of the page is read once.
        if (block?.id !== item.block) block = { id: item.block, reader: await chain.readBlock(item.block) };
        const tx = block.reader?.txAt(item.index);
        if (entry === undefined || tx === undefined) continue; // reorganised away while we read
        entries.push(
          historyEntryDto(tx, owner, {
            block: { height: item.height, id: item.block },
            index: item.index,
            timestampMs: entry.header.timestampMs,
            state: standing.ofMinedIn(entry),
          }),
        );
      }
      const page = entries.slice(0, limit);
      const last = entries.length > limit ? page.at(-1) : undefined;
      return { address: owner, entries: page, ...(last && { next: `${last.block.height}.${last.index}` }) };
    },

    async mempool(limit) {
      const { pool } = mempool;
      const listed = pool.list(limit);
      const { bytes, size, parkedSize: parked } = pool;
      const transactions = await inSlices(listed.length, (index) => transactionDto(listed[index]!), giveWay);
      return { count: size - parked, bytes, parked, transactions };
    },
  };
}
