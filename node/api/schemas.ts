/**
 * Everything the HTTP API says and hears, as JSON Schema: the same objects validate requests, serialise responses
 * and make the OpenAPI document, where each schema with a `title` becomes a component of that name. The types
 * beside them are what the backend returns and the client gives out.
 *
 * Amounts, heights, nonces and other u64s are decimal strings: JSON numbers lose them above 2^53.
 */
import { type Static, Type } from 'typebox';
import { CERTIFICATE_FORMAT } from '../../chain/certificate-document.ts';
import { U64_PATTERN } from '../../chain/decimal.ts';
import { REASONS } from '../../chain/reasons.ts';
import { MINE_MODES } from '../mining/mine-modes.ts';
import { MAX_SUBMIT_BATCH } from './limits.ts';

/** Longest page of any list. */
export const MAX_PAGE = 100;
/** Longest `GET /v1/mempool` page. */
export const MAX_MEMPOOL_PAGE = 1000;
/** Most blocks one `POST /v1/mine` may ask for. */
export const MAX_MINE_BLOCKS = 1000;
/** Recent heights whose votes `GET /v1/tip` shows. */
export const TIP_VOTE_HEIGHTS = 16;

const UINT64_PATTERN = `^${U64_PATTERN}$`;

export const UInt64 = Type.String({
  title: 'UInt64',
  description: 'Unsigned 64-bit integer as a decimal string; amounts and fees are in the smallest unit (10^-8 coin)',
  pattern: UINT64_PATTERN,
  examples: ['150000000'],
});

export const HexId = Type.String({
  title: 'HexId',
  description: 'Transaction, block or chain id: 64 lower-case hex digits',
  pattern: '^[0-9a-f]{64}$',
});

export const AddressText = Type.String({ title: 'Address', description: 'bech32m address, 42 characters: gv1p…' });

export const Reason = Type.Enum([...REASONS], {
  title: 'Reason',
  description: 'Closed list of reason codes; docs/PROTOCOL.md says which rule gives which',
});
export type Reason = Static<typeof Reason>;

/** Codes of problems that are not a rule's verdict. */
export const PROBLEM_CODES = [
  'bad-request',
  'bad-address',
  'bad-peer-address',
  'unauthorized',
  'admin-disabled',
  'host-not-allowed',
  'origin-not-allowed',
  'not-found',
  'request-timeout',
  'mine-refused',
  'body-too-large',
  'unsupported-media-type',
  'upgrade-required',
  'headers-too-large',
  'too-many-clients',
  'not-ready',
  'disk-full',
  'stopping',
] as const;

export const ProblemCode = Type.Enum([...PROBLEM_CODES, ...REASONS], {
  title: 'ProblemCode',
  description: 'What went wrong, for programs; stable',
});
export type ProblemCode = Static<typeof ProblemCode>;

export const ProblemDocument = Type.Object(
  {
    type: Type.String({ description: 'about:blank: `code` tells problems apart' }),
    title: Type.String({ description: "The status code's phrase" }),
    status: Type.Integer(),
    code: ProblemCode,
    detail: Type.String({ description: 'What is wrong, for people' }),
    id: Type.Optional(Type.String({ description: 'The transaction the problem is about' })),
    missing: Type.Optional(Type.Array(Type.String(), { description: 'not-ready: what the node still waits for' })),
  },
  { title: 'Problem', description: 'RFC 9457 problem document' },
);
export type ProblemDocument = Static<typeof ProblemDocument>;

export const BlockRef = Type.Object({ height: UInt64, id: HexId }, { title: 'BlockRef' });
export type BlockRef = Static<typeof BlockRef>;

// --- transactions ---------------------------------------------------------------------------------------------

