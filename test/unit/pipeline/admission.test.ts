import { describe, expect, it, test } from 'vitest';
import {
  ADMISSION_LANES,
  Admission,
  type AdmissionLane,
  type AdmissionState,
  CALM,
  INTERVAL_MS,
  planAdmission,
  RELAPSE_MS,
  TARGET_MS,
} from '../../../node/pipeline/admission.ts';
import { fc } from '../../fast-check.ts';
import { recordingLogger } from '../../loggers.ts';
import { ManualClock } from '../../manual-clock.ts';

/** Waits of one lane, one each `stepMs`. */
function stateAfter(waits: readonly number[], stepMs: number, lane: AdmissionLane = 'tx', from = CALM): AdmissionState {
  return waits.reduce((state, waitMs, at) => planAdmission(state, lane, waitMs, at * stepMs), from);
}

describe('the decision', () => {
  const long = TARGET_MS;
  const short = TARGET_MS - 1;

  test.each(ADMISSION_LANES)('refuses when waits of %s have been at the target for an interval, not before', (lane) => {
    const step = INTERVAL_MS / 4;
    expect(stateAfter([long, long, long, long], step, lane).isRefusing).toBe(false);
    expect(stateAfter([long, long, long, long, long], step, lane).isRefusing).toBe(true);
  });

  test('one short wait in an interval is enough: the queue does not stand', () => {
    const step = INTERVAL_MS / 4;
    expect(stateAfter([long, long, long, short, long, long, long, long], step).isRefusing).toBe(false);
  });

  test('one long wait tells of as long as it was late, back to the last short one', () => {
    const longest = TARGET_MS + INTERVAL_MS;
    expect(planAdmission(CALM, 'tx', longest - 1, 0).isRefusing).toBe(false);
    expect(planAdmission(CALM, 'tx', longest, 0).isRefusing).toBe(true);
    const recently = planAdmission(CALM, 'tx', short, 0);
    expect(planAdmission(recently, 'tx', longest, INTERVAL_MS - 1).isRefusing).toBe(false);
    expect(planAdmission(recently, 'tx', longest, INTERVAL_MS).isRefusing).toBe(true);
  });

  test('takes again at the first short wait, and is wary for a while: the next long one is enough', () => {
    const over = stateAfter([long, long], INTERVAL_MS);
    expect(over.isRefusing).toBe(true);
    const calm = planAdmission(over, 'tx', short, 2 * INTERVAL_MS);
    expect(calm.isRefusing).toBe(false);
    expect(planAdmission(calm, 'tx', long, INTERVAL_MS + RELAPSE_MS - 1).isRefusing).toBe(true);
    expect(planAdmission(calm, 'tx', long, INTERVAL_MS + RELAPSE_MS).isRefusing).toBe(false);
  });

  test('a lane that keeps up does not speak for one that lags', () => {
    const over = stateAfter([long, long], INTERVAL_MS, 'tx');
    const still = planAdmission(over, 'api', 0, INTERVAL_MS);
    expect(still.isRefusing).toBe(true);
    expect(planAdmission(still, 'tx', 0, INTERVAL_MS).isRefusing).toBe(false);
  });

  const waits = fc.array(
    fc.record({
      lane: fc.constantFrom(...ADMISSION_LANES),
      waitMs: fc.integer({ min: 0, max: 3 * TARGET_MS }),
      passedMs: fc.integer({ min: 0, max: INTERVAL_MS }),
    }),
    { maxLength: 60 },
  );

  test('whatever the waits: it refuses only while the last wait of some lane was long', () => {
    fc.assert(
      fc.property(waits, (events) => {
        let [state, nowMs] = [CALM, 0];
        const last: Record<AdmissionLane, number> = { api: 0, tx: 0 };
        for (const { lane, waitMs, passedMs } of events) {
          nowMs += passedMs;
          last[lane] = waitMs;
          state = planAdmission(state, lane, waitMs, nowMs);
          if (state.isRefusing) expect(Math.max(last.api, last.tx)).toBeGreaterThanOrEqual(TARGET_MS);
        }
      }),
    );
  });

  test('whatever came before: an interval of long waits in a lane ends in refusal, short ones in both in acceptance', () => {
    fc.assert(
      fc.property(waits, fc.constantFrom(...ADMISSION_LANES), (events, lane) => {
        let [state, nowMs] = [CALM, 0];
        for (const each of events) {
          nowMs += each.passedMs;
          state = planAdmission(state, each.lane, each.waitMs, nowMs);
        }
        const over = planAdmission(planAdmission(state, lane, long, nowMs), lane, long, nowMs + INTERVAL_MS);
        expect(over.isRefusing).toBe(true);
        const calm = ADMISSION_LANES.reduce((so, each) => planAdmission(so, each, short, nowMs + INTERVAL_MS), over);
        expect(calm.isRefusing).toBe(false);
      }),
    );
  });
});

