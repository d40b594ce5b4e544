/** What the benchmarks share: rounds that alternate between contenders, and rows. */

/** One measured figure. Ratios are to the ceiling, both taken in the same run. */
export interface Row {
  readonly name: string;
  /** Median over the rounds. */
  readonly value: number;
  readonly unit: string;
  /** What is compared with: the best that could be had here, or the usual way; null: stands alone. */
  readonly ceiling: number | null;
  /** Median of value / ceiling, round by round. */
  readonly ratio: number | null;
  /** Of the value, over the rounds. */
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
  /** e.g. `ratio ≥ 0.75`; null: reported only. */
  readonly goal: string | null;
  readonly met: boolean | null;
}

export interface BenchContext {
  /** Fewer and shorter rounds, for CI. */
  readonly short: boolean;
}

export interface Bench {
  readonly name: string;
  readonly run: (context: BenchContext) => Promise<Row[]>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/**
 * Runs every contender once per round, in turn, so that a machine that slows down does so for all. The first round
 * warms up and is not counted.
 */
export async function interleave<K extends string>(
  rounds: number,
  contenders: Readonly<Record<K, () => number | Promise<number>>>,
): Promise<Record<K, number[]>> {
  const names = Object.keys(contenders) as K[];
  const results = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<K, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const value = await contenders[name]();
      if (round >= 0) results[name].push(value);
    }
  }
  return results;
}

/** Processor time of this thread so far, ms: for what one thread does, it leaves out the time others took. */
export function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

type Goal = { readonly of: 'ratio' | 'value'; readonly is: '≥' | '<' | '≤'; readonly bar: number };

/** @param ceilings one per value, from the same rounds */
export function makeRow(
  name: string,
  unit: string,
  values: readonly number[],
  ceilings?: readonly number[],
  goals: readonly Goal[] = [],
): Row {
  const value = median(values);
  const ratio = ceilings === undefined ? null : median(values.map((each, i) => each / ceilings[i]!));
  const meets = ({ of, is, bar }: Goal): boolean => {
    const measured = of === 'value' ? value : (ratio ?? Number.NaN);
    return is === '≥' ? measured >= bar : is === '<' ? measured < bar : measured <= bar;
  };
  return {
    name,
    value: round(value),
    unit,
    ceiling: ceilings === undefined ? null : round(median(ceilings)),
    ratio: ratio === null ? null : round(ratio),
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
    rounds: values.length,
    goal: goals.length === 0 ? null : goals.map(({ of, is, bar }) => `${of} ${is} ${bar}`).join(', '),
    met: goals.length === 0 ? null : goals.every(meets),
  };
}

/** Four significant digits. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
