/**
 * Damage that was found once stays known, by whichever way it was found and
 * whatever happens to hint and manifest meanwhile.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { verifyStore } from "../../src/engine/verify.js";
import { Versions } from "../../src/engine/versions.js";
import type { SimFileSystem } from "../support/sim-file-system.js";
import { simHost } from "../support/sim-host.js";
import {
  fileOf,
  flipped,
  hintPathOf,
  hostOf,
  imageOf,
  manifestOf,
  type PlacedRecord,
  type StoreImage,
  segmentPathOf,
  withFile,
  withoutHints,
} from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  corrupt,
  openImage,
  put,
  recordsOf,
  smallStore,
  stateOf,
} from "../support/store-life.js";
import { bytes, Gate, Rig, rejects } from "../support/store-rig.js";

/** The newest record of a key, and the listed segment that it lies in. */
function newestOf(built: BuiltStore, key: string) {
  for (const listed of [built.active, ...[...built.sealed].reverse()]) {
    const frames = built.frames.get(listed) ?? [];
    const record = frames
      .flatMap(({ records }) => records)
      .reverse()
      .find((each) => each.key === key);
    if (record !== undefined) return { record, listed };
  }
  assert.fail(`${key} was written`);
}

/** Inverts all bits of some bytes of a file, there and on the disk below it. */
async function spoil(files: SimFileSystem, path: string, from: number, to: number): Promise<void> {
  const file = await files.open(path, "write");
  const bytes = new Uint8Array(to - from);
  await file.read(bytes, from);
  await file.write(
    bytes.map((byte) => byte ^ 0xff),
    from,
  );
  await file.syncData();
  await file.close();
}

test("V13 V16: the hint of a damaged segment keeps a salvaged key that a write hides which is not durable", async () => {
  const options = { segmentBytesMax: 200 };
  const built = await buildStore(
    async (store) => {
      await put(store, "key", "older");
      for (let index = 0; index < 3; index += 1) await put(store, `f${index}`, "x".repeat(60));
      await put(store, "key", "newer");
      for (let index = 3; index < 8; index += 1) await put(store, `f${index}`, "x".repeat(60));
    },
    "closed",
    options,
  );
  const { record, listed } = newestOf(built, "key");
  assert.ok(built.sealed.includes(listed) && built.sealed.indexOf(listed) > 0);
  const path = segmentPathOf(listed);
  const rotten = flipped(fileOf(built.image, path), (record.offset + record.length - 2) * 8);
  // As a kill soon after the rotation leaves it: the hint is not written yet.
  const image = withFile(withFile(built.image, path, rotten), hintPathOf(listed));
  const gate = new Gate();
  const isHint = (file: string): boolean => hintPathOf(listed) === file.replace(/\.tmp$/, "");
  const rig = await Rig.open(options, hostOf(image, built.clock), ({ op, path: file }) =>
    op === "create" && isHint(file) ? gate.fault : undefined,
  );
  await rejects(rig.get("key"), "RECORD_CORRUPT");
  await rig.set("key", "newest", { durability: "buffered" });
  await rig.settle();
  assert.equal(gate.held, 1, "the hint is written when a newer record hides the key");
  gate.open();
  await rig.store.hintsWritten();
  const next = await rig.powerCut();
  const { open, damage } = next.store.stats();
  assert.equal(open.segmentsFromHints, open.segments - 1, "the hint counts");
  assert.equal(damage.length, 1);
  await rejects(next.get("key"), "RECORD_CORRUPT");
  await next.store.close();
});

/** Rot in the only segment of a store that is open; a read of "rot" finds it. */
async function rottenRig(): Promise<Rig> {
  const built = await buildStore(
    async (store) => void (await put(store, "rot", "rotten")),
    "closed",
  );
  const rig = await Rig.open(smallStore, hostOf(built.image, built.clock));
  const { record, listed } = newestOf(built, "rot");
  const end = record.offset + record.length;
  await spoil(rig.sim.files, segmentPathOf(listed), end - 3, end);
  return rig;
}

/** What a write makes the log change in the manifest; `before` has it ready for that. */
const changes: Readonly<Record<string, { before: number; key: string; value: string }>> = {
  "the first write": { before: 0, key: "a", value: "1" },
  "a reservation of versions": { before: 1, key: "a", value: "1" },
  "a rotation": { before: 1, key: "a", value: "x".repeat(300) },
};

