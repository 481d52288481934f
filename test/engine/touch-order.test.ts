/**
 * Touch among other writes: its value is that of the newest accepted write,
 * wherever that is, and it keeps its place while its record is read.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { TouchExpiry } from "../../src/engine/store.js";
import { bytes, Gate, Rig, rejects, segmentFiles, watch } from "../support/store-rig.js";

const ttl = (ttlMs: number): TouchExpiry => ({ kind: "ttl", ttlMs });
/** Read off the event loop, so that a test can hold it back. */
const large = "x".repeat(100 * 1024);

/** Holds back operations on segment files. */
function hold(rig: Rig, operation: "read" | "syncData"): Gate {
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === operation && segmentFiles.test(path) ? gate.fault : undefined;
  return gate;
}

test("V14: a touch behind a Set that is pending takes its value, and shows with it or after it", async () => {
  const rig = await Rig.open();
  await rig.set("a", "old", { expiry: ttl(60_000) });
  const gate = hold(rig, "syncData");
  const set = watch(rig.set("a", "new"));
  const touch = watch(rig.touch("a", ttl(9000)));
  await rig.settle();
  assert.deepEqual([set.state, touch.state], ["pending", "pending"]);
  assert.equal(await rig.get("a"), "old");
  gate.open();
  await rig.settle();
  assert.equal(await rig.get("a"), "new");
  const expiresAtMs = rig.store.exists(bytes("a"))?.expiresAtMs;
  assert.equal(expiresAtMs, rig.sim.clock.wallMs() + 9000);
  assert.equal(touch.value?.version, (set.value?.version ?? 0) + 1);
  await rig.store.close();
});

test("V14: found = false, and a condition that is unmet, wait until what they tell of is durable", async () => {
  const rig = await Rig.open();
  await rig.set("gone", "1");
  const gate = hold(rig, "syncData");
  const gone = watch(rig.delete("gone"));
  const notFound = watch(rig.touch("gone", ttl(1)));
  const fresh = watch(rig.set("fresh", "1"));
  const unmet = watch(rig.touch("fresh", ttl(1), { condition: { kind: "absent" } }));
  await rig.settle();
  const all = [gone, notFound, fresh, unmet];
  assert.deepEqual(new Set(all.map(({ state }) => state)), new Set(["pending"]));
  gate.open();
  await rig.settle();
  assert.equal(notFound.value?.found, false);
  assert.equal(unmet.value?.current?.version, fresh.value?.version);
  await rig.store.close();
});

test("a BUFFERED touch is answered once it is written, and may be lost", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const { syncs } = rig.store.stats();
  await rig.touch("a", ttl(1000), { durability: "buffered" });
  assert.equal(rig.store.stats().syncs, syncs);
  assert.ok(rig.store.exists(bytes("a"))?.expiresAtMs);
  const next = await rig.powerCut();
  assert.equal(next.store.exists(bytes("a"))?.expiresAtMs, 0);
  await next.store.close();
});

test("writes are accepted in the order of the calls, also behind a touch whose record is read", async () => {
  const rig = await Rig.open();
  await rig.set("a", large);
  const gate = hold(rig, "read");
  const touch = watch(rig.touch("a", ttl(1000)));
  const set = watch(rig.set("a", "after"));
  const other = watch(rig.set("b", "1"));
  await rig.settle();
  assert.equal(gate.held, 1);
  assert.equal(rig.store.stats().waitingCalls, 3);
  assert.deepEqual([touch.state, set.state, other.state], Array(3).fill("pending"));
  gate.open();
  await rig.settle();
  const versions = [touch, set, other].map(({ value }) => value?.version ?? 0);
  assert.deepEqual(
    versions,
    versions.toSorted((one, two) => one - two),
  );
  assert.ok(versions.every((version) => version > 0));
  rig.injector = undefined;
  assert.deepEqual(await rig.values("a", "b"), { a: "after", b: "1" });
  assert.equal(rig.store.exists(bytes("a"))?.expiresAtMs, 0, "the Set came last");
  assert.equal(rig.store.stats().waitingCalls, 0);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});

