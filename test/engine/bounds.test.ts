/** The queue under load: its bounds, callers who give up, a close in the midst, and defects. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { KvixError } from "../../src/base/kvix-error.js";
import { Answerer } from "../../src/engine/answerer.js";
import { Evaluator } from "../../src/engine/evaluator.js";
import { Keydir } from "../../src/engine/keydir/keydir.js";
import { Log } from "../../src/engine/log.js";
import { StagedChunk } from "../../src/engine/staging.js";
import {
  WAITING_BYTES_MAX,
  WAITING_CALLS_MAX,
  WaitingLine,
} from "../../src/engine/waiting-line.js";
import { WriteOp } from "../../src/engine/write-op.js";
import { bytes, Gate, Rig, rejects, segmentFiles, watch } from "../support/store-rig.js";

const MiB = 1024 * 1024;

test("V11: 100,000 concurrent sets over 1 MiB in flight complete, and stay within it", async () => {
  const rig = await Rig.open({ inFlightBytesMax: MiB, segmentBytesMax: 64 * MiB });
  let most = 0;
  let mostWaiting = 0;
  const value = bytes("x".repeat(100));
  const writes = Array.from({ length: 100_000 }, async (_, index) => {
    const write = rig.store.set(bytes(`key-${index}`), value, { kind: "never" });
    if (index % 1000 === 0) mostWaiting = Math.max(mostWaiting, rig.store.stats().waitingCalls);
    most = Math.max(most, rig.store.stats().inFlightBytes * Number(index % 100 === 0));
    const { version } = await write;
    if (index % 100 === 0) most = Math.max(most, rig.store.stats().inFlightBytes);
    return version;
  });
  const versions = await Promise.all(writes);
  assert.ok(most > MiB / 2 && most <= MiB, `${most} bytes in flight`);
  assert.ok(mostWaiting > 50_000, `${mostWaiting} calls waited`);
  assert.ok(
    versions.every((version, index) => version === index + 1),
    "first come, first served",
  );
  const { keys, inFlightBytes, waitingCalls } = rig.store.stats();
  assert.deepEqual([keys, inFlightBytes, waitingCalls], [100_000, 0, 0]);
  await rig.store.close();
});

test("V11: one write larger than all that may be in flight is taken, alone", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 1000 });
  const gate = hold(rig);
  const large = watch(rig.set("large", "x".repeat(5000)));
  const small = watch(rig.set("small", "1"));
  await rig.settle();
  assert.equal(rig.store.stats().waitingCalls, 1);
  assert.deepEqual([large.state, small.state], ["pending", "pending"]);
  gate.open();
  await rig.settle();
  assert.deepEqual([large.state, small.state], ["resolved", "resolved"]);
  await rig.store.close();
});

/** Holds every sync of a segment from now on. */
function hold(rig: Rig): Gate {
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  return gate;
}

/** An operation for a waiting line, and what became of it. */
function waiter(costBytes: number): { op: WriteOp; error: () => unknown } {
  const request = { kind: "delete", key: bytes("k"), condition: undefined, returnPrevious: false };
  const op = new WriteOp(request as WriteOp["request"], "sync", costBytes);
  let rejected: unknown;
  op.reject = (error) => {
    rejected = error;
  };
  return { op, error: () => rejected };
}

test("V11: a waiting line that is full in calls or in bytes answers OVERLOADED", () => {
  for (const [costBytes, room] of [
    [1, WAITING_CALLS_MAX],
    [WAITING_BYTES_MAX / 4, 4],
  ] as const) {
    const line = new WaitingLine();
    for (let count = 0; count < room; count += 1) {
      const { op, error } = waiter(costBytes);
      line.add(op, undefined, () => undefined);
      assert.equal(error(), undefined);
    }
    assert.equal(line.count, room);
    const refused = waiter(costBytes);
    line.add(refused.op, undefined, () => undefined);
    const error = refused.error();
    assert.ok(error instanceof KvixError);
    assert.deepEqual([error.reason, error.outcome], ["OVERLOADED", "not-applied"]);
    assert.equal(line.count, room);
    line.take();
    const taken = waiter(costBytes);
    line.add(taken.op, undefined, () => undefined);
    assert.equal(taken.error(), undefined, "there is room again");
  }
});

