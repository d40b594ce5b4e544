import { expect, it } from 'vitest';
import { createMetrics } from '../../../node/metrics.ts';

it('internal errors are a series from the start, at zero: the first one is a rise that an alert sees', async () => {
  const { registry } = createMetrics({ processMetrics: false });
  expect(await registry.metrics()).toContain('grapevine_internal_errors_total{where="service"} 0');
});
