/** A stream between two nodes in memory: two ends that hand each other frames over a link with latency. */
import type { FrameStream, PeerKey } from '../node/ports.ts';

/** How bytes get to the other end: calls `arrive` there, in order, or never where the link is gone. */
export type Carry = (bytes: number, arrive: () => void) => void;

/** A sender waits while this much has not been read at the other end. */
const WINDOW_BYTES = 256 * 1024;
const SENT = Promise.resolve();
const END: IteratorResult<Uint8Array> = { value: undefined, done: true };

interface StreamEndOptions {
  readonly peer: PeerKey;
  /** Frames longer than what their sender may send are an error at whichever end meets them first. */
  readonly maxSentBytes: number;
  readonly maxReceivedBytes: number;
  readonly carry: Carry;
  readonly onClosed: () => void;
}

/** Who waits for the next frame. */
interface Reader {
  readonly resolve: (result: IteratorResult<Uint8Array>) => void;
  readonly reject: (error: Error) => void;
}

/** One end. Built in pairs by {@link createStreamPair}. */
export class StreamEnd implements FrameStream {
  readonly peer: PeerKey;
  readonly frames: AsyncIterable<Uint8Array>;
  readonly #options: StreamEndOptions;
  readonly #inbox: Uint8Array[] = [];
  #other: StreamEnd | undefined;
  #unreadBytes = 0;
  #isWriteClosed = false;
  #isReadEnded = false;
  #isReading = true;
  #error: Error | undefined;
  #reader: Reader | undefined;
  readonly #wakeWriters: (() => void)[] = [];

  constructor(options: StreamEndOptions) {
    this.peer = options.peer;
    this.#options = options;
    // No generator: thousands of nodes read a frame here and there, and each would cost several turns.
    const frames: AsyncIterator<Uint8Array> = {
      next: () => this.#next(),
      return: async () => {
        this.#stopReading();
        return END;
      },
    };
    this.frames = { [Symbol.asyncIterator]: () => frames };
  }

  attach(other: StreamEnd): void {
    this.#other = other;
  }

  send(frame: Uint8Array): Promise<void> {
    const { carry } = this.#options;
    const fault = this.#faultOf(frame);
    if (fault !== undefined) return Promise.reject(fault);
    const other = this.#other!;
    const copy = frame.slice();
    this.#unreadBytes += copy.byteLength;
    carry(copy.byteLength, () => other.#receive(copy));
    return this.#unreadBytes > WINDOW_BYTES ? this.#untilRead() : SENT;
  }

  async #untilRead(): Promise<void> {
    do {
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
      this.#throwIfFailed();
    } while (this.#unreadBytes > WINDOW_BYTES);
  }

  /** Why it cannot be sent. */
  #faultOf(frame: Uint8Array): Error | undefined {
    const { maxSentBytes } = this.#options;
    if (frame.byteLength > maxSentBytes) {
      return new RangeError(`frame of ${frame.byteLength} bytes is over ${maxSentBytes}`);
    }
    return this.#error ?? (this.#isWriteClosed ? new Error('the stream is closed for writing') : undefined);
  }

  close(): Promise<void> {
    if (this.#isWriteClosed || this.#error !== undefined) return SENT;
    this.#isWriteClosed = true;
    const other = this.#other!;
    this.#options.carry(0, () => other.#end());
    this.#closeWhenDone();
    return SENT;
  }

  abort(error: Error): void {
    if (this.#error !== undefined || this.#isDone()) return;
    const other = this.#other!;
    this.#options.carry(0, () => other.fail(new Error('the peer reset the stream')));
    this.fail(error);
  }

  /** The stream is gone. What was received but not read is not delivered: a reset says nothing of what is missing. */
  fail(error: Error): void {
    if (this.#error !== undefined || this.#isDone()) return;
    this.#error = error;
    this.#inbox.length = 0;
    this.#reader?.reject(error);
    this.#reader = undefined;
    for (const wake of this.#wakeWriters.splice(0)) wake();
    this.#options.onClosed();
  }

  #receive(frame: Uint8Array): void {
    if (this.#error !== undefined) return;
    if (!this.#isReading) {
      this.#other!.#onRead(frame.byteLength);
      return;
    }
    if (frame.byteLength > this.#options.maxReceivedBytes) {
      this.abort(new RangeError(`frame of ${frame.byteLength} bytes is over ${this.#options.maxReceivedBytes}`));
      return;
    }
    const reader = this.#reader;
    if (reader === undefined) {
      this.#inbox.push(frame);
      return;
    }
    this.#reader = undefined;
    this.#other!.#onRead(frame.byteLength);
    reader.resolve({ value: frame, done: false });
  }

  #end(): void {
    this.#isReadEnded = true;
    this.#reader?.resolve(END);
    this.#reader = undefined;
    this.#closeWhenDone();
  }

  #onRead(bytes: number): void {
    this.#unreadBytes -= bytes;
    if (this.#unreadBytes <= WINDOW_BYTES) for (const wake of this.#wakeWriters.splice(0)) wake();
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#isReading) return Promise.resolve(END);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const frame = this.#inbox.shift();
    if (frame !== undefined) {
      this.#other!.#onRead(frame.byteLength);
      return Promise.resolve({ value: frame, done: false });
    }
    if (this.#isReadEnded) return Promise.resolve(END);
    if (this.#reader !== undefined) return Promise.reject(new Error('somebody reads the stream already'));
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** The reader wants no more: what still comes is dropped, and does not fill the window. */
  #stopReading(): void {
    this.#isReading = false;
    this.#reader?.resolve(END);
    this.#reader = undefined;
    for (const frame of this.#inbox.splice(0)) this.#other!.#onRead(frame.byteLength);
  }

  #isDone(): boolean {
    return this.#isWriteClosed && this.#isReadEnded && this.#error === undefined && this.#inbox.length === 0;
  }

  #closeWhenDone(): void {
    if (this.#isWriteClosed && this.#isReadEnded) this.#options.onClosed();
  }

  #throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}

/** Both ends of a new stream. `opener.peer` is the acceptor and the other way round. */
export function createStreamPair(
  opener: StreamEndOptions,
  acceptor: StreamEndOptions,
): readonly [opener: StreamEnd, acceptor: StreamEnd] {
  const ends = [new StreamEnd(opener), new StreamEnd(acceptor)] as const;
  ends[0].attach(ends[1]);
  ends[1].attach(ends[0]);
  return ends;
}
