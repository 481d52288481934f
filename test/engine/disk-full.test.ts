/** A disk that fills up: what is still written, what is refused, and how service comes back. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { simHost } from "../support/sim-host.js";
import { bytes, Gate, Rig, rejects, segmentFiles, watch } from "../support/store-rig.js";

const MiB = 1024 * 1024;
const reserve = "/store/segments/RESERVE";
const options = { diskReserveBytes: 16 * MiB };

/** Leaves so many bytes of the disk free. */
function leaveFree(rig: Rig, freeBytes: number): void {
  const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
  rig.sim.files.capacityBytes = used + freeBytes;
}

/** The bytes of the reserve; undefined: there is none. */
async function reserveBytes(rig: Rig): Promise<Uint8Array | undefined> {
  const entries = await rig.sim.files.list("/store/segments");
  if (!entries.some(({ name }) => name === "RESERVE")) return undefined;
  const file = await rig.sim.files.open(reserve, "read");
  const content = new Uint8Array(await file.size());
  await file.read(content, 0);
  await file.close();
  return content;
}

/** Lets the store look at the disk again, and do what it does about it. */
async function lookAgain(rig: Rig): Promise<void> {
  await rig.sim.clock.advance(300);
  await rig.set("nudge", "1").catch(() => undefined);
  await rig.settle();
}

test("D6: the reserve is of real zeros, enough for a rotation and two manifests, and durable", async () => {
  const rig = await Rig.open(options);
  assert.equal(await reserveBytes(rig), undefined, "opening alone writes nothing");
  await rig.set("a", "1");
  const content = await reserveBytes(rig);
  assert.ok(content !== undefined && content.length >= MiB + 2 * 4096);
  assert.ok(content.every((byte) => byte === 0));
  const synced = rig.trace.some(({ op, path }) => op === "syncData" && path === reserve);
  assert.ok(synced);
  const next = await rig.reopened();
  assert.deepEqual(next.store.stats().open.strayFiles, []);
  await next.store.close();
});

test("D6 P7: below the watermark everything but deletes is NO_SPACE, and the sweep goes on", async () => {
  const rig = await Rig.open(options);
  await rig.set("a", "1");
  await rig.set("b", "1");
  await rig.set("c", "1");
  await rig.set("due", "1", { expiry: { kind: "ttl", ttlMs: 1000 } });
  leaveFree(rig, 16 * MiB - 1);
  await rig.sim.clock.advance(300);
  const { version } = rig.store;
  for (const write of [
    rig.set("d", "1"),
    rig.set("a", "2"),
    rig.set("d", "1", { durability: "buffered" }),
  ]) {
    const error = await rejects(write, "NO_SPACE", "not-applied");
    assert.equal(error.metadata["watermark_bytes"], 16 * MiB);
  }
  const set = { kind: "set", key: bytes("d"), value: bytes("1") } as const;
  const drop = { kind: "delete", key: bytes("b") } as const;
  await rejects(rig.store.commit([set, drop]), "NO_SPACE", "not-applied");
  assert.equal(rig.store.version, version);
  assert.ok(rig.store.stats().condition.full);
  assert.match(rig.store.stats().condition.reasons.join(), /free/);

  assert.equal((await rig.delete("a")).deleted, true);
  const { results } = await rig.store.commit([drop, { kind: "delete", key: bytes("c") }]);
  assert.ok(results.every(({ version }) => version > 0));
  await rig.sim.clock.advance(1000);
  await rig.settle();
  assert.equal(rig.store.stats().keys, 0, "the sweep has expired what was due");
  assert.equal(rig.store.stats().expired, 1);

  leaveFree(rig, 17 * MiB);
  await lookAgain(rig);
  await rig.set("d", "1");
  assert.equal(await rig.get("d"), "1");
  assert.ok(!rig.store.stats().condition.full);
  await rig.store.close();
});

