/** The staging area by itself: what a chunk that serves again remembers, and what is counted. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { StagedValue } from "../../src/engine/staged-value.js";
import { Staging } from "../../src/engine/staging.js";
import { PendingEntry, WriteOp } from "../../src/engine/write-op.js";
import type { File } from "../../src/host/file-system.js";

const opOf = (): WriteOp => new WriteOp({ kind: "flush" }, "sync", 0);
const entryOf = (version: number): PendingEntry => new PendingEntry(version, 0, 0, 100, 0);

/** Adds an operation with one frame of 100 bytes. */
function add(staging: Staging, version: number): WriteOp {
  const op = opOf();
  staging.chunkFor(100).add(op, [entryOf(version)], 100, version);
  return op;
}

test("V15 V14: a chunk that serves again knows nothing of the frames that it had", () => {
  const staging = new Staging(1000);
  add(staging, 7);
  const used = staging.take();
  assert.ok(used !== undefined && staging.lastVersion === 0);
  assert.deepEqual([used.lastVersion, used.newestTimestampMs, used.used], [7, 7, 100]);
  staging.recycle(used);
  // An operation that only observes: a version that it had would be taken for the newest written.
  const again = staging.chunkFor(0);
  assert.equal(again, used);
  assert.deepEqual(
    [again.lastVersion, again.newestTimestampMs, again.used, again.ops],
    [0, 0, 0, []],
  );
  assert.equal(staging.lastVersion, 0);
});

test("D6 V11: values in files of their own count while they wait, and no longer", () => {
  const staging = new Staging(1000);
  const value = new StagedValue({} as File, 5000, 0);
  staging.chunkAround(value, 20, 40);
  staging.chunkAround(value, 20, 40);
  assert.equal(staging.elsewhereBytes, 10_000);
  staging.take();
  assert.equal(staging.elsewhereBytes, 5000);
  staging.takeAll();
  assert.equal(staging.elsewhereBytes, 0);
  staging.chunkAround(value, 20, 40);
  assert.equal(staging.elsewhereBytes, 5000);
});

test("D6: what a log that is not ready refuses ends with the first frames, and what stands before them", () => {
  const staging = new Staging(150);
  const observer = opOf();
  const first = opOf();
  staging.chunkFor(0).ops.push(observer);
  const chunk = staging.chunkAround(new StagedValue({} as File, 5000, 0), 20, 40);
  chunk.add(first, [entryOf(1)], 5040, 1);
  const second = add(staging, 2);
  assert.deepEqual(staging.takeUpToFrames(), [observer, first]);
  assert.deepEqual(staging.takeUpToFrames(), [second]);
  assert.ok(staging.isEmpty);
});
