/** The stream protocols of sync: their names and what one request may ask. The envelopes are in `net/wire.ts`. */
import * as wire from '../net/wire.ts';
import type { StreamProtocol } from '../ports.ts';

export const MAX_HEADERS_PER_REQUEST = 2000;
export const MAX_BODIES_PER_REQUEST = wire.MAX_BODY_IDS;
export const MAX_VOTES_PER_REQUEST = 2048;
/** One chunk. */
export const MAX_EVIDENCE_PER_REQUEST = wire.MAX_EVIDENCE_PER_CHUNK;

/** The asking side's status, the answering side's; again and again on one stream. */
export const STATUS: StreamProtocol = {
  name: '/grapevine/status/2',
  maxRequestBytes: wire.STATUS_FRAME_BYTES,
  maxFrameBytes: wire.STATUS_FRAME_BYTES,
  maxInboundStreams: 2, // the one that is kept, and the one that takes its place
  staysOpen: true,
};

export const HEADERS: StreamProtocol = {
  name: '/grapevine/headers/1',
  maxRequestBytes: wire.HEADERS_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.HEADERS_FRAME_BYTES,
  maxInboundStreams: 2,
};

export const BODIES: StreamProtocol = {
  name: '/grapevine/bodies/1',
  maxRequestBytes: wire.BODIES_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.BODY_FRAME_BYTES,
  maxInboundStreams: 4,
};

/** Transactions of a block that came as a compact block (CMPCT-5). */
export const BLOCK_TXS: StreamProtocol = {
  name: '/grapevine/block-txs/1',
  maxRequestBytes: wire.BLOCK_TXS_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.BLOCK_TXS_FRAME_BYTES,
  maxInboundStreams: 4,
};

export const VOTES: StreamProtocol = {
  name: '/grapevine/votes/1',
  maxRequestBytes: wire.VOTES_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.VOTES_FRAME_BYTES,
  maxInboundStreams: 2,
};

export const EVIDENCE: StreamProtocol = {
  name: '/grapevine/evidence/1',
  maxRequestBytes: wire.EVIDENCE_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.EVIDENCE_FRAME_BYTES,
  maxInboundStreams: 2,
};
