/**
 * Whose directory it is, and what else lies in it: strangers' files are kept
 * and told, what cannot be trusted or understood is refused and left unchanged.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Reason } from "../../src/base/error-catalogue.js";
import { SEGMENT_ID_MAX } from "../../src/base/limits.js";
import { openStore } from "../../src/engine/open-store.js";
import { crc32 } from "../../src/format/checksum.js";
import { segmentFileName } from "../../src/format/segment-name.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SegmentSet } from "../../src/storage/segment-set.js";
import type { SimFileSystem } from "../support/sim-file-system.js";
import { simHost } from "../support/sim-host.js";
import {
  dataDir,
  fileOf,
  flipped,
  hostOf,
  imageOf,
  manifestOf,
  manifestPath,
  type StoreImage,
  saltOf,
  segmentDir,
  segmentPathOf,
  withFile,
  withManifest,
  withoutHints,
} from "../support/store-image.js";
import {
  absent,
  buildStore,
  openImage,
  put,
  refusalOf,
  richLife,
  smallStore,
  soundState,
  stateOf,
} from "../support/store-life.js";

const closed = await buildStore(richLife, "closed");
const expected = soundState(closed);

/** Refused with this reason, at any number of attempts, and nothing changed but locks. */
async function requireRefusal(image: StoreImage, reason: Reason, where = ""): Promise<string> {
  const { host, error } = await refusalOf(image);
  assert.equal(error.reason, reason, where);
  await assert.rejects(openStore(smallStore, host), { reason }, `${where}: the locks are free`);
  const left = new Map(imageOf(host.files));
  for (const path of [...left.keys()]) if (path.endsWith("/LOCK")) left.delete(path);
  const before = new Map(image);
  for (const path of [...before.keys()]) {
    if (path.endsWith("/LOCK") || path === `${segmentDir}/`) before.delete(path);
  }
  left.delete(`${segmentDir}/`);
  assert.deepEqual(left, before, where);
  return error.message;
}

test("R9 V9: files of other kinds neither block an opening nor get lost, and are told", async () => {
  const stamp = manifestOf(closed.image).segmentTimestamp;
  const name = segmentPathOf(closed.active).slice(segmentDir.length + 1);
  const strays = [
    `segment_00009_${stamp + 5n}.seg`,
    `segment_00011_${stamp - 5n}.hint`,
    `other_00012_7.seg`,
    `${name}~`,
    `.${name}.swp`,
    `${name}.bak`,
    "segment_1_2.seg",
    "notes.txt",
    "core",
  ];
  let image = closed.image;
  for (const stray of strays) {
    const content = stray.endsWith(".seg") ? new Uint8Array(0) : new Uint8Array([1, 2, 3]);
    image = withFile(image, `${segmentDir}/${stray}`, content);
  }
  image = withFile(image, `${segmentDir}/lost+found/`, new Uint8Array(0));
  // As in the segment directory, also where a file bears a name that is right elsewhere.
  const besides = ["foreign.txt", "MANIFEST.bak", `segment_00013_${stamp + 6n}.seg`, name];
  for (const stray of besides) image = withFile(image, `${dataDir}/${stray}`, new Uint8Array([4]));
  const { host, store } = await openImage(image, {}, closed.clock);
  const told = [...strays, "lost+found", ...besides].sort();
  assert.deepEqual([...store.stats().open.strayFiles].sort(), told);
  assert.equal(host.log.lines.filter((line) => line.level === "warn").length, 1);
  assert.deepEqual(await stateOf(store, closed.keys), expected);
  for (let index = 0; index < 60; index += 1) await put(store, `k${index}`, "1".repeat(100));
  await store.hintsWritten();
  await store.close();
  const after = imageOf(host.files);
  for (const stray of strays) {
    const path = `${segmentDir}/${stray}`;
    assert.deepEqual(after.get(path), image.get(path), stray);
  }
  for (const stray of besides) assert.deepEqual(after.get(`${dataDir}/${stray}`), Uint8Array.of(4));
  assert.ok(after.has(`${segmentDir}/lost+found/`));
  const ids = manifestOf(after).segments.map(({ id }) => id);
  assert.ok(Math.max(...ids) > 12);
  for (const taken of [9, 11, 12]) assert.ok(!ids.includes(taken), `I3: id ${taken} is borne`);
});

