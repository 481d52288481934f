/** Watch: what it tells and when, and what it is refused or ended with. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { WatchOptions, WatchStep } from "../../../src/engine/store-watch.js";
import { compacted, onDemand, takingAll } from "../../support/compaction-rig.js";
import { flipBitAtRest } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { bytes, Gate, Rig, rejects, segmentFiles } from "../../support/store-rig.js";
import { Watcher, wordsOf } from "../../support/watcher.js";

const buffered = { durability: "buffered" } as const;
const mutation = (key: string, value: string) =>
  ({ kind: "set", key: bytes(key), value: bytes(value) }) as const;

/** Begins to watch, in the background. */
function watching(rig: Rig, options: WatchOptions = {}): Watcher {
  return new Watcher(rig.store.watch(options));
}

/** A step in short: its version, and its events. */
const short = ({ version, events, isCurrent, continues }: WatchStep) =>
  [
    version,
    ...events.map(wordsOf),
    ...(isCurrent ? ["current"] : []),
    ...(continues ? ["continues"] : []),
  ].join("|");

test("a watch says at once where it begins, and then tells every change of its keys (G-WATCH-1)", async () => {
  const rig = await Rig.open();
  await rig.set("a1", "old");
  const ranges: Record<string, WatchOptions> = {
    all: {},
    prefix: { prefix: bytes("a") },
    range: { start: bytes("a2"), end: bytes("b2") },
    key: { key: bytes("a2") },
  };
  const watchers = Object.entries(ranges).map(
    ([name, range]) => [name, watching(rig, range)] as const,
  );
  await rig.settle();
  for (const [, watcher] of watchers) assert.deepEqual(watcher.steps.map(short), ["1"]);
  await rig.set("a1", "1");
  await rig.set("a2", "2");
  await rig.set("a2\0", "next");
  await rig.set("b1", "3");
  await rig.set("b2", "4");
  await rig.delete("a2");
  await rig.delete("absent");
  await rig.settle();
  const told = Object.fromEntries(
    watchers.map(([name, watcher]) => [
      name,
      watcher.told.map((each) => each.split(" ")[0]).join(" "),
    ]),
  );
  assert.deepEqual(told, { all: "2 3 4 5 6 7", prefix: "2 3 4 7", range: "3 4 5 7", key: "3 7" });
  assert.equal(watchers[0]?.[1].told.at(-1), "7 delete a2");
  await rig.store.close();
  for (const [, watcher] of watchers) {
    await watcher.over;
    assert.equal(watcher.error?.reason, "STORE_CLOSING");
    assert.equal(watcher.error?.resume?.afterVersion, watcher.version);
  }
});

test("V14: a change is told when it is durable and published, not before (G-WATCH-2)", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  const watcher = watching(rig);
  await rig.set("b", "1", buffered);
  await rig.settle();
  assert.equal(await rig.get("b"), "1", "it is visible");
  assert.deepEqual(watcher.told, []);
  await rig.sim.clock.advance(1100);
  assert.deepEqual(watcher.told, ["1 set b 1"], "the flush makes it durable, and nobody writes");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const sync = rig.set("c", "1");
  await rig.settle();
  assert.equal(watcher.told.length, 1);
  gate.open();
  await sync;
  await rig.settle();
  assert.deepEqual(watcher.told, ["1 set b 1", "2 set c 1"]);
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rejects(rig.set("d", "1"), "SYNC_FAILED");
  await rig.settle();
  assert.equal(watcher.told.length, 2, "nobody knows what became of it");
  await watcher.stop();
  await rig.store.close().catch(() => undefined);
});

test("V14: what stands is told when all of it is durable, not before (G-WATCH-14, G-WATCH-2)", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  await rig.set("a", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  await rig.set("b", "1", buffered);
  assert.equal(await rig.get("b"), "1", "it is visible");
  const watcher = watching(rig, { includeCurrent: true });
  await rig.settle();
  assert.deepEqual([watcher.steps.length, gate.held], [0, 1], "it does not wait for the interval");
  gate.open();
  await rig.settle();
  assert.deepEqual(watcher.steps.map(short), ["0|1 set a 1|2 set b 1|current", "2"]);
  await watcher.stop();
  await rig.store.close();
});

test("the changes of a commit are told at once (G-WATCH-3)", async () => {
  const rig = await Rig.open();
  const [all, some] = [watching(rig), watching(rig, { prefix: bytes("x") })];
  await rig.settle();
  await rig.store.commit([mutation("x1", "1"), mutation("y", "2"), mutation("x2", "3")]);
  await rig.settle();
  assert.deepEqual(all.steps.map(short), ["0", "3|1 set x1 1|2 set y 2|3 set x2 3"]);
  assert.deepEqual(some.steps.map(short), ["0", "3|1 set x1 1|3 set x2 3"]);
  await rig.store.close();
});

