/** How many mesh peers gossipsub keeps per topic. */
export interface MeshDegrees {
  readonly D: number;
  /** Below this it looks for more, up to D. */
  readonly Dlo: number;
  /** Above this it prunes, down to D. */
  readonly Dhi: number;
  /** Of them so many that we dialled: whoever only dials us cannot fill the mesh. */
  readonly Dout: number;
}

/**
 * The bounds that go with a degree: those of the gossipsub specification for 6 (4 to 10), and near D for small ones, as
 * copies follow the degree that the mesh really has (docs/PERFORMANCE.md).
 *
 * @param D 2 to 12
 */
export function meshDegrees(D: number): MeshDegrees {
  const Dlo = D - Math.max(1, Math.floor(D / 3));
  return { D, Dlo, Dhi: 2 * D - 2, Dout: Math.min(Math.floor(D / 2), 2, Dlo - 1) };
}
