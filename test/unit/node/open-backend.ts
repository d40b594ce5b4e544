/** The API's backend over a whole node of the simulation: what a client sees, without HTTP and real time. */
import type { ApiBackend } from '../../../node/api/backend.ts';
import { createApiBackend } from '../../../node/backend/api-backend.ts';
import type { Clock } from '../../../node/ports.ts';
import { type SimNode, simulationKey, type World } from '../../../sim/world.ts';
import { EASY } from '../../sim/chain-builder.ts';
import { type OpenWorldOptions, openWorld } from '../../sim/open-world.ts';

export interface BackendLab {
  readonly world: World;
  readonly a: SimNode;
  readonly b: SimNode;
  /** Of `a`, which mines on demand and is the only elector; `b` follows. */
  readonly backend: ApiBackend;
  /** Lets virtual time pass until the promise has settled. */
  readonly settle: <T>(promise: Promise<T>) => Promise<T>;
  /** Mines, and waits until the votes have made all but the last block final. */
  readonly mine: (count: number) => Promise<void>;
}

export async function openBackend(options: Pick<OpenWorldOptions, 'wrapStore'> = {}): Promise<BackendLab> {
  const world = openWorld({
    nodes: [
      { name: 'a', mine: 'on-demand' },
      { name: 'b', mine: 'off', voter: false },
    ],
    params: EASY,
    ...options,
  });
  await world.start();
  await world.run(5_000);
  const [a, b] = [world.node('a'), world.node('b')];
  const backend = backendOf(world, 'a');
  const settle = <T>(promise: Promise<T>): Promise<T> => world.clock.runUntilSettled(promise, 120_000);
  return {
    world,
    a,
    b,
    backend,
    settle,
    async mine(count) {
      await settle(backend.mine(count, new AbortController().signal));
      await world.run(2_000);
    },
  };
}

/** The backend of a running node. @param clock where it is not to be the world's */
export function backendOf(world: World, name: string, clock: Clock = world.clock): ApiBackend {
  const sim = world.node(name);
  return createApiBackend({
    node: sim.node,
    network: sim.network,
    store: sim.store,
    clock,
    name: `the node ${name}`,
    version: '1.2.3',
    genesisDoc: world.genesis.doc,
    voter: sim.spec.voter === false ? undefined : simulationKey(name).address,
    signatureBackend: 'noble',
    gossipCounts: async () => ({ messages: 3, copies: 5, txs: 7, txCopies: 9 }),
    internalErrors: () => sim.internalErrors(),
    giveWay: async () => {},
  });
}
