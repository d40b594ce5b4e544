import { readFileSync } from 'node:fs';
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

const textOf = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

describe('docs/PROTOCOL.md', () => {
  const protocol = textOf('docs/PROTOCOL.md');

  it('has the messages of messages.proto', () => {
    const messages = textOf('node/net/messages.proto');
    const [, block] = /```protobuf\n([^`]*)```/.exec(protocol) ?? [];
    expect(block).toBe(messages.slice(messages.indexOf('message Status')));
  });

  it.each([
    ['status/2', wire.STATUS_FRAME_BYTES, wire.STATUS_FRAME_BYTES],
    ['headers/1', wire.HEADERS_REQUEST_FRAME_BYTES, wire.HEADERS_FRAME_BYTES],
    ['bodies/1', wire.BODIES_REQUEST_FRAME_BYTES, wire.BODY_FRAME_BYTES],
    ['block-txs/1', wire.BLOCK_TXS_REQUEST_FRAME_BYTES, wire.BLOCK_TXS_FRAME_BYTES],
    ['votes/1', wire.VOTES_REQUEST_FRAME_BYTES, wire.VOTES_FRAME_BYTES],
    ['evidence/1', wire.EVIDENCE_REQUEST_FRAME_BYTES, wire.EVIDENCE_FRAME_BYTES],
    ['mempool/1', wire.MEMPOOL_REQUEST_FRAME_BYTES, wire.MEMPOOL_FRAME_BYTES],
    ['txs/1', wire.TXS_REQUEST_FRAME_BYTES, wire.TXS_FRAME_BYTES],
    ['sender-txs/1', wire.SENDER_TXS_REQUEST_FRAME_BYTES, wire.TXS_FRAME_BYTES],
  ])('has the longest frames of %s', (name, request, answer) => {
    const row = protocol.split('\n').find((line) => line.startsWith(`| \`/grapevine/${name}\` |`));
    expect(row).toContain(`| ${request.toLocaleString('en-US')}; ${answer.toLocaleString('en-US')} |`);
  });
});

/** Proto3 by another hand: a varint for a number, a length and the bytes for anything else; what is 0 or empty is left out. */
function protobuf(...fields: readonly (readonly [number, bigint | Uint8Array | string])[]): string {
  const varint = (value: bigint): number[] =>
    value < 0x80n ? [Number(value)] : [Number(value & 0x7fn) | 0x80, ...varint(value >> 7n)];
  const encoded = fields.flatMap(([number, value]) => {
    if (typeof value === 'bigint') return [...varint(BigInt(number << 3)), ...varint(value)];
    const data = typeof value === 'string' ? Buffer.from(value) : value;
    return [...varint(BigInt((number << 3) | 2)), ...varint(BigInt(data.length)), ...data];
  });
  return Buffer.from(encoded).toString('hex');
}

describe('every envelope has the fields of its message', () => {
  const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
  const [a, b] = [filled(32, 1), filled(32, 2)];
  const header = filled(HEADER_BYTES, 3);
  const vote = filled(VOTE_BYTES, 4);
  const evidence = filled(EVIDENCE_BYTES, 5);
  const tx = filled(MIN_TX_BYTES, 6);
  const short = filled(8, 7);
  const stand: wire.StatusMessage = {
    chainId: a,
    version: 'v/1',
    tipHeight: 300n,
    tipId: b,
    tipWork: filled(9, 8),
    agreedHeight: 299n,
    agreedId: a,
    finalHeight: MAX_U64,
    finalId: b,
    offenders: a,
    mempool: short,
  };
  it.each<readonly [string, Uint8Array, string]>([
    [
      'Status',
      wire.encodeStatus(stand),
      protobuf(
        ...([
          [1, a],
          [2, 'v/1'],
          [3, 300n],
          [4, b],
          [5, filled(9, 8)],
          [6, 299n],
        ] as const),
        ...([
          [7, a],
          [8, MAX_U64],
          [9, b],
          [10, a],
          [11, short],
        ] as const),
      ),
    ],
    ['HeadersRequest', wire.encodeHeadersRequest({ locator: [a, b], max: 9 }), protobuf([1, a], [1, b], [2, 9n])],
    ['HeadersChunk', wire.encodeHeadersChunk({ headers: [header] }), protobuf([1, header])],
    ['BodiesRequest', wire.encodeBodiesRequest({ ids: [a, b] }), protobuf([1, a], [1, b])],
    ['BodyReply', wire.encodeBodyReply({ id: a, block: header }), protobuf([1, a], [2, header])],
    ['BodyReply without a body', wire.encodeBodyReply({ id: a, block: new Uint8Array() }), protobuf([1, a])],
    [
      'BlockTxsRequest',
      wire.encodeBlockTxsRequest({ id: a, indexes: [0, 300] }),
      protobuf([1, a], [2, 0n], [2, 300n]), // not packed
    ],
    ['BlockTxsReply', wire.encodeBlockTxsReply({ txs: [tx, tx] }), protobuf([1, tx], [1, tx])],
    ['VotesRequest', wire.encodeVotesRequest({ fromHeight: 300n, max: 2048 }), protobuf([1, 300n], [2, 2048n])],
    ['VotesChunk', wire.encodeVotesChunk({ votes: [vote] }), protobuf([1, vote])],
    [
      'EvidenceRequest',
      wire.encodeEvidenceRequest({ after: filled(20, 9), max: 1 }),
      protobuf([1, filled(20, 9)], [2, 1n]),
    ],
    ['EvidenceChunk', wire.encodeEvidenceChunk({ evidence: [evidence] }), protobuf([1, evidence])],
    [
      'MempoolRequest',
      wire.encodeMempoolRequest({ digest: filled(2048, 1), skip: 4096 }),
      protobuf([1, filled(2048, 1)], [2, 4096n]),
    ],
    ['MempoolReply', wire.encodeMempoolReply({ ids: short }), protobuf([1, short])],
    ['TxsRequest', wire.encodeTxsRequest({ ids: short }), protobuf([1, short])],
    ['TxsChunk', wire.encodeTxsChunk({ txs: [tx] }), protobuf([1, tx])],
    [
      'SenderTxsRequest',
      wire.encodeSenderTxsRequest({ sender: filled(20, 9), fromNonce: 300n, max: 256 }),
      protobuf([1, filled(20, 9)], [2, 300n], [3, 256n]),
    ],
  ])('%s', (_name, encoded, expected) => {
    expect(Buffer.from(encoded).toString('hex')).toBe(expected);
  });
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

describe('a request for a sender’s transactions', () => {
  it.each([
    ['none', { max: 0 }],
    ['more than a frame holds', { max: 257 }],
    ['a sender of another length', { sender: new Uint8Array(21) }],
  ])('is refused: %s', (_, change) => {
    const request = { sender: new Uint8Array(20), fromNonce: 0n, max: 1, ...change };
    expect(() => wire.encodeSenderTxsRequest(request)).toThrow(RangeError);
    expect(wire.decodeSenderTxsRequest(generated.SenderTxsRequest.encode(request))).toBeUndefined();
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
  it('request for a sender’s transactions', () =>
    roundTrips(
      fc.record({
        sender: bytes(20),
        fromNonce: fc.bigInt({ min: 0n, max: MAX_U64 }),
        max: fc.integer({ min: 1, max: 256 }),
      }),
      wire.encodeSenderTxsRequest,
      wire.decodeSenderTxsRequest,
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
  senderTxsRequest: wire.decodeSenderTxsRequest,
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
