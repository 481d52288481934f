/** Commit: what it changes, what it refuses, and that it is all or nothing. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { KeyCondition, Mutation } from "../../src/engine/store.js";
import {
  bytes,
  Gate,
  Rig,
  rejects,
  segmentFiles,
  text,
  versionsOf,
  watch,
} from "../support/store-rig.js";

const set = (key: string, value: string): Mutation => {
  return { kind: "set", key: bytes(key), value: bytes(value) };
};
const drop = (key: string): Mutation => ({ kind: "delete", key: bytes(key) });
const touch = (key: string, ttlMs: number): Mutation => {
  return { kind: "touch", key: bytes(key), expiry: { kind: "ttl", ttlMs } };
};
const add = (key: string, delta: bigint, initial = 0n): Mutation => {
  return { kind: "increment", key: bytes(key), delta, initial };
};
const absent = (key: string): KeyCondition => ({ key: bytes(key), condition: { kind: "absent" } });
const present = (key: string): KeyCondition => ({
  key: bytes(key),
  condition: { kind: "present" },
});
const versionIs = (key: string, version: number): KeyCondition => {
  return { key: bytes(key), condition: { kind: "version", version } };
};

test("a commit makes changes of all kinds, with versions in their order (G-COMMIT-1 G-COMMIT-3)", async () => {
  const rig = await Rig.open();
  const nowMs = rig.sim.clock.wallMs();
  await rig.set("old", "1");
  await rig.set("touched", "kept", { expiry: { kind: "ttl", ttlMs: 1000 } });
  await rig.set("counted", "41");
  const before = rig.store.version;
  const { applied, results, unmet, repeated } = await rig.store.commit([
    set("new", "2"),
    drop("old"),
    drop("nothing"),
    touch("touched", 5000),
    touch("nobody", 5000),
    add("counted", 1n),
    add("fresh", -3n, 10n),
  ]);
  assert.deepEqual([applied, unmet, repeated], [true, [], false]);
  const [v1, v2, v3, v4, v5] = [1, 2, 3, 4, 5].map((step) => before + step);
  const none = { version: 0, expiresAtMs: 0, found: false, value: 0n };
  assert.deepEqual(results, [
    { ...none, version: v1 },
    { ...none, version: v2, found: true },
    none,
    { ...none, version: v3, found: true, expiresAtMs: nowMs + 5000 },
    none,
    { ...none, version: v4, value: 42n },
    { ...none, version: v5, value: 7n },
  ]);
  const keys = ["new", "old", "touched", "counted", "fresh"];
  const values = { new: "2", touched: "kept", counted: "42", fresh: "7" };
  assert.deepEqual(await rig.values(...keys), values);
  const frames = (await rig.frames()).filter(({ isBatch }) => isBatch);
  assert.deepEqual(
    frames.map(({ records }) => records.length),
    [5],
  );
  const next = await rig.killed();
  assert.deepEqual(await next.values(...keys), values);
  await next.store.close();
});

test("each mutation sees what stood before the commit, and conditions need not name the keys that change (G-COMMIT-2)", async () => {
  const rig = await Rig.open();
  const { version } = await rig.set("guard", "1");
  await rig.set("a", "1");
  const met = await rig.store.commit([add("a", 1n), set("b", "1")], {
    conditions: [versionIs("guard", version), absent("b"), present("a"), absent("c")],
  });
  assert.equal(met.applied, true);
  assert.deepEqual(await rig.values("a", "b"), { a: "2", b: "1" });
  await rig.store.close();
});

test("an unmet condition changes nothing, and tells what stands (G-COMMIT-2 G-COMMIT-4)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  await rig.set("gone", "1", { expiry: { kind: "ttl", ttlMs: 10 } });
  await rig.sim.clock.advance(10);
  const { version } = rig.store;
  const { applied, results, unmet } = await rig.store.commit([set("b", "1"), add("a", 1n)], {
    conditions: [absent("b"), absent("a"), present("missing"), present("gone"), versionIs("d", 9)],
  });
  assert.deepEqual([applied, results], [false, []]);
  assert.deepEqual(
    unmet.map(({ index, current }) => [index, current?.version]),
    [
      [1, 1],
      [2, undefined],
      [3, undefined],
      [4, undefined],
    ],
  );
  const [first] = unmet;
  const record = first?.current?.record;
  assert.ok(typeof record === "object");
  assert.equal(text(record.value), "1");
  assert.equal(first?.current?.recordBytes, record.payload.length);
  assert.equal(rig.store.version, version);
  assert.deepEqual(await rig.values("a", "b"), { a: "1" });
  await rig.store.close();
});

test("what stands comes whole, bare or marked, as the answer has room (G-COMMIT-4)", async () => {
  const rig = await Rig.open();
  const keys = ["a", "b", "c", "d"];
  for (const key of keys) await rig.set(key, "x".repeat(200));
  const told = async (unmetBytesMax: number) => {
    const conditions = keys.map(absent);
    const { unmet } = await rig.store.commit([], { conditions, unmetBytesMax });
    return unmet.map(({ current }) => {
      assert.equal(current?.recordBytes, 216);
      if (typeof current.record !== "string") return "whole";
      return current.key.length > 0 ? "bare" : "marked";
    });
  };
  assert.deepEqual(await told(4_194_304), ["whole", "whole", "whole", "whole"]);
  assert.deepEqual(await told(96 + 248 + 73), ["whole", "bare", "marked", "marked"]);
  assert.deepEqual(await told(0), ["marked", "marked", "marked", "marked"]);
  await rig.store.close();
});

test("a commit without mutations tells whether its conditions hold, and appends nothing (G-COMMIT-5)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const { version } = rig.store;
  const requestId = bytes("0123456789abcdef");
  const ask = () => rig.store.commit([], { conditions: [present("a")], requestId });
  assert.deepEqual(await ask(), { applied: true, results: [], unmet: [], repeated: false });
  await rig.delete("a");
  assert.equal((await ask()).applied, false, "it is evaluated anew");
  assert.equal(rig.store.version, version + 1);
  const error = await rejects(rig.store.commit([]), "FIELD_INVALID", "not-applied");
  assert.equal(error.metadata["field"], "mutations");
  await rig.store.close();
});

test("a commit is refused as a whole by any mutation that cannot be made (G-COMMIT-1)", async () => {
  const rig = await Rig.open();
  await rig.set("word", "abc");
  await rig.set("full", "9223372036854775807");
  const { version } = rig.store;
  const word = await rejects(rig.store.commit([set("b", "1"), add("word", 1n)]), "NOT_A_NUMBER");
  assert.equal(word.metadata["field"], "mutations[1].increment.key");
  const full = await rejects(rig.store.commit([add("full", 1n), set("b", "1")]), "NUMBER_OVERFLOW");
  assert.equal(full.metadata["field"], "mutations[0].increment.key");
  assert.equal(rig.store.version, version);
  assert.equal(rig.store.exists(bytes("b")), undefined);
  // What was refused left nothing behind that a later write could stumble over.
  assert.deepEqual(versionsOf((await rig.store.commit([set("b", "1")])).results), [version + 1]);
  await rig.store.close();
});

test("a wrong field of a commit is named by its path (G-COMMIT-6)", async () => {
  const rig = await Rig.open();
  const long = "x".repeat(65_536);
  const bad = { kind: "set", key: bytes("a"), value: bytes(""), expiry: { kind: "ttl", ttlMs: 0 } };
  const many = Array.from({ length: 10_001 }, (_, index) => drop(`${index}`));
  const guards = Array.from({ length: 10_001 }, (_, index) => absent(`${index}`));
  const wrong: [readonly Mutation[], readonly KeyCondition[], string, string][] = [
    [[set("a", "1"), drop("b"), drop("a")], [], "FIELD_INVALID", "mutations[2].delete.key"],
    [[], [absent("a"), present("a")], "FIELD_INVALID", "conditions[1].key"],
    [[drop("a"), bad as Mutation], [], "FIELD_INVALID", "mutations[1].set.ttl"],
    [[set("", "1")], [], "KEY_EMPTY", "mutations[0].set.key"],
    [[touch(long, 1)], [], "KEY_TOO_LARGE", "mutations[0].touch.key"],
    [[add("a", 2n ** 63n)], [], "FIELD_INVALID", "mutations[0].increment.delta"],
    [[drop("a")], [versionIs("b", 0)], "FIELD_INVALID", "conditions[0].precondition.version"],
    [many, [], "BATCH_TOO_LARGE", "mutations"],
    [[drop("a")], guards, "FIELD_INVALID", "conditions"],
  ];
  for (const [mutations, conditions, reason, field] of wrong) {
    const call = rig.store.commit(mutations, { conditions });
    const error = await rejects(call, reason as "FIELD_INVALID", "not-applied");
    assert.equal(error.metadata["field"], field);
    assert.match(error.message, new RegExp(field.replaceAll("[", "\\[")));
  }
  for (const length of [0, 15, 65]) {
    const call = rig.store.commit([drop("a")], { requestId: new Uint8Array(length) });
    assert.equal((await rejects(call, "FIELD_INVALID")).metadata["field"], "request_id");
  }
  assert.equal(rig.store.version, 0);
  await rig.store.close();
});

test("V11: touches of more than a frame can hold are refused, and nothing is read for them (G-COMMIT-6)", async () => {
  const rig = await Rig.open();
  const half = "x".repeat(70 * 1024 * 1024);
  await rig.set("a", half);
  await rig.set("b", half);
  let reads = 0;
  rig.injector = ({ op }) => {
    if (op === "read") reads += 1;
    return undefined;
  };
  await rejects(rig.store.commit([touch("a", 1), touch("b", 1)]), "BATCH_TOO_LARGE", "not-applied");
  assert.equal(reads, 0);
  assert.equal((await rig.store.commit([touch("a", 60_000)])).applied, true);
  assert.ok(reads > 0);
  await rig.store.close();
});

test("a commit reads what it builds on before it is accepted, also many records and large ones (G-COMMIT-1)", async () => {
  const rig = await Rig.open();
  const keys = Array.from({ length: 300 }, (_, index) => `k${index}`);
  await rig.store.commit(keys.map((key, index) => set(key, `${index}`)));
  await rig.set("large", "y".repeat(100_000));
  const changes = [...keys.map((key) => add(key, 1n)), touch("large", 60_000)];
  const commit = watch(rig.store.commit(changes));
  // It stands first in the line while it reads; who comes later sees it.
  const late = await rig.set("k7", "8", { condition: { kind: "version", version: 1 } });
  assert.equal(late.applied, false);
  assert.equal(text(late.current?.value ?? bytes("")), "8");
  assert.equal(commit.value?.results[7]?.value, 8n);
  const values = await rig.values(...keys);
  assert.deepEqual(
    Object.values(values),
    keys.map((_, index) => `${index + 1}`),
  );
  await rig.store.close();
});

test("V14: a refusal that tells of what is not durable yet waits for it (G-COMMIT-7)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) => {
    return op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  };
  const write = watch(rig.set("a", "word"));
  await rig.settle();
  const refused = [
    watch(rig.store.increment(bytes("a"), 1n)),
    watch(rig.store.commit([add("a", 1n)])),
    watch(rig.store.commit([], { conditions: [versionIs("a", 1)] })),
    watch(rig.store.commit([set("b", "1")], { conditions: [present("missing")] })),
  ];
  await rig.settle();
  assert.deepEqual(
    [write, ...refused].map(({ state }) => state),
    Array(5).fill("pending"),
  );
  gate.open();
  await rig.settle();
  const states = ["rejected", "rejected", "resolved", "resolved"];
  assert.deepEqual(
    refused.map(({ state }) => state),
    states,
  );
  await rig.store.close();
});

test("D6: on a full disk a commit of deletes goes on, any other is refused (G-COMMIT-8)", async () => {
  const rig = await Rig.open();
  for (const key of ["a", "b", "c"]) await rig.set(key, "1");
  rig.sim.files.capacityBytes -= rig.sim.files.disk.freeBytes;
  await rig.sim.clock.advance(300);
  const mixed = [drop("a"), set("b", "2")];
  await rejects(rig.store.commit(mixed), "NO_SPACE", "not-applied");
  await rejects(rig.store.commit([touch("b", 1)]), "NO_SPACE", "not-applied");
  await rejects(rig.store.increment(bytes("a"), 1n), "NO_SPACE", "not-applied");
  const told = await rig.store.commit([], { conditions: [present("a")] });
  assert.equal(told.applied, true);
  assert.deepEqual(await rig.values("a", "b", "c"), { a: "1", b: "1", c: "1" });
  await rig.store.close().catch(() => undefined);
});

test("a delete of an expired record takes it away, and says that there was none (G-COMMIT-3)", async () => {
  const rig = await Rig.open({ trustClock: false });
  await rig.set("a", "1", { expiry: { kind: "at", atMs: 1 } });
  const { results } = await rig.store.commit([drop("a"), set("b", "1")]);
  assert.deepEqual(
    results.map(({ version, found }) => [version, found]),
    [
      [0, false],
      [3, false],
    ],
  );
  const [batch] = (await rig.frames()).filter(({ isBatch }) => isBatch);
  assert.deepEqual(
    batch?.records.map(({ key, version, isExpired }) => [key, version, isExpired]),
    [
      ["a", 2, true],
      ["b", 3, false],
    ],
  );
  await rig.store.close();
});
