/** A verifying thread: takes batches of packed items, answers one byte each. Runs as a worker of `verify-thread.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { type BackendName, loadSignatureBackend } from '../../crypto/load-backend.ts';
import { createSystemClock } from '../adapters.ts';
import { PACKED_ITEM_BYTES, unpackItem } from './packed-items.ts';
import type { BatchReply, BatchRequest } from './verify-thread.ts';

const port = parentPort;
if (port === null) throw new Error('verify-worker.ts runs as a worker thread only');
const { backend } = await loadSignatureBackend((workerData as { backend: BackendName }).backend);
const clock = createSystemClock();

port.on('message', ({ id, items }: BatchRequest) => {
  const begin = clock.monotonicMs();
  const packed = new Uint8Array(items);
  const results = new Uint8Array(packed.length / PACKED_ITEM_BYTES);
  for (let i = 0; i < results.length; i++) results[i] = backend.verify(unpackItem(packed, i)) ? 1 : 0;
  const reply: BatchReply = { id, results: results.buffer, elapsedMs: clock.monotonicMs() - begin };
  port.postMessage(reply, [results.buffer]);
});