export const Transaction = Type.Object(
  {
    id: HexId,
    chainId: HexId,
    from: AddressText,
    publicKey: Type.String({ description: 'Compressed secp256k1 key, 66 hex digits' }),
    nonce: UInt64,
    to: AddressText,
    amount: UInt64,
    fee: UInt64,
    memo: Type.String({ description: 'Hex, at most 256 bytes' }),
    memoText: Type.Optional(
      Type.String({
        description: 'The memo as text, where it is valid UTF-8, not empty and without control characters',
      }),
    ),
    signature: Type.String({ description: 'Compact ECDSA signature, 128 hex digits' }),
    sizeBytes: Type.Integer(),
  },
  { title: 'Transaction', description: 'A signed transaction' },
);
export type Transaction = Static<typeof Transaction>;

/** In the order a transaction passes through them; `dropped` is the other end. */
export const TRANSACTION_STATES = ['pending', 'mined', 'agreed', 'final', 'dropped'] as const;
export const TransactionState = Type.Enum([...TRANSACTION_STATES], {
  title: 'TransactionState',
  description:
    'pending: in the mempool. mined: in a block of the main chain. agreed: more than two thirds of the voters ' +
    'named that block or a later one. final: never reorganised away. dropped: left the mempool unmined',
});
export type TransactionState = Static<typeof TransactionState>;

export const TransactionStatus = Type.Object(
  {
    id: HexId,
    state: TransactionState,
    parked: Type.Boolean({ description: 'pending, but a lower nonce of the sender is missing' }),
    reason: Type.Optional(Reason),
    block: Type.Optional(
      Type.Object({ height: UInt64, id: HexId, index: Type.Integer({ description: 'Place in the block, from 0' }) }),
    ),
    confirmations: Type.Integer({ description: '0 until mined; 1 in the tip' }),
    transaction: Type.Optional(Transaction),
  },
  { title: 'TransactionStatus', description: 'Where a transaction stands; dropped ones may be known by id only' },
);
export type TransactionStatus = Static<typeof TransactionStatus>;

export const SubmitRequest = Type.Object(
  {
    tx: Type.String({
      description: 'The canonical encoding in hex',
      pattern: '^([0-9a-fA-F]{2})+$',
      minLength: 2,
    }),
  },
  { title: 'SubmitRequest', additionalProperties: false },
);
export type SubmitRequest = Static<typeof SubmitRequest>;

export const SubmitResult = Type.Object(
  { id: HexId, state: TransactionState, parked: Type.Boolean() },
  { title: 'SubmitResult' },
);
export type SubmitResult = Static<typeof SubmitResult>;

export const SubmitBatchRequest = Type.Object(
  { txs: Type.Array(SubmitRequest.properties.tx, { minItems: 1, maxItems: MAX_SUBMIT_BATCH }) },
  { title: 'SubmitBatchRequest', additionalProperties: false },
);
export type SubmitBatchRequest = Static<typeof SubmitBatchRequest>;

export const SubmitRefusal = Type.Object(
  {
    code: Type.String({ description: 'The reason code of the rule that refused, or overloaded, disk-full, not-ready' }),
    detail: Type.String(),
    id: Type.Optional(HexId),
  },
  { title: 'SubmitRefusal' },
);
export type SubmitRefusal = Static<typeof SubmitRefusal>;

export const SubmitBatchResult = Type.Object(
  { results: Type.Array(Type.Union([SubmitResult, SubmitRefusal]), { description: 'In the order of the request' }) },
  { title: 'SubmitBatchResult' },
);
export type SubmitBatchResult = Static<typeof SubmitBatchResult>;

// --- accounts -------------------------------------------------------------------------------------------------

export const AccountInfo = Type.Object(
  {
    address: AddressText,
    balance: UInt64,
    nonce: UInt64,
    pendingNonce: Type.String({
      description: 'The next nonce to sign with: `nonce` plus what waits in the mempool without a gap',
      pattern: UINT64_PATTERN,
    }),
    waiting: Type.Object(
      {
        transactions: Type.Integer(),
        parked: Type.Integer({ description: 'Of these, behind a gap: not mined before the pending nonce is used' }),
        amount: Type.String({
          description: 'Amounts and fees together: the rest of the balance can be spent',
          pattern: UINT64_PATTERN,
        }),
      },
      { description: 'Its transactions in the mempool' },
    ),
  },
  { title: 'Account', description: 'As of the tip; an address never used has balance and nonce 0' },
);
export type AccountInfo = Static<typeof AccountInfo>;

