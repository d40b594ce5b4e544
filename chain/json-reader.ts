/** Reads documents as JSON.parse gives them: whatever is missing, unknown or out of its form is refused, with its place. */
import { type Address, parseAddress } from '../crypto/address.ts';
import { parseU64 } from './decimal.ts';
import { MAX_U64 } from './params.ts';

/**
 * Makes the error that a reader throws.
 * @param place e.g. `links[0].target`; empty: the document itself
 * @param problem e.g. `must be an object`
 */
export type JsonFault = (place: string, problem: string) => Error;

/** An unknown key may have millions of characters. */
const MAX_SHOWN = 40;

/**
 * Each method takes a value and its place, and gives what it holds in its type, or throws what the constructor's
 * `fault` makes. Keeps nothing between calls: one serves a whole module.
 */
export class JsonReader {
  readonly #fault: JsonFault;

  /** @param fault makes what every method throws */
  constructor(fault: JsonFault) {
    this.#fault = fault;
  }

  /**
   * A document of a format, with these keys and `format`. The format comes first: a document of another has other keys.
   */
  documentAt<K extends string>(json: unknown, format: string, keys: readonly K[]): Record<K, unknown> {
    if (this.#recordAt(json, '').format !== format) throw this.#fault('format', `must be '${format}'`);
    return this.objectAt(json, '', [...keys, 'format']);
  }

  /** An object with exactly these keys; the optional ones may be missing. */
  objectAt<K extends string, O extends string = never>(
    json: unknown,
    place: string,
    keys: readonly K[],
    optional: readonly O[] = [],
  ): Record<K, unknown> & Partial<Record<O, unknown>> {
    const record = this.#recordAt(json, place);
    const prefix = place === '' ? '' : `${place}.`;
    const known: readonly string[] = [...keys, ...optional];
    for (const key of Object.keys(record)) {
      if (!known.includes(key)) throw this.#fault(`${prefix}${key.slice(0, MAX_SHOWN)}`, 'is not a known key');
    }
    for (const key of keys) if (!Object.hasOwn(record, key)) throw this.#fault(`${prefix}${key}`, 'is missing');
    return record as Record<K, unknown> & Partial<Record<O, unknown>>;
  }

  /** @param maxLength default: any */
  arrayAt(json: unknown, place: string, maxLength = Number.POSITIVE_INFINITY): readonly unknown[] {
    if (!Array.isArray(json)) throw this.#fault(place, 'must be an array');
    if (json.length > maxLength) throw this.#fault(place, `must have at most ${maxLength} items`);
    return json;
  }

  stringAt(json: unknown, place: string): string {
    if (typeof json !== 'string') throw this.#fault(place, 'must be a string');
    return json;
  }

  booleanAt(json: unknown, place: string): boolean {
    if (typeof json !== 'boolean') throw this.#fault(place, 'must be true or false');
    return json;
  }

  integerAt(json: unknown, place: string, min: number, max: number): number {
    if (typeof json !== 'number' || !Number.isSafeInteger(json) || json < min || json > max) {
      throw this.#fault(place, `must be a whole number from ${min} to ${max}`);
    }
    return json;
  }

  /** A u64 as a decimal string. */
  u64At(json: unknown, place: string, min = 0n, max = MAX_U64): bigint {
    const value = typeof json === 'string' ? parseU64(json) : undefined;
    if (value === undefined || value < min || value > max) {
      throw this.#fault(place, `must be a decimal string from ${min} to ${max}`);
    }
    return value;
  }

  /** A bech32m address. */
  addressAt(json: unknown, place: string): Address {
    const parsed = parseAddress(this.stringAt(json, place));
    if (!parsed.ok) throw this.#fault(place, parsed.error);
    return parsed.address;
  }

  #recordAt(json: unknown, place: string): Readonly<Record<string, unknown>> {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw this.#fault(place, 'must be an object');
    }
    return json as Readonly<Record<string, unknown>>;
  }
}
