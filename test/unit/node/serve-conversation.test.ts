import { expect, test } from 'vitest';
import type { FrameStream, Network } from '../../../node/ports.ts';
import { serveConversation } from '../../../node/requests/serve-conversation.ts';
import { bytesOf, type ConversationLab, openLab, TALK, textOf } from './conversation-lab.ts';

const forever = new AbortController().signal;
/** As the module has it: answered at once, and how far apart after that. */
const BURST = 20;
const INTERVAL_MS = 100;

interface Lab extends ConversationLab {
  readonly stopping: AbortController;
  readonly open: (peer: string) => Promise<Talk>;
}

interface Talk {
  readonly stream: FrameStream;
  readonly answers: string[];
  readonly ended: Promise<string>;
}

/** `me` echoes what it is told in capitals, and minds nothing but a question mark. */
async function listen(...names: readonly string[]): Promise<Lab> {
  const stopping = new AbortController();
  const lab = await openLab(names, (port, clock) => {
    if (port.self !== 'me') return;
    serveConversation({ network: port, clock, signal: stopping.signal }, TALK, async (request, stream) => {
      if (textOf(request) === '?') return 'malformed';
      await stream.send(bytesOf(textOf(request).toUpperCase()));
      return 'answered';
    });
  });
  const open = async (peer: string): Promise<Talk> => {
    const port: Network = lab.peers.get(peer)!;
    const stream = await lab.clock.runUntilSettled(port.open('me', TALK, forever), 1_000);
    const answers: string[] = [];
    const ended = (async () => {
      for await (const frame of stream.frames) answers.push(textOf(frame));
      return 'closed';
    })().catch((error: Error) => error.message);
    return { stream, answers, ended };
  };
  return { ...lab, stopping, open };
}

function flood({ stream }: Talk, count: number): void {
  for (let at = 0; at < count; at++) void stream.send(bytesOf(`a${at}`));
}

test('each request of a stream is answered, in order, until the peer closes it', async () => {
  const lab = await listen('peer');
  const talk = await lab.open('peer');
  for (const text of ['a', 'b', 'c']) {
    await talk.stream.send(bytesOf(text));
    await lab.clock.run(1_000);
  }
  await talk.stream.close();
  expect(await lab.clock.runUntilSettled(talk.ended, 1_000)).toBe('closed');
  expect(talk.answers).toEqual(['A', 'B', 'C']);
});

test('a flood is answered no faster than the bound, in order, and costs no points', async () => {
  const lab = await listen('peer');
  const talk = await lab.open('peer');
  flood(talk, 500);
  await lab.clock.run(50);
  expect(talk.answers).toHaveLength(BURST);
  for (let seconds = 1; seconds <= 3; seconds++) {
    await lab.clock.run(1_000);
    expect(talk.answers).toHaveLength(BURST + seconds * (1_000 / INTERVAL_MS));
  }
  expect(talk.answers).toEqual(talk.answers.map((_, at) => `A${at}`));
  expect(lab.trace('penalized')).toEqual([]);
});

test('who was quiet for two seconds has its burst again, and no more', async () => {
  const lab = await listen('peer');
  const talk = await lab.open('peer');
  for (const round of [1, 2, 3]) {
    flood(talk, BURST);
    await lab.clock.run(50);
    expect(talk.answers).toHaveLength(round * BURST);
    await lab.clock.run(BURST * INTERVAL_MS - 50);
  }
  await lab.clock.run(60_000);
  flood(talk, 2 * BURST);
  await lab.clock.run(50);
  expect(talk.answers).toHaveLength(4 * BURST);
});

test('the bound is one for all streams of a peer, one after the other too, and each peer has its own', async () => {
  const lab = await listen('peer', 'other');
  const [first, second] = [await lab.open('peer'), await lab.open('peer')];
  flood(first, 100);
  flood(second, 100);
  await lab.clock.run(50);
  expect(first.answers.length + second.answers.length).toBe(BURST);
  first.stream.abort(new Error('enough'));
  await lab.clock.run(50);
  const third = await lab.open('peer');
  flood(third, 100);
  await lab.clock.run(1_000);
  const answered = first.answers.length + second.answers.length + third.answers.length;
  expect(answered).toBeLessThanOrEqual(BURST + 12);
  const other = await lab.open('other');
  flood(other, 100);
  await lab.clock.run(50);
  expect(other.answers).toHaveLength(BURST);
});

test('streams that were given up with a request on them do not queue up', async () => {
  const lab = await listen('peer');
  const first = await lab.open('peer');
  flood(first, BURST);
  await lab.clock.run(50);
  for (let at = 0; at < 50; at++) {
    const talk = await lab.open('peer');
    await talk.stream.send(bytesOf('x'));
    await lab.clock.run(15);
    talk.stream.abort(new Error('given up'));
  }
  await lab.clock.run(TALK.maxInboundStreams * INTERVAL_MS);
  const answered = first.answers.length;
  flood(first, 1);
  await lab.clock.run(2 * INTERVAL_MS);
  expect(first.answers).toHaveLength(answered + 1);
});

test('a malformed request costs its sender points and the stream', async () => {
  const lab = await listen('peer');
  const talk = await lab.open('peer');
  for (const text of ['a', '?', 'b']) void talk.stream.send(bytesOf(text));
  expect(await lab.clock.runUntilSettled(talk.ended, 1_000)).toMatch(/reset/);
  expect(lab.trace('penalized').map((line) => line.split(' me ')[1])).toEqual([
    `penalized peer 20 ${TALK.name}: malformed request`,
  ]);
});

test('the stop ends what waits for its turn', async () => {
  const lab = await listen('peer');
  const talk = await lab.open('peer');
  flood(talk, 100);
  await lab.clock.run(50);
  lab.stopping.abort(new Error('stopping'));
  expect(await lab.clock.runUntilSettled(talk.ended, 50)).toMatch(/reset/);
  expect(talk.answers).toHaveLength(BURST);
});
