/**
 * Builds a node out of ports: the only place that constructs services. The same function serves the process
 * (`process.ts`) and the simulation; neither timers, sockets, disks nor threads are known here.
 */

import { Agreement } from '../chain/agreement.ts';
import { checkpointOf } from '../chain/checkpoint.ts';
import type { Genesis } from '../chain/genesis.ts';
import { mempoolLimits } from '../chain/mempool.ts';
import type { Address } from '../crypto/address.ts';
import type { SigningBackend } from '../crypto/signature.ts';
import { AgreementService, type AgreementServiceDeps, type VoterKey } from './agreement/agreement-service.ts';
import { loadPathToFinal } from './agreement/path-to-final.ts';
import { ChainService } from './chain-service.ts';
import { ClockWatch } from './clock-watch.ts';
import { EventBus } from './events.ts';
import { GapFetch } from './exchange/gap-fetch.ts';
import { MempoolExchange } from './exchange/mempool-exchange.ts';
import { Lifecycle, type Part } from './lifecycle.ts';
import { MempoolService } from './mempool-service.ts';
import { type Metrics, registerGauges } from './metrics.ts';
import type { MineMode } from './mining/mine-modes.ts';
import { MiningService } from './mining/mining-service.ts';
import { OBJECT_CODEC, type ObjectCodec } from './object-codec.ts';
import { Ingest } from './pipeline/ingest.ts';
import type { Clock, Logger, Network, PowSolver, Rng, SignatureVerifier } from './ports.ts';
import { MeshWatch, missingForReadiness } from './readiness.ts';
import { loadOrInitialize } from './store/load-or-initialize.ts';
import { type Store, StoreError } from './store/store.ts';
import { SyncService } from './sync/sync-service.ts';
import { createRememberingVerifier } from './verify/remembering-verifier.ts';

export interface NodePorts {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly logger: Logger;
  readonly network: Network;
  readonly store: Store;
  readonly verifier: SignatureVerifier;
  readonly solver: PowSolver;
  readonly metrics: Metrics;
  /** Signs the own votes; default: noble's. */
  readonly sign?: SigningBackend['sign'];
  /** Default: each node for itself. */
  readonly codec?: ObjectCodec;
}

export interface NodeSettings {
  readonly genesis: Genesis;
  /** Sent to peers with the status. */
  readonly software: string;
  /** Undefined: this node never votes. */
  readonly voter: VoterKey | undefined;
  readonly mine: MineMode;
  readonly mineIntervalMs: number;
  readonly minerAddress: Address | undefined;
  readonly mempoolMaxBytes: number;
  /** Longest that a transaction waits for others to share its gossip message; default `TX_LINGER_MS`. */
  readonly txLingerMs?: number;
  /** Has the node peers to meet before it is ready? */
  readonly expectsPeers: boolean;
}

/** A node that has peers to meet mines alone only after it has looked for them this long. */
const MEET_PEERS_MS = 10_000;
/** After a write that failed, how long until a block is mined to see whether there is room again. */
const STORE_RETRY_MS = 5_000;

