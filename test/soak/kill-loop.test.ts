import { expect, test } from 'vitest';
import { runKillLoop } from './kill-loop.ts';

const ITERATIONS = 50;
const SEED = 20_240_601;

test(`${ITERATIONS} kills of a real node under load lose nothing that it had acknowledged`, async () => {
  const report = await runKillLoop({ iterations: ITERATIONS, seed: SEED });
  expect(report.losses, `seed ${SEED}, ${report.directory}`).toEqual([]);
  // The loop has had something to lose.
  expect(report.blocks).toBeGreaterThan(ITERATIONS);
  expect(report.transactions).toBeGreaterThan(ITERATIONS);
  expect(report.votes).toBeGreaterThan(10);
  expect(report.finals).toBeGreaterThan(10);
  expect(report.killedStarting).toBeGreaterThan(0);
});