test("V11: more calls than may wait are OVERLOADED at once; the others complete", async () => {
  const rig = await Rig.open({ inFlightBytesMax: MiB });
  const gate = hold(rig);
  const key = bytes("absent");
  const taken: Promise<unknown>[] = [rig.set("k", "x".repeat(MiB))];
  for (let count = 0; count < WAITING_CALLS_MAX; count += 1) {
    taken.push(rig.store.delete(key, { durability: "buffered" }));
  }
  assert.equal(rig.store.stats().waitingCalls, WAITING_CALLS_MAX);
  await rejects(rig.set("one", "too many"), "OVERLOADED", "not-applied");
  gate.open();
  await Promise.all(taken);
  assert.equal(rig.store.stats().waitingCalls, 0);
  assert.equal(await rig.get("one"), undefined);
  await rig.store.close();
});

test("P3: a caller who gives up while it waits is CANCELLED, and its write is not applied", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 300 });
  const gate = hold(rig);
  const accepted = new AbortController();
  const waiting = new AbortController();
  const first = watch(rig.set("first", "1", { signal: accepted.signal }));
  const given = rig.set("given up", "1", { signal: waiting.signal });
  const last = watch(rig.set("last", "1", { signal: new AbortController().signal }));
  await rig.settle();
  assert.equal(rig.store.stats().waitingCalls, 2);
  waiting.abort();
  await rejects(given, "CANCELLED", "not-applied");
  assert.equal(rig.store.stats().waitingCalls, 1);
  // It is handed to the log: giving up comes too late, and is not told otherwise.
  accepted.abort();
  await rig.settle();
  assert.equal(first.state, "pending");
  gate.open();
  await rig.settle();
  assert.deepEqual([first.state, last.state], ["resolved", "resolved"]);
  assert.deepEqual(await rig.values("first", "given up", "last"), { first: "1", last: "1" });
  const before = rig.store.version;
  await rejects(rig.set("never", "1", { signal: AbortSignal.abort() }), "CANCELLED", "not-applied");
  assert.equal(rig.store.version, before);
  await rig.store.close();
});

