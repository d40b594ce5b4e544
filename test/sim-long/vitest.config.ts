import { defineConfig } from 'vitest/config';

/** The long set: all scenarios, SIM_SEEDS seeds each (50 unless told). Minutes to hours; `npm run test:sim`. */
export default defineConfig({
  test: {
    include: ['test/sim-long/**/*.test.ts'],
    globalSetup: ['test/sim-long/summary.ts'],
    expect: { requireAssertions: true },
    pool: 'forks',
    maxWorkers: 2,
    // As tools/grapevine.js; two worlds at once leave no core to the collector's helper threads.
    execArgv: ['--max-semi-space-size=64', '--single-threaded-gc'],
    testTimeout: 7_200_000,
  },
});
