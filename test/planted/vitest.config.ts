import { defineConfig } from 'vitest/config';

/** Each bug costs two simulations in processes of their own. */
export default defineConfig({
  test: {
    include: ['test/planted/**/*.test.ts'],
    expect: { requireAssertions: true },
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
});
