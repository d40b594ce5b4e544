/** What the API shows and does, over the node's services: reads, and requests passed to their owners. */
import { type BlockReader, blockFrontOf, decodeTx } from '../chain/codec.ts';
import { isSupermajority } from '../chain/electorate.ts';
import type { Block, BlockId, ChainEntry, Checkpoint, TxId, Vote } from '../chain/types.ts';
import { type Address, formatAddress } from '../crypto/address.ts';
import { collectCertificate } from './agreement/collect-certificate.ts';
import type { ApiBackend, ConnectOutcome, MineOutcome, NodeIdentity, SubmitOutcome } from './api/backend.ts';
import {
  blockRefDto,
  blockStanding,
  blockSummaryDto,
  electorateDto,
  entryRefDto,
  evidenceDto,
  historyEntryDto,
  transactionDto,
} from './api/dto.ts';
import {
  type AccountHistory,
  type BlockInfo,
  type ChainEvent,
  type HistoryEntry,
  type NodeStatus,
  TIP_VOTE_HEIGHTS,
  type TipInfo,
  type TransactionState,
  type TransactionStatus,
} from './api/schemas.ts';
import type { GrapevineNode } from './compose.ts';
import type { BlockOrigin } from './events.ts';
import type { Clock, Network } from './ports.ts';
import { type Store, StoreError } from './store/store.ts';

export interface ApiBackendDeps {
  readonly node: GrapevineNode;
  readonly network: Network;
  readonly store: Store;
  readonly clock: Clock;
  readonly name: string;
  readonly version: string;
  readonly genesisDoc: object;
  readonly voter: Address | undefined;
  readonly signatureBackend: string;
  /** What has come by gossip since the start. */
  readonly gossipCounts: () => Promise<NodeStatus['gossip']>;
  readonly internalErrors: () => Promise<number>;
  /** Resolves when the event loop has had its turn. */
  readonly giveWay: () => Promise<void>;
}

/** Heights without agreement after which it is called stalled: more than a run of unlucky forks. */
const STALLED_HEIGHTS = 5n;
/** Transactions decoded and written out in one turn of the event loop: some milliseconds of work. */
const SLICE_TXS = 128;
const NOT_KEPT: SubmitOutcome = {
  kind: 'unavailable',
  code: 'not-ready',
  detail: 'the transaction waits in memory, but could not be written to disk: it would not survive a restart',
};

