import { expect, it } from 'vitest';
import type { ChainId } from '../../../chain/types.ts';
import { createSystemRng } from '../../../node/adapters.ts';
import { createLibp2pNetwork, DEVNET_NETWORK } from '../../../node/net/libp2p-network.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { recordingLogger } from '../../loggers.ts';

const { banMs, banPoints } = DEVNET_NETWORK.peerScore;

it('bans once: what was on its way when the ban came is neither counted nor logged, and prolongs nothing', async () => {
  const clock = new VirtualClock(0);
  const { logger, lines } = recordingLogger();
  const network = createLibp2pNetwork({
    identitySeed: new Uint8Array(32).fill(1),
    listen: [],
    bootstrap: [],
    topics: { chainId: 'ab'.repeat(32) as ChainId },
    clock,
    rng: createSystemRng(),
    logger,
    options: DEVNET_NETWORK,
    addressStore: { loadPeers: async () => new Map(), savePeers: async () => {} },
    onHandlerFailure: (error) => {
      throw error;
    },
  });
  const bans = (): number => lines.filter(({ message }) => message === 'peer banned').length;
  network.penalize('evil', banPoints - 1, 'almost');
  expect([bans(), network.isRefused('evil')]).toEqual([0, false]);
  network.penalize('evil', 10, 'invalid tx');
  expect([bans(), network.isRefused('evil')]).toEqual([1, true]);
  await clock.run(banMs - 1);
  const logged = lines.length;
  for (let late = 0; late < 50; late++) network.penalize('evil', 10, 'invalid tx');
  expect(lines).toHaveLength(logged);
  expect(bans()).toBe(1);
  await clock.run(1);
  expect(network.isRefused('evil')).toBe(false);
  network.penalize('evil', banPoints, 'again');
  expect([bans(), network.isRefused('evil')]).toEqual([2, true]);
  expect(network.isRefused('somebody else')).toBe(false);
});
