/**
 * A small store for tests of what an opening finds: every kind of record in
 * sealed segments and in the active one, and the state that they add up to,
 * told from the records without the engine.
 */
import { strict as assert } from "node:assert";
import { type Segment as ListedSegment, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import type { LocalStore } from "../../src/engine/local-store.js";
import { openStore } from "../../src/engine/open-store.js";
import type { StoreOptionsInput } from "../../src/engine/options.js";
import type { Mutation } from "../../src/engine/store.js";
import type { SimClock } from "./sim-clock.js";
import { type SimHost, simHost } from "./sim-host.js";
import {
  dataDir,
  framesOf,
  hostOf,
  imageOf,
  manifestOf,
  type PlacedFrame,
  type PlacedRecord,
  type StoreImage,
} from "./store-image.js";

/** A few records fill a segment. */
export const smallStore: StoreOptionsInput = {
  dataDir,
  segmentBytesMax: 330,
  liftFloors: true,
  diskReserveBytes: 0,
};

/** What a read says of a key, as text: its value, or one of these in brackets. */
export type KeyState = string;
export const absent: KeyState = "(absent)";
export const corrupt: KeyState = "(RECORD_CORRUPT)";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const bytesOf = (text: string): Uint8Array => encoder.encode(text);

/** Writes a record that never expires. */
export async function put(store: LocalStore, key: string, value: string): Promise<number> {
  const { version } = await store.set(bytesOf(key), bytesOf(value), { kind: "never" });
  return version;
}

export const setOf = (key: string, value: string): Mutation => ({
  kind: "set",
  key: bytesOf(key),
  value: bytesOf(value),
});

export const deleteOf = (key: string): Mutation => ({ kind: "delete", key: bytesOf(key) });

/** Opens the store of an image, or of a host that has one. */
export async function openImage(
  image: StoreImage,
  options: Partial<StoreOptionsInput> = {},
  clock?: SimClock,
): Promise<{ host: SimHost; store: LocalStore }> {
  const host = hostOf(image, clock);
  const store = await openStore({ ...smallStore, ...options }, host);
  return { host, store };
}

/** The reason with which the opening is refused. */
export async function refusalOf(
  image: StoreImage,
  options: Partial<StoreOptionsInput> = {},
): Promise<{ host: SimHost; error: KvixError }> {
  const host = hostOf(image);
  try {
    await openStore({ ...smallStore, ...options }, host);
  } catch (error) {
    assert.ok(error instanceof KvixError, String(error));
    return { host, error };
  }
  assert.fail("the store was opened");
}

/** What reads say of these keys. */
export async function stateOf(
  store: LocalStore,
  keys: Iterable<string>,
): Promise<Record<string, KeyState>> {
  const state: Record<string, KeyState> = {};
  for (const key of keys) {
    try {
      const record = await store.get(bytesOf(key));
      state[key] = record === undefined ? absent : decoder.decode(record.value);
    } catch (error) {
      assert.ok(error instanceof KvixError, String(error));
      state[key] = `(${error.reason})`;
    }
  }
  return state;
}

/** A store's files, with what is in them. */
export interface BuiltStore {
  readonly image: StoreImage;
  readonly sealed: readonly ListedSegment[];
  readonly active: ListedSegment;
  /** The frames of every segment, in order. */
  readonly frames: ReadonlyMap<ListedSegment, readonly PlacedFrame[]>;
  readonly keys: readonly string[];
  readonly clock: SimClock;
}

/** Lives `life` on a new machine, waits for the hints, and takes the files: closed or as they lie. */
export async function buildStore(
  life: (store: LocalStore, host: SimHost) => Promise<void>,
  end: "closed" | "killed",
  options: Partial<StoreOptionsInput> = {},
): Promise<BuiltStore> {
  const host = simHost({ seed: 7 });
  const store = await openStore({ ...smallStore, ...options }, host);
  await life(store, host);
  await store.hintsWritten();
  if (end === "closed") await store.close();
  return describe(imageOf(host.files), host.clock);
}

/** Reads the frames of an undamaged image. */
export function describe(image: StoreImage, clock: SimClock): BuiltStore {
  const { segments } = manifestOf(image);
  const active = segments.find((listed) => listed.state === SegmentState.ACTIVE);
  assert.ok(active, "there is an active segment");
  const frames = new Map(segments.map((listed) => [listed, framesOf(image, listed)]));
  const keys = new Set<string>();
  for (const frame of [...frames.values()].flat()) {
    for (const { key } of frame.records) keys.add(key);
  }
  const sealed = segments.filter((listed) => listed.state === SegmentState.SEALED);
  return { image, sealed, active, frames, keys: [...keys].sort(), clock };
}

/** Every record of the store for which `keep` holds, in no particular order. */
export function recordsOf(
  built: BuiltStore,
  keep: (frame: PlacedFrame, listed: ListedSegment) => boolean = () => true,
): PlacedRecord[] {
  const records: PlacedRecord[] = [];
  for (const [listed, frames] of built.frames) {
    for (const frame of frames) if (keep(frame, listed)) records.push(...frame.records);
  }
  return records;
}

/** The state that records add up to; reads of those in `lost` fail. */
export function expectedState(
  built: BuiltStore,
  records: Iterable<PlacedRecord>,
  lost: ReadonlySet<PlacedRecord> = new Set(),
): Record<string, KeyState> {
  const newest = new Map<string, PlacedRecord>();
  for (const record of records) {
    if (record.version > (newest.get(record.key)?.version ?? 0)) newest.set(record.key, record);
  }
  const nowMs = built.clock.wallMs();
  const state: Record<string, KeyState> = {};
  for (const key of built.keys) {
    const record = newest.get(key);
    if (record === undefined) state[key] = absent;
    else if (lost.has(record)) state[key] = corrupt;
    else if (record.isTombstone) state[key] = absent;
    else if (record.expiresAtMs !== 0 && record.expiresAtMs <= nowMs) state[key] = absent;
    else state[key] = record.value;
  }
  return state;
}

/** What reads of every key say while nothing is damaged. */
export const soundState = (built: BuiltStore): Record<string, KeyState> =>
  expectedState(built, recordsOf(built));

/**
 * Values, overwritten ones, tombstones, an expired record and its tombstone, a
 * deadline far off, and batches of one, two and three: in sealed segments, and
 * once more in the active one, whose last group has two frames.
 */
export async function richLife(store: LocalStore, host: SimHost): Promise<void> {
  await put(store, "a", "1");
  await put(store, "b", "1");
  await store.set(bytesOf("x"), bytesOf("1"), { kind: "ttl", ttlMs: 10 });
  await put(store, "gone", "1");
  await host.clock.advance(50);
  await store.commit([setOf("a", "2"), setOf("c", "1"), deleteOf("gone")]);
  await store.delete(bytesOf("x"));
  await Promise.all([put(store, "d", "1"), put(store, "e", "1")]);
  await store.commit([setOf("f", "1")]);
  await store.delete(bytesOf("b"));
  const farOff = { kind: "at", atMs: host.clock.wallMs() + 1e10 } as const;
  await store.set(bytesOf("g"), bytesOf("1"), farOff);
  await put(store, "h", "1");
  await store.commit([setOf("c", "2"), deleteOf("e")]);
  await put(store, "a", "3");
  await Promise.all([put(store, "i", "1"), put(store, "d", "2")]);
}

/** The same in little, for tests that go through every bit; segments of 250 bytes. */
export async function bitLife(store: LocalStore, host: SimHost): Promise<void> {
  await put(store, "a", "1");
  await put(store, "b", "1");
  await put(store, "c", "1");
  await put(store, "gone", "1");
  await store.set(bytesOf("x"), bytesOf("1"), { kind: "ttl", ttlMs: 10 });
  await host.clock.advance(20);
  await store.commit([setOf("a", "2"), deleteOf("gone")]);
  await store.delete(bytesOf("x"));
  await store.delete(bytesOf("b"));
  await store.commit([setOf("d", "1")]);
  await store.commit([setOf("c", "3"), deleteOf("d")]);
  await put(store, "a", "3");
  await Promise.all([put(store, "e", "1"), put(store, "b", "2")]);
}
