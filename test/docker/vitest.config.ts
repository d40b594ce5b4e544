import { defineConfig } from 'vitest/config';

/** Apart from `npm test`: this one needs a container engine. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/docker/**/*.test.ts'],
    allowOnly: false,
    expect: { requireAssertions: true },
    pool: 'forks',
    fileParallelism: false,
    // One step depends on the one before it: after a failure the rest would only wait for their deadlines.
    bail: 1,
    testTimeout: 300_000,
    // Building the image installs the dependencies inside.
    hookTimeout: 600_000,
  },
});
