/** When a compaction begins by itself: pure, so all of time is a few numbers here. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { type EndedRun, type Moment, Schedule } from "../../../src/engine/compaction/schedule.js";
import { parseWindow } from "../../../src/engine/compaction/window.js";

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const midnightMs = Date.UTC(2026, 0, 1);

const due = (): boolean => true;
const notDue = (): boolean => false;

function scheduleOf(intervalMs: number, hours = "", openedAtMs = 0): Schedule {
  const window = parseWindow(hours);
  assert.ok(window);
  return new Schedule({ intervalMs, window, openedAtMs });
}

/** Both clocks `monotonicMs` after midnight, the wall clock `jumpMs` beside it. */
function moment(monotonicMs: number, jumpMs = 0): Moment {
  return { monotonicMs, wallMs: midnightMs + monotonicMs + jumpMs };
}

function over(outcome: EndedRun["outcome"], rest: Partial<EndedRun> = {}): EndedRun {
  return { cause: "dead bytes", outcome, bytesReclaimed: 0, ...rest };
}

/** The first whole second from `fromMs` on at which a due store begins a run. */
function firstBeginMs(schedule: Schedule, fromMs: number, isDue = due): number {
  for (let ms = fromMs; ms < fromMs + 400 * hourMs; ms += secondMs) {
    if (schedule.next(moment(ms), isDue) !== undefined) return ms;
  }
  return Number.POSITIVE_INFINITY;
}

test("M14: nothing begins in the first minute, whatever is due; with a short interval in a tenth of it", () => {
  const schedule = scheduleOf(5 * hourMs, "", 7000);
  schedule.nudge();
  for (const ms of [7000, 7001, 66_999]) assert.equal(schedule.next(moment(ms), due), undefined);
  assert.equal(schedule.next(moment(67_000), due), "disk space");
  assert.equal(firstBeginMs(scheduleOf(5 * hourMs), 0), minuteMs);
  const short = scheduleOf(2000);
  assert.equal(short.next(moment(199), due), undefined);
  assert.equal(short.next(moment(200), due), "dead bytes");
});

test("dead bytes begin a run; without them the interval does, from the opening and from the last end", () => {
  const schedule = scheduleOf(5 * hourMs);
  assert.equal(schedule.next(moment(minuteMs), due), "dead bytes");
  assert.equal(schedule.next(moment(5 * hourMs - 1), notDue), undefined);
  assert.equal(schedule.next(moment(5 * hourMs), notDue), "interval");
  schedule.ended(6 * hourMs, over("completed", { bytesReclaimed: 1 }));
  assert.equal(schedule.next(moment(11 * hourMs - 1), notDue), undefined);
  assert.equal(schedule.next(moment(11 * hourMs), notDue), "interval");
  assert.equal(schedule.next(moment(11 * hourMs), due), "interval", "the thorough one goes first");
});

test("after runs that were declined, failed or useless, dead bytes wait twice as long each time, up to the interval", () => {
  for (const outcome of ["declined", "failed", "nothing-to-do", "completed"] as const) {
    const schedule = scheduleOf(5 * hourMs);
    const waits: number[] = [];
    let ms = minuteMs;
    for (let turn = 0; turn < 12; turn += 1) {
      schedule.ended(ms, over(outcome));
      const nextMs = firstBeginMs(schedule, ms);
      waits.push((nextMs - ms) / minuteMs);
      ms = nextMs;
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], outcome);
    schedule.ended(ms, over("completed", { bytesReclaimed: 1 }));
    assert.equal(firstBeginMs(schedule, ms), ms, "something came back");
    schedule.ended(ms, over(outcome));
    assert.equal(firstBeginMs(schedule, ms), ms + minuteMs, "from the start again");
  }
  const short = scheduleOf(20 * secondMs);
  short.ended(10 * secondMs, over("failed"));
  assert.equal(firstBeginMs(short, 10 * secondMs), 30 * secondMs);
});

test("a run that was cancelled, or was asked for and finds nothing, does not put dead bytes off; one that fails does", () => {
  const schedule = scheduleOf(5 * hourMs);
  for (const cause of ["asked for", "interval"] as const) {
    schedule.ended(2 * minuteMs, over("nothing-to-do", { cause }));
    assert.equal(schedule.next(moment(2 * minuteMs), due), "dead bytes");
  }
  for (const cause of ["asked for", "dead bytes"] as const) {
    schedule.ended(2 * minuteMs, over("cancelled", { cause }));
    assert.equal(schedule.next(moment(2 * minuteMs), due), "dead bytes");
  }
  schedule.ended(2 * minuteMs, over("failed", { cause: "asked for", bytesReclaimed: 1 }));
  assert.equal(firstBeginMs(schedule, 2 * minuteMs), 3 * minuteMs);
});

