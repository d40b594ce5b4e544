/**
 * Examines blocks, state and indices: checks every header against its parent, executes every block whose body is
 * there, and compares what follows from that with what the store says.
 *
 * Memory: all headers, accounts and index entries, and the deltas above the lowest fork.
 */

import { BlockTree } from '../../chain/block-tree.ts';
import { blockIdFromBytes, blockIdToBytes, encodeBlock } from '../../chain/codec.ts';
import type { Genesis } from '../../chain/genesis.ts';
import { recentTimestamps } from '../../chain/median-time.ts';
import { Accounts, BranchView, connectBlock } from '../../chain/state.ts';
import type { Account, AccountView, BlockDelta, BlockId, ChainEntry, Header } from '../../chain/types.ts';
import { checkBlockBody } from '../../chain/validate/block-body.ts';
import { checkHeader } from '../../chain/validate/header.ts';
import { txSignatureItem } from '../../chain/validate/tx-stateless.ts';
import type { Address } from '../../crypto/address.ts';
import { equalBytes } from '../../crypto/bytes.ts';
import type { SignatureVerifier } from '../ports.ts';
import { indexOf, sumChangeOf } from './derived-records.ts';
import { type Examination, hex, textOf } from './examination.ts';
import * as keys from './keys.ts';
import type { EntryRecord, PrunedRecord } from './records.ts';
import * as records from './records.ts';

export interface ChainContext {
  readonly genesis: Genesis;
  /** Undefined where the record can't be read. */
  readonly storedTip: BlockId | undefined;
  readonly storedFinal: BlockId | undefined;
  readonly pruned: PrunedRecord;
  /** Undefined: transactions' signatures are taken as good. */
  readonly verifier: SignatureVerifier | undefined;
  readonly onProgress: (stage: string, done: number, total: number) => void;
}

/** The chain as it is after repair; without faults, as it is. */
export interface ExaminedChain {
  readonly tree: BlockTree;
  readonly blocks: number;
  readonly transactions: number;
  /** Main-chain heights that are lost, if any. */
  readonly lost: { readonly from: bigint; readonly to: bigint } | undefined;
  /** The highest header seen, good or bad: how far this node can have been. */
  readonly highestSeen: { readonly height: bigint; readonly timestampMs: bigint };
}

interface Executed {
  readonly delta: BlockDelta;
  readonly index: readonly (readonly [Uint8Array, Uint8Array])[];
}

/**
 * Examines headers, bodies, deltas, indices and accounts. What is wrong goes into `exam`, as faults and as the writes
 * that mend them. A bad block takes all that is built on it with it, and the chain then ends at the best that is
 * left.
 *
 * @returns the chain as it is once those writes are applied
 */
export async function examineChain(exam: Examination, context: ChainContext): Promise<ExaminedChain> {
  const examiner = new ChainExaminer(exam, context);
  return examiner.run();
}

class ChainExaminer {
  readonly #exam: Examination;
  readonly #context: ChainContext;
  readonly #genesis: Genesis;
  readonly #genesisId: BlockId;
  #pruned: PrunedRecord;
  readonly #stored = new Map<BlockId, EntryRecord>();
  readonly #bodyIds = new Set<BlockId>();
  /** Headers in order of height. */
  readonly #candidates: { readonly header: Header; readonly arrival: number }[] = [];
  readonly #executed = new Map<BlockId, Executed>();
  /** What is known good, whole and connected. */
  readonly #tree: BlockTree;
  /** By how much executed blocks change the accounts' sum. */
  readonly #sumChanges = new Map<BlockId, number>();
  #transactions = 0;

  constructor(exam: Examination, context: ChainContext) {
    this.#exam = exam;
    this.#context = context;
    this.#genesis = context.genesis;
    this.#genesisId = context.genesis.entry.header.id;
    this.#pruned = context.pruned;
    this.#tree = new BlockTree([context.genesis.entry]);
  }

