/** An append that the disk refuses: its writes fail, nothing else does, and nothing of it comes back. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import type { Fault, Injector } from "../support/faulty-file-system.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";

const refusals: readonly Fault[] = [
  { kind: "error", code: "EIO" },
  { kind: "error", code: "EIO", done: true },
  { kind: "error", code: "ENOSPC" },
  { kind: "error", code: "EFBIG" },
  { kind: "short", lengthBytes: 0, code: "ENOSPC" },
  { kind: "short", lengthBytes: 1, code: "EIO" },
  { kind: "short", lengthBytes: 20, code: "ENOSPC" },
  { kind: "short", lengthBytes: 70, code: "EIO" },
];

/** Refuses the appends from `first` on, `count` of them. */
function refuse(fault: Fault, first: number, count: number): Injector {
  let seen = 0;
  return ({ op, path }) => {
    if (op !== "write" || !segmentFiles.test(path)) return undefined;
    seen += 1;
    return seen > first && seen <= first + count ? fault : undefined;
  };
}

/** One step of a workload: the keys it writes, and with what. */
type Step = (rig: Rig, state: Map<string, string>) => Promise<void>;

/** A set that the state learns of if it is acknowledged; a failure must say "not applied". */
function put(key: string, value: string, durability: "sync" | "buffered" = "sync"): Step {
  return async (rig, state) => {
    const version = await accepted(rig.set(key, value, { durability }));
    if (version) state.set(key, value);
  };
}

function drop(key: string): Step {
  return async (rig, state) => {
    if (await accepted(rig.delete(key))) state.delete(key);
  };
}

function both(one: string, other: string, value: string): Step {
  return async (rig, state) => {
    const sets = [one, other].map((key) => {
      return { kind: "set", key: bytes(key), value: bytes(value) } as const;
    });
    if (!(await accepted(rig.store.commit(sets)))) return;
    for (const key of [one, other]) state.set(key, value);
  };
}

function together(...steps: readonly Step[]): Step {
  return async (rig, state) => {
    await Promise.all(steps.map((step) => step(rig, state)));
  };
}

async function accepted(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    assert.ok(["WRITE_FAILED", "NO_SPACE"].includes(error.reason), error.message);
    assert.equal(error.outcome, "not-applied");
    return false;
  }
}

const long = "x".repeat(120);
const workload: readonly Step[] = [
  put("a", "1"),
  together(put("b", "1"), put("c", long), put("d", "1", "buffered")),
  both("e", "f", "1"),
  put("a", "2", "buffered"),
  together(drop("b"), put("g", long), both("h", "i", long)),
  put("c", "2"),
  drop("a"),
  put("big", "y".repeat(900)),
  put("d", "2"),
];
const keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "big", "after"];

test("D6 B3: whatever append fails, and however, exactly what was acknowledged is there", async () => {
  let refused = 0;
  for (const fault of refusals) {
    for (const count of [1, Number.POSITIVE_INFINITY]) {
      for (let first = 0; first < workload.length + 1; first += 1) {
        const rig = await Rig.open({ segmentBytesMax: 600 });
        const state = new Map<string, string>();
        rig.injector = refuse(fault, first, count);
        const before = rig.faulty.mutations;
        for (const step of workload) {
          await step(rig, state);
          // A full disk is asked again after a quarter of a second.
          await rig.sim.clock.advance(300);
        }
        assert.ok(rig.faulty.mutations > before);
        rig.injector = undefined;
        await rig.sim.clock.advance(300);
        await rig.set("nudge", "1").catch(() => undefined);
        await rig.settle();
        await put("after", "1")(rig, state);
        assert.equal(state.get("after"), "1", "service goes on");
        if (state.size < keys.length - 1) refused += 1;
        const where = `${JSON.stringify(fault)}, append ${first}, ${count} times`;
        const wanted = Object.fromEntries(state);
        assert.deepEqual(await rig.values(...keys), wanted, where);
        assert.ok(!rig.store.stats().condition.latched, where);
        const cut = await rig.powerCut();
        assert.deepEqual(await cut.values(...keys), wanted, `${where}, after a power cut`);
        assert.deepEqual(cut.store.stats().damage, [], where);
        await cut.store.close();
      }
    }
  }
  assert.ok(refused > refusals.length * 10, `${refused} runs lost a write`);
});