test("what was read ahead counts only if it is still what stands", async () => {
  const rig = await Rig.open();
  await rig.set("first", large);
  await rig.set("a", `${large}old`);
  const gate = hold(rig, "read");
  const calls = [
    rig.touch("first", ttl(1000)),
    rig.set("a", `${large}new`),
    rig.touch("a", ttl(60_000)),
    rig.touch("a", ttl(70_000)),
  ].map((call) => watch<unknown>(call));
  await rig.settle();
  assert.equal(gate.held, 3, "the record of `a` is read ahead, as it was");
  gate.open();
  await rig.settle();
  assert.deepEqual(new Set(calls.map(({ state }) => state)), new Set(["resolved"]));
  const record = await rig.store.get(bytes("a"));
  assert.equal(Buffer.from(record?.value ?? []).toString(), `${large}new`);
  assert.equal(record?.expiresAtMs, rig.sim.clock.wallMs() + 70_000);
  await rig.store.close();
});

test("a record that was replaced and published while its touch stood in line is read anew", async () => {
  // Each write waits for the one before it to be published.
  const rig = await Rig.open({ inFlightBytesMax: 1 });
  await rig.set("first", large);
  await rig.set("a", `${large}old`);
  const gate = hold(rig, "read");
  const first = rig.touch("first", ttl(1000));
  const set = rig.set("a", `${large}new`);
  const touch = rig.touch("a", ttl(60_000));
  await rig.settle();
  assert.equal(gate.held, 2, "the old record is read ahead");
  gate.open();
  await Promise.all([first, set, touch]);
  const record = await rig.store.get(bytes("a"));
  assert.equal(Buffer.from(record?.value ?? []).toString(), `${large}new`);
  assert.equal(record?.version, (await touch).version);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});

test("V11: records are read ahead up to 16 MiB, and the first of the line in any case", async () => {
  const MiB = 1024 * 1024;
  const rig = await Rig.open({ segmentBytesMax: 512 * MiB });
  const keys = Array.from({ length: 8 }, (_, index) => `key-${index}`);
  for (const key of keys) await rig.set(key, "x".repeat(5 * MiB));
  const gate = hold(rig, "read");
  const touches = keys.map((key) => watch(rig.touch(key, ttl(1000))));
  await rig.settle();
  assert.equal(gate.held, 3, "15 MiB of 40");
  gate.open();
  await rig.settle();
  assert.ok(touches.every(({ value }) => value?.found === true));
  await rig.store.close();
});

test("P3: a touch that is given up while its record is read is not applied, and holds up nobody", async () => {
  const rig = await Rig.open();
  await rig.set("a", large);
  const gate = hold(rig, "read");
  const caller = new AbortController();
  const touch = rig.touch("a", ttl(1000), { signal: caller.signal });
  const behind = watch(rig.set("b", "1"));
  await rig.settle();
  caller.abort();
  await rejects(touch, "CANCELLED", "not-applied");
  gate.open();
  await rig.settle();
  assert.equal(behind.state, "resolved");
  assert.equal(rig.store.exists(bytes("a"))?.expiresAtMs, 0);
  const late = rig.touch("a", ttl(1), { signal: AbortSignal.abort() });
  await rejects(late, "CANCELLED", "not-applied");
  await rig.store.close();
});

test("D5: a close sees a touch through whose record is still to be read", async () => {
  const rig = await Rig.open();
  await rig.set("a", large);
  const gate = hold(rig, "read");
  const touch = watch(rig.touch("a", { kind: "at", atMs: 2 ** 45 }));
  const closed = watch(rig.store.close());
  await rig.settle();
  assert.deepEqual([touch.state, closed.state], ["pending", "pending"]);
  gate.open();
  await rig.settle();
  assert.deepEqual([touch.state, closed.state], ["resolved", "resolved"]);
  const next = await Rig.open(rig.options, rig.sim);
  assert.equal(next.store.exists(bytes("a"))?.expiresAtMs, 2 ** 45);
  await next.store.close();
});

