/** The file of a checkpoint: written before it is named, and read only in the absence of doubt. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { CHECKPOINT_HEAD_BYTES, encodeCheckpointFront } from "../../src/format/checkpoint.js";
import { crc32 } from "../../src/format/checksum.js";
import {
  type CheckpointLoad,
  loadCheckpoint,
  writeCheckpoint,
} from "../../src/storage/checkpoint-file.js";
import { readWholeFile, writeDurableFile } from "../../src/storage/file-tools.js";
import {
  type FaultTarget,
  type FaultyFileSystem,
  injectFault,
} from "../support/faulty-file-system.js";
import type { SimFileSystem } from "../support/sim-file-system.js";
import { tracedFiles } from "../support/traced-files.js";

const directories = { data: "/d", segments: "/d/s" };
const storeId = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
const description = { segments: [], index: { keys: 3 }, requests: {} };
const pages = [
  Uint8Array.from({ length: 300 }, (_, index) => index),
  Uint8Array.from({ length: 200 }, (_, index) => 255 - index),
];
const front = encodeCheckpointFront(storeId, description, 500);
const whole = Buffer.concat([front, ...pages]);

type Load = CheckpointLoad & { readonly read: readonly Uint8Array[] };

/** Reads the checkpoint into memory of these lengths. */
async function load(
  files: FaultyFileSystem,
  checksum = crc32(whole),
  lengths: readonly number[] | string = [300, 200],
  id = storeId,
): Promise<Load> {
  const read = typeof lengths === "string" ? [] : lengths.map((length) => new Uint8Array(length));
  let found: unknown;
  const result = await loadCheckpoint(files, directories, { storeId: id, checksum }, (said) => {
    found = said;
    return typeof lengths === "string" ? lengths : read;
  });
  if (result.kind === "loaded") assert.deepEqual(found, description);
  return { ...result, read };
}

const why = (result: CheckpointLoad): string =>
  result.kind === "doubtful" ? result.why : result.kind;

/** Lays these bytes where the checkpoint lies. */
async function lay({ disk }: { disk: SimFileSystem }, bytes: Uint8Array): Promise<void> {
  await (await writeDurableFile(disk, "/d/CHECKPOINT", bytes))();
}

test("D5: a checkpoint is synced before it has its name, and read into the memory that is given for it", async () => {
  const { files, trace } = await tracedFiles();
  await files.open("/d/CHECKPOINT.tmp", "create").then((file) => file.close());
  trace.length = 0;
  assert.equal(await writeCheckpoint(files, directories, front, pages), crc32(whole));
  assert.deepEqual(trace, [
    ...["remove", "create", "write", "write", "write", "syncData", "close", "rename"],
  ]);
  assert.deepEqual(Buffer.from((await readWholeFile(files, "/d/CHECKPOINT")) ?? []), whole);
  trace.length = 0;
  const { kind, read } = await load(files);
  assert.equal(kind, "loaded");
  assert.deepEqual(read, pages);
  assert.equal(trace.at(-1), "close");
});

test("R7: one without pages counts as well", async () => {
  const place = await tracedFiles();
  const bytes = encodeCheckpointFront(storeId, description, 0);
  const checksum = await writeCheckpoint(place.files, directories, bytes, []);
  assert.equal(checksum, crc32(bytes));
  assert.equal(why(await load(place.files, checksum, [])), "loaded");
});

test("R7 I8: a checkpoint is ignored if it is not the one that is wanted, or not what it was", async () => {
  const place = await tracedFiles();
  const { files } = place;
  assert.equal(why(await load(files)), "ENOENT");
  await lay(place, whole);
  assert.equal(why(await load(files, crc32(whole) ^ 1)), "a wrong checksum");
  assert.equal(
    why(await load(files, crc32(whole), [300, 200], new Uint8Array(16))),
    "of another store",
  );
  assert.equal(why(await load(files, crc32(whole), "no room")), "no room");
  for (const lengths of [[300], [300, 201], [300, 199]]) {
    assert.equal(why(await load(files, crc32(whole), lengths)), "other pages than it describes");
  }
  // A page of it, the first or the last, that is not as it was.
  for (const at of [front.length, front.length + 299, front.length + 300, whole.length - 1]) {
    const bytes = Uint8Array.from(whole);
    bytes[at] = (bytes[at] as number) ^ 4;
    await lay(place, bytes);
    assert.equal(why(await load(files)), "a wrong checksum", `${at}`);
  }
  for (const left of [0, 5, CHECKPOINT_HEAD_BYTES - 1]) {
    await lay(place, whole.subarray(0, left));
    assert.equal(why(await load(files)), "no head");
  }
  await lay(place, whole.subarray(0, -1));
  assert.equal(why(await load(files)), "another length than it claims");
  await lay(place, whole);
  assert.equal(why(await load(files)), "loaded");
});

test("R7: a description that is not as it was is not given to anybody", async () => {
  const place = await tracedFiles();
  const bytes = Uint8Array.from(whole);
  const at = CHECKPOINT_HEAD_BYTES + 2;
  bytes[at] = (bytes[at] as number) ^ 1;
  await lay(place, bytes);
  const binding = { storeId, checksum: crc32(bytes) };
  const result = await loadCheckpoint(place.files, directories, binding, () => assert.fail());
  assert.equal(why(result), "a wrong description checksum");
});

test("R7: a page of which the disk gives less than it has makes the checkpoint doubtful", async () => {
  const { files, disk } = await tracedFiles();
  await lay({ disk }, whole);
  for (const nth of [2, 3]) {
    files.injector = injectFault(
      { kind: "short", lengthBytes: 100, code: "EIO" },
      { op: "read", nth },
    );
    assert.equal(why(await load(files)), "a wrong checksum");
  }
});

test("R7 M11: what the disk refuses makes the checkpoint doubtful, and the file is closed", async () => {
  const place = await tracedFiles();
  const { files, trace, fail } = place;
  await lay(place, whole);
  fail({ op: "open" }, "EACCES");
  assert.equal(why(await load(files)), "EACCES");
  for (const target of [{ op: "size" }, ...[0, 1, 2, 3].map((nth) => ({ op: "read", nth }))]) {
    trace.length = 0;
    fail(target as FaultTarget);
    assert.equal(why(await load(files)), "EIO");
    assert.equal(trace.at(-1), "close");
  }
});

test("D6: a checkpoint that cannot be written leaves nothing but the one before", async () => {
  const place = await tracedFiles();
  const { files, disk, fail, trace } = place;
  await lay(place, Uint8Array.of(1, 2, 3));
  for (const target of [
    { op: "write", nth: 0 },
    { op: "write", nth: 2 },
    { op: "syncData" },
    { op: "rename" },
  ]) {
    trace.length = 0;
    fail(target as FaultTarget, "ENOSPC");
    await assert.rejects(writeCheckpoint(files, directories, front, pages), { code: "ENOSPC" });
    assert.ok(trace.includes("close"));
    const names = (await disk.list("/d")).map(({ name }) => name);
    assert.deepEqual(names, ["CHECKPOINT"]);
    assert.deepEqual(await readWholeFile(disk, "/d/CHECKPOINT"), Uint8Array.of(1, 2, 3));
  }
  // What failed first is told, though the removal fails as well.
  files.injector = ({ op }) => {
    if (op === "write") return { kind: "error", code: "ENOSPC" };
    return op === "remove" ? { kind: "error", code: "ENOENT" } : undefined;
  };
  await assert.rejects(writeCheckpoint(files, directories, front, pages), { code: "ENOSPC" });
});
