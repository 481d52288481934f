/** Runs as those see them who ask for them: joined, watched, given up, stopped. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { CompactionProgress } from "../../../src/engine/store-stats.js";
import { cancelMs, FakeCompaction, type Reader } from "../../support/fake-compaction.js";

const hourMs = 3_600_000;
const completed = { outcome: "completed", why: "" } as const;
const scheduled = { mode: "scheduled" } as const;

/** Phases, outcomes and reasons of what a reader was told last. */
function endOf(reader: Reader): readonly unknown[] {
  assert.ok(reader.isOver, "the stream has ended");
  return [reader.last?.phase, reader.last?.outcome, reader.last?.why];
}

/** A run for dead bytes under way. */
async function dueRun(): Promise<FakeCompaction> {
  const fake = new FakeCompaction(scheduled);
  fake.run.due = true;
  await fake.clock.advance(60_000);
  assert.equal(fake.run.call.extent, "due");
  return fake;
}

test("who asks begins a thorough run, others join it, and all are told its end", async () => {
  const fake = new FakeCompaction();
  const readers = [await fake.ask(), await fake.ask()];
  fake.run.call.report({ phase: "copying", segmentsChosen: 4, bytesRead: 10, share: 0.5 });
  readers.push(await fake.ask());
  assert.deepEqual([fake.run.calls.length, fake.run.call.extent], [1, "thorough"]);
  assert.equal(readers[2]?.last?.phase, "copying");
  fake.run.call.end(completed);
  await fake.clock.settle();
  for (const reader of readers) {
    assert.deepEqual(endOf(reader), ["done", "completed", ""]);
    assert.deepEqual([reader.last?.bytesRead, reader.last?.share], [10, 1]);
    assert.equal(reader.told.filter(({ phase }) => phase === "done").length, 1);
  }
  await fake.ask();
  assert.deepEqual([fake.run.calls.length, fake.run.runningMax], [2, 1]);
});

test("progress is told every 250 ms, a change of phase at once but not more often than every 25 ms", async () => {
  const fake = new FakeCompaction();
  const reader = await fake.ask();
  assert.equal(reader.told.length, 1);
  for (let turn = 0; turn < 100; turn += 1) {
    fake.run.call.report({ bytesRead: turn });
    await fake.clock.advance(10);
  }
  assert.deepEqual(
    reader.told.map(({ bytesRead }) => bytesRead),
    [0, 24, 49, 74, 99],
  );
  await fake.clock.advance(30);
  fake.run.call.report({ phase: "copying" });
  await fake.clock.settle();
  assert.equal(reader.last?.phase, "copying");
  const before = reader.told.length;
  for (let turn = 0; turn < 100; turn += 1) {
    fake.run.call.report({ phase: turn % 2 === 0 ? "committing" : "removing" });
    await fake.clock.advance(1);
  }
  assert.equal(reader.told.length - before, 4);
});

test("V11: who is slow gets the newest progress, and the end, however much was told meanwhile", async () => {
  const fake = new FakeCompaction();
  const stream = fake.compactor.compact();
  assert.equal((await stream.next()).value?.bytesRead, 0);
  for (let turn = 1; turn <= 1000; turn += 1) {
    fake.run.call.report({ phase: turn % 2 === 0 ? "copying" : "removing", bytesRead: turn });
    await fake.clock.advance(10);
  }
  assert.equal((await stream.next()).value?.bytesRead, 1000, "at once: it was told long ago");
  fake.run.call.end(completed);
  await fake.clock.settle();
  assert.equal((await stream.next()).value?.outcome, "completed");
  assert.equal((await stream.next()).done, true);
  assert.equal(fake.clock.sleepers, 0);
});

test("V11: 1,024 may wait; one more is refused, and has a place when one has left", async () => {
  const fake = new FakeCompaction();
  const stop = new AbortController();
  const first = await fake.ask(stop.signal);
  for (let turn = 1; turn < 1024; turn += 1) void fake.compactor.compact().next();
  await fake.clock.settle();
  const refused = await fake.ask();
  assert.ok(refused.error instanceof KvixError);
  assert.deepEqual([refused.error.reason, refused.error.outcome], ["OVERLOADED", "none"]);
  stop.abort();
  await fake.clock.settle();
  assert.ok(first.isOver);
  assert.equal((await fake.ask()).error, undefined);
});

