/**
 * What survives every opening: versions that are never given twice, segments
 * that never change once sealed, and figures that are the same before and after.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { VERSION_MAX } from "../../src/base/limits.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import type { StoreStats } from "../../src/engine/store-stats.js";
import { VERSION_BLOCK, Versions } from "../../src/engine/versions.js";
import { sealFrame, writeFrameHeader } from "../../src/format/frame.js";
import { encodeRecord, recordBytes } from "../../src/format/record.js";
import type { SimFileSystem } from "../support/sim-file-system.js";
import { type SimHost, simHost } from "../support/sim-host.js";
import {
  fileOf,
  imageOf,
  manifestOf,
  type StoreImage,
  saltOf,
  segmentDir,
  segmentPathOf,
  withFile,
  withManifest,
  withoutHints,
} from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  bytesOf,
  openImage,
  put,
  recordsOf,
  refusalOf,
  richLife,
  smallStore,
  soundState,
  stateOf,
} from "../support/store-life.js";

/** How a session may end; the next one gets the disk that this leaves. */
const endings: Readonly<
  Record<string, (store: LocalStore, host: SimHost) => Promise<SimFileSystem>>
> = {
  close: async (store, host) => {
    await store.close();
    return host.files;
  },
  kill: async (_store, host) => host.files.kill(),
  "lose all": async (_store, host) => host.files.crash({ bytes: "lost", names: "lost" }, 3),
  tear: async (_store, host) => host.files.crash({ bytes: "torn", names: "mixed" }, 5),
  "fail and close": async (store, host) => {
    host.files.onOperation = ({ op, path }) =>
      op === "write" && path.endsWith(".seg") ? "fail" : undefined;
    await assert.rejects(put(store, "failed", "1"), { reason: "WRITE_FAILED" });
    host.files.onOperation = undefined;
    await store.close();
    return host.files;
  },
  "write nothing": async (store, host) => {
    await store.close();
    const idle = simHost({ seed: 2, files: host.files, clock: host.clock });
    await (await openStore(smallStore, idle)).close();
    return host.files;
  },
};

/** Every way to end a session after every other. */
function* sequences(): Generator<readonly string[]> {
  const names = Object.keys(endings);
  for (const first of names) for (const second of names) yield [first, second, first];
}

test("V15 V5 V3: versions only rise, over closes, kills, crashes and failed groups; sealed segments never change", async () => {
  for (const names of sequences()) {
    let host = simHost({ seed: 1 });
    let newest = 0;
    const sealed = new Map<string, Uint8Array>();
    for (const name of names) {
      const where = `${names.join(", ")}: ${name}`;
      const store = await openStore(smallStore, host);
      assert.ok(store.version >= newest, where);
      for (let index = 0; index < 6; index += 1) {
        const key = `k${index}`;
        const buffered = { durability: "buffered" } as const;
        const never = { kind: "never" } as const;
        const written =
          index % 2 === 0
            ? await put(store, key, name.repeat(9))
            : (await store.set(bytesOf(key), bytesOf(name), never, buffered)).version;
        assert.ok(written > newest, `${where}: ${written} after ${newest}`);
        newest = written;
      }
      await store.hintsWritten();
      const end = endings[name];
      assert.ok(end);
      host = simHost({ seed: 1, files: await end(store, host), clock: host.clock });
      requireUnchanged(sealed, imageOf(host.files), where);
    }
    assert.ok(sealed.size >= 1);
  }
});

/** Holds every segment that was ever sealed against what it was then. */
function requireUnchanged(sealed: Map<string, Uint8Array>, image: StoreImage, where: string): void {
  for (const listed of manifestOf(image).segments) {
    const path = segmentPathOf(listed);
    const bytes = fileOf(image, path);
    const known = sealed.get(path);
    if (known !== undefined) assert.deepEqual(bytes, known, `${where}: ${path}`);
    else if (listed.length > 0n) sealed.set(path, bytes);
  }
}

