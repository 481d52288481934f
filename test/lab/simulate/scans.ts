/** Reads of many records at one point in time, however much is written meanwhile: a scan, and a batch of keys. */
import { strict as assert } from "node:assert";
import type { ListedRecord } from "../../../src/engine/store.js";
import { bytesOf, textOf } from "./call.js";
import type { Life } from "./life.js";
import type { Found } from "./look-judge.js";
import { foundOf } from "./readers.js";

/** Scans a range part by part, slowly; now and then it leaves before the end. */
export async function scanRange(life: Life): Promise<void> {
  const { store, history, world } = life;
  const { random, wall } = world;
  const reverse = random.chance(0.3);
  const keysOnly = random.chance(0.2);
  const limit = random.chance(0.2) ? 1 + random.below(6) : undefined;
  const isAll = random.chance(0.6);
  const [start = "", end = ""] = isAll ? [] : [life.pickKey(), life.pickKey()].sort();
  if (start === end && !isAll) return;
  const bytesMax = random.pick([1, 300, 4096, undefined]);
  const bounds = { start: bytesOf(start), end: bytesOf(end) };
  const found = new Map<string, Found>();
  const bare = new Set<string>();
  let last: string | undefined;
  let version: number | undefined;
  let from = wall.now;
  let to = from;
  let isWhole = false;
  const partsMax = random.chance(0.8) ? Number.POSITIVE_INFINITY : random.below(4);
  try {
    const scan = store.scan({ ...bounds, reverse, keysOnly, limit, bytesMax });
    for (let parts = 0; parts < partsMax; parts += 1) {
      if (version === undefined) {
        // It is a snapshot of the moment in which its first part is asked for.
        history.published(store.version);
        from = wall.now;
      }
      const { done, value } = await scan.next();
      await life.unlessDead();
      if (version === undefined) to = wall.now;
      isWhole = done === true;
      if (done === true) break;
      version ??= value.version;
      assert.equal(
        value.version,
        version,
        "scan: one point in time from the first part to the last",
      );
      assert.ok(value.records.length > 0, "scan: a part has records");
      for (const record of value.records) {
        last = take(life, record, last, reverse, found);
        if (isLeftOut(record)) bare.add(last);
      }
      life.got("scan", value.records.length);
      if (random.chance(0.6)) await life.pause();
      await life.unlessDead();
    }
    await scan.return?.();
  } catch (error) {
    await life.unlessDead();
    life.requireForeseen(error, false, "scan");
  }
  if (version === undefined) return;
  const isCut = !isWhole || (limit !== undefined && found.size >= limit);
  assert.ok(limit === undefined || found.size <= limit, `scan: more than ${limit} records`);
  const isPassed = (key: string): boolean =>
    !isCut || (last !== undefined && (reverse ? key >= last : key <= last));
  const covers = (key: string): boolean =>
    (start === "" || key >= start) && (end === "" || key < end) && isPassed(key);
  for (const key of found.keys()) assert.ok(covers(key), `scan: ${key} was not asked for`);
  history.looked({ what: "scan", version, from, to, covers, found, bare });
}

/** Whether a record came without its value, for want of room or because it was not asked for. */
function isLeftOut({ record }: ListedRecord): boolean {
  return record === "too-large" || record === "keys-only";
}

/** Takes a record of a scan; answers its key. */
function take(
  life: Life,
  record: ListedRecord,
  last: string | undefined,
  reverse: boolean,
  found: Map<string, Found>,
): string {
  const [key, seen] = foundOf(life, record);
  const isOrdered = last === undefined || (reverse ? key < last : key > last);
  assert.ok(isOrdered, `scan: ${key} comes after ${last}`);
  found.set(key, seen);
  return key;
}

/** Asks for some keys at once; those that the answer has no room for are not told of. */
export async function getBatch(life: Life): Promise<void> {
  const { store, history, world } = life;
  const { random, wall } = world;
  const keys = Array.from({ length: 1 + random.below(6) }, () => life.pickKey());
  const keysOnly = random.chance(0.2);
  const bytesMax = random.pick([1, 300, undefined]);
  history.published(store.version);
  const from = wall.now;
  try {
    const { entries, version } = await store.batchGet(keys.map(bytesOf), { keysOnly, bytesMax });
    await life.unlessDead();
    life.got("batch", version);
    assert.equal(entries.length, keys.length, "batch: one entry for each key");
    assert.notEqual(entries[0], "unread", "batch: the first is answered in any case");
    const found = new Map<string, Found>();
    const told = new Set<string>();
    const bare = new Set<string>();
    for (const [index, entry] of entries.entries()) {
      const key = keys[index] as string;
      if (entry === "unread") continue;
      told.add(key);
      if (entry === "absent") continue;
      assert.equal(textOf(entry.key), key, "batch: in the order of the keys");
      found.set(key, foundOf(life, entry)[1]);
      if (isLeftOut(entry)) bare.add(key);
    }
    const covers = (key: string): boolean => told.has(key);
    history.looked({ what: "batch", version, from, to: wall.now, covers, found, bare });
  } catch (error) {
    await life.unlessDead();
    life.requireForeseen(error, false, "batch");
  }
}