test("D6: 'not applied' is answered only after the cut is synced", async () => {
  for (const held of ["truncate", "syncData"]) {
    const rig = await Rig.open();
    await rig.set("a", "1");
    const gate = new Gate();
    rig.injector = ({ op, path }) => {
      if (!segmentFiles.test(path)) return undefined;
      if (op === "write") return { kind: "short", lengthBytes: 9, code: "EIO" };
      return op === held ? gate.fault : undefined;
    };
    rig.trace.length = 0;
    const write = rig.set("b", "1");
    const answer = watch(write);
    await rig.settle();
    assert.equal(gate.held, 1);
    assert.equal(answer.state, "pending", held);
    gate.open();
    await rejects(write, "WRITE_FAILED", "not-applied");
    assert.deepEqual(rig.segmentOperations(), ["write", "truncate", "syncData"]);
    rig.injector = undefined;
    await rig.set("c", "1");
    assert.deepEqual(await rig.values("a", "b", "c"), { a: "1", c: "1" });
    const frames = await rig.frames();
    assert.deepEqual(
      frames.map(({ isBarrier }) => isBarrier),
      [true, true],
      "the cut was synced, so the next frame says so",
    );
    await rig.store.close();
  }
});

test("D6 V10: a cut that fails closes the latch, and the outcome is unknown", async () => {
  for (const failing of ["truncate", "syncData"]) {
    const rig = await Rig.open();
    await rig.set("a", "1");
    rig.injector = ({ op, path }) => {
      if (!segmentFiles.test(path)) return undefined;
      if (op === "write") return { kind: "short", lengthBytes: 9, code: "ENOSPC" };
      return op === failing ? { kind: "error", code: "EIO" } : undefined;
    };
    const group = [rig.set("b", "1"), rig.delete("a")];
    for (const write of group) await rejects(write, "SYNC_FAILED", "unknown");
    rig.injector = undefined;
    await rejects(rig.set("c", "1"), "STORE_READ_ONLY", "not-applied");
    assert.equal(await rig.get("a"), "1");
    assert.ok(rig.store.stats().condition.latched);
    await rejects(rig.store.close(), "SYNC_FAILED");
    const next = await rig.killed();
    assert.equal(await next.get("a"), "1");
    await next.store.close();
  }
});

test("D6 V14: what was queued on top of a failed append is evaluated again", async () => {
  const rig = await Rig.open({ segmentBytesMax: 1 << 20 });
  await rig.set("a", "1");
  const gate = new Gate();
  let appends = 0;
  rig.injector = ({ op, path }) => {
    if (!segmentFiles.test(path)) return undefined;
    if (op === "truncate") return gate.fault;
    if (op === "write") appends += 1;
    return op === "write" && appends === 1 ? { kind: "error", code: "EIO" } : undefined;
  };
  const refused = [rig.set("b", "refused"), rig.delete("a")].map((write) =>
    rejects(write, "WRITE_FAILED", "not-applied"),
  );
  await rig.settle();
  assert.equal(gate.held, 1);
  // Accepted on top of a `b` and of a deleted `a` that will never be.
  const queued = [
    rig.set("b", "won", { condition: { kind: "absent" } }),
    rig.set("a", "2", { condition: { kind: "present" }, returnPrevious: true }),
    rig.set("c", "1", { condition: { kind: "present" } }),
  ];
  gate.open();
  await Promise.all(refused);
  const [won, replaced, missed] = await Promise.all(queued);
  assert.equal(won?.applied, true);
  assert.equal(replaced?.applied, true);
  assert.equal(text(replaced?.previous?.value ?? bytes("")), "1");
  assert.equal(missed?.applied, false);
  assert.deepEqual(await rig.values("a", "b", "c"), { a: "2", b: "won" });
  assert.equal(rig.store.stats().inFlightBytes, 0);
  const frames = await rig.frames();
  assert.deepEqual(
    frames.flatMap(({ records }) => records.map(({ key }) => key)),
    ["a", "b", "a"],
  );
  await rig.store.close();
});