export const HistoryEntry = Type.Object(
  {
    id: HexId,
    block: BlockRef,
    index: Type.Integer(),
    timestampMs: UInt64,
    state: TransactionState,
    direction: Type.Enum(['in', 'out'], { description: 'As the address sees it' }),
    from: AddressText,
    to: AddressText,
    nonce: UInt64,
    amount: UInt64,
    fee: UInt64,
    memo: Type.String(),
    memoText: Type.Optional(Type.String()),
  },
  { title: 'HistoryEntry' },
);
export type HistoryEntry = Static<typeof HistoryEntry>;

export const AccountHistory = Type.Object(
  {
    address: AddressText,
    entries: Type.Array(HistoryEntry, { description: 'Newest first' }),
    next: Type.Optional(Type.String({ description: 'Pass as `before` for the next page; absent at the end' })),
  },
  { title: 'AccountHistory' },
);
export type AccountHistory = Static<typeof AccountHistory>;

// --- blocks ---------------------------------------------------------------------------------------------------

export const BLOCK_STATES = ['side', 'mined', 'agreed', 'final'] as const;

const blockFields = {
  id: HexId,
  height: UInt64,
  parent: HexId,
  txRoot: Type.String({ description: 'Merkle root, 64 hex digits' }),
  timestampMs: UInt64,
  bits: Type.Integer({ description: "Target in Bitcoin's compact form" }),
  miner: AddressText,
  nonce: UInt64,
  coinbase: Type.String({ description: 'Reward and fees, paid to the miner', pattern: UINT64_PATTERN }),
  txCount: Type.Integer(),
  state: Type.Enum([...BLOCK_STATES], { description: 'side: not on the main chain' }),
  confirmations: Type.Integer({ description: '1 for the tip, 0 off the main chain' }),
};

export const BlockSummary = Type.Object(blockFields, { title: 'BlockSummary' });
export type BlockSummary = Static<typeof BlockSummary>;

export const BlockInfo = Type.Object(
  { ...blockFields, sizeBytes: Type.Integer(), transactions: Type.Array(Transaction) },
  { title: 'Block' },
);
export type BlockInfo = Static<typeof BlockInfo>;

export const BlockList = Type.Object(
  {
    blocks: Type.Array(BlockSummary, { description: 'Of the main chain, highest first' }),
    next: Type.Optional(Type.String({ description: 'Pass as `from` for the next page; absent after genesis' })),
  },
  { title: 'BlockList' },
);
export type BlockList = Static<typeof BlockList>;

// --- mempool, tip -----------------------------------------------------------------------------------------

export const MempoolInfo = Type.Object(
  {
    count: Type.Integer({ description: 'Without the parked ones' }),
    bytes: Type.Integer(),
    parked: Type.Integer({ description: 'Waiting for a lower nonce' }),
    transactions: Type.Array(Transaction, { description: 'In order of arrival, parked ones included, up to `limit`' }),
  },
  { title: 'Mempool' },
);
export type MempoolInfo = Static<typeof MempoolInfo>;

export const VoteLink = Type.Object(
  {
    source: BlockRef,
    target: BlockRef,
    voters: Type.Array(AddressText),
    agreed: Type.Boolean({
      description: 'More than two thirds of every electorate that it needs, from an agreed source',
    }),
    tallies: Type.Optional(
      Type.Array(Type.Object({ weight: Type.Integer(), total: Type.Integer() }), {
        description: 'What the voters weigh in each electorate that the link needs; absent until its source is agreed',
      }),
    ),
  },
  { title: 'VoteLink', description: 'All votes for one source → target' },
);
export type VoteLink = Static<typeof VoteLink>;

