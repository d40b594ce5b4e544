/** A sound store's records, made once, to plant faults in; and the examination of a store with them. */

import { bytesToHex } from '../../../crypto/bytes.ts';
import { nobleBackend } from '../../../crypto/noble-backend.ts';
import type { SignatureVerifier } from '../../../node/ports.ts';
import { examineStore, type StoreExamination } from '../../../node/store/examine-store.ts';
import { sealRecord } from '../../../node/store/records.ts';
import type { VerifyOptions } from '../../../node/store/verify-store.ts';
import { createInlineVerifier } from '../../../node/verify/inline-verifier.ts';
import { INDEXED, type Memory, makeMemory, openMemoryStore } from './open-store.ts';
import { buildRealChain, lateClock, realGenesis } from './real-chain.ts';

export type RecordPair = readonly [Uint8Array, Uint8Array];

const inline = createInlineVerifier(nobleBackend, lateClock);
const answers = new Map<string, Promise<readonly boolean[]>>();

/** The same few signatures are checked in hundreds of stores. */
const verifier: SignatureVerifier = {
  async verify(items) {
    const results = items.map((item) => {
      const key = [item.digest, item.signature, item.publicKey].map(bytesToHex).join();
      const answer = answers.get(key) ?? inline.verify([item]);
      answers.set(key, answer);
      return answer;
    });
    return (await Promise.all(results)).flat();
  },
};

export const VERIFY: VerifyOptions = {
  genesis: realGenesis,
  verifier,
  signatures: true,
  nowMs: lateClock.nowMs(),
  onProgress: () => {},
  onMigrated: () => {},
};

/** Every record of a store with a chain of `length` blocks. */
export async function makeSoundRecords(length: number): Promise<readonly RecordPair[]> {
  const db = makeMemory();
  const store = await openMemoryStore(db, INDEXED);
  await buildRealChain(store, length);
  await store.close();
  await db.open();
  return db.iterator().all();
}

export async function databaseOf(pairs: readonly RecordPair[]): Promise<Memory> {
  const db = makeMemory();
  await db.batch(pairs.map(([key, value]) => ({ type: 'put', key, value })));
  return db;
}

export function examine(db: Memory, options: Partial<VerifyOptions> = {}): Promise<StoreExamination> {
  return examineStore(db, {
    ...VERIFY,
    ...options,
    filedGuards: undefined,
    isGuardFileGone: false,
    isGuardDoubtful: false,
  });
}

export function seal(db: Memory, key: Uint8Array, payload: Uint8Array): Promise<void> {
  return db.put(key, sealRecord(key, payload));
}
