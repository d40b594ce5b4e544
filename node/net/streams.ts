/** Length-prefixed frames over libp2p streams. */
import type { Stream } from '@libp2p/interface';
import { decode, encode } from 'it-length-prefixed';
import { pipe } from 'it-pipe';
import type { Uint8ArrayList } from 'uint8arraylist';
import type { Clock, FrameStream, PeerKey, StreamProtocol } from '../ports.ts';

export interface FrameStreamOptions {
  /**
   * A read or write that makes no progress for this long aborts the stream. Waiting for nothing costs nothing, and where
   * the protocol's streams stay open it lasts until the next frame begins: the pings find a dead connection.
   */
  readonly inactivityMs: number;
  /** How long `close` waits for the last bytes to leave. */
  readonly closeMs: number;
}

/** Reading pauses when this much is waiting for the consumer, and goes on below the low mark. */
const HIGH_WATER_BYTES = 256 * 1024;
const LOW_WATER_BYTES = 64 * 1024;
const MAX_PREFIX_BYTES = 4;

/**
 * Wraps a stream that was just opened. Reads from the first moment, so that nothing is missed, into a bounded buffer:
 * past `HIGH_WATER_BYTES` the stream is paused, yamux's window fills and the peer has to wait.
 *
 * libp2p's own iterator buffers without bound, its `onDrain` works only once per stream, and a connection that dies
 * ends the iteration as if all had been said: hence events, here.
 */
export function createFrameStream(
  stream: Stream,
  peer: PeerKey,
  protocol: StreamProtocol,
  clock: Clock,
  options: FrameStreamOptions,
): FrameStream {
  return new LengthPrefixedStream(stream, peer, protocol, clock, options);
}

