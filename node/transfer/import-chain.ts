/**
 * Reads a chain from a stream into a store. Nothing in the stream is believed: blocks and certificates go to the
 * services that check what peers send. What was taken before an import broke off is valid and stays; the same import
 * again goes on from there.
 */
import { decodeBlock } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import type { BlockId, Checkpoint } from '../../chain/types.ts';
import type { GrapevineNode } from '../compose.ts';
import { composeOffline, type OfflinePorts } from '../offline-node.ts';
import { decodeCertificate, RecordError } from '../store/records.ts';
import { type StreamDecoder, TransferError } from './stream-format.ts';

export interface ImportReport {
  readonly tip: Checkpoint;
  readonly final: Checkpoint;
  /** New to the store. */
  readonly blocks: number;
  /** There already, from an import before. */
  readonly known: number;
  /** Of those known: bodies that were pruned here, and stay so. */
  readonly pruned: number;
  /** That made their blocks agreed, which had not been. */
  readonly certificates: number;
  /** What the stream says is final; higher than `final` where its certificates do not prove it. */
  readonly statedFinal: Checkpoint;
}

/**
 * @param stream at its first frame: its genesis has been read
 * @param onProgress hears the height reached, and the bytes of the stream that were read for it
 * @throws TransferError: malformed, of another chain, or not valid; StoreError
 */
export async function importChain(
  stream: StreamDecoder,
  genesis: Genesis,
  ports: OfflinePorts,
  onProgress: (height: number, bytes: number) => void,
): Promise<ImportReport> {
  const node = await composeOffline(genesis, ports);
  await node.agreement.follow();
  node.agreement.start(); // writes what the last run proved and had not written
  try {
    const importer = new Importer(node);
    for (;;) {
      const frame = await stream.frame();
      if (frame.kind === 'end') {
        await stream.end();
        await node.agreement.settled();
        await node.chain.idle();
        importer.checkTip(frame.tip);
        return { ...importer.report(), statedFinal: frame.final };
      }
      if (frame.kind === 'block') await importer.block(frame.content);
      else await importer.certificate(frame.content);
      onProgress(importer.height, stream.bytes);
    }
  } finally {
    await node.agreement.stop();
    await node.chain.idle();
  }
}

class Importer {
  readonly #node: GrapevineNode;
  #last: BlockId | undefined;
  #blocks = 0;
  #known = 0;
  #pruned = 0;
  #certificates = 0;
  height = 0;

  constructor(node: GrapevineNode) {
    this.#node = node;
  }

  async block(bytes: Uint8Array): Promise<void> {
    const { chain } = this.#node;
    const decoded = decodeBlock(bytes);
    if (!decoded.ok) throw invalid(this.height + 1, `block/malformed: ${decoded.detail}`);
    const { header } = decoded.value;
    const ours = chain.tree.mainAt(header.height);
    if (ours !== undefined && ours.header.id !== header.id) {
      throw new TransferError(
        'import/wrong-chain',
        `the store holds another block at height ${header.height}: import into an empty store, or one that holds the ` +
          'beginning of this chain',
      );
    }
    const verdict = await chain.receiveBlock(decoded.value, 'sync');
    if (verdict.kind === 'accept') this.#blocks += 1;
    else if (verdict.reason === 'block/known') {
      this.#known += 1;
      if (header.height < chain.bodiesFrom) this.#pruned += 1;
    } else throw invalid(Number(header.height), verdict.reason);
    this.#last = header.id;
    this.height = Number(header.height);
  }

  async certificate(bytes: Uint8Array): Promise<void> {
    const { ingest, agreement, chain } = this.#node;
    let target: Checkpoint;
    let votes: readonly Uint8Array[];
    try {
      const certificate = decodeCertificate(bytes);
      target = certificate.target;
      votes = certificate.votes.map((vote) => vote.bytes);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      throw invalid(this.height, `its certificate is malformed: ${error.message}`);
    }
    if (target.height <= agreement.final.height) return; // from an import before
    const isKnown = agreement.rules.isAgreed(target.id);
    const reason = await ingest.receiveVotes(votes);
    if (reason !== undefined) throw invalid(this.height, `its certificate: ${reason}`);
    if (!isKnown && agreement.rules.isAgreed(target.id)) this.#certificates += 1;
    await agreement.settled();
    await chain.idle();
  }

  /** The chain that was imported is the one we are on. */
  checkTip(tip: Checkpoint): void {
    if (this.#last === undefined ? tip.height === 0n : this.#last === tip.id) return;
    throw new TransferError('import/malformed', `the stream says it ends at height ${tip.height}, and does not`);
  }

  report(): Omit<ImportReport, 'statedFinal'> {
    const { chain, agreement } = this.#node;
    const { height, id } = chain.tip.header;
    const counts = {
      blocks: this.#blocks,
      known: this.#known,
      pruned: this.#pruned,
      certificates: this.#certificates,
    };
    return { tip: { height, id }, final: agreement.final, ...counts };
  }
}

function invalid(height: number, why: string): TransferError {
  return new TransferError('import/invalid', `block ${height} of the stream is refused: ${why}`);
}
