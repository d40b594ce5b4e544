import { expect, test } from 'vitest';
import { type Pace, SharedBurst } from '../../../node/requests/rate-limiter.ts';
import { serveRequests } from '../../../node/requests/serve-requests.ts';
import { bytesOf, type ConversationLab, LATENCY_MS, openLab, textOf } from './conversation-lab.ts';

const forever = new AbortController().signal;
const PACE: Pace = { burst: 3, intervalMs: 200, maxWaitMs: 500 };
const PROTOCOL = { name: '/grapevine/ask/1', maxRequestBytes: 1_000, maxFrameBytes: 1_000, maxInboundStreams: 10 };

async function listen(pace?: Pace, shared?: Pick<Pace, 'burst' | 'intervalMs'>): Promise<ConversationLab> {
  return openLab(['peer', 'other', 'third'], (port, clock) => {
    if (port.self !== 'me') return;
    const answer = async (request: Uint8Array, stream: { send(frame: Uint8Array): Promise<void> }) => {
      await stream.send(bytesOf(textOf(request).toUpperCase()));
      return 'answered' as const;
    };
    serveRequests(
      { network: port, clock, signal: forever },
      PROTOCOL,
      answer,
      pace,
      shared && new SharedBurst(clock, shared),
    );
  });
}

/** When each of so many requests, sent at once, was answered: ms from now, by rounds of the pace; or how it failed. */
async function askAll(lab: ConversationLab, peer: string, count: number): Promise<(number | string)[]> {
  const begin = lab.clock.monotonicMs();
  const asked = Array.from({ length: count }, async () => {
    const stream = await lab.peers.get(peer)!.open('me', PROTOCOL, forever);
    await stream.send(bytesOf('x'));
    for await (const _ of stream.frames) return Math.floor((lab.clock.monotonicMs() - begin) / 200) * 200;
    return 'nothing';
  });
  const outcomes = asked.map((each) => each.catch(() => 'refused'));
  return lab.clock.runUntilSettled(Promise.all(outcomes), 10_000);
}

test('a peer has so many requests answered at once and the others at its pace; what would wait too long is refused', async () => {
  const lab = await listen(PACE);
  expect(LATENCY_MS * 6).toBeLessThan(PACE.intervalMs);
  expect(await askAll(lab, 'peer', 7)).toEqual([0, 0, 0, 200, 400, 'refused', 'refused']);
  expect(await askAll(lab, 'other', 3)).toEqual([0, 0, 0]);
  expect(lab.trace('penalized')).toEqual([]);
});

test('without a pace all are answered at once', async () => {
  const lab = await listen();
  expect(await askAll(lab, 'peer', 7)).toEqual(Array(7).fill(0));
});

test('where bursts are shared, who comes when they are spent is answered at its steady pace, and not later', async () => {
  const lab = await listen(PACE, { burst: 3, intervalMs: 60_000 });
  expect(await askAll(lab, 'peer', 4)).toEqual([0, 0, 0, 200]);
  expect(await askAll(lab, 'other', 5)).toEqual([0, 0, 400, 'refused', 'refused']);
  expect(await askAll(lab, 'third', 4)).toEqual([0, 200, 400, 'refused']);
  await lab.clock.run(2_000);
  for (let round = 0; round < 5; round += 1) {
    expect(await askAll(lab, 'peer', 1)).toEqual([0]);
    await lab.clock.run(PACE.intervalMs);
  }
  await lab.clock.run(60_000);
  expect(await askAll(lab, 'third', 3)).toEqual([0, 0, 400]);
});
