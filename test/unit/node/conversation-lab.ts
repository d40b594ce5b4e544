/** A few nodes' ports in memory, all linked with `me`, for the protocol `TALK`. */
import type { Network, StreamProtocol } from '../../../node/ports.ts';
import { MemoryHub } from '../../../sim/memory-hub.ts';
import { createSeededRng } from '../../../sim/seeded-rng.ts';
import { Trace } from '../../../sim/trace.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

export const TALK: StreamProtocol = {
  name: '/grapevine/talk/1',
  maxRequestBytes: 1_000,
  maxFrameBytes: 1_000,
  maxInboundStreams: 2,
  staysOpen: true,
};
/** One way. */
export const LATENCY_MS = 10;

export interface ConversationLab {
  readonly clock: VirtualClock;
  readonly hub: MemoryHub;
  readonly me: Network;
  readonly peers: ReadonlyMap<string, Network>;
  /** What `me` opened and whom it penalized, in order. */
  readonly trace: (event: 'open' | 'penalized' | 'banned') => readonly string[];
}

/** @param prepare called with each port before it starts, `me` too */
export async function openLab(
  names: readonly string[],
  prepare: (port: Network, clock: VirtualClock) => void,
): Promise<ConversationLab> {
  const clock = new VirtualClock(0);
  const trace = new Trace(clock);
  const link = { latencyMs: [LATENCY_MS, LATENCY_MS] as const, jitterMs: 0, loss: 0 };
  const hub = new MemoryHub({ clock, rng: createSeededRng('talk'), trace, link });
  const ports = new Map<string, Network>();
  for (const name of ['me', ...names]) {
    const port = hub.createPort(name, clock);
    prepare(port, clock);
    await port.start({ onGossip() {}, onPeerConnected() {}, onPeerDisconnected() {} });
    ports.set(name, port);
    if (name !== 'me') hub.link('me', name);
  }
  const me = ports.get('me')!;
  await clock.runUntil(() => me.peers().length === names.length, 5_000);
  ports.delete('me');
  return {
    clock,
    hub,
    me,
    peers: ports,
    trace: (event) => trace.lines().filter((line) => line.includes(` me ${event} `)),
  };
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
