/** Real libp2p on 127.0.0.1, for benchmarks. */
import type { Genesis } from '../chain/genesis.ts';
import { createSystemClock, createSystemRng } from '../node/adapters.ts';
import type { AddressStore } from '../node/net/address-book.ts';
import { createLibp2pNetwork, DEVNET_NETWORK } from '../node/net/libp2p-network.ts';
import type { Network } from '../node/ports.ts';
import { silentLogger } from '../test/node-fixture.ts';

export function createLoopbackNetwork(options: {
  readonly genesis: Genesis;
  readonly store: AddressStore;
  readonly bootstrap: readonly string[];
}): Network {
  const rng = createSystemRng();
  return createLibp2pNetwork({
    identitySeed: rng.bytes(32),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: options.bootstrap,
    topics: { chainId: options.genesis.chainId },
    clock: createSystemClock(),
    rng,
    logger: silentLogger,
    options: DEVNET_NETWORK,
    addressStore: options.store,
    onHandlerFailure: (error) => {
      throw error;
    },
  });
}
