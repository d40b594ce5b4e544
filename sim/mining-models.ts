/**
 * Miners without a network, in front of the rules they would bend: selfish mining against the real block tree and
 * fork choice, timestamps against the real header rules and difficulty. Times are drawn, as in the drawn solver.
 */

import { nextBits } from '../chain/asert.ts';
import { BlockTree } from '../chain/block-tree.ts';
import { makeHeader } from '../chain/codec.ts';
import { chooseTip } from '../chain/fork-choice.ts';
import type { Genesis } from '../chain/genesis.ts';
import { medianTime, recentTimestamps } from '../chain/median-time.ts';
import { bitsToTarget, workOfTarget } from '../chain/target.ts';
import type { BlockId, ChainEntry } from '../chain/types.ts';
import { checkHeader } from '../chain/validate/header.ts';
import { addressFromBytes } from '../crypto/address.ts';
import { grind } from './drawn-solver.ts';
import type { SeededRng } from './seeded-rng.ts';

const HONEST = addressFromBytes(new Uint8Array(20).fill(1));
const SELFISH = addressFromBytes(new Uint8Array(20).fill(2));

/**
 * Relative revenue of a selfish miner (Eyal, Sirer: Majority is not enough, arXiv:1311.0243, equation 8).
 * @param share of the hash rate, below a half
 * @param ties share of the honest hash rate that works on the selfish block where two are level
 */
export function selfishRevenue(share: number, ties: number): number {
  const a = share;
  const above = a * (1 - a) ** 2 * (4 * a + ties * (1 - 2 * a)) - a ** 3;
  return above / (1 - a * (1 + (2 - a) * a));
}

/** One party's tree and the order in which blocks reached it. */
class View {
  readonly tree: BlockTree;
  tip: ChainEntry;
  #arrivals = 0;
  #final: ChainEntry;

  constructor(genesis: ChainEntry) {
    this.tree = new BlockTree([genesis]);
    this.tip = genesis;
    this.#final = genesis;
  }

