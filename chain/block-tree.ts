import type { BlockId, ChainEntry } from './types.ts';

/** How to get from the current tip to another block. */
export interface TipMove {
  /** Blocks to undo, from the old tip downwards; the fork point is not among them. */
  readonly disconnect: readonly ChainEntry[];
  /** Blocks to apply, from above the fork point up to the new tip. */
  readonly connect: readonly ChainEntry[];
  readonly forkPoint: ChainEntry;
}

interface TreeNode {
  readonly entry: ChainEntry;
  /** Heights of blocks that exist fit a double; bigint arithmetic is kept out of the walks. */
  readonly height: number;
  readonly parent: TreeNode | undefined;
  /** An ancestor further down, see `skipHeight`. */
  readonly skip: TreeNode | undefined;
  readonly children: TreeNode[];
}

/**
 * All validated headers, as a tree that grows from genesis, and the main chain, the path from genesis to `tip`.
 *
 * Specification: an entry's parent is there before it; an entry is never removed; the main chain is always the
 * whole path to the tip. Rationale: side branches may win later, and each costs proof of work, so the tree needs
 * no bound but work. Complexity: `get`, `add`, `mainAt`, `isOnMain` O(1) (`add` O(log n) for its skip pointer);
 * `ancestorAt` and `isAncestor` O(1) on the main chain and O(log n) beside it, by skip pointers as in Bitcoin
 * Core's `CBlockIndex`; `setTip` and `planMove` O(blocks moved).
 */
export class BlockTree {
  readonly #nodes = new Map<BlockId, TreeNode>();
  readonly #main: TreeNode[] = [];
  readonly #leaves = new Set<TreeNode>();
  /** Leaves that descend from `#liveRoot`: leaves below a final block cost nothing once they are left behind. */
  #liveRoot: TreeNode;
  #live: Set<TreeNode>;

