/** When a node mines. Apart from what mines, as the API and the configuration name it too. */
export const MINE_MODES = ['continuous', 'interval', 'on-demand', 'off'] as const;
export type MineMode = (typeof MINE_MODES)[number];