test("a commit that does not fit a step is continued in the next, and version stands before it (G-WATCH-4)", async () => {
  const rig = await Rig.open();
  await rig.set("before", "0");
  const value = "v".repeat(100);
  const keys = Array.from({ length: 10 }, (_, index) => `k${index}`);
  await rig.store.commit(keys.map((key) => mutation(key, value)));
  await rig.set("after", "1");
  const steps: WatchStep[] = [];
  for await (const step of rig.store.watch({ afterVersion: 0, bytesMax: 500 })) {
    steps.push(step);
    if (step.version === 12) break;
  }
  assert.deepEqual(
    steps.map(({ version, continues, events }) => [version, continues, events.length]),
    [
      [0, false, 0],
      [1, false, 1],
      [1, true, 3],
      [1, true, 3],
      [1, true, 3],
      [11, false, 1],
      [12, false, 1],
    ],
  );
  assert.deepEqual(
    steps.flatMap(({ events }) => events.map(({ version }) => version)),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  );
  await rig.store.close();
});

test("a record that does not fit a step comes without its value, and so do those of keys_only (G-WATCH-5)", async () => {
  const rig = await Rig.open();
  await rig.set("big", "v".repeat(1000));
  await rig.set("small", "1", { expiry: { kind: "ttl", ttlMs: 60_000 } });
  await rig.delete("small");
  const narrow = watching(rig, { afterVersion: 0, bytesMax: 500 });
  const bare = watching(rig, { afterVersion: 0, keysOnly: true });
  await rig.settle();
  assert.deepEqual(narrow.told, ["1 set big (too-large)", "2 set small 1", "3 delete small"]);
  assert.deepEqual(bare.told, [
    "1 set big (keys-only)",
    "2 set small (keys-only)",
    "3 delete small (keys-only)",
  ]);
  const events = bare.steps.flatMap((step) => step.events);
  assert.deepEqual(
    events.map(({ recordBytes, expiresAtMs }) => [recordBytes > 0, expiresAtMs > 0]),
    [
      [true, false],
      [true, true],
      [false, false],
    ],
  );
  assert.ok((events[0]?.recordBytes ?? 0) > 1000);
  await rig.store.close();
});

test("a watch that has nothing to tell says how far it is, as often as it was asked to (G-WATCH-6)", async () => {
  const rig = await Rig.open();
  const quiet = watching(rig, { prefix: bytes("none"), progressIntervalMs: 1000 });
  const lively = watching(rig, { progressIntervalMs: 1000 });
  await rig.settle();
  for (let index = 0; index < 5; index += 1) {
    await rig.set("k", String(index));
    await rig.sim.clock.advance(600);
  }
  assert.deepEqual(quiet.steps.map(short), ["0", "2", "4", "5"], "after 1 s, 2 s, 3 s");
  assert.equal(lively.steps.filter(({ events }) => events.length === 0).length, 1);
  await rig.sim.clock.advance(3000);
  assert.deepEqual(quiet.steps.slice(4).map(short), ["5", "5", "5"]);
  await rig.store.close();
});

test("who asks less often than the progress interval is told of changes all the same (G-WATCH-6)", async () => {
  const rig = await Rig.open();
  const slow = rig.store.watch({ progressIntervalMs: 100 });
  await slow.next();
  for (let index = 1; index < 4; index += 1) {
    await rig.set("k", String(index));
    await rig.sim.clock.advance(1000);
    assert.deepEqual(
      short((await slow.next()).value as WatchStep),
      `${index}|${index} set k ${index}`,
    );
  }
  await rig.store.close();
});

test("M10: before the floor rises a watch hears how far it is, if that is news (G-WATCH-7)", async () => {
  const options = { ...onDemand, segmentBytesMax: 600, flushIntervalMs: 1 };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, {
    chooseVictims: takingAll(3),
  });
  const quiet = watching(rig, { prefix: bytes("none"), progressIntervalMs: 3_600_000 });
  for (let index = 0; index < 20; index += 1) await rig.set("k", `${index}${"v".repeat(50)}`);
  await rig.settle();
  assert.deepEqual(quiet.steps.map(short), ["0"]);
  await rig.store.hintsWritten();
  let toldBefore = 0;
  rig.injector = ({ op }) => {
    if (op === "rename" && rig.store.logReaders.floor === 0) toldBefore = quiet.version;
    return undefined;
  };
  const run = compacted(rig);
  for (let turn = 0; turn < 20; turn += 1) await rig.sim.clock.advance(100);
  assert.equal((await run).outcome, "completed");
  const { floor } = rig.store.logReaders;
  assert.ok(floor > 0 && toldBefore >= floor, `${toldBefore} was told, the floor is ${floor}`);
  assert.ok(quiet.version >= floor, "what it says can be resumed");
  await rejects((async () => rig.store.watch({ afterVersion: floor - 1 }))(), "HISTORY_LOST");
  const resumed = watching(rig, { afterVersion: quiet.version });
  await rig.settle();
  assert.equal(resumed.error, undefined);
  await rig.store.close();
});

