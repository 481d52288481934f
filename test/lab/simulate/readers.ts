/** Reads of one life: of one key, of a page, of a snapshot, of the log. Each is judged by the history. */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { LogEvent } from "../../../src/engine/log-events.js";
import type { ListedRecord } from "../../../src/engine/store.js";
import { newRecordFields, parseRecord } from "../../../src/format/record.js";
import { bytesOf, seenOf, textOf, unreadable } from "./call.js";
import type { Life } from "./life.js";
import type { Found, Look } from "./look-judge.js";

/** How many pages, records or changes a reader takes at most. */
const stepsMax = 6;
const lingeringMsMax = 60;
const pageKeysMax = 5000;

/** Reads one key, or asks whether it is there. */
export async function readKey(
  life: Life,
  key: string,
  onVersion: (version: number) => void,
): Promise<void> {
  const { store, history, world } = life;
  const { version } = store;
  history.published(version);
  const from = world.wall.now;
  const look = (what: string, found: Found, isWithoutValues: boolean): void => {
    const covers = (other: string): boolean => other === key;
    const all = new Map<string, Found>([[key, found]]);
    history.looked({ what, version, from, to: from, covers, found: all, isWithoutValues });
  };
  let found: Found;
  try {
    if (world.random.chance(0.3)) {
      const facts = store.exists(bytesOf(key));
      life.got("exists", facts?.version ?? 0);
      look("exists", facts && { value: "", ...facts }, true);
      return;
    }
    const record = await store.get(bytesOf(key));
    await life.unlessDead();
    found = record && seenOf(record);
    if (found !== undefined) onVersion(found.version);
    life.got("get", found?.version ?? 0);
  } catch (error) {
    await life.unlessDead();
    if (!life.mayBeUnreadable(error)) return;
    found = unreadable;
  }
  look("get", found, false);
}

/** A walk over pages, forth or back. */
export async function listPage(life: Life): Promise<void> {
  const { store, history, world } = life;
  const { random, wall } = world;
  const reverse = random.chance(0.3);
  const keysOnly = random.chance(0.2);
  const limit = life.crowd.length > 0 && random.chance(0.5) ? pageKeysMax : 1 + random.below(6);
  const prefix = random.chance(0.15) ? life.pickKey().slice(0, 1) : "";
  const [start, end] =
    prefix !== "" || random.chance(0.5) ? ["", ""] : [life.pickKey(), life.pickKey()].sort();
  let after: Uint8Array | undefined;
  for (let step = 0; step < stepsMax && (step === 0 || after !== undefined); step += 1) {
    const before = store.version;
    history.published(before);
    const from = wall.now;
    const behind = after && textOf(after);
    let page: Awaited<ReturnType<typeof store.list>>;
    try {
      const bounds =
        prefix === ""
          ? { start: bytesOf(start ?? ""), end: bytesOf(end ?? "") }
          : { prefix: bytesOf(prefix) };
      page = await store.list({ ...bounds, reverse, keysOnly, limit, after });
    } catch (error) {
      await life.unlessDead();
      life.requireForeseen(error, false, "list");
      return;
    }
    await life.unlessDead();
    const { records, version } = page;
    life.got("list", records.length);
    assert.ok(version >= before && version <= store.version, `list: a page of version ${version}`);
    const last = page.after && textOf(page.after);
    const covers = (key: string): boolean => {
      if (!key.startsWith(prefix)) return false;
      if (start !== "" && key < (start as string)) return false;
      if (end !== "" && key >= (end as string)) return false;
      const isBehind = (bound: string | undefined, isIn: boolean): boolean =>
        bound === undefined || (isIn && key === bound) || (reverse ? key < bound : key > bound);
      return isBehind(behind, false) && (last === undefined || !isBehind(last, false));
    };
    requireOrder(records, reverse, covers);
    const found = new Map(records.map((record) => foundOf(life, record)));
    const isWithoutValues = keysOnly;
    history.looked({ what: "list", version, from, to: wall.now, covers, found, isWithoutValues });
    after = page.after;
    if (random.chance(0.3)) await life.pause();
  }
}

/** One page of all keys, without their values. */
export async function listCrowd(life: Life): Promise<void> {
  const { store, history, world } = life;
  history.published(store.version);
  const from = world.wall.now;
  try {
    const { records, version, after } = await store.list({ keysOnly: true, limit: pageKeysMax });
    await life.unlessDead();
    life.got("page", records.length);
    if (after !== undefined) return;
    const found = new Map(records.map((record) => foundOf(life, record)));
    const to = world.wall.now;
    const covers = (): boolean => true;
    history.looked({ what: "list", version, from, to, covers, found, isWithoutValues: true });
  } catch (error) {
    await life.unlessDead();
    life.requireForeseen(error, false, "list");
  }
}

function requireOrder(
  records: readonly ListedRecord[],
  reverse: boolean,
  covers: (key: string) => boolean,
): void {
  let last: string | undefined;
  for (const record of records) {
    const key = textOf(record.key);
    const isOrdered = last === undefined || (reverse ? key < last : key > last);
    assert.ok(isOrdered, `list: ${key} comes after ${last}`);
    assert.ok(covers(key), `list: ${key} was not asked for`);
    last = key;
  }
}

