/** Numbers that gossipsub is given here and that its model in `sim/` goes by too: it does without libp2p. */

/** Of a message: the first of its SHA-256. */
export const MESSAGE_ID_BYTES = 20;
/** GRAFTs, PRUNEs, IHAVEs, IWANTs or IDONTWANTs of one RPC: there are four topics. */
export const MAX_CONTROL_MESSAGES = 16;
/** Message ids that one IHAVE may name, and one IWANT ask for: gossipsub's MaxIHaveLength. */
export const MAX_IHAVE_IDS = 5_000;
/** Message ids of one IDONTWANT. */
export const MAX_IDONTWANT_IDS = 512;
/** A peer whose score is below is told nothing of messages by IHAVE, nor heard. */
export const GOSSIP_THRESHOLD = -20;
/** Score that each point against a peer costs it. 0.4 · 50: the ban comes before the graylist hides what it sends. */
export const POINTS_WEIGHT = 0.4;
/**
 * Points that cost a peer nothing in the mesh, which has room only for scores of at least 0: a request that timed out
 * while the network was cut costs points, and both ends of a healed link would keep each other out until these decay.
 */
export const TOLERATED_POINTS = 50;
/** Score for each second in the mesh, up to so many seconds (P1). */
export const MESH_SECONDS_WEIGHT = 0.01;
export const MESH_SECONDS_CAP = 300;
