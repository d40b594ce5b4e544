/** Whether a devnet's nodes agree, from what each says of itself. Pure: time is an argument. */
import type { NodeStatus } from '../client.ts';
import { counted } from '../output.ts';

export interface NodeView {
  readonly name: string;
  /** Undefined: the node does not answer. */
  readonly status: NodeStatus | undefined;
}

/**
 * `reached`: the tip's checkpoint or the one before is agreed, and the final one no further back than the one before that.
 * `behind`: not so, as after forks; agreement advanced lately, or it has not been so for {@link STALL_MS}.
 * `stalled`: not so for that long, in which agreement has not advanced.
 * `off`: too few nodes vote, by their configuration, for two thirds.
 */
export type AgreementState = 'reached' | 'behind' | 'stalled' | 'off';

export interface Outcome {
  /** Of the highest tip. */
  readonly height: number;
  /** Of the lowest node; 0 where one does not answer. */
  readonly agreedHeight: number;
  readonly finalHeight: number;
  /** All nodes answer and are on one chain, but for the newest blocks: see {@link comparedHeight}. */
  readonly sameTip: boolean;
  readonly agreement: AgreementState;
}

/** Two forks in a row hold agreement up for some blocks; this is longer, unless blocks take several seconds each. */
export const STALL_MS = 20_000;
/** Blocks of so long may be under way: at the tip, nodes differ by what is mined meanwhile, and by a block at least. */
const UNDER_WAY_MS = 1_000;

/** By how many blocks nodes on one chain may differ at the tip: at least 1. */
export function tipLag(blockTimeMs: number): number {
  return Math.max(1, Math.ceil(UNDER_WAY_MS / blockTimeMs));
}

/** At which all nodes must have the same block: `lag` below the lowest tip, but nothing final below it may differ either. */
export function comparedHeight(nodes: readonly NodeView[], lag: number): number {
  const statuses = nodes.flatMap(({ status }) => status ?? []);
  const lowest = (pick: (status: NodeStatus) => string): number => Math.min(...statuses.map(numberOf(pick)));
  return statuses.length === 0 ? 0 : Math.max(0, lowest(final), lowest(tip) - lag);
}

/**
 * Why the nodes are not on one chain; undefined: they are.
 *
 * @param ids of each node, its block at `height`, from {@link comparedHeight}; undefined: it has none
 */
export function differenceOf(
  nodes: readonly NodeView[],
  height: number,
  ids: readonly (string | undefined)[],
  lag: number,
): string | undefined {
  const mute = nodes.find(({ status }) => status === undefined);
  if (mute !== undefined) return `${mute.name} does not answer`;
  const other = nodes.findIndex((_, at) => ids[at] === undefined || ids[at] !== ids[0]);
  if (other >= 0) return `${nodes[0]!.name} and ${nodes[other]!.name} have not the same block at height ${height}`;
  const highest = Math.max(...nodes.map(({ status }) => Number(status!.tip.height)));
  const low = nodes.find(({ status }) => highest - Number(status!.tip.height) > lag);
  return low && `${low.name} is at height ${low.status!.tip.height}, others at ${highest}`;
}

/** Follows agreement through a run. O(nodes) a look. */
export class AgreementWatch {
  readonly #interval: number;
  #behindSinceMs: number | undefined;
  #agreed = 0;

  /** @param interval blocks from one checkpoint to the next */
  constructor(interval: number) {
    this.#interval = interval;
  }

  /** @param nodes at `nowMs`, monotonic; those that do not answer count as voters */
  add(nodes: readonly NodeView[], nowMs: number): AgreementState {
    const statuses = nodes.flatMap(({ status }) => status ?? []);
    const silent = statuses.filter(({ voting }) => voting.address === undefined || voting.movedAway === true);
    if (3 * (nodes.length - silent.length) <= 2 * nodes.length) return 'off';
    const checkpoint = (pick: (status: NodeStatus) => string): number[] =>
      statuses.map((status) => Math.floor(Number(pick(status)) / this.#interval));
    const highest = Math.max(0, ...checkpoint(tip));
    const lowestAgreed = Math.min(...checkpoint(agreed));
    const isReached =
      statuses.length > 0 &&
      (lowestAgreed > 0 || highest === 0) &&
      highest - lowestAgreed <= 1 &&
      highest - Math.min(...checkpoint(final)) <= 2;
    const advanced = statuses.length > 0 && lowestAgreed > this.#agreed;
    if (advanced) this.#agreed = lowestAgreed;
    if (isReached) this.#behindSinceMs = undefined;
    else if (advanced) this.#behindSinceMs = nowMs;
    else this.#behindSinceMs ??= nowMs;
    if (this.#behindSinceMs === undefined) return 'reached';
    return nowMs - this.#behindSinceMs < STALL_MS ? 'behind' : 'stalled';
  }
}

/** What makes a run fail, each in a sentence. */
export function failuresOf(
  { height, agreedHeight, finalHeight, agreement }: Omit<Outcome, 'sameTip'>,
  difference: string | undefined,
  errors: number,
): string[] {
  return [
    ...(difference === undefined ? [] : [`the nodes disagree: ${difference}`]),
    ...(agreement === 'stalled'
      ? [`agreement has stalled: height ${height}, agreed ${agreedHeight}, final ${finalHeight}`]
      : []),
    ...(errors === 0 ? [] : [`${counted(errors, 'error')}; see the nodes’ logs`]),
  ];
}

const tip = (status: NodeStatus): string => status.tip.height;
const agreed = (status: NodeStatus): string => status.agreed.height;
const final = (status: NodeStatus): string => status.final.height;

function numberOf(pick: (status: NodeStatus) => string): (status: NodeStatus) => number {
  return (status) => Number(pick(status));
}
