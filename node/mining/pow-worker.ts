/** The mining thread. Runs as a worker of `pow-solver.ts`. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { createSystemClock } from '../adapters.ts';
import { NonceGrinder, type SolverJob } from './nonce-grinder.ts';

const port = parentPort;
if (port === null) throw new Error('pow-worker.ts runs as a worker thread only');
const grinder = new NonceGrinder({
  budget: (workerData as { budget: number }).budget,
  clock: createSystemClock(),
  usedMs() {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
  say: (reply) => port.postMessage(reply),
  nextJob: () => receiveMessageOnPort(port)?.message as SolverJob | undefined,
});
port.on('message', (message: SolverJob) => grinder.post(message));