test("V10: a touch whose record is being read when a sync fails is refused", async () => {
  const rig = await Rig.open();
  await rig.set("a", large);
  const reading = new Gate();
  const syncing = new Gate();
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === "read") return reading.fault;
    return op === "syncData" ? { kind: "wait", until: failLater } : undefined;
  };
  const failLater = async (): Promise<void> => {
    if (syncing.fault.kind === "wait") await syncing.fault.until();
    throw Object.assign(new Error("the disk is gone"), { code: "EIO" });
  };
  const set = rig.set("b", "1");
  await rig.settle();
  const touch = rig.touch("a", ttl(1000));
  const behind = rig.set("c", "1");
  await rig.settle();
  assert.deepEqual([reading.held, syncing.held], [1, 1]);
  syncing.open();
  await rejects(set, "SYNC_FAILED", "unknown");
  await rejects(touch, "STORE_READ_ONLY", "not-applied");
  await rejects(behind, "STORE_READ_ONLY", "not-applied");
  reading.open();
  await rig.settle();
  await rejects(rig.touch("a", ttl(1)), "STORE_READ_ONLY", "not-applied");
  assert.equal(rig.store.stats().waitingCalls, 0);
  await rejects(rig.store.close(), "SYNC_FAILED");
});

for (const inSameGroup of [true, false]) {
  const which = inSameGroup ? "in the same group" : "behind its group";
  test(`a touch that stood on a write whose append failed fails with it, ${which}`, async () => {
    const rig = await Rig.open();
    await rig.set("a", "old", { expiry: { kind: "at", atMs: 2 ** 45 } });
    let touch: Promise<unknown> | undefined;
    rig.injector = ({ op, path }) => {
      if (op !== "write" || !segmentFiles.test(path)) return undefined;
      rig.injector = undefined;
      touch ??= rig.touch("a", ttl(5));
      return { kind: "error", code: "EIO" };
    };
    const set = rig.set("a", "new");
    if (inSameGroup) touch = rig.touch("a", ttl(5));
    await rejects(set, "WRITE_FAILED", "not-applied");
    assert.ok(touch);
    await rejects(touch, "WRITE_FAILED", "not-applied");
    assert.equal(await rig.get("a"), "old");
    assert.equal(rig.store.exists(bytes("a"))?.expiresAtMs, 2 ** 45);
    assert.equal(rig.store.stats().inFlightBytes, 0);
    assert.equal((await rig.touch("a", ttl(1000))).found, true);
    await rig.store.close();
  });
}

test("what stands behind a touch is accepted as soon as its record is read, also during a sync", async () => {
  const rig = await Rig.open();
  await rig.set("a", large);
  const reading = new Gate();
  const syncing = new Gate();
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === "read") return reading.fault;
    return op === "syncData" ? syncing.fault : undefined;
  };
  const calls = [rig.set("b", "1"), rig.touch("a", ttl(1000)), rig.set("c", "1")];
  await rig.settle();
  assert.deepEqual([reading.held, syncing.held, rig.store.stats().waitingCalls], [1, 1, 2]);
  reading.open();
  await rig.settle();
  assert.deepEqual([syncing.held, rig.store.stats().waitingCalls], [1, 0]);
  assert.ok(rig.store.stats().inFlightBytes > large.length, "a touch counts for its frame");
  syncing.open();
  await Promise.all(calls);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});

test("V11: a touch of a record that is pending counts for its frame, whatever was known before", async () => {
  const rig = await Rig.open();
  const gate = hold(rig, "syncData");
  const calls = [rig.set("a", large), rig.touch("a", ttl(1000))];
  await rig.settle();
  assert.ok(rig.store.stats().inFlightBytes > 2 * large.length);
  gate.open();
  await Promise.all(calls);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});

test("V11: what was read ahead for a caller that left makes room for others", async () => {
  const MiB = 1024 * 1024;
  const rig = await Rig.open({ segmentBytesMax: 512 * MiB });
  const keys = Array.from({ length: 7 }, (_, index) => `key-${index}`);
  for (const key of keys) await rig.set(key, "x".repeat(5 * MiB));
  const gate = hold(rig, "read");
  const caller = new AbortController();
  const touch = (key: string, signal?: AbortSignal) => watch(rig.touch(key, ttl(1000), { signal }));
  const first = touch("key-0");
  const left = ["key-1", "key-2", "key-3"].map((key) => touch(key, caller.signal));
  await rig.settle();
  assert.equal(gate.held, 3);
  caller.abort();
  await rig.settle();
  assert.ok(left.every(({ state }) => state === "rejected"));
  const others = ["key-4", "key-5", "key-6"].map((key) => touch(key));
  await rig.settle();
  assert.equal(gate.held, 5);
  gate.open();
  await rig.settle();
  assert.ok([first, ...others].every(({ value }) => value?.found === true));
  await rig.store.close();
});