test("M14: by itself nothing begins outside the window of hours, and what runs ends there", () => {
  const schedule = scheduleOf(5 * hourMs, "22-6");
  assert.equal(schedule.next(moment(6 * hourMs - 1), notDue), "interval");
  for (const isDue of [due, notDue]) {
    assert.equal(schedule.next(moment(6 * hourMs), isDue), undefined);
    assert.equal(schedule.next(moment(22 * hourMs - 1), isDue), undefined);
  }
  assert.equal(schedule.next(moment(22 * hourMs), notDue), "interval");
  for (const cause of ["interval", "dead bytes"] as const) {
    assert.ok(schedule.mayGoOn(cause, midnightMs + 6 * hourMs - 1));
    assert.ok(!schedule.mayGoOn(cause, midnightMs + 6 * hourMs));
  }
  for (const cause of ["asked for", "disk space"] as const) {
    assert.ok(schedule.mayGoOn(cause, midnightMs + 6 * hourMs));
  }
});

test("a run for the interval that the window cut short goes on when it opens again", () => {
  const schedule = scheduleOf(168 * hourMs, "22-6");
  schedule.ended(6 * hourMs, over("completed", { cause: "interval", bytesReclaimed: 1 }));
  const nextMs = firstBeginMs(schedule, 6 * hourMs, notDue);
  assert.equal(nextMs, (168 + 22) * hourMs, "174 h after the end it is 6 o'clock");
  schedule.ended(nextMs + 8 * hourMs, over("cancelled", { cause: "interval" }));
  assert.equal(firstBeginMs(schedule, nextMs + 8 * hourMs, notDue), nextMs + 24 * hourMs);
});

test("a full disk waits for neither the window nor a back-off beyond 10 s, and for one run only", () => {
  const schedule = scheduleOf(5 * hourMs, "22-6");
  const noonMs = 12 * hourMs;
  for (let turn = 0; turn < 8; turn += 1) schedule.ended(noonMs, over("declined"));
  schedule.nudge();
  schedule.nudge();
  assert.equal(schedule.next(moment(noonMs + 10 * secondMs - 1), notDue), undefined);
  assert.equal(schedule.next(moment(noonMs + 10 * secondMs), notDue), "disk space");
  schedule.began();
  assert.equal(schedule.next(moment(noonMs + minuteMs), due), undefined);
});

test("a disk that stays full begins a useless run every 10 s at most, and puts dead bytes off no longer", () => {
  const schedule = scheduleOf(5 * hourMs);
  let ms = minuteMs;
  for (let turn = 0; turn < 50; turn += 1) {
    schedule.nudge();
    const nextMs = firstBeginMs(schedule, ms, notDue);
    if (turn > 0) assert.equal(nextMs, ms + 10 * secondMs);
    schedule.began();
    schedule.ended(nextMs, over("nothing-to-do", { cause: "disk space" }));
    ms = nextMs;
  }
  assert.equal(firstBeginMs(schedule, ms), ms + 10 * secondMs);
});

test("M14: a wall clock that jumps neither hastens a run nor repeats it", () => {
  const schedule = scheduleOf(5 * hourMs);
  for (const jumpMs of [1000 * hourMs, -1000 * hourMs]) {
    assert.equal(schedule.next(moment(30 * secondMs, jumpMs), due), undefined);
    assert.equal(schedule.next(moment(5 * hourMs - 1, jumpMs), notDue), undefined);
    assert.equal(schedule.next(moment(5 * hourMs, jumpMs), notDue), "interval");
  }
  schedule.ended(5 * hourMs, over("failed"));
  for (const jumpMs of [0, 1000 * hourMs, -1000 * hourMs]) {
    assert.equal(schedule.next(moment(5 * hourMs + minuteMs - 1, jumpMs), due), undefined);
  }
});

test("the next start is told on the wall clock, inside the window, and not before the first minute is over", () => {
  const night = scheduleOf(5 * hourMs, "22-6");
  assert.equal(night.nextAtMs(moment(0)), midnightMs + 5 * hourMs);
  night.ended(4 * hourMs, over("completed"));
  assert.equal(night.nextAtMs(moment(4 * hourMs)), midnightMs + 22 * hourMs);
  assert.equal(night.nextAtMs(moment(23 * hourMs)), midnightMs + 23 * hourMs, "it is due now");
  const all = scheduleOf(5 * hourMs);
  assert.equal(all.nextAtMs(moment(hourMs, -hourMs)), midnightMs + 4 * hourMs);
  assert.equal(scheduleOf(500).nextAtMs(moment(0)), midnightMs + 500);
});

test("the schedule is asked every second, and more often if the interval is short", () => {
  const ticks = [5 * hourMs, 10_000, 2000, 1].map((each) => scheduleOf(each).tickMs);
  assert.deepEqual(ticks, [1000, 1000, 200, 10]);
});