test("D6 V15: versions of a failed append stay unused", async () => {
  const rig = await Rig.open();
  const { version: before } = await rig.set("a", "1");
  rig.injector = refuse({ kind: "error", code: "EIO" }, 0, 1);
  await Promise.all([
    rejects(rig.set("b", "1"), "WRITE_FAILED"),
    rejects(rig.set("c", "1"), "WRITE_FAILED"),
  ]);
  const { version: after } = await rig.set("d", "1");
  assert.equal(after, before + 3);
  assert.equal(rig.store.version, after);
  const next = await rig.reopened();
  assert.deepEqual(await next.values("a", "b", "c", "d"), { a: "1", d: "1" });
  await next.store.close();
});

test("D6: a failed append leaves the index's figures as they were", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const { keys: count, liveBytes, deadBytes, bytesAppended } = rig.store.stats();
  rig.injector = refuse({ kind: "short", lengthBytes: 30, code: "EIO" }, 0, 1);
  await Promise.all([
    rejects(rig.set("a", "22"), "WRITE_FAILED"),
    rejects(rig.set("b", "1"), "WRITE_FAILED"),
  ]);
  const after = rig.store.stats();
  assert.deepEqual(
    [after.keys, after.liveBytes, after.deadBytes, after.bytesAppended, after.inFlightBytes],
    [count, liveBytes, deadBytes, bytesAppended, 0],
  );
  await rig.store.close();
});

test("D6 V14: a cut that is synced has made durable what was written before it, and an answer upon that waits for nothing", async () => {
  const rig = await Rig.open({ flushIntervalMs: 1000 });
  await rig.set("first", "1");
  const { version } = await rig.set("a", "1", { durability: "buffered" });
  assert.equal(rig.store.stats().durableVersion, version - 1);
  rig.injector = refuse({ kind: "error", code: "EIO" }, 0, 1);
  await rejects(rig.set("b", "1"), "WRITE_FAILED", "not-applied");
  assert.equal(rig.store.stats().durableVersion, version);
  rig.trace.length = 0;
  const { applied } = await rig.set("a", "2", { condition: { kind: "absent" } });
  assert.deepEqual([applied, rig.segmentOperations()], [false, []]);
  const left = await rig.powerCut();
  assert.deepEqual(await left.values("first", "a", "b"), { first: "1", a: "1" });
  await left.store.close();
});

test("M11 I3: a rotation that is refused again and again makes one file, which the next one takes up", async () => {
  const rig = await Rig.open({ segmentBytesMax: 300 });
  await rig.set("a", "v".repeat(200));
  rig.injector = ({ op, path }) =>
    op === "write" && path.endsWith("MANIFEST.tmp") ? { kind: "error", code: "EIO" } : undefined;
  for (let turn = 0; turn < 4; turn += 1) {
    await rejects(rig.set("b", "v".repeat(200)), "WRITE_FAILED", "not-applied");
  }
  rig.injector = undefined;
  await rig.set("b", "v".repeat(200));
  const created = rig.trace.filter(({ op, path }) => op === "create" && segmentFiles.test(path));
  assert.equal(created.length, 2);
  const next = await rig.reopened();
  assert.deepEqual(next.store.stats().open.strayFiles, []);
  assert.deepEqual(await next.values("a", "b"), { a: "v".repeat(200), b: "v".repeat(200) });
  await next.store.close();
});