describe('the service', () => {
  function open() {
    const clock = new ManualClock();
    const { logger, lines } = recordingLogger();
    const backlog: Record<AdmissionLane, number> = { api: 1, tx: 1 };
    const admission = new Admission({ clock, logger, backlog: (lane) => backlog[lane] });
    /** A batch has its verdict that came so long ago. */
    const serve = (lane: AdmissionLane, waitMs: number): void => {
      admission.onTaken(lane, clock.monotonicMs() - waitMs);
      admission.onServed(lane);
    };
    const overload = (waitMs = TARGET_MS): void => {
      serve('tx', waitMs);
      clock.advance(INTERVAL_MS);
      serve('tx', waitMs);
    };
    return { clock, lines, backlog, admission, serve, overload };
  }

  it('says when to come again: when what waits now should be done, one second to thirty', () => {
    const { admission, overload, serve } = open();
    expect(admission.retryAfterS).toBe(1);
    overload(3_400);
    expect(admission.retryAfterS).toBe(4);
    serve('api', 5_001);
    expect(admission.retryAfterS).toBe(6);
    serve('api', 1e9);
    expect(admission.retryAfterS).toBe(30);
  });

  it('what has no verdict yet counts as well, however long that takes', () => {
    const { admission, backlog, clock } = open();
    admission.onTaken('api', clock.monotonicMs());
    clock.advance(TARGET_MS + INTERVAL_MS - 1);
    expect(admission.admits()).toBe(true);
    clock.advance(1);
    expect(admission.admits()).toBe(false);
    backlog.api = 0;
    admission.onServed('api');
    expect(admission.admits()).toBe(true);
  });

  it('a wait is late since the last short one, which where all is calm is all that is noted', () => {
    const { admission, clock, serve } = open();
    clock.advance(INTERVAL_MS);
    serve('tx', 0);
    clock.advance(100);
    serve('tx', TARGET_MS + INTERVAL_MS);
    expect(admission.admits()).toBe(true);
    clock.advance(INTERVAL_MS - 100);
    serve('tx', TARGET_MS);
    expect(admission.admits()).toBe(false);
  });

  it('a long wait that leaves nothing behind is no lag', () => {
    const { admission, backlog, overload } = open();
    backlog.tx = 0;
    overload(10_000);
    expect(admission.admits()).toBe(true);
  });

  it('takes again when the lane has become empty without a verdict', () => {
    const { admission, backlog, overload } = open();
    overload();
    expect(admission.admits()).toBe(false);
    backlog.tx = 0;
    expect(admission.admits()).toBe(true);
  });

  it('is logged once when it begins, however often it comes and goes, and once when it has been over for a while', () => {
    const { admission, clock, lines, overload, serve } = open();
    overload();
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 100; i++) expect(admission.admits()).toBe(false);
      serve('tx', 0);
      expect(admission.admits()).toBe(true);
      serve('tx', TARGET_MS);
    }
    expect(lines.map(({ level }) => level)).toEqual(['warn']);
    serve('tx', 0);
    clock.advance(RELAPSE_MS);
    serve('tx', 0);
    serve('tx', 0);
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'info']);
    expect(lines[1]).toMatchObject({ fields: { refused: 300 } });
  });
});