test("V13: damage that a read finds while the manifest is being changed is in the one after it", async (t) => {
  for (const [name, { before, key, value }] of Object.entries(changes)) {
    for (const end of ["close", "kill"] as const) {
      const where = `${name}, ${end}`;
      const rig = await rottenRig();
      for (let count = 0; count < before; count += 1) await rig.set("begun", "1");
      const gate = new Gate();
      let held = 0;
      rig.injector = ({ op, path }) =>
        op === "syncData" && path === "/store/MANIFEST.tmp" && held++ === 0
          ? gate.fault
          : undefined;
      const isLow = name === "a reservation of versions";
      const low = t.mock.getter(Versions.prototype, "isRunningLow", () => isLow && held === 0);
      const written = rig.set(key, value);
      await rig.settle();
      assert.equal(gate.held, 1, where);
      await rejects(rig.get("rot"), "RECORD_CORRUPT");
      gate.open();
      await written;
      await rig.settle();
      low.mock.restore();
      if (end === "close") await rig.store.close();
      const image = imageOf(rig.sim.files);
      assert.equal(manifestOf(image).damagedRanges.length, 1, where);
      if (end === "kill") await rig.store.close();
    }
  }
});

test("V13: damage that a read found before anything was written is in the manifest of the first write", async () => {
  const rig = await rottenRig();
  await rejects(rig.get("rot"), "RECORD_CORRUPT");
  assert.ok(rig.store.stats().condition.degraded);
  await rig.set("a", "1");
  assert.equal(manifestOf(imageOf(rig.sim.files)).damagedRanges.length, 1);
  // The damage stays known when nothing points at it any more.
  await rig.delete("rot");
  const next = await rig.reopened();
  assert.equal(next.store.stats().damage.length, 1);
  assert.ok(next.store.stats().condition.degraded);
  await next.store.close();
});

test("V13: keys of a known range turn unknown when an opening cannot tell them, and stay so", async () => {
  const built = await buildStore(
    async (store) => {
      await put(store, "key", "older");
      await put(store, "key", "newer");
      await put(store, "after", "1");
    },
    "closed",
    { segmentBytesMax: 4096 },
  );
  const rig = await Rig.open({ segmentBytesMax: 4096 }, hostOf(built.image, built.clock));
  const { record, listed } = newestOf(built, "key");
  // Header, tag and length stay: the key itself, and what stands between it and the value.
  const keyAt = record.offset + 17 + 2;
  await spoil(rig.sim.files, segmentPathOf(listed), keyAt - 2, keyAt + "key".length + 2);
  await rejects(rig.get("key"), "RECORD_CORRUPT");
  const told = (at: Rig) => at.store.stats().damage.map(({ keysUnknown }) => keysUnknown);
  assert.deepEqual(told(rig), [false], "the read knew its key");
  await rig.set("begun", "1");
  const next = await rig.reopened();
  assert.deepEqual(told(next), [true], "the opening does not");
  assert.equal(await next.get("key"), "older", "what may show then is why it is told");
  const again = await next.reopened();
  assert.deepEqual(told(again), [true]);
  await again.store.close();
});

test("V13 R3: damage at the end of the log that is known is no torn tail after a power cut", async () => {
  const options = { segmentBytesMax: 4096, flushIntervalMs: 1000 };
  for (const last of ["newer", undefined]) {
    const built = await buildStore(
      async (store) => {
        await put(store, "key", "older");
        if (last === undefined) await store.delete(bytes("key"));
        else await put(store, "key", last);
      },
      "closed",
      options,
    );
    const path = segmentPathOf(built.active);
    const { length } = fileOf(built.image, path);
    const rotten = flipped(fileOf(built.image, path), (length - 1) * 8);
    const rig = await Rig.open(options, hostOf(withFile(built.image, path, rotten), built.clock));
    await rejects(rig.get("key"), "RECORD_CORRUPT");
    // The clean mark goes for good, and what was written after it does not stay.
    await rig.set("lost", "1", { durability: "buffered" });
    const files = rig.sim.files.crash({ bytes: "lost", names: "lost" }, 1);
    const cut = simHost({ seed: 2, files, clock: built.clock });
    const { findings } = await verifyStore(rig.options, cut);
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      ["FRAMES_DAMAGED"],
    );
    const next = await Rig.open(rig.options, cut);
    assert.equal(await next.get("lost"), undefined);
    assert.equal(next.store.stats().open.tornBytesCut, 0);
    assert.ok(next.store.stats().condition.degraded);
    await rejects(next.get("key"), "RECORD_CORRUPT");
    await next.set("after", "1");
    const again = await next.reopened();
    await rejects(again.get("key"), "RECORD_CORRUPT");
    assert.equal(await again.get("after"), "1");
    await again.store.close();
  }
});

const BLOCK_BYTES = 4096;

/** Opens an image on a disk that cannot read one block of a file. */
function onBadDisk(image: StoreImage, built: BuiltStore, path: string, block: number) {
  const host = hostOf(image, built.clock);
  const from = block * BLOCK_BYTES;
  host.files.onOperation = ({ op, path: file, position = 0, lengthBytes = 0 }) => {
    const isHit = position < from + BLOCK_BYTES && from < position + lengthBytes;
    return op === "read" && file === path && isHit ? "fail" : undefined;
  };
  return host;
}

