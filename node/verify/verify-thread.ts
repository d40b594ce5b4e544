/** One verifying thread, as the pool sees it. */
import { Worker } from 'node:worker_threads';
import type { VerifyPriority } from '../ports.ts';

/** Packed items (`packed-items.ts`); the buffer is transferred. */
export interface BatchRequest {
  readonly id: number;
  readonly priority: VerifyPriority;
  readonly items: ArrayBuffer;
}

/** One byte per item, 1 for a good signature. `elapsedMs`: spent on the batch by the thread. */
export interface BatchReply {
  readonly id: number;
  readonly results: ArrayBuffer;
  readonly elapsedMs: number;
}

export interface VerifyThread {
  post(batch: BatchRequest): void;
  terminate(): Promise<void>;
}

export interface VerifyThreadEvents {
  onReply(reply: BatchReply): void;
  /** The thread is gone; nothing more will be answered. Called once. */
  onExit(error: unknown): void;
}

/**
 * Starts a thread. It keeps the process alive only while it owes an answer.
 * @param backend name of a backend that loads on this machine
 */
export function spawnVerifyThread(backend: string, events: VerifyThreadEvents): VerifyThread {
  const worker = new Worker(new URL('./verify-worker.ts', import.meta.url), { workerData: { backend } });
  let owed = 0;
  let cause: unknown;
  worker.unref();
  worker.on('message', (reply: BatchReply) => {
    owed -= 1;
    if (owed === 0) worker.unref();
    events.onReply(reply);
  });
  worker.on('error', (error) => {
    cause = error;
  });
  worker.on('exit', (code) => events.onExit(cause ?? new Error(`verifying thread ended with code ${code}`)));
  return {
    post(batch) {
      owed += 1;
      worker.ref();
      worker.postMessage(batch, [batch.items]);
    },
    async terminate() {
      await worker.terminate();
    },
  };
}
