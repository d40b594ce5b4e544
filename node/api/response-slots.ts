/** Answers that are large, or much work: a few at once, so that whoever asks for them leaves room for everybody else. */
import type { FastifyReply } from 'fastify';
import { UsageCounter } from '../../chain/usage-counter.ts';
import { nextTurn } from '../adapters.ts';
import { SerialQueue } from '../serial-queue.ts';
import { onceClosed, type RouteDeps } from './api-app.ts';
import { Problem, retryAfter } from './problem.ts';

/** Of the routes that read blocks or list transactions. */
export interface PageRouteDeps extends RouteDeps {
  readonly pages: ResponseSlots;
}

/**
 * Bounds the answers of some routes that are in memory at once, and makes them one at a time. Not for small answers:
 * those would wait behind large ones.
 */
export class ResponseSlots {
  readonly #max: number;
  readonly #what: string;
  readonly #serial = new SerialQueue();
  readonly #maxOfAddress: number;
  #underWay = 0;
  /** Of them, each address's. */
  readonly #ofAddress = new UsageCounter<string>();

  /**
   * @param what they are, in the plural: for who is refused one
   * @param max those that wait to be made, are being made, or are on their way to who asked. One address may have all but
   * a quarter of them, and one at least: it can then not keep the others from theirs by not reading.
   */
  constructor(what: string, max: number) {
    this.#what = what;
    this.#max = max;
    this.#maxOfAddress = Math.max(1, max - Math.ceil(max / 4));
  }

  /**
   * Makes one when the ones before it are made, after a turn of the event loop. It counts until its reader has it or is
   * gone; one whose reader is gone before its turn is not made.
   *
   * @throws Problem 429 where there are as many already
   */
  async make<T>(reply: FastifyReply, make: () => Promise<T>): Promise<T> {
    const address = reply.request.ip;
    if (this.#underWay >= this.#max || this.#ofAddress.of(address) >= this.#maxOfAddress) {
      throw new Problem(429, 'overloaded', `other ${this.#what} are being made or sent; try again`, retryAfter(1));
    }
    this.#underWay += 1;
    this.#ofAddress.change(address, 1);
    const answer = this.#serial.run(async () => {
      await nextTurn();
      if (reply.raw.destroyed) throw new Problem(408, 'request-timeout', 'the client is gone');
      return make();
    });
    // Not before it is made: that goes on where the reader is gone.
    return answer.finally(() =>
      onceClosed(reply, () => {
        this.#underWay -= 1;
        this.#ofAddress.change(address, -1);
      }),
    );
  }
}