test("D6 D5: on a full disk a condition that is not met is answered, and a close is clean", async () => {
  const rig = await Rig.open(options);
  await rig.set("a", "1");
  leaveFree(rig, 0);
  await rig.sim.clock.advance(300);
  const { applied } = await rig.set("a", "2", { condition: { kind: "absent" } });
  assert.equal(applied, false);
  await rig.store.close();
  const next = await Rig.open(rig.options, rig.sim);
  assert.ok(next.store.stats().open.wasClean, "the reserve has room for the clean mark");
  await next.store.close();
});

test("D6: writes that wait for the disk count against the free space", async () => {
  const rig = await Rig.open(options);
  await rig.set("a", "1");
  leaveFree(rig, 16 * MiB + 10_000);
  await rig.sim.clock.advance(300);
  const value = "x".repeat(1000);
  const writes = Array.from({ length: 40 }, (_, index) => rig.set(`key-${index}`, value));
  const outcomes = await Promise.allSettled(writes);
  const taken = outcomes.filter(({ status }) => status === "fulfilled").length;
  assert.ok(taken >= 4 && taken <= 10, `${taken} writes of 1,000 bytes in 10,000`);
  assert.ok(rig.sim.files.freeBytes("/store") >= 16 * MiB, "the watermark was kept");
  await rig.store.close();
});

test("D6: the value that a touch writes again counts against the free space", async () => {
  const rig = await Rig.open(options);
  await rig.set("large", "x".repeat(20_000));
  await rig.set("small", "1");
  leaveFree(rig, 16 * MiB + 10_000);
  await rig.sim.clock.advance(300);
  const expiry = { kind: "ttl", ttlMs: 1_000_000 } as const;
  await rejects(rig.touch("large", expiry), "NO_SPACE", "not-applied");
  assert.equal((await rig.touch("small", expiry)).found, true);
  await rig.store.close();
});

/** A store whose disk is full to the last byte, its reserve in place. */
async function exhausted(): Promise<Rig> {
  const rig = await Rig.open({ ...options, segmentBytesMax: 4096 });
  for (let index = 0; index < 20; index += 1) await rig.set(`key-${index}`, "x".repeat(500));
  await rig.store.hintsWritten();
  assert.notEqual(await reserveBytes(rig), undefined);
  leaveFree(rig, 0);
  return rig;
}