test("M13: a run that was asked for is cancelled when the last has left, and that one is told so within a second", async () => {
  const fake = new FakeCompaction();
  const stops = [new AbortController(), new AbortController()];
  const readers = [await fake.ask(stops[0]?.signal), await fake.ask(stops[1]?.signal)];
  const leaver = fake.compactor.compact();
  await leaver.next();
  stops[0]?.abort();
  await leaver.return(undefined);
  await fake.clock.settle();
  assert.ok(!fake.run.call.signal.aborted, "one still waits");
  assert.deepEqual(endOf(readers[0] as Reader), ["done", "cancelled", "the request was given up"]);
  stops[1]?.abort();
  assert.ok(fake.run.call.signal.aborted);
  await fake.clock.advance(1000);
  const why = "all who asked for it have given up";
  assert.deepEqual(endOf(readers[1] as Reader), ["done", "cancelled", why]);
  const { state, runs, last } = fake.compactor.stats();
  assert.deepEqual([state, runs, last?.progress.why], ["off", 1, why]);
});

test("M13: leaving the loop cancels like a signal, also while progress is awaited", async () => {
  const fake = new FakeCompaction();
  const stream = fake.compactor.compact();
  await stream.next();
  const waiting = stream.next();
  const left = stream.return(undefined);
  await fake.clock.advance(1000);
  assert.ok(fake.run.call.signal.aborted);
  await Promise.all([waiting, left]);
  assert.equal(fake.run.running, 0);
});

test("who gave up before asking begins nothing, and neither does a stream that nobody reads", async () => {
  const fake = new FakeCompaction();
  fake.compactor.compact();
  const reader = await fake.ask(AbortSignal.abort());
  assert.deepEqual(endOf(reader), ["done", "cancelled", "the request was given up"]);
  assert.equal(fake.run.calls.length, 0);
});

test("who asks while a run is being cancelled gets the next one, which begins when that is over", async () => {
  const fake = new FakeCompaction();
  const stop = new AbortController();
  const first = await fake.ask(stop.signal);
  fake.run.call.report({ phase: "copying", bytesRead: 100, share: 0.9 });
  stop.abort();
  const second = await fake.ask();
  assert.equal(fake.run.calls.length, 1);
  await fake.clock.advance(cancelMs);
  assert.deepEqual([fake.run.calls.length, fake.run.runningMax], [2, 1]);
  assert.equal(first.last?.outcome, "cancelled");
  fake.run.call.report({ bytesRead: 7 });
  fake.run.call.end(completed);
  await fake.clock.settle();
  assert.equal(endOf(second)[1], "completed");
  assert.equal(second.last?.bytesRead, 7, "what was cancelled is not its own");
});

test("who joins a run that began for dead bytes is served by a thorough one after it, in one stream", async () => {
  const fake = await dueRun();
  fake.run.call.report({ phase: "copying", segmentsChosen: 2, bytesRead: 10, share: 0.6 });
  const reader = await fake.ask();
  fake.run.call.report({ phase: "removing", segmentsDone: 2, bytesRead: 20, bytesReclaimed: 15 });
  await fake.clock.advance(300);
  fake.run.call.end(completed);
  await fake.clock.advance(300);
  assert.deepEqual([fake.run.calls.length, fake.run.call.extent], [2, "thorough"]);
  fake.run.call.report({ phase: "copying", segmentsChosen: 1, bytesRead: 5, share: 0.5 });
  await fake.clock.advance(300);
  fake.run.call.report({ phase: "removing", segmentsDone: 1, bytesReclaimed: 2, share: 1 });
  fake.run.call.end(completed);
  await fake.clock.advance(300);
  assert.deepEqual(endOf(reader), ["done", "completed", ""]);
  const dones = reader.told.filter(({ phase, outcome }) => phase === "done" || outcome);
  assert.deepEqual(dones, [reader.last]);
  const { segmentsDone, segmentsChosen, bytesRead, bytesReclaimed } = reader.last ?? {};
  assert.deepEqual([segmentsDone, segmentsChosen, bytesRead, bytesReclaimed], [3, 3, 25, 17]);
  const rising = (pick: (each: CompactionProgress) => number): void => {
    const told = reader.told.map(pick);
    assert.deepEqual(
      told,
      told.toSorted((one, other) => one - other),
    );
  };
  rising(({ share }) => share);
  rising(({ bytesRead: read }) => read);
  const stats = fake.compactor.stats();
  assert.deepEqual([stats.runs, stats.bytesRead, stats.bytesReclaimed], [2, 25, 17]);
});

