/** The processes of the lab: what a run finds, and what becomes of one that hangs or dies. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CannotStart, type CrewExtent, runCrew } from "./crew.js";
import { resultLines } from "./lab-report.js";
import { resultOf } from "./tally.js";
import { lame, whim } from "./tame-worker.js";

const workerPath = fileURLToPath(new URL("tame-worker.js", import.meta.url));

function extent(seed: number, runsMax: number, more: Partial<CrewExtent> = {}): CrewExtent {
  const unbounded = { secondsMax: Number.POSITIVE_INFINITY, findingsMax: 100, only: undefined };
  return { seed, runsMax, workerPath, ...unbounded, ...more };
}

test("the runs of a call have successive seeds, and their counts are summed up", async () => {
  const tally = await runCrew(whim, extent(8, 40));
  assert.deepEqual([tally.runs, tally.findingCount], [40, 0]);
  assert.equal(tally.counts["operations"], (40 * (8 + 47)) / 2);
});

test("what a run finds, throws, hangs in and dies of is a finding of its seed, and the others go on", {
  timeout: 60_000,
}, async () => {
  const tally = await runCrew(whim, extent(1, 10));
  assert.equal(tally.runs, 10);
  const found = tally.findings.toSorted((one, other) => one.seed - other.seed);
  assert.deepEqual(
    found.map(({ seed }) => seed),
    [3, 4, 5, 6, 7],
  );
  for (const [index, pattern] of [
    /^a record is gone$/,
    /^Error: a defect shows\n/,
    /^no end of the run after 2 s$/,
    /SIGKILL/,
    /code 3\nlast words/,
  ].entries()) {
    assert.match(found[index]?.text ?? "", pattern);
  }
});

test("an end of time, of findings, or by a signal begins no further run", async () => {
  const counted = await runCrew(whim, extent(3, 1000, { findingsMax: 1, secondsMax: 60 }));
  assert.ok(counted.runs < 10, `${counted.runs} runs`);
  const timed = await runCrew(whim, extent(100, 1000, { secondsMax: 0 }));
  assert.equal(timed.runs, 0);
  const stop = new AbortController();
  const stopped = await runCrew(
    whim,
    extent(100, 1_000_000, { signal: stop.signal, onRun: () => stop.abort() }),
  );
  assert.ok(stopped.runs <= 2, `${stopped.runs} runs`);
});

test("an instrument that lacks a tool says so, and nothing counts as tested", async () => {
  await assert.rejects(
    runCrew(lame, extent(1, 10)),
    (error) =>
      error instanceof CannotStart && /lame: needs a tool that is not there/.test(error.message),
  );
});

test("a part that an instrument does not have is refused, and those that it has are named", async () => {
  const ofPart = (only: string): CrewExtent => extent(8, 1, { only });
  for (const [instrument, why] of [
    [whim, /whim: no part is called whoel: it has whole, half$/],
    [lame, /lame: no part is called whoel: it has no parts$/],
  ] as const) {
    await assert.rejects(
      runCrew(instrument, ofPart("whoel")),
      (error) => error instanceof CannotStart && why.test(error.message),
    );
  }
  assert.equal((await runCrew(whim, ofPart("half"))).runs, 1);
});

test("a finding is told with the call that shows it again", async () => {
  const tally = await runCrew(whim, extent(3, 1));
  const lines = resultLines(resultOf(whim, 3, tally, 1.25), "part");
  assert.match(lines[0] ?? "", /^whim: 1 run from seed 3 in 1.3 s, 1 FOUND$/);
  assert.ok(lines.includes("FOUND by whim, seed 3: a record is gone"));
  assert.ok(lines.includes("  again: npm run lab -- whim --seed 3 --runs 1 --only part"));
});

test("too little done is said, if the runs are as many as in CI", async () => {
  const tally = await runCrew(whim, extent(8, 2));
  const demanding = { ...whim, runs: { default: 2, ci: 2 }, shortcomings: () => ["no crash"] };
  assert.deepEqual(resultOf(demanding, 8, tally, 1).shortcomings, ["no crash"]);
  const hasty = { ...demanding, runs: { default: 2, ci: 3 } };
  assert.deepEqual(resultOf(hasty, 8, tally, 1).shortcomings, []);
});
