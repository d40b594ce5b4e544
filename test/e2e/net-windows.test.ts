import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import type { StreamProtocol } from '../../node/ports.ts';
import { eventually } from '../eventually.ts';
import { connectThroughRelay, type Relay } from './net-relay.ts';
import { startNode, type TestNode } from './net-support.ts';

/** Twice the largest request is more than fits before the reader is waited for: it is not what ends the stream. */
const SINK: StreamProtocol = {
  name: '/grapevine/test-sink/1',
  maxRequestBytes: 1024 * 1024,
  maxFrameBytes: 0,
  maxInboundStreams: 1,
};
const LARGE_BYTES = 64 * 1024;
const FRAMES = 400;
/** A window update of yamux, sealed and framed by noise. */
const UPDATE_BYTES = 30;

let sender: TestNode;
let receiver: TestNode;
let relay: Relay;
let [frames, bytes] = [0, 0];

beforeEach(async () => {
  [frames, bytes] = [0, 0];
  // No heartbeat and no probe while the test counts.
  const gossip = { ...DEVNET_NETWORK.gossip, heartbeatIntervalMs: 60_000 };
  const options = { ...DEVNET_NETWORK, gossip };
  receiver = await startNode({ seed: 31, options });
  sender = await startNode({ seed: 32, options });
  receiver.network.handle(SINK, async (stream) => {
    for await (const frame of stream.frames) {
      frames += 1;
      bytes += frame.byteLength;
    }
  });
  relay = await connectThroughRelay(sender, receiver);
});

afterEach(async () => {
  relay.close();
  await Promise.all([sender.network.stop(), receiver.network.stop()]);
});

it('small frames are not answered by a window update each, and large ones by as many as keep the stream going', async () => {
  const stream = await sender.network.open(receiver.network.self, SINK, new AbortController().signal);
  await stream.send(new Uint8Array(1)); // the stream is negotiated
  await eventually('the first frame has come', () => frames === 1);
  const before = relay.answered;
  for (let at = 1; at <= FRAMES; at++) {
    await stream.send(new Uint8Array(100));
    await eventually('the frame has come', () => frames === at + 1);
  }
  expect(relay.answered - before).toBeLessThan((FRAMES * UPDATE_BYTES) / 10);

  for (let at = 0; at < 64; at++) await stream.send(new Uint8Array(LARGE_BYTES));
  await eventually('sixteen windows have come', () => bytes > 64 * LARGE_BYTES);
  await stream.close();
});

/** The choice of Noise is written before anything is counted; what the dialler says with it may count twice. */
const PRELUDE_BYTES = 128;

it('what goes through the sockets of peers is counted, all of it and both ways', async () => {
  const counted = async ({ registry }: TestNode): Promise<readonly number[]> => {
    const text = await registry.metrics();
    return ['sent', 'received'].map((direction) =>
      Number(new RegExp(`^grapevine_network_bytes_total\\{direction="${direction}"\\} (\\d+)$`, 'm').exec(text)?.[1]),
    );
  };
  const stream = await sender.network.open(receiver.network.self, SINK, new AbortController().signal);
  for (let at = 0; at < 32; at++) await stream.send(new Uint8Array(LARGE_BYTES));
  await stream.close();
  await eventually('all has come', () => bytes === 32 * LARGE_BYTES);

  expect(relay.asked).toBeGreaterThan(32 * LARGE_BYTES);
  let missing: readonly number[] = [];
  const look = async (): Promise<void> => {
    const [there, here] = [await counted(sender), await counted(receiver)];
    missing = [there[0]!, here[1]!, here[0]!, there[1]!].map(
      (each, at) => (at < 2 ? relay.asked : relay.answered) - each,
    );
  };
  await eventually('both ends have counted what was on the wire', () => {
    void look();
    return missing.length > 0 && missing.every((each) => Math.abs(each) <= PRELUDE_BYTES);
  });
});

it('what comes through a socket makes no errors: noise asks for the length of a frame that has not come', async () => {
  const stream = await sender.network.open(receiver.network.self, SINK, new AbortController().signal);
  await stream.send(new Uint8Array(1)); // the stream is negotiated
  await eventually('the first frame has come', () => frames === 1);
  const real = globalThis.RangeError;
  let made = 0;
  const counting = <T>(make: () => T): T => {
    made += 1;
    return make();
  };
  globalThis.RangeError = new Proxy(real, {
    apply: (target, self, args) => counting(() => Reflect.apply(target, self, args)),
    construct: (target, args) => counting(() => Reflect.construct(target, args)),
  });
  try {
    for (let at = 1; at <= 10; at++) {
      await stream.send(new Uint8Array(100));
      await eventually('the frame has come', () => frames === at + 1);
    }
  } finally {
    globalThis.RangeError = real;
  }
  await stream.close();
  expect(made).toBe(0);
});
