/**
 * Encryption of connections by Noise.
 *
 * The library, as of @libp2p/noise 17, looks after each frame for the length of the next one, and where there is none yet it
 * throws and catches an error, once for each chunk that the socket hands over. What that costs is its stack trace: 2 to 4 %
 * of a node's main thread. Here it is one error, made once.
 */
import type { ConnectionEncrypter } from '@libp2p/interface';
import { type NoiseComponents, noise } from '@libp2p/noise';
import { countSocketBytes, type SocketBytes } from './socket-bytes.ts';
import { writeWhole } from './socket-writes.ts';

/** What noise's connections have beyond their published interface. */
interface NoiseConnection {
  readonly decoder?: { lengthDecoder?: (bytes: FrameBytes) => number };
}

/** A `Uint8Array`, or the list of them that libp2p's streams hand on. */
type FrameBytes = Uint8Array | { readonly byteLength: number; getUint16(offset: number): number };

const LENGTH_BYTES = 2;

/** Thrown again and again: whoever catches it reads more, nobody reads where it comes from. */
const INCOMPLETE = new RangeError('the length of a frame has not come in full');

/**
 * Encrypts connections by Noise (XX, ChaCha20-Poly1305).
 *
 * @param bytes of their sockets, counted up
 * @param maxWriteBufferBytes that wait for a peer that does not read: beyond it its connection is closed
 */
export function noiseEncryption(
  bytes: SocketBytes,
  maxWriteBufferBytes: number,
): (components: NoiseComponents) => ConnectionEncrypter {
  const create = noise();
  return (components) => {
    const encrypter = create(components);
    for (const method of ['secureInbound', 'secureOutbound'] as const) {
      const secure = encrypter[method].bind(encrypter);
      encrypter[method] = async (socket, options) => {
        countSocketBytes(socket, bytes);
        writeWhole(socket);
        const secured = await secure(socket, options);
        expectFrames(secured.connection);
        boundWrites(secured.connection, maxWriteBufferBytes);
        return secured;
      };
    }
    return encrypter;
  };
}

/** @throws Error where noise is not built as this version expects */
function expectFrames(connection: object): void {
  const { decoder } = connection as NoiseConnection;
  if (typeof decoder?.lengthDecoder !== 'function') throw new Error('noise has changed: it decodes no lengths');
  decoder.lengthDecoder = frameLength;
}

/**
 * A stream's data waits for its window, but what a muxer says itself, such as answers to pings, waits here.
 *
 * @throws Error where libp2p's streams are not built as this version expects
 */
function boundWrites(connection: object, maxWriteBufferBytes: number): void {
  if (!('maxWriteBufferLength' in connection))
    throw new Error('libp2p has changed: its connections have no such bound');
  connection.maxWriteBufferLength = maxWriteBufferBytes;
}

/**
 * The length of a frame: two bytes, the higher first.
 *
 * @throws RangeError where there are fewer bytes; always the same one
 */
export function frameLength(bytes: FrameBytes): number {
  if (bytes.byteLength < LENGTH_BYTES) throw INCOMPLETE;
  return bytes instanceof Uint8Array ? (bytes[0]! << 8) | bytes[1]! : bytes.getUint16(0);
}
