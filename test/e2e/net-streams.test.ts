import { getEventListeners } from 'node:events';
import { multiaddr } from '@multiformats/multiaddr';
import { encode } from 'it-length-prefixed';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSystemClock } from '../../node/adapters.ts';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import type { FrameStream, StreamProtocol } from '../../node/ports.ts';
import { eventually } from '../eventually.ts';
import { connectThroughRelay } from './net-relay.ts';
import { addressOf, bytesOf, createNode, startBareHost, startNode, type TestNode, textOf } from './net-support.ts';

const ECHO: StreamProtocol = {
  name: '/grapevine/test-echo/1',
  maxRequestBytes: 1_100_000,
  maxFrameBytes: 1_100_000,
  maxInboundStreams: 2,
};
const OTHER: StreamProtocol = {
  name: '/grapevine/test-other/1',
  maxRequestBytes: 64 * 1024,
  maxFrameBytes: 64 * 1024,
  maxInboundStreams: 8,
};
/** As most protocols are: a little is asked, and much is answered. */
const ASK: StreamProtocol = { ...OTHER, name: '/grapevine/test-ask/1', maxRequestBytes: 1_000 };
const KEPT: StreamProtocol = { ...OTHER, name: '/grapevine/test-kept/1', staysOpen: true };
const clock = createSystemClock();
const forever = new AbortController().signal;

let a: TestNode;
let b: TestNode;
/** What B does with a stream of `OTHER`; set by each test. */
let onOther: (stream: FrameStream) => Promise<void>;

async function echo(stream: FrameStream): Promise<void> {
  for await (const frame of stream.frames) await stream.send(frame);
}

async function collect(stream: FrameStream): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of stream.frames) frames.push(frame);
  return frames;
}

beforeEach(async () => {
  const options = { ...DEVNET_NETWORK, stream: { inactivityMs: 5_000, frameMs: 5_000, closeMs: 1_000 } };
  const nodes = [createNode({ seed: 11, options }), createNode({ seed: 12, options })] as const;
  [a, b] = nodes;
  b.network.handle(ECHO, echo); // before the start …
  await Promise.all(nodes.map((node) => node.start()));
  b.network.handle(OTHER, (stream) => onOther(stream)); // … and after
  await a.network.connect(addressOf(b));
});

afterEach(async () => {
  await Promise.all([a.network.stop(), b.network.stop()]);
});

