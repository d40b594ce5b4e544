/** The stream protocols by which mempools mend each other. The envelopes are in `net/wire.ts`. */
import * as wire from '../net/wire.ts';
import type { StreamProtocol } from '../ports.ts';

/** A digest by bucket; the short ids that the other side has in the buckets that differ. */
export const MEMPOOL: StreamProtocol = {
  name: '/grapevine/mempool/1',
  maxRequestBytes: wire.MEMPOOL_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.MEMPOOL_FRAME_BYTES,
  maxInboundStreams: 2,
};

/** A sender and the nonce that is missing; its transactions from that one up to the next gap. */
export const SENDER_TXS: StreamProtocol = {
  name: '/grapevine/sender-txs/1',
  maxRequestBytes: wire.SENDER_TXS_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.TXS_FRAME_BYTES,
  maxInboundStreams: 2,
};

/** Short ids; the transactions, in chunks. */
export const TXS: StreamProtocol = {
  name: '/grapevine/txs/1',
  maxRequestBytes: wire.TXS_REQUEST_FRAME_BYTES,
  maxFrameBytes: wire.TXS_FRAME_BYTES,
  maxInboundStreams: 2,
};
