/**
 * A whole node but for the network: bytes go in as gossip, verdicts come out. Its one peer gives the transactions of
 * the blocks that it is given to hold. For tests of the spine, and the bench.
 */
import { nextBits } from '../chain/asert.ts';
import { makeHeader } from '../chain/codec.ts';
import { encodeCompactBlock, makeCompactBlock } from '../chain/compact-block.ts';
import { type Genesis, genesisDoc, parseGenesis } from '../chain/genesis.ts';
import { bitsForHashes, meetsTarget } from '../chain/target.ts';
import { buildTemplate } from '../chain/template.ts';
import type { Block, BlockId, Tx } from '../chain/types.ts';
import type { Address } from '../crypto/address.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import { composeNode, type GrapevineNode } from '../node/compose.ts';
import { createMetrics, type Metrics } from '../node/metrics.ts';
import type { ObjectCodec } from '../node/object-codec.ts';
import type {
  Clock,
  FrameStream,
  GossipOutcome,
  Logger,
  Network,
  PowSolver,
  SignatureVerifier,
  TopicKind,
} from '../node/ports.ts';
import type { Store } from '../node/store/store.ts';
import * as messages from '../node/sync/messages.ts';
import { BLOCK_TXS } from '../node/sync/protocols.ts';
import { silentLogger } from './loggers.ts';

export { silentLogger };

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

export type Outcome = GossipOutcome;

export interface NodeFixture {
  readonly node: GrapevineNode;
  readonly metrics: Metrics;
  gossip(kind: TopicKind, data: Uint8Array): Promise<Outcome>;
  /** The peer sends the block as a compact block, and gives what of it is asked for. */
  gossipBlock(block: Block): Promise<Outcome>;
}

export async function composeFixture(options: {
  readonly genesis: Genesis;
  readonly store: Store;
  readonly verifier: SignatureVerifier;
  readonly mempoolMaxBytes?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: says nothing. */
  readonly logger?: Logger;
  /** What the node publishes goes here. */
  readonly publish?: Network['publish'];
  /** Default: one peer, which gives the transactions of the blocks that `blockMessage` made. */
  readonly network?: Network;
  readonly codec?: ObjectCodec;
  /** Called before the node starts. */
  readonly onComposed?: (node: GrapevineNode) => void;
}): Promise<NodeFixture> {
  const metrics = createMetrics({ processMetrics: false });
  const held = new Map<BlockId, Block>();
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
      clock: options.clock ?? createSystemClock(),
      rng: createSystemRng(),
      logger: options.logger ?? silentLogger,
      network: options.network ?? { ...networkOfOnePeer(held), ...(options.publish && { publish: options.publish }) },
      store: options.store,
      verifier: options.verifier,
      solver: idleSolver,
      metrics,
      ...(options.codec && { codec: options.codec }),
    },
  );
  options.onComposed?.(node);
  await node.start();
  const gossip: NodeFixture['gossip'] = (kind, data) =>
    new Promise((settle) => node.ingest.receiveGossip({ kind, from: 'peer', data, settle }));
  return {
    node,
    metrics,
    gossip,
    gossipBlock: (block) => {
      held.set(block.header.id, block);
      return gossip('block', blockMessage(block));
    },
  };
}

/** A block on the node's tip, which it has not been given yet. */
export function mineOn({ genesis, chain }: GrapevineNode, miner: Address, txs: readonly Tx[]): Block {
  const template = buildTemplate({
    parent: chain.tip,
    bits: nextBits(genesis.params, { ...chain.tip, height: chain.tip.header.height }, genesis.entry.effectiveTimeMs),
    timestampMs: BigInt(Date.now()),
    miner,
    candidates: txs,
    view: chain.accounts,
    params: genesis.params,
  });
  for (let nonce = 0n; ; nonce++) {
    const header = makeHeader({ ...template.header, nonce });
    if (meetsTarget(header.id, header.bits)) return { header, coinbase: template.coinbase, txs: template.txs };
  }
}

/** A block as its author publishes it. */
export function blockMessage(block: Block, salt = 1n): Uint8Array {
  return encodeCompactBlock(makeCompactBlock(block, salt));
}

export function networkOfOnePeer(held: ReadonlyMap<BlockId, Block>): Network {
  return {
    self: 'self',
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    addresses: () => [],
    publish: () => Promise.resolve({ kind: 'queued' }),
    peers: () => [],
    open: (peer, protocol) => {
      if (protocol !== BLOCK_TXS) return Promise.reject(new Error(`does not speak ${protocol.name}`));
      return Promise.resolve(answeringStream(peer, (request) => txsReply(held, request)));
    },
    handle() {},
    penalize() {},
    isRefused: () => false,
    disconnect: () => Promise.resolve(),
    connect: () => Promise.resolve(),
  };
}

function txsReply(held: ReadonlyMap<BlockId, Block>, request: Uint8Array): Uint8Array {
  const { id, indexes } = messages.decodeBlockTxsRequest(request)!;
  return messages.encodeBlockTxsReply(indexes.map((index) => held.get(id)!.txs[index]!.bytes));
}

function answeringStream(peer: string, answer: (request: Uint8Array) => Uint8Array): FrameStream {
  const replies: Uint8Array[] = [];
  return {
    peer,
    frames: (async function* () {
      yield* replies;
    })(),
    send: async (request) => void replies.push(answer(request)),
    close: () => Promise.resolve(),
    abort() {},
  };
}

const idleSolver: PowSolver = {
  solve: () => new Promise(() => {}),
  hashRate: () => 0,
  close: () => Promise.resolve(),
};
