/**
 * What an examination of a store has found so far: the faults, and the writes that would mend them. One pass serves
 * both `db verify`, which prints the faults, and `db repair`, which also applies the writes.
 */
import { ENCODING, type LevelDatabase, type Operation, SCAN, scanRecords } from './database.ts';
import { put } from './derived-records.ts';
import { FAULTS, type Fault, type FaultKind } from './faults.ts';
import { KEY_BYTES, KIND, rangeOf } from './keys.ts';
import { RecordError, unsealRecord } from './records.ts';

export type KindName = keyof typeof KIND;

/** A record read by key. `bad` has been noted as a fault already. */
export type Found<T> = { readonly kind: 'good'; readonly value: T } | { readonly kind: 'missing' | 'bad' };

/**
 * Reads, and writes nothing: who examines applies `fixes` afterwards, or does not. What LevelDB cannot read is a
 * fault like any other; errors that are not LevelDB's are thrown.
 */
export class Examination {
  readonly db: LevelDatabase;
  readonly faults: Fault[] = [];
  /** The writes that mend what was found, by key; a later one for the same key counts. */
  readonly #fixes = new Map<string, Operation>();
  readonly #bad = new Set<string>();
  /** LevelDB could not read some of its files: what is missing may be there still. */
  isUnreadable = false;
  /** What this node remembers of its votes may be gone, or older than it was. */
  isGuardDoubtful = false;

  constructor(db: LevelDatabase) {
    this.db = db;
  }

  fault(kind: FaultKind, detail: string): void {
    this.faults.push({ kind, detail, repair: FAULTS[kind] });
  }

  put(key: Uint8Array, payload: Uint8Array): void {
    this.#fixes.set(textOf(key), put(key, payload));
  }

  remove(key: Uint8Array): void {
    this.#fixes.set(textOf(key), { type: 'del', key });
  }

  get fixes(): readonly Operation[] {
    return [...this.#fixes.values()];
  }

  /** Every good record of a kind in key order; the others become faults and are removed. */
  async *records<T>(
    kind: KindName,
    decode: (payload: Uint8Array, key: Uint8Array) => T,
  ): AsyncGenerator<{ readonly key: Uint8Array; readonly value: T }> {
    try {
      for await (const [key, record] of scanRecords(this.db, rangeOf(KIND[kind]))) {
        if (!this.#hasItsLength(kind, key)) continue;
        let value: T;
        try {
          value = decode(unsealRecord(key, record), key);
        } catch (error) {
          if (!(error instanceof RecordError)) throw error;
          this.bad(kind, key, error.message);
          continue;
        }
        yield { key, value };
      }
    } catch (error) {
      this.#unreadable(kind, error);
    }
  }

  /** Every key of a kind. */
  async *keys(kind: KindName): AsyncGenerator<Uint8Array> {
    try {
      for await (const key of this.db.keys({ ...SCAN, ...rangeOf(KIND[kind]) })) {
        if (this.#hasItsLength(kind, key)) yield key;
      }
    } catch (error) {
      this.#unreadable(kind, error);
    }
  }

  async get<T>(kind: KindName, key: Uint8Array, decode: (payload: Uint8Array) => T): Promise<Found<T>> {
    try {
      const record = await this.db.get(key, ENCODING);
      if (record === undefined) return { kind: 'missing' };
      return { kind: 'good', value: decode(unsealRecord(key, record)) };
    } catch (error) {
      if (error instanceof RecordError) this.bad(kind, key, error.message);
      else this.#unreadable(kind, error);
      return { kind: 'bad' };
    }
  }

  /** A record that does not say what was written. */
  bad(kind: KindName, key: Uint8Array, why: string): void {
    const text = textOf(key);
    if (this.#bad.has(text)) return; // read twice
    this.#bad.add(text);
    const name = kind === 'guard' ? 'guard-unreadable' : kind === 'peers' ? 'peers-unreadable' : 'bad-record';
    this.fault(name, `${kind} record ${hex(key)}: ${why}`);
    this.remove(key);
    // A key of a guard's length may be a guard's with a bit flipped, and what stands there now an older one.
    if (key.length === KEY_BYTES.guard) this.isGuardDoubtful = true;
  }

  /** Keys that belong to no kind. */
  async findUnknown(): Promise<void> {
    const [lowest, highest] = [Math.min(...Object.values(KIND)), Math.max(...Object.values(KIND))];
    try {
      for (const range of [{ lt: Uint8Array.of(lowest) }, { gte: Uint8Array.of(highest + 1) }]) {
        for await (const key of this.db.keys({ ...SCAN, ...range })) this.#unknown(key);
      }
    } catch (error) {
      this.#unreadable('meta', error);
    }
  }

  #hasItsLength(kind: KindName, key: Uint8Array): boolean {
    if (key.length === KEY_BYTES[kind]) return true;
    this.#unknown(key);
    return false;
  }

  #unknown(key: Uint8Array): void {
    this.fault('unknown-record', `${hex(key)} is no key that this schema knows`);
    this.remove(Uint8Array.from(key));
    this.isGuardDoubtful = true;
  }

  #unreadable(kind: KindName, error: unknown): void {
    if (!(error instanceof Error) || !('code' in error) || !String(error.code).startsWith('LEVEL_')) throw error;
    this.fault('unreadable', `${kind} records: ${error.message}`);
    this.isUnreadable = true;
    this.isGuardDoubtful = true;
  }
}

/** Bytes as the key of a map. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** For messages; lower case. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
