/** Runs of sets: as many sets, each as one of its own would be, and one outcome for all of them. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { KvixError } from "../../src/base/kvix-error.js";
import { EXPIRES_AT_MS_MAX, VERSION_MAX } from "../../src/base/limits.js";
import { SET_RUN_BYTES_MAX, setRunBytes } from "../../src/engine/set-run.js";
import type { Outcome, SetRun, SetRunOptions, SetRunResult } from "../../src/engine/store.js";
import { FRAME_HEADER_BYTES } from "../../src/format/frame.js";
import { recordBytes } from "../../src/format/record.js";
import { runOf } from "../support/set-runs.js";
import { bytes, Gate, Rig, rejects, segmentFiles } from "../support/store-rig.js";

const never = { kind: "never" } as const;

/** A run of the keys and values of an object's fields, or of pairs. */
function run(...pairs: readonly (readonly [string, string])[]): SetRun {
  return runOf(pairs.map(([key, value]) => ({ key: bytes(key), value: bytes(value) })));
}

/** Submits a run; resolves to what its outcome hears. */
function submit(rig: Rig, sets: SetRun, options: SetRunOptions = {}): Promise<SetRunResult> {
  return new Promise((resolve, reject) => rig.store.submitSets(sets, options, { resolve, reject }));
}

test("a run sets its records in their order, each with a version of its own, and others find them", async () => {
  const rig = await Rig.open();
  await rig.set("b", "before");
  const sets = run(
    ["a", "1"],
    ["b", ""],
    ["c", "3"],
    ["a", "4"],
    ["d".repeat(200), "5".repeat(300)],
  );
  assert.deepEqual(await submit(rig, sets), { firstVersion: 2, refused: undefined });
  const expected = { a: "4", b: "", c: "3", [`${"d".repeat(200)}`]: "5".repeat(300) };
  const keys = Object.keys(expected);
  assert.deepEqual(await rig.values(...keys), expected);
  assert.equal(rig.store.exists(bytes("a"))?.version, 5);
  assert.equal(rig.store.stats().keys, 4);
  const reopened = await rig.killed();
  assert.deepEqual(await reopened.values(...keys), expected);
  const frames = (await reopened.frames()).map(({ isBatch, isBarrier, records }) => {
    return { isBatch, isBarrier, keys: records.map(({ key }) => key) };
  });
  assert.deepEqual(
    frames.map(({ keys: [key] }) => key?.slice(0, 1)),
    ["b", "a", "b", "c", "a", "d"],
  );
  assert.ok(frames.every(({ isBatch }) => !isBatch));
  // The first frame behind a sync is a barrier, and no other of the run.
  assert.deepEqual(
    frames.map(({ isBarrier }) => isBarrier),
    [true, true, false, false, false, false],
  );
  await reopened.store.close();
});

test("V1 V14: a run is heard of when its sync has returned and all of it is visible, and conditions see it before", async () => {
  const rig = await Rig.open();
  await rig.set("x", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const heard: unknown[] = [];
  const outcome: Outcome<SetRunResult> = {
    resolve: () => heard.push(["a", "b"].map((key) => rig.store.exists(bytes(key))?.version)),
    reject: (error) => heard.push(error),
  };
  rig.store.submitSets(run(["a", "1"], ["b", "1"], ["a", "2"]), {}, outcome);
  const unmet = rig.set("a", "3", { condition: { kind: "version", version: 2 } });
  const met = rig.set("a", "4", {
    condition: { kind: "version", version: 4 },
    returnPrevious: true,
  });
  await rig.settle();
  assert.deepEqual(heard, []);
  assert.equal(rig.store.exists(bytes("a")), undefined);
  gate.open();
  await rig.settle();
  // The condition was met behind the run, and shares its group.
  assert.deepEqual(heard, [[5, 3]]);
  assert.equal((await unmet).applied, false);
  assert.equal((await met).applied, true);
  assert.equal(await rig.get("a"), "4");
  await rig.store.close();
});

test("V2: a run lies between others of its group, and all of them are found where they lie", async () => {
  const rig = await Rig.open();
  await rig.set("first", "1");
  const pairs = [1, 2, 3].map((index) => [`run ${index}`, `${index}`.repeat(50)] as const);
  await Promise.all([
    rig.set("before", "b".repeat(30)),
    submit(rig, run(...pairs)),
    rig.set("between", "c".repeat(30)),
    submit(rig, run(["more", "d"])),
    rig.set("behind", "e"),
  ]);
  const expected = {
    ...{ before: "b".repeat(30), ...Object.fromEntries(pairs) },
    ...{ between: "c".repeat(30), more: "d", behind: "e" },
  };
  const keys = Object.keys(expected);
  assert.deepEqual(await rig.values(...keys), expected);
  const again = await rig.killed();
  assert.deepEqual(await again.values(...keys), expected);
  assert.equal((await again.frames()).length, 8);
  await again.store.close();
});

test("a buffered run is answered when it is written, and is lost whole or kept", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  await rig.set("first", "1");
  rig.trace.length = 0;
  await submit(rig, run(["a", "1"], ["b", "1"]), { durability: "buffered" });
  assert.deepEqual(rig.segmentOperations(), ["write"]);
  assert.deepEqual(await rig.values("a", "b"), { a: "1", b: "1" });
  const left = await rig.powerCut();
  assert.deepEqual(await left.values("first", "a", "b"), { first: "1" });
  await left.store.close();
});

