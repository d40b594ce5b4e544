import { describe, expect, it } from 'vitest';
import {
  EVIDENCE_BYTES,
  HEADER_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCK_TXS,
  MAX_TX_BYTES,
  MAX_U64,
  MIN_TX_BYTES,
  VOTE_BYTES,
} from '../../../chain/params.ts';
import * as generated from '../../../node/net/wire.generated.js';
import * as wire from '../../../node/net/wire.ts';
import { fc } from '../../fast-check.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const u64 = fc.bigInt({ min: 0n, max: MAX_U64 });
const u32 = fc.nat(0xffff_ffff);
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, item) => {
      if (typeof item === 'bigint') return item.toString();
      return item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item;
    }),
  );

function roundTrips<M>(
  arbitrary: fc.Arbitrary<M>,
  encode: (m: M) => Uint8Array,
  decode: (b: Uint8Array) => M | undefined,
) {
  fc.assert(
    fc.property(arbitrary, (message) => {
      const decoded = decode(encode(message));
      expect(decoded).toBeDefined();
      expect(plain(decoded)).toEqual(plain(message));
    }),
    { numRuns: 50 },
  );
}

const status = fc.record({
  chainId: bytes(32),
  version: fc.string({ maxLength: 16 }),
  tipHeight: u64,
  tipId: bytes(32),
  tipWork: fc.uint8Array({ maxLength: 40 }),
  agreedHeight: u64,
  agreedId: bytes(32),
  finalHeight: u64,
  finalId: bytes(32),
  offenders: bytes(32),
  mempool: bytes(8),
});

describe('transactions of a block', () => {
  const id = new Uint8Array(32);
  it.each([
    ['none', []],
    ['the same twice', [1, 1]],
    ['falling', [2, 1]],
    ['beyond any block', [MAX_BLOCK_TXS]],
  ])('a request for places that are %s is refused', (_name, indexes) => {
    expect(() => wire.encodeBlockTxsRequest({ id, indexes })).toThrow(RangeError);
    expect(wire.decodeBlockTxsRequest(generated.BlockTxsRequest.encode({ id, indexes }))).toBeUndefined();
  });

  it('all of the largest block fit their frames', () => {
    const indexes = Array.from({ length: MAX_BLOCK_TXS }, (_, index) => index);
    const txs = indexes.map(() => new Uint8Array(MIN_TX_BYTES));
    expect(wire.encodeBlockTxsRequest({ id, indexes }).length).toBeLessThanOrEqual(wire.BLOCK_TXS_REQUEST_FRAME_BYTES);
    expect(wire.encodeBlockTxsReply({ txs }).length).toBeLessThanOrEqual(wire.BLOCK_TXS_FRAME_BYTES);
  });
});