  hear(entry: ChainEntry): void {
    this.#arrivals += 1;
    if (!this.tree.add({ ...entry, arrival: this.#arrivals })) return;
    const { height, id } = this.#final.header;
    this.tip = chooseTip(this.tree, { final: { height, id }, highestAgreed: () => 0n });
    this.tree.setTip(this.tip.header.id);
  }

  /** Leaves what every party has left behind: fork choice looks at leaves above this only. */
  settle(id: BlockId): void {
    this.#final = this.tree.get(id)!;
  }
}

export interface SelfishResult {
  /** Share of the main chain's blocks that the selfish miner found. */
  readonly revenue: number;
  readonly blocks: number;
}

/**
 * Mines `blocks` in all. The honest are two parties, of which one hears the selfish block first where two are level.
 * No votes: what is measured is the fork choice's FORK-3 and FORK-4 alone.
 */
export function mineSelfishly(
  rng: SeededRng,
  { share, ties, blocks }: { readonly share: number; readonly ties: number; readonly blocks: number },
): SelfishResult {
  const genesis = bareEntry(undefined, HONEST, 0n);
  const selfish = new View(genesis);
  const parties = [new View(genesis), new View(genesis)] as const;
  const rates = [share, (1 - share) * ties, (1 - share) * (1 - ties)];
  let secret: ChainEntry[] = [];
  let isRacing = false;
  const show = (entries: readonly ChainEntry[], first: View, second: View): void => {
    for (const view of [first, second]) for (const entry of entries) view.hear(entry);
  };
  for (let found = 1; found <= blocks; found++) {
    const times = rates.map((rate) => (rate === 0 ? Number.POSITIVE_INFINITY : rng.exponential(1 / rate)));
    const winner = times.indexOf(Math.min(...times));
    if (winner === 0) {
      const entry = bareEntry(selfish.tip, SELFISH, BigInt(found));
      selfish.hear(entry);
      secret.push(entry);
      if (isRacing) {
        show(secret.splice(0), ...parties); // one more on our side of the tie
        isRacing = false;
      }
    } else {
      const finder = parties[winner - 1]!;
      const entry = bareEntry(finder.tip, HONEST, BigInt(found));
      const top = secret.at(-1)?.header.height ?? 0n;
      const { height } = entry.header;
      const isTie = secret.length > 0 && top === height;
      // Where the two are level the first party hears the selfish one before; who found the other is one of many.
      if (isTie) for (const each of secret) parties[0].hear(each);
      for (const view of parties) view.hear(entry);
      selfish.hear(entry);
      if (secret.length === 0 || top < height) {
        secret = [];
        isRacing = false;
      } else if (isTie) {
        show(secret.splice(0), ...parties);
        isRacing = true;
      } else if (top === height + 1n) {
        show(secret.splice(0), ...parties);
        isRacing = false;
      } else {
        show(secret.splice(0, 1), ...parties);
      }
    }
    if (found % 50 === 0) settleAll([selfish, ...parties]);
  }
  const { tree, tip } = parties[0];
  let mined = 0;
  for (let height = 1n; height <= tip.header.height; height++) {
    if (tree.mainAt(height)!.header.miner === SELFISH) mined += 1;
  }
  return { revenue: mined / Number(tip.header.height), blocks: Number(tip.header.height) };
}

function settleAll(views: readonly View[]): void {
  const [first, ...others] = views;
  let { header } = first!.tip;
  while (!others.every(({ tree, tip }) => tree.isAncestor(header.id, tip.header.id))) {
    header = first!.tree.get(header.parent)!.header;
  }
  for (const view of views) view.settle(header.id);
}

/** An entry that differs from others by its number; each has one unit of work. */
function bareEntry(parent: ChainEntry | undefined, miner: typeof HONEST, number: bigint): ChainEntry {
  const header = makeHeader({
    height: parent === undefined ? 0n : parent.header.height + 1n,
    parent: parent?.header.id ?? ('00'.repeat(32) as BlockId),
    txRoot: new Uint8Array(32),
    timestampMs: 0n,
    bits: 0x207fffff,
    miner,
    nonce: number,
  });
  return { header, totalWork: (parent?.totalWork ?? 0n) + 1n, effectiveTimeMs: 0n, arrival: 0 };
}

/** What a miner writes into its blocks instead of the time. */
export type TimestampGame = 'honest' | 'earliest' | 'latest' | 'in-turns';

export interface TimestampResult {
  readonly meanIntervalMs: number;
  /** Lowest and highest difficulty after the warm-up, in units of what the hash rate asks for. */
  readonly difficulty: { readonly lowest: number; readonly highest: number };
}

const WARM_UP = 300;
/** Beyond this many times the difficulty that is due the game is lost, and a nonce would take hours to find. */
const RUNAWAY = 1_000;

/**
 * Mines `blocks` with a constant hash rate of which `share` plays a game; every header passes the real rules as an
 * honest node of that time checks them.
 *
 * @throws Error where the difficulty runs away, or a header breaks a rule
 */
export function mineWithTimestamps(
  rng: SeededRng,
  genesis: Genesis,
  { share, game, blocks }: { readonly share: number; readonly game: TimestampGame; readonly blocks: number },
): TimestampResult {
  const { params, entry } = genesis;
  const tree = new BlockTree([entry]);
  const needed = (bits: number): number => Number(workOfTarget(bitsToTarget(bits)!));
  const hashesPerMs = needed(params.initialBits) / params.blockTimeMs;
  let nowMs = Number(entry.header.timestampMs);
  let warmAtMs = nowMs;
  let [lowest, highest] = [Number.POSITIVE_INFINITY, 0];
  for (let found = 1; found <= blocks; found++) {
    const parent = tree.tip;
    const bits = nextBits(
      params,
      { height: parent.header.height, effectiveTimeMs: parent.effectiveTimeMs },
      entry.effectiveTimeMs,
    );
    if (needed(bits) > RUNAWAY * needed(params.initialBits)) throw new Error(`difficulty ran away at block ${found}`);
    nowMs += rng.exponential(needed(bits) / hashesPerMs);
    const recentTimesMs = recentTimestamps(tree, parent);
    const medianTimePastMs = medianTime(recentTimesMs);
    const isPlaying = rng.unit() < share;
    const now = BigInt(Math.floor(nowMs));
    const timestampMs = isPlaying ? played(game, found, medianTimePastMs, now, params.maxFutureMs) : now;
    const header = makeHeader({
      height: parent.header.height + 1n,
      parent: parent.header.id,
      txRoot: new Uint8Array(32),
      timestampMs: timestampMs > medianTimePastMs ? timestampMs : medianTimePastMs + 1n,
      bits,
      miner: isPlaying ? SELFISH : HONEST,
      nonce: 0n,
    });
    const { nonce } = grind(header.bytes, bitsToTarget(bits)!);
    const verdict = checkHeader(makeHeader({ ...header, nonce }), {
      parent,
      recentTimesMs,
      nowMs: now,
      params,
      genesisEffectiveTimeMs: entry.effectiveTimeMs,
    });
    if (verdict.kind !== 'accept') throw new Error(`the game broke a rule: ${verdict.reason}`);
    tree.add({ ...verdict.value, arrival: found });
    tree.setTip(verdict.value.header.id);
    if (found === WARM_UP) warmAtMs = nowMs;
    if (found > WARM_UP) {
      const difficulty = needed(bits) / (hashesPerMs * params.blockTimeMs);
      lowest = Math.min(lowest, difficulty);
      highest = Math.max(highest, difficulty);
    }
  }
  return { meanIntervalMs: (nowMs - warmAtMs) / (blocks - WARM_UP), difficulty: { lowest, highest } };
}

function played(game: TimestampGame, found: number, medianMs: bigint, nowMs: bigint, maxFutureMs: number): bigint {
  const earliest = medianMs + 1n;
  const latest = nowMs + BigInt(maxFutureMs);
  if (game === 'earliest') return earliest;
  if (game === 'latest') return latest;
  if (game === 'in-turns') return found % 2 === 0 ? earliest : latest;
  return nowMs;
}
