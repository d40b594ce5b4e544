import { defineConfig } from 'vitest/config';

/** The long set: all scenarios, SIM_SEEDS seeds each (50 unless told). Minutes to hours; `npm run test:sim`. */
export default defineConfig({
  test: {
    include: ['test/sim-long/**/*.test.ts'],
    globalSetup: ['test/sim-long/summary.ts'],
    expect: { requireAssertions: true },
    pool: 'forks',
    maxWorkers: 2,
    execArgv: ['--max-semi-space-size=64'], // as tools/grapevine.js
    testTimeout: 7_200_000,
  },
});
