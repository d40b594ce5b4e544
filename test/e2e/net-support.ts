/** Real networks on 127.0.0.1 for the tests of `node/net/`. */
import { Registry } from 'prom-client';
import type { ChainId } from '../../chain/types.ts';
import { createSystemClock, createSystemRng } from '../../node/adapters.ts';
import { createHost, type Host } from '../../node/net/host.ts';
import { identityOfSeed } from '../../node/net/identity.ts';
import type { NetworkDeps } from '../../node/net/libp2p-network.ts';
import { createLibp2pNetwork, DEVNET_NETWORK } from '../../node/net/libp2p-network.ts';
import {
  type GossipMessage,
  type Network,
  type NetworkHandlers,
  type PeerKey,
  TOPIC_KINDS,
  type TopicKind,
} from '../../node/ports.ts';
import { eventually } from '../eventually.ts';
import { type LogLine, recordingLogger } from '../loggers.ts';

export const TEST_CHAIN_ID = 'ab'.repeat(32) as ChainId;
export const KINDS: readonly TopicKind[] = TOPIC_KINDS;

const clock = createSystemClock();

export interface TestNode {
  readonly network: Network;
  readonly registry: Registry;
  /** What arrived, as text, in order. Settled by `settle`, or by the test. */
  readonly heard: string[];
  readonly messages: GossipMessage[];
  readonly connected: PeerKey[];
  readonly disconnected: PeerKey[];
  readonly logs: readonly LogLine[];
  readonly saved: { peers: ReadonlyMap<string, number> };
}

export function seedOf(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

type Settle = (message: GossipMessage) => 'accept' | 'ignore' | 'reject' | undefined;

export interface TestNodeInit extends Partial<Omit<NetworkDeps, 'identitySeed'>> {
  readonly seed: number;
  /** `undefined`: the test settles. */
  readonly settle?: Settle;
  readonly handlers?: Partial<NetworkHandlers>;
}

/** A network that is not started. */
export function createNode(init: TestNodeInit): TestNode & { start(): Promise<void> } {
  const { seed, settle = () => 'accept', handlers, ...deps } = init;
  const { logger, lines: logs } = recordingLogger();
  const registry = new Registry();
  const saved: TestNode['saved'] = { peers: new Map() };
  const network = createLibp2pNetwork({
    identitySeed: seedOf(seed),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    topics: { chainId: TEST_CHAIN_ID },
    clock,
    rng: createSystemRng(),
    logger,
    options: DEVNET_NETWORK,
    addressStore: {
      loadPeers: async () => saved.peers,
      savePeers: async (peers) => {
        saved.peers = peers;
      },
    },
    onHandlerFailure: (error) => logger.error({ err: error }, 'handler threw'),
    metricsRegistry: registry,
    ...deps,
  });
  const node: TestNode = {
    network,
    registry,
    heard: [],
    messages: [],
    connected: [],
    disconnected: [],
    logs,
    saved,
  };
  const start = (): Promise<void> =>
    network.start({
      onGossip(message) {
        node.heard.push(textOf(message.data));
        node.messages.push(message);
        const outcome = settle(message);
        if (outcome !== undefined) message.settle(outcome);
        handlers?.onGossip?.(message);
      },
      onPeerConnected(peer) {
        node.connected.push(peer);
        handlers?.onPeerConnected?.(peer);
      },
      onPeerDisconnected(peer) {
        node.disconnected.push(peer);
        handlers?.onPeerDisconnected?.(peer);
      },
    });
  return { ...node, start };
}

export async function startNode(init: TestNodeInit): Promise<TestNode> {
  const node = createNode(init);
  await node.start();
  return node;
}

export const addressOf = (node: TestNode): string => node.network.addresses()[0]!;

/** Both see each other in the mesh of every topic. */
export function meshed(a: TestNode, b: TestNode): boolean {
  const sees = (x: TestNode, y: TestNode) =>
    x.network.peers().find((view) => view.peer === y.network.self)?.mesh.length === KINDS.length;
  return sees(a, b) && sees(b, a);
}

export async function connectAndMesh(a: TestNode, b: TestNode): Promise<void> {
  await a.network.connect(addressOf(b));
  await eventually('mesh', () => meshed(a, b));
}

/** A host that speaks what it is told and no more: it can send what no node would. */
export async function startBareHost(seed: number): Promise<Host<unknown>> {
  const host = await createHost<unknown>({
    privateKey: identityOfSeed(seedOf(seed)),
    listen: [],
    announce: [],
    options: DEVNET_NETWORK.host,
    clock,
    isRefused: () => false,
    socketBytes: { sent: 0, received: 0 },
    pubsub: () => ({}),
  });
  await host.start();
  return host;
}
