/** Files that are written as a whole before they are named: the tools, the mark of a store, the manifest. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  type Manifest,
  ManifestSchema,
  SegmentState,
  VersionRangeSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { crc32 } from "../../src/format/checksum.js";
import { encodeManifest } from "../../src/format/manifest.js";
import type { File, FileSystem } from "../../src/host/file-system.js";
import { readWholeFile, removeIfThere, writeDurableFile } from "../../src/storage/file-tools.js";
import {
  loadManifest,
  ManifestFile,
  ManifestUncertainError,
} from "../../src/storage/manifest-file.js";
import { decodeStoreMark, readStoreMark, writeStoreMark } from "../../src/storage/store-mark.js";
import type { FaultTarget } from "../support/faulty-file-system.js";
import type { SimFileSystem } from "../support/sim-file-system.js";
import { tracedFiles } from "../support/traced-files.js";

const directories = { data: "/d", segments: "/d/s" };
const storeId = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
/** A disk, and what is done on it from now on. */
async function setUp() {
  const traced = await tracedFiles("/d/s", ({ op, path, target }) =>
    [op, path, ...(target === undefined ? [] : [target])].join(" "),
  );
  const survivors = (): SimFileSystem => traced.disk.crash({ bytes: "lost", names: "lost" }, 1);
  return { ...traced, survivors };
}

const contentOf = async (files: FileSystem, path: string): Promise<number[] | undefined> => {
  const bytes = await readWholeFile(files, path);
  return bytes === undefined ? undefined : [...bytes];
};

const opened = (trace: readonly string[]): number =>
  trace.filter((line) => /^(open|create) /.test(line)).length;
const closed = (trace: readonly string[]): number =>
  trace.filter((line) => line.startsWith("close ")).length;

test("M11: a whole file is read, and closed again whatever becomes of it", async () => {
  const { files, trace, fail, heal } = await setUp();
  assert.equal(await readWholeFile(files, "/d/x"), undefined);
  await (await writeDurableFile(files, "/d/x", Uint8Array.of(1, 2), Uint8Array.of(3)))();
  assert.deepEqual(await contentOf(files, "/d/x"), [1, 2, 3]);
  fail({ op: "open" });
  await assert.rejects(readWholeFile(files, "/d/x"), { code: "EIO" });
  heal();
  trace.length = 0;
  fail({ op: "read" });
  await assert.rejects(readWholeFile(files, "/d/x"), { code: "EIO" });
  assert.deepEqual([opened(trace), closed(trace)], [1, 1]);
});

test("R6 V11: a file that is absurdly long is not read as a whole", async () => {
  let closes = 0;
  let asked = 0;
  const fileOf = (length: number): FileSystem => {
    const file = {
      size: async () => length,
      read: async (target: Uint8Array) => {
        asked = Math.max(asked, target.length);
        return 3;
      },
      close: async () => {
        closes += 1;
      },
    };
    return { open: async () => file as unknown as File } as unknown as FileSystem;
  };
  await assert.rejects(readWholeFile(fileOf(2 ** 28 + 1), "/x"), /268435457 bytes/);
  assert.deepEqual([closes, asked], [1, 0]);
  // One that became shorter meanwhile is as long as what was read.
  assert.equal((await readWholeFile(fileOf(100), "/x"))?.length, 3);
  assert.deepEqual([closes, asked], [2, 100]);
});

test("what is to be removed need not be there, and any other failure is told", async () => {
  const { files, fail } = await setUp();
  await removeIfThere(files, "/d/x");
  fail({ op: "remove" });
  await assert.rejects(removeIfThere(files, "/d/x"), { code: "EIO" });
});

test("D6 M11: a file that cannot be written is taken away, and what failed is told", async () => {
  const { files, trace, fail } = await setUp();
  fail({ op: "write", nth: 1 });
  const pieces = [Uint8Array.of(1), Uint8Array.of(2)];
  await assert.rejects(writeDurableFile(files, "/d/x", ...pieces), { code: "EIO" });
  assert.equal(await readWholeFile(files, "/d/x"), undefined);
  assert.deepEqual(trace.slice(-5, -1), ["write /d/x", "write /d/x", "close /d/x", "remove /d/x"]);
  // Also if it cannot be taken away.
  fail({ op: ["write", "remove"], nth: 1, sticky: true });
  await assert.rejects(writeDurableFile(files, "/d/x", ...pieces), { code: "EIO" });
});