describe('every envelope round-trips', () => {
  it('status', () => roundTrips(status, wire.encodeStatus, wire.decodeStatus));
  it('headers request', () =>
    roundTrips(
      fc.record({ locator: fc.array(bytes(32), { maxLength: 64 }), max: u32 }),
      wire.encodeHeadersRequest,
      wire.decodeHeadersRequest,
    ));
  it('headers chunk', () =>
    roundTrips(
      fc.record({ headers: fc.array(bytes(HEADER_BYTES), { maxLength: 20 }) }),
      wire.encodeHeadersChunk,
      wire.decodeHeadersChunk,
    ));
  it('bodies request', () =>
    roundTrips(
      fc.record({ ids: fc.array(bytes(32), { maxLength: 16 }) }),
      wire.encodeBodiesRequest,
      wire.decodeBodiesRequest,
    ));
  it('body reply', () =>
    roundTrips(
      fc.record({ id: bytes(32), block: fc.uint8Array({ maxLength: 500 }) }),
      wire.encodeBodyReply,
      wire.decodeBodyReply,
    ));
  it('block transactions request', () =>
    roundTrips(
      fc.record({
        id: bytes(32),
        indexes: fc
          .uniqueArray(fc.nat(MAX_BLOCK_TXS - 1), { minLength: 1, maxLength: 50 })
          .map((list) => list.sort((a, b) => a - b)),
      }),
      wire.encodeBlockTxsRequest,
      wire.decodeBlockTxsRequest,
    ));
  it('block transactions reply', () =>
    roundTrips(
      fc.record({
        txs: fc.array(fc.uint8Array({ minLength: MIN_TX_BYTES, maxLength: MAX_TX_BYTES }), { maxLength: 9 }),
      }),
      wire.encodeBlockTxsReply,
      wire.decodeBlockTxsReply,
    ));
  it('votes request', () =>
    roundTrips(fc.record({ fromHeight: u64, max: u32 }), wire.encodeVotesRequest, wire.decodeVotesRequest));
  it('votes chunk', () =>
    roundTrips(
      fc.record({ votes: fc.array(bytes(VOTE_BYTES), { maxLength: 20 }) }),
      wire.encodeVotesChunk,
      wire.decodeVotesChunk,
    ));
  it('evidence request', () =>
    roundTrips(
      fc.record({ after: fc.oneof(bytes(0), bytes(20)), max: u32 }),
      wire.encodeEvidenceRequest,
      wire.decodeEvidenceRequest,
    ));
  it('evidence chunk', () =>
    roundTrips(
      fc.record({ evidence: fc.array(bytes(EVIDENCE_BYTES), { maxLength: 20 }) }),
      wire.encodeEvidenceChunk,
      wire.decodeEvidenceChunk,
    ));
  it('mempool request', () =>
    roundTrips(
      fc.record({ digest: bytes(2048), skip: fc.nat({ max: wire.MAX_POOL_SKIP }) }),
      wire.encodeMempoolRequest,
      wire.decodeMempoolRequest,
    ));
  it('mempool reply', () =>
    roundTrips(fc.record({ ids: bytes(80) }), wire.encodeMempoolReply, wire.decodeMempoolReply));
  it('transactions request', () =>
    roundTrips(fc.record({ ids: bytes(80) }), wire.encodeTxsRequest, wire.decodeTxsRequest));
  it('transactions chunk', () =>
    roundTrips(
      fc.record({
        txs: fc.array(fc.uint8Array({ minLength: MIN_TX_BYTES, maxLength: MAX_TX_BYTES }), { maxLength: 9 }),
      }),
      wire.encodeTxsChunk,
      wire.decodeTxsChunk,
    ));
});

const decoders = {
  status: wire.decodeStatus,
  headersRequest: wire.decodeHeadersRequest,
  headersChunk: wire.decodeHeadersChunk,
  bodiesRequest: wire.decodeBodiesRequest,
  bodyReply: wire.decodeBodyReply,
  votesRequest: wire.decodeVotesRequest,
  votesChunk: wire.decodeVotesChunk,
  evidenceRequest: wire.decodeEvidenceRequest,
  evidenceChunk: wire.decodeEvidenceChunk,
  mempoolRequest: wire.decodeMempoolRequest,
  mempoolReply: wire.decodeMempoolReply,
  txsRequest: wire.decodeTxsRequest,
  txsChunk: wire.decodeTxsChunk,
};

describe('decoding', () => {
  it.each(Object.entries(decoders))('of any bytes never throws: %s', (_, decode) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        expect(() => decode(input)).not.toThrow();
      }),
      { numRuns: 300 },
    );
  });

  it('of a truncated status gives undefined or keeps the limits', () => {
    const id = new Uint8Array(32).fill(1);
    const whole = wire.encodeStatus({
      chainId: id,
      version: 'grapevine/0.1.0',
      tipHeight: 7n,
      tipId: id,
      tipWork: Uint8Array.of(1, 2),
      agreedHeight: 6n,
      agreedId: id,
      finalHeight: 5n,
      finalId: id,
      offenders: id,
      mempool: new Uint8Array(8).fill(1),
    });
    expect(wire.decodeStatus(whole)?.tipHeight).toBe(7n);
    for (let length = 0; length < whole.byteLength; length += 1) {
      expect(wire.decodeStatus(whole.subarray(0, length))).toBeUndefined(); // the last field is 8 bytes long
    }
  });
});