export const ElectorateInfo = Type.Object(
  {
    asOf: BlockRef,
    total: Type.Integer({ description: 'Of all weights' }),
    quorum: Type.Integer({ description: 'The smallest weight with 3·weight > 2·total' }),
    voters: Type.Array(Type.Object({ address: AddressText, weight: Type.Integer() }), {
      description: 'Heaviest first',
    }),
  },
  { title: 'Electorate', description: 'Who votes, and with what weight, as of a block' },
);
export type ElectorateInfo = Static<typeof ElectorateInfo>;

export const TipInfo = Type.Object(
  {
    tip: BlockRef,
    agreed: BlockRef,
    final: BlockRef,
    stalled: Type.Boolean({ description: 'The chain grows, agreement does not' }),
    n: Type.Integer({ description: 'Voters in the electorate; of miners, the weight of all' }),
    quorum: Type.Integer({ description: 'Votes it takes: the smallest number with 3·votes > 2·n' }),
    electorate: Type.Object(
      {
        kind: Type.Enum(['genesis', 'miners']),
        window: Type.Optional(Type.Integer({ description: 'miners: blocks whose authors vote' })),
        inForce: Type.Array(ElectorateInfo, {
          description: 'A link from the highest agreed checkpoint needs more than two thirds of each; forward first',
        }),
      },
      { description: 'Who votes now' },
    ),
    offenders: Type.Array(AddressText, { description: 'Voters with evidence against them; they count for nothing' }),
    votes: Type.Array(Type.Object({ height: UInt64, links: Type.Array(VoteLink) }), {
      description: 'By target height, highest first; recent heights only',
    }),
  },
  { title: 'Tip' },
);
export type TipInfo = Static<typeof TipInfo>;

// --- agreement ------------------------------------------------------------------------------------------------

export const VoteInfo = Type.Object(
  {
    id: HexId,
    voter: AddressText,
    source: BlockRef,
    target: BlockRef,
    bytes: Type.String({ description: 'The canonical encoding with its signature, 420 hex digits' }),
  },
  { title: 'Vote', description: 'A signed vote for source → target' },
);
export type VoteInfo = Static<typeof VoteInfo>;

export const EVIDENCE_KINDS = ['double', 'surround'] as const;

export const EvidenceInfo = Type.Object(
  {
    kind: Type.Enum([...EVIDENCE_KINDS], {
      description: 'double: two votes for one target height. surround: one span strictly inside the other',
    }),
    voter: AddressText,
    first: VoteInfo,
    second: VoteInfo,
    bytes: Type.String({ description: 'The canonical encoding, 842 hex digits' }),
  },
  { title: 'Evidence', description: 'Two votes by one voter that no honest voter casts; its votes no longer count' },
);
export type EvidenceInfo = Static<typeof EvidenceInfo>;

export const EvidenceList = Type.Object(
  {
    offenders: Type.Integer({ description: 'Voters with evidence against them, on this page or not' }),
    evidence: Type.Array(EvidenceInfo, { description: "One for each offender, in order of the addresses' bytes" }),
    next: Type.Optional(Type.String({ description: 'Pass as `after` for the next page; absent at the end' })),
  },
  { title: 'EvidenceList' },
);
export type EvidenceList = Static<typeof EvidenceList>;

const Bytes = Type.String({ description: 'Canonical encoding in hex' });

export const CertificateInfo = Type.Object(
  {
    format: Type.Literal(CERTIFICATE_FORMAT),
    chainId: HexId,
    block: BlockRef,
    state: Type.Enum(['agreed', 'final'], { description: 'What it proves of the block' }),
    from: BlockRef,
    headers: Type.Array(Bytes, { description: 'From the child of `from` to the last target' }),
    links: Type.Array(Type.Object({ source: BlockRef, target: BlockRef, votes: Type.Array(Bytes) }), {
      description: 'Each from `from` or the target of one before',
    }),
  },
  {
    title: 'Certificate',
    description:
      'What `grapevine verify-certificate` checks. `from` is genesis; where the whole would be too long it is a ' +
      'checkpoint above, and the certificate of that one is the rest (`grapevine certificate` joins them)',
  },
);

