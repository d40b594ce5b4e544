import { describe, expect, test } from 'vitest';
import type { FrameStream, Network } from '../../../node/ports.ts';
import { Conversations } from '../../../node/requests/conversations.ts';
import { PeerFault, STALL_MS } from '../../../node/requests/exchange.ts';
import { bytesOf, type ConversationLab, LATENCY_MS, openLab, TALK, textOf } from './conversation-lab.ts';

type Behaviour = (stream: FrameStream) => Promise<void>;

interface Lab extends ConversationLab {
  readonly conversations: Conversations;
  /** Streams that `peer` was given, and those that are still with it. */
  readonly streams: { given: number; open: number };
  readonly ask: (text: string) => Promise<string>;
  /** Runs the clock until the answer is there. */
  readonly answerTo: (text: string) => Promise<string>;
}

const echo: Behaviour = async (stream) => {
  for await (const frame of stream.frames) await stream.send(bytesOf(`${textOf(frame)}!`));
};
const silent: Behaviour = async (stream) => {
  for await (const _frame of stream.frames);
};
/** Echoes so many, and then goes on as the other. */
const echoing =
  (count: number, then: Behaviour): Behaviour =>
  async (stream) => {
    const frames = stream.frames[Symbol.asyncIterator](); // to be left open
    for (let answered = 0; answered < count; answered++) {
      const frame = await frames.next();
      if (frame.done === true) return;
      await stream.send(bytesOf(`${textOf(frame.value)}!`));
    }
    await then(stream);
  };
const close: Behaviour = (stream) => stream.close();
const reset: Behaviour = async (stream) => stream.abort(new Error('reset'));

/** @param behaviours what `peer` does with each stream in turn, the last with all that follow */
async function talkWith(...behaviours: readonly Behaviour[]): Promise<Lab> {
  const streams = { given: 0, open: 0 };
  const lab = await openLab(['peer'], (port) => {
    if (port.self !== 'peer') return;
    port.handle(TALK, async (stream) => {
      const behaviour = behaviours[Math.min(streams.given, behaviours.length - 1)]!;
      streams.given += 1;
      streams.open += 1;
      try {
        await behaviour(stream);
      } finally {
        streams.open -= 1;
      }
    });
  });
  const conversations = new Conversations({ network: lab.me, clock: lab.clock }, TALK);
  const decode = (bytes: Uint8Array): string | undefined => {
    const text = textOf(bytes);
    return text.endsWith('!') ? text : undefined;
  };
  const ask = (text: string): Promise<string> => conversations.ask('peer', bytesOf(text), decode);
  const answerTo = (text: string): Promise<string> => lab.clock.runUntilSettled(ask(text), 60_000);
  return { ...lab, conversations, streams, ask, answerTo };
}

/** How it failed, and after how many virtual milliseconds. */
async function faultOf({ clock }: Lab, asked: Promise<unknown>): Promise<readonly [kind: string, ms: number]> {
  const fromMs = clock.monotonicMs();
  const error: unknown = await clock.runUntilSettled(asked, 60_000).then(
    () => 'answered',
    (reason: unknown) => reason,
  );
  if (!(error instanceof PeerFault)) throw error;
  return [error.kind, clock.monotonicMs() - fromMs];
}

test('one stream takes all requests, and each gets its answer', async () => {
  const lab = await talkWith(echo);
  for (const text of ['a', 'b', 'c', 'd']) expect(await lab.answerTo(text)).toBe(`${text}!`);
  expect(lab.streams).toEqual({ given: 1, open: 1 });
  const fromMs = lab.clock.monotonicMs();
  await lab.answerTo('e');
  expect(lab.clock.monotonicMs() - fromMs).toBe(2 * LATENCY_MS);
  await lab.clock.run(600_000); // idle for as long as it likes
  expect(await lab.answerTo('f')).toBe('f!');
  expect(lab.streams).toEqual({ given: 1, open: 1 });
});

describe('a stream that was kept and is dead', () => {
  test.each([
    ['closed', close],
    ['reset', reset],
    // It dies of the request.
    ['broken', silentOnce()],
  ])('is replaced, and the request sent again: %s', async (_how, end) => {
    const lab = await talkWith(echoing(2, end), echo);
    for (const text of ['a', 'b', 'c', 'd']) expect(await lab.answerTo(text)).toBe(`${text}!`);
    expect(lab.streams).toEqual({ given: 2, open: 1 });
  });

  test('is replaced once for a request, and by one that is kept', async () => {
    const lab = await talkWith(echoing(1, reset), echoing(0, reset), echo);
    expect(await lab.answerTo('a')).toBe('a!');
    expect((await faultOf(lab, lab.ask('b')))[0]).toBe('gone');
    expect(lab.streams).toEqual({ given: 2, open: 0 });
    expect(await lab.answerTo('c')).toBe('c!');
    expect(await lab.answerTo('d')).toBe('d!');
    expect(lab.streams).toEqual({ given: 3, open: 1 });
  });

  test('is replaced within the time of the request', async () => {
    const breaksLate: Behaviour = async (stream) => {
      for await (const _frame of stream.frames) {
        await new Promise<void>((resolve) => lab.clock.after(STALL_MS - 500, resolve));
        return reset(stream);
      }
    };
    const lab = await talkWith(echoing(1, breaksLate), silent);
    await lab.answerTo('a');
    expect(await faultOf(lab, lab.ask('b'))).toEqual(['stalled', STALL_MS]);
    await lab.clock.run(100);
    expect(lab.streams).toEqual({ given: 2, open: 0 });
  });
});

