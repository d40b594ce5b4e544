/** The client's event socket: one WebSocket, read at the consumer's pace. */
import type { SocketMessage } from '../node/api/schemas.ts';
import type { Clock } from '../node/ports.ts';

/** The node sends a heartbeat every 15 s. */
const SILENCE_MS = 45_000;
/** Events kept for a consumer that is slower than the node; beyond that the connection is begun anew. */
const MAX_PENDING_EVENTS = 10_000;
const NORMAL_CLOSURE = 1000;

/** One connection's messages, in order; ends when it does. */
export class EventFeed implements AsyncIterable<SocketMessage> {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #pending: SocketMessage[] = [];
  readonly #onAbort = () => this.#end('aborted');
  #wake: (() => void) | undefined;
  #cancelSilence: () => void = () => {};
  #ended = false;
  endedBecause = 'the connection closed';

  constructor(address: string, clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    this.#socket = new WebSocket(address);
    this.#socket.onmessage = ({ data }) => this.#onMessage(String(data));
    this.#socket.onclose = ({ code, reason }) => this.#end(reason === '' ? `closed with ${code}` : reason);
    this.#socket.onerror = () => this.#end('the connection failed');
    signal.addEventListener('abort', this.#onAbort);
    this.#expectSound();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SocketMessage, void, void> {
    for (;;) {
      const message = this.#pending.shift();
      if (message !== undefined) {
        yield message;
        continue;
      }
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#pending.length = 0;
    this.#end('closed here');
  }

  #onMessage(text: string): void {
    if (this.#ended) return;
    this.#expectSound();
    let message: SocketMessage;
    try {
      message = JSON.parse(text);
    } catch {
      this.#end('a message was not JSON');
      return;
    }
    if (this.#pending.length >= MAX_PENDING_EVENTS) {
      this.#end(`${MAX_PENDING_EVENTS} events were not taken`);
      return;
    }
    this.#pending.push(message);
    this.#wake?.();
  }

  #expectSound(): void {
    this.#cancelSilence();
    this.#cancelSilence = this.#clock.after(SILENCE_MS, () => this.#end('the node fell silent'));
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.endedBecause = why;
    this.#cancelSilence();
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#socket.close(NORMAL_CLOSURE);
    this.#wake?.();
  }
}
