/** What simulate holds against the files of a store: each thing that must not be is refused. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CleanMarkSchema, ManifestSchema, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { encodeManifest } from "../../src/format/manifest.js";
import { segmentFileName } from "../../src/format/segment-name.js";
import { SimFileSystem } from "../support/sim-file-system.js";
import { DiskWatch } from "./simulate/disk-watch.js";
import { DurableView } from "./simulate/durable-view.js";
import { requireSilence } from "./simulate/silence.js";

const segmentDir = "/store/segments";
const listing = { op: "list", path: segmentDir } as const;

interface Listed {
  readonly id: number;
  readonly state: SegmentState;
  readonly length?: bigint;
}

const nameOf = (id: number): string => segmentFileName("segment", id, BigInt(id));

/** A disk with a store's directories, and the watch over it. */
class Disk {
  readonly files = new SimFileSystem();
  readonly watch = new DiskWatch(() => this.files.disk, segmentDir);

  static async make(): Promise<Disk> {
    const disk = new Disk();
    await disk.files.makeDirectory(segmentDir);
    return disk;
  }

  /** Writes a file; what is not synced a power cut may take. */
  async write(path: string, bytes: Uint8Array, isSynced = true): Promise<void> {
    const file = await this.files.open(path, "create");
    await file.write(bytes, 0);
    if (isSynced) await file.syncData();
    await file.close();
  }

  /** A segment with a durable name. */
  async segment(id: number, isSynced = true): Promise<void> {
    await this.write(`${segmentDir}/${nameOf(id)}`, new Uint8Array(100), isSynced);
    await this.files.syncDirectory(segmentDir);
  }

  /** Puts a manifest in the place of the one before. */
  async list(
    segments: readonly Listed[],
    {
      isSynced = true,
      isNamed = true,
      clean = false,
    }: { isSynced?: boolean; isNamed?: boolean; clean?: boolean } = {},
  ): Promise<void> {
    const manifest = create(ManifestSchema, {
      storeId: new Uint8Array(16),
      versionMark: 1000n,
      segmentTimestamp: 99n,
      segmentId: 9,
      segmentPrefix: "segment",
      segments: segments.map((each) => ({
        ...each,
        timestamp: BigInt(each.id),
        prefix: "segment",
      })),
      ...(clean ? { clean: create(CleanMarkSchema, {}) } : {}),
    });
    await this.write("/store/MANIFEST.tmp", encodeManifest(manifest), isSynced);
    await this.files.rename("/store/MANIFEST.tmp", "/store/MANIFEST");
    if (isNamed) await this.files.syncDirectory("/store");
  }
}

const sealed = (id: number, length = 100n): Listed => ({ id, length, state: SegmentState.SEALED });
const removed = (id: number): Listed => ({ id, state: SegmentState.REMOVED });
const removal = (id: number) => ({ op: "remove", path: `${segmentDir}/${nameOf(id)}` }) as const;

test("D2 V16: all that a manifest lists is durable, with its name, before it has its own", async () => {
  const sound = await Disk.make();
  await sound.segment(1);
  await sound.list([sealed(1), removed(2)]);
  sound.watch.meet(listing);
  await sound.list([sealed(1, 101n)]);
  assert.throws(() => sound.watch.meet(listing), /V16/);

  const nameless = await Disk.make();
  await nameless.write(`${segmentDir}/${nameOf(1)}`, new Uint8Array(100));
  await nameless.list([{ id: 1, state: SegmentState.ACTIVE }]);
  assert.throws(() => nameless.watch.meet(listing), /whose name is not durable/);

  const unsynced = await Disk.make();
  await unsynced.segment(1, false);
  await unsynced.list([{ id: 1, state: SegmentState.COMPACTED, length: 100n }]);
  assert.throws(() => unsynced.watch.meet(listing), /with bytes that are not durable/);

  const hasty = await Disk.make();
  await hasty.list([], { isSynced: false });
  assert.throws(() => hasty.watch.meet(listing), /before its bytes are durable/);
});

test("I3: an id is not given again while the manifest lists it, if only as removed", async () => {
  const disk = await Disk.make();
  await disk.segment(3);
  await disk.list([{ ...removed(3), length: 1n }]);
  disk.watch.meet(listing);
  const bytes = create(ManifestSchema, {
    ...{ storeId: new Uint8Array(16), versionMark: 9n, segmentTimestamp: 9n, segmentId: 3 },
    segmentPrefix: "segment",
    segments: [
      { id: 3, timestamp: 2n, prefix: "segment", state: SegmentState.REMOVED },
      { id: 3, timestamp: 3n, prefix: "segment", state: SegmentState.ACTIVE },
    ],
  });
  await disk.write("/store/MANIFEST.tmp", encodeManifest(bytes));
  await disk.files.rename("/store/MANIFEST.tmp", "/store/MANIFEST");
  assert.throws(() => disk.watch.meet(listing), /I3/);
});

