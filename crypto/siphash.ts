/**
 * SipHash-2-4 (Aumasson and Bernstein, https://www.aumasson.jp/siphash/siphash.pdf): a hash of 64 bits under a key of
 * 128. Whoever does not know the key cannot choose inputs that share a hash. Checked against the paper's vectors.
 */

/** One key, many inputs. 64-bit words are pairs of 32-bit halves: bigints would be twenty times as slow. */
export class SipHash24 {
  readonly #k0Low: number;
  readonly #k0High: number;
  readonly #k1Low: number;
  readonly #k1High: number;
  #low = 0;
  #high = 0;

  /**
   * @param key 16 bytes
   * @throws RangeError for another length
   */
  constructor(key: Uint8Array) {
    if (key.length !== 16) throw new RangeError(`a SipHash key is 16 bytes, got ${key.length}`);
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
    this.#k0Low = view.getInt32(0, true);
    this.#k0High = view.getInt32(4, true);
    this.#k1Low = view.getInt32(8, true);
    this.#k1High = view.getInt32(12, true);
  }

  /** @returns the hash, a u64 */
  hash(data: Uint8Array): bigint {
    this.#run(data);
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
  }

  /** @returns the hash less its two most significant bytes, an integer below 2^48, as BIP152 has it */
  hash48(data: Uint8Array): number {
    this.#run(data);
    return (this.#high & 0xffff) * 0x1_0000_0000 + (this.#low >>> 0);
  }

  #run(data: Uint8Array): void {
    let v0l = this.#k0Low ^ 0x70736575;
    let v0h = this.#k0High ^ 0x736f6d65;
    let v1l = this.#k1Low ^ 0x6e646f6d;
    let v1h = this.#k1High ^ 0x646f7261;
    let v2l = this.#k0Low ^ 0x6e657261;
    let v2h = this.#k0High ^ 0x6c796765;
    let v3l = this.#k1Low ^ 0x79746573;
    let v3h = this.#k1High ^ 0x74656462;
    const { length } = data;
    const words = length >>> 3;
    // Every whole word, then the rest with the length in the top byte, then the end: the same round for all of them.
    for (let word = 0; word <= words + 1; word++) {
      let ml = 0;
      let mh = 0;
      let rounds = 2;
      if (word < words) {
        const at = word << 3;
        ml = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
        mh = data[at + 4]! | (data[at + 5]! << 8) | (data[at + 6]! << 16) | (data[at + 7]! << 24);
      } else if (word === words) {
        mh = length << 24;
        for (let at = words << 3; at < length; at++) {
          const shift = (at & 7) << 3;
          if (shift < 32) ml |= data[at]! << shift;
          else mh |= data[at]! << (shift - 32);
        }
      } else {
        v2l ^= 0xff;
        rounds = 4;
      }
      v3l ^= ml;
      v3h ^= mh;
      for (let round = 0; round < rounds; round++) {
        let t = (v0l >>> 0) + (v1l >>> 0);
        v0h = (v0h + v1h + (t > 0xffff_ffff ? 1 : 0)) | 0;
        v0l = t | 0;
        t = (v2l >>> 0) + (v3l >>> 0);
        v2h = (v2h + v3h + (t > 0xffff_ffff ? 1 : 0)) | 0;
        v2l = t | 0;
        let low = v1l;
        v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
        v1h = ((v1h << 13) | (low >>> 19)) ^ v0h;
        low = v3l;
        v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
        v3h = ((v3h << 16) | (low >>> 16)) ^ v2h;
        low = v0l; // by 32
        v0l = v0h;
        v0h = low;
        t = (v2l >>> 0) + (v1l >>> 0);
        v2h = (v2h + v1h + (t > 0xffff_ffff ? 1 : 0)) | 0;
        v2l = t | 0;
        t = (v0l >>> 0) + (v3l >>> 0);
        v0h = (v0h + v3h + (t > 0xffff_ffff ? 1 : 0)) | 0;
        v0l = t | 0;
        low = v1l;
        v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
        v1h = ((v1h << 17) | (low >>> 15)) ^ v2h;
        low = v3l;
        v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
        v3h = ((v3h << 21) | (low >>> 11)) ^ v0h;
        low = v2l; // by 32
        v2l = v2h;
        v2h = low;
      }
      v0l ^= ml;
      v0h ^= mh;
    }
    this.#low = v0l ^ v1l ^ v2l ^ v3l;
    this.#high = v0h ^ v1h ^ v2h ^ v3h;
  }
}