export type CertificateInfo = Static<typeof CertificateInfo>;

// --- peers, status --------------------------------------------------------------------------------------------

export const PeerInfo = Type.Object(
  {
    id: Type.String({ description: 'libp2p peer id' }),
    address: Type.String({ description: 'Multiaddr' }),
    direction: Type.Enum(['inbound', 'outbound']),
    connectedAtMs: Type.Integer(),
    mesh: Type.Array(Type.String(), { description: 'Topics whose gossip mesh includes the peer' }),
    score: Type.Number(),
  },
  { title: 'Peer' },
);
export type PeerInfo = Static<typeof PeerInfo>;

export const PeerList = Type.Object(
  {
    self: Type.String({ description: 'Own peer id' }),
    addresses: Type.Array(Type.String(), { description: 'Own dialable addresses' }),
    peers: Type.Array(PeerInfo),
  },
  { title: 'PeerList' },
);
export type PeerList = Static<typeof PeerList>;

export const ConnectRequest = Type.Object(
  { address: Type.String({ description: 'Multiaddr with peer id', minLength: 1, maxLength: 512 }) },
  { title: 'ConnectRequest', additionalProperties: false },
);
export type ConnectRequest = Static<typeof ConnectRequest>;

export const ConnectResult = Type.Object({ address: Type.String() }, { title: 'ConnectResult' });
export type ConnectResult = Static<typeof ConnectResult>;

export const NodeStatus = Type.Object(
  {
    name: Type.String({ description: "The operator's name for this node" }),
    version: Type.String(),
    peerId: Type.String(),
    addresses: Type.Array(Type.String()),
    network: Type.Object({
      name: Type.String({ description: "The genesis document's name" }),
      chainId: HexId,
      blockTimeMs: Type.Integer(),
      minFee: UInt64,
      blockReward: UInt64,
      checkpointInterval: Type.Integer(),
      voters: Type.Integer(),
    }),
    nowMs: Type.Integer({ description: "The node's clock" }),
    uptimeMs: Type.Integer(),
    ready: Type.Boolean(),
    missing: Type.Array(Type.String(), { description: 'What the node still waits for' }),
    tip: BlockRef,
    agreed: BlockRef,
    final: BlockRef,
    totalWork: Type.String({ description: 'Expected hashes from genesis to the tip, decimal' }),
    syncing: Type.Boolean(),
    bodiesFrom: Type.String({
      pattern: UINT64_PATTERN,
      description: 'Blocks below this height were pruned; this node does not have them. 0: it has all',
    }),
    peers: Type.Integer(),
    mempool: Type.Object({ count: Type.Integer(), bytes: Type.Integer(), parked: Type.Integer() }),
    mining: Type.Object({
      mode: Type.Enum([...MINE_MODES]),
      address: Type.Optional(AddressText),
      hashRate: Type.Number({ description: 'Hashes per second' }),
      blocks: Type.Integer({ description: 'Found since the start' }),
    }),
    voting: Type.Object({
      address: Type.Optional(AddressText),
      elector: Type.Boolean({ description: 'Is its key in the electorate' }),
      movedAway: Type.Optional(
        Type.Boolean({ description: 'Its vote protection was exported: it votes no more here' }),
      ),
    }),
    gossip: Type.Object({
      messages: Type.Integer({ description: 'Distinct messages received since the start' }),
      copies: Type.Integer({ description: 'Received since the start, repetitions included' }),
      txs: Type.Integer({ description: 'Transactions taken from batches since the start' }),
      txCopies: Type.Integer({ description: 'Transactions in all batches received, repetitions included' }),
    }),
    signatures: Type.String({ description: 'The signature backend that runs' }),
    internalErrors: Type.Integer({ description: "Exceptions where a verdict was due: this node's own bugs" }),
  },
  { title: 'Status' },
);
export type NodeStatus = Static<typeof NodeStatus>;