test("R9 V9: of one directory for data and segments every file is judged once", async () => {
  const host = simHost({ seed: 1 });
  const one = { ...smallStore, segmentDir: dataDir };
  const store = await openStore(one, host);
  for (let index = 0; index < 12; index += 1) await put(store, `k${index}`, "1".repeat(50));
  await store.hintsWritten();
  await store.close();
  const strange = withFile(imageOf(host.files), `${dataDir}/foreign.txt`, Uint8Array.of(1));
  const again = await openImage(strange, { segmentDir: dataDir }, host.clock);
  assert.deepEqual(again.store.stats().open.strayFiles, ["foreign.txt"]);
  assert.ok(again.store.stats().segments > 1);
  await again.store.close();
});

test("R9 V9: what an interrupted write left behind under .tmp is no obstacle", async () => {
  const hint = segmentPathOf(closed.sealed[0] ?? closed.active).replace(/seg$/, "hint");
  let image = withFile(closed.image, `${dataDir}/MANIFEST.tmp`, new Uint8Array([1]));
  image = withFile(image, `${hint}.tmp`, new Uint8Array([1]));
  image = withFile(image, hint);
  image = withFile(image, `${segmentDir}/STORE.tmp`, new Uint8Array([1]));
  const { host, store } = await openImage(image, {}, closed.clock);
  assert.deepEqual(store.stats().open.strayFiles, []);
  await put(store, "new", "1");
  await store.hintsWritten();
  await store.close();
  const after = imageOf(host.files);
  assert.ok(after.has(hint), "the hint is written again");
  assert.ok(![`${hint}.tmp`, `${dataDir}/MANIFEST.tmp`].some((path) => after.has(path)));
});

test("V9: a manifest that is missing, cut or has any bit flipped is refused with the repair to run", async () => {
  const bytes = fileOf(closed.image, manifestPath);
  assert.ok(closed.image.has(`${dataDir}/MANIFEST.prev`));
  const message = await requireRefusal(withFile(closed.image, manifestPath), "MANIFEST_DAMAGED");
  assert.match(message, /kvix repair --data-dir \/store --segment-dir \/store\/segments/);
  const bare = withFile(withFile(closed.image, manifestPath), `${dataDir}/MANIFEST.prev`);
  await requireRefusal(bare, "MANIFEST_DAMAGED", "segments alone");
  for (let left = 0; left < bytes.length; left += 1) {
    const image = withFile(closed.image, manifestPath, bytes.subarray(0, left));
    await requireRefusal(image, "MANIFEST_DAMAGED", `${left} bytes`);
  }
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const image = withFile(closed.image, manifestPath, flipped(bytes, bit));
    await requireRefusal(image, "MANIFEST_DAMAGED", `bit ${bit}`);
  }
});

test("R10 V9: a manifest of a later format is refused and nothing is changed", async () => {
  const bytes = fileOf(closed.image, manifestPath).slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(8, 2, true);
  view.setUint32(16, crc32(bytes.subarray(20), crc32(bytes.subarray(0, 16))), true);
  await requireRefusal(withFile(closed.image, manifestPath, bytes), "FORMAT_TOO_NEW");
});

test("R10 V9: a sound frame of an unknown version or with unknown flags is refused, never skipped or cut", async () => {
  const killed = await buildStore(richLife, "killed");
  for (const built of [closed, killed]) {
    for (const listed of [...built.sealed, built.active]) {
      const salt = saltOf(built.image, listed);
      const path = segmentPathOf(listed);
      const frames = built.frames.get(listed) ?? [];
      for (const frame of [frames[0], frames.at(-1)]) {
        assert.ok(frame);
        for (const version of [0x02, 0x0f, 0x00, 0x21, 0x51, 0x31 | 0x40]) {
          const bytes = fileOf(built.image, path).slice();
          const view = new DataView(bytes.buffer);
          bytes[frame.offset + 8] = version;
          const end = frame.offset + frame.length;
          view.setUint32(frame.offset, crc32(bytes.subarray(frame.offset + 4, end), salt), true);
          const image = withFile(withoutHints(built.image), path, bytes);
          const where = `version ${version} at ${frame.offset} of segment ${listed.id}`;
          await requireRefusal(image, "FORMAT_TOO_NEW", where);
        }
      }
    }
  }
});