test("V15: what a crash may have used is recorded as lost, one range after the other", async () => {
  let files = simHost({ seed: 1 }).files;
  const newest: number[] = [];
  for (let session = 0; session < 4; session += 1) {
    const host = simHost({ seed: 1, files });
    const store = await openStore(smallStore, host);
    newest.push(await put(store, "k", String(session)));
    files = host.files.kill();
    const ranges = manifestOf(imageOf(files)).lostRanges;
    const expected = newest.slice(0, -1).map((last, index) => ({
      first: BigInt(last + 1),
      last: BigInt((newest[index + 1] as number) - 1),
    }));
    assert.deepEqual(
      ranges.map(({ first, last }) => ({ first, last })),
      expected,
    );
  }
  assert.equal(newest[1], 1 + 1 + VERSION_BLOCK);
});

test("V15: a version block is reserved before its first use, and the next when half of it is used", () => {
  const versions = new Versions(1, 1);
  assert.equal(versions.isReserved(1), false);
  versions.reservedTo(versions.nextMark(1));
  assert.equal(versions.isReserved(1 + VERSION_BLOCK), true);
  assert.equal(versions.isReserved(2 + VERSION_BLOCK), false);
  let taken = 0;
  while (!versions.isRunningLow) taken = versions.take();
  assert.equal(taken, 2 + VERSION_BLOCK / 2);
  versions.reservedTo(versions.nextMark(taken));
  assert.equal(versions.isRunningLow, false);
});

test("V15: the last version is given, and after it every write is refused while reads go on", async () => {
  const built = await buildStore(richLife, "closed");
  const image = withManifest(built.image, (manifest) => {
    manifest.versionMark = BigInt(VERSION_MAX);
    assert.ok(manifest.clean);
    manifest.clean.lastVersion = BigInt(VERSION_MAX - 2);
  });
  const { host, store } = await openImage(image, {}, built.clock);
  assert.equal(await put(store, "a", "last but one"), VERSION_MAX - 1);
  assert.equal(await put(store, "b", "last"), VERSION_MAX);
  await assert.rejects(put(store, "c", "none"), { reason: "VERSIONS_EXHAUSTED" });
  await assert.rejects(store.delete(bytesOf("a")), { reason: "VERSIONS_EXHAUSTED" });
  const state = { ...soundState(built), a: "last but one", b: "last" };
  assert.deepEqual(await stateOf(store, built.keys), state);
  await store.close();
  const again = await openImage(imageOf(host.files), {}, built.clock);
  assert.deepEqual(await stateOf(again.store, built.keys), state);
  await assert.rejects(put(again.store, "c", "none"), { reason: "VERSIONS_EXHAUSTED" });
  await again.store.close();
});

test("I1 I2 V5: the later write wins in the same millisecond and with the clock set back, also after reopening", async () => {
  const host = simHost({ seed: 1 });
  const store = await openStore(smallStore, host);
  await put(store, "mid", "1");
  await put(store, "same", "1");
  await put(store, "same", "2");
  await put(store, "back", "1".repeat(200));
  host.clock.stepWall(-3_600_000);
  await put(store, "back", "2".repeat(200));
  await put(store, "mid", "2");
  await put(store, "fill", "1".repeat(200));
  await put(store, "same", "3");
  await store.close();
  const image = imageOf(host.files);
  const stamps = manifestOf(image).segments.map(({ timestamp }) => timestamp);
  assert.ok(stamps.length >= 3);
  for (let index = 1; index < stamps.length; index += 1) {
    assert.ok((stamps[index] as bigint) > (stamps[index - 1] as bigint));
  }
  // The version decides, not the order in which segments are read.
  const reversed = withManifest(image, ({ segments }) => void segments.reverse());
  for (const each of [image, withoutHints(image), reversed, withoutHints(reversed)]) {
    const again = await openImage(each, {}, host.clock);
    const state = await stateOf(again.store, ["same", "mid", "back"]);
    assert.deepEqual(state, { same: "3", mid: "2", back: "2".repeat(200) });
    await again.store.close();
  }
});

/** The figures that describe what the store holds. */
function holdings({ version, keys, liveBytes, deadBytes, segments }: StoreStats) {
  return { version, keys, liveBytes, deadBytes, segments };
}