test("D1 M11: a file is durable once it is synced, replaces an abandoned one, and is closed if the sync fails", async () => {
  const { files, trace, fail, heal, survivors } = await setUp();
  await (await writeDurableFile(files, "/d/x", Uint8Array.of(9, 9, 9)))();
  trace.length = 0;
  const sync = await writeDurableFile(files, "/d/x", Uint8Array.of(1));
  assert.deepEqual(trace, ["remove /d/x", "create /d/x", "write /d/x"]);
  fail({ op: "syncData" });
  await assert.rejects(sync(), { code: "EIO" });
  assert.deepEqual([opened(trace), closed(trace)], [1, 1]);
  heal();
  await (await writeDurableFile(files, "/d/y", Uint8Array.of(4)))();
  await files.syncDirectory("/d");
  assert.deepEqual(await contentOf(survivors(), "/d/y"), [4]);
});

test("D2 V9: the mark of a store is whole and synced before it has its name, and durable after that", async () => {
  const { files, trace, survivors } = await setUp();
  assert.equal(await readStoreMark(files, directories), undefined);
  trace.length = 0;
  await writeStoreMark(files, directories, storeId);
  assert.deepEqual(trace, [
    "remove /d/s/STORE.tmp",
    "create /d/s/STORE.tmp",
    "write /d/s/STORE.tmp",
    "syncData /d/s/STORE.tmp",
    "close /d/s/STORE.tmp",
    "rename /d/s/STORE.tmp /d/s/STORE",
    "syncDirectory /d/s",
  ]);
  assert.deepEqual(await readStoreMark(survivors(), directories), storeId);
});

test("V9 R5: a mark in which a bit is wrong, or that is longer or shorter, is none", async () => {
  const { files } = await setUp();
  await writeStoreMark(files, directories, storeId);
  const mark = Uint8Array.from((await contentOf(files, "/d/s/STORE")) ?? []);
  assert.deepEqual(decodeStoreMark(mark), storeId);
  // In memory that begins elsewhere, as a part of more.
  const more = new Uint8Array(mark.length + 7);
  more.set(mark, 7);
  assert.deepEqual(decodeStoreMark(more.subarray(7)), storeId);
  for (let bit = 0; bit < mark.length * 8; bit += 1) {
    const other = mark.slice();
    other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.equal(decodeStoreMark(other), undefined, `bit ${bit}`);
  }
  // Another magic, one byte of it, under a right checksum.
  const strange = mark.slice();
  strange[7] = 0x53;
  new DataView(strange.buffer).setUint32(24, crc32(strange.subarray(0, 24)), true);
  assert.equal(decodeStoreMark(strange), undefined);
  assert.equal(decodeStoreMark(mark.slice(0, -1)), undefined);
  assert.equal(decodeStoreMark(Uint8Array.of(...mark, 0)), undefined);
  assert.equal(decodeStoreMark(new Uint8Array(0)), undefined);
});

/** The manifest of a new store, on a disk of its own. */
async function setUpManifest(exists = false) {
  const disk = await setUp();
  const first = create(ManifestSchema, {
    storeId,
    generation: 4n,
    versionMark: 9n,
    segmentPrefix: "segment",
    segmentTimestamp: 5n,
    segments: [{ id: 1, prefix: "segment", timestamp: 5n, state: SegmentState.ACTIVE }],
    lostRanges: [{ first: 1n, last: 2n }],
    damagedRanges: [{ segmentId: 1, segmentTimestamp: 5n, offset: 7n, length: 3n }],
  });
  if (exists) {
    await (await writeDurableFile(disk.disk, "/d/MANIFEST", encodeManifest(first)))();
    await disk.disk.syncDirectory("/d");
  }
  const manifest = new ManifestFile(disk.files, directories, first, exists);
  disk.trace.length = 0;
  return { ...disk, manifest, first };
}

const generationOf = async (files: FileSystem): Promise<bigint | undefined> => {
  const verdict = await loadManifest(files, directories);
  return verdict?.kind === "manifest" ? verdict.manifest.generation : undefined;
};

const name = (id: number) => (draft: Manifest) => {
  draft.segmentId = id;
};

