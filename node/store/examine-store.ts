/** Examines a whole store: reads everything, and says what is wrong and which writes would mend it. */
import { blockIdFromBytes, blockIdToBytes, chainIdFromBytes } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import type { ChainEntry, Checkpoint } from '../../chain/types.ts';
import { checkTxStateless, txSignatureItem } from '../../chain/validate/tx-stateless.ts';
import type { Address } from '../../crypto/address.ts';
import { equalBytes } from '../../crypto/bytes.ts';
import type { SignatureVerifier } from '../ports.ts';
import type { LevelDatabase, Operation } from './database.ts';
import { Examination } from './examination.ts';
import { examineAgreement } from './examine-agreement.ts';
import { examineChain } from './examine-chain.ts';
import type { Fault } from './faults.ts';
import * as keys from './keys.ts';
import { META } from './keys.ts';
import * as records from './records.ts';
import { canMigrate, SCHEMA } from './schema.ts';
import { StoreError, type VoteGuard } from './store.ts';

export interface ExamineOptions {
  readonly genesis: Genesis;
  readonly verifier: SignatureVerifier;
  /** Whether transactions' signatures are checked too; a body's root commits to them. */
  readonly signatures: boolean;
  /** The files were damaged, or LevelDB lost some of what they held: the guards can't be trusted. */
  readonly isGuardDoubtful: boolean;
  /** The second copy of the guards; undefined where there is none that is good. */
  readonly filedGuards: ReadonlyMap<Address, VoteGuard> | undefined;
  /** There is no second copy, though this store had one. */
  readonly isGuardFileGone: boolean;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly onProgress: (stage: string, done: number, total: number) => void;
}

export interface StoreExamination {
  readonly faults: readonly Fault[];
  /** Applied, they leave a store without these faults. */
  readonly fixes: readonly Operation[];
  /** LevelDB can't read all its files: more may be found, and saved, once it has repaired them. */
  readonly isUnreadable: boolean;
  /** No chain is stored. */
  readonly isEmpty: boolean;
  readonly blocks: number;
  readonly transactions: number;
  readonly certificates: number;
  readonly votes: number;
  readonly tip: ChainEntry;
  readonly final: Checkpoint;
  readonly lost: { readonly from: bigint; readonly to: bigint } | undefined;
  readonly raised: readonly { readonly voter: Address; readonly height: bigint }[];
}

/**
 * Heights that a chain can be ahead of its schedule. ASERT halves the target each time the chain is one half-life
 * ahead, 30 blocks on a devnet: a thousand is a hash rate that grew 2^33-fold.
 */
const GUARD_MARGIN = 1000n;

/**
 * @param db open, and not otherwise in use
 * @throws StoreError `wrong-chain`, `wrong-schema`
 */
export async function examineStore(db: LevelDatabase, options: ExamineOptions): Promise<StoreExamination> {
  const { genesis, verifier, onProgress } = options;
  const exam = new Examination(db);
  exam.isGuardDoubtful = options.isGuardDoubtful;
  const meta = await readMeta(exam, genesis);
  await exam.findUnknown();
  const chain = await examineChain(exam, {
    genesis,
    storedTip: meta.tip,
    storedFinal: meta.final?.id,
    pruned: meta.pruned,
    verifier: options.signatures ? verifier : undefined,
    onProgress,
  });
  const agreement = await examineAgreement(exam, {
    genesis,
    tree: chain.tree,
    storedFinal: meta.final,
    verifier,
    filedGuards: options.filedGuards,
    isGuardFileGone: options.isGuardFileGone,
    safeHeight: safeHeight(chain.highestSeen, genesis, options.nowMs),
    onProgress,
  });
  await examineMempool(exam, genesis, verifier);
  for await (const { value } of exam.records('peers', records.decodePeers)) void value;
  return {
    faults: exam.faults,
    fixes: exam.fixes,
    isUnreadable: exam.isUnreadable,
    isEmpty: meta.isEmpty,
    blocks: chain.blocks,
    transactions: chain.transactions,
    certificates: agreement.certificates,
    votes: agreement.votes,
    tip: chain.tree.tip,
    final: agreement.final,
    lost: chain.lost,
    raised: agreement.raised,
  };
}

