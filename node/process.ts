/**
 * A node as an operating-system process: production adapters for the ports, the services, the HTTP API.
 * Knows nothing of command lines; `scripts/node.ts` does.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Genesis } from '../chain/genesis.ts';
import type { Address } from '../crypto/address.ts';
import { loadSignatureBackend } from '../crypto/load-backend.ts';
import { createSystemClock, createSystemRng, nextTurn } from './adapters.ts';
import type { VoterKey } from './agreement/agreement-service.ts';
import { createApiServer } from './api/server.ts';
import { createApiBackend } from './backend/api-backend.ts';
import { composeNode, type GrapevineNode } from './compose.ts';
import type { NodeConfig } from './config.ts';
import { makeDirectory } from './make-directory.ts';
import { createMetrics } from './metrics.ts';
import { createPowSolver } from './mining/pow-solver.ts';
import { gossipCounts, gossipTxCopies } from './net/gossip-metrics.ts';
import { createLibp2pNetwork } from './net/libp2p-network.ts';
import { networkOptions } from './network-options.ts';
import type { Logger } from './ports.ts';
import { openLevelStore } from './store/open-level-store.ts';
import { createInlineVerifier } from './verify/inline-verifier.ts';
import { VerifyPool } from './verify/verify-pool.ts';
import { VERSION } from './version.ts';

export interface ProcessOptions {
  readonly config: NodeConfig;
  readonly genesis: Genesis;
  /** Ed25519 seed of the libp2p identity, 32 bytes. */
  readonly identitySeed: Uint8Array;
  readonly voter: VoterKey | undefined;
  readonly minerAddress: Address | undefined;
  readonly logger: Logger;
}

export interface RunningProcess {
  readonly node: GrapevineNode;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly apiUrl: string;
  /** Stops everything in reverse order of start. */
  stop(): Promise<void>;
}

/**
 * Starts a node. Throws ConfigError, BackendError, StoreError, ApiListenError or the transport's error; what was started
 * is stopped first.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const { config, genesis, logger } = options;
  const ofNetwork = networkOptions(config); // may throw: before there is anything to stop
  const clock = createSystemClock();
  const rng = createSystemRng();
  const metrics = createMetrics({ processMetrics: true });
  const { backend, passedOver } = await loadSignatureBackend(config.signatureBackend);
  const threads = config.verifyWorkers === 'auto' ? Math.max(1, availableParallelism() - 1) : config.verifyWorkers;
  logger.info({ backend: backend.name, threads, ...(passedOver.length > 0 && { passedOver }) }, 'signature backend');
  await makeDirectory(config.dataDir);
  const place = { location: join(config.dataDir, 'store'), dataDir: config.dataDir };
  const store = await openLevelStore(place, {
    chainId: genesis.chainId,
    onMigrated: (backup) =>
      logger.warn({ backup }, 'the store had an older schema and was brought over; the backup is as it was'),
  });
  const network = createLibp2pNetwork({
    identitySeed: options.identitySeed,
    listen: config.listen,
    announce: config.announce,
    bootstrap: config.bootstrap,
    topics: { chainId: genesis.chainId },
    clock,
    rng,
    logger: logger.child({ part: 'net' }),
    options: ofNetwork,
    addressStore: store,
    onHandlerFailure: (error) => {
      metrics.internalErrors.inc({ where: 'network-handler' });
      logger.error({ err: error }, 'internal error in a network handler');
    },
    metricsRegistry: metrics.registry,
  });
  const solver = createPowSolver({
    budget: config.mine === 'on-demand' ? 1 : config.hashBudget, // who asks for a block waits for it
    clock,
    rng,
    onReady: (kernel) => logger.info({ kernel }, 'mining'),
    onFailure: (error) => {
      metrics.internalErrors.inc({ where: 'pow-worker' });
      logger.error({ err: error }, 'grinding failed');
    },
  });
  const pool =
    threads === 0
      ? undefined
      : new VerifyPool({
          size: threads,
          backend,
          clock,
          logger: logger.child({ part: 'verify' }),
          onThreadDeath: () => metrics.internalErrors.inc({ where: 'verify-worker' }),
        });
  const verifier = pool ?? createInlineVerifier(backend, clock);
  let node: GrapevineNode;
  try {
    node = await composeNode(
      {
        genesis,
        software: `grapevine/${VERSION}`,
        voter: options.voter,
        mine: options.minerAddress === undefined ? 'off' : config.mine,
        mineIntervalMs: config.mineIntervalMs,
        minerAddress: options.minerAddress,
        mempoolMaxBytes: config.mempoolMaxBytes,
        txLingerMs: config.txLingerMs,
        expectsPeers: config.bootstrap.length > 0,
      },
      { clock, rng, logger, network, store, verifier, solver, metrics, sign: backend.sign },
    );
  } catch (error) {
    await store.close();
    throw error;
  }
  const api = createApiServer({
    backend: createApiBackend({
      node,
      network,
      store,
      clock,
      name: config.name,
      version: VERSION,
      genesisDoc: genesis.doc,
      voter: options.voter?.address,
      signatureBackend: backend.name,
      giveWay: nextTurn,
      gossipCounts: async () => {
        const counts = Object.values(await gossipCounts(metrics.registry));
        const { values } = await metrics.verdicts.get();
        const taken = values.find(({ labels }) => labels.kind === 'tx' && labels.verdict === 'accept');
        return {
          messages: counts.reduce((sum, { received, duplicates }) => sum + received - duplicates, 0),
          copies: counts.reduce((sum, { received }) => sum + received, 0),
          txs: taken?.value ?? 0,
          txCopies: await gossipTxCopies(metrics.registry),
        };
      },
      internalErrors: async () => {
        const { values } = await metrics.internalErrors.get();
        return values.reduce((sum, { value }) => sum + value, 0);
      },
    }),
    clock,
    logger: logger.child({ part: 'api' }),
    metrics: () => metrics.registry.metrics(),
    options: {
      host: config.apiHost,
      port: config.apiPort,
      ...(config.adminToken !== '' && { adminToken: config.adminToken }),
    },
  });

  const stop = async (): Promise<void> => {
    await node.stop();
    await pool?.close();
  };
  try {
    let port = 0;
    const start = async (): Promise<void> => {
      port = (await api.start()).port;
    };
    await node.start({ name: 'api', start, stop: () => api.stop() });
    const host = config.apiHost.includes(':') ? `[${config.apiHost}]` : config.apiHost;
    return { node, peerId: network.self, addresses: network.addresses(), apiUrl: `http://${host}:${port}`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
