import { expect, test } from 'vitest';
import { accept, ignore, reject } from '../../../chain/verdict.ts';
import { createMetrics } from '../../../node/metrics.ts';
import { type OutcomeVerdict, settleOutcome } from '../../../node/pipeline/outcome.ts';
import type { TopicKind } from '../../../node/ports.ts';
import { silentLogger } from '../../loggers.ts';

async function settled(kind: TopicKind, verdict: OutcomeVerdict) {
  const calls: string[] = [];
  const metrics = createMetrics({ processMetrics: false });
  const message = { kind, from: 'peer', data: new Uint8Array(), settle: (outcome: string) => calls.push(outcome) };
  settleOutcome({ metrics, logger: silentLogger }, message, verdict);
  return { calls, counts: (await metrics.verdicts.get()).values };
}

test('accept: forwarded, counted', async () => {
  const { calls, counts } = await settled('block', accept(0));
  expect(calls).toEqual(['accept']);
  expect(counts).toMatchObject([{ value: 1, labels: { kind: 'block', verdict: 'accept', reason: '' } }]);
});

test('ignore: not forwarded, counted with its reason', async () => {
  const { calls, counts } = await settled('vote', ignore('vote/too-old'));
  expect(calls).toEqual(['ignore']);
  expect(counts).toMatchObject([{ value: 1, labels: { kind: 'vote', verdict: 'ignore', reason: 'vote/too-old' } }]);
});

test.each([
  ['tx', 'batch/bad-tx'],
  ['vote', 'vote/bad-signature'],
  ['block', 'block/bad-pow'],
] as const)(
  'reject of a %s: not forwarded, counted, and the network told so that the sender pays',
  async (kind, reason) => {
    const { calls, counts } = await settled(kind, reject(reason));
    expect(calls).toEqual(['reject']);
    // A message on the topic `tx` is a batch; its transactions are counted each by itself.
    const counted = kind === 'tx' ? 'batch' : kind;
    expect(counts).toMatchObject([{ value: 1, labels: { kind: counted, verdict: 'reject', reason } }]);
  },
);