/** Collects garbage, twice: what a WeakRef was asked for lives to the end of its turn. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let turn = 0; turn < 2; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
}

test("V11 P3: a caller who gave up while it waited lets go of its value at once, behind one that stays", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 300 });
  const gate = hold(rig);
  const calls = [rig.set("first", "1"), rig.set("second", "1")];
  const values: WeakRef<Uint8Array>[] = [];
  const giveUp = async (): Promise<void> => {
    const caller = new AbortController();
    const value = new Uint8Array(1000);
    values.push(new WeakRef(value));
    const given = rig.store.set(bytes("k"), value, { kind: "never" }, { signal: caller.signal });
    caller.abort();
    await rejects(given, "CANCELLED", "not-applied");
  };
  for (let count = 0; count < 500; count += 1) await giveUp();
  assert.equal(rig.store.stats().waitingCalls, 1);
  await collectGarbage();
  const kept = values.filter((value) => value.deref() !== undefined).length;
  // The last call may still lie in a register.
  assert.ok(kept <= 2, `${kept} of ${values.length} values are held`);
  gate.open();
  await Promise.all(calls);
  await rig.store.close();
});

test("V11: what a batch takes beside its bytes counts for each of its mutations", async () => {
  const rig = await Rig.open({ inFlightBytesMax: MiB });
  const gate = hold(rig);
  const stuck = rig.set("stuck", "1");
  await rig.settle();
  const before = rig.store.stats().inFlightBytes;
  const batch = (count: number) =>
    rig.store.commit(
      Array.from({ length: count }, (_, index) => ({ kind: "delete", key: bytes(`k${index}`) })),
    );
  const small = batch(1);
  const perMutation = rig.store.stats().inFlightBytes - before;
  const large = batch(1000);
  const taken = rig.store.stats().inFlightBytes - before - perMutation;
  assert.ok(taken >= 1000 * (perMutation - 4), `${taken} bytes for 1000 of ${perMutation}`);
  const rest = Array.from({ length: 20 }, () => batch(1000));
  const { inFlightBytes, waitingCalls } = rig.store.stats();
  assert.ok(inFlightBytes <= MiB);
  assert.ok(waitingCalls >= 15, `${waitingCalls} batches wait`);
  gate.open();
  await Promise.all([stuck, small, large, ...rest]);
  await rig.store.close();
});

test("D5 V11: a close under load finishes all that was taken in, and makes it durable", async () => {
  for (const durability of ["sync", "buffered"] as const) {
    for (const inFlightBytesMax of [1, 600, MiB]) {
      const where = `${durability}, ${inFlightBytesMax} in flight`;
      const rig = await Rig.open({ inFlightBytesMax, segmentBytesMax: 2000 });
      await rig.set("begun", "1", { durability });
      const writes = Array.from({ length: 40 }, (_, index) =>
        rig.set(`key-${index}`, "x".repeat(60), { durability }),
      );
      const closing = rig.store.close();
      await rejects(rig.set("late", "1"), "STORE_CLOSING", "not-applied");
      await Promise.all(writes);
      await closing;
      const next = await rig.powerCut();
      assert.ok(next.store.stats().open.wasClean, where);
      assert.deepEqual(next.store.stats().damage, [], where);
      assert.equal(next.store.stats().keys, 41, where);
      assert.equal(await next.get("key-39"), "x".repeat(60), where);
      await next.store.close();
    }
  }
});

test("D5 V13: a close waits for the answers that are read from the log", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0 });
  const keys = Array.from({ length: 200 }, (_, index) => bytes(`key-${index}`));
  for (const key of keys) await rig.store.set(key, bytes("v"), { kind: "never" });
  const [once, twice] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
  await rig.store.increment(bytes("once"), 1n, { requestId: once });
  await rig.store.increment(bytes("twice"), 2n, { requestId: twice });
  const conditions = keys.map((key) => ({ key, condition: { kind: "absent" } as const }));
  const unmet = rig.store.commit([], { conditions });
  const repeats = [
    rig.store.increment(bytes("once"), 1n, { requestId: once }),
    rig.store.increment(bytes("twice"), 2n, { requestId: twice }),
  ];
  await rig.store.close();
  for (const { current } of (await unmet).unmet) {
    assert.equal(typeof current?.record, "object", "it was read");
  }
  assert.deepEqual(
    (await Promise.all(repeats)).map(({ value, repeated }) => [value, repeated]),
    [
      [1n, true],
      [2n, true],
    ],
  );
});

test("V4 V11: after a close everything is STORE_CLOSING, and a second close is the first", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const [one, other] = [rig.store.close(), rig.store.close()];
  assert.equal(one, other);
  await one;
  await rig.store.close();
  await rejects(rig.get("a"), "STORE_CLOSING");
  await rejects(rig.set("a", "2"), "STORE_CLOSING");
  await rejects(rig.delete("a"), "STORE_CLOSING");
  await rejects(rig.store.commit([{ kind: "delete", key: bytes("a") }]), "STORE_CLOSING");
  assert.throws(() => rig.store.exists(bytes("a")), /STORE_CLOSING/);
  const next = await Rig.open(rig.options, rig.sim);
  assert.equal(await next.get("a"), "1");
  await next.store.close();
});

test("V11 V10: a defect in the queue hangs no caller, and latches the store", async (t) => {
  const defects: readonly [string, object, string][] = [
    ["at publication", Keydir.prototype, "put"],
    ["at an answer", Answerer.prototype, "answer"],
    ["before the append", StagedChunk.prototype, "seal"],
    ["while the log is prepared", Log.prototype, "prepare"],
    ["in the append", Log.prototype, "append"],
  ];
  for (const [where, prototype, method] of defects) {
    const rig = await Rig.open({ inFlightBytesMax: 1000 });
    await rig.set("a", "1");
    const calls = ["a", "b", "c", "d", "e", "f"].map((key) => rig.set(key, "x".repeat(300)));
    const defect = t.mock.method(prototype as Record<string, () => never>, method, () => {
      throw new TypeError("a defect");
    });
    const outcomes = await Promise.allSettled(calls);
    defect.mock.restore();
    for (const outcome of outcomes) {
      assert.equal(outcome.status, "rejected", where);
      assert.ok(outcome.reason instanceof KvixError, where);
      assert.ok(["SYNC_FAILED", "STORE_READ_ONLY"].includes(outcome.reason.reason), where);
    }
    await rejects(rig.set("g", "1"), "STORE_READ_ONLY");
    assert.equal(rig.store.stats().waitingCalls, 0, where);
    await rejects(rig.store.close(), "SYNC_FAILED");
    const next = await Rig.open(rig.options, rig.sim);
    await next.set("g", "1");
    await next.store.close();
  }
});

test("V11: a defect while one write is evaluated fails that write alone", async (t) => {
  const rig = await Rig.open();
  const calls = ["a", "b"].map((key) => watch(rig.set(key, "1")));
  const defect = t.mock.method(Evaluator.prototype, "evaluate", () => {
    throw new TypeError("a defect");
  });
  const failed = watch(rig.set("c", "1"));
  await rig.settle();
  defect.mock.restore();
  assert.equal(failed.state, "rejected");
  assert.ok(calls.every(({ state }) => state === "resolved"));
  await rig.set("d", "1");
  await rig.store.close();
});
