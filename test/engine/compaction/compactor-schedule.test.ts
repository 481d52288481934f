/** Runs that begin by themselves, as the compactor carries the schedule out. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { FakeCompaction } from "../../support/fake-compaction.js";

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const completed = { outcome: "completed", why: "" } as const;
const declined = { outcome: "declined", why: "no room" } as const;
const scheduled = { mode: "scheduled" } as const;

/** When the runs of so long a time began. */
async function beginsWithin(fake: FakeCompaction, ms: number): Promise<number[]> {
  const begins: number[] = [];
  for (let passedMs = 0; passedMs < ms; passedMs += secondMs) {
    const before = fake.run.calls.length;
    await fake.clock.advance(secondMs);
    if (fake.run.calls.length > before) begins.push(fake.clock.monotonicMs());
  }
  return begins;
}

test("M14: a store that is due when it is opened begins one run after a minute, and no burst", async () => {
  const fake = new FakeCompaction(scheduled);
  fake.run.due = true;
  fake.run.always = declined;
  const begins = await beginsWithin(fake, 10 * minuteMs);
  assert.deepEqual(
    begins.map((ms) => ms / minuteMs),
    [1, 2, 4, 8],
  );
});

test("dead bytes are looked at once a second, and only when a run may begin for them", async () => {
  const fake = new FakeCompaction({ ...scheduled, window: "0-1" });
  await fake.clock.advance(minuteMs - 1);
  assert.equal(fake.run.asked, 0);
  await fake.clock.advance(1 + 10 * secondMs);
  assert.equal(fake.run.asked, 11);
  await fake.clock.advance(hourMs - fake.clock.monotonicMs());
  const before = fake.run.asked;
  fake.run.due = true;
  await fake.clock.advance(hourMs);
  assert.deepEqual([fake.run.asked, fake.run.calls.length], [before, 0]);
});

test("while one run is under way no other begins, however long it takes", async () => {
  const fake = new FakeCompaction(scheduled);
  fake.run.due = true;
  await fake.clock.advance(5 * hourMs + 2 * minuteMs);
  assert.deepEqual([fake.run.calls.length, fake.run.call.extent], [1, "due"]);
  fake.run.call.report({ bytesReclaimed: 1 });
  fake.run.call.end(completed);
  await fake.clock.advance(secondMs);
  assert.deepEqual([fake.run.calls.length, fake.run.runningMax], [2, 1]);
});

test("a defect in what says whether a run is due does not end the process, nor the schedule, nor fill the log", async () => {
  const fake = new FakeCompaction(scheduled);
  fake.run.defect = new Error("a defect");
  fake.run.always = completed;
  await fake.clock.advance(10 * minuteMs);
  assert.equal(fake.run.asked, 4, "after 1, 2, 4 and 8 minutes");
  assert.equal(fake.log.lines.filter(({ level }) => level === "error").length, 4);
  assert.equal(fake.run.calls.length, 0);
  fake.run.defect = undefined;
  await fake.clock.advance(5 * hourMs);
  assert.equal(fake.run.calls.length, 1, "its interval is over");
  await fake.compactor.stop();
});

test("a manual store begins nothing by itself, not even for a full disk", async () => {
  const fake = new FakeCompaction();
  fake.run.due = true;
  fake.compactor.nudge();
  await fake.clock.advance(200 * hourMs);
  assert.deepEqual([fake.run.calls.length, fake.run.asked, fake.clock.sleepers], [0, 0, 0]);
  assert.deepEqual([fake.compactor.stats().state, fake.compactor.stats().nextAtMs], ["off", 0]);
});

