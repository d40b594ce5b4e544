/** Transactions: what they pass on their way from bytes to the mempool. */
import type { ChainParams } from '../../chain/params.ts';
import type { ChainId, Tx, TxId } from '../../chain/types.ts';
import { checkTxStateless } from '../../chain/validate/tx-stateless.ts';
import { ignore, reject } from '../../chain/verdict.ts';
import type { EventBus } from '../events.ts';
import type { MempoolService } from '../mempool-service.ts';
import type { ObjectCodec } from '../object-codec.ts';
import type { SignatureVerifier } from '../ports.ts';
import type { Answer, Item } from './lane-item.ts';
import { SeenCache } from './seen-cache.ts';

export interface TxLaneDeps {
  readonly chainId: ChainId;
  readonly params: ChainParams;
  readonly mempool: MempoolService;
  readonly verifier: SignatureVerifier;
  readonly codec: ObjectCodec;
  readonly events: EventBus;
}

/** Ids remembered per generation. */
const SEEN_TXS = 65_536;

export class TxLane {
  readonly #deps: TxLaneDeps;
  readonly #seen = new SeenCache<TxId>(SEEN_TXS);
  readonly #disposers: (() => void)[] = [];

  constructor(deps: TxLaneDeps) {
    this.#deps = deps;
    // What was dropped may be good later (a nonce gap closed, a balance filled): let it be heard again.
    this.#disposers.push(deps.events.on('tx-dropped', ({ tx }) => this.#seen.delete(tx.id)));
  }

  stop(): void {
    for (const dispose of this.#disposers.splice(0)) dispose();
  }

  async serve(items: readonly Item[], before: Promise<void>, answer: Answer): Promise<void> {
    const { chainId, params, verifier, codec, mempool } = this.#deps;
    const waiting: { readonly item: Item; readonly tx: Tx }[] = [];
    for (const item of items) {
      const decoded = codec.decodeTx(item.bytes);
      if (!decoded.ok) {
        answer(item, reject('tx/malformed')); // TX-1
        continue;
      }
      const tx = decoded.value;
      const verdict = checkTxStateless(tx, { chainId, params });
      if (verdict.kind !== 'accept') {
        answer(item, verdict);
        continue;
      }
      const isKnown = this.#seen.has(tx.id) || mempool.pool.has(tx.id); // TX-8
      const reason = isKnown ? 'tx/known' : mempool.screen(tx);
      if (reason === undefined) waiting.push({ item, tx });
      else answer(item, ignore(reason));
    }
    const good = await verifier.verify(
      waiting.map(({ tx }) => codec.txSignatureItem(tx)),
      'bulk',
    );
    await before;
    for (const [index, { item, tx }] of waiting.entries()) {
      if (good[index] !== true) {
        answer(item, reject('tx/bad-signature')); // TX-7
        continue;
      }
      const { verdict, parked } = mempool.add(tx, item.from);
      if (verdict.kind === 'accept') this.#seen.add(tx.id);
      answer(item, verdict, parked);
    }
  }
}