test("an append that fails takes all of a run back, and a run behind it is applied", async () => {
  const rig = await Rig.open();
  await rig.set("a", "0");
  const gate = new Gate();
  let writes = 0;
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === "write") writes += 1;
    if (op === "write" && writes === 2) return { kind: "short", lengthBytes: 70, code: "EIO" };
    return op === "syncData" && writes === 1 ? gate.fault : undefined;
  };
  const first = rig.set("x", "1");
  await rig.settle();
  const second = rejects(submit(rig, run(["a", "1"], ["b", "1"])), "WRITE_FAILED", "not-applied");
  await rig.settle();
  gate.open();
  await Promise.all([first, second]);
  assert.deepEqual(await rig.values("a", "b"), { a: "0" });
  const { firstVersion } = await submit(rig, run(["c", "2"], ["b", "2"]));
  assert.equal(rig.store.exists(bytes("b"))?.version, firstVersion + 1);
  const reopened = await rig.killed();
  assert.deepEqual(await reopened.values("a", "b", "c"), { a: "0", b: "2", c: "2" });
  await reopened.store.close();
});

test("I8: at the index limit the new keys of a run are refused, each alone, and the others are set", async () => {
  const indexBytesMax = 2 * 1024 * 1024;
  const rig = await Rig.open({ indexBytesMax });
  const keys: string[] = [];
  let refusals = 0;
  for (let turn = 0; refusals === 0 && turn < 1000; turn += 1) {
    const more = Array.from({ length: 100 }, (_, at) => `key-${1000 + turn}-${100 + at}`);
    const sets = run(...more.map((key) => [key, "1"] as const));
    const { refused } = await submit(rig, sets, { durability: "buffered" });
    refusals = refused?.size ?? 0;
    keys.push(...more.filter((_, at) => refused?.has(at) !== true));
  }
  assert.ok(refusals > 0);
  assert.equal(rig.store.stats().keys, keys.length);
  assert.ok(rig.store.stats().indexBytes <= indexBytesMax);
  // The one that is left may still find a cell.
  let alone: SetRunResult | undefined;
  for (let turn = 0; alone?.refused === undefined && turn < 50_000; turn += 1) {
    alone = await submit(rig, run([`one-${100_000 + turn}`, "1"]), { durability: "buffered" });
  }
  assert.equal(alone?.refused?.get(0)?.reason, "INDEX_FULL");
  const [old = "", other = ""] = keys;
  const fresh = ["new-1000-100", "new-1000-101"] as const;
  const { firstVersion, refused } = await submit(
    rig,
    run([old, "2"], [fresh[0], "2"], [fresh[1], "2"], [other, "2"], [old, "3"]),
  );
  const reasons = [...(refused ?? [])].map(([set, { reason, outcome }]) => [set, reason, outcome]);
  assert.deepEqual(reasons, [
    [1, "INDEX_FULL", "not-applied"],
    [2, "INDEX_FULL", "not-applied"],
  ]);
  assert.deepEqual(await rig.values(old, ...fresh, other), { [old]: "3", [other]: "2" });
  assert.equal(rig.store.exists(bytes(other))?.version, firstVersion + 1);
  assert.equal(rig.store.exists(bytes(old))?.version, firstVersion + 2);
  // Nor is one that was refused whole counted, or uncounted, for the group behind it.
  await rig.settle();
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});

