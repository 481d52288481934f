/** BatchGet: one entry for each key, at one point in time, as far as the answer has room. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import type { BatchGetEntry } from "../../src/engine/store-ranges.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";

const buffered = { durability: "buffered" } as const;

/** An entry in a word: the value, or why there is none. */
function show(entry: BatchGetEntry): string {
  if (typeof entry === "string") return entry;
  return typeof entry.record === "string" ? entry.record : text(entry.record.value);
}

async function shown(rig: Rig, keys: readonly string[], options = {}): Promise<string[]> {
  return (await rig.store.batchGet(keys.map(bytes), options)).entries.map(show);
}

test("every key has its entry, in the order of the request, one that comes twice has two (G-BGET-1)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  await rig.set("b", "2", { expiry: { kind: "ttl", ttlMs: 1000 } });
  await rig.set("c", "3", { expiry: { kind: "at", atMs: 1 } });
  assert.deepEqual(await shown(rig, ["b", "x", "a", "b", "c"]), [
    "2",
    "absent",
    "1",
    "2",
    "absent",
  ]);
  const { entries, version } = await rig.store.batchGet([bytes("b")], { keysOnly: true });
  const [entry] = entries;
  assert.ok(entry !== undefined && typeof entry !== "string");
  const facts = rig.store.exists(bytes("b"));
  assert.deepEqual(
    [entry.record, entry.version, entry.expiresAtMs, entry.recordBytes, version],
    ["keys-only", facts?.version, facts?.expiresAtMs, facts?.recordBytes, rig.store.version],
  );
  await rig.store.close();
  await rejects(rig.store.batchGet([bytes("a")]), "STORE_CLOSING");
});

test("G-BGET-2 I9: an answer is one point in time, however long its records take to be read", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0, segmentBytesMax: 64 * 1024 * 1024 });
  const old = "o".repeat(100_000);
  for (const key of ["a", "b", "c"]) await rig.set(key, old);
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
  const { version } = rig.store;
  const reading = rig.store.batchGet(["a", "b", "c", "d"].map(bytes));
  await rig.settle();
  const mutations = ["a", "b", "d"].map(
    (key) => ({ kind: "set", key: bytes(key), value: bytes("new") }) as const,
  );
  await rig.store.commit(mutations);
  await rig.delete("c");
  gate.open();
  const found = await reading;
  assert.deepEqual(found.entries.map(show), [old, old, old, "absent"]);
  assert.equal(found.version, version);
  rig.injector = undefined;
  assert.deepEqual(await shown(rig, ["a", "b", "c", "d"]), ["new", "new", "absent", "new"]);
  await rig.store.close();
});

test("V14: an answer shows nothing that waits for its sync", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const write = rig.set("a", "2");
  await rig.settle();
  assert.deepEqual(await shown(rig, ["a"]), ["1"]);
  gate.open();
  await write;
  assert.deepEqual(await shown(rig, ["a"]), ["2"]);
  await rig.store.close();
});

test("an answer ends before it is too large, the rest is unread, and asking for the rest again comes to an end (G-BGET-3, V11)", async () => {
  const rig = await Rig.open({ segmentBytesMax: 64 * 1024 * 1024 });
  const keys = Array.from({ length: 40 }, (_, at) => `key ${at}`);
  for (const [at, key] of keys.entries()) {
    if (at % 7 !== 0) await rig.set(key, "v".repeat(at === 20 ? 30_000 : 1000), buffered);
  }
  const expected = keys.map((_, at) =>
    at % 7 === 0 ? "absent" : at === 20 ? "too-large" : "v".repeat(1000),
  );
  let left = keys;
  const found: string[] = [];
  let rounds = 0;
  while (left.length > 0) {
    const entries = await shown(rig, left, { bytesMax: 8000 });
    const read = entries.indexOf("unread");
    const count = read === -1 ? entries.length : read;
    assert.ok(count > 0);
    assert.ok(entries.slice(count).every((entry) => entry === "unread"));
    found.push(...entries.slice(0, count));
    left = left.slice(count);
    rounds += 1;
  }
  assert.deepEqual(found, expected);
  assert.ok(rounds > 4 && rounds < 12, `${rounds} rounds`);
  await rig.store.close();
});

