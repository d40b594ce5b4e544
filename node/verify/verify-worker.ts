/**
 * A verifying thread: takes batches of packed items, answers one byte each. Between slices of a millisecond or so it
 * looks at its port, so that an urgent batch waits for no bulk one that came before. Runs as a worker of
 * `verify-thread.ts`.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type BackendName, loadSignatureBackend } from '../../crypto/load-backend.ts';
import { createSystemClock } from '../adapters.ts';
import { PACKED_ITEM_BYTES, unpackItem } from './packed-items.ts';
import type { BatchReply, BatchRequest } from './verify-thread.ts';

const SLICE_MS = 1;

interface Batch {
  readonly id: number;
  readonly packed: Uint8Array;
  readonly results: Uint8Array<ArrayBuffer>;
  done: number;
  elapsedMs: number;
}

const port = parentPort;
if (port === null) throw new Error('verify-worker.ts runs as a worker thread only');
const { backend } = await loadSignatureBackend((workerData as { backend: BackendName }).backend);
const clock = createSystemClock();
const lanes = { urgent: [] as Batch[], bulk: [] as Batch[] };

function take({ id, priority, items }: BatchRequest): void {
  const packed = new Uint8Array(items);
  const results = new Uint8Array(packed.length / PACKED_ITEM_BYTES);
  lanes[priority].push({ id, packed, results, done: 0, elapsedMs: 0 });
}

/** Checks items of the batch for a slice's time; true when it is done. */
function checkSlice(batch: Batch): boolean {
  const begin = clock.monotonicMs();
  let elapsedMs = 0;
  while (batch.done < batch.results.length && elapsedMs < SLICE_MS) {
    batch.results[batch.done] = backend.verify(unpackItem(batch.packed, batch.done)) ? 1 : 0;
    batch.done += 1;
    elapsedMs = clock.monotonicMs() - begin;
  }
  batch.elapsedMs += elapsedMs;
  return batch.done === batch.results.length;
}

port.on('message', (request: BatchRequest) => {
  take(request);
  for (;;) {
    const lane = lanes.urgent.length > 0 ? lanes.urgent : lanes.bulk;
    const batch = lane[0];
    if (batch === undefined) return;
    if (checkSlice(batch)) {
      lane.shift();
      const reply: BatchReply = { id: batch.id, results: batch.results.buffer, elapsedMs: batch.elapsedMs };
      port.postMessage(reply, [batch.results.buffer]);
    }
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      take(next.message as BatchRequest);
    }
  }
});
