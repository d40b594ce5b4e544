/**
 * Whether the API takes new transactions: not while the node lags behind those that it has.
 *
 * After CoDel (RFC 8289), which looks at how long things wait, not at how many there are, and at the shortest wait of an
 * interval, not the longest: a burst, or a large block that holds up the event loop, is soon worked off and nobody is
 * refused for it; a queue that stands for an interval will not go by itself. CoDel then drops a packet now and then, so
 * that TCP slows down. Clients of the API are told instead: all are refused until the wait is below the target again.
 *
 * Nothing but submissions is refused: what comes by gossip has cost the network its work already, and blocks and votes
 * have lanes of their own.
 */
import type { Clock, Logger } from '../ports.ts';

/** Those whose work admission can keep small. Both count: what others' users submitted holds up our own's. */
export const ADMISSION_LANES = ['api', 'tx'] as const;
export type AdmissionLane = (typeof ADMISSION_LANES)[number];

/** From a message's arrival to its verdict, at most, in a node that keeps up. */
export const TARGET_MS = 500;
/** A wait above the target is forgiven for so long. Longer than a block of thousands of transactions is felt. */
export const INTERVAL_MS = 1_000;
/** For so long after it refused a node is not trusted: the first wait above the target is enough. */
export const RELAPSE_MS = 10_000;
const MAX_RETRY_AFTER_S = 30;

export interface AdmissionState {
  /** When a wait was last below the target, or nothing waited. */
  readonly shortAtMs: Readonly<Record<AdmissionLane, number>>;
  /** Since when waits have been at or above the target; undefined: the last one was below. */
  readonly longSinceMs: Readonly<Record<AdmissionLane, number | undefined>>;
  readonly isRefusing: boolean;
  /** When it was last found to refuse. */
  readonly refusedAtMs: number;
}

export const CALM: AdmissionState = {
  shortAtMs: { api: Number.NEGATIVE_INFINITY, tx: Number.NEGATIVE_INFINITY },
  longSinceMs: { api: undefined, tx: undefined },
  isRefusing: false,
  refusedAtMs: Number.NEGATIVE_INFINITY,
};

/** @param waitMs from arrival until now of the oldest message that had no verdict yet; 0 where the lane is empty */
export function planAdmission(
  state: AdmissionState,
  lane: AdmissionLane,
  waitMs: number,
  nowMs: number,
): AdmissionState {
  const isShort = waitMs < TARGET_MS;
  const shortAtMs = isShort ? { ...state.shortAtMs, [lane]: nowMs } : state.shortAtMs;
  // The message has been late since its wait reached the target, unless one after that was not.
  const lateSinceMs = Math.max(state.shortAtMs[lane], nowMs - waitMs + TARGET_MS);
  const longSinceMs = {
    ...state.longSinceMs,
    [lane]: isShort ? undefined : (state.longSinceMs[lane] ?? lateSinceMs),
  };
  const patienceMs = isRecent(state, nowMs) ? 0 : INTERVAL_MS;
  const isRefusing = ADMISSION_LANES.some((each) => nowMs - (longSinceMs[each] ?? nowMs + 1) >= patienceMs);
  const isCalm = ADMISSION_LANES.every((each) => longSinceMs[each] === undefined);
  return {
    shortAtMs,
    longSinceMs: isCalm ? CALM.longSinceMs : longSinceMs,
    isRefusing,
    refusedAtMs: isRefusing ? nowMs : state.refusedAtMs,
  };
}

function isRecent({ refusedAtMs }: AdmissionState, nowMs: number): boolean {
  return nowMs - refusedAtMs < RELAPSE_MS;
}

export interface AdmissionDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Messages that wait in the lane or are being checked. */
  readonly backlog: (lane: AdmissionLane) => number;
}

/**
 * O(1) a batch; keeps a number for each of the few that are being checked. No timers: that the node has caught up is
 * noticed, and logged, with the next batch or submission.
 */
export class Admission {
  readonly #deps: AdmissionDeps;
  /** When the oldest message of each batch came that is being checked; verdicts come in this order. */
  readonly #checking: Readonly<Record<AdmissionLane, number[]>> = { api: [], tx: [] };
  readonly #waitMs: Record<AdmissionLane, number> = { api: 0, tx: 0 };
  /** As `AdmissionState` has it: the newer one counts. */
  readonly #shortAtMs: Record<AdmissionLane, number> = { ...CALM.shortAtMs };
  #state = CALM;
  /** From the first refusal until `RELAPSE_MS` have passed without one. */
  #episode: { readonly sinceMs: number; refused: number } | undefined;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** A batch is on its way through the checks. @param sinceMs when its oldest message came */
  onTaken(lane: AdmissionLane, sinceMs: number): void {
    this.#checking[lane].push(sinceMs);
  }

  /** The oldest batch of the lane that was on its way has its verdicts. */
  onServed(lane: AdmissionLane): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const sinceMs = this.#checking[lane].shift()!;
    this.#observe(lane, this.#deps.backlog(lane) === 0 ? 0 : nowMs - sinceMs, nowMs);
  }

  /** Looks at what waits now, as no batch may have ended since. */
  checkRefusing(): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const lane of ADMISSION_LANES) {
      const [sinceMs] = this.#checking[lane];
      if (sinceMs !== undefined && nowMs - sinceMs >= TARGET_MS) this.#observe(lane, nowMs - sinceMs, nowMs);
      // A lane can become empty without a verdict: what a banned peer sent is dropped.
      else if (this.#waitMs[lane] > 0 && this.#deps.backlog(lane) === 0) this.#observe(lane, 0, nowMs);
    }
    return this.#state.isRefusing;
  }

  /** May one more be taken? Counts those that may not. */
  admits(): boolean {
    const isRefusing = this.checkRefusing();
    if (isRefusing && this.#episode !== undefined) this.#episode.refused += 1;
    return !isRefusing;
  }

  /** Seconds in which what waits now should be done: nothing is added meanwhile, so about as long as it took to wait. */
  get retryAfterS(): number {
    const waitMs = Math.max(this.#waitMs.api, this.#waitMs.tx);
    return Math.min(MAX_RETRY_AFTER_S, Math.max(1, Math.ceil(waitMs / 1000)));
  }

  #observe(lane: AdmissionLane, waitMs: number, nowMs: number): void {
    const { logger } = this.#deps;
    this.#waitMs[lane] = waitMs;
    if (waitMs < TARGET_MS) this.#shortAtMs[lane] = nowMs;
    // A short wait where nothing is late, as nearly always, changes nothing else.
    if (waitMs < TARGET_MS && this.#state.longSinceMs === CALM.longSinceMs && this.#episode === undefined) return;
    this.#state = planAdmission({ ...this.#state, shortAtMs: { ...this.#shortAtMs } }, lane, waitMs, nowMs);
    if (this.#state.isRefusing && this.#episode === undefined) {
      this.#episode = { sinceMs: nowMs, refused: 0 };
      logger.warn(
        { lane, waitMs: Math.round(waitMs) },
        'overloaded: submissions are refused until the node catches up',
      );
    } else if (this.#episode !== undefined && !isRecent(this.#state, nowMs)) {
      const { sinceMs, refused } = this.#episode;
      const forMs = Math.round(this.#state.refusedAtMs - sinceMs);
      logger.info({ forMs, refused }, 'no longer overloaded');
      this.#episode = undefined;
    }
  }
}
