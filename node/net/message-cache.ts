/** For how long gossipsub keeps messages and names them to peers outside the mesh, and of which it wants no copies. */

/** Messages this recent are named by IHAVE to peers outside the mesh, 22 bytes for each at each heartbeat. */
const GOSSIP_WINDOW_MS = 1_000;

/**
 * Of messages of so many bytes the mesh is told that no copies are wanted (IDONTWANT). To say so, and to hear it, costs an
 * RPC for each mesh peer, which is what a short message costs (ADR 0013); gossipsub's own is 512.
 */
export const MIN_IDONTWANT_BYTES = 2_048;

export interface MessageCacheLengths {
  /** Heartbeats that a message can be asked for by IWANT. */
  readonly mcacheLength: number;
  /** Heartbeats that IHAVE names it. */
  readonly mcacheGossip: number;
}

/** @param options heartbeats are `heartbeatIntervalMs` apart; a message is kept for `messageTtlMs` */
export function messageCacheLengths(options: {
  readonly heartbeatIntervalMs: number;
  readonly messageTtlMs: number;
}): MessageCacheLengths {
  const heartbeats = (ms: number): number => Math.max(2, Math.ceil(ms / options.heartbeatIntervalMs));
  return {
    // Never shorter than the window of IHAVE: gossipsub would walk past the end of its history.
    mcacheLength: heartbeats(Math.max(options.messageTtlMs, GOSSIP_WINDOW_MS)) + 1,
    mcacheGossip: heartbeats(GOSSIP_WINDOW_MS),
  };
}