test("V9 V13: the segments of another store, or none at all where some must be, are STORE_MISMATCH", async () => {
  const other = simHost({ seed: 99 });
  await (await openStore(smallStore, other)).close();
  const mark = `${segmentDir}/STORE`;
  const foreign = fileOf(imageOf(other.files), mark);
  assert.notDeepEqual(foreign, fileOf(closed.image, mark));
  await requireRefusal(withFile(closed.image, mark, foreign), "STORE_MISMATCH", "a foreign mark");
  const unmounted = new Map(
    [...closed.image].filter(([path]) => !path.startsWith(`${segmentDir}/`)),
  );
  unmounted.set(`${segmentDir}/`, new Uint8Array(0));
  await requireRefusal(unmounted, "STORE_MISMATCH", "an empty directory");
  const bytes = fileOf(closed.image, mark);
  for (const damaged of [undefined, bytes.subarray(0, 10), flipped(bytes, 70)]) {
    const { host, store } = await openImage(
      withFile(closed.image, mark, damaged),
      {},
      closed.clock,
    );
    assert.deepEqual(await stateOf(store, closed.keys), expected);
    assert.ok(host.log.lines.some((line) => line.message.includes("lost its mark")));
    await store.close();
  }
});

test("V9: what is left of a store without a manifest, in either directory, is refused and never begun anew", async () => {
  const only = (...paths: readonly string[]): StoreImage => {
    const image = new Map<string, Uint8Array>([[`${segmentDir}/`, new Uint8Array(0)]]);
    for (const path of paths) image.set(path, fileOf(closed.image, path));
    return image;
  };
  const segment = segmentPathOf(closed.active);
  const moved = new Map(only(segment));
  moved.set(segment.replace(segmentDir, dataDir), fileOf(closed.image, segment));
  moved.delete(segment);
  const left = [only(`${dataDir}/MANIFEST.prev`), only(segment), moved];
  for (const image of left) await requireRefusal(image, "MANIFEST_DAMAGED");
});

test("V4 V9: a mark without a manifest is what a making has left: the store goes by it", async () => {
  const mark = `${segmentDir}/STORE`;
  const begun = new Map<string, Uint8Array>([[`${segmentDir}/`, new Uint8Array(0)]]);
  begun.set(mark, fileOf(closed.image, mark));
  const { host, store } = await openImage(begun);
  await put(store, "a", "1");
  await store.close();
  const after = imageOf(host.files);
  assert.deepEqual(fileOf(after, mark), fileOf(closed.image, mark));
  assert.deepEqual(manifestOf(after).storeId, manifestOf(closed.image).storeId);
});

test("V9 V13: without its mark a directory must show a segment of the manifest, by id and timestamp", async () => {
  const { prefix, id, timestamp } = closed.active;
  for (const name of [
    segmentFileName(prefix, id + 1, timestamp),
    segmentFileName(prefix, id, timestamp - 1n),
  ]) {
    const image = new Map([...closed.image].filter(([path]) => !path.startsWith(`${segmentDir}/`)));
    image.set(`${segmentDir}/`, new Uint8Array(0));
    image.set(`${segmentDir}/${name}`, new Uint8Array(0));
    await requireRefusal(image, "STORE_MISMATCH", name);
  }
});

test("D2 D3 V1: an opening whose directories could not be synced, and another one, keep what is written", async () => {
  const options = { ...smallStore, dataDir: "/new/store", segmentDir: "/new/store/segments" };
  // The parents, from the top, of which "/" is there, and is synced once for who may have made
  // it; then what has the name of the manifest, and what has the store's mark.
  for (const [failing, at] of [
    ["/", 2],
    ["/new", 1],
    ["/new/store", 1],
    ["/new/store", 2],
    ["/new/store/segments", 1],
  ] as const) {
    const host = simHost({ seed: 1 });
    let met = 0;
    host.files.onOperation = ({ op, path }) => {
      if (op !== "syncDirectory" || path !== failing) return undefined;
      met += 1;
      return met === at ? { code: "EIO", done: "part" } : undefined;
    };
    await assert.rejects(openStore(options, host), /OPEN_FAILED/);
    const store = await openStore(options, host);
    const cut = (files: SimFileSystem, seed: number) =>
      simHost({
        seed,
        files: files.crash({ bytes: "lost", names: "lost" }, 1),
        clock: host.clock,
      });
    const early = await openStore(options, cut(host.files.fork(), 2));
    await early.close();
    await store.set(Buffer.from("a"), Buffer.from("1"), { kind: "never" });
    const next = await openStore(options, cut(host.files, 3));
    const record = await next.get(Buffer.from("a"));
    assert.equal(Buffer.from(record?.value ?? []).toString(), "1", `${failing} ${at}`);
    await next.close();
  }
});