class LengthPrefixedStream implements FrameStream {
  readonly peer: PeerKey;
  readonly frames: AsyncIterable<Uint8Array>;
  readonly #stream: Stream;
  readonly #maxFrameBytes: number;
  readonly #staysOpen: boolean;
  readonly #clock: Clock;
  readonly #options: FrameStreamOptions;
  #chunks: (Uint8Array | Uint8ArrayList)[] = [];
  #bufferedBytes = 0;
  /** Of the frame that has begun. */
  #undecodedBytes = 0;
  #resuming = false;
  /** The peer has said that no more will come. */
  #finished: boolean;
  /** All that came has been handed over to `#chunks`. */
  #ended = false;
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(stream: Stream, peer: PeerKey, protocol: StreamProtocol, clock: Clock, options: FrameStreamOptions) {
    this.peer = peer;
    this.#stream = stream;
    this.#maxFrameBytes = protocol.maxFrameBytes;
    this.#staysOpen = protocol.staysOpen === true;
    this.#clock = clock;
    this.#options = options;
    // One frame is always taken whole; the next waits until there is room.
    const bufferBytes = 2 * protocol.maxFrameBytes + HIGH_WATER_BYTES;
    stream.maxWriteBufferLength = Math.max(stream.maxWriteBufferLength ?? 0, bufferBytes);
    this.#finished = stream.remoteWriteStatus === 'closed' && stream.status === 'open';
    this.#ended = this.#finished && stream.readableEnded;
    if (stream.status !== 'open' && stream.status !== 'closing') this.#error = new Error(`stream is ${stream.status}`);
    stream.addEventListener('message', this.#onMessage);
    stream.addEventListener('remoteCloseWrite', this.#onRemoteCloseWrite);
    stream.addEventListener('end', this.#onEnd);
    stream.addEventListener('close', this.#onClose);
    this.frames = this.#readFrames();
  }

  async send(frame: Uint8Array): Promise<void> {
    if (frame.byteLength > this.#maxFrameBytes) {
      throw new RangeError(`frame of ${frame.byteLength} bytes is over ${this.#maxFrameBytes}`);
    }
    const sent = this.#sending.then(() => this.#sendOne(frame));
    this.#sending = sent.catch(() => undefined); // each caller sees the failure of its own frame
    return sent;
  }

  async close(): Promise<void> {
    await this.#sending;
    if (this.#stream.status !== 'open') return;
    const controller = new AbortController();
    const cancel = this.#clock.after(this.#options.closeMs, () => controller.abort(new Error('close timed out')));
    try {
      await this.#stream.close({ signal: controller.signal });
    } catch (error) {
      this.abort(error as Error);
    } finally {
      cancel();
    }
  }

  abort(error: Error): void {
    this.#fail(error);
    this.#stream.abort(error);
  }

  async *#readFrames(): AsyncGenerator<Uint8Array> {
    const options = { maxDataLength: this.#maxFrameBytes };
    try {
      for await (const frame of pipe(this.#readChunks(), (source) => decode(source, options))) {
        this.#undecodedBytes -= prefixBytes(frame.byteLength) + frame.byteLength;
        yield frame.slice(); // a view would keep the whole chunk in memory for as long as the frame
      }
    } catch (error) {
      this.abort(error as Error);
      throw error;
    }
  }

  async *#readChunks(): AsyncGenerator<Uint8Array | Uint8ArrayList> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#bufferedBytes -= chunk.byteLength;
          this.#undecodedBytes += chunk.byteLength;
          if (this.#bufferedBytes <= LOW_WATER_BYTES) this.#resume();
          yield chunk;
          continue;
        }
        if (this.#error !== undefined) throw this.#error;
        if (this.#ended) return;
        const isIdle = this.#staysOpen && this.#undecodedBytes === 0;
        await this.#progress(isIdle ? undefined : this.#options.inactivityMs, (wake) => {
          this.#wakeReader = wake;
          return () => {
            this.#wakeReader = undefined;
          };
        });
      }
    } finally {
      this.#stopReading();
    }
  }

  async #sendOne(frame: Uint8Array): Promise<void> {
    await this.#writable();
    this.#stream.send(encode.single(frame, { maxDataLength: this.#maxFrameBytes }));
    await this.#writable();
  }

  async #writable(): Promise<void> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      if (!this.#stream.writableNeedsDrain) return;
      await this.#progress(this.#options.inactivityMs, (wake) => {
        this.#stream.addEventListener('drain', wake);
        this.#stream.addEventListener('close', wake);
        return () => {
          this.#stream.removeEventListener('drain', wake);
          this.#stream.removeEventListener('close', wake);
        };
      });
    }
  }

  /**
   * Waits for one event, or aborts the stream when it does not come in time; the caller looks what happened.
   * @param limitMs undefined: however long it takes
   */
  async #progress(limitMs: number | undefined, listen: (wake: () => void) => () => void): Promise<void> {
    let unlisten: (() => void) | undefined;
    let cancel: (() => void) | undefined;
    try {
      await new Promise<void>((resolve) => {
        unlisten = listen(() => resolve());
        if (limitMs === undefined) return;
        cancel = this.#clock.after(limitMs, () => {
          this.abort(new Error(`no progress for ${limitMs} ms`));
          resolve();
        });
      });
    } finally {
      cancel?.();
      unlisten?.();
    }
  }

  readonly #onMessage = (event: { readonly data: Uint8Array | Uint8ArrayList }): void => {
    this.#chunks.push(event.data);
    this.#bufferedBytes += event.data.byteLength;
    if (this.#staysOpen && this.#bufferedBytes > 2 * (this.#maxFrameBytes + MAX_PREFIX_BYTES)) {
      // Nobody may be reading for minutes, and what comes in pieces of a byte takes many times as much memory.
      this.abort(new Error('more than was asked for'));
      return;
    }
    this.#pauseWhenFull();
    this.#wakeReader?.();
  };

  readonly #onRemoteCloseWrite = (): void => {
    this.#finished = true;
  };

  readonly #onEnd = (): void => {
    if (!this.#finished) return; // 'close' follows and says why
    this.#ended = true;
    this.#wakeReader?.();
  };

  readonly #onClose = (event: { readonly error?: Error }): void => {
    if (event.error !== undefined) this.#fail(event.error);
    else if (!this.#finished && !this.#ended) this.#fail(new Error('the connection closed before the stream ended'));
    else {
      this.#resume(); // hands over what was held back by the pause
      this.#ended = true;
      this.#wakeReader?.();
    }
    this.#detach();
  };

  #pauseWhenFull(): void {
    // Not from within resume(): it would go on to reopen yamux's window of a stream that is paused.
    if (this.#resuming || this.#bufferedBytes < HIGH_WATER_BYTES || this.#stream.readStatus !== 'readable') return;
    this.#stream.pause();
  }

  #resume(): void {
    if (this.#stream.readStatus !== 'paused' || this.#resuming) return;
    this.#resuming = true;
    try {
      this.#stream.resume();
    } catch {
      // the muxer is gone: what was buffered has been handed over, and 'close' says the rest
    } finally {
      this.#resuming = false;
    }
    this.#pauseWhenFull();
  }

  /** What was received before the failure is not delivered: a reset says nothing about what is missing. */
  #fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#chunks = [];
    this.#bufferedBytes = 0;
    this.#wakeReader?.();
  }

  /** The consumer wants no more: what still comes is discarded by the stream. */
  #stopReading(): void {
    this.#stream.removeEventListener('message', this.#onMessage);
    this.#chunks = [];
    this.#bufferedBytes = 0;
    this.#ended = true;
    this.#resume();
    void this.#stream.closeRead().catch(() => undefined);
  }

  #detach(): void {
    this.#stream.removeEventListener('message', this.#onMessage);
    this.#stream.removeEventListener('remoteCloseWrite', this.#onRemoteCloseWrite);
    this.#stream.removeEventListener('end', this.#onEnd);
    this.#stream.removeEventListener('close', this.#onClose);
  }
}

/** What a length takes before its frame: seven bits a byte, the fewest. The decoder counts a longer form as this too. */
function prefixBytes(length: number): number {
  let bytes = 1;
  for (let rest = length >> 7; rest > 0; rest >>= 7) bytes += 1;
  return bytes;
}
