/** Uploads and the disk: who is refused for want of space, and when; and what a failing file costs. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Rig, rejects } from "../support/store-rig.js";
import { begin, checksumOf, send, uploadTo } from "../support/transfers.js";

const random = new SimRandom(13);
const MiB = 1024 * 1024;
const stagingFile = /upload_[0-9a-f]+_[0-9a-f]+\.tmp$/;

/** Leaves so much of the simulated disk free. */
function leaveFree(rig: Rig, freeBytes: number): void {
  const { files } = rig.sim;
  files.capacityBytes += freeBytes - files.disk.freeBytes;
}

test("an upload for which the disk has no room twice is refused before its bytes come (G-UP-12)", async () => {
  const rig = await Rig.open({ diskReserveBytes: MiB });
  await rig.set("a", "1");
  leaveFree(rig, 21 * MiB);
  await rig.sim.clock.advance(300);
  const error = await rejects(
    rig.store.upload(bytes("k"), 11 * MiB, { kind: "never" }),
    "NO_SPACE",
    "not-applied",
  );
  assert.equal(error.metadata["free_bytes"], 21 * MiB);
  const one = await begin(rig.store, bytes("one"), 6 * MiB);
  // What the first may still take is not there for a second.
  await rejects(rig.store.upload(bytes("two"), 5 * MiB, { kind: "never" }), "NO_SPACE");
  // A Set, which needs its bytes at once, is not kept waiting by bytes that may never come.
  await rig.store.set(bytes("set"), random.bytes(5 * MiB), { kind: "never" });
  const value = random.bytes(6 * MiB);
  await send(one, value, MiB);
  assert.equal((await one.finish(checksumOf(value))).applied, true);
  await rig.settle();
  assert.equal(rig.store.stats().stagedBytes, 0);
  await rig.store.close();
});

test("a disk that fills up while bytes come ends the upload and gives its space back (G-UP-12)", async () => {
  const rig = await Rig.open({ diskReserveBytes: MiB });
  await rig.set("a", "1");
  const upload = await begin(rig.store, bytes("k"), 8 * MiB);
  await upload.write(random.bytes(4 * MiB));
  leaveFree(rig, 3 * MiB);
  await rig.sim.clock.advance(300);
  await rejects(upload.write(random.bytes(4 * MiB)), "NO_SPACE", "not-applied");
  await rejects(upload.finish(0), "NO_SPACE");
  await rig.settle();
  assert.equal(rig.sim.files.disk.freeBytes, 7 * MiB);
  assert.equal(rig.store.exists(bytes("k")), undefined);
  await rig.store.close();
});

test("a staging file that cannot be made, written or removed costs its own upload only (G-UP-10)", async () => {
  for (const [op, code, reason] of [
    ["create", "EIO", "WRITE_FAILED"],
    ["create", "EMFILE", "WRITE_FAILED"],
    ["create", "ENOSPC", "NO_SPACE"],
    ["write", "EIO", "WRITE_FAILED"],
    ["write", "ENOSPC", "NO_SPACE"],
  ] as const) {
    const rig = await Rig.open();
    await rig.set("a", "1");
    rig.injector = (each) =>
      each.op === op && stagingFile.test(each.path) ? { kind: "error", code } : undefined;
    const upload = await begin(rig.store, bytes("k"), 10);
    await rejects(upload.write(random.bytes(10)), reason, "not-applied");
    await rejects(upload.finish(0), reason);
    rig.injector = undefined;
    await rig.settle();
    const { latched, full } = rig.store.stats().condition;
    assert.deepEqual(
      [latched, full, rig.store.stats().uploads],
      [false, false, 0],
      `${op} ${code}`,
    );
    await uploadTo(rig.store, bytes("k"), random.bytes(10));
    await rig.store.close();
  }
});

test("a staging file that cannot be closed or removed is left, and goes with the next opening (G-UP-5)", async () => {
  for (const op of ["close", "remove"] as const) {
    let rig = await Rig.open();
    rig.injector = (each) =>
      each.op === op && stagingFile.test(each.path) ? { kind: "error", code: "EIO" } : undefined;
    assert.equal((await uploadTo(rig.store, bytes("k"), random.bytes(10))).applied, true);
    await rig.settle();
    assert.equal(rig.store.stats().uploads, 0);
    const isLeft = async (): Promise<boolean> => {
      const entries = await rig.sim.files.list("/store/segments");
      return entries.some(({ name }) => stagingFile.test(name));
    };
    assert.equal(await isLeft(), op === "remove");
    rig.injector = undefined;
    rig = await rig.reopened();
    assert.equal(await isLeft(), false);
    assert.deepEqual(rig.store.stats().open.strayFiles, []);
    await rig.store.close();
  }
});

test("an upload withdraws the mark of a clean close before it makes a file (M5, V8)", async () => {
  let rig = await Rig.open();
  await rig.set("a", "1");
  rig = await rig.reopened();
  rig.trace.splice(0);
  const upload = await begin(rig.store, bytes("k"), 10);
  assert.equal(rig.trace.length, 0);
  await upload.write(random.bytes(10));
  const names = rig.trace.map(({ op, path }) => `${op} ${path.split("/").at(-1)}`);
  const made = names.findIndex((name) => name.startsWith("create upload_"));
  const renamed = names.indexOf("rename MANIFEST.tmp");
  assert.ok(renamed >= 0 && made > renamed, names.join(", "));
  await upload.abort();
  await rig.store.close();
});
