/**
 * The only writer of chain state: the block tree, the tip and the accounts.
 *
 * Invariant: every block in the tree is fully valid and stored, whichever branch it is on, so that moving the tip
 * is applying deltas that are already known and cannot fail half-way. Memory follows the store: what a reader sees
 * has been written. All changes run one at a time.
 */
import { BlockTree } from '../chain/block-tree.ts';
import { checkpointOf } from '../chain/checkpoint.ts';
import {
  type BlockFront,
  type BlockReader,
  blockFrontOf,
  type Decoded,
  decodeBlockFront,
  encodeBlock,
  readBlock,
  readEncodedBlock,
} from '../chain/codec.ts';
import { chooseTip } from '../chain/fork-choice.ts';
import type { Genesis } from '../chain/genesis.ts';
import { recentTimestamps } from '../chain/median-time.ts';
import { type BlockReason, BODY_MISMATCH_REASONS } from '../chain/reasons.ts';
import { Accounts, BranchView, connectBlock } from '../chain/state.ts';
import { bitsToTarget, workOfTarget } from '../chain/target.ts';
import type {
  Account,
  AccountView,
  Block,
  BlockDelta,
  BlockId,
  ChainEntry,
  Checkpoint,
  Header,
  Tx,
} from '../chain/types.ts';
import { checkHeader, checkHeaderWork } from '../chain/validate/header.ts';
import { accept, ignore, reject, type Verdict } from '../chain/verdict.ts';
import type { Address } from '../crypto/address.ts';
import type { BlockOrigin, EventBus } from './events.ts';
import { Lru } from './lru.ts';
import type { Metrics } from './metrics.ts';
import type { ObjectCodec } from './object-codec.ts';
import type { Clock, Logger, SignatureVerifier } from './ports.ts';
import { SerialQueue } from './serial-queue.ts';
import { type ChainCommit, type Store, type StoredBlock, type StoredChain, StoreError } from './store/store.ts';
import { VerifierBusyError } from './verify/verifier-busy-error.ts';

/** What fork choice needs to know of the agreement. */
export interface AgreementView {
  readonly final: Checkpoint;
  highestAgreed(leaf: BlockId, tree: BlockTree): Checkpoint;
}

export interface ChainServiceDeps {
  readonly genesis: Genesis;
  readonly stored: StoredChain;
  readonly store: Store;
  readonly agreement: AgreementView;
  readonly verifier: SignatureVerifier;
  readonly codec: ObjectCodec;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** True for the very bytes whose signature the mempool has already found good. */
  readonly isVerified: (tx: Tx) => boolean;
}

/** Blocks and deltas kept in memory: a reorg of ordinary depth reads nothing from disk. */
const RECENT_BLOCKS = 128;
/** Transactions of those blocks, about a kilobyte each. */
const RECENT_TXS = 16_384;
/** Accounts in those deltas. */
const RECENT_ACCOUNTS = 65_536;
/** Blocks of a run are connected for so long before the event loop has its turn. */
const SLICE_MS = 5;

/** Blocks found bad that are remembered. */
const CONDEMNED_KEPT = 1_024;
/** A header whose place is unknown counts where it has at least this part of the work of our tip. */
const FAIR_WORK_DIVISOR = 4n;
/** Blocks of our own branch in which a rival block's transactions are looked for. */
const MAX_RIVAL_BLOCKS = 8;

interface LoadedMove {
  readonly target: ChainEntry;
  readonly forkPoint: ChainEntry;
  readonly disconnected: readonly Block[];
  readonly connected: readonly Block[];
  readonly undone: readonly BlockDelta[];
  readonly applied: readonly BlockDelta[];
}

/**
 * `checkHeader` and `checkBody` may be asked at any time, out of turn; a block is in only when `receiveBlock` or
 * `receiveBlocks` has said so. A block's fault is a verdict. A write that fails rejects with a StoreError: the node
 * stays at its tip, and the next change tries to write again.
 */