/** Keys and bytes, told from the records. */
function counted(built: BuiltStore) {
  const newest = new Map(recordsOf(built).map((record) => [record.key, record]));
  const live = [...newest.values()].filter((record) => !record.isTombstone);
  const liveBytes = live.reduce((sum, { length }) => sum + length, 0);
  const segments = [...built.frames.keys()].map((listed) => segmentPathOf(listed));
  const bytes = segments.reduce((sum, path) => sum + fileOf(built.image, path).length, 0);
  return { keys: live.length, liveBytes, deadBytes: bytes - liveBytes, segments: segments.length };
}

test("I8: the figures are those of the records, before and after reopening, with hints and without", async () => {
  for (const end of ["closed", "killed"] as const) {
    let before: ReturnType<typeof holdings> | undefined;
    const built = await buildStore(async (store, host) => {
      await richLife(store, host);
      before = holdings(store.stats());
    }, end);
    assert.deepEqual({ ...before, version: 0 }, { ...counted(built), version: 0 });
    for (const image of [built.image, withoutHints(built.image)]) {
      const { store } = await openImage(image, {}, built.clock);
      const after = holdings(store.stats());
      if (end === "closed") assert.deepEqual(after, before);
      assert.deepEqual({ ...after, version: 0 }, { ...before, version: 0 });
      await store.close();
    }
  }
});

test("V11: an index that does not fit is refused with the bytes it needs, and opens with these", async () => {
  const built = await buildStore(richLife, "closed");
  for (const image of [built.image, withoutHints(built.image)]) {
    const { host, error } = await refusalOf(image, { indexBytesMax: 1 });
    assert.equal(error.reason, "INDEX_LIMIT_TOO_SMALL");
    const needed = Number(error.metadata["needed_bytes"]);
    assert.match(error.message, new RegExp(`${needed} bytes`));
    assert.deepEqual(imageOf(host.files), image);
    const { store } = await openImage(image, { indexBytesMax: needed }, built.clock);
    assert.deepEqual(await stateOf(store, built.keys), soundState(built));
    await store.close();
  }
});

test("D2: the directory of a new segment is synced before the manifest names it, and the manifest's before the first append", async () => {
  const host = simHost({ seed: 1 });
  const trace: string[] = [];
  const store = await openStore(smallStore, host);
  host.files.onOperation = ({ op, path, target }) => {
    trace.push(`${op} ${target ?? path}`);
    return undefined;
  };
  for (let index = 0; index < 20; index += 1) await put(store, `k${index}`, "1");
  await store.hintsWritten();
  const created = trace.filter((line) => /^create .*\.seg$/.test(line));
  assert.ok(created.length >= 2);
  for (const line of created) {
    const path = line.slice("create ".length);
    const at = trace.indexOf(line);
    const steps = [
      `syncDirectory ${segmentDir}`,
      "rename /store/MANIFEST",
      "syncDirectory /store",
      `write ${path}`,
      `syncData ${path}`,
    ];
    const order = steps.map((step) => trace.indexOf(step, at));
    assert.ok(
      order.every((place) => place > at),
      path,
    );
    assert.deepEqual(
      order,
      [...order].sort((one, other) => one - other),
      path,
    );
    assert.equal(trace.indexOf(`write ${path}`), order[3], `${path}: no append before`);
  }
  await store.close();
});

test("V9 V3: a sealed segment that has grown is read to its sealed length, and left as it is", async () => {
  const built = await buildStore(richLife, "closed");
  const [listed] = built.sealed;
  assert.ok(listed);
  const path = segmentPathOf(listed);
  const forged = new Uint8Array(17 + recordBytes(1, 6, 999, 1, 0));
  const view = new DataView(forged.buffer);
  writeFrameHeader(view, 0, forged.length - 17, 0, 1);
  encodeRecord(forged, 17, bytesOf("a"), bytesOf("forged"), 999, 1, 0);
  sealFrame(forged, view, 0, forged.length, saltOf(built.image, listed), true);
  const longer = Buffer.concat([fileOf(built.image, path), forged]);
  for (const image of [built.image, withoutHints(built.image)]) {
    const grown = withFile(image, path, longer);
    const { host, store } = await openImage(grown, { recovery: "strict" }, built.clock);
    assert.deepEqual(await stateOf(store, built.keys), soundState(built));
    await store.close();
    assert.deepEqual(Buffer.from(fileOf(imageOf(host.files), path)), longer);
  }
});
