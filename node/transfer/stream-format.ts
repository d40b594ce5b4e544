/**
 * A chain as one stream of bytes, version 1; numbers are big-endian.
 *
 * | part     | bytes                                                                            |
 * |----------|----------------------------------------------------------------------------------|
 * | magic    | `GVEXPORT` in ASCII, version u16 = 1                                             |
 * | genesis  | chain id 32, length u32, the genesis document: canonical JSON in UTF-8           |
 * | frames   | type u8, length u32, content                                                     |
 * | — 1      | a block (`docs/PROTOCOL.md`): the main chain from height 1, rising               |
 * | — 2      | a certificate (`node/store/records.ts`), right after its target's block          |
 * | — 3      | the last frame: tip height u64 and id 32, final height u64 and id 32             |
 * | checksum | SHA-256 of everything before it                                                  |
 *
 * The checksum finds damage, not malice: whoever imports checks every rule again.
 */
import { createHash } from 'node:crypto';
import { blockIdFromBytes, blockIdToBytes, chainIdFromBytes, chainIdToBytes } from '../../chain/codec.ts';
import { type Genesis, GenesisError, MAX_LINK_VOTES, parseGenesis } from '../../chain/genesis.ts';
import { MAX_BLOCK_BYTES, VOTE_BYTES } from '../../chain/params.ts';
import type { Checkpoint } from '../../chain/types.ts';
import { ByteReader, ByteWriter } from '../../chain/wire.ts';
import { equalBytes } from '../../crypto/bytes.ts';

const MAGIC = new TextEncoder().encode('GVEXPORT');
const VERSION = 1;
const SUM_BYTES = 32;
const MAX_GENESIS_BYTES = 4 * 1024 * 1024;
const CHECKPOINT_BYTES = 40;
/** Of the two electorates that a link needs; a list of voters is shorter. */
const MAX_CERTIFICATE_BYTES = 84 + MAX_LINK_VOTES * VOTE_BYTES;

const FRAME = { block: 1, certificate: 2, end: 3 } as const;
const MAX_FRAME_BYTES: Readonly<Record<number, number>> = {
  [FRAME.block]: MAX_BLOCK_BYTES,
  [FRAME.certificate]: MAX_CERTIFICATE_BYTES,
  [FRAME.end]: 2 * CHECKPOINT_BYTES,
};

export type Frame =
  | { readonly kind: 'block' | 'certificate'; readonly content: Uint8Array }
  | { readonly kind: 'end'; readonly tip: Checkpoint; readonly final: Checkpoint };

/** The stream is not one, is cut short or damaged, or breaks a rule; `code` says which. */
export class TransferError extends Error {
  readonly code: 'import/malformed' | 'import/wrong-chain' | 'import/invalid' | 'export/pruned' | 'export/empty';

  constructor(code: TransferError['code'], message: string) {
    super(message);
    this.name = 'TransferError';
    this.code = code;
  }
}

/** Makes the stream, part by part. */
export class StreamEncoder {
  readonly #hash = createHash('sha256');

  start(genesis: Genesis): Uint8Array {
    const doc = new TextEncoder().encode(JSON.stringify(genesis.doc));
    const writer = new ByteWriter(MAGIC.length + 38 + doc.length).raw(MAGIC).u16(VERSION);
    return this.#hashed(writer.raw(chainIdToBytes(genesis.chainId), 32).u32(doc.length).raw(doc).bytes);
  }

  block(bytes: Uint8Array): Uint8Array {
    return this.#frame(FRAME.block, bytes);
  }

  certificate(bytes: Uint8Array): Uint8Array {
    return this.#frame(FRAME.certificate, bytes);
  }

