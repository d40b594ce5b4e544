/** A whole node but for the network: bytes go in as gossip, verdicts come out. For tests of the spine, and the bench. */
import { type Genesis, genesisDoc, parseGenesis } from '../chain/genesis.ts';
import { bitsForHashes } from '../chain/target.ts';
import type { Address } from '../crypto/address.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { composeNode, type GrapevineNode } from '../node/compose.ts';
import { createMetrics, type Metrics } from '../node/metrics.ts';
import type { Logger, Network, PowSolver, SignatureVerifier, TopicKind } from '../node/ports.ts';
import type { Store } from '../node/store/store.ts';

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};

/** Two hashes a block; every sender has 10^12. */
export function fixtureGenesis(senders: readonly Address[]): Genesis {
  return parseGenesis(
    genesisDoc({
      name: 'fixture',
      timestampMs: Date.now() - 60_000,
      alloc: senders.map((address) => ({ address, balance: 1_000_000_000_000n })),
      voters: senders.slice(0, 1),
      params: { powLimitBits: bitsForHashes(2n), initialBits: bitsForHashes(2n), minFee: 1n, blockReward: 5_000n },
    }),
  );
}

export type Outcome = 'accept' | 'ignore' | 'reject';

export interface NodeFixture {
  readonly node: GrapevineNode;
  readonly metrics: Metrics;
  gossip(kind: TopicKind, data: Uint8Array): Promise<Outcome>;
}

export async function composeFixture(options: {
  readonly genesis: Genesis;
  readonly store: Store;
  readonly verifier: SignatureVerifier;
  readonly mempoolMaxBytes?: number;
  /** Default: no peers, and none expected. */
  readonly network?: Network;
}): Promise<NodeFixture> {
  const metrics = createMetrics({ processMetrics: false });
  const node = await composeNode(
    {
      genesis: options.genesis,
      software: 'fixture',
      voter: undefined,
      mine: 'off',
      mineIntervalMs: 1000,
      minerAddress: undefined,
      mempoolMaxBytes: options.mempoolMaxBytes ?? 256 * 1024 * 1024,
      expectsPeers: false,
    },
    {
      clock: createSystemClock(),
      rng: createSystemRng(),
      logger: silentLogger,
      network: options.network ?? loneNetwork,
      store: options.store,
      verifier: options.verifier,
      solver: idleSolver,
      metrics,
    },
  );
  await node.start();
  return {
    node,
    metrics,
    gossip: (kind, data) => new Promise((settle) => node.ingest.receiveGossip({ kind, from: 'peer', data, settle })),
  };
}

const loneNetwork: Network = {
  self: 'self',
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
  addresses: () => [],
  publish: () => Promise.resolve({ kind: 'queued' }),
  peers: () => [],
  open: () => Promise.reject(new Error('no peers')),
  handle() {},
  penalize() {},
  isRefused: () => false,
  disconnect: () => Promise.resolve(),
  connect: () => Promise.resolve(),
};

const idleSolver: PowSolver = {
  solve: () => new Promise(() => {}),
  hashRate: () => 0,
  close: () => Promise.resolve(),
};