describe('frames', () => {
  it('come back as they were sent, in order, the empty and the largest too, and end when the peer closes', async () => {
    const stream = await a.network.open(b.network.self, ECHO, forever);
    expect(stream.peer).toBe(b.network.self);
    const sent = [0, 1, 127, 128, 300_000, ECHO.maxFrameBytes, 5].map((length, i) =>
      new Uint8Array(length).fill(i + 1),
    );
    const received = collect(stream);
    for (const frame of sent) await stream.send(frame);
    await stream.close();
    const frames = await received;
    expect(frames.map(({ byteLength }) => byteLength)).toEqual(sent.map(({ byteLength }) => byteLength));
    expect(frames.every((frame, i) => Buffer.compare(frame, sent[i]!) === 0)).toBe(true);
    await expect(stream.send(bytesOf('late'))).rejects.toMatchObject({ name: 'StreamStateError' });
  });

  it('that were sent before anyone reads are not lost', async () => {
    onOther = async (stream) => {
      for (const text of ['one', 'two', 'three']) await stream.send(bytesOf(text));
    };
    const stream = await a.network.open(b.network.self, OTHER, forever);
    const echoing = await a.network.open(b.network.self, ECHO, forever);
    await echoing.send(bytesOf('after'));
    await echoing.close();
    expect((await collect(echoing)).map(textOf)).toEqual(['after']); // same connection: all of the other came before
    expect((await collect(stream)).map(textOf)).toEqual(['one', 'two', 'three']);
  });

  it('over the limit are refused by the sender, and abort the stream of a receiver with a lower limit', async () => {
    let failure: unknown;
    onOther = async (stream) => {
      await collect(stream).catch((error: unknown) => {
        failure = error;
        throw error;
      });
    };
    const stream = await a.network.open(b.network.self, { ...OTHER, maxRequestBytes: 200_000 }, forever);
    await expect(stream.send(new Uint8Array(200_001))).rejects.toThrow(RangeError);
    const received = collect(stream);
    received.catch(() => undefined);
    await stream.send(new Uint8Array(OTHER.maxRequestBytes + 1));
    await expect(received).rejects.toThrow();
    await eventually('B failed', () => failure);
    expect(String(failure)).toMatch(/length too long/);
    await expect(stream.send(bytesOf('more'))).rejects.toThrow(/reset/);
  });

  it('wait at the sender while the receiver does not read, and all arrive in the end', async () => {
    const gate = Promise.withResolvers<void>();
    const sums: number[] = [];
    const total = 400; // 25 MB
    let sent = 0;
    onOther = async (stream) => {
      for (let i = 0; i < total; i += 1) {
        const frame = new Uint8Array(OTHER.maxFrameBytes);
        frame.set([i >> 8, i & 255]);
        await stream.send(frame);
        sent += 1;
      }
    };
    const stream = await a.network.open(b.network.self, OTHER, forever);
    const reading = (async () => {
      await gate.promise;
      for await (const frame of stream.frames) sums.push(frame[0]! * 256 + frame[1]!);
    })();
    // What the connection can carry meanwhile goes through it: round trips on another stream.
    const echoing = await a.network.open(b.network.self, ECHO, forever);
    const replies = echoing.frames[Symbol.asyncIterator]();
    for (let i = 0; i < 500; i += 1) {
      await echoing.send(bytesOf(`ping ${i}`));
      expect(textOf((await replies.next()).value as Uint8Array)).toBe(`ping ${i}`);
    }
    expect(sent).toBeGreaterThan(0);
    expect(sent * OTHER.maxFrameBytes).toBeLessThan(4 * 1024 * 1024);
    gate.resolve();
    await reading;
    expect(sums).toEqual(Array.from({ length: total }, (_, i) => i));
  });
});