test("D6: a run that there is no room for on the disk is refused whole", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const { freeBytes } = rig.sim.files.disk;
  rig.sim.files.capacityBytes -= freeBytes;
  await rig.sim.clock.advance(300);
  await rejects(submit(rig, run(["a", "2"], ["b", "2"])), "NO_SPACE", "not-applied");
  assert.deepEqual(await rig.values("a", "b"), { a: "1" });
  rig.sim.files.capacityBytes += freeBytes;
  await rig.store.close();
});

test("a run that waits for room gives up with its signal, and one that is too early or late is refused", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 1 });
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const first = submit(rig, run(["a", "1"], ["b", "1"]));
  const given = new AbortController();
  const second = submit(rig, run(["a", "2"], ["c", "2"]), { signal: given.signal });
  await rig.settle();
  assert.equal(rig.store.stats().waitingCalls, 1);
  given.abort();
  await rejects(second, "CANCELLED", "not-applied");
  gate.open();
  await first;
  assert.deepEqual(await rig.values("a", "b", "c"), { a: "1", b: "1" });
  await rejects(submit(rig, run(["a", "3"]), { signal: given.signal }), "CANCELLED");
  await rig.store.close();
  const late = await submit(rig, run(["a", "4"])).catch((error: KvixError) => error.reason);
  assert.equal(late, "STORE_CLOSING");
});

test("runs fill small segments like any sets, and none is longer than a segment", async () => {
  const rig = await Rig.open({ segmentBytesMax: 600 });
  assert.equal(rig.store.setRunBytesMax, 600);
  const expected: Record<string, string> = {};
  for (let turn = 0; turn < 20; turn += 1) {
    const pairs = [0, 1, 2, 3].map((at) => [`key-${turn}-${at}`, `value-${turn}`] as const);
    for (const [key, value] of pairs) expected[key] = value;
    await submit(rig, run(...pairs));
  }
  const reopened = await rig.reopened();
  assert.deepEqual(await reopened.values(...Object.keys(expected)), expected);
  const frames = await reopened.frames();
  assert.equal(frames.length, 80);
  for (const { segment, offset, length } of frames) {
    assert.ok(offset + length <= 600, `${segment} at ${offset}`);
  }
  const tooLong = run(["a", "v".repeat(600 - setRunBytes(1, 0) + 1)]);
  assert.throws(() => reopened.store.submitSets(tooLong, {}, NOBODY), /too long/);
  await reopened.store.close();
});

test("V11: a set counts at least the bytes of its frame, whatever its key, value, version and time, and few more", () => {
  for (const keyBytes of [1, 127, 128, 16_383, 16_384, 65_535]) {
    for (const valueBytes of [0, 127, 128, 16_384, 2 ** 21, 2 ** 27]) {
      const recordBytesMax = recordBytes(keyBytes, valueBytes, VERSION_MAX, EXPIRES_AT_MS_MAX, 0);
      const spare = setRunBytes(keyBytes, valueBytes) - FRAME_HEADER_BYTES - recordBytesMax;
      assert.ok(spare >= 0 && spare <= 32, `${keyBytes} and ${valueBytes}: ${spare}`);
    }
  }
  assert.equal(SET_RUN_BYTES_MAX, 65_536);
});

test("what is wrong with a key of a run is thrown, and nothing of the run is done", async () => {
  const rig = await Rig.open();
  for (const [sets, reason] of [
    [run(["a", "1"], ["", "1"]), "KEY_EMPTY"],
    [run(["a", "1"], ["k".repeat(65_536), "1"]), "KEY_TOO_LARGE"],
  ] as const) {
    assert.throws(() => rig.store.submitSets(sets, {}, NOBODY), { reason });
  }
  await rig.settle();
  assert.deepEqual(rig.segmentOperations(), []);
  await rig.store.set(bytes("a"), bytes("1"), never);
  await rig.store.close();
});

const NOBODY: Outcome<SetRunResult> = {
  resolve: () => assert.fail("it was answered"),
  reject: () => assert.fail("it was refused"),
};