test("an expired key is told as EXPIRE when it is swept, a write over an unswept one as SET alone (G-WATCH-8)", async () => {
  const rig = await Rig.open();
  const watcher = watching(rig);
  const ttl = { kind: "ttl", ttlMs: 50 } as const;
  await rig.set("swept", "1", { expiry: ttl });
  await rig.sim.clock.advance(1000);
  assert.deepEqual(watcher.told, ["1 set swept 1", "2 expire swept"]);
  await rig.set("over", "1", { expiry: { kind: "at", atMs: 1 } });
  await rig.set("over", "2");
  await rig.set("gone", "1", { expiry: { kind: "at", atMs: 1 } });
  const { deleted } = await rig.delete("gone");
  assert.equal(deleted, false);
  await rig.sim.clock.advance(1000);
  assert.deepEqual(watcher.told.slice(2), [
    "3 set over 1",
    "4 set over 2",
    "5 set gone 1",
    "6 expire gone",
  ]);
  await rig.store.close();
});

test("what was never given, is lost or makes no sense is refused, and the refusal says where history begins (G-WATCH-9)", async () => {
  const rig = await Rig.open();
  const { version } = await rig.set("a", "1");
  const opens = (options: WatchOptions, on = rig) => (async () => on.store.watch(options))();
  const future = await rejects(opens({ afterVersion: version + 1 }), "HISTORY_LOST", "none");
  assert.equal(future.row.status, "OUT_OF_RANGE");
  assert.deepEqual(future.resume, { afterVersion: version + 1, historyFloor: 0 });
  assert.equal(future.metadata["floor"], 0);
  const next = await rig.killed();
  await rejects(opens({ afterVersion: version + 1 }, next), "HISTORY_LOST");
  await next.store.watch({ afterVersion: version }).return?.();
  for (const options of [
    { afterVersion: -1 },
    { afterVersion: 2 ** 48 },
    { afterVersion: 0, includeCurrent: true },
    { progressIntervalMs: 99 },
    { progressIntervalMs: 3_600_001 },
    { bytesMax: 0 },
    { prefix: bytes("a"), end: bytes("b") },
    { key: bytes("a"), prefix: bytes("b") },
    { key: bytes("a"), start: bytes("b") },
    { key: bytes("a"), end: bytes("b") },
    { start: bytes("b"), end: bytes("a") },
    { prefix: new Uint8Array(65_536) },
  ]) {
    await rejects(opens(options, next), "FIELD_INVALID");
  }
  await rejects(opens({ key: new Uint8Array(65_536) }, next), "KEY_TOO_LARGE");
  await next.store.close();
  await rejects(opens({}, next), "STORE_CLOSING");
});

test("V13: damage that a watch meets among the changes ends it with the range (G-WATCH-10)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 300 });
  for (let index = 0; index < 10; index += 1) await rig.set(`k${index}`, "v".repeat(80));
  await rig.store.hintsWritten();
  const frame = (await rig.frames()).find(({ records }) => records[0]?.key === "k4");
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 1) * 8);
  const watcher = watching(rig, { afterVersion: 0 });
  await rig.settle();
  await watcher.over;
  assert.deepEqual(watcher.told.length, 4);
  assert.equal(watcher.error?.reason, "RECORD_CORRUPT");
  assert.equal(watcher.error?.row.status, "DATA_LOSS");
  const { first_version: first, last_version: last } = watcher.error?.metadata ?? {};
  assert.deepEqual([first, last], [5, 5]);
  assert.deepEqual(watcher.error?.resume, { afterVersion: 4, historyFloor: 5 });
  await rejects((async () => rig.store.watch({ afterVersion: 4 }))(), "HISTORY_LOST");
  const beyond = watching(rig, { afterVersion: 5 });
  await rig.settle();
  assert.equal(beyond.told.length, 5);
  await rig.store.close();
});

test("a watch ends when its signal is aborted or it is left, and lets go of all it holds", async () => {
  const rig = await Rig.open();
  const stop = new AbortController();
  const aborted = watching(rig, { signal: stop.signal });
  await rig.settle();
  stop.abort();
  await aborted.over;
  assert.equal(aborted.error?.reason, "CANCELLED");
  const early = rig.store.watch({ signal: stop.signal });
  await rejects(early.next(), "CANCELLED");
  assert.deepEqual(await early.next(), { done: true, value: undefined });
  const left = watching(rig, { includeCurrent: true });
  await rig.settle();
  await left.stop();
  assert.equal(left.error, undefined);
  const two = rig.store.watch({});
  const first = two.next();
  await assert.rejects(two.next(), /two reads/);
  await first;
  const last = two.next();
  await two.return?.();
  assert.deepEqual(await last, { done: true, value: undefined });
  assert.equal(rig.store.stats().pins, 0);
  await rig.store.close();
});