export const MineRequest = Type.Object(
  { blocks: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_MINE_BLOCKS, default: 1 })) },
  { title: 'MineRequest', additionalProperties: false },
);
export type MineRequest = Static<typeof MineRequest>;

export const MineResult = Type.Object(
  { blocks: Type.Array(BlockRef, { description: 'The new blocks, lowest first' }) },
  { title: 'MineResult' },
);
export type MineResult = Static<typeof MineResult>;

export const GenesisDocument = Type.Object(
  {},
  { title: 'GenesisDocument', description: 'What make-genesis writes', additionalProperties: true },
);

export const Health = Type.Object({ status: Type.Enum(['ok']) }, { title: 'Health' });
export type Health = Static<typeof Health>;

export const Readiness = Type.Object(
  { ready: Type.Boolean(), missing: Type.Array(Type.String()) },
  { title: 'Readiness' },
);
export type Readiness = Static<typeof Readiness>;

// --- events ---------------------------------------------------------------------------------------------------

/** What `?types=` may name. */
export const EVENT_TYPES = ['tx', 'block', 'reorg', 'agreed', 'final', 'evidence'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export const TxEvent = Type.Object(
  {
    type: Type.Literal('tx'),
    id: HexId,
    state: Type.Enum(['pending', 'dropped']),
    parked: Type.Boolean(),
    reason: Type.Optional(Reason),
    source: Type.Optional(Type.Enum(['api', 'peer', 'reorg'], { description: 'Where it came from' })),
    from: AddressText,
    to: AddressText,
    nonce: UInt64,
    amount: UInt64,
    fee: UInt64,
  },
  { title: 'TxEvent', description: 'A transaction entered the mempool, or left it without being mined' },
);

export const BlockEvent = Type.Object(
  {
    type: Type.Literal('block'),
    id: HexId,
    height: UInt64,
    parent: HexId,
    miner: AddressText,
    timestampMs: UInt64,
    source: Type.Enum(['mined', 'peer', 'sync', 'reorg'], {
      description: 'Where it came from; reorg: from a side branch that the node had already',
    }),
    txCount: Type.Integer(),
    transactions: Type.Array(HexId),
  },
  { title: 'BlockEvent', description: 'A block joined the main chain' },
);

export const ReorgEvent = Type.Object(
  {
    type: Type.Literal('reorg'),
    forkPoint: BlockRef,
    from: BlockRef,
    to: BlockRef,
    abandonedBlocks: Type.Array(HexId),
    abandonedTransactions: Type.Array(HexId),
  },
  { title: 'ReorgEvent', description: 'Blocks left the main chain; block events for the new branch follow' },
);

export const AgreedEvent = Type.Object(
  {
    type: Type.Literal('agreed'),
    id: HexId,
    height: UInt64,
    source: BlockRef,
    votes: Type.Integer(),
    n: Type.Integer(),
  },
  { title: 'AgreedEvent' },
);

export const FinalEvent = Type.Object(
  { type: Type.Literal('final'), id: HexId, height: UInt64 },
  { title: 'FinalEvent' },
);

const VoteSpan = Type.Object({ source: BlockRef, target: BlockRef });

export const EvidenceEvent = Type.Object(
  {
    type: Type.Literal('evidence'),
    kind: Type.Enum([...EVIDENCE_KINDS]),
    voter: AddressText,
    first: VoteSpan,
    second: VoteSpan,
  },
  { title: 'EvidenceEvent', description: 'A voter contradicted itself; from now on its votes count for nothing' },
);

/** What happens on the node. */
export const ChainEvent = Type.Union([TxEvent, BlockEvent, ReorgEvent, AgreedEvent, FinalEvent, EvidenceEvent]);
export type ChainEvent = Static<typeof ChainEvent>;

export const HelloEvent = Type.Object(
  {
    type: Type.Literal('hello'),
    node: Type.String({ description: 'Peer id' }),
    name: Type.String(),
    network: Type.String(),
    chainId: HexId,
    height: UInt64,
    types: Type.Array(Type.Enum([...EVENT_TYPES]), { description: 'What this socket will say' }),
  },
  { title: 'HelloEvent', description: 'First message on each connection' },
);
export type HelloEvent = Static<typeof HelloEvent>;

export const HeartbeatEvent = Type.Object(
  { type: Type.Literal('heartbeat'), height: UInt64, nowMs: Type.Integer() },
  { title: 'HeartbeatEvent', description: 'Comes at a fixed interval: silence means that the connection is gone' },
);
export type HeartbeatEvent = Static<typeof HeartbeatEvent>;

/** Every message of `GET /v1/events`. */
export const SocketMessage = Type.Union(
  [HelloEvent, HeartbeatEvent, TxEvent, BlockEvent, ReorgEvent, AgreedEvent, FinalEvent, EvidenceEvent],
  { title: 'SocketMessage' },
);
export type SocketMessage = Static<typeof SocketMessage>;

// --- parameters -----------------------------------------------------------------------------------------------

const limit = (max: number, fallback: number) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: max, default: fallback, description: 'Page length' }));

