/** Length-prefixed frames over libp2p streams. */
import type { Stream } from '@libp2p/interface';
import { decode, encode } from 'it-length-prefixed';
import { pipe } from 'it-pipe';
import type { Uint8ArrayList } from 'uint8arraylist';
import type { Clock, FrameStream, PeerKey, StreamProtocol } from '../ports.ts';
import { FrameBuffer, MAX_PREFIX_BYTES } from './frame-buffer.ts';

export interface FrameStreamOptions {
  /**
   * A read or write that makes no progress for this long aborts the stream. Waiting for nothing costs nothing, and where
   * the protocol's streams stay open it lasts until the next frame begins: the pings find a dead connection.
   */
  readonly inactivityMs: number;
  /** A frame that is not whole so long after we began to wait for the rest of it aborts the stream, however it trickles in. */
  readonly frameMs: number;
  /** How long `close` waits for the last bytes to leave. */
  readonly closeMs: number;
}

/** Reading pauses when this much is waiting for the consumer, and goes on below the low mark. */
const HIGH_WATER_BYTES = 256 * 1024;
const LOW_WATER_BYTES = 64 * 1024;

/** Who opens a stream asks, and the other answers: what each may send differs. */
export type StreamSide = 'asking' | 'answering';

/**
 * Wraps a stream that was just opened. Reads from the first moment, so that nothing is missed, into a bounded buffer:
 * past `HIGH_WATER_BYTES` the stream is paused, yamux's window fills and the peer has to wait. Who asks has no need to
 * get far ahead: past two requests it loses the stream, as a window that fills in pieces of a byte takes many times
 * as much memory.
 *
 * libp2p's own iterator buffers without bound, its `onDrain` works only once per stream, and a connection that dies
 * ends the iteration as if all had been said: hence events, here.
 */
export function createFrameStream(
  stream: Stream,
  peer: PeerKey,
  protocol: StreamProtocol,
  side: StreamSide,
  clock: Clock,
  options: FrameStreamOptions,
): FrameStream {
  return new LengthPrefixedStream(stream, peer, protocol, side, clock, options);
}

class LengthPrefixedStream implements FrameStream {
  readonly peer: PeerKey;
  readonly frames: AsyncIterable<Uint8Array>;
  readonly #stream: Stream;
  readonly #maxSentBytes: number;
  readonly #maxReceivedBytes: number;
  /** What may have come and not been read; more is a fault. */
  readonly #maxAheadBytes: number;
  readonly #staysOpen: boolean;
  readonly #clock: Clock;
  readonly #options: FrameStreamOptions;
  /** What has come and was not read. */
  readonly #buffer: FrameBuffer;
  #resuming = false;
  /** The peer has said that no more will come. */
  #finished: boolean;
  /** All that came has been handed over to `#buffer`. */
  #ended = false;
  #error: Error | undefined;
  #wakeReader: (() => void) | undefined;
  #sending: Promise<void> = Promise.resolve();

