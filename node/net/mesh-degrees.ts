/** How many mesh peers gossipsub keeps per topic. */
export interface MeshDegrees {
  readonly D: number;
  /** Below this it looks for more, up to D. */
  readonly Dlo: number;
  /** Above this it prunes at the next heartbeat, down to D. */
  readonly Dhi: number;
  /** With so many it refuses who asks to be taken in. */
  readonly Dmax: number;
  /** Of them so many that we dialled: whoever only dials us cannot fill the mesh. */
  readonly Dout: number;
}

/**
 * The bounds that go with a degree: for 6 those of the gossipsub specification (4 to 12), for others in proportion.
 *
 * Gossipsub has no Dmax: it refuses at Dhi, and prunes only above. Where every node stands at Dhi, as many that all know
 * each other can, a newcomer would be refused by all of them for good. With room above Dhi it is taken in, and who took
 * it in prunes.
 *
 * @param D 2 to 12
 */
export function meshDegrees(D: number): MeshDegrees {
  const Dlo = D - Math.max(1, Math.floor(D / 3));
  return { D, Dlo, Dhi: 2 * D, Dmax: 3 * D, Dout: Math.min(Math.floor(D / 2), 2, Dlo - 1) };
}
