import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Nothing here retries: a test that fails now and then is a bug in the test or in the node. */
export default defineConfig({
  test: {
    allowOnly: false,
    globalSetup: ['test/prepare.ts'],
    expect: { requireAssertions: true },
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/{unit,property,sim}/**/*.test.ts'],
          pool: 'threads',
          // Vitest leaves a core to itself, which is half of a machine with two, and needs a tenth of it.
          maxWorkers: availableParallelism(),
          // Property tests over whole chains take seconds, and ten times as long on a machine that is short of cores.
          testTimeout: 90_000,
          hookTimeout: 90_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // Each file starts several nodes that mine: two files at a time fill two cores.
          pool: 'forks',
          maxWorkers: 2,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'soak',
          include: ['test/soak/**/*.test.ts'],
          pool: 'forks',
          testTimeout: 600_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