  /**
   * @param entries parents before children, genesis (height 0) first. The tip is genesis until `setTip`.
   * @throws RangeError without genesis, or where an entry does not follow from its parent.
   */
  constructor(entries: Iterable<ChainEntry>) {
    const iterator = entries[Symbol.iterator]();
    const first = iterator.next();
    if (first.done === true) throw new RangeError('a block tree needs its genesis entry');
    const genesis: TreeNode = {
      entry: first.value,
      height: Number(first.value.header.height),
      parent: undefined,
      skip: undefined,
      children: [],
    };
    if (genesis.height !== 0) throw new RangeError(`genesis has height ${genesis.height}, not 0`);
    this.#nodes.set(genesis.entry.header.id, genesis);
    this.#main.push(genesis);
    this.#leaves.add(genesis);
    this.#liveRoot = genesis;
    this.#live = new Set([genesis]);
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) this.add(next.value);
  }

  get size(): number {
    return this.#nodes.size;
  }

  get genesis(): ChainEntry {
    return this.#main[0]!.entry;
  }

  /** The end of the main chain. */
  get tip(): ChainEntry {
    return this.#main[this.#main.length - 1]!.entry;
  }

  get(id: BlockId): ChainEntry | undefined {
    return this.#nodes.get(id)?.entry;
  }

  has(id: BlockId): boolean {
    return this.#nodes.has(id);
  }

  /**
   * Adds a validated header; does not move the tip.
   * @returns false when it was there already.
   * @throws RangeError when the parent is unknown or the height is not the parent's plus one: both are checked
   * before a header gets here.
   */
  add(entry: ChainEntry): boolean {
    const { id, height, parent: parentId } = entry.header;
    if (this.#nodes.has(id)) return false;
    const parent = this.#nodes.get(parentId);
    if (parent === undefined) throw new RangeError(`block ${id}: parent ${parentId} is not in the tree`);
    if (height !== parent.entry.header.height + 1n) throw new RangeError(`block ${id}: wrong height ${height}`);
    const node: TreeNode = {
      entry,
      height: parent.height + 1,
      parent,
      skip: walkTo(parent, skipHeight(parent.height + 1)),
      children: [],
    };
    this.#nodes.set(id, node);
    parent.children.push(node);
    this.#leaves.delete(parent);
    this.#leaves.add(node);
    if (this.#live.delete(parent) || this.#descends(this.#liveRoot, node)) this.#live.add(node);
    return true;
  }

  /** Makes the path from genesis to `id` the main chain. Throws RangeError on an unknown id. */
  setTip(id: BlockId): void {
    let node: TreeNode | undefined = this.#node(id);
    const path: TreeNode[] = [];
    while (node !== undefined && this.#main[node.height] !== node) {
      path.push(node);
      node = node.parent;
    }
    this.#main.length = (node?.height ?? 0) + 1;
    while (path.length > 0) this.#main.push(path.pop()!);
  }

  /** The main chain's entry at a height; undefined above the tip. */
  mainAt(height: bigint): ChainEntry | undefined {
    if (height < 0n || height >= BigInt(this.#main.length)) return undefined;
    return this.#main[Number(height)]!.entry;
  }

  isOnMain(id: BlockId): boolean {
    const node = this.#nodes.get(id);
    return node !== undefined && this.#main[node.height] === node;
  }

  /** The block at `height` on the path from genesis to `id`, `id` included; undefined when there is none. */
  ancestorAt(id: BlockId, height: bigint): ChainEntry | undefined {
    const node = this.#nodes.get(id);
    if (node === undefined || height < 0n || height > BigInt(node.height)) return undefined;
    return this.#ancestor(node, Number(height)).entry;
  }

  /** True when `ancestorId` is on the path from genesis to `id`, and for a block and itself; false for unknowns. */
  isAncestor(ancestorId: BlockId, id: BlockId): boolean {
    const ancestor = this.#nodes.get(ancestorId);
    const node = this.#nodes.get(id);
    return ancestor !== undefined && node !== undefined && this.#descends(ancestor, node);
  }

  /**
   * Block locator, as Bitcoin's `getheaders`: the block, nine below it, then twice as far each step, genesis
   * last. At most 10 + log2(height) + 1 ids. Throws RangeError on an unknown id.
   */
  locator(id: BlockId = this.tip.header.id): BlockId[] {
    const locator: BlockId[] = [];
    let node = this.#node(id);
    let step = 1;
    for (;;) {
      locator.push(node.entry.header.id);
      if (node.height === 0) return locator;
      if (locator.length >= 10) step *= 2;
      node = this.#ancestor(node, Math.max(0, node.height - step));
    }
  }

  /**
   * Main-chain entries after the first locator id that is on the main chain, at most `max`, lowest first; from
   * above genesis when none is.
   */
  afterLocator(locator: readonly BlockId[], max: number): ChainEntry[] {
    const known = locator.find((id) => this.isOnMain(id));
    const from = known === undefined ? 0 : this.#node(known).height;
    return this.#main.slice(from + 1, from + 1 + max).map((node) => node.entry);
  }

  /** Entries whose parent is `id`; none for an unknown id. */
  children(id: BlockId): ChainEntry[] {
    return this.#nodes.get(id)?.children.map((node) => node.entry) ?? [];
  }

  /** Entries without children, on every branch, dead ones too. */
  leaves(): ChainEntry[] {
    return Array.from(this.#leaves, (node) => node.entry);
  }

  /**
   * Leaves that descend from `rootId` (a root without children is its own leaf). Asked with the same root it
   * costs O(those leaves); with a descendant of the last root, one filter pass; otherwise a pass over all leaves.
   * Throws RangeError on an unknown id.
   */
  leavesFrom(rootId: BlockId): ChainEntry[] {
    const root = this.#node(rootId);
    if (root !== this.#liveRoot) {
      const among = this.#descends(this.#liveRoot, root) ? this.#live : this.#leaves;
      this.#live = new Set(Array.from(among).filter((leaf) => this.#descends(root, leaf)));
      this.#liveRoot = root;
    }
    return Array.from(this.#live, (node) => node.entry);
  }

  /** What to undo and apply to move the tip to `toId`; both empty when it is the tip. Throws on an unknown id. */
  planMove(toId: BlockId): TipMove {
    let node = this.#node(toId);
    const connect: ChainEntry[] = [];
    while (this.#main[node.height] !== node) {
      connect.push(node.entry);
      node = node.parent!; // genesis is on the main chain, so the walk ends there at the latest
    }
    const disconnect = this.#main.slice(node.height + 1).map((above) => above.entry);
    return { disconnect: disconnect.reverse(), connect: connect.reverse(), forkPoint: node.entry };
  }

  #node(id: BlockId): TreeNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new RangeError(`block ${id} is not in the tree`);
    return node;
  }

  #descends(ancestor: TreeNode, node: TreeNode): boolean {
    return ancestor.height <= node.height && this.#ancestor(node, ancestor.height) === ancestor;
  }

  /** `height` is at most `node.height`. */
  #ancestor(node: TreeNode, height: number): TreeNode {
    return this.#main[node.height] === node ? this.#main[height]! : walkTo(node, height);
  }
}

/**
 * Where a block's skip pointer goes: clear the lowest set bits so that any ancestor is O(log n) steps away.
 * Bitcoin Core `GetSkipHeight` (chain.cpp): at odd heights two bits are cleared, which halves the worst case.
 */
function skipHeight(height: number): number {
  if (height < 2) return 0;
  return height % 2 === 1 ? clearLowestBit(clearLowestBit(height - 1)) + 1 : clearLowestBit(height);
}

function clearLowestBit(n: number): number {
  return n & (n - 1);
}

/** Bitcoin Core `CBlockIndex::GetAncestor`: take the skip unless the parent's skip would land better. */
function walkTo(from: TreeNode, height: number): TreeNode {
  let node = from;
  while (node.height > height) {
    const toSkip = skipHeight(node.height);
    const toParentSkip = skipHeight(node.height - 1);
    const takeSkip = toSkip === height || (toSkip > height && !(toParentSkip < toSkip - 2 && toParentSkip >= height));
    node = takeSkip && node.skip !== undefined ? node.skip : node.parent!;
  }
  return node;
}