  async run(): Promise<ExaminedChain> {
    await this.#readHeaders();
    const headers = this.#checkHeaders();
    const wanted = this.#wantedTip(headers);
    headers.setTip(wanted.header.id);
    const accounts = await this.#executeMain(headers);
    await this.#executeSides(headers, accounts);
    this.#moveToBestTip(wanted, accounts);
    this.#compareEntries();
    await this.#compareLeftovers();
    await this.#compareIndex();
    await this.#compareAccounts(accounts);
    const { height } = this.#tree.tip.header;
    const stored = this.#candidates.find(({ header }) => header.id === this.#context.storedTip);
    const before = stored === undefined ? wanted.header.height : stored.header.height;
    return {
      tree: this.#tree,
      blocks: this.#tree.size,
      transactions: this.#transactions,
      lost: height < before ? { from: height + 1n, to: before } : undefined,
      highestSeen: this.#highestSeen(),
    };
  }

  // Headers -----------------------------------------------------------------------------------------------------

  async #readHeaders(): Promise<void> {
    const exam = this.#exam;
    let arrival = 0;
    for await (const { key, value } of exam.records('entry', records.decodeEntry)) {
      const { header } = value.entry;
      if (!equalBytes(keys.entryKey(header.id), key)) {
        exam.bad('entry', key, `holds block ${header.id}`);
        continue;
      }
      this.#stored.set(header.id, value);
      arrival = Math.max(arrival, value.entry.arrival);
    }
    for await (const key of exam.keys('block')) this.#bodyIds.add(idOf(key));
    for (const [, { entry }] of this.#stored) this.#candidates.push({ header: entry.header, arrival: entry.arrival });
    const orphans: Header[] = [];
    for (const id of this.#bodyIds) {
      if (this.#stored.has(id)) continue;
      const found = await exam.get('block', keys.blockKey(id), records.decodeStoredBlock);
      if (found.kind === 'good' && found.value.header.id === id) orphans.push(found.value.header);
      else if (found.kind === 'good') exam.bad('block', keys.blockKey(id), `holds block ${found.value.header.id}`);
    }
    orphans.sort((a, b) => Number(a.height - b.height));
    for (const header of orphans) {
      arrival += 1;
      this.#candidates.push({ header, arrival });
    }
    this.#candidates.sort((a, b) => Number(a.header.height - b.header.height) || a.arrival - b.arrival);
  }

  /** All headers that follow from genesis by the rules, with what follows from them. */
  #checkHeaders(): BlockTree {
    const { params, entry } = this.#genesis;
    const headers = new BlockTree([entry]);
    const dropped = new Set<BlockId>();
    for (const { header, arrival } of this.#candidates) {
      if (header.id === this.#genesisId) continue;
      const parent = headers.get(header.parent);
      if (parent === undefined) {
        const isConsequence = dropped.has(header.parent);
        dropped.add(header.id);
        if (isConsequence) continue;
        this.#exam.fault('header-parent', `${nameOf(header)}: its parent ${header.parent} is missing or not valid`);
        continue;
      }
      const verdict = checkHeader(header, {
        parent,
        recentTimesMs: recentTimestamps(headers, parent),
        nowMs: header.timestampMs, // BLK-7 was for the moment it came
        params,
        genesisEffectiveTimeMs: entry.effectiveTimeMs,
      });
      if (verdict.kind !== 'accept') {
        dropped.add(header.id);
        this.#exam.fault('header-invalid', `${nameOf(header)}: ${verdict.reason}`);
        continue;
      }
      if (!this.#stored.has(header.id)) {
        this.#exam.fault('header-missing', `${nameOf(header)} has a body but no header record`);
      }
      headers.add({ ...verdict.value, arrival });
    }
    if (!this.#stored.has(this.#genesisId))
      this.#exam.fault('header-missing', 'the genesis block has no header record');
    return headers;
  }

  /** The stored tip, or, where that is not to be had, the most work. */
  #wantedTip(headers: BlockTree): ChainEntry {
    const { storedTip } = this.#context;
    const stored = storedTip === undefined ? undefined : headers.get(storedTip);
    if (stored !== undefined) return stored;
    const best = mostWork(headers.leaves());
    if (storedTip !== undefined) this.#exam.fault('tip', `block ${storedTip}, the tip, is missing or not valid`);
    return best;
  }

  // Bodies ------------------------------------------------------------------------------------------------------

  /** Executes the main chain from the lowest body on, as far as it is whole. Returns the state there. */
  async #executeMain(headers: BlockTree): Promise<Accounts> {
    const { onProgress } = this.#context;
    const tipHeight = headers.tip.header.height;
    const lowestFork = this.#lowestFork(headers);
    const base = await this.#baseState(headers); // may find that the store has to be taken as never pruned
    await this.#checkGenesisBody();
    const accounts = base.accounts;
    for (let height = 1n; height <= base.height; height += 1n) this.#tree.add(headers.mainAt(height)!);
    let good = headers.mainAt(base.height)!;
    for (let height = base.height + 1n; height <= tipHeight; height += 1n) {
      const entry = headers.mainAt(height)!;
      const executed = await this.#execute(entry, accounts);
      if (executed === undefined) break;
      accounts.apply(executed.delta);
      await this.#compareDelta(entry, executed.delta);
      this.#keepExecuted(entry, executed, height > lowestFork);
      good = entry;
      if (height % 256n === 0n) onProgress('blocks', Number(height), Number(tipHeight));
    }
    onProgress('blocks', Number(good.header.height), Number(tipHeight));
    this.#tree.setTip(good.header.id);
    return accounts;
  }