/** A composed node: its services, and how to start and stop them. */
export interface GrapevineNode {
  readonly genesis: Genesis;
  readonly events: EventBus;
  readonly chain: ChainService;
  readonly mempool: MempoolService;
  readonly agreement: AgreementService;
  readonly ingest: Ingest;
  readonly sync: SyncService;
  readonly mining: MiningService;
  /** What the node still waits for before it can serve; empty: ready. */
  missing(): readonly string[];
  /** @param front started last and stopped first, under the same deadlines as the node's own parts */
  start(front?: Part): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Loads what the store holds (or begins a chain in an empty one) and wires the services.
 * @throws StoreError when the store is damaged, of another schema, or of another net
 */
export async function composeNode(settings: NodeSettings, ports: NodePorts): Promise<GrapevineNode> {
  const { genesis } = settings;
  const { clock, rng, logger, network, store, solver, metrics, codec = OBJECT_CODEC } = ports;
  const verifier = ports.verifier.remembers === true ? ports.verifier : createRememberingVerifier(ports.verifier);

  const onFailure = (error: unknown): void => {
    if (error instanceof StoreError) {
      metrics.storeFailures.inc();
      logger.error({ err: error, code: error.code }, 'not written: the store refused');
      return;
    }
    metrics.internalErrors.inc({ where: 'service' });
    logger.error({ err: error }, 'internal error');
  };
  const events = new EventBus((error, event) => {
    metrics.internalErrors.inc({ where: `listener-${event}` });
    logger.error({ err: error, event }, 'internal error in an event listener');
  });

  const stored = await loadOrInitialize(store, genesis);
  const agreement = new Agreement({
    electorate: genesis.electorate,
    rule: genesis.electorateRule,
    genesis: checkpointOf(genesis.entry.header),
    checkpointInterval: genesis.params.checkpointInterval,
  });
  const chain = new ChainService({
    genesis,
    stored,
    store,
    agreement,
    verifier,
    codec,
    clock,
    events,
    metrics,
    logger: logger.child({ part: 'chain' }),
    isVerified: (tx) => mempool.isVerified(tx),
  });
  const pathToFinal =
    agreement.rule.kind === 'miners' ? await loadPathToFinal(stored.final, agreement.checkpointInterval, store) : [];
  const restored = agreement.restore({ ...stored, pathToFinal }, chain.tree);
  if (agreement.inForce.length === 0) {
    logger.error(
      { final: stored.final.id },
      'the store lacks the votes that say who may vote now: agreement stands still',
    );
  }
  const mempool = new MempoolService(
    {
      chain,
      store,
      clock,
      events,
      limits: mempoolLimits(settings.mempoolMaxBytes),
      onFailure,
    },
    stored.mempool,
  );
  const agreementDeps: AgreementServiceDeps = {
    agreement,
    chain,
    store,
    events,
    clock,
    logger: logger.child({ part: 'agreement' }),
    publish: (vote) => ingest.publishVote(vote),
    publishEvidence: (evidence) => ingest.publishEvidence(evidence),
    voter: settings.voter,
    sign: ports.sign,
    mayVote: () => sync.mayVote,
    onFailure,
  };
  const agreementService = new AgreementService(agreementDeps, stored, restored);
  const sync = new SyncService({
    network,
    chain,
    agreement: agreementService,
    store,
    clock,
    rng,
    events,
    metrics,
    logger: logger.child({ part: 'sync' }),
    software: settings.software,
    receiveVotes: (votes) => ingest.receiveVotes(votes),
    checkVotes: (votes) => ingest.checkVotes(votes),
    receiveEvidence: (evidence) => ingest.receiveEvidence(evidence),
    mempoolFingerprint: () => exchange.fingerprint(),
    onOtherMempool: (peer) => exchange.onOtherMempool(peer),
    onFailure,
  });
  const exchange = new MempoolExchange({
    network,
    clock,
    chain,
    mempool,
    events,
    metrics,
    logger: logger.child({ part: 'exchange' }),
    receiveTxs: (txs, from) => ingest.receiveTxs(txs, from),
    mayPull: () => !sync.isBehind,
    onFailure,
  });
  const gapFetch = new GapFetch({
    network,
    clock,
    chain,
    mempool,
    events,
    metrics,
    logger: logger.child({ part: 'exchange' }),
    receiveTxs: (txs, from) => ingest.receiveTxs(txs, from),
    hasExpired: (id) => exchange.hasExpired(id),
    mayAsk: () => !sync.isBehind,
    onFailure,
  });
  const clockWatch = new ClockWatch({
    clock,
    events,
    chain,
    logger: logger.child({ part: 'clock' }),
    maxFutureMs: genesis.params.maxFutureMs,
    blockTimeMs: genesis.params.blockTimeMs,
  });
  const ingest = new Ingest({
    ...(settings.txLingerMs !== undefined && { txLingerMs: settings.txLingerMs }),
    chainId: genesis.chainId,
    params: genesis.params,
    chain,
    mempool,
    agreement: agreementService,
    verifier,
    codec,
    network,
    clock,
    events,
    metrics,
    logger: logger.child({ part: 'ingest' }),
    rng,
    onOrphan: (block, from) => sync.onOrphan(block, from),
    onBlockMissed: (from) => sync.onBlockMissed(from),
    peersWith: (block, except) => sync.peersWith(block, except),
    onEarlyHeader: (header, why) => clockWatch.onEarlyHeader(header, why),
    onGap: (tx, from) => gapFetch.onGap(tx, from),
    isCatchingUp: () => sync.isCatchingUp,
  });
  let startedAtMs = clock.monotonicMs();
  const mayMine = (): boolean => {
    if (sync.isBehind) return false;
    if (chain.storeFailure !== undefined && clock.monotonicMs() - chain.storeFailedAtMs < STORE_RETRY_MS) return false;
    return !settings.expectsPeers || sync.hasMetPeer || clock.monotonicMs() - startedAtMs > MEET_PEERS_MS;
  };
  const mining = new MiningService({
    mode: settings.mine,
    intervalMs: settings.mineIntervalMs,
    miner: settings.minerAddress,
    solver,
    chain,
    mempool,
    clock,
    events,
    metrics,
    logger: logger.child({ part: 'mining' }),
    submit: (block) => ingest.submitBlock(block),
    mayMine,
    onFailure,
  });

  registerGauges(metrics, {
    height: () => Number(chain.tip.header.height),
    agreedHeight: () => Number(agreementService.agreed.height),
    finalHeight: () => Number(agreementService.final.height),
    peers: () => network.peers().length,
    mempoolTxs: () => mempool.pool.size,
    mempoolBytes: () => mempool.pool.bytes,
    hashRate: () => mining.hashRate(),
    queueLength: (kind) => ingest.queueLength(kind),
    overloaded: () => Number(ingest.isOverloaded()),
  });

  const lifecycle = new Lifecycle({ clock, logger });
  const mesh = new MeshWatch(network, clock);
  return {
    genesis,
    events,
    chain,
    mempool,
    agreement: agreementService,
    ingest,
    sync,
    mining,

    missing: () =>
      missingForReadiness({
        chain,
        agreement: agreementService,
        clockWatch,
        sync,
        mesh,
        expectsPeers: settings.expectsPeers,
      }),

    async start(front) {
      startedAtMs = clock.monotonicMs();
      sync.register();
      exchange.register();
      await lifecycle.start({ name: 'store', stop: () => store.close() });
      // Before anybody can give a block: who hears of it later would never hear of it.
      mempool.follow();
      await lifecycle.start({ name: 'clock watch', stop: clockWatch.follow() });
      await lifecycle.start({
        name: 'agreement writes',
        start: () => agreementService.follow(),
        stop: () => agreementService.stop(), // also where the network does not start
      });
      sync.follow();
      exchange.follow();
      gapFetch.follow();
      await lifecycle.start({
        name: 'network',
        start: () =>
          network.start({
            onGossip: (message) => ingest.receiveGossip(message),
            onPeerConnected: (peer) => {
              sync.onPeerConnected(peer);
              exchange.onPeerConnected(peer);
              gapFetch.onPeerConnected(peer);
            },
            onPeerDisconnected: (peer) => {
              sync.onPeerDisconnected(peer);
              exchange.onPeerDisconnected(peer);
              gapFetch.onPeerDisconnected(peer);
            },
          }),
        stop: () => network.stop(),
      });
      await lifecycle.start({ name: 'mempool', start: () => mempool.start(), stop: () => mempool.stop() });
      await lifecycle.start({ name: 'chain', stop: () => chain.idle() });
      await lifecycle.start({
        name: 'agreement',
        start: () => agreementService.start(),
        stop: () => agreementService.stop(),
      });
      await lifecycle.start({ name: 'sync', start: () => sync.start(), stop: () => sync.stop() });
      await lifecycle.start({
        name: 'exchange',
        start: () => gapFetch.start(),
        stop: async () => void (await Promise.all([exchange.stop(), gapFetch.stop()])),
      });
      await lifecycle.start({ name: 'ingest', stop: () => ingest.stop() });
      await lifecycle.start({ name: 'mining', start: () => mining.start(), stop: () => mining.stop() });
      if (front !== undefined) await lifecycle.start(front);
    },

    stop: () => lifecycle.stop(),
  };
}
