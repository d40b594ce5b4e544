import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createGossipMetricsRegister, gossipCounts } from '../../../node/net/gossip-metrics.ts';

interface Settable {
  inc(labels: object | number | undefined, value?: number): void;
  set(labels: object | number | number[], value?: number | number[]): void;
  addCollect(collect: (metric: Settable) => void): void;
}

describe('gossip metrics', () => {
  it('count copies per topic, zero where nothing came', async () => {
    const registry = new Registry();
    expect(await gossipCounts(registry)).toEqual({
      tx: { received: 0, duplicates: 0 },
      block: { received: 0, duplicates: 0 },
      vote: { received: 0, duplicates: 0 },
      evidence: { received: 0, duplicates: 0 },
    });
    const register = createGossipMetricsRegister(registry);
    const gauge = (name: string) => register.gauge({ name, help: name, labelNames: ['topic'] }) as Settable;
    const received = gauge('gossipsub_msg_received_prevalidation_total');
    const duplicates = gauge('gossipsub_pre_validation_duplicate_total');
    received.inc({ topic: 'tx' }, 3);
    received.inc({ topic: 'vote' });
    duplicates.inc({ topic: 'tx' }, 2);
    expect(await gossipCounts(registry)).toEqual({
      tx: { received: 3, duplicates: 2 },
      block: { received: 0, duplicates: 0 },
      vote: { received: 1, duplicates: 0 },
      evidence: { received: 0, duplicates: 0 },
    });
  });

  it('take values with and without labels, and collect when read', async () => {
    const registry = new Registry();
    const register = createGossipMetricsRegister(registry);
    const plain = register.gauge({ name: 'plain', help: 'plain' }) as Settable;
    plain.inc(undefined);
    plain.inc(2);
    const collected = register.gauge({ name: 'collected', help: 'collected' }) as Settable;
    collected.addCollect((metric) => metric.set(7));
    const spread = register.avgMinMax({ name: 'spread', help: 'spread' }) as Settable;
    spread.set([1, 2, 6]);
    const text = await registry.metrics();
    for (const line of ['plain 3', 'collected 7', 'spread_avg 3', 'spread_min 1', 'spread_max 6']) {
      expect(text.split('\n')).toContain(line);
    }
  });
});