export function createApiBackend(deps: ApiBackendDeps): ApiBackend {
  const { node, network, store, clock, genesisDoc } = deps;
  const { chain, mempool, agreement, ingest, sync, mining, events, genesis } = node;
  const startedAtMs = clock.nowMs();
  const identity: NodeIdentity = {
    peerId: network.self,
    name: deps.name,
    network: genesis.doc.name,
    chainId: genesis.chainId,
  };

  const heights = (): { readonly tip: bigint; readonly agreed: bigint; readonly final: bigint } => ({
    tip: chain.tip.header.height,
    agreed: agreement.agreed.height,
    final: agreement.final.height,
  });
  const standing = (entry: ChainEntry) =>
    blockStanding(entry.header.height, chain.tree.isOnMain(entry.header.id), heights());

  const minedPlace = async (id: TxId): Promise<{ readonly entry: ChainEntry; readonly index: number } | undefined> => {
    const location = await store.txLocation(id);
    const entry = location && chain.tree.get(location.block);
    return location && entry && { entry, index: location.index };
  };
  const minedState = (entry: ChainEntry): TransactionState => {
    const { state } = standing(entry);
    return state === 'side' ? 'pending' : state; // between two writes of a reorg
  };

  /** `make` of each of 0..count-1, some at a time: a full block would hold up the event loop for a fifth of a second. */
  const inSlices = async <T>(count: number, make: (index: number) => T): Promise<T[]> => {
    const made: T[] = [];
    for (let index = 0; index < count; index += 1) {
      if (index > 0 && index % SLICE_TXS === 0) await deps.giveWay();
      made.push(make(index));
    }
    return made;
  };

  return {
    identity,
    genesis: genesisDoc,
    head: () => entryRefDto(chain.tip),

    readiness() {
      const missing = [...node.missing()];
      return { ready: missing.length === 0, missing };
    },

    async submitTransaction(bytes): Promise<SubmitOutcome> {
      if (chain.storeFailure !== undefined) {
        const code = chain.storeFailure.code === 'full' ? 'disk-full' : 'not-ready';
        return { kind: 'unavailable', code, detail: chain.storeFailure.message };
      }
      const decoded = decodeTx(bytes);
      if (!decoded.ok) return { kind: 'refused', reason: 'tx/malformed', detail: decoded.detail };
      const { id } = decoded.value;
      const { verdict, parked } = await ingest.submitTx(bytes);
      // What is acknowledged survives the process. It is in the pool and has been passed on in any case.
      const isKept = await mempool.journalled(id);
      if (verdict.kind === 'accept') return isKept ? { kind: 'accepted', id, parked } : NOT_KEPT;
      switch (verdict.reason) {
        case 'overloaded':
          return { kind: 'overloaded', retryAfterS: ingest.retryAfterS };
        case 'internal-error':
          throw new Error('the transaction could not be checked');
        case 'tx/known':
        case 'tx/nonce-used': {
          if (mempool.pool.has(id)) {
            return isKept ? { kind: 'known', id, state: 'pending', parked: mempool.pool.isParked(id) } : NOT_KEPT;
          }
          // Sent again after it was mined: the client asks for what has happened already.
          const place = await minedPlace(id);
          if (place !== undefined) return { kind: 'known', id, state: minedState(place.entry), parked: false };
          return { kind: 'refused', reason: 'tx/nonce-used', id };
        }
        default:
          return { kind: 'refused', reason: verdict.reason, id };
      }
    },

    async transaction(id): Promise<TransactionStatus | undefined> {
      const pending = mempool.pool.get(id);
      if (pending !== undefined) {
        const parked = mempool.pool.isParked(id);
        return { id, state: 'pending', parked, confirmations: 0, transaction: transactionDto(pending) };
      }
      const place = await minedPlace(id);
      const tx = place && (await chain.readBlock(place.entry.header.id))?.txAt(place.index);
      if (place !== undefined && tx !== undefined) {
        const { entry, index } = place;
        return {
          id,
          state: minedState(entry),
          parked: false,
          block: { ...entryRefDto(entry), index },
          confirmations: standing(entry).confirmations,
          transaction: transactionDto(tx),
        };
      }
      const reason = mempool.droppedReason(id);
      return reason && { id, state: 'dropped', parked: false, reason, confirmations: 0 };
    },

    async account(address) {
      const account = chain.accounts.get(address);
      return {
        address: formatAddress(address),
        balance: account.balance.toString(),
        nonce: account.nonce.toString(),
        pendingNonce: mempool.pool.pendingNonce(address, account).toString(),
      };
    },

    async history(address, limit, before): Promise<AccountHistory> {
      const owner = formatAddress(address);
      const entries: HistoryEntry[] = [];
      let block: { readonly id: BlockId; readonly reader: BlockReader | undefined } | undefined;
      for (const item of await store.history(address, limit + 1, before)) {
        const entry = chain.tree.get(item.block);
        // Those of a block stand together: each block of the page is read once.
        if (block?.id !== item.block) block = { id: item.block, reader: await chain.readBlock(item.block) };
        const tx = block.reader?.txAt(item.index);
        if (entry === undefined || tx === undefined) continue; // reorganised away while we read
        entries.push(
          historyEntryDto(tx, owner, {
            block: { height: item.height, id: item.block },
            index: item.index,
            timestampMs: entry.header.timestampMs,
            state: minedState(entry),
          }),
        );
      }
      const page = entries.slice(0, limit);
      const last = entries.length > limit ? page.at(-1) : undefined;
      return { address: owner, entries: page, ...(last && { next: `${last.block.height}.${last.index}` }) };
    },

    async block(ref): Promise<BlockInfo | undefined> {
      const entry = 'id' in ref ? chain.tree.get(ref.id) : chain.tree.mainAt(ref.height);
      const block = entry && (await chain.readBlock(entry.header.id));
      if (entry === undefined || block === undefined) return undefined;
      const { front, sizeBytes, txAt } = block;
      const transactions = await inSlices(front.txCount, (index) => transactionDto(txAt(index)!));
      return { ...blockSummaryDto(front, standing(entry)), sizeBytes, transactions };
    },

    async blocks(from, limit) {
      const top = from === undefined || from > chain.tip.header.height ? chain.tip.header.height : from;
      const blocks = [];
      let height = top;
      for (; height >= 0n && blocks.length < limit; height--) {
        const entry = chain.tree.mainAt(height);
        if (entry === undefined) break; // the tip moved down while we read
        const block = await chain.blockFront(entry.header.id);
        if (block === undefined) return { blocks }; // pruned, and so is all below
        blocks.push(blockSummaryDto(block, standing(entry)));
      }
      return { blocks, ...(height >= 0n && { next: height.toString() }) };
    },

    async mempool(limit) {
      const { pool } = mempool;
      const listed = pool.list(limit);
      const { bytes, size, parkedSize: parked } = pool;
      const transactions = await inSlices(listed.length, (index) => transactionDto(listed[index]!));
      return { count: size - parked, bytes, parked, transactions };
    },

    async tip(): Promise<TipInfo> {
      const rules = agreement.agreement;
      // What lies below the final block is forgotten there, and decided.
      const isKnownAgreed = ({ id, height }: Checkpoint): boolean => rules.isAgreed(id) || height < rules.final.height;
      const tip = chain.tip.header.height;
      const lowest = tip - BigInt(TIP_VOTE_HEIGHTS - 1) > 1n ? tip - BigInt(TIP_VOTE_HEIGHTS - 1) : 1n;
      const votes: TipInfo['votes'] = [];
      // Most vote at each height.
      const written = new Map<Address, string>();
      const writeOut = (voter: Address): string => {
        const text = written.get(voter) ?? formatAddress(voter);
        written.set(voter, text);
        return text;
      };
      for (let height = tip; height >= lowest; height--) {
        const counted = rules.votesAt(height);
        const proof = counted.length === 0 ? await store.certificate(height) : undefined;
        const links = proof
          ? [{ ...proof, voters: proof.votes.map((vote) => vote.voter), tallies: undefined }]
          : counted;
        if (links.length === 0) continue;
        votes.push({
          height: height.toString(),
          links: links.map(({ source, target, voters, tallies }) => ({
            source: blockRefDto(source),
            target: blockRefDto(target),
            voters: voters.map(writeOut),
            agreed: proof !== undefined || (tallies?.every(isQuorum) === true && isKnownAgreed(target)),
            ...(tallies && { tallies: [...tallies] }),
          })),
        });
      }
      return {
        tip: entryRefDto(chain.tip),
        agreed: blockRefDto(agreement.agreed),
        final: blockRefDto(agreement.final),
        stalled: isStalled(node),
        n: rules.inForce[0]?.total ?? 0,
        quorum: rules.quorum,
        electorate: { ...rules.rule, inForce: rules.inForce.map(electorateDto) },
        offenders: rules.evidence.map(({ voter }) => formatAddress(voter)),
        votes,
      };
    },

    certificate: (height, state) => collectCertificate(height, state, { store, chain, agreement }),

    async evidence(limit, after) {
      const page = agreement.evidenceAfter(after, limit + 1);
      const last = page.length > limit ? page[limit - 1] : undefined;
      return {
        offenders: agreement.agreement.evidence.length,
        evidence: page.slice(0, limit).map(evidenceDto),
        ...(last && { next: formatAddress(last.voter) }),
      };
    },

    async status(): Promise<NodeStatus> {
      const missing = [...node.missing()];
      const { params, doc, electorate, chainId } = genesis;
      return {
        name: deps.name,
        version: deps.version,
        peerId: network.self,
        addresses: [...network.addresses()],
        network: {
          name: doc.name,
          chainId,
          blockTimeMs: params.blockTimeMs,
          minFee: params.minFee.toString(),
          blockReward: params.blockReward.toString(),
          checkpointInterval: params.checkpointInterval,
          voters: electorate.length,
        },
        nowMs: Math.floor(clock.nowMs()),
        uptimeMs: Math.floor(clock.nowMs() - startedAtMs),
        ready: missing.length === 0,
        missing,
        tip: entryRefDto(chain.tip),
        agreed: blockRefDto(agreement.agreed),
        final: blockRefDto(agreement.final),
        totalWork: chain.tip.totalWork.toString(),
        syncing: sync.isCatchingUp,
        bodiesFrom: chain.bodiesFrom.toString(),
        peers: network.peers().length,
        mempool: {
          count: mempool.pool.size - mempool.pool.parkedSize,
          bytes: mempool.pool.bytes,
          parked: mempool.pool.parkedSize,
        },
        mining: {
          mode: mining.mode,
          ...(mining.miner && { address: formatAddress(mining.miner) }),
          hashRate: Math.round(mining.hashRate()),
          blocks: mining.found,
        },
        voting: {
          ...(deps.voter && { address: formatAddress(deps.voter) }),
          elector: agreement.isVoter,
          ...(agreement.hasMovedAway && { movedAway: true }),
        },
        gossip: await deps.gossipCounts(),
        signatures: deps.signatureBackend,
        internalErrors: await deps.internalErrors(),
      };
    },

    async peers() {
      return {
        self: network.self,
        addresses: [...network.addresses()],
        peers: network.peers().map((view) => ({
          id: view.peer,
          address: view.address,
          direction: view.direction,
          connectedAtMs: Math.floor(view.connectedAtMs),
          mesh: [...view.mesh],
          score: view.score,
        })),
      };
    },

    async connectPeer(address): Promise<ConnectOutcome> {
      try {
        await network.connect(address);
        return { kind: 'added' };
      } catch (error) {
        return { kind: 'bad-address', detail: error instanceof Error ? error.message : String(error) };
      }
    },

    async disconnectPeer(id) {
      if (!network.peers().some(({ peer }) => peer === id)) return false;
      await network.disconnect(id, 'asked by the operator');
      return true;
    },

    async mine(blocks, signal): Promise<MineOutcome> {
      if (mining.mode !== 'on-demand') {
        return { kind: 'refused', detail: `mining mode is "${mining.mode}"; on-demand mining needs --mine on-demand` };
      }
      try {
        return { kind: 'mined', blocks: (await mining.mine(blocks, signal)).map(blockRefDto) };
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        return { kind: 'refused', detail: error.message }; // asked again, it looks again whether there is room
      }
    },

    subscribe(listener, wantsTx) {
      const disposers = [
        events.on('tx', ({ tx, from, parked }) => {
          if (!wantsTx(tx.id)) return;
          const source = from === 'api' || from === 'reorg' ? from : 'peer';
          listener({ type: 'tx', state: 'pending', parked, source, ...txEventFields(tx) });
        }),
        events.on('tx-dropped', ({ tx, reason }) => {
          if (!wantsTx(tx.id)) return;
          listener({ type: 'tx', state: 'dropped', parked: false, reason, ...txEventFields(tx) });
        }),
        events.on('block', ({ block, from }) => listener(blockEvent(block, from))),
        events.on('reorg', ({ forkPoint, from, to, abandoned }) => {
          listener({
            type: 'reorg',
            forkPoint: blockRefDto(forkPoint),
            from: blockRefDto(from),
            to: blockRefDto(to),
            abandonedBlocks: abandoned.map(({ header }) => header.id),
            abandonedTransactions: abandoned.flatMap(({ txs }) => txs.map(({ id }) => id)),
          });
        }),
        events.on('agreed', ({ certificate: { source, target, votes } }) => {
          listener({
            type: 'agreed',
            ...blockRefDto(target),
            source: blockRefDto(source),
            votes: votes.length,
            n: agreement.agreement.electorate.length,
          });
        }),
        events.on('final', ({ checkpoint }) => listener({ type: 'final', ...blockRefDto(checkpoint) })),
        events.on('evidence', ({ evidence: { kind, voter, first, second } }) => {
          const span = ({ source, target }: Vote) => ({ source: blockRefDto(source), target: blockRefDto(target) });
          listener({
            type: 'evidence',
            kind,
            voter: formatAddress(voter),
            first: span(first),
            second: span(second),
          });
        }),
      ];
      return () => {
        for (const dispose of disposers) dispose();
      };
    },
  };
}

function isQuorum({ weight, total }: { readonly weight: number; readonly total: number }): boolean {
  return isSupermajority(weight, total);
}

/** The chain grows, agreement does not. */
function isStalled(node: GrapevineNode): boolean {
  const interval = BigInt(node.genesis.params.checkpointInterval);
  return node.chain.tip.header.height - node.agreement.agreed.height > STALLED_HEIGHTS * interval;
}

function txEventFields(tx: Parameters<typeof transactionDto>[0]) {
  const { id, from, to, nonce, amount, fee } = transactionDto(tx);
  return { id, from, to, nonce, amount, fee };
}

function blockEvent(block: Block, from: BlockOrigin): ChainEvent {
  const { id, height, parent, miner, timestampMs, txCount } = blockSummaryDto(blockFrontOf(block), {
    state: 'mined',
    confirmations: 1,
  });
  const source = from === 'mined' || from === 'sync' || from === 'reorg' ? from : 'peer';
  const transactions: BlockId[] | TxId[] = block.txs.map((tx) => tx.id);
  return { type: 'block', id, height, parent, miner, timestampMs, source, txCount, transactions };
}