test("a run that the schedule began goes on when those who joined it have left", async () => {
  const fake = await dueRun();
  const stop = new AbortController();
  const reader = await fake.ask(stop.signal);
  stop.abort();
  await fake.clock.settle();
  assert.equal(endOf(reader)[1], "cancelled");
  assert.ok(!fake.run.call.signal.aborted);
  fake.run.due = false;
  fake.run.call.end(completed);
  await fake.clock.advance(10_000);
  assert.equal(fake.run.calls.length, 1, "nobody waits for a thorough one any more");
});

test("a thorough run that the schedule began serves those who join it, and goes on without them", async () => {
  const fake = new FakeCompaction(scheduled);
  await fake.clock.advance(5 * hourMs);
  assert.equal(fake.run.call.extent, "thorough");
  const stop = new AbortController();
  const leaves = await fake.ask(stop.signal);
  stop.abort();
  await fake.clock.settle();
  assert.equal(endOf(leaves)[1], "cancelled");
  assert.ok(!fake.run.call.signal.aborted);
  const stays = await fake.ask();
  fake.run.call.end(completed);
  await fake.clock.settle();
  assert.equal(endOf(stays)[1], "completed");
  assert.equal(fake.run.calls.length, 1);
});

test("M13: a stop cancels the run, waits for its end, tells all who wait, and nothing begins after", async () => {
  for (const fake of [new FakeCompaction(), await dueRun()]) {
    const readers = [await fake.ask(), await fake.ask()];
    const calls = fake.run.calls.length;
    let isStopped = false;
    void fake.compactor.stop().then(() => {
      isStopped = true;
    });
    await fake.clock.advance(cancelMs - 1);
    assert.deepEqual([isStopped, fake.run.running], [false, 1]);
    await fake.clock.advance(1000 - cancelMs);
    assert.deepEqual([isStopped, fake.run.running], [true, 0]);
    for (const reader of readers) {
      assert.deepEqual(endOf(reader), ["done", "cancelled", "the store is closing"]);
    }
    const late = await fake.ask();
    assert.ok(late.error instanceof KvixError);
    assert.equal(late.error.reason, "STORE_CLOSING");
    await fake.clock.advance(20 * hourMs);
    assert.equal(fake.run.calls.length, calls);
    assert.equal(fake.clock.sleepers, 0);
    const { state, nextAtMs } = fake.compactor.stats();
    assert.deepEqual([state, nextAtMs], ["off", 0]);
    await fake.compactor.stop();
  }
});

test("what a run throws is a failure, logged once with the error, and the next request is served", async () => {
  const fake = new FakeCompaction();
  const reader = await fake.ask();
  const defect = new Error("boom");
  fake.run.call.fail(defect);
  await fake.clock.settle();
  assert.equal(endOf(reader)[1], "failed");
  assert.match(reader.last?.why ?? "", /INTERNAL_BUG/);
  assert.ok(!reader.last?.why.includes("boom"));
  const withError = fake.log.lines.filter(({ fields }) => fields["err"] === defect);
  assert.deepEqual(
    withError.map(({ level }) => level),
    ["error"],
  );
  fake.run.always = completed;
  assert.equal(endOf(await fake.ask())[1], "completed");
});

test("a run that is declined or failed keeps its share and its reason", async () => {
  for (const outcome of ["declined", "failed"] as const) {
    const fake = new FakeCompaction();
    const reader = await fake.ask();
    fake.run.call.report({ share: 0.25 });
    fake.run.call.end({ outcome, why: "for this reason" });
    await fake.clock.settle();
    assert.deepEqual(endOf(reader), ["done", outcome, "for this reason"]);
    assert.equal(reader.last?.share, 0.25);
  }
});

test("the end is told with an outcome only, also when a run reports its last phase before", async () => {
  const fake = new FakeCompaction();
  const reader = await fake.ask();
  fake.run.call.report({ phase: "removing" });
  fake.run.call.report({ phase: "done" });
  await fake.clock.advance(300);
  assert.equal(reader.last?.phase, "removing");
  const { report } = fake.run.call;
  fake.run.call.end(completed);
  await fake.clock.settle();
  report({ phase: "copying" });
  const { current, last } = fake.compactor.stats();
  assert.deepEqual([current, last?.progress.phase], [undefined, "done"]);
});
