/** The end of a group's way: what is seen and answered, and what is not once the latch has closed. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { AcceptedState } from "../../src/engine/accepted-state.js";
import type { Answerer } from "../../src/engine/answerer.js";
import { GroupPublisher } from "../../src/engine/group-publisher.js";
import type { Group } from "../../src/engine/group-writer.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import { Latch } from "../../src/engine/latch.js";
import { Publisher } from "../../src/engine/publisher.js";
import { RequestMemory } from "../../src/engine/requests/request-memory.js";
import { Staging } from "../../src/engine/staging.js";
import { PendingEntry, WriteOp } from "../../src/engine/write-op.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import { simHost } from "../support/sim-host.js";

const frameBytes = 60;

/** A publisher of groups over an index, and what became of the operations that it was given. */
function setUp() {
  const keydir = new Keydir({ seed: new Uint8Array(16) });
  const segments = new SegmentSet();
  const directories = { data: "/store", segments: "/store/segments" };
  const name = new SegmentName(directories, new Uint8Array(16), "segment", 1, 1n);
  const segment = new Segment(name, undefined, false);
  segments.add(segment);
  const publisher = new Publisher(keydir, segments, 0);
  const seed = new Uint8Array(16);
  const requests = new RequestMemory({ seed, monotonicMs: () => 0, retentionMs: 0 });
  const state = new AcceptedState(keydir, requests);
  const latch = new Latch(simHost({ seed: 1 }).log);
  const staging = new Staging(1000);
  const ends: string[] = [];
  const answerer = { answer: (op: WriteOp) => op.resolve(undefined) } as Answerer;
  const over: WriteOp[] = [];
  const context = { publisher, answerer, state, staging, latch };
  const out = new GroupPublisher(
    context,
    (op) => over.push(op),
    () => undefined,
  );
  let version = 0;
  const accept = (frames: boolean): WriteOp => {
    const op = new WriteOp({ kind: "flush" }, "sync", frameBytes);
    op.answer = { kind: "done" };
    op.begin({
      resolve: () => ends.push("answered"),
      reject: (error) => ends.push((error as { reason: string }).reason),
    });
    if (!frames) return op;
    version += 1;
    const entry = new PendingEntry(version, 0, 0, frameBytes, 1);
    entry.source = Uint8Array.of(96 + version);
    entry.keyEnd = 1;
    entry.segment = segment;
    op.entries = [entry];
    op.frameBytes = frameBytes;
    state.accept(entry);
    return op;
  };
  return { publisher, latch, out, ends, over, accept };
}

function groupOf(...ops: WriteOp[]): Group {
  return { chunks: [], ops, bytes: frameBytes, lastVersion: ops.length };
}

test("V14: a group that is owed is published and answered once", () => {
  const { publisher, out, ends, over, accept } = setUp();
  const ops = [accept(true), accept(true)];
  out.owe(groupOf(...ops), 0);
  assert.equal(publisher.version, 0);
  out.payOwed();
  out.payOwed();
  assert.equal(publisher.version, 2);
  assert.deepEqual(ends, ["answered", "answered"]);
  assert.deepEqual(over, ops);
});

test("V10: a group that is owed when the latch closes is neither published nor acknowledged", () => {
  const { publisher, latch, out, ends, over, accept } = setUp();
  const ops = [accept(true), accept(false)];
  out.owe(groupOf(...ops), 0);
  latch.close("a sync failed", new Error("EIO"));
  out.payOwed();
  assert.equal(publisher.version, 0);
  // The bytes are in the log, so that nobody may say that the write was not applied.
  assert.deepEqual(ends, ["SYNC_FAILED", "STORE_READ_ONLY"]);
  assert.deepEqual(over, ops);
});

test("V10: a defect in a publication closes the latch, and no call of the group is left without an end", () => {
  const { latch, out, ends, accept } = setUp();
  const [first, second] = [accept(true), accept(true)];
  out.owe(groupOf(second, first), 0);
  out.payOwed();
  assert.ok(latch.isClosed);
  assert.deepEqual(ends, ["SYNC_FAILED", "SYNC_FAILED"]);
});

test("V10: once the latch has closed, those are refused that have no answer yet, and none twice", () => {
  const { latch, out, ends, over, accept } = setUp();
  const [first, second, third] = [accept(true), accept(true), accept(false)];
  const ops = [first, second, third];
  out.publish(ops, 0, 1);
  latch.close("a sync failed", new Error("EIO"));
  out.rejectUnanswered(ops, true);
  out.rejectUnanswered(ops, true);
  assert.deepEqual(ends, ["answered", "SYNC_FAILED", "STORE_READ_ONLY"]);
  assert.deepEqual(over, ops);
});

test("V10: a group that never reached the log is told so", () => {
  const { latch, out, ends, accept } = setUp();
  latch.close("a sync failed", new Error("EIO"));
  out.rejectUnanswered([accept(true), accept(false)], false);
  assert.deepEqual(ends, ["STORE_READ_ONLY", "STORE_READ_ONLY"]);
});

test("V14 V5: nothing is published that is not newer than all that is", () => {
  const { publisher, accept } = setUp();
  const [first, second] = [accept(true), accept(true)];
  for (const entry of second.entries) publisher.publish(entry);
  for (const op of [second, first]) {
    for (const entry of op.entries) {
      assert.throws(() => publisher.publish(entry), /out of version order/);
    }
  }
  assert.equal(publisher.version, 2);
});
