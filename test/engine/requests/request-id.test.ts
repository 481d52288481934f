/**
 * Requests that bear an id: a repeat changes nothing and is answered as the first
 * was, whatever came between.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { LocalStore } from "../../../src/engine/local-store.js";
import type { CommitOptions, Mutation } from "../../../src/engine/store.js";
import { bytes, Gate, Rig, rejects, segmentFiles, watch } from "../../support/store-rig.js";

const id = (name: string): Uint8Array => bytes(name.padEnd(16, "."));
const set = (key: string, value: string): Mutation => {
  return { kind: "set", key: bytes(key), value: bytes(value) };
};
const drop = (key: string): Mutation => ({ kind: "delete", key: bytes(key) });
const holdSyncs = (rig: Rig): Gate => {
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  return gate;
};

/** An increment of "n" by one, under an id. */
const add = (store: LocalStore, name: string, options: CommitOptions = {}) =>
  store.increment(bytes("n"), 1n, { ...options, requestId: id(name) });

test("a repeat of an increment adds nothing, and is answered as the first one was (G-REQID-1)", async () => {
  const rig = await Rig.open();
  const first = await add(rig.store, "one");
  assert.deepEqual(first, { value: 1n, version: 1, expiresAtMs: 0, repeated: false });
  await add(rig.store, "two");
  assert.deepEqual(await add(rig.store, "one"), { ...first, repeated: true });
  assert.equal(await rig.get("n"), "2");
  assert.equal(rig.store.version, 2);
  await rig.store.close();
});

test("a repeat of a commit changes nothing, also if its conditions would not hold any more (G-REQID-1)", async () => {
  const rig = await Rig.open();
  await rig.set("old", "1");
  const commit = () =>
    rig.store.commit(
      [
        set("new", "1"),
        drop("old"),
        { kind: "increment", key: bytes("n"), delta: -5n, initial: 0n },
      ],
      {
        conditions: [{ key: bytes("new"), condition: { kind: "absent" } }],
        requestId: id("commit"),
      },
    );
  const first = await commit();
  await rig.set("old", "again");
  await rig.delete("new");
  const repeat = await commit();
  assert.deepEqual(repeat, { ...first, repeated: true });
  assert.deepEqual(await rig.values("new", "old", "n"), { old: "again", n: "-5" });
  await rig.store.close();
});

test("an id that names another request is refused, pending or not (G-REQID-2)", async () => {
  const rig = await Rig.open();
  const gate = holdSyncs(rig);
  const first = watch(add(rig.store, "one"));
  const others = () => [
    rig.store.increment(bytes("n"), 2n, { requestId: id("one") }),
    rig.store.increment(bytes("m"), 1n, { requestId: id("one") }),
    rig.store.increment(bytes("n"), 1n, { requestId: id("one"), initial: 1n }),
    rig.store.increment(bytes("n"), 1n, {
      requestId: id("one"),
      expiry: { kind: "ttl", ttlMs: 5 },
    }),
    rig.store.commit([{ kind: "increment", key: bytes("n"), delta: 1n, initial: 0n }], {
      requestId: id("one"),
    }),
  ];
  const early = others().map((call) => rejects(call, "REQUEST_ID_REUSED", "not-applied"));
  await rig.settle();
  gate.open();
  for (const error of await Promise.all(early)) {
    assert.equal(error.metadata["field"], "request_id");
  }
  assert.equal(first.state, "resolved");
  for (const call of others()) await rejects(call, "REQUEST_ID_REUSED", "not-applied");
  assert.equal(rig.store.version, 1);
  await rig.store.close();
});

test("what is asked for relatively is the same request a while later (G-REQID-2)", async () => {
  const rig = await Rig.open();
  const ask = () =>
    rig.store.increment(bytes("n"), 1n, {
      requestId: id("one"),
      expiry: { kind: "ttl", ttlMs: 60_000 },
    });
  const first = await ask();
  await rig.sim.clock.advance(1000);
  assert.deepEqual(await ask(), { ...first, repeated: true });
  await rig.store.close();
});

