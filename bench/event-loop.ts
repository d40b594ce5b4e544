import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 1;

/** Records the p99 of the event loop's delay, ms, between now and the call of what is returned. */
export function watchLoop(into: number[]): () => void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return () => {
    histogram.disable();
    // The histogram is of the time between two ticks of the timer.
    into.push(Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS));
  };
}