export const DEFAULT_PAGE = 20;

export const TxIdParams = Type.Object({
  id: Type.String({ description: '64 hex digits', pattern: '^[0-9a-fA-F]{64}$' }),
});
export const AddressParams = Type.Object({ address: Type.String({ description: 'bech32m address: gv1p…' }) });
export const BlockParams = Type.Object({
  idOrHeight: Type.String({
    description: 'Block id (64 hex digits) or height on the main chain',
    pattern: `^([0-9a-fA-F]{64}|${U64_PATTERN})$`,
  }),
});
export const PeerParams = Type.Object({ id: Type.String({ description: 'Peer id' }) });
export const NoQuery = Type.Object({}, { additionalProperties: false });
export const HistoryQuery = Type.Object(
  {
    limit: limit(MAX_PAGE, DEFAULT_PAGE),
    before: Type.Optional(
      Type.String({
        description: 'A height, or the `next` of the page before: only older entries',
        pattern: `^${U64_PATTERN}(\\.[0-9]{1,9})?$`,
      }),
    ),
  },
  { additionalProperties: false },
);
export const BlocksQuery = Type.Object(
  {
    from: Type.Optional(
      Type.String({ description: 'Highest height of the page; the tip if absent', pattern: UINT64_PATTERN }),
    ),
    limit: limit(MAX_PAGE, DEFAULT_PAGE),
  },
  { additionalProperties: false },
);
export const CertificateParams = Type.Object({
  height: Type.String({ description: 'Of a block of the main chain', pattern: UINT64_PATTERN }),
});
export const CertificateQuery = Type.Object(
  {
    state: Type.Optional(
      Type.Enum(['agreed', 'final'], { description: 'Prove this; the best the block has if absent' }),
    ),
  },
  { additionalProperties: false },
);
export const EvidenceQuery = Type.Object(
  {
    limit: limit(MAX_PAGE, MAX_PAGE),
    after: Type.Optional(Type.String({ description: 'Address: only voters after it', maxLength: 100 })),
  },
  { additionalProperties: false },
);
export const MempoolQuery = Type.Object({ limit: limit(MAX_MEMPOOL_PAGE, MAX_PAGE) }, { additionalProperties: false });
export const EventsQuery = Type.Object(
  {
    types: Type.Optional(Type.String({ description: `Comma-separated: ${EVENT_TYPES.join(',')}`, maxLength: 100 })),
    sample: Type.Optional(
      Type.Integer({
        description: 'Of the tx events one in so many, chosen by id: the same ones at every node',
        minimum: 1,
        maximum: 65_536,
      }),
    ),
  },
  { additionalProperties: false },
);
