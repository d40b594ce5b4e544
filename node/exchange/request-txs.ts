import { decodeTx } from '../../chain/codec.ts';
import type { Tx } from '../../chain/types.ts';
import { decodeTxsChunk } from '../net/wire.ts';
import type { PeerKey, StreamProtocol } from '../ports.ts';
import { exchange, PeerFault, type RequestDeps } from '../requests/exchange.ts';

/**
 * Asks a peer for transactions of its mempool; what comes in chunks is decoded, and nothing else of it checked.
 *
 * @param isAsked called once for each that comes, in order: whether it may come
 * @throws PeerFault as `exchange` does; `invalid` for what is malformed or was not asked for
 */
export async function requestTxs(
  deps: RequestDeps,
  peer: PeerKey,
  asked: { readonly protocol: StreamProtocol; readonly request: Uint8Array; readonly isAsked: (tx: Tx) => boolean },
  signal: AbortSignal,
): Promise<readonly Tx[]> {
  const txs: Tx[] = [];
  for await (const frame of exchange(deps, peer, asked.protocol, asked.request, signal)) {
    const chunk = decodeTxsChunk(frame);
    if (chunk === undefined || chunk.txs.length === 0) throw new PeerFault('invalid', 'malformed transactions');
    for (const bytes of chunk.txs) {
      const tx = decodeTx(bytes);
      if (!tx.ok) throw new PeerFault('invalid', `malformed transaction: ${tx.detail}`);
      if (!asked.isAsked(tx.value)) throw new PeerFault('invalid', 'a transaction that was not asked for');
      txs.push(tx.value);
    }
  }
  return txs;
}