test("V13 R3: a block that the disk cannot read costs the records in it, and no others", async () => {
  const built = await buildStore(
    async (store) => {
      for (let index = 0; index < 60; index += 1) {
        await put(store, `k${index}`, `${index} `.repeat(100 + 5 * index));
      }
    },
    "closed",
    { segmentBytesMax: 20_000 },
  );
  assert.ok(built.sealed.length >= 1);
  const whole = await stateOf((await openImage(built.image, {}, built.clock)).store, built.keys);
  for (const listed of [built.sealed[0] ?? built.active, built.active]) {
    const path = segmentPathOf(listed);
    const blocks = Math.ceil(fileOf(built.image, path).length / BLOCK_BYTES);
    assert.ok(blocks >= 2);
    for (let block = 0; block < blocks; block += 1) {
      const where = `block ${block} of segment ${listed.id}`;
      const isHit = ({ offset, length }: PlacedRecord): boolean =>
        offset < (block + 1) * BLOCK_BYTES && block * BLOCK_BYTES < offset + length;
      const hit = recordsOf(built, (_frame, other) => other === listed).filter(isHit);
      const host = onBadDisk(withoutHints(built.image), built, path, block);
      const rig = await Rig.open(smallStore, host);
      const { damage } = rig.store.stats();
      assert.equal(damage.length, 1, where);
      const state = await stateOf(rig.store, built.keys);
      for (const key of built.keys) {
        const lost = hit.find((record) => record.key === key);
        if (lost === undefined) assert.equal(state[key], whole[key], `${where}: ${key}`);
        else if (state[key] !== "(READ_FAILED)" && state[key] !== corrupt) {
          const [{ keysUnknown, firstVersion, lastVersion }] = damage as [(typeof damage)[number]];
          assert.ok(keysUnknown, `${where}: ${key} is told`);
          assert.ok(firstVersion <= lost.version && lost.version <= lastVersion, where);
        }
      }
      await rig.store.close();
      const strict = onBadDisk(withoutHints(built.image), built, path, block);
      await rejects(Rig.open({ ...smallStore, recovery: "strict" }, strict), "STORE_DAMAGED");
    }
  }
});

test("V13 V1 R2: after a crash, what the disk cannot read at the end of the log is damage, and not cut", async () => {
  const options = { ...smallStore, segmentBytesMax: 60_000 };
  const built = await buildStore(
    async (store) => {
      for (let index = 0; index < 20; index += 1) await put(store, `k${index}`, "x".repeat(700));
      // The last group has several frames: none behind the first has BARRIER.
      await Promise.all(
        [20, 21, 22, 23, 24, 25, 26, 27].map((index) => put(store, `k${index}`, "y".repeat(700))),
      );
    },
    "killed",
    options,
  );
  const path = segmentPathOf(built.active);
  const bytes = fileOf(built.image, path);
  const blocks = Math.ceil(bytes.length / BLOCK_BYTES);
  assert.ok(blocks >= 5);
  for (let block = 0; block < blocks; block += 1) {
    const where = `block ${block} of ${blocks}`;
    const host = onBadDisk(built.image, built, path, block);
    const hook = host.files.onOperation;
    const rig = await Rig.open(options, host);
    const { damage, open } = rig.store.stats();
    assert.equal(damage.length, 1, where);
    assert.equal(open.tornBytesCut, 0, where);
    const state = await stateOf(rig.store, built.keys);
    for (const { key, value, version, offset, length } of recordsOf(built)) {
      const isHit = offset < (block + 1) * BLOCK_BYTES && block * BLOCK_BYTES < offset + length;
      if (!isHit) assert.equal(state[key], value, `${where}: ${key}`);
      else if (state[key] !== corrupt && state[key] !== "(READ_FAILED)") {
        const [range] = damage;
        assert.ok(range?.keysUnknown, `${where}: ${key} is told`);
        assert.ok(range.firstVersion <= version && version <= range.lastVersion, where);
      }
    }
    await rig.set("new", "1");
    await rig.store.hintsWritten();
    await rig.store.close();
    host.files.onOperation = undefined;
    assert.deepEqual(fileOf(imageOf(host.files), path).subarray(0, bytes.length), bytes, where);
    host.files.onOperation = hook;
    const next = await Rig.open(options, host);
    assert.deepEqual(next.store.stats().damage, damage, where);
    assert.deepEqual(await stateOf(next.store, [...built.keys, "new"]), { ...state, new: "1" });
    await next.store.close();
    const strict = onBadDisk(built.image, built, path, block);
    await rejects(Rig.open({ ...options, recovery: "strict" }, strict), "STORE_DAMAGED");
  }
});