test("P1 V4: a second opening is refused at once and harms nothing; a close or a kill frees the store", async () => {
  const host = hostOf(closed.image, closed.clock);
  const first = await openStore(smallStore, host);
  await assert.rejects(openStore(smallStore, host), { reason: "STORE_LOCKED" });
  const elsewhere = { ...smallStore, dataDir: "/elsewhere", segmentDir };
  await assert.rejects(openStore(elsewhere, host), { reason: "STORE_LOCKED" });
  await put(first, "a", "still there");
  await first.close();
  const second = await openStore(smallStore, host);
  assert.deepEqual(await stateOf(second, ["a"]), { a: "still there" });
  const killed = simHost({ seed: 1, files: host.files.kill(), clock: closed.clock });
  const third = await openStore(smallStore, killed);
  assert.deepEqual(await stateOf(third, ["a"]), { a: "still there" });
  await third.close();
});

test("I3 V5: segment ids wrap around and are told apart by their timestamps; the order of names means nothing", async () => {
  const built = await buildStore(
    async (store) => put(store, "a", "old").then(() => undefined),
    "closed",
  );
  const highest = withManifest(built.image, (manifest) => {
    manifest.segmentId = SEGMENT_ID_MAX - 1;
  });
  const { host, store } = await openImage(highest, {}, built.clock);
  for (let index = 0; index < 12; index += 1) await put(store, "a", `${index}`.repeat(90));
  await store.close();
  const image = imageOf(host.files);
  const ids = manifestOf(image).segments.map(({ id }) => id);
  assert.deepEqual(ids.slice(0, 5), [0, SEGMENT_ID_MAX, 1, 2, 3]);
  for (const each of [image, withoutHints(image)]) {
    const again = await openImage(each, {}, built.clock);
    assert.deepEqual(await stateOf(again.store, ["a"]), { a: "11".repeat(90) });
    await again.store.close();
  }
});

test("I3: all 65,536 ids can be live at once, one more cannot", () => {
  const directories = { data: dataDir, segments: segmentDir };
  const segments = new SegmentSet();
  const storeId = new Uint8Array(16);
  const none = (): boolean => false;
  for (let count = 0; count <= SEGMENT_ID_MAX; count += 1) {
    const id = segments.freeId(77 + count, none);
    assert.equal(id, (78 + count) % (SEGMENT_ID_MAX + 1));
    const name = new SegmentName(directories, storeId, "segment", id as number, 1n);
    segments.add(new Segment(name, undefined, true));
  }
  assert.equal(segments.freeId(5, none), undefined);
});

test("I3 R9: when live segments and strange files bear all ids a rotation is SEGMENTS_EXHAUSTED, and all else goes on", async () => {
  const built = await buildStore(async (store) => void (await put(store, "a", "1")), "closed");
  const image = new Map(built.image);
  for (let id = 1; id <= SEGMENT_ID_MAX; id += 1) {
    image.set(`${segmentDir}/${segmentFileName("segment", id, 1n)}`, new Uint8Array(0));
  }
  const { host, store } = await openImage(image, {}, built.clock);
  await put(store, "b", "1");
  await assert.rejects(put(store, "c", "1".repeat(500)), { reason: "SEGMENTS_EXHAUSTED" });
  assert.deepEqual(await stateOf(store, ["a", "b", "c"]), { a: "1", b: "1", c: absent });
  await put(store, "d", "1");
  await store.close();
  const left = new Map(imageOf(host.files));
  assert.deepEqual([...left.keys()].sort(), [...image.keys()].sort(), "no file is new");
  left.delete(`${segmentDir}/${segmentFileName("segment", 4711, 1n)}`);
  const again = await openImage(left, {}, built.clock);
  await put(again.store, "c", "1".repeat(500));
  await again.store.close();
  const { segments } = manifestOf(imageOf(again.host.files));
  assert.deepEqual(
    segments.map(({ id }) => id),
    [0, 4711],
  );
});
