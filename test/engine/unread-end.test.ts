/** The end of a log that an opening could not read, and so could not call torn: another can. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Mutation } from "../../src/engine/store.js";
import { injectFault } from "../support/faulty-file-system.js";
import { simHost } from "../support/sim-host.js";
import { bytes, Rig, rejects } from "../support/store-rig.js";

const requestId = bytes("a request of seconds ago");
const mutations: Mutation[] = [
  { kind: "delete", key: bytes("a") },
  { kind: "set", key: bytes("b"), value: bytes("y".repeat(100)), expiry: { kind: "never" } },
];

/**
 * A store whose opening could not read its log, of which the last `cutBytes` had never
 * been written: the end of a commit. The disk reads again now.
 */
async function illStore(cutBytes: number): Promise<Rig> {
  const rig = await Rig.open();
  await rig.set("a", "1");
  await rig.store.commit(mutations, { requestId });
  const [frame] = await rig.frames();
  const path = `/store/segments/${frame?.segment}`;
  const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
  const file = await sim.files.open(path, "write");
  await file.truncate((await file.size()) - cutBytes);
  await file.close();
  const refusal = { op: "read", path: new RegExp(`${frame?.segment}$`), sticky: true } as const;
  const fault = injectFault({ kind: "error", code: "EIO" }, refusal);
  const ill = await Rig.open(rig.options, sim, fault);
  assert.deepEqual(await ill.values("a", "b"), {});
  ill.injector = undefined;
  await ill.set("c", "1");
  await ill.store.hintsWritten();
  return ill;
}

test("B1 R1: of a commit that was cut short nothing is applied, though another opening could not read its end", async () => {
  const well = await (await illStore(40)).killed();
  assert.deepEqual(await well.values("a", "b", "c"), { a: "1", c: "1" });
  await well.store.hintsWritten();
  const again = await well.reopened();
  assert.deepEqual(await again.values("a", "b", "c"), { a: "1", c: "1" });
  assert.equal((await again.store.commit(mutations, { requestId })).repeated, false);
  await again.store.close();
});

test("V1 R3: what is whole in the end of a log counts, though another opening could not read it", async () => {
  const well = await (await illStore(0)).killed();
  assert.deepEqual(await well.values("a", "b", "c"), { b: "y".repeat(100), c: "1" });
  await well.store.hintsWritten();
  const again = await well.reopened();
  assert.deepEqual(await again.values("a", "b", "c"), { b: "y".repeat(100), c: "1" });
  assert.equal((await again.store.commit(mutations, { requestId })).repeated, true);
  await again.store.close();
});

for (const how of ["is rotten", "cannot be read at one opening, and is rotten at the next"]) {
  test(`R2 R7 V13: the end of a log that was closed properly is never torn: it ${how}, and is sealed`, async () => {
    const rig = await Rig.open({ segmentBytesMax: 600, compaction: "manual" });
    await rig.set("a", "1");
    await rig.store.increment(bytes("n"), 1n, { requestId });
    const frame = (await rig.frames()).find(({ isBatch }) => isBatch);
    assert.ok(frame);
    await rig.store.close();
    const path = `/store/segments/${frame.segment}`;
    const rot = async (): Promise<void> => {
      const file = await rig.sim.files.open(path, "write");
      await file.write(new Uint8Array(30), frame.offset + frame.length - 30);
      await file.close();
    };
    const refusal = { op: "read", path: new RegExp(`${frame.segment}$`), sticky: true } as const;
    const fault =
      how === "is rotten" ? undefined : injectFault({ kind: "error", code: "EIO" }, refusal);
    if (fault === undefined) await rot();
    const ill = await Rig.open(rig.options, rig.sim, fault);
    ill.injector = undefined;
    // It does not fit: what was read is sealed as it is.
    await ill.set("large", "x".repeat(500));
    assert.equal(ill.store.segments().length, 2);
    await ill.store.close();
    if (fault !== undefined) await rot();
    const next = await Rig.open(rig.options, rig.sim);
    await rejects(
      next.store.increment(bytes("n"), 1n, { requestId }),
      "PREVIOUS_CORRUPT",
      "applied",
    );
    await next.store.close();
  });
}

const lengths = { p: 200, q: 100, r: 500 };

/** A commit of three records. */
async function commitThree(rig: Rig): Promise<void> {
  await rig.store.commit(
    Object.entries(lengths).map(([key, length]) => {
      const value = bytes("x".repeat(length));
      return { kind: "set", key: bytes(key), value, expiry: { kind: "never" } };
    }),
  );
}

/** What is left of a kill, without the last 40 bytes, opened while the disk refuses a block. */
async function withoutBlock(rig: Rig, block: number): Promise<Rig> {
  const [frame] = await rig.frames();
  const path = `/store/segments/${frame?.segment}`;
  const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
  const file = await sim.files.open(path, "write");
  await file.truncate((await file.size()) - 40);
  await file.close();
  const [from, end] = [block * 4096, block * 4096 + 4096];
  return await Rig.open(rig.options, sim, ({ op, path: at, position = 0, lengthBytes = 0 }) => {
    const isHit = op === "read" && at === path && position < end && position + lengthBytes > from;
    return isHit ? { kind: "error", code: "EIO" } : undefined;
  });
}

for (const [block, fillerBytes] of [
  [0, 4000],
  [1, 9000],
] as const) {
  test(`B1: of a commit that was cut short nothing is applied, though block ${block} before its members cannot be read`, async () => {
    const rig = await Rig.open();
    await rig.set("a", "1");
    await rig.set("filler", "x".repeat(fillerBytes));
    await commitThree(rig);
    const ill = await withoutBlock(rig, block);
    assert.deepEqual(await ill.values("p", "q", "r"), {});
    ill.injector = undefined;
    await ill.set("c", "1");
    const well = await ill.killed();
    assert.deepEqual(await well.values("a", "p", "q", "r", "c"), { a: "1", c: "1" });
    assert.equal((await well.get("filler"))?.length, fillerBytes);
    await well.store.close();
  });
}

test("V1: what was synced before a frame that was cut short is served, though a block before it cannot be read", async () => {
  const rig = await Rig.open();
  await rig.set("filler", "x".repeat(4000));
  await Promise.all(["p", "q", "r"].map((key) => rig.set(key, "x".repeat(200))));
  await rig.set("late", "x".repeat(200));
  const barriers = (await rig.frames()).map(({ isBarrier }) => isBarrier);
  assert.deepEqual(barriers, [true, true, false, false, true]);
  const ill = await withoutBlock(rig, 0);
  assert.deepEqual(Object.keys(await ill.values("q", "r", "late")), ["q", "r"]);
  await ill.store.close();
});
