/** A node that says what a test told it to say. */

import { CERTIFICATE_FORMAT } from '../../../chain/certificate-document.ts';
import type { Tx, TxId } from '../../../chain/types.ts';
import { addressFromBytes, formatAddress } from '../../../crypto/address.ts';
import type { ApiBackend, ConnectOutcome, MineOutcome, SubmitOutcome } from '../../../node/api/backend.ts';
import type {
  AccountInfo,
  BlockInfo,
  BlockSummary,
  ChainEvent,
  EvidenceList,
  HistoryEntry,
  NodeStatus,
  Readiness,
  Transaction,
  TransactionStatus,
} from '../../../node/api/schemas.ts';
import { type ApiServerOptions, type BuiltApi, buildApi } from '../../../node/api/server.ts';
import { type LogLine, recordingLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';

/** Of a transaction as routes hand it over. */
export function bytesOf(submitted: Uint8Array | Tx): Uint8Array {
  return submitted instanceof Uint8Array ? submitted : submitted.bytes;
}

export const CHAIN_ID = 'c0'.repeat(32);
export const TX_ID = 'ab'.repeat(32) as TxId;
export const BLOCK_ID = 'b1'.repeat(32);
export const ADDRESS = formatAddress(addressFromBytes(new Uint8Array(20).fill(7)));
export const OTHER = formatAddress(addressFromBytes(new Uint8Array(20).fill(8)));
/** The largest u64: more than a JSON number holds. */
export const HUGE = '18446744073709551615';

export const TRANSACTION: Transaction = {
  id: TX_ID,
  chainId: CHAIN_ID,
  from: ADDRESS,
  publicKey: `02${'11'.repeat(32)}`,
  nonce: '3',
  to: OTHER,
  amount: HUGE,
  fee: '1000',
  memo: '6869',
  memoText: 'hi',
  signature: '22'.repeat(64),
  sizeBytes: 178,
};

const SUMMARY: BlockSummary = {
  id: BLOCK_ID,
  height: '5',
  parent: 'b0'.repeat(32),
  txRoot: 'aa'.repeat(32),
  timestampMs: '1700000000000',
  bits: 0x1e00ffff,
  miner: ADDRESS,
  nonce: HUGE,
  coinbase: '5000001000',
  txCount: 1,
  state: 'agreed',
  confirmations: 2,
};

const HISTORY: HistoryEntry = {
  id: TX_ID,
  block: { height: '5', id: BLOCK_ID },
  index: 0,
  timestampMs: '1700000000000',
  state: 'agreed',
  direction: 'out',
  from: ADDRESS,
  to: OTHER,
  nonce: '3',
  amount: '150000000',
  fee: '1000',
  memo: '',
};

/** Everything the fake was asked, in order. */
export type Call = readonly [name: string, ...args: unknown[]];

export class FakeBackend implements ApiBackend {
  readonly identity = { peerId: '12D3KooWFake', name: 'node-0', network: 'devnet', chainId: CHAIN_ID };
  readonly genesis = { name: 'devnet', timestamp: '2026-01-01T00:00:00.000Z', params: { blockTimeMs: 1000 } };
  readonly calls: Call[] = [];
  ready: Readiness = { ready: true, missing: [] };
  submit: SubmitOutcome | Error = { kind: 'accepted', id: TX_ID, parked: false };
  /** Answers to come before `submit`, one each. */
  submits: SubmitOutcome[] = [];
  connect: ConnectOutcome = { kind: 'added' };
  mined: MineOutcome = { kind: 'mined', blocks: [{ height: '7', id: BLOCK_ID }] };
  /** Answers of `transaction`, one per call; the last one stays. */
  statuses: (TransactionStatus | undefined)[] = [
    {
      id: TX_ID,
      state: 'mined',
      parked: false,
      block: { height: '5', id: BLOCK_ID, index: 0 },
      confirmations: 2,
      transaction: TRANSACTION,
    },
  ];
  accounts = new Map<string, Partial<AccountInfo>>();
  wantsTx: (id: TxId) => boolean = () => false;
  readonly listeners = new Set<(event: ChainEvent) => void>();
  mineSignal: AbortSignal | undefined;

  emit(event: ChainEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  head() {
    return { height: '6', id: 'b6'.repeat(32) };
  }

  readiness() {
    return this.ready;
  }

  async submitTransaction(submitted: Uint8Array | Tx): Promise<SubmitOutcome> {
    this.calls.push(['submitTransaction', Buffer.from(bytesOf(submitted)).toString('hex')]);
    const outcome = this.submits.shift() ?? this.submit;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  async transaction(id: TxId) {
    this.calls.push(['transaction', id]);
    return this.statuses.length > 1 ? this.statuses.shift() : this.statuses[0];
  }

  async account(address: Parameters<ApiBackend['account']>[0]): Promise<AccountInfo> {
    const text = formatAddress(address);
    this.calls.push(['account', text]);
    return {
      address: text,
      balance: HUGE,
      nonce: '3',
      pendingNonce: '4',
      waiting: { transactions: 1, parked: 0, amount: '7' },
      ...this.accounts.get(text),
    };
  }

  async history(...args: Parameters<ApiBackend['history']>) {
    const [address, limit, before] = args;
    this.calls.push(['history', formatAddress(address), limit, before]);
    return { address: formatAddress(address), entries: [HISTORY], next: '5.0' };
  }

  async block(ref: Parameters<ApiBackend['block']>[0]): Promise<BlockInfo | undefined> {
    this.calls.push(['block', ref]);
    if ('height' in ref && ref.height > 6n) return undefined;
    return { ...SUMMARY, sizeBytes: 999, transactions: [TRANSACTION] };
  }

  async blocks(from: bigint | undefined, limit: number) {
    this.calls.push(['blocks', from, limit]);
    return { blocks: [SUMMARY], next: '4' };
  }

  async mempool(limit: number) {
    this.calls.push(['mempool', limit]);
    return { count: 1, bytes: 178, parked: 0, transactions: [TRANSACTION] };
  }

  async tip() {
    const ref = { height: '5', id: BLOCK_ID };
    const source = { height: '4', id: SUMMARY.parent };
    return {
      tip: this.head(),
      agreed: ref,
      final: source,
      stalled: false,
      n: 5,
      quorum: 4,
      electorate: {
        kind: 'genesis' as const,
        inForce: [
          { asOf: { height: '0', id: CHAIN_ID }, total: 5, quorum: 4, voters: [{ address: ADDRESS, weight: 1 }] },
        ],
      },
      offenders: [],
      votes: [{ height: '5', links: [{ source, target: ref, voters: [ADDRESS, OTHER], agreed: false }] }],
    };
  }

  async certificate(height: bigint, state: 'agreed' | 'final' | undefined) {
    this.calls.push(['certificate', height, state]);
    if (height > 6n) return undefined;
    const from = { height: '0', id: CHAIN_ID };
    const block = { height: height.toString(), id: BLOCK_ID };
    return {
      format: CERTIFICATE_FORMAT,
      chainId: CHAIN_ID,
      block,
      state: state ?? 'final',
      from,
      headers: ['00'.repeat(113)],
      links: [{ source: from, target: block, votes: ['00'.repeat(210)] }],
    } as const;
  }

  async evidence(limit: number, after: string): Promise<EvidenceList> {
    this.calls.push(['evidence', limit, after]);
    const source = { height: '4', id: SUMMARY.parent };
    const vote = (target: string) => ({
      id: target,
      voter: ADDRESS,
      source,
      target: { height: '5', id: target },
      bytes: '00'.repeat(210),
    });
    const [first, second] = [vote(BLOCK_ID), vote('b2'.repeat(32))];
    return {
      offenders: 2,
      evidence: [{ kind: 'double', voter: ADDRESS, first, second, bytes: '00'.repeat(421) }],
      next: ADDRESS,
    };
  }

  async status(): Promise<NodeStatus> {
    const { tip, agreed, final } = await this.tip();
    return {
      name: this.identity.name,
      version: '0.1.0',
      peerId: this.identity.peerId,
      addresses: ['/ip4/127.0.0.1/tcp/7501/p2p/12D3KooWFake'],
      network: {
        name: this.identity.network,
        chainId: CHAIN_ID,
        blockTimeMs: 1000,
        minFee: '1000',
        blockReward: '5000000000',
        checkpointInterval: 1,
        voters: 5,
      },
      nowMs: 1_700_000_000_000,
      uptimeMs: 5000,
      ...this.ready,
      tip,
      agreed,
      final,
      totalWork: '123456789012345678901234567890',
      syncing: false,
      bodiesFrom: '0',
      peers: 4,
      mempool: { count: 1, bytes: 178, parked: 0 },
      mining: { mode: 'continuous', address: ADDRESS, hashRate: 12345.6, blocks: 2 },
      voting: { address: ADDRESS, elector: true },
      gossip: { messages: 100, copies: 250, txs: 900, txCopies: 2000 },
      signatures: 'noble',
      internalErrors: 0,
    };
  }

  async peers() {
    return {
      self: this.identity.peerId,
      addresses: ['/ip4/127.0.0.1/tcp/7501/p2p/12D3KooWFake'],
      peers: [
        {
          id: '12D3KooWOther',
          address: '/ip4/127.0.0.1/tcp/7502',
          direction: 'inbound' as const,
          connectedAtMs: 1_700_000_000_000,
          mesh: ['tx', 'block'],
          score: 1.5,
        },
      ],
    };
  }

  async connectPeer(address: string) {
    this.calls.push(['connectPeer', address]);
    return this.connect;
  }

  async disconnectPeer(id: string) {
    this.calls.push(['disconnectPeer', id]);
    return id === '12D3KooWOther';
  }

  async mine(blocks: number, signal: AbortSignal): Promise<MineOutcome> {
    this.calls.push(['mine', blocks]);
    this.mineSignal = signal;
    return this.mined;
  }

  subscribe(listener: (event: ChainEvent) => void, wantsTx: (id: TxId) => boolean) {
    this.wantsTx = wantsTx;
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }
}

export interface TestApi extends BuiltApi {
  readonly backend: FakeBackend;
  readonly clock: ManualClock;
  readonly log: readonly LogLine[];
}

export async function buildTestApi(options: Partial<ApiServerOptions> = {}): Promise<TestApi> {
  const backend = new FakeBackend();
  const clock = new ManualClock();
  const { logger, lines: log } = recordingLogger();
  const built = await buildApi({
    backend,
    clock,
    logger,
    metrics: async () => '# HELP grapevine_peers Connected peers\ngrapevine_peers 4\n',
    options: { host: '127.0.0.1', port: 0, ...options },
  });
  return { ...built, backend, clock, log };
}