test("D6 P7: a hard ENOSPC releases the reserve, so that deletes can be written", async () => {
  const rig = await exhausted();
  const results = await Promise.allSettled([
    rig.set("new", "1"),
    rig.delete("key-0"),
    rig.delete("key-1"),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled"],
  );
  assert.equal(await reserveBytes(rig), undefined);
  assert.ok(!rig.store.stats().condition.latched);
  // Enough of them to rotate, with a manifest each time.
  for (let index = 2; index < 20; index += 1) {
    assert.equal((await rig.delete(`key-${index}`)).deleted, true);
  }
  await rejects(rig.set("new", "1"), "NO_SPACE", "not-applied");
  const next = await rig.killed();
  assert.equal(next.store.stats().keys, 0);
  await next.store.close();
});

test("D6 V11: a delete that finds no room on a full disk either is tried once more, and then refused", async () => {
  const rig = await Rig.open({ ...options, diskReserveBytes: 0 });
  await rig.set("a", "1");
  let attempts = 0;
  rig.injector = ({ op, path }) => {
    if (op !== "write" || !segmentFiles.test(path)) return undefined;
    attempts += 1;
    // Past the bound the disk has room again, so that a broken queue ends, and the count tells.
    return attempts < 50 ? { kind: "error", code: "ENOSPC" } : undefined;
  };
  await rejects(rig.delete("a"), "NO_SPACE", "not-applied");
  assert.equal(attempts, 2);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  rig.injector = undefined;
  assert.equal(await rig.get("a"), "1");
  await rig.store.close();
});

test("D6: the reserve is restored first, then service resumes by itself", async () => {
  const rig = await exhausted();
  await rig.delete("key-0");
  assert.equal(await reserveBytes(rig), undefined);
  leaveFree(rig, 64 * MiB);
  const order: string[] = [];
  rig.injector = ({ op, path }) => {
    if (op === "syncData" && path === reserve) order.push("reserve");
    if (op === "write" && segmentFiles.test(path)) order.push("append");
    return undefined;
  };
  await lookAgain(rig);
  order.push("retry");
  await rig.set("new", "1");
  assert.deepEqual(order.slice(0, 3), ["reserve", "retry", "append"]);
  assert.notEqual(await reserveBytes(rig), undefined);
  await rig.store.close();
});

test("D6: a disk that is full again while the reserve is being restored has given it back, and stays full", async () => {
  const rig = await exhausted();
  await rig.delete("key-0");
  leaveFree(rig, 64 * MiB);
  const gate = new Gate();
  let isRefused = false;
  rig.injector = ({ op, path }) => {
    if (op === "syncData" && path === reserve) return gate.fault;
    if (op !== "write" || !segmentFiles.test(path) || isRefused) return undefined;
    isRefused = true;
    return { kind: "error", code: "ENOSPC" };
  };
  await lookAgain(rig);
  assert.equal(gate.held, 1, "it is being restored");
  const deleted = rig.delete("key-1");
  await rig.settle();
  gate.open();
  assert.equal((await deleted).deleted, true);
  assert.ok(isRefused);
  await rig.settle();
  assert.ok(rig.store.stats().condition.full);
  assert.equal(await reserveBytes(rig), undefined);
  await rig.store.close();
});

test("R11 M13: a close waits for the reserve that is being restored: nothing is written behind it", async () => {
  const rig = await exhausted();
  await rig.delete("key-0");
  leaveFree(rig, 64 * MiB);
  const gate = new Gate();
  rig.injector = ({ op, path }) => (op === "syncData" && path === reserve ? gate.fault : undefined);
  await lookAgain(rig);
  assert.equal(gate.held, 1, "it is being restored");
  const closed = watch(rig.store.close());
  await rig.settle();
  assert.equal(closed.state, "pending");
  gate.open();
  await rig.settle();
  assert.equal(closed.state, "resolved");
});

test("D6: a store opened on a disk that is full to the last byte still frees space", async () => {
  const rig = await exhausted();
  const next = await rig.killed();
  leaveFree(next, 0);
  assert.equal(await next.get("key-3"), "x".repeat(500));
  await rejects(next.set("new", "1"), "NO_SPACE", "not-applied");
  assert.equal((await next.delete("key-3")).deleted, true, "the reserve of the last life serves");
  assert.equal(await next.get("key-3"), undefined);
  leaveFree(next, 64 * MiB);
  await lookAgain(next);
  await next.set("new", "1");
  assert.notEqual(await reserveBytes(next), undefined);
  await next.store.close();
});

test("D6: without a reserve the store still says NO_SPACE, and goes on when there is space", async () => {
  const rig = await Rig.open({ diskReserveBytes: 0 });
  await rig.set("a", "1");
  leaveFree(rig, 10);
  await rejects(rig.set("b", "x".repeat(100)), "NO_SPACE", "not-applied");
  assert.equal(await reserveBytes(rig), undefined);
  leaveFree(rig, MiB);
  await lookAgain(rig);
  await rig.set("b", "x".repeat(100));
  assert.deepEqual(await rig.values("a", "b"), { a: "1", b: "x".repeat(100) });
  await rig.store.close();
});

test("D6: a disk that cannot say what is free fails no write", async () => {
  const rig = await Rig.open(options);
  await rig.set("a", "1");
  rig.injector = ({ op }) => (op === "freeBytes" ? { kind: "error", code: "EIO" } : undefined);
  await rig.sim.clock.advance(300);
  await rig.set("b", "1");
  assert.equal(await rig.get("b"), "1");
  await rig.store.close();
});

test("a full disk begins a compaction, at whatever hour", async () => {
  const rig = await Rig.open({ ...options, compactionWindow: "2-3" });
  await rig.set("a", "1");
  await rig.sim.clock.advance(120_000);
  assert.equal(rig.store.stats().compaction.runs, 0);
  leaveFree(rig, 16 * MiB - 1);
  await rejects(rig.set("b", "1"), "NO_SPACE", "not-applied");
  await rig.sim.clock.advance(1000);
  assert.equal(rig.store.stats().compaction.runs, 1);
  await rig.store.close();
});

/** Writes a record of 64 KiB; false: there is no room for it. */
async function hasRoom(rig: Rig, key: string): Promise<boolean> {
  const set = rig.set(key, "v".repeat(65_536), { durability: "buffered" });
  const refused = await set.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (refused === undefined) return true;
  assert.ok(refused instanceof KvixError && refused.reason === "NO_SPACE", String(refused));
  return false;
}

/** Writes until there is no room, though the store has looked at the disk again; answers how many there are. */
async function fill(rig: Rig, name: string): Promise<number> {
  for (let count = 0; ; count += 1) {
    if (await hasRoom(rig, `${name} ${count}`)) continue;
    await rig.sim.clock.advance(300);
    if (!(await hasRoom(rig, `${name} ${count}`))) return count;
  }
}

test("D6 M8 M14: where a disk has filled up deletes go on, a compaction frees it by itself, and writes are taken again", async () => {
  for (const [segmentMiB, reserveMiB] of [
    [1, 5],
    [8, 5],
    // Less than a compaction leaves alone where it can.
    [1, 2],
  ] as const) {
    const sim = simHost({ seed: 1 });
    sim.files.capacityBytes = 80 * MiB;
    const sizes = {
      segmentBytesMax: segmentMiB * MiB,
      diskReserveBytes: reserveMiB * MiB,
    };
    const rig = await Rig.open(sizes, sim);
    await sim.clock.advance(61_000);
    const count = await fill(rig, "first");
    assert.ok(count > 500, `${count} records`);
    for (let index = 0; index < count; index += 5) {
      await rig.delete(`first ${index}`, { durability: "buffered" });
    }
    // Segments that are cheaper to compact let a few more in.
    await fill(rig, "second");
    for (let seconds = 0; !(await hasRoom(rig, "more")); seconds += 1) {
      assert.ok(seconds < 10, JSON.stringify(rig.store.stats().compaction.last));
      await sim.clock.advance(1000);
    }
    for (let index = 0; index < count; index += 1) {
      const value = await rig.get(`first ${index}`);
      assert.equal(value?.length, index % 5 === 0 ? undefined : 65_536);
    }
    await rig.store.close();
  }
});

test("D6: a look at the disk while the reserve is given back does not take the store for served again", async () => {
  const rig = await Rig.open(options);
  await rig.set("a", "1");
  const removing = new Gate();
  // The owner's share is full, of which the free space of the disk says nothing.
  rig.injector = ({ op, path }) => {
    if (op === "write") return { kind: "error", code: "EDQUOT" };
    return op === "remove" && path === reserve ? removing.fault : undefined;
  };
  const refused = rejects(rig.set("b", "1"), "NO_SPACE", "not-applied");
  await rig.settle();
  assert.equal(removing.held, 1);
  await rig.sim.clock.advance(300);
  const meanwhile = watch(rig.set("c", "1"));
  await rig.settle();
  removing.open();
  await refused;
  await rig.settle();
  assert.equal(meanwhile.state, "rejected");
  assert.ok(rig.store.stats().condition.full, "nothing but deletes without a reserve");
  rig.injector = undefined;
  await lookAgain(rig);
  assert.ok(!rig.store.stats().condition.full);
  assert.ok((await reserveBytes(rig)) !== undefined, "it is restored first");
  await rig.set("c", "1");
  await rig.store.close();
});
