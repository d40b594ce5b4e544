/**
 * The asking side of a protocol whose streams stay open: a request goes, one answer comes, any number of times. Opening a
 * stream and agreeing on its protocol is most of what a small question costs.
 */
import type { FrameStream, PeerKey, StreamProtocol } from '../ports.ts';
import { PeerFault, type RequestDeps, STALL_MS } from './exchange.ts';

/**
 * Specification: one request at a time for each peer, each answered within `stallMs` or failed, in the three ways of
 * `exchange`. A stream that was kept may have died while nobody looked: where it fails before the answer it is replaced,
 * once, within the same time. After any other failure the next request has a new one.
 *
 * Bound: one stream for each peer that was asked, from its first answer until it fails or is forgotten. Nobody reads
 * between requests, and a peer that sends more than two frames unasked loses the stream (`staysOpen`).
 */
export class Conversations {
  readonly #deps: RequestDeps;
  readonly #protocol: StreamProtocol;
  readonly #conversations = new Map<PeerKey, Conversation>();
  #isStopped = false;

  constructor(deps: RequestDeps, protocol: StreamProtocol) {
    this.#deps = deps;
    this.#protocol = protocol;
  }

  /**
   * @param decode undefined: no honest peer answers so
   * @throws PeerFault where no good answer comes; Error where the last request to the peer is still open
   */
  async ask<T>(peer: PeerKey, request: Uint8Array, decode: (answer: Uint8Array) => T | undefined): Promise<T> {
    if (this.#isStopped) throw new PeerFault('gone', `${this.#protocol.name}: stopped`);
    let conversation = this.#conversations.get(peer);
    if (conversation === undefined) {
      conversation = new Conversation(this.#deps, this.#protocol, peer);
      this.#conversations.set(peer, conversation);
    }
    try {
      return await conversation.ask(request, decode);
    } finally {
      if (conversation.isOver && this.#conversations.get(peer) === conversation) this.#conversations.delete(peer);
    }
  }

  /** The connection is gone: lets go of its stream; a request that is open fails. */
  forget(peer: PeerKey): void {
    this.#conversations.get(peer)?.end(new PeerFault('gone', `${this.#protocol.name}: disconnected`));
    this.#conversations.delete(peer);
  }

  /** Lets go of all streams; open requests fail, and so does whatever is asked from now on. */
  stop(): void {
    this.#isStopped = true;
    for (const peer of [...this.#conversations.keys()]) this.forget(peer);
  }
}

/** With one peer. Over with the first request that fails. */
class Conversation {
  readonly #deps: RequestDeps;
  readonly #protocol: StreamProtocol;
  readonly #peer: PeerKey;
  #stream: FrameStream | undefined;
  #answers: AsyncIterator<Uint8Array> | undefined;
  #opening: AbortController | undefined;
  #isAsking = false;
  #end: PeerFault | undefined;

  constructor(deps: RequestDeps, protocol: StreamProtocol, peer: PeerKey) {
    this.#deps = deps;
    this.#protocol = protocol;
    this.#peer = peer;
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  async ask<T>(request: Uint8Array, decode: (answer: Uint8Array) => T | undefined): Promise<T> {
    const { name } = this.#protocol;
    if (this.#isAsking) throw new Error(`${name}: the last request to ${this.#peer} is still open`);
    this.#isAsking = true;
    const { clock, stallMs = STALL_MS } = this.#deps;
    const cancel = clock.after(stallMs, () => this.end(new PeerFault('stalled', `${name}: no answer in time`)));
    try {
      const answer = decode(await this.#answerTo(request));
      if (answer === undefined) throw new PeerFault('invalid', `${name}: malformed answer`);
      return answer;
    } catch (error) {
      throw this.end(error instanceof PeerFault ? error : faultOf(name, error));
    } finally {
      cancel();
      this.#isAsking = false;
    }
  }

  /** @returns why it is over: the first reason stands */
  end(fault: PeerFault): PeerFault {
    if (this.#end !== undefined) return this.#end;
    this.#end = fault;
    this.#opening?.abort(fault);
    this.#drop(fault);
    return fault;
  }

  async #answerTo(request: Uint8Array): Promise<Uint8Array> {
    if (this.#stream !== undefined) {
      try {
        return await this.#send(this.#stream, request);
      } catch (error) {
        if (this.#end !== undefined) throw this.#end;
        this.#drop(error as Error);
      }
    }
    return this.#send(await this.#open(), request);
  }

  async #open(): Promise<FrameStream> {
    this.#opening = new AbortController();
    const stream = await this.#deps.network.open(this.#peer, this.#protocol, this.#opening.signal);
    this.#opening = undefined;
    this.#stream = stream;
    this.#answers = stream.frames[Symbol.asyncIterator]();
    if (this.#end !== undefined) this.#drop(this.#end); // it came as it was given up
    return stream;
  }

  async #send(stream: FrameStream, request: Uint8Array): Promise<Uint8Array> {
    await stream.send(request);
    const answer = await this.#answers!.next();
    if (answer.done === true) throw new Error('the peer ended the stream');
    return answer.value;
  }

  #drop(error: Error): void {
    this.#stream?.abort(error);
    this.#stream = undefined;
  }
}

function faultOf(name: string, error: unknown): PeerFault {
  const detail = error instanceof Error ? error.message : String(error);
  return new PeerFault('gone', `${name}: ${detail}`, { cause: error });
}