test("D2 V16: a change of the manifest is synced before it has its name, keeps the one before, and is durable", async () => {
  const { manifest, files, trace, survivors } = await setUpManifest(true);
  await manifest.change(name(7));
  assert.deepEqual(
    trace.filter((line) => !/^(write|close)/.test(line)),
    [
      "remove /d/MANIFEST.tmp",
      "create /d/MANIFEST.tmp",
      "syncData /d/MANIFEST.tmp",
      "remove /d/MANIFEST.prev",
      "link /d/MANIFEST /d/MANIFEST.prev",
      "rename /d/MANIFEST.tmp /d/MANIFEST",
      "syncDirectory /d",
    ],
  );
  assert.deepEqual([manifest.current.generation, manifest.current.segmentId], [5n, 7]);
  const first = await contentOf(files, "/d/MANIFEST");
  assert.equal(first?.length, manifest.bytes);
  await manifest.change(name(8));
  assert.equal(await generationOf(survivors()), 6n);
  assert.deepEqual(await contentOf(survivors(), "/d/MANIFEST.prev"), first);
});

test("R9: the first manifest has none before it, and the second has", async () => {
  const { manifest, files, trace } = await setUpManifest();
  assert.equal(await loadManifest(files, directories), undefined);
  assert.ok(manifest.bytes > 0);
  await manifest.change(name(1));
  assert.ok(!trace.some((line) => line.startsWith("link")));
  await manifest.change(name(2));
  assert.ok(trace.includes("link /d/MANIFEST /d/MANIFEST.prev"));
});

test("V16: changes follow one another, each upon a copy of the one before, which stays as it was", async () => {
  const { manifest, first } = await setUpManifest();
  const range = create(VersionRangeSchema, { first: 4n, last: 6n });
  await Promise.all([
    manifest.change((draft) => void draft.lostRanges.push(range)),
    manifest.change((draft) => {
      assert.equal(draft.lostRanges.length, 2);
      draft.segmentId = 3;
    }),
  ]);
  assert.deepEqual(
    [first.lostRanges.length, manifest.current.lostRanges.length, manifest.current.generation],
    [1, 2, 6n],
  );
  const { current } = manifest;
  const counts = ({ segments, lostRanges, damagedRanges }: Readonly<Manifest>): number[] =>
    [segments, lostRanges, damagedRanges].map(({ length }) => length);
  assert.deepEqual(counts(current), [1, 2, 1]);
  await manifest.change((draft) => {
    draft.lostRanges.pop();
    draft.segments.pop();
    draft.damagedRanges.pop();
  });
  assert.deepEqual(
    [counts(current), counts(manifest.current)],
    [
      [1, 2, 1],
      [0, 1, 0],
    ],
  );
});

test("V16: an edit that throws after it has changed its copy leaves the manifest as it was", async () => {
  const { manifest, first } = await setUpManifest();
  const edit = (draft: Manifest): void => {
    draft.segments.push({} as never);
    draft.lostRanges.push({} as never);
    draft.damagedRanges.push({} as never);
    throw new Error("a defect");
  };
  await assert.rejects(manifest.change(edit), /a defect/);
  const { segments, lostRanges, damagedRanges } = manifest.current;
  assert.deepEqual(
    [segments, lostRanges, damagedRanges].map(({ length }) => length),
    [1, 1, 1],
  );
  assert.equal(manifest.current, first);
  await manifest.change(name(1));
  assert.equal(manifest.current.generation, 5n);
});

test("D6: a change that cannot be written leaves the old manifest, and the next one may succeed", async () => {
  const { manifest, files, fail, heal } = await setUpManifest(true);
  for (const op of ["create", "write"] as const) {
    fail({ op }, "ENOSPC");
    const failing = manifest.change(name(1));
    await assert.rejects(failing, { code: "ENOSPC" });
    assert.equal(manifest.current.generation, 4n);
  }
  heal();
  await manifest.change(name(2));
  assert.equal(await generationOf(files), 5n);
});

test("D3 V10: once it is unknown which manifest stands, none is changed any more", async () => {
  const targets: readonly FaultTarget[] = [
    { op: "syncData" },
    { op: "remove", path: /prev/ },
    { op: "link" },
    { op: "rename" },
    { op: "syncDirectory" },
  ];
  for (const target of targets) {
    const { manifest, trace, fail, heal } = await setUpManifest(true);
    await manifest.change(name(1));
    const { current, bytes } = manifest;
    fail(target);
    await assert.rejects(manifest.change(name(2)), (thrown: unknown) => {
      assert.ok(thrown instanceof ManifestUncertainError);
      assert.equal((thrown.cause as { code?: string }).code, "EIO");
      return true;
    });
    heal();
    trace.length = 0;
    await assert.rejects(manifest.change(name(3)), ManifestUncertainError);
    assert.deepEqual(trace, []);
    assert.deepEqual([manifest.current, manifest.bytes], [current, bytes]);
  }
});