test("M5 M13: a segment's file goes only while what a power cut leaves calls it removed", async () => {
  const disk = await Disk.make();
  await disk.segment(1);
  await disk.list([sealed(1)]);
  assert.throws(() => disk.watch.meet(removal(1)), /is SEALED in a durable manifest/);
  await disk.list([removed(1)], { isNamed: false });
  assert.throws(() => disk.watch.meet(removal(1)), /is SEALED in a durable manifest/);
  await disk.files.syncDirectory("/store");
  disk.watch.meet(removal(1));
  await disk.list([]);
  assert.throws(() => disk.watch.meet(removal(1)), /is nothing in a durable manifest/);
});

test("V16: who looks at what stays is told when a segment leaves the store", async () => {
  const disk = await Disk.make();
  const told: string[][] = [];
  disk.watch.onLeaving = (staying) => void told.push([...staying]);
  await disk.segment(1);
  await disk.segment(2);
  await disk.list([sealed(1), sealed(2)]);
  disk.watch.meet(listing);
  assert.deepEqual(told, []);
  await disk.list([removed(1), sealed(2)]);
  disk.watch.meet(listing);
  disk.watch.meet(listing);
  assert.deepEqual(told, [[nameOf(2)]]);
});

test("D2 V15: nobody is answered over a clean mark, or with a version that is not reserved", async () => {
  const disk = await Disk.make();
  disk.watch.requireReserved(0);
  assert.throws(() => disk.watch.requireReserved(5), /no manifest/);
  await disk.list([], { clean: true });
  assert.throws(() => disk.watch.requireReserved(5), /over a clean mark/);
  await disk.list([], { isNamed: false });
  assert.throws(() => disk.watch.requireReserved(5), /over a clean mark/);
  await disk.files.syncDirectory("/store");
  disk.watch.requireReserved(5);
  assert.throws(() => disk.watch.requireReserved(1000), /reserved up to 1000/);
});

test("V10: a sync that log or manifest needs is told from others", async () => {
  const disk = await Disk.make();
  await disk.segment(1);
  await disk.list([{ id: 1, state: SegmentState.ACTIVE }, sealed(2), removed(3)]);
  const isVital = (op: "syncData" | "syncDirectory" | "write", path: string): boolean =>
    disk.watch.isVital({ op, path });
  assert.ok(isVital("syncData", "/store/MANIFEST.tmp"));
  assert.ok(isVital("syncData", `${segmentDir}/${nameOf(1)}`));
  assert.ok(isVital("syncDirectory", "/store"));
  assert.ok(isVital("syncDirectory", segmentDir));
  assert.ok(!isVital("write", "/store/MANIFEST.tmp"));
  assert.ok(!isVital("syncData", `${segmentDir}/${nameOf(2)}`));
});

test("D6 B3: bytes that nobody has synced may be what a power cut leaves, and are no more after a sync of their cut", async () => {
  const disk = await Disk.make();
  const view = new DurableView(() => disk.files.disk, segmentDir);
  const record = Uint8Array.of(0x0a, 1, 0x6b, 0x12, 2, 0x76, 0x31, 0x18, 7);
  const file = await disk.files.open(`${segmentDir}/${nameOf(1)}`, "create");
  await file.write(record, 0);
  assert.ok(view.mayHave("k", "v1"));
  assert.ok(!view.has("k", "v1", 7));
  await file.truncate(0);
  assert.ok(view.mayHave("k", "v1"), "the cut may be lost");
  await file.syncData();
  assert.ok(!view.mayHave("k", "v1"));
  await file.write(record, 0);
  await file.syncData();
  await disk.files.syncDirectory(segmentDir);
  assert.ok(view.has("k", "v1", 7));
  assert.ok(view.has("k", "v1", 7, new Set([nameOf(1)])));
  assert.ok(!view.has("k", "v1", 7, new Set([nameOf(2)])));
});

test("V12: a key or a value is found in whatever is told, however deep", () => {
  requireSilence(new KvixError("NO_SPACE", "segment_00001_5.seg at 7"), "an error");
  requireSilence([{ level: "info", fields: { keys: 3, id: Uint8Array.of(0xce) } }], "the log");
  for (const thing of [
    new KvixError("RECORD_CORRUPT", "αα: 12 bytes"),
    new KvixError("READ_FAILED", "", { cause: new Error("of 12Ωxx") }),
    new KvixError("READ_FAILED", "", { metadata: { field: "β" } }),
    [{ fields: { key: Buffer.from("γ") } }],
    new Map([["κ", 1]]),
  ]) {
    assert.throws(() => requireSilence(thing, "it"), /V12/);
  }
});