/** No height above this can have been voted for by now, going by the highest block that the store still knows. */
function safeHeight(
  seen: { readonly height: bigint; readonly timestampMs: bigint },
  genesis: Genesis,
  nowMs: number,
): bigint {
  const { blockTimeMs, maxFutureMs, checkpointInterval } = genesis.params;
  const sinceMs = BigInt(Math.floor(nowMs)) + BigInt(maxFutureMs) - seen.timestampMs;
  const since = sinceMs > 0n ? sinceMs / BigInt(blockTimeMs) : 0n;
  const height = seen.height + since + GUARD_MARGIN;
  return height + BigInt(checkpointInterval) - (height % BigInt(checkpointInterval));
}

async function readMeta(exam: Examination, genesis: Genesis) {
  const isEmpty = await isWithoutChain(exam);
  const read = async <T>(key: Uint8Array, name: string, decode: (payload: Uint8Array) => T): Promise<T | undefined> => {
    const found = await exam.get('meta', key, decode);
    if (found.kind === 'good') return found.value;
    if (found.kind === 'missing' && !isEmpty) exam.fault('meta', `the record of its ${name} is missing`);
    return undefined;
  };
  const schema = await read(META.schema, 'schema', records.decodeU32);
  if (schema !== undefined && !canMigrate(schema)) {
    throw new StoreError('wrong-schema', `the store has schema ${schema}, this version of grapevine reads ${SCHEMA}`);
  }
  if (schema !== SCHEMA) exam.put(META.schema, records.encodeU32(SCHEMA));
  const chainId = await read(META.chain, 'chain id', chainIdFromBytes);
  if (chainId !== undefined && chainId !== genesis.chainId) {
    throw new StoreError(
      'wrong-chain',
      `the store belongs to chain ${chainId}, the genesis given makes chain ${genesis.chainId}: give the genesis file of that chain`,
    );
  }
  const genesisId = genesis.entry.header.id;
  if (chainId === undefined) exam.put(META.chain, blockIdToBytes(genesisId));
  const tip = await read(META.tip, 'tip', blockIdFromBytes);
  const final = await read(META.final, 'final block', records.decodeCheckpoint);
  const batch = await read(META.batch, 'last batch', records.decodeU64);
  if (batch === undefined) exam.put(META.batch, records.encodeU64(1n));
  const pruned = await exam.get('meta', META.pruned, records.decodePruned);
  if (pruned.kind !== 'good') exam.put(META.pruned, records.encodePruned(records.NOTHING_PRUNED));
  if (pruned.kind === 'missing' && !isEmpty) exam.fault('pruned', 'the record of what was pruned is missing');
  if ((await exam.get('meta', META.repairing, records.decodeU32)).kind !== 'missing') {
    exam.fault('cut-short', 'a repair was cut short');
    exam.isGuardDoubtful = true;
  }
  const known = new Set(Object.values(META).map((key) => key[1]));
  for await (const key of exam.keys('meta')) {
    if (known.has(key[1])) continue;
    exam.fault('unknown-record', `meta field ${key[1]} is none that this schema knows`);
    exam.remove(Uint8Array.from(key));
  }
  return { isEmpty, tip, final, pruned: pruned.kind === 'good' ? pruned.value : records.NOTHING_PRUNED };
}

/** No chain was begun: as `load` of the store sees it. */
async function isWithoutChain(exam: Examination): Promise<boolean> {
  for (const key of [META.chain, META.tip, META.final]) {
    if ((await exam.get('meta', key, (payload) => payload)).kind !== 'missing') return false;
  }
  for (const kind of ['entry', 'block'] as const) for await (const _ of exam.keys(kind)) return false;
  return !exam.isUnreadable;
}

async function examineMempool(exam: Examination, genesis: Genesis, verifier: SignatureVerifier): Promise<void> {
  const { chainId, params } = genesis;
  for await (const { key, value: tx } of exam.records('mempool', records.decodeStoredTx)) {
    const verdict = checkTxStateless(tx, { chainId, params });
    const isSigned = async (): Promise<boolean> => (await verifier.verify([txSignatureItem(tx)]))[0] === true;
    const wrong = !equalBytes(keys.mempoolKey(tx.id), key)
      ? 'stands under the key of another'
      : verdict.kind !== 'accept'
        ? verdict.reason
        : (await isSigned())
          ? undefined
          : 'tx/bad-signature';
    if (wrong === undefined) continue;
    exam.fault('mempool-invalid', `transaction ${tx.id}: ${wrong}`);
    exam.remove(Uint8Array.from(key));
  }
}