test("damage and a disk that refuses to read are entries, and do not fail the call (G-BGET-4, V13)", async () => {
  const rig = await Rig.open();
  for (const key of ["a", "b", "c"]) await rig.set(key, `value of ${key}`);
  await rig.store.close();
  const [, second] = await rig.frames();
  assert.ok(second);
  const path = `/store/segments/${second.segment}`;
  await flipBitAtRest(rig.sim.files, path, (second.offset + second.length - 1) * 8);
  const again = await Rig.open({ ...rig.options, cacheBytesMax: 0 }, rig.sim);
  const keys = ["a", "b", "c"];
  assert.deepEqual(await shown(again, keys), ["value of a", "unreadable", "value of c"]);
  again.injector = ({ op, path: at }) =>
    op === "read" && segmentFiles.test(at) ? { kind: "error", code: "EIO" } : undefined;
  assert.deepEqual(await shown(again, keys), ["unreadable", "unreadable", "unreadable"]);
  assert.deepEqual(await shown(again, keys, { keysOnly: true }), Array(3).fill("keys-only"));
  await again.store.close();
});

test("no key, 10,001 keys, and a key that is none are refused; 10,000 are answered", async () => {
  const rig = await Rig.open();
  await rejects(rig.store.batchGet([]), "FIELD_INVALID");
  const many = Array.from({ length: 10_001 }, (_, at) => bytes(String(at)));
  await rejects(rig.store.batchGet(many), "FIELD_INVALID");
  await rejects(rig.store.batchGet([bytes("a"), new Uint8Array(0)]), "KEY_EMPTY");
  await rejects(rig.store.batchGet([new Uint8Array(65_536)]), "KEY_TOO_LARGE");
  const { entries } = await rig.store.batchGet(many.slice(1));
  assert.ok(entries.length === 10_000 && entries.every((entry) => entry === "absent"));
  await rig.store.close();
});

test("V11: answers under way share the memory of pages, and who waits may give up", async () => {
  const rig = await Rig.open({ cacheBytesMax: 0, segmentBytesMax: 64 * 1024 * 1024 });
  await rig.set("a", "l".repeat(4_000_000));
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "read" && segmentFiles.test(path) ? gate.fault : undefined;
  const controller = new AbortController();
  const { signal } = controller;
  const answers = Array.from({ length: 20 }, () => {
    return watch(rig.store.batchGet([bytes("a")], { signal }));
  });
  await rig.settle();
  assert.equal(gate.held, 16);
  assert.ok(rig.store.stats().pageBytes <= 64 * 1024 * 1024);
  controller.abort();
  await rig.settle();
  assert.equal(answers.filter(({ state }) => state === "rejected").length, 4);
  gate.open();
  await rig.settle();
  assert.equal(rig.store.stats().pageBytes, 0);
  assert.equal(rig.store.stats().pins, 0);
  await rig.store.close();
});

test("I9: every answer is what a map has, random keys and sizes", async () => {
  const someKey = fc.integer({ min: 0, max: 30 }).map((at) => `key ${at}`);
  const input = fc.record({
    sets: fc.array(fc.tuple(someKey, fc.integer({ min: 0, max: 900 })), { maxLength: 40 }),
    deletes: fc.array(someKey, { maxLength: 10 }),
    asked: fc.array(someKey, { minLength: 1, maxLength: 50 }),
    bytesMax: fc.integer({ min: 1, max: 6000 }),
  });
  await fc.assert(
    fc.asyncProperty(input, async ({ sets, deletes, asked, bytesMax }) => {
      const rig = await Rig.open({ segmentBytesMax: 4000 });
      const map = new Map<string, string>();
      for (const [key, length] of sets) {
        map.set(key, "v".repeat(length));
        await rig.set(key, "v".repeat(length), buffered);
      }
      for (const key of deletes) {
        map.delete(key);
        await rig.delete(key, buffered);
      }
      const entries = await shown(rig, asked, { bytesMax });
      const end = entries.indexOf("unread");
      for (const [at, entry] of entries.entries()) {
        if (end !== -1 && at >= end) assert.equal(entry, "unread");
        else if (entry !== "too-large") assert.equal(entry, map.get(asked[at] ?? "") ?? "absent");
      }
      await rig.store.close();
    }),
    { numRuns: 60 },
  );
});