test("V14 D1: a repeat is answered no sooner than the first is as durable as it asks (G-REQID-3)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const gate = holdSyncs(rig);
  const first = watch(add(rig.store, "sync"));
  await rig.settle();
  const repeats = [
    watch(add(rig.store, "sync")),
    watch(add(rig.store, "sync", { durability: "buffered" })),
  ];
  await rig.settle();
  assert.deepEqual(
    [first, ...repeats].map(({ state }) => state),
    ["pending", "pending", "pending"],
  );
  gate.open();
  await rig.settle();
  assert.deepEqual(
    repeats.map(({ value }) => value),
    Array(2).fill({ value: 1n, version: 2, expiresAtMs: 0, repeated: true }),
  );
  const again = holdSyncs(rig);
  const buffered = await add(rig.store, "buffered", { durability: "buffered" });
  assert.equal(buffered.value, 2n, "written is enough for it");
  const soon = await add(rig.store, "buffered", { durability: "buffered" });
  assert.deepEqual(soon, { ...buffered, repeated: true });
  const synced = watch(add(rig.store, "buffered"));
  await rig.settle();
  assert.equal(synced.state, "pending");
  again.open();
  await rig.settle();
  assert.equal(synced.value?.repeated, true);
  const next = await rig.powerCut();
  assert.equal((await add(next.store, "buffered")).repeated, true);
  assert.equal(await next.get("n"), "2");
  await next.store.close();
});

test("one that was not applied leaves no trace (G-REQID-4)", async () => {
  const rig = await Rig.open();
  await rig.set("word", "abc");
  const guarded = () =>
    rig.store.commit([set("a", "1")], {
      conditions: [{ key: bytes("guard"), condition: { kind: "present" } }],
      requestId: id("guarded"),
    });
  assert.equal((await guarded()).applied, false);
  const requestId = id("word");
  await rejects(rig.store.increment(bytes("word"), 1n, { requestId }), "NOT_A_NUMBER");
  await rig.set("guard", "1");
  await rig.set("word", "1");
  const second = await guarded();
  assert.deepEqual([second.applied, second.repeated], [true, false]);
  assert.equal((await rig.store.increment(bytes("word"), 1n, { requestId })).value, 2n);
  await rig.store.close();
});

test("a commit that finds nothing to change is remembered all the same (G-REQID-1)", async () => {
  const rig = await Rig.open();
  const ask = (store: LocalStore) => {
    const touch = { kind: "touch", key: bytes("b"), expiry: { kind: "never" } } as const;
    return store.commit([drop("a"), touch], { requestId: id("nothing") });
  };
  const first = await ask(rig.store);
  assert.deepEqual(
    first.results.map(({ version, found }) => [version, found]),
    [
      [0, false],
      [0, false],
    ],
  );
  await rig.set("a", "later");
  assert.deepEqual(await ask(rig.store), { ...first, repeated: true });
  const next = await rig.killed();
  assert.deepEqual(await ask(next.store), { ...first, repeated: true });
  assert.equal(await next.get("a"), "later");
  await next.store.close();
});

test("D6: a first whose append failed is forgotten, and its repeat becomes the first (G-REQID-4)", async () => {
  for (const isSameGroup of [true, false]) {
    const rig = await Rig.open();
    await rig.set("a", "1");
    let isFailing = true;
    rig.injector = ({ op, path }) => {
      if (op !== "write" || !segmentFiles.test(path) || !isFailing) return undefined;
      isFailing = false;
      return { kind: "error", code: "EIO" };
    };
    const first = rejects(add(rig.store, "one"), "WRITE_FAILED", "not-applied");
    if (!isSameGroup) await Promise.resolve();
    const repeat = await add(rig.store, "one");
    await first;
    assert.deepEqual([repeat.value, repeat.repeated], [1n, false]);
    assert.equal((await add(rig.store, "one")).repeated, true);
    assert.equal(await rig.get("n"), "1");
    await rig.store.close();
  }
});

test("V1 V10: a first whose sync failed is unknown; after a restart its repeat finds what became of it (G-REQID-5)", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  await rejects(add(rig.store, "one"), "SYNC_FAILED", "unknown");
  await rejects(add(rig.store, "one"), "STORE_READ_ONLY");
  for (const survives of [true, false]) {
    const next = survives ? await rig.killed() : await rig.powerCut();
    const repeat = await add(next.store, "one");
    assert.equal(repeat.repeated, survives);
    assert.equal(await next.get("n"), "1");
    await next.store.close();
  }
});

test("the id may be used again by its caller's memory, and the digest is of what was asked", async () => {
  const rig = await Rig.open();
  const memory = id("one");
  const first = rig.store.increment(bytes("n"), 1n, { requestId: memory });
  memory.fill(1);
  await first;
  assert.equal((await add(rig.store, "one")).repeated, true);
  await rig.store.close();
});
