import { expect, it } from 'vitest';
import { PRESETS } from '../../../node/config.ts';
import { DEVNET_NETWORK, PUBLIC_NETWORK } from '../../../node/net/libp2p-network.ts';
import { meshDegrees } from '../../../node/net/mesh-degrees.ts';
import { networkOptions } from '../../../node/network-options.ts';

it('keeps gossipsub’s order, Dout < Dlo ≤ D ≤ Dhi and Dout ≤ D/2, with room above Dhi, for every degree that can be configured', () => {
  for (let D = 2; D <= 12; D++) {
    const { Dlo, Dhi, Dmax, Dout } = meshDegrees(D);
    expect(Dout, `D ${D}`).toBeLessThan(Dlo);
    expect(Dout, `D ${D}`).toBeLessThanOrEqual(D / 2);
    expect(Dlo, `D ${D}`).toBeLessThanOrEqual(D);
    expect(Dhi, `D ${D}`).toBeGreaterThanOrEqual(D);
    expect(Dmax, `D ${D}`).toBeGreaterThan(Dhi);
  }
  expect(meshDegrees(6)).toEqual({ D: 6, Dlo: 4, Dhi: 12, Dmax: 18, Dout: 2 }); // the specification's, but for Dmax
});

it('is what a node of each preset runs with', () => {
  expect(networkOptions(PRESETS.devnet).gossip).toEqual(DEVNET_NETWORK.gossip);
  expect(networkOptions(PRESETS.public).gossip).toEqual(PUBLIC_NETWORK.gossip);
});
