/** Parts of this floor with a few lines each: the order of use, a file under watch, names. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { DirectoryEntry, File } from "../../src/host/file-system.js";
import {
  dataPath,
  holdsSegments,
  isStoreFileName,
  isUploadFileName,
  segmentPath,
  uploadFileName,
} from "../../src/storage/layout.js";
import { type RecencyItem, RecencyList } from "../../src/storage/recency-list.js";
import { WatchedFile } from "../../src/storage/watched-file.js";
import { MemoryFile } from "../support/memory-file.js";

interface Item extends RecencyItem<Item> {
  readonly name: string;
}

const itemOf = (name: string): Item => ({ name, newer: undefined, older: undefined });

/** The items from the newest on and from the oldest on; both ways must be one list. */
function namesOf(list: RecencyList<Item>): string {
  let names = "";
  for (let item = list.newest; item !== undefined; item = item.older) names += item.name;
  let backwards = "";
  for (let item = list.oldest; item !== undefined; item = item.newer) backwards += item.name;
  assert.equal([...backwards].reverse().join(""), names);
  assert.equal(list.count, names.length);
  return names;
}

test("the list of what was used last loses an item wherever it is, and takes it again", () => {
  const items = ["a", "b", "c", "d"].map(itemOf);
  const list = new RecencyList<Item>();
  const at = (index: number): Item => items[index] as Item;
  for (const item of items) list.add(item);
  assert.equal(namesOf(list), "dcba");
  list.remove(at(1));
  assert.equal(namesOf(list), "dca");
  list.remove(at(0));
  assert.equal(namesOf(list), "dc");
  list.remove(at(3));
  assert.equal(namesOf(list), "c");
  assert.deepEqual([at(3).newer, at(3).older], [undefined, undefined]);
  list.add(at(1));
  assert.equal(namesOf(list), "bc");
  list.remove(at(1));
  list.remove(at(2));
  assert.equal(namesOf(list), "");
  assert.deepEqual([list.newest, list.oldest], [undefined, undefined]);
});

test("a file under watch tells how far it was read, once for each time that grows", async () => {
  const told: number[] = [];
  const inner = new MemoryFile(new Uint8Array(100));
  const file = new WatchedFile(inner.asFile(), (end) => told.push(end));
  assert.equal(await file.read(new Uint8Array(10), 20), 10);
  assert.equal(await file.read(new Uint8Array(10), 20), 10);
  assert.equal(await file.read(new Uint8Array(10), 0), 10);
  assert.equal(await file.read(new Uint8Array(10), 25), 10);
  assert.equal(await file.read(new Uint8Array(50), 90), 10);
  assert.deepEqual(told, [30, 35, 100]);
  assert.deepEqual([file.path, await file.size()], ["memory", 100]);
});

test("a file under watch leaves all else to the file inside", async () => {
  const calls: string[] = [];
  const note =
    (name: string) =>
    (...values: readonly unknown[]): number => {
      calls.push([name, ...values.filter((value) => typeof value === "number")].join(" "));
      return 3;
    };
  const names = ["writeSync", "write", "syncData", "truncate", "close", "closeSync"];
  const inner = Object.fromEntries(["readSync", ...names].map((name) => [name, note(name)]));
  const told: number[] = [];
  const file = new WatchedFile(inner as unknown as File, (end) => told.push(end));
  const bytes = new Uint8Array(5);
  assert.equal(file.readSync(bytes, 4), 3);
  assert.deepEqual(told, [7]);
  file.writeSync(bytes, 1);
  await file.write(bytes, 2);
  await file.syncData();
  await file.truncate(6);
  await file.close();
  file.closeSync();
  assert.deepEqual(calls, [
    "readSync 4",
    "writeSync 1",
    "write 2",
    "syncData",
    "truncate 6",
    "close",
    "closeSync",
  ]);
});

test("V9: a staging file is known by the store's id and sixteen hex digits, and nothing else is", () => {
  const storeId = Uint8Array.from({ length: 16 }, (_, index) => 240 + index);
  const name = uploadFileName(storeId, Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 255));
  assert.equal(name, "upload_f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff_00010203040506ff.tmp");
  assert.ok(isUploadFileName(storeId, name));
  assert.ok(!isUploadFileName(new Uint8Array(16), name));
  for (const other of [
    `x${name}`,
    `${name}x`,
    name.replace(".tmp", "atmp"),
    name.replace("06ff", "06f"),
    name.replace("06ff", "06fff"),
    name.replace("06ff", "06FF"),
    name.replace("_0001", "_g001"),
    name.replace("_0001", "0001"),
  ]) {
    assert.ok(!isUploadFileName(storeId, other), other);
  }
});

test("V9: a manifest of either name, the mark and any segment show that a store lives there", () => {
  const directories = { data: "/data", segments: "/segments" };
  assert.equal(dataPath(directories, "x"), "/data/x");
  assert.equal(segmentPath(directories, "x"), "/segments/x");
  const known = ["MANIFEST", "MANIFEST.prev", "MANIFEST.tmp", "LOCK", "x"].filter(isStoreFileName);
  assert.deepEqual(known, ["MANIFEST", "MANIFEST.prev"]);
  const entries = (...names: string[]): DirectoryEntry[] =>
    names.map((name) => ({ name, kind: "file" }));
  assert.ok(!holdsSegments([]));
  assert.ok(!holdsSegments(entries("LOCK", "x", "STORE.tmp")));
  assert.ok(holdsSegments(entries("x", "STORE")));
  assert.ok(holdsSegments(entries("x", "segment_00003_9.seg", "y")));
});
