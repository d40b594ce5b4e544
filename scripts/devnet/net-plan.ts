/** Where the nodes of a devnet listen, and whom each dials at start. */
import { peerIdOfSeed } from '../../node/net/identity.ts';
import type { Rng } from '../../node/ports.ts';
import { devIdentitySeed } from '../dev-accounts.ts';
import { findFreePort } from './ports.ts';

/** Nodes that each node dials at start. All of them up to this many; beyond, a ring and random others. */
const BOOTSTRAP_PEERS = 8;
/** p2p ports begin this far above the API's. */
const P2P_PORT_OFFSET = 100;

export interface NodePlace {
  readonly apiPort: number;
  readonly p2pPort: number;
  /** Multiaddrs of other nodes. */
  readonly bootstrap: readonly string[];
}

export interface NetPlanInit {
  readonly nodes: number;
  /** APIs have the ports above it, where these are free. */
  readonly basePort: number;
  readonly rng: Rng;
  /** Hears of each port that is another than it would have been. */
  readonly say: (line: string) => void;
}

/**
 * Chooses ports and peers for each node, in order.
 *
 * @throws Error where there are not enough free ports
 */
export async function planNet({ nodes, basePort, rng, say }: NetPlanInit): Promise<readonly NodePlace[]> {
  const apiPort = (index: number): number => basePort + 1 + index;
  const p2pPort = (index: number): number => basePort + 1 + Math.max(P2P_PORT_OFFSET, nodes) + index;
  // What one node cannot have is replaced by none that another is to have.
  const taken = new Set(Array.from({ length: nodes }, (_, index) => [apiPort(index), p2pPort(index)]).flat());
  const choose = async (wanted: number, what: string): Promise<number> => {
    taken.delete(wanted);
    const port = await findFreePort(wanted, taken);
    taken.add(wanted);
    taken.add(port);
    if (port !== wanted) say(`port ${wanted} is in use: ${what} takes ${port}`);
    return port;
  };
  const ports: Pick<NodePlace, 'apiPort' | 'p2pPort'>[] = [];
  for (let index = 0; index < nodes; index++) {
    ports.push({
      apiPort: await choose(apiPort(index), `the API of node${index + 1}`),
      p2pPort: await choose(p2pPort(index), `node${index + 1}`),
    });
  }
  const addresses = ports.map(
    (port, index) => `/ip4/127.0.0.1/tcp/${port.p2pPort}/p2p/${peerIdOfSeed(devIdentitySeed(index))}`,
  );
  return ports.map((port, index) => ({ ...port, bootstrap: bootstrapOf(index, addresses, rng) }));
}

/**
 * A net whose nodes know all others is closed, unless the user's own flags say who there is: those the devnet does not
 * know of would be strangers in it. One node alone has nobody to be closed with.
 */
export function closedNetFlags(bootstrap: readonly string[], nodes: number, nodeArgs: readonly string[]): string[] {
  if (nodeArgs.some((arg) => /^--(bootstrap|closed-net)(=|$)/.test(arg))) return [];
  return [`--closed-net=${nodes > 1 && bootstrap.length === nodes - 1}`];
}

function bootstrapOf(index: number, addresses: readonly string[], rng: Rng): string[] {
  const others = addresses.filter((_, other) => other !== index);
  if (others.length <= BOOTSTRAP_PEERS) return others;
  const chosen = new Set([addresses[(index + 1) % addresses.length]!]); // the ring keeps the net in one piece
  while (chosen.size < BOOTSTRAP_PEERS) chosen.add(others[Math.floor(rng.unit() * others.length)]!);
  return [...chosen];
}
