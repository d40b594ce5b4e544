/**
 * A node with nobody to talk to: the very services that check what peers send, for importing a chain from a file.
 * It neither listens nor mines nor votes, and is not started: blocks and votes are handed to it.
 */
import type { Genesis } from '../chain/genesis.ts';
import { DEFAULT_MEMPOOL_BYTES } from '../chain/mempool.ts';
import { composeNode, type GrapevineNode } from './compose.ts';
import { createMetrics } from './metrics.ts';
import type { Clock, Logger, Network, PowSolver, Rng, SignatureVerifier } from './ports.ts';
import type { Store } from './store/store.ts';

export interface OfflinePorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly logger: Logger;
  readonly verifier: SignatureVerifier;
}

/** Loads the store, or begins the chain of `genesis` in an empty one. Throws what `composeNode` throws. */
export function composeOffline(genesis: Genesis, ports: OfflinePorts): Promise<GrapevineNode> {
  return composeNode(
    {
      genesis,
      software: 'offline',
      voter: undefined,
      mine: 'off',
      mineIntervalMs: 1_000,
      minerAddress: undefined,
      mempoolMaxBytes: DEFAULT_MEMPOOL_BYTES,
      expectsPeers: false,
    },
    { ...ports, network: NOBODY, solver: IDLE, metrics: createMetrics({ processMetrics: false }) },
  );
}

const NOBODY: Network = {
  self: 'offline',
  start: async () => {},
  stop: async () => {},
  addresses: () => [],
  publish: async () => ({ kind: 'queued' }),
  peers: () => [],
  open: () => Promise.reject(new Error('there is no network')),
  handle: () => {},
  penalize: () => {},
  isRefused: () => false,
  disconnect: async () => {},
  connect: () => Promise.reject(new Error('there is no network')),
};

const IDLE: PowSolver = {
  solve: () => Promise.reject(new Error('an offline node does not mine')),
  hashRate: () => 0,
  close: async () => {},
};
