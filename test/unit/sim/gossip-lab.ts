/** Gossip without nodes: ports whose handlers accept everything. */
import type { GossipParams } from '../../../sim/gossip-params.ts';
import type { LinkProfile } from '../../../sim/link.ts';
import { MemoryHub } from '../../../sim/memory-hub.ts';
import { createSeededRng, type SeededRng } from '../../../sim/seeded-rng.ts';
import { type Links, randomTopology } from '../../../sim/topology.ts';
import { Trace } from '../../../sim/trace.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

export interface GossipLabOptions {
  readonly seed: string;
  readonly nodes: number;
  readonly gossip: GossipParams;
  readonly link: LinkProfile;
  readonly topology: (names: readonly string[], rng: SeededRng) => Links;
  /** How long each port takes to accept a message; default 0: at once. */
  readonly verdictAfterMs?: number;
}

export interface GossipLab {
  readonly clock: VirtualClock;
  readonly hub: MemoryHub;
  readonly rng: SeededRng;
  readonly names: readonly string[];
  publish(name: string, data: Uint8Array): Promise<void>;
}

export async function openGossipLab(options: GossipLabOptions): Promise<GossipLab> {
  const { seed, nodes, gossip, link, topology, verdictAfterMs = 0 } = options;
  const clock = new VirtualClock(0);
  const rng = createSeededRng(seed);
  const hub = new MemoryHub({
    clock,
    rng: rng.fork('hub'),
    trace: new Trace(clock),
    gossip,
    link,
  });
  const names = Array.from({ length: nodes }, (_, index) => `n${index}`);
  for (const name of names) {
    await hub.createPort(name, clock).start({
      onGossip(message) {
        if (verdictAfterMs === 0) message.settle('accept');
        else clock.after(verdictAfterMs, () => message.settle('accept'));
      },
      onPeerConnected() {},
      onPeerDisconnected() {},
    });
  }
  for (const [a, b] of topology(names, rng.fork('topology'))) hub.link(a, b);
  return {
    clock,
    hub,
    rng,
    names,
    async publish(name, data) {
      await hub.portOf(name)!.publish('tx', data);
    },
  };
}

/**
 * The experiment of gerbil-simsub's `simple-simulation`: each node dials 20 others; 10 to 150 ms and a tenth of
 * jitter on each link; 60 messages, one a second, from 5 nodes.
 */
export async function repeatSimsub(nodes: number, gossip: GossipParams, seed: string): Promise<GossipLab> {
  const lab = await openGossipLab({
    seed,
    nodes,
    gossip,
    link: { latencyMs: [10, 150], jitterMs: 8, loss: 0 },
    topology: (names, rng) => randomTopology(names, 20, rng),
  });
  const { clock, hub, rng, names } = lab;
  await clock.run(6_000);
  hub.stats.reset();
  const sources = Array.from({ length: 5 }, () => names[Math.floor(rng.unit() * nodes)]!);
  for (let at = 0; at < 60; at++) {
    await lab.publish(sources[Math.floor(rng.unit() * 5)]!, new TextEncoder().encode(`message ${at}`));
    await clock.run(1_000);
  }
  await clock.run(10_000);
  return lab;
}
