/** What becomes of runs: the figures that Stats shows, and the lines of the log. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { FakeCompaction } from "../../support/fake-compaction.js";

const hourMs = 3_600_000;
const completed = { outcome: "completed", why: "" } as const;
const scheduled = { mode: "scheduled" } as const;

test("the figures tell of the run under way, the last one, all of them, and the next", async () => {
  const fake = new FakeCompaction(scheduled);
  const startMs = fake.clock.wallMs();
  const first = fake.compactor.stats();
  assert.deepEqual([first.state, first.runs, first.last], ["idle", 0, undefined]);
  assert.equal(first.nextAtMs, startMs + 5 * hourMs);
  const { segmentsRemoved, pinnedBytes, historyFloor } = first;
  assert.deepEqual([segmentsRemoved, pinnedBytes, historyFloor], [3, 4, 5]);
  const sums: number[] = [];
  for (let turn = 1; turn <= 2; turn += 1) {
    await fake.ask();
    fake.run.call.report({ phase: "copying", bytesRead: 10, bytesWritten: 4, bytesReclaimed: 6 });
    const during = fake.compactor.stats();
    assert.deepEqual(
      [during.state, during.runs, during.current?.bytesRead],
      ["running", turn - 1, 10],
    );
    assert.equal(during.current?.outcome, undefined);
    sums.push(during.bytesRead, during.bytesWritten, during.bytesReclaimed);
    await fake.clock.advance(1000);
    fake.run.call.end(completed);
    await fake.clock.settle();
  }
  const { state, current, runs, last, nextAtMs } = fake.compactor.stats();
  assert.deepEqual(sums, [10, 4, 6, 20, 8, 12]);
  assert.deepEqual([state, current, runs], ["idle", undefined, 2]);
  assert.deepEqual([last?.startedAtMs, last?.endedAtMs], [startMs + 1000, startMs + 2000]);
  assert.equal(last?.progress.outcome, "completed");
  assert.equal(nextAtMs, startMs + 2000 + 5 * hourMs);
  assert.deepEqual([new FakeCompaction().compactor.stats().state], ["off"]);
});

test("the log has two lines a run, at the level of the news, and none for a scheduled run without work", async () => {
  const fake = new FakeCompaction(scheduled);
  fake.run.due = true;
  fake.run.always = { outcome: "nothing-to-do", why: "" };
  await fake.clock.advance(60_000);
  fake.run.always = undefined;
  assert.deepEqual(fake.lines(), ["debug: a compaction did nothing: nothing-to-do"]);
  await fake.clock.advance(60_000);
  fake.run.call.report({ phase: "copying" });
  fake.run.call.end({ outcome: "nothing-to-do", why: "" });
  await fake.clock.settle();
  assert.equal(fake.log.lines.at(-1)?.level, "debug");
  assert.equal(fake.log.lines.splice(0).length, 2);
  await fake.clock.advance(120_000);
  for (let turn = 0; turn < 100; turn += 1) {
    fake.run.call.report({ segmentsChosen: 1, bytesRead: turn, bytesReclaimed: 1 });
    await fake.clock.advance(100);
  }
  fake.run.call.end({ outcome: "declined", why: "no room" });
  await fake.clock.settle();
  await fake.ask();
  fake.run.call.end({ outcome: "nothing-to-do", why: "" });
  await fake.clock.settle();
  assert.deepEqual(fake.lines(), [
    "info: a compaction begins: dead bytes",
    "warn: a compaction ended: declined",
    "info: a compaction begins: asked for",
    "info: a compaction ended: nothing-to-do",
  ]);
  const fields = fake.log.lines[1]?.fields;
  assert.deepEqual([fields?.["why"], fields?.["milliseconds"]], ["no room", 10_000]);
  assert.deepEqual([fields?.["bytesRead"], fields?.["segments"]], [99, 0]);
});