/** Takes a request and resets. */
function silentOnce(): Behaviour {
  return async (stream) => {
    for await (const _frame of stream.frames) return reset(stream);
  };
}

test('a stream that fails before its first answer is not replaced', async () => {
  const lab = await talkWith(silentOnce());
  expect((await faultOf(lab, lab.ask('a')))[0]).toBe('gone');
  expect(lab.streams).toEqual({ given: 1, open: 0 });
});

test('who does not answer in time has stalled, and the stream is let go', async () => {
  const lab = await talkWith(echoing(1, silent), echo);
  await lab.answerTo('a');
  expect(await faultOf(lab, lab.ask('b'))).toEqual(['stalled', STALL_MS]);
  await lab.clock.run(100);
  expect(lab.streams).toEqual({ given: 1, open: 0 });
  expect(await lab.answerTo('c')).toBe('c!');
  expect(lab.streams).toEqual({ given: 2, open: 1 });
});

test('who does not answer the opening has stalled', async () => {
  const lab = await talkWith(echo);
  lab.hub.cutOneWay('peer', 'me');
  expect(await faultOf(lab, lab.ask('a'))).toEqual(['stalled', STALL_MS]);
  await lab.clock.run(1_000);
  expect(lab.streams).toEqual({ given: 1, open: 0 });
});

test('an answer that no honest peer gives is a fault, and the stream is let go', async () => {
  const lab = await talkWith(async (stream) => {
    for await (const _frame of stream.frames) await stream.send(bytesOf('?'));
  });
  expect((await faultOf(lab, lab.ask('a')))[0]).toBe('invalid');
  await lab.clock.run(100);
  expect(lab.streams).toEqual({ given: 1, open: 0 });
});

test('a second request while the first is open is a fault of ours, and does the first no harm', async () => {
  const lab = await talkWith(echo);
  const first = lab.ask('a');
  await expect(lab.ask('b')).rejects.not.toBeInstanceOf(PeerFault);
  expect(await lab.clock.runUntilSettled(first, 1_000)).toBe('a!');
  expect(await lab.answerTo('c')).toBe('c!');
  expect(lab.streams).toEqual({ given: 1, open: 1 });
});

test('a peer that is not there is gone, and nothing stays of it', async () => {
  const lab = await talkWith(echo);
  const asked = lab.conversations.ask('nobody', bytesOf('a'), textOf);
  expect((await faultOf(lab, asked))[0]).toBe('gone');
});

describe('everything is let go', () => {
  test.each<[string, (lab: Lab) => void]>([
    ['when the peer is forgotten', ({ conversations }) => conversations.forget('peer')],
    ['at the stop', ({ conversations }) => conversations.stop()],
  ])('%s', async (_when, act) => {
    const idle = await talkWith(echo);
    await idle.answerTo('a');
    act(idle);
    await idle.clock.run(100);
    expect(idle.streams).toEqual({ given: 1, open: 0 });

    const waiting = await talkWith(echoing(1, silent), echo);
    await waiting.answerTo('a');
    waiting.clock.after(500, () => act(waiting));
    expect(await faultOf(waiting, waiting.ask('b'))).toEqual(['gone', 500]); // and is not sent again
    await waiting.clock.run(100);
    expect(waiting.streams).toEqual({ given: 1, open: 0 });

    const opening = await talkWith(echo);
    opening.clock.after(LATENCY_MS / 2, () => act(opening));
    expect(await faultOf(opening, opening.ask('a'))).toEqual(['gone', LATENCY_MS / 2]);
    await opening.clock.run(100);
    expect(opening.streams.open).toBe(0);
  });

  test('also a stream that comes when it has been given up', async () => {
    const lab = await talkWith(echo);
    const late = lab.clock.after.bind(lab.clock, 500);
    const network: Pick<Network, 'open'> = {
      async open(peer, protocol) {
        await new Promise<void>((resolve) => late(resolve));
        return lab.me.open(peer, protocol, new AbortController().signal);
      },
    };
    const conversations = new Conversations({ network: network as Network, clock: lab.clock }, TALK);
    lab.clock.after(100, () => conversations.stop());
    expect((await faultOf(lab, conversations.ask('peer', bytesOf('a'), textOf)))[0]).toBe('gone');
    await lab.clock.run(1_000);
    expect(lab.streams).toEqual({ given: 1, open: 0 });
  });

  test('and after the stop nothing is opened', async () => {
    const lab = await talkWith(echo);
    lab.conversations.stop();
    expect((await faultOf(lab, lab.ask('a')))[0]).toBe('gone');
    expect(lab.trace('open')).toEqual([]);
  });

  test('while a peer that comes again is asked again', async () => {
    const lab = await talkWith(echo);
    await lab.answerTo('a');
    lab.hub.cut('me', 'peer');
    lab.conversations.forget('peer');
    lab.hub.heal('me', 'peer');
    await lab.clock.runUntil(() => lab.me.peers().length === 1, 5_000);
    expect(await lab.answerTo('b')).toBe('b!');
    expect(lab.streams).toEqual({ given: 2, open: 1 });
  });
});