export class ChainService {
  readonly genesis: Genesis;
  readonly tree: BlockTree;
  readonly accounts: Accounts;
  /** Bodies below this height were pruned (`grapevine db prune --bodies`). */
  readonly bodiesFrom: bigint;
  readonly #deps: ChainServiceDeps;
  readonly #serial = new SerialQueue();
  readonly #blocks = new Lru<BlockId, Block>(RECENT_BLOCKS, { max: RECENT_TXS, of: ({ txs }) => txs.length });
  readonly #deltas = new Lru<BlockId, BlockDelta>(RECENT_BLOCKS, {
    max: RECENT_ACCOUNTS,
    of: ({ after }) => after.size,
  });
  /** Found good, and being written. */
  #writing: Block | undefined;
  readonly #goodBodies = new WeakSet<Block>();
  /** Ids that commit to a block which broke a rule, or stands on one. */
  readonly #condemned = new Lru<BlockId, BlockReason>(CONDEMNED_KEPT);
  #arrivals: number;
  #storeFailure: StoreError | undefined;
  #storeFailedAtMs = 0;
  /** The view last made for a side branch: `at` that block, good while the tip is `tip`. */
  #branchView: { readonly tip: BlockId; readonly at: BlockId; readonly view: BranchView } | undefined;

  constructor(deps: ChainServiceDeps) {
    this.#deps = deps;
    this.genesis = deps.genesis;
    this.tree = new BlockTree(deps.stored.entries);
    this.tree.setTip(deps.stored.tip);
    this.accounts = new Accounts(deps.stored.accounts);
    this.bodiesFrom = deps.stored.bodiesFrom;
    this.#arrivals = deps.stored.entries.reduce((most, entry) => Math.max(most, entry.arrival), 0);
  }

  get tip(): ChainEntry {
    return this.tree.tip;
  }

  /** The failure of the last write, until one succeeds: the node is then not ready. */
  get storeFailure(): StoreError | undefined {
    return this.#storeFailure;
  }

  /** When the last write failed, monotonic. */
  get storeFailedAtMs(): number {
    return this.#storeFailedAtMs;
  }

  /**
   * The block's encoding, as peers ask for it, also of one whose verdict is given already. Undefined for a block that is
   * unknown, or whose body was pruned.
   */
  async encodedBlock(id: BlockId): Promise<Uint8Array | undefined> {
    if (this.#writing?.header.id === id) return encodeBlock(this.#writing);
    if (this.tree.get(id) === undefined) return undefined;
    const recent = id === this.genesis.entry.header.id ? this.genesis.block : this.#blocks.get(id);
    return recent === undefined ? this.#deps.store.encodedBlock(id) : encodeBlock(recent);
  }

  /** Rules BLK-2, BLK-8, BLK-10, BLK-11. A body that has passed is not checked again. */
  checkBody(block: Block): Verdict<Block, BlockReason> {
    if (this.#goodBodies.has(block)) return accept(block);
    const { genesis, codec } = this.#deps;
    const verdict = codec.checkBlockBody(block, { chainId: genesis.chainId, params: genesis.params });
    if (verdict.kind === 'accept') this.#goodBodies.add(block);
    else if (!BODY_MISMATCH_REASONS.has(verdict.reason)) this.#condemned.set(block.header.id, verdict.reason);
    return verdict;
  }

  /** The block's content, from memory or from the store. */
  async block(id: BlockId): Promise<Block | undefined> {
    return this.#inMemory(id) ?? this.#deps.store.block(id);
  }

  /** What a summary of the block needs, without decoding its transactions. */
  async blockFront(id: BlockId): Promise<BlockFront | undefined> {
    const block = this.#inMemory(id);
    return block === undefined ? this.#decodePart(id, decodeBlockFront) : blockFrontOf(block);
  }

  /** The block with its transactions one at a time, decoded as they are asked for. Undefined as for `block`. */
  async readBlock(id: BlockId): Promise<BlockReader | undefined> {
    const block = this.#inMemory(id);
    return block === undefined ? this.#decodePart(id, readEncodedBlock) : readBlock(block);
  }

  #inMemory(id: BlockId): Block | undefined {
    return this.#blocks.get(id) ?? (id === this.genesis.entry.header.id ? this.genesis.block : undefined);
  }

  async #decodePart<T>(id: BlockId, decode: (bytes: Uint8Array) => Decoded<T>): Promise<T | undefined> {
    const bytes = await this.#deps.store.encodedBlock(id);
    if (bytes === undefined) return undefined;
    const decoded = decode(bytes);
    if (!decoded.ok) throw new StoreError('damaged', `the body of block ${id}: ${decoded.detail}`);
    return decoded.value;
  }

  /**
   * The content of a block that came lately, on any branch, or of one whose verdict is given already: what a peer may ask
   * parts of. To read and decode a whole old block for one transaction is more work than anybody may ask for.
   */
  recentBlock(id: BlockId): Block | undefined {
    if (this.#writing?.header.id === id) return this.#writing;
    return this.#blocks.get(id);
  }

  /**
   * Transactions that a block on `parent` may hold although the tip has them too, and so the mempool not: those of the
   * blocks above the fork point, as far as they are in memory.
   */
  txsAbove(parent: BlockId): readonly Tx[] {
    if (parent === this.tip.header.id || this.tree.get(parent) === undefined) return [];
    const { disconnect } = this.tree.planMove(parent);
    return disconnect.slice(-MAX_RIVAL_BLOCKS).flatMap(({ header }) => this.#blocks.get(header.id)?.txs ?? []);
  }

  /**
   * What a header alone shows, against the tree and the clock: BLK-3..BLK-7, BLK-16 and FORK-1. A header whose parent
   * is unknown has at least its own work done. The body, and so the block, may still be bad.
   */
  checkHeader(header: Header): Verdict<Omit<ChainEntry, 'arrival'>, BlockReason> {
    return this.#checkHeader(header, []);
  }

  /**
   * Whether a header that has its work done has as much of it that it may cost us something: a quarter of what a block
   * like our tip has. Where the parent is not in the tree the bits are the header's own choice, and the net's least is
   * some hundred hashes.
   */
  hasFairWork({ bits }: Header): boolean {
    const workOf = (each: number): bigint => workOfTarget(bitsToTarget(each)!);
    return FAIR_WORK_DIVISOR * workOf(bits) >= workOf(this.tip.header.bits);
  }

  /**
   * The rule that a block was found to break once, or that one below it did. Of those above it only what has fair work
   * is remembered: each is refused anyway, but it would have another forgotten.
   */
  whyCondemned(header: Header): BlockReason | undefined {
    const own = this.#condemned.get(header.id);
    if (own !== undefined || this.#condemned.get(header.parent) === undefined) return own;
    const reason = 'block/invalid-ancestor';
    const isWorked = checkHeaderWork(header, this.genesis.params).kind === 'accept';
    if (isWorked && this.hasFairWork(header)) this.#condemned.set(header.id, reason);
    return reason;
  }

  /** @param run good blocks up to its parent that are not in the tree yet */
  #checkHeader(header: Header, run: readonly StoredBlock[]): Verdict<Omit<ChainEntry, 'arrival'>, BlockReason> {
    const { genesis, clock } = this.#deps;
    if (this.tree.get(header.id) !== undefined) return ignore('block/known');
    const reason = this.whyCondemned(header);
    if (reason !== undefined) return reject(reason);
    const parent = run.at(-1)?.entry ?? this.tree.get(header.parent);
    if (parent === undefined) {
      const work = checkHeaderWork(header, genesis.params);
      return work.kind === 'accept' ? ignore('block/unknown-parent') : work;
    }
    const root = run[0]?.entry.header.parent ?? header.parent;
    if (!this.#mayFollow(root)) return ignore('block/conflicts-final'); // FORK-1
    const fresh = new Map(run.map(({ entry }) => [entry.header.id, entry]));
    const view = { get: (id: BlockId) => fresh.get(id) ?? this.tree.get(id) };
    return checkHeader(header, {
      parent,
      recentTimesMs: recentTimestamps(view, parent),
      nowMs: BigInt(Math.floor(clock.nowMs())),
      params: genesis.params,
      genesisEffectiveTimeMs: genesis.entry.effectiveTimeMs,
    });
  }

  /**
   * Checks a block completely and, when it is good, stores it and moves the tip where fork choice says so.
   * `onVerdict` hears the verdict before anything is written, so that relaying does not wait for the disk.
   * Rejects with a {@link StoreError} when the block is good but cannot be written; nothing has changed then.
   */
  receiveBlock(
    block: Block,
    from: BlockOrigin,
    onVerdict: (verdict: Verdict<Block, BlockReason>) => void = () => {},
  ): Promise<Verdict<Block, BlockReason>> {
    return this.#serial.run(async () => {
      const verdict = await this.#check(block);
      this.#writing = verdict.kind === 'accept' ? block : undefined; // who is told by the verdict may ask for it
      onVerdict(verdict.kind === 'accept' ? accept(block) : verdict);
      if (verdict.kind !== 'accept') return verdict;
      await this.#add([{ ...verdict.value, block }], from).finally(() => {
        this.#writing = undefined;
      });
      return accept(block);
    });
  }

  /**
   * The same for blocks that follow one another, as a sync brings them: each is checked completely on what those
   * before it leave, then all go into one durable write. So a run is written, and seen, whole or not at all.
   *
   * @param blocks each the parent of the next; the caller bounds them, for no other block has its turn meanwhile
   * @returns verdicts up to the first block that is neither good nor known; those before it have been taken
   * @throws RangeError where they do not follow one another; StoreError as `receiveBlock`
   */
  receiveBlocks(blocks: readonly Block[], from: BlockOrigin): Promise<readonly Verdict<Block, BlockReason>[]> {
    const { clock } = this.#deps;
    return this.#serial.run(async () => {
      const verdicts: Verdict<Block, BlockReason>[] = [];
      const run: StoredBlock[] = [];
      let accounts: BranchView | undefined;
      let sliceStartMs = clock.monotonicMs();
      for (const block of blocks) {
        const verdict = await this.#check(block, run, accounts);
        verdicts.push(verdict.kind === 'accept' ? accept(block) : verdict);
        if (verdict.kind === 'accept') {
          accounts ??= await this.#ownViewAt(this.tree.get(block.header.parent)!);
          accounts.extend(verdict.value.delta);
          run.push({ ...verdict.value, block });
        } else if (verdict.reason !== 'block/known') break;
        if (clock.monotonicMs() - sliceStartMs > SLICE_MS) {
          await new Promise<void>((resolve) => clock.after(0, resolve));
          sliceStartMs = clock.monotonicMs();
        }
      }
      const last = run.at(-1);
      if (last === undefined) return verdicts;
      const tip = this.tip.header.id;
      await this.#add(run, from);
      const isBeside = accounts !== undefined && this.tip.header.id === tip;
      if (isBeside) this.#branchView = { tip, at: last.entry.header.id, view: accounts! };
      return verdicts;
    });
  }

  /**
   * Checks the signatures of a block that will be received soon, in turn with those of transactions: what is found good
   * is remembered by the verifier. Decides nothing; a verifier that is busy is no failure.
   */
  async checkAhead(block: Block): Promise<void> {
    const { verifier, codec, isVerified } = this.#deps;
    const unverified = block.txs.filter((tx) => !isVerified(tx));
    try {
      await verifier.verify(unverified.map(codec.txSignatureItem), 'bulk');
    } catch (error) {
      if (!(error instanceof VerifierBusyError)) throw error;
    }
  }

  /** Moves the tip when agreement now prefers another branch. */
  reconsiderTip(): Promise<void> {
    return this.#serial.run(() => this.#reconsider());
  }

  /**
   * Writes what the votes have proved, and moves the tip where it asks for that. In turn with the blocks: a block that
   * is being written when its rival becomes final has been written, and left again, before anybody hears of it.
   */
  afterAgreement(save: () => Promise<void>): Promise<void> {
    return this.#serial.run(async () => {
      await this.#write(save);
      await this.#reconsider();
    });
  }

  /** Writes a run of good blocks and takes them into memory; moves the tip to the last where it is better. */
  async #add(run: readonly StoredBlock[], from: BlockOrigin): Promise<void> {
    const [first, last] = [run[0]!.entry, run.at(-1)!.entry];
    await this.#write(async () => {
      let move = this.#isBetterThanTip(last, first.header.parent) ? await this.#loadMove(last, run) : undefined;
      // Votes came meanwhile: what is final now decides, not what was final when the block came (FORK-1).
      if (move !== undefined && !this.#mayFollow(first.header.parent)) move = undefined;
      await this.#deps.store.commit({ added: run, ...storedMove(move) });
      for (const { entry, block, delta } of run) {
        this.#blocks.set(entry.header.id, block);
        this.#deltas.set(entry.header.id, delta);
        this.tree.add(entry);
      }
      if (move !== undefined) this.#applyMove(move, from, new Set(run.map(({ block }) => block)));
    });
    for (const { entry, block } of run) this.#deps.events.emit('entry', { entry, block });
  }

  async #reconsider(): Promise<void> {
    const { agreement } = this.#deps;
    const best = chooseTip(this.tree, {
      final: agreement.final,
      highestAgreed: (leaf) => agreement.highestAgreed(leaf.header.id, this.tree).height,
    });
    if (best.header.id === this.tip.header.id) return;
    await this.#write(async () => {
      const move = await this.#loadMove(best, []);
      if (!this.#mayFollow(best.header.id)) return; // overtaken by more votes, which ask again
      await this.#deps.store.commit({ added: [], ...storedMove(move) });
      this.#applyMove(move, 'reorg', new Set());
    });
  }

  /** FORK-1, for what builds on `parent`, a block in the tree. */
  #mayFollow(parent: BlockId): boolean {
    return this.tree.isAncestor(this.#deps.agreement.final.id, parent);
  }

  /** Resolves when every change asked for so far is done. */
  idle(): Promise<void> {
    return this.#serial.idle();
  }

  /**
   * @param run good blocks up to its parent that are not in the tree yet
   * @param accounts as of its parent, where there is a run
   */
  async #check(
    block: Block,
    run: readonly StoredBlock[] = [],
    accounts?: AccountView,
  ): Promise<Verdict<{ readonly entry: ChainEntry; readonly delta: BlockDelta }, BlockReason>> {
    const { genesis, verifier, codec, isVerified } = this.#deps;
    const { header } = block;
    const before = run.at(-1)?.entry;
    if (before !== undefined && header.parent !== before.header.id) throw new RangeError('blocks that do not follow');
    const headerVerdict = this.#checkHeader(header, run);
    const parent = before ?? this.tree.get(header.parent);
    const isOrphan = headerVerdict.kind === 'ignore' && headerVerdict.reason === 'block/unknown-parent';
    if (headerVerdict.kind !== 'accept' && !isOrphan) return headerVerdict;
    // What will be parked has at least the body its header names.
    const bodyVerdict = this.checkBody(block);
    if (bodyVerdict.kind !== 'accept') return bodyVerdict;
    if (headerVerdict.kind !== 'accept' || parent === undefined) return ignore('block/unknown-parent'); // BLK-16
    const unverified = block.txs.filter((tx) => !isVerified(tx));
    const good = await verifier.verify(unverified.map(codec.txSignatureItem));
    const connected = good.includes(false)
      ? ({ ok: false, reason: 'block/bad-signature' } as const) // BLK-12
      : connectBlock(accounts ?? (await this.#viewAt(parent)), block, genesis.params);
    if (!connected.ok) {
      this.#condemned.set(header.id, connected.reason);
      return reject(connected.reason);
    }
    this.#arrivals += 1;
    return accept({ entry: { ...headerVerdict.value, arrival: this.#arrivals }, delta: connected.delta });
  }

  /**
   * FORK-2..4 for a block not yet in the tree: its own agreement can only come later, through `reconsiderTip`.
   * @param parent the last of its ancestors that is in the tree
   */
  #isBetterThanTip(entry: ChainEntry, parent: BlockId): boolean {
    const { agreement } = this.#deps;
    if (parent === this.tip.header.id) return true;
    const theirs = agreement.highestAgreed(parent, this.tree).height;
    const ours = agreement.highestAgreed(this.tip.header.id, this.tree).height;
    return theirs !== ours ? theirs > ours : entry.totalWork > this.tip.totalWork;
  }

  /** The accounts as of `entry`. A branch that grows block by block extends the view of the block before. */
  async #viewAt(entry: ChainEntry): Promise<AccountView> {
    if (entry.header.id === this.tip.header.id) return this.accounts;
    const last = this.#branchView;
    if (last?.tip === this.tip.header.id && last.at === entry.header.parent) {
      last.view.extend(await this.#delta(entry.header.id));
      this.#branchView = { ...last, at: entry.header.id };
      return last.view;
    }
    if (last?.tip === this.tip.header.id && last.at === entry.header.id) return last.view;
    const plan = this.tree.planMove(entry.header.id);
    const undone = await Promise.all(plan.disconnect.map((each) => this.#delta(each.header.id)));
    const applied = await Promise.all(plan.connect.map((each) => this.#delta(each.header.id)));
    const view = new BranchView(this.accounts, undone, applied);
    this.#branchView = { tip: this.tip.header.id, at: entry.header.id, view };
    return view;
  }

  /** A view that the caller may extend. */
  async #ownViewAt(entry: ChainEntry): Promise<BranchView> {
    const view = await this.#viewAt(entry);
    if (!(view instanceof BranchView)) return new BranchView(this.accounts, [], []);
    this.#branchView = undefined; // it will not be at that block
    return view;
  }

  /** @param run the blocks up to the target that are not in the tree yet */
  async #loadMove(target: ChainEntry, run: readonly StoredBlock[]): Promise<LoadedMove> {
    const plan = this.tree.planMove(run[0]?.entry.header.parent ?? target.header.id);
    const connected = await Promise.all(plan.connect.map((entry) => this.#body(entry.header.id)));
    const applied = await Promise.all(plan.connect.map((entry) => this.#delta(entry.header.id)));
    for (const { block, delta } of run) {
      connected.push(block);
      applied.push(delta);
    }
    return {
      target,
      forkPoint: plan.forkPoint,
      disconnected: await Promise.all(plan.disconnect.map((entry) => this.#body(entry.header.id))),
      connected,
      undone: await Promise.all(plan.disconnect.map((entry) => this.#delta(entry.header.id))),
      applied,
    };
  }

  /** Runs what reads and writes the store; when it fails, nothing in memory has changed. */
  async #write(task: () => Promise<void>): Promise<void> {
    try {
      await task();
      this.#storeFailure = undefined;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#storeFailure = error;
      this.#storeFailedAtMs = this.#deps.clock.monotonicMs();
      this.#deps.metrics.storeFailures.inc();
      this.#deps.logger.error({ err: error, code: error.code }, 'the store failed: the node stays at its tip');
      throw error;
    }
  }

  /** @param fresh those of its blocks that came just now, `from` there */
  #applyMove(move: LoadedMove, from: BlockOrigin, fresh: ReadonlySet<Block>): void {
    const { events, metrics, logger } = this.#deps;
    const old = this.tip;
    for (const delta of move.undone) this.accounts.undo(delta);
    for (const delta of move.applied) this.accounts.apply(delta);
    this.tree.setTip(move.target.header.id);
    if (move.disconnected.length > 0) {
      metrics.reorgs.inc();
      metrics.reorgDepth.observe(move.disconnected.length);
      logger.info(
        { from: old.header.id, to: move.target.header.id, depth: move.disconnected.length },
        'reorganised to another branch',
      );
      events.emit('reorg', {
        forkPoint: checkpointOf(move.forkPoint.header),
        from: checkpointOf(old.header),
        to: checkpointOf(move.target.header),
        abandoned: move.disconnected,
      });
    }
    for (const block of move.connected) {
      const entry = this.tree.get(block.header.id);
      if (entry === undefined) throw new Error(`connected block ${block.header.id} is not in the tree`);
      events.emit('block', { entry, block, from: fresh.has(block) ? from : 'reorg' });
    }
    events.emit('tip', { entry: move.target, disconnected: move.disconnected, connected: move.connected });
  }

  async #body(id: BlockId): Promise<Block> {
    const block = await this.block(id);
    if (block === undefined) throw new StoreError('damaged', `the store has no body for block ${id}`);
    return block;
  }

  async #delta(id: BlockId): Promise<BlockDelta> {
    const cached = this.#deltas.get(id);
    if (cached !== undefined) return cached;
    const delta = await this.#deps.store.delta(id);
    if (delta === undefined) throw new StoreError('damaged', `the store has no undo record for block ${id}`);
    this.#deltas.set(id, delta);
    return delta;
  }
}

function storedMove(move: LoadedMove | undefined): Pick<ChainCommit, 'move'> {
  if (move === undefined) return {};
  const { target, disconnected, connected } = move;
  const accounts = new Map<Address, Account | undefined>();
  for (const { before } of move.undone) for (const [address, account] of before) accounts.set(address, account);
  for (const { after } of move.applied) for (const [address, account] of after) accounts.set(address, account);
  return { move: { tip: target.header.id, disconnected, connected, accounts } };
}