describe('a stream', () => {
  it('whose peer vanishes ends the iteration with an error, not as if all had been said', async () => {
    onOther = async (stream) => {
      await stream.send(bytesOf('half'));
      await new Promise(() => undefined);
    };
    const c = await startNode({ seed: 13, options: DEVNET_NETWORK });
    const relay = await connectThroughRelay(c, b);
    try {
      const stream = await c.network.open(b.network.self, OTHER, forever);
      const iterator = stream.frames[Symbol.asyncIterator]();
      expect(textOf((await iterator.next()).value as Uint8Array)).toBe('half');
      const next = iterator.next();
      next.catch(() => undefined);
      relay.close();
      await expect(next).rejects.toThrow('the connection closed before the stream ended');
      await expect(stream.send(bytesOf('hello?'))).rejects.toThrow('the connection closed before the stream ended');
    } finally {
      relay.close();
      await c.network.stop();
    }
  });

  it.each([
    ['stops', () => b.network.stop()],
    ['bans us', () => b.network.penalize(a.network.self, 1_000, 'test')],
  ])('whose peer %s ends the iteration with an error', async (_, hangUp) => {
    onOther = async () => new Promise(() => undefined);
    const stream = await a.network.open(b.network.self, OTHER, forever);
    const received = collect(stream);
    received.catch(() => undefined);
    await hangUp();
    // It resets the stream and closes its gossip and the connection: which of them we notice first is open.
    await expect(received).rejects.toThrow(/has been reset|the connection closed before the stream ended/);
  });

  it('whose handler fails is reset', async () => {
    onOther = async () => {
      throw new Error('handler');
    };
    const stream = await a.network.open(b.network.self, OTHER, forever);
    await expect(collect(stream)).rejects.toThrow(/reset/);
    expect(b.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('that one side aborts fails on the other', async () => {
    const failed = Promise.withResolvers<Error>();
    onOther = (stream) =>
      collect(stream).then(
        () => undefined,
        (error: Error) => failed.resolve(error),
      );
    const stream = await a.network.open(b.network.self, OTHER, forever);
    await stream.send(bytesOf('x'));
    stream.abort(new Error('changed my mind'));
    expect((await failed.promise).message).toMatch(/reset/);
    await expect(collect(stream)).rejects.toThrow('changed my mind');
  });

  it('can be left early by its reader and still be written to', async () => {
    const stream = await a.network.open(b.network.self, ECHO, forever);
    await stream.send(bytesOf('first'));
    for await (const frame of stream.frames) {
      expect(textOf(frame)).toBe('first');
      break;
    }
    await stream.send(bytesOf('second'));
    await stream.close();
  });
});

describe('opening', () => {
  it('is refused for a peer that is not connected, a protocol it does not speak, and an aborted signal', async () => {
    const nobody = { ...OTHER, name: '/grapevine/nobody/1' };
    await expect(a.network.open('12D3KooWNobody', OTHER, forever)).rejects.toThrow(/not connected/);
    await expect(a.network.open(b.network.self, nobody, forever)).rejects.toMatchObject({
      name: 'UnsupportedProtocolError',
    });
    await expect(a.network.open(b.network.self, OTHER, AbortSignal.abort(new Error('no')))).rejects.toThrow('no');
  });

  it('leaves no listener on the signal', async () => {
    const controller = new AbortController();
    onOther = async (stream) => {
      await collect(stream);
    };
    for (let i = 0; i < 5; i += 1) {
      const stream = await a.network.open(b.network.self, OTHER, controller.signal);
      await stream.close();
      await collect(stream);
    }
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  it('more streams than the protocol allows resets the last', async () => {
    const first = await a.network.open(b.network.self, ECHO, forever);
    const second = await a.network.open(b.network.self, ECHO, forever);
    await first.send(bytesOf('1'));
    await second.send(bytesOf('2'));
    const third = (async () => collect(await a.network.open(b.network.self, ECHO, forever)))();
    await expect(third).rejects.toThrow(/reset/);
    await first.close();
    expect((await collect(first)).map(textOf)).toEqual(['1']);
  });

  it('a second handler for a protocol is a fault', () => {
    expect(() => b.network.handle(ECHO, echo)).toThrow(/has a handler/);
  });
});

describe('a peer that goes quiet', () => {
  it('fails the read that waits for it', async () => {
    await a.network.stop();
    const options = { ...DEVNET_NETWORK, stream: { inactivityMs: 200, frameMs: 5_000, closeMs: 200 } };
    const impatient = createNode({ seed: 13, options });
    await impatient.start();
    onOther = async () => new Promise(() => undefined);
    await impatient.network.connect(addressOf(b));
    const stream = await impatient.network.open(b.network.self, OTHER, forever);
    await expect(collect(stream)).rejects.toThrow(/no progress/);
    await impatient.network.stop();
  });

  it('fails no read of a stream that stays open, on either side, however often a frame comes in between', async () => {
    await a.network.stop();
    const inactivityMs = 100;
    const options = { ...DEVNET_NETWORK, stream: { inactivityMs, frameMs: 5_000, closeMs: 200 } };
    const impatient = [createNode({ seed: 14, options }), createNode({ seed: 15, options })] as const;
    const [from, to] = impatient;
    to.network.handle(KEPT, echo);
    await Promise.all(impatient.map((node) => node.start()));
    await from.network.connect(addressOf(to));
    // Lengths of one, two and three bytes, on a stream each, so that two real pauses are enough for all.
    const talks = await Promise.all(
      [0, 1, 127, 128, 16_384, KEPT.maxFrameBytes].map(async (length) => {
        const stream = await from.network.open(to.network.self, KEPT, forever);
        return { length, stream, frames: stream.frames[Symbol.asyncIterator]() };
      }),
    );
    for (const _pause of ['before the first frame', 'after one that came whole']) {
      const replies = talks.map(({ frames }) => frames.next());
      await clock.sleep(2 * inactivityMs, forever);
      for (const { length, stream } of talks) await stream.send(new Uint8Array(length));
      expect((await Promise.all(replies)).map(({ value }) => value?.length)).toEqual(talks.map(({ length }) => length));
    }
    for (const { stream, frames } of talks) {
      await stream.close();
      expect((await frames.next()).done).toBe(true);
    }
    await Promise.all(impatient.map((node) => node.network.stop()));
  });

  it('in the middle of a frame fails the read of a stream that stays open too', async () => {
    await a.network.stop();
    const options = { ...DEVNET_NETWORK, stream: { inactivityMs: 200, frameMs: 5_000, closeMs: 200 } };
    const impatient = createNode({ seed: 16, options });
    const outcome = Promise.withResolvers<unknown>();
    impatient.network.handle(KEPT, async (stream) => {
      await echo(stream).catch((error: unknown) => {
        outcome.resolve(error);
        throw error;
      });
    });
    await impatient.start();
    const bare = await startBareHost(17);
    const stream = await (await bare.dial(multiaddr(addressOf(impatient)))).newStream([KEPT.name]);
    const reset = new Promise((resolve) => stream.addEventListener('close', resolve));
    stream.send(encode.single(bytesOf('whole')));
    stream.send(Uint8Array.from([100, 1, 2, 3])); // 100 bytes announced
    expect(String(await outcome.promise)).toMatch(/no progress/);
    await reset;
    await bare.stop();
    await impatient.network.stop();
  });
});

describe('a request', () => {
  let bare: Awaited<ReturnType<typeof startBareHost>>;
  let server: ReturnType<typeof createNode>;
  /** Of the handler's reading. */
  let outcome: Promise<unknown>;

  async function openAsk(frameMs = 5_000) {
    await a.network.stop();
    server = createNode({
      seed: 18,
      options: { ...DEVNET_NETWORK, stream: { inactivityMs: 5_000, frameMs, closeMs: 200 } },
    });
    const { promise, resolve } = Promise.withResolvers<unknown>();
    outcome = promise;
    server.network.handle(ASK, async (stream) => {
      await collect(stream).then(
        (frames) => resolve(frames.map(({ byteLength }) => byteLength)),
        (error: unknown) => {
          resolve(error);
          throw error;
        },
      );
    });
    await server.start();
    bare = await startBareHost(19);
    return (await bare.dial(multiaddr(addressOf(server)))).newStream([ASK.name]);
  }

  afterEach(async () => {
    await bare.stop();
    await server.network.stop();
  });

  it('in pieces of a byte is a request', async () => {
    const stream = await openAsk();
    for (const byte of encode.single(new Uint8Array(ASK.maxRequestBytes)).subarray()) stream.send(Uint8Array.of(byte));
    await stream.close();
    expect(await outcome).toEqual([ASK.maxRequestBytes]);
  });

  it('that is announced longer than requests may be resets the stream, though an answer may be as long', async () => {
    const stream = await openAsk();
    const reset = new Promise((resolve) => stream.addEventListener('close', resolve));
    stream.send(encode.single(new Uint8Array(ASK.maxRequestBytes + 1)).subarray(0, 2));
    expect(String(await outcome)).toMatch(/length too long/);
    await reset;
  });

  it('that trickles in is not waited for, though each byte comes in time', async () => {
    const stream = await openAsk(500);
    stream.send(Uint8Array.of(100));
    for (let sent = 0; sent < 50 && stream.status === 'open'; sent += 1) {
      stream.send(Uint8Array.of(0));
      await clock.sleep(50, forever);
    }
    expect(String(await outcome)).toMatch(/not whole within 500 ms/);
  });
});

describe('a stream that stays open', () => {
  it('is reset where a peer sends more than two frames ahead of the reader, in however small pieces', async () => {
    const released = Promise.withResolvers<void>();
    const outcome = Promise.withResolvers<unknown>();
    b.network.handle(KEPT, async (stream) => {
      await released.promise; // busy
      await collect(stream).catch((error: unknown) => {
        outcome.resolve(error);
        throw error;
      });
    });
    const bare = await startBareHost(17);
    const connection = await bare.dial(multiaddr(addressOf(b)));
    const stream = await connection.newStream([KEPT.name]);
    const reset = new Promise((resolve) => stream.addEventListener('close', resolve));
    stream.send(encode.single(new Uint8Array(KEPT.maxFrameBytes)));
    const piece = encode.single(new Uint8Array(100));
    for (let sent = 0; sent <= KEPT.maxFrameBytes && stream.status === 'open'; sent += piece.byteLength) {
      if (stream.writableNeedsDrain) await stream.onDrain();
      if (stream.status === 'open') stream.send(piece);
    }
    await reset;
    released.resolve();
    expect(String(await outcome.promise)).toMatch(/more than was asked for/);
    expect(connection.status).toBe('open');
    await bare.stop();
  });
});