describe('limits', () => {
  const ids = (count: number, length = 32) => Array.from({ length: count }, () => new Uint8Array(length));

  it('hold on encoding', () => {
    expect(() => wire.encodeHeadersRequest({ locator: ids(65), max: 1 })).toThrow(RangeError);
    expect(() => wire.encodeBodiesRequest({ ids: ids(129) })).toThrow(RangeError);
    expect(() => wire.encodeHeadersChunk({ headers: ids(513, HEADER_BYTES) })).toThrow(RangeError);
    expect(() => wire.encodeVotesChunk({ votes: ids(1_025, VOTE_BYTES) })).toThrow(RangeError);
    expect(() => wire.encodeVotesRequest({ fromHeight: -1n, max: 1 })).toThrow(RangeError);
    expect(() => wire.encodeMempoolRequest({ digest: new Uint8Array(2047), skip: 0 })).toThrow(RangeError);
    expect(() => wire.encodeMempoolRequest({ digest: new Uint8Array(2048), skip: 2 ** 20 + 1 })).toThrow(RangeError);
    expect(() => wire.encodeMempoolReply({ ids: new Uint8Array(8 * 4097) })).toThrow(RangeError);
    expect(() => wire.encodeTxsRequest({ ids: new Uint8Array(8 * 1025) })).toThrow(RangeError);
    expect(() => wire.encodeTxsRequest({ ids: new Uint8Array(9) })).toThrow(RangeError);
    expect(() => wire.encodeTxsChunk({ txs: ids(257, MIN_TX_BYTES) })).toThrow(RangeError);
    expect(() => wire.encodeHeadersRequest({ locator: ids(1, 31), max: 1 })).toThrow(RangeError);
  });

  it('hold on decoding', () => {
    const id = ids(1)[0] as Uint8Array<ArrayBuffer>;
    const list = (count: number, length = 32) => ids(count, length) as Uint8Array<ArrayBuffer>[];
    expect(wire.decodeHeadersRequest(generated.HeadersRequest.encode({ locator: list(65), max: 1 }))).toBeUndefined();
    expect(wire.decodeHeadersRequest(generated.HeadersRequest.encode({ locator: list(1, 31) }))).toBeUndefined();
    expect(wire.decodeBodiesRequest(generated.BodiesRequest.encode({ ids: list(129) }))).toBeUndefined();
    expect(
      wire.decodeHeadersChunk(generated.HeadersChunk.encode({ headers: list(513, HEADER_BYTES) })),
    ).toBeUndefined();
    expect(wire.decodeVotesChunk(generated.VotesChunk.encode({ votes: list(1_025, VOTE_BYTES) }))).toBeUndefined();
    const block = new Uint8Array(MAX_BLOCK_BYTES + 1);
    expect(wire.decodeBodyReply(generated.BodyReply.encode({ id, block }))).toBeUndefined();
    expect(wire.decodeStatus(generated.Status.encode({ chainId: id, version: 'v'.repeat(65) }))).toBeUndefined();
  });

  it('leave room for the largest message of each protocol', () => {
    const largest = [
      [wire.encodeHeadersRequest({ locator: ids(64), max: 0xffff_ffff }), wire.HEADERS_REQUEST_FRAME_BYTES],
      [wire.encodeHeadersChunk({ headers: ids(512, HEADER_BYTES) }), wire.HEADERS_FRAME_BYTES],
      [wire.encodeBodiesRequest({ ids: ids(16) }), wire.BODIES_REQUEST_FRAME_BYTES],
      [wire.encodeBodyReply({ id: ids(1)[0]!, block: new Uint8Array(MAX_BLOCK_BYTES) }), wire.BODY_FRAME_BYTES],
      [wire.encodeVotesRequest({ fromHeight: MAX_U64, max: 0xffff_ffff }), wire.VOTES_REQUEST_FRAME_BYTES],
      [wire.encodeVotesChunk({ votes: ids(1_024, VOTE_BYTES) }), wire.VOTES_FRAME_BYTES],
    ] as const;
    for (const [frame, limit] of largest) expect(frame.byteLength).toBeLessThanOrEqual(limit);
  });
});