  constructor(
    stream: Stream,
    peer: PeerKey,
    protocol: StreamProtocol,
    side: StreamSide,
    clock: Clock,
    options: FrameStreamOptions,
  ) {
    const { maxRequestBytes, maxFrameBytes } = protocol;
    this.#maxReceivedBytes = side === 'asking' ? maxFrameBytes : maxRequestBytes;
    this.peer = peer;
    this.#stream = stream;
    this.#maxSentBytes = side === 'asking' ? maxRequestBytes : maxFrameBytes;
    this.#buffer = new FrameBuffer(this.#maxReceivedBytes);
    this.#staysOpen = protocol.staysOpen === true;
    const isBounded = side === 'answering' || this.#staysOpen;
    this.#maxAheadBytes = isBounded ? 2 * (this.#maxReceivedBytes + MAX_PREFIX_BYTES) : Number.POSITIVE_INFINITY;
    this.#clock = clock;
    this.#options = options;
    // One frame is always taken whole; the next waits until there is room.
    const bufferBytes = 2 * this.#maxSentBytes + HIGH_WATER_BYTES;
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
    if (frame.byteLength > this.#maxSentBytes) {
      throw new RangeError(`frame of ${frame.byteLength} bytes is over ${this.#maxSentBytes}`);
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
    const options = { maxDataLength: this.#maxReceivedBytes };
    try {
      for await (const frame of pipe(this.#readWhole(), (source) => decode(source, options))) yield frame.subarray();
    } catch (error) {
      this.abort(error as Error);
      throw error;
    }
  }

  /** Frame by frame, with their lengths. */
  async *#readWhole(): AsyncGenerator<Uint8Array> {
    const { inactivityMs, frameMs } = this.#options;
    let beganAtMs: number | undefined;
    try {
      for (;;) {
        if (this.#error !== undefined) throw this.#error;
        const frame = this.#buffer.next();
        // Of what is left, and of a frame that is not whole, the rest may come.
        if (this.#buffer.bufferedBytes <= LOW_WATER_BYTES || !this.#buffer.hasNext) this.#resume();
        if (frame !== undefined) {
          beganAtMs = undefined;
          yield frame;
          continue;
        }
        if (this.#buffer.hasNext || this.#error !== undefined) continue; // by what `resume` handed over
        const isIdle = this.#buffer.bufferedBytes === 0;
        if (this.#ended && isIdle) return;
        if (this.#ended) throw new Error('the stream ended within a frame');
        if (isIdle) {
          await this.#news(this.#staysOpen ? undefined : inactivityMs);
          continue;
        }
        beganAtMs ??= this.#clock.monotonicMs();
        const leftMs = beganAtMs + frameMs - this.#clock.monotonicMs();
        const fault = `a frame was not whole within ${frameMs} ms`;
        if (leftMs <= 0) throw new Error(fault);
        await (leftMs < inactivityMs ? this.#news(leftMs, fault) : this.#news(inactivityMs));
      }
    } finally {
      this.#stopReading();
    }
  }

  async #news(limitMs: number | undefined, fault?: string): Promise<void> {
    const listen = (wake: () => void): (() => void) => {
      this.#wakeReader = wake;
      return () => {
        this.#wakeReader = undefined;
      };
    };
    await this.#progress(limitMs, listen, fault);
  }

  async #sendOne(frame: Uint8Array): Promise<void> {
    await this.#writable();
    this.#stream.send(encode.single(frame, { maxDataLength: this.#maxSentBytes }));
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
  async #progress(
    limitMs: number | undefined,
    listen: (wake: () => void) => () => void,
    fault = `no progress for ${limitMs} ms`,
  ): Promise<void> {
    let unlisten: (() => void) | undefined;
    let cancel: (() => void) | undefined;
    try {
      await new Promise<void>((resolve) => {
        unlisten = listen(() => resolve());
        if (limitMs === undefined) return;
        cancel = this.#clock.after(limitMs, () => {
          this.abort(new Error(fault));
          resolve();
        });
      });
    } finally {
      cancel?.();
      unlisten?.();
    }
  }

  readonly #onMessage = (event: { readonly data: Uint8Array | Uint8ArrayList }): void => {
    this.#buffer.push(event.data);
    if (this.#buffer.bufferedBytes > this.#maxAheadBytes) {
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
    if (this.#resuming || this.#stream.readStatus !== 'readable') return;
    // A frame is always taken whole.
    if (this.#buffer.bufferedBytes >= HIGH_WATER_BYTES && this.#buffer.hasNext) this.#stream.pause();
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
    this.#buffer.clear();
    this.#wakeReader?.();
  }

  /** The consumer wants no more: what still comes is discarded by the stream. */
  #stopReading(): void {
    this.#stream.removeEventListener('message', this.#onMessage);
    this.#buffer.clear();
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