test("M13 M14: what nobody asked for is cancelled when its window closes, and goes on when that opens", async () => {
  const fake = new FakeCompaction({ ...scheduled, intervalMs: minuteMs, window: "2-7" });
  fake.clock.stepWall(2 * hourMs);
  await fake.clock.advance(minuteMs);
  assert.deepEqual([fake.run.calls.length, fake.run.call.extent], [1, "thorough"]);
  const { signal } = fake.run.call;
  fake.clock.stepWall(5 * hourMs - 2 * minuteMs);
  await fake.clock.advance(minuteMs - 1);
  assert.ok(!signal.aborted);
  await fake.clock.advance(2 * secondMs);
  assert.ok(signal.aborted);
  const { state, last, nextAtMs } = fake.compactor.stats();
  assert.equal(state, "idle");
  assert.equal(last?.progress.why, "the hours of its window are over");
  assert.equal(nextAtMs, Date.UTC(2026, 0, 2, 2));
  fake.clock.stepWall(nextAtMs - fake.clock.wallMs());
  await fake.clock.advance(secondMs);
  assert.equal(fake.run.calls.length, 2, "though no interval has passed");
});

test("a run that somebody asked for or joined goes on when the window closes", async () => {
  const fake = new FakeCompaction({ ...scheduled, intervalMs: minuteMs, window: "2-7" });
  await fake.ask();
  await fake.clock.advance(minuteMs);
  assert.ok(!fake.run.call.signal.aborted, "asked for outside the window");
  fake.run.call.end(completed);
  fake.clock.stepWall(2 * hourMs);
  await fake.clock.advance(minuteMs);
  assert.equal(fake.run.calls.length, 2);
  const stop = new AbortController();
  await fake.ask(stop.signal);
  fake.clock.stepWall(6 * hourMs);
  await fake.clock.advance(minuteMs);
  assert.ok(!fake.run.call.signal.aborted, "joined");
  stop.abort();
  await fake.clock.advance(secondMs);
  assert.ok(fake.run.call.signal.aborted, "left again");
});

test("a nudge begins a run outside the window and before its back-off is over, once", async () => {
  const fake = new FakeCompaction({ ...scheduled, window: "0-1" });
  fake.run.due = true;
  fake.run.always = declined;
  await fake.clock.advance(hourMs + minuteMs);
  const before = fake.run.calls.length;
  fake.compactor.nudge();
  fake.compactor.nudge();
  const [first, ...more] = await beginsWithin(fake, 5 * minuteMs);
  assert.deepEqual([first, more], [hourMs + minuteMs + secondMs, []]);
  assert.deepEqual([fake.run.calls.length, fake.run.call.extent], [before + 1, "due"]);
  fake.compactor.nudge();
  await fake.ask();
  assert.deepEqual(await beginsWithin(fake, minuteMs), [], "the run that was asked for did it");
});

test("a disk that stays full is warned of once, though a run is declined every 10 s", async () => {
  const fake = new FakeCompaction(scheduled);
  fake.run.always = declined;
  await fake.clock.advance(minuteMs);
  for (let turn = 0; turn < 60; turn += 1) {
    fake.compactor.nudge();
    await fake.clock.advance(secondMs);
  }
  assert.equal(fake.run.calls.length, 6);
  const begins = "info: a compaction begins: disk space";
  const quiet = new Array<string>(5).fill("debug: a compaction did nothing: declined");
  assert.deepEqual(fake.lines(), [begins, "warn: a compaction ended: declined", ...quiet]);
});

test("I2 M14: a wall clock that jumps by years begins no run", async () => {
  const fake = new FakeCompaction(scheduled);
  fake.run.always = completed;
  for (let turn = 0; turn < 50; turn += 1) {
    fake.clock.stepWall((turn % 2 === 0 ? 1 : -1) * 10_000 * hourMs);
    await fake.clock.advance(minuteMs);
  }
  assert.equal(fake.run.calls.length, 0);
  await fake.clock.advance(5 * hourMs);
  assert.equal(fake.run.calls.length, 1);
});

test("with a lifted floor the interval is kept to, from the first one on", async () => {
  const fake = new FakeCompaction({ ...scheduled, intervalMs: 500 });
  fake.run.always = completed;
  await fake.clock.advance(2750);
  assert.deepEqual([fake.run.calls.length, fake.run.call.extent], [5, "thorough"]);
});