  /** The last frame and the checksum. */
  end(tip: Checkpoint, final: Checkpoint): Uint8Array {
    const writer = new ByteWriter(2 * CHECKPOINT_BYTES);
    for (const { height, id } of [tip, final]) writer.u64(height).raw(blockIdToBytes(id), 32);
    const frame = this.#frame(FRAME.end, writer.bytes);
    return Buffer.concat([frame, this.#hash.digest()]);
  }

  #frame(type: number, content: Uint8Array): Uint8Array {
    return this.#hashed(new ByteWriter(5 + content.length).u8(type).u32(content.length).raw(content).bytes);
  }

  #hashed(bytes: Uint8Array): Uint8Array {
    this.#hash.update(bytes);
    return bytes;
  }
}

/** Reads the stream, part by part; keeps no more of it than one frame. Throws TransferError `import/malformed`. */
export class StreamDecoder {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #hash = createHash('sha256');
  #buffer: Uint8Array = new Uint8Array();
  /** Read so far. */
  bytes = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  async genesis(): Promise<Genesis> {
    const magic = await this.#take(MAGIC.length);
    if (!equalBytes(magic, MAGIC)) throw malformed('it does not begin as an exported chain does');
    const version = new ByteReader(await this.#take(2)).u16();
    if (version !== VERSION) throw malformed(`it has version ${version}; this program reads version ${VERSION}`);
    const stated = chainIdFromBytes(await this.#take(32));
    const length = new ByteReader(await this.#take(4)).u32();
    if (length > MAX_GENESIS_BYTES) throw malformed(`its genesis document would have ${length} bytes`);
    const text = new TextDecoder().decode(await this.#take(length));
    let genesis: Genesis;
    try {
      genesis = parseGenesis(JSON.parse(text));
    } catch (error) {
      if (!(error instanceof GenesisError || error instanceof SyntaxError)) throw error;
      throw malformed(`its genesis document is not one: ${error.message}`);
    }
    if (genesis.chainId !== stated) throw malformed(`its genesis makes chain ${genesis.chainId}, it says ${stated}`);
    return genesis;
  }

  async frame(): Promise<Frame> {
    const head = new ByteReader(await this.#take(5));
    const type = head.u8();
    const length = head.u32();
    const most = MAX_FRAME_BYTES[type];
    if (most === undefined) throw malformed(`a frame of unknown type ${type} at byte ${this.bytes - 5}`);
    if (length > most) throw malformed(`a frame of ${length} bytes at byte ${this.bytes - 5}`);
    const content = await this.#take(length);
    if (type !== FRAME.end) return { kind: type === FRAME.block ? 'block' : 'certificate', content };
    if (length !== 2 * CHECKPOINT_BYTES) throw malformed(`its last frame has ${length} bytes`);
    const reader = new ByteReader(content);
    const read = (): Checkpoint => ({ height: reader.u64(), id: blockIdFromBytes(reader.raw(32)) });
    return { kind: 'end', tip: read(), final: read() };
  }

  /** After the last frame: the checksum, and nothing more. */
  async end(): Promise<void> {
    const sum = this.#hash.digest();
    const stated = await this.#read(SUM_BYTES);
    if (!equalBytes(stated, sum)) throw malformed('its checksum is wrong');
    if (this.#buffer.length > 0 || !(await this.#chunks.next()).done) throw malformed('something follows its checksum');
  }

  async #take(count: number): Promise<Uint8Array> {
    const bytes = await this.#read(count);
    this.#hash.update(bytes);
    return bytes;
  }

  async #read(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [this.#buffer];
    let have = this.#buffer.length;
    while (have < count) {
      const { done, value } = await this.#chunks.next();
      if (done === true) throw malformed(`it is cut short at byte ${this.bytes + have}`);
      parts.push(value);
      have += value.length;
    }
    const all = parts.length === 1 ? this.#buffer : Buffer.concat(parts);
    this.#buffer = all.subarray(count);
    this.bytes += count;
    return all.subarray(0, count);
  }
}

function malformed(what: string): TransferError {
  return new TransferError('import/malformed', `the stream can't be imported: ${what}`);
}