  /** The state below the lowest body: genesis', or, of a pruned store, the tip's with the deltas undone. */
  async #baseState(headers: BlockTree): Promise<{ readonly height: bigint; readonly accounts: Accounts }> {
    const fromGenesis = () => ({ height: 0n, accounts: new Accounts(this.#genesis.accounts) });
    const { bodiesFrom } = this.#pruned;
    if (bodiesFrom <= 1n) return fromGenesis();
    const height = bodiesFrom - 1n;
    const accounts = new Accounts();
    const why = await this.#undoDownTo(height, headers, accounts);
    if (why === undefined) return { height, accounts };
    this.#exam.fault('base-state', `the state at height ${height}, below which bodies were pruned: ${why}`);
    this.#pruned = records.NOTHING_PRUNED;
    this.#exam.put(keys.META.pruned, records.encodePruned(this.#pruned));
    return fromGenesis();
  }

  /** Fills `accounts` with the state at `height`. Returns what is wrong, if anything. */
  async #undoDownTo(height: bigint, headers: BlockTree, into: Accounts): Promise<string | undefined> {
    const exam = this.#exam;
    const atTip = new Map<Address, Account>();
    for await (const { key, value } of exam.records('account', records.decodeAccount)) {
      atTip.set(keys.addressOfKey(key), value);
    }
    const accounts = new Accounts(atTip);
    if (headers.tip.header.height < height) return 'the chain does not reach it';
    try {
      for (let at = headers.tip.header.height; at > height; at -= 1n) {
        const { id } = headers.mainAt(at)!.header;
        const delta = await exam.get('delta', keys.deltaKey(id), records.decodeDelta);
        if (delta.kind !== 'good') return `the delta of block ${at} is ${delta.kind}`;
        accounts.undo(delta.value);
      }
    } catch (error) {
      return (error as Error).message;
    }
    let sum = 0;
    for (let at = 0n; at <= height; at += 1n) {
      const record = this.#stored.get(headers.mainAt(at)!.header.id);
      if (record === undefined) return `block ${at} has no header record`;
      sum = (sum + record.sumChange) >>> 0;
    }
    let found = 0;
    for (const [address, account] of accounts.entries()) found = (found + records.sumOfAccount(address, account)) >>> 0;
    if (found !== sum) return 'the accounts do not match the headers';
    if (accounts.totalSupply() !== this.#supplyAt(height)) return 'the supply is not what was paid out';
    for (const [address, account] of accounts.entries()) {
      into.apply({ before: new Map([[address, undefined]]), after: new Map([[address, account]]) });
    }
    return undefined;
  }

  /** Executes the blocks beside the main chain, each on the state of its parent. */
  async #executeSides(headers: BlockTree, state: Accounts): Promise<void> {
    for (const { header } of this.#candidates) {
      const entry = headers.get(header.id);
      if (entry === undefined || this.#tree.has(header.id) || !this.#tree.has(header.parent)) continue;
      if (headers.isOnMain(header.id)) continue; // the block at which the main chain breaks off
      if (header.height < this.#pruned.bodiesFrom) {
        this.#tree.add(entry);
        continue;
      }
      const view = this.#viewAt(header.parent, state);
      if (view === undefined) {
        // Beside the pruned part: dead since long before the last final block.
        this.#tree.add(entry);
        continue;
      }
      const executed = await this.#execute(entry, view);
      if (executed === undefined) continue;
      await this.#compareDelta(entry, executed.delta);
      this.#keepExecuted(entry, executed, true);
    }
  }

  #viewAt(id: BlockId, state: Accounts): AccountView | undefined {
    const { disconnect, connect } = this.#tree.planMove(id);
    const undone = disconnect.map((entry) => this.#executed.get(entry.header.id)?.delta);
    const applied = connect.map((entry) => this.#executed.get(entry.header.id)?.delta);
    const deltas = [...undone, ...applied];
    if (deltas.some((delta) => delta === undefined || delta === NOT_KEPT)) return undefined;
    return new BranchView(state, undone as BlockDelta[], applied as BlockDelta[]);
  }

  async #execute(entry: ChainEntry, view: AccountView): Promise<Executed | undefined> {
    const exam = this.#exam;
    const { verifier } = this.#context;
    const { header } = entry;
    const found = await exam.get('block', keys.blockKey(header.id), records.decodeStoredBlock);
    if (found.kind !== 'good') {
      if (found.kind === 'missing') exam.fault('body-missing', `${nameOf(header)} has no body`);
      return undefined;
    }
    const block = found.value;
    const { chainId, params } = this.#genesis;
    if (block.header.id !== header.id) {
      exam.fault('body-invalid', `${nameOf(header)}: its body belongs to block ${block.header.id}`);
      return undefined;
    }
    const body = checkBlockBody(block, { chainId, params });
    if (body.kind !== 'accept') {
      exam.fault('body-invalid', `${nameOf(header)}: ${body.reason}`);
      return undefined;
    }
    if (verifier !== undefined && (await verifier.verify(block.txs.map(txSignatureItem))).includes(false)) {
      exam.fault('body-signature', `${nameOf(header)}: block/bad-signature`);
      return undefined;
    }
    const connected = connectBlock(view, block, params);
    if (!connected.ok) {
      exam.fault('body-state', `${nameOf(header)}: ${connected.reason}`);
      return undefined;
    }
    this.#transactions += block.txs.length;
    return { delta: connected.delta, index: [...indexOf(block)] };
  }

  async #checkGenesisBody(): Promise<void> {
    const exam = this.#exam;
    const { block, entry } = this.#genesis;
    const key = keys.blockKey(this.#genesisId);
    const expected = encodeBlock(block);
    const found = await exam.get('block', key, (payload) => payload);
    if (found.kind === 'missing') exam.fault('body-missing', 'the genesis block has no body');
    else if (found.kind === 'good' && !equalBytes(found.value, expected)) {
      exam.fault('body-invalid', 'the body of the genesis block is another');
    }
    if (found.kind !== 'good' || !equalBytes(found.value, expected)) exam.put(key, expected);
    const delta = { before: new Map(), after: this.#genesis.accounts };
    if (this.#pruned.undoFrom === 0n) await this.#compareDelta(entry, delta);
    this.#sumChanges.set(this.#genesisId, sumChangeOf(delta));
  }

  // Comparing ---------------------------------------------------------------------------------------------------

  #keepExecuted(entry: ChainEntry, executed: Executed, keepDelta: boolean): void {
    this.#tree.add(entry);
    this.#sumChanges.set(entry.header.id, sumChangeOf(executed.delta));
    this.#executed.set(entry.header.id, keepDelta ? executed : { ...executed, delta: NOT_KEPT });
  }

  async #compareDelta({ header }: ChainEntry, delta: BlockDelta): Promise<void> {
    if (header.height < this.#pruned.undoFrom) return;
    const key = keys.deltaKey(header.id);
    const found = await this.#exam.get('delta', key, records.decodeDelta);
    if (found.kind === 'good' && equalDeltas(found.value, delta)) return;
    if (found.kind === 'missing') this.#exam.fault('delta-missing', `${nameOf(header)} has no delta`);
    if (found.kind === 'good') this.#exam.fault('delta-wrong', `the delta of ${nameOf(header)} is not what it does`);
    this.#exam.put(key, records.encodeDelta(delta));
  }

  /** Where the main chain broke off: to the best whole chain, of those that hold the final block if any does. */
  #moveToBestTip(wanted: ChainEntry, accounts: Accounts): void {
    const { storedTip, storedFinal } = this.#context;
    const tree = this.#tree;
    if (!tree.has(wanted.header.id)) {
      const leaves = tree.leaves();
      const holding = leaves.filter(
        ({ header }) => storedFinal !== undefined && tree.isAncestor(storedFinal, header.id),
      );
      const { disconnect, connect } = tree.planMove(mostWork(holding.length > 0 ? holding : leaves).header.id);
      for (const { header } of disconnect) accounts.undo(this.#executed.get(header.id)!.delta);
      for (const { header } of connect) accounts.apply(this.#executed.get(header.id)!.delta);
      const tip = connect.at(-1);
      if (tip !== undefined) tree.setTip(tip.header.id);
    }
    const { id } = tree.tip.header;
    if (storedTip !== id) this.#exam.put(keys.META.tip, blockIdToBytes(id));
  }

  /** Header records against what the headers make them. */
  #compareEntries(): void {
    const exam = this.#exam;
    const all = [this.#genesis.entry, ...this.#candidates.flatMap(({ header }) => this.#tree.get(header.id) ?? [])];
    for (const entry of all) {
      const { id } = entry.header;
      const stored = this.#stored.get(id);
      const sumChange = this.#sumChanges.get(id) ?? stored?.sumChange ?? 0;
      const expected = records.encodeEntry({ entry, sumChange });
      if (stored !== undefined && equalBytes(records.encodeEntry(stored), expected)) continue;
      if (stored !== undefined) {
        exam.fault(
          'header-derived',
          `work, chain clock or sum of ${nameOf(entry.header)} are not what follows from it`,
        );
      }
      exam.put(keys.entryKey(id), expected);
    }
  }

  /** Records of blocks that are not in the tree. */
  async #compareLeftovers(): Promise<void> {
    const exam = this.#exam;
    const known = new Set<BlockId>(this.#candidates.map(({ header }) => header.id));
    for (const id of known) if (!this.#tree.has(id)) exam.remove(keys.entryKey(id));
    for (const id of this.#bodyIds) {
      if (this.#tree.has(id)) continue;
      exam.remove(keys.blockKey(id));
    }
    for await (const key of exam.keys('delta')) {
      const id = idOf(key);
      if (this.#tree.has(id)) continue;
      if (!known.has(id)) exam.fault('delta-orphan', `a delta of block ${id}, which nothing knows of`);
      exam.remove(Uint8Array.from(key));
    }
  }

  /** Where transactions stand on the main chain: each record there and right, and no other. */
  async #compareIndex(): Promise<void> {
    const exam = this.#exam;
    const expected = new Map<string, readonly [Uint8Array, Uint8Array]>();
    const waiting = await this.#examineUnindexed();
    for (let height = this.#tree.tip.header.height; height > 0n; height -= 1n) {
      const { header } = this.#tree.mainAt(height)!;
      const isPruned = height < this.#pruned.bodiesFrom;
      const index = isPruned ? await this.#indexOfLeftBody(header) : this.#executed.get(header.id)?.index;
      for (const item of index ?? []) expected.set(textOf(item[0]), item);
    }
    for (const [kind, fault] of [
      ['txLocation', 'tx-index'],
      ['history', 'history'],
    ] as const) {
      for await (const { key, value } of exam.records(kind, (payload) => payload)) {
        const text = textOf(key);
        const item = expected.get(text);
        expected.delete(text);
        if (item === undefined) {
          exam.fault(fault, `${kind} ${hex(key)} is of a block that is not on the main chain`);
          exam.remove(Uint8Array.from(key));
        } else if (!equalBytes(item[1], value)) {
          exam.fault(fault, `${kind} ${hex(key)} names other places than the main chain has`);
          exam.put(item[0], item[1]);
        }
      }
    }
    for (const [key, payload] of expected.values()) {
      exam.put(key, payload);
      if (waiting.has(textOf(key))) continue;
      const isHistory = key[0] === keys.KIND.history;
      exam.fault(isHistory ? 'history' : 'tx-index', `${isHistory ? 'history' : 'txLocation'} ${hex(key)} is missing`);
    }
  }

  /**
   * Examines the list of blocks that the next start is to index, which a repair does as well.
   * @returns the keys that may be missing until then
   */
  async #examineUnindexed(): Promise<ReadonlySet<string>> {
    const exam = this.#exam;
    const found = await exam.get('meta', keys.META.unindexed, records.decodeBlockIds);
    if (found.kind !== 'good') return new Set();
    exam.remove(keys.META.unindexed);
    for (const id of found.value) {
      if (!this.#tree.has(id) || !this.#tree.isOnMain(id))
        exam.fault('tx-index', `block ${id} is to be indexed, and not on the main chain`);
    }
    const items = found.value.flatMap((id) => this.#executed.get(id)?.index ?? []);
    return new Set(items.map(([key]) => textOf(key)));
  }

  /** Of a body that a pruning which was cut short has left: it goes with what names its transactions. */
  async #indexOfLeftBody({ id }: Header): Promise<Executed['index'] | undefined> {
    if (!this.#bodyIds.has(id)) return undefined;
    const body = await this.#exam.get('block', keys.blockKey(id), records.decodeStoredBlock);
    return body.kind === 'good' && body.value.header.id === id ? [...indexOf(body.value)] : undefined;
  }

  async #compareAccounts(accounts: Accounts): Promise<void> {
    const exam = this.#exam;
    const expected = new Map(accounts.entries());
    let supply = 0n;
    for await (const { key, value } of exam.records('account', records.decodeAccount)) {
      const address = keys.addressOfKey(key);
      const account = expected.get(address);
      expected.delete(address);
      supply += value.balance;
      if (account === undefined) {
        exam.fault('account-extra', `account ${address} has ${value.balance}, and no block gave it any`);
        exam.remove(Uint8Array.from(key));
      } else if (account.balance !== value.balance || account.nonce !== value.nonce) {
        const [is, was] = [value, account].map(({ balance, nonce }) => `balance ${balance}, nonce ${nonce}`);
        exam.fault('account-wrong', `account ${address} has ${is}; by the blocks it has ${was}`);
        exam.put(Uint8Array.from(key), records.encodeAccount(account));
      }
    }
    for (const [address, account] of expected) {
      exam.fault('account-missing', `account ${address} should have ${account.balance}`);
      exam.put(keys.accountKey(address), records.encodeAccount(account));
    }
    const paid = this.#supplyAt(this.#tree.tip.header.height);
    if (supply !== paid) exam.fault('supply', `all balances come to ${supply}; what was paid out comes to ${paid}`);
  }

  /** Genesis' balances and one reward a block: fees only move. */
  #supplyAt(height: bigint): bigint {
    let supply = this.#genesis.params.blockReward * height;
    for (const { balance } of this.#genesis.accounts.values()) supply += balance;
    return supply;
  }

  #lowestFork(headers: BlockTree): bigint {
    let lowest = headers.tip.header.height;
    for (const { header } of this.#candidates) {
      if (headers.has(header.id) && !headers.isOnMain(header.id) && header.height - 1n < lowest) {
        lowest = header.height - 1n;
      }
    }
    return lowest;
  }

  #highestSeen(): ExaminedChain['highestSeen'] {
    const last = this.#candidates.at(-1)?.header ?? this.#genesis.entry.header;
    return { height: last.height, timestampMs: last.timestampMs };
  }
}

/** In place of a delta that nothing will ask for again. */
const NOT_KEPT: BlockDelta = { before: new Map(), after: new Map() };

function mostWork(entries: readonly ChainEntry[]): ChainEntry {
  return entries.reduce((best, entry) => {
    if (entry.totalWork !== best.totalWork) return entry.totalWork > best.totalWork ? entry : best;
    return entry.arrival < best.arrival ? entry : best;
  });
}

function equalDeltas(a: BlockDelta, b: BlockDelta): boolean {
  return equalSides(a.before, b.before) && equalSides(a.after, b.after);
}

function equalSides(a: BlockDelta['before'], b: BlockDelta['before']): boolean {
  if (a.size !== b.size) return false;
  for (const [address, account] of a) {
    const other = b.get(address);
    if (!b.has(address) || account?.balance !== other?.balance || account?.nonce !== other?.nonce) return false;
  }
  return true;
}

function idOf(key: Uint8Array): BlockId {
  return blockIdFromBytes(key.slice(1));
}

function nameOf(header: Header): string {
  return `block ${header.height} (${header.id})`;
}