/** What a record that is listed says of its key. */
export function foundOf(life: Life, listed: ListedRecord): [string, Found] {
  const { version, expiresAtMs, record } = listed;
  const key = textOf(listed.key);
  if (typeof record === "object") return [key, seenOf(record)];
  if (record !== "unreadable") return [key, { value: "", version, expiresAtMs }];
  return [key, unreadableOf(life, key, listed)];
}

/** What it means that a record is there and could not be read. */
export function unreadableOf(
  life: Life,
  key: string,
  { version, expiresAtMs }: Pick<ListedRecord, "version" | "expiresAtMs">,
): Found {
  assert.ok(life.hasRot || life.hasFailed, `${key} is unreadable, and nothing has failed`);
  const standing = life.history.states.at(key, version);
  if (standing?.isDamaged || !life.hasFailed) return unreadable;
  // A disk that refused to read says nothing of the record; the index does.
  return { value: standing?.value ?? "", version, expiresAtMs };
}

/** Reads a snapshot slowly, while others write; `pause` comes between two of its records. */
export async function walkSnapshot(life: Life, pause = () => life.pause()): Promise<void> {
  const { store, history, world } = life;
  const { wall, random } = world;
  history.published(store.version);
  let snapshot: ReturnType<typeof store.snapshots.open>;
  try {
    snapshot = store.snapshots.open();
  } catch (error) {
    life.requireForeseen(error, false, "snapshot");
    return;
  }
  const { version } = snapshot;
  const from = wall.now;
  assert.equal(version, store.version, "snapshot: it is what is published");
  const found = new Map<string, Found>();
  try {
    const cursor = snapshot.cursor({}, random.chance(0.3));
    for (;;) {
      const entry = cursor.next();
      if (entry === undefined) break;
      const key = textOf(entry.key);
      try {
        found.set(key, seenOf(await snapshot.read(entry)));
      } catch (error) {
        await life.unlessDead();
        if (!life.mayBeUnreadable(error)) return;
        found.set(key, unreadable);
      }
      // A crowd is walked past in few breaths.
      if (life.crowd.length === 0 || random.chance(0.02)) await pause();
      await life.unlessDead();
    }
  } catch (error) {
    await life.unlessDead();
    life.requireForeseen(error, false, "snapshot");
    return;
  } finally {
    snapshot.close();
  }
  await life.unlessDead();
  life.got("snapshot", found.size);
  const look: Look = { what: "snapshot", version, from, to: from, covers: () => true, found };
  history.looked(look);
}

/** Reads snapshots, one after the other, over several compactions each. */
export async function linger(life: Life): Promise<void> {
  const { random, clock } = life.world;
  const pause = () => clock.sleep(1 + random.below(lingeringMsMax));
  while (life.isBusy && !life.isClosing) {
    await pause();
    await life.unlessDead();
    await walkSnapshot(life, async () => {
      if (life.isBusy) await pause();
    });
  }
}

/** Reads the log from some version on: every change that is told must be one that was made. */
export async function readLog(life: Life): Promise<void> {
  const { store, history, world } = life;
  const { random } = world;
  const floor = store.logReaders.floor;
  const afterVersion = random.chance(0.5) ? floor : random.below(store.version + 1);
  let last = afterVersion;
  const told = new Set<number>();
  let reader: ReturnType<typeof store.logReaders.open>;
  try {
    reader = store.logReaders.open({ afterVersion });
  } catch (error) {
    life.requireForeseen(error, false, "log");
    return;
  }
  try {
    for (let step = 0; step < stepsMax; step += 1) {
      const read = await reader.next(1 + random.below(2000));
      await life.unlessDead();
      for (const event of read.changes.flat()) {
        assert.ok(event.version > last, `log: version ${event.version} comes after ${last}`);
        last = event.version;
        told.add(last);
        requireMade(life, event);
      }
      life.got("log", last);
      if (read.isCaughtUp) break;
      await life.pause();
      await life.unlessDead();
    }
    history.toldAll(afterVersion, reader.version, told);
  } catch (error) {
    await life.unlessDead();
    if (error instanceof KvixError) life.requireForeseen(error, false, "log");
    else throw error;
  } finally {
    reader.close();
  }
}

/** What the log tells was asked for, and is published and durable. */
function requireMade(life: Life, { kind, key, version, payload }: LogEvent): void {
  const { store, history } = life;
  assert.ok(version <= store.version, `log: version ${version} is told before it is published`);
  if (kind === "expire") return;
  const fields = newRecordFields();
  assert.ok(kind === "delete" || parseRecord(payload, 0, payload.length, fields), "log: a record");
  const value =
    kind === "set" ? textOf(payload.subarray(fields.valueStart, fields.valueEnd)) : undefined;
  const text = textOf(key);
  const isAsked = value === undefined || life.wasAsked(text, value);
  assert.ok(isAsked, `log: nobody wrote what version ${version} of ${text} is told to be`);
  // What a compaction has taken meanwhile may be gone.
  if (version > store.logReaders.floor) history.requireStored(text, value, version, "log");
}
