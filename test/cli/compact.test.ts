/** `kvix compact` against a run that a test drives: what it says, how it ends, and what cancels it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Store } from "../../src/engine/store.js";
import type { CompactionOutcome } from "../../src/engine/store-stats.js";
import { startMemoryServer } from "../service/memory-server.js";
import { type Client, clientOf, jsonOf, openTerminal, runInside } from "../support/command-run.js";
import { FakeRun } from "../support/compaction-run.js";

/** A server whose store's compaction goes on until the test ends it. */
async function startCompacting(
  t: TestContext,
): Promise<{ run: FakeRun; kvix: Client; address: string }> {
  const run = new FakeRun();
  t.after(() => run.end("completed"));
  const { address } = await startMemoryServer(t, {
    wrap: (store: Store) =>
      Object.assign(store, { compact: (options: object) => run.compact(options) }),
  });
  return { run, kvix: clientOf(address, runInside), address };
}

const MiB = 1024 * 1024;
const work = {
  segmentsDone: 12,
  segmentsChosen: 12,
  bytesRead: 3 * MiB,
  bytesWritten: MiB,
  bytesReclaimed: 2 * MiB,
};
const summary = "compacted 12 segments: 3.0 MiB read, 1.0 MiB written, 2.0 MiB freed\n";

test("what was done goes to stdout, why it was not to stderr, and each outcome has its exit code", async (t) => {
  for (const [outcome, code, stdout, stderr] of [
    ["completed", 0, summary, ""],
    ["nothing-to-do", 0, "nothing to compact\n", ""],
    ["declined", 7, summary, "kvix compact: declined: because of a test\n"],
    ["cancelled", 1, summary, "kvix compact: cancelled: because of a test\n"],
    ["failed", 1, summary, "kvix compact: failed: because of a test\n"],
  ] as const satisfies readonly [CompactionOutcome, number, string, string][]) {
    const { run, kvix } = await startCompacting(t);
    run.update(work);
    run.end(outcome, stderr === "" ? "" : "because of a test");
    const told = await kvix(["compact"]);
    assert.deepEqual([told.code, told.stdout.toString(), told.stderr], [code, stdout, stderr]);
    const scripted = await kvix(["compact", "--json"]);
    const { outcome: word, bytesReclaimed, phase, storeVersion } = jsonOf(scripted);
    assert.deepEqual(
      [scripted.code, word, bytesReclaimed, phase, storeVersion],
      [code, outcome.replaceAll("-", "_"), 2 * MiB, "done", 0],
    );
    assert.equal(scripted.stderr, stderr);
  }
});

test("a run that was declined before anything was done prints no work", async (t) => {
  const { run, kvix } = await startCompacting(t);
  run.end("declined", "there is no room");
  const { code, stdout, stderr } = await kvix(["compact"]);
  assert.deepEqual([code, stdout.length], [7, 0]);
  assert.equal(stderr, "kvix compact: declined: there is no room\n");
});

test("M13: a timeout that was asked for cancels the run", { timeout: 30_000 }, async (t) => {
  const { run, kvix } = await startCompacting(t);
  const { code, stderr, stdout } = await kvix(["compact", "--timeout", "500ms"]);
  assert.deepEqual([code, stdout.length], [5, 0], stderr);
  assert.match(stderr, /^kvix compact: no answer from .* in time\. Trying again does no harm\.\n$/);
  await run.until(() => run.outcome === "cancelled");
});

test("a person sees a bar on stderr, and the result alone when it is over", {
  timeout: 60_000,
}, async (t) => {
  const { run, address } = await startCompacting(t);
  const terminal = openTerminal("kvix compact", { environment: { KVIX_ENDPOINT: address } });
  let shown = "";
  terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  const ended = new Promise((resolve) => terminal.once("close", resolve));
  await run.until(() => run.askers === 1);
  run.update({ phase: "copying", segmentsDone: 3, segmentsChosen: 12, share: 0.5 });
  await run.until(() => /compacting .+ 50% of 12 segments, 3 done/.test(shown));
  run.update(work);
  run.end("completed");
  assert.equal(await ended, 0);
  const lastLine = shown.replaceAll("\r\n", "\n").split("\u001b").at(-1);
  assert.ok(lastLine?.endsWith(summary), JSON.stringify(shown));
  assert.ok(shown.includes("\u001b[?25h"), "the cursor is shown again");
});

test("M13: Ctrl-C cancels the run and says so; the cursor comes back", {
  timeout: 60_000,
}, async (t) => {
  const { run, address } = await startCompacting(t);
  const terminal = openTerminal("kvix compact", { environment: { KVIX_ENDPOINT: address } });
  let shown = "";
  terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  const ended = new Promise((resolve) => terminal.once("close", resolve));
  await run.until(() => run.askers === 1);
  await run.until(() => shown.includes("compacting"));
  terminal.stdin.write("\u0003");
  assert.equal(await ended, 1);
  assert.match(shown, /kvix compact: stopped; the compaction is cancelled, unless somebody else/);
  assert.ok(shown.lastIndexOf("\u001b[?25h") > shown.lastIndexOf("\u001b[?25l"), "the cursor");
  await run.until(() => run.outcome === "cancelled");
});
