/**
 * Opens a damaged store and holds everything it says against what its bytes
 * still have.
 *
 *     damaged image -> verify -> open -> read, list -> (repair) -> verdict
 *
 * Whatever the damage, and this is what is promised of all of them:
 *
 *  1. A read gives the newest value, or DATA_LOSS, or a miss where a miss is right.
 *     An older state shows only where the key of the newest is unknown and its
 *     file, bytes and versions are told; or where the newest was torn.
 *  2. What is whole is there, unless a guess at a damaged key fell on it.
 *  3. A refusal has a reason of the table, and changes nothing.
 *  4. What is told as damaged is damaged.
 *  5. Files that are not the store's stay as they are, and an opening leaves sealed segments.
 *  6. No index is taken from a checkpoint that is not as it was written.
 */
import { strict as assert } from "node:assert";
import { SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { LocalStore } from "../../../src/engine/local-store.js";
import { repairStore } from "../../../src/engine/repair.js";
import type { DamageStats } from "../../../src/engine/store-stats.js";
import type { SimHost } from "../../support/sim-host.js";
import type { SimRandom } from "../../support/sim-random.js";
import {
  dataDir,
  hostOf,
  imageOf,
  type StoreImage,
  segmentPathOf,
} from "../../support/store-image.js";
import { absent, bytesOf, corrupt, type KeyState, stateOf } from "../../support/store-life.js";
import { judgeCheck } from "./rot-check.js";
import { RotFinding, require } from "./rot-finding.js";
import { requireSame, requireUnrepaired } from "./rot-refusal.js";
import { openRotStore, type RotStore } from "./rot-store.js";
import { fileNameOf, type Sight, type SightedRecord, sightOf, stateOfRecord } from "./sight.js";
import { requireKept } from "./strange-files.js";
import type { Verdict } from "./verdicts.js";

/** How far a case is followed. */
export interface Depth {
  /** Also by `kvix verify`, and by an opening that takes no damage. */
  readonly isChecked: boolean;
  /** Also through a write, a compaction and another opening. */
  readonly isLived: boolean;
  /** Which segments that compaction takes; left out: the policy says it. */
  readonly victims?: SimRandom | undefined;
}

/** What a case came to. */
export interface CaseOutcome {
  readonly verdict: Verdict;
  readonly openings: number;
  /** Whole records that were withheld, for a guess took them for damaged ones. */
  readonly withheld: number;
}

const checkpointPath = `${dataDir}/CHECKPOINT`;
const notOurs = "it is not the store's";
/** Where chance picks victims, it picks none now and then. */
const compactions = 3;

/** Judges one damaged image of a store. Throws RotFinding. */
export async function judgeCase(
  store: RotStore,
  image: StoreImage,
  depth: Depth,
): Promise<CaseOutcome> {
  const sight = sightOf(store, image);
  if (depth.isChecked) await judgeCheck(store, image, sight);
  const host = hostOf(image, store.clock);
  let open: LocalStore;
  try {
    open = await openRotStore(host, store.options, depth.victims);
  } catch (error) {
    return await judgeRefusal(store, image, host, error);
  }
  requireOwnCheckpoint(store, image, open);
  const told = open.stats().damage;
  const first = await judgeOpen(store, open, sight);
  const sealed = store.live.filter(({ state }) => state !== SegmentState.ACTIVE);
  requireKept(sealed.map(segmentPathOf), image, host, "V3: an opening leaves what is sealed");
  if (depth.isChecked) await judgeStrict(store, image, told.length > 0);
  if (!depth.isLived) {
    await open.close();
    requireKept(store.strange, image, host, notOurs);
    return { ...first, openings: depth.isChecked ? 2 : 1 };
  }
  await liveOn(store, open, host, sight);
  requireKept(store.strange, image, host, notOurs);
  return { ...first, openings: 4 };
}

/** Bytes behind its end are no part of a checkpoint. */
function requireOwnCheckpoint(store: RotStore, image: StoreImage, open: LocalStore): void {
  if (!open.stats().open.fromCheckpoint) return;
  const [written, found] = [store.image, image].map((each) => each.get(checkpointPath));
  const isOwn = written !== undefined && found !== undefined && startsWith(found, written);
  require(isOwn, "R7: the index is taken from a checkpoint that was changed");
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, start.length), start) === 0;
}

/** What reads and lists say of an open store. */
async function judgeOpen(
  store: RotStore,
  open: LocalStore,
  sight: Sight,
): Promise<{ verdict: Verdict; withheld: number }> {
  const keys = Object.keys(store.truth);
  const told = open.stats().damage;
  const state = await stateOf(open, keys);
  const { damage, condition } = open.stats();
  require(condition.degraded === damage.length > 0, "degraded is what is told as damaged");
  for (const range of damage) requireDamaged(store, range, sight);
  let isLost = told.length > 0;
  let isTold = false;
  let withheld = 0;
  for (const key of keys) {
    const got = state[key] as KeyState;
    const judged = judgeKey(store, sight, got, damage, key);
    isLost ||= judged === "lost";
    isTold ||= judged === "older";
    if (judged === "withheld") withheld += 1;
  }
  await requireListed(open, state);
  isTold ||= told.some(({ keysUnknown }) => keysUnknown);
  const isTorn = isTornAway(store, sight);
  const verdict = isTold ? "told" : isTorn ? "torn" : isLost ? "lost" : "everything";
  return { verdict, withheld };
}

type KeyVerdict = "right" | "lost" | "older" | "withheld";

function judgeKey(
  store: RotStore,
  sight: Sight,
  got: KeyState,
  damage: readonly DamageStats[],
  key: string,
): KeyVerdict {
  const records = sight.records.get(key) ?? [];
  const nowMs = store.clock.wallMs();
  const [newest] = records;
  const ahead = sight.ahead.get(key) ?? [];
  if (ahead.some((record) => got === stateOfRecord(record, nowMs))) return "right";
  if (got === stateOfRecord(newest, nowMs)) {
    const isRead = got !== absent && newest?.isHit === true;
    require(!isRead || isMoved(newest, sight), `${key} is read from a frame that was changed`);
    return "right";
  }
  if (newest === undefined || !newest.isHit) {
    // A guess may fall on the wrong key, and then says so: keys are unknown there.
    require(got === corrupt &&
      damage.some(
        ({ keysUnknown }) => keysUnknown,
      ), `${key} is ${got}, and its newest record is whole: ${stateOfRecord(newest, nowMs)}`);
    return "withheld";
  }
  if (got === corrupt) {
    require(damage.some((range) =>
      reaches(range, newest),
    ), `${key} is DATA_LOSS, and its bytes are not told as damaged`);
    return "lost";
  }
  for (const [index, record] of records.entries()) {
    if (!record.isHit) break;
    const isUnknown = damage.some((range) => range.keysUnknown && hides(range, record, sight));
    require(isUnknown, `${key} is ${got}, and nothing tells that version ${record.version} is lost`);
    if (got === stateOfRecord(records[index + 1], nowMs)) return "older";
  }
  throw new RotFinding(`${key} is ${got}, which it was not before either`);
}

/** Whether its frame may lie elsewhere, where pages have changed places. */
function isMoved({ listed }: SightedRecord, { hits }: Sight): boolean {
  return hits.some((hit) => hit.isMoved && hit.listed === listed);
}

/**
 * Whether a range tells that the record may be gone. Its versions are those between the
 * sound frames around it; where frames have changed places, the neighbours are others.
 */
function hides(range: DamageStats, record: SightedRecord, sight: Sight): boolean {
  if (isMoved(record, sight)) return range.file === fileNameOf(record.listed);
  const hasVersion = range.firstVersion <= record.version && record.version <= range.lastVersion;
  return hasVersion && reaches(range, record);
}

function reaches(range: DamageStats, record: SightedRecord): boolean {
  const file = fileNameOf(record.listed);
  return record.isFileGone ? range.file === file : covers(range, file, record);
}

function covers(
  range: DamageStats,
  file: string,
  place: { readonly offset: number; readonly length: number },
): boolean {
  return (
    range.file === file &&
    range.offset < place.offset + place.length &&
    place.offset < range.offset + range.length
  );
}

/** Every range lies on something that was hit. */
function requireDamaged(store: RotStore, range: DamageStats, { hits }: Sight): void {
  const isHit = hits.some(({ listed, frame }) => covers(range, fileNameOf(listed), frame));
  require(isHit, `${range.file} at ${range.offset} is told as damaged, and is whole`);
  require(range.firstVersion <= range.lastVersion, `${range.file}: versions out of order`);
  require(range.firstVersion <= store.highestVersion, `${range.file}: versions never given`);
}

/** A list has what reads have: nothing that is gone, and nothing less. */
async function requireListed(
  open: LocalStore,
  state: Readonly<Record<string, KeyState>>,
): Promise<void> {
  const { records } = await open.list({ limit: 1000, keysOnly: true });
  const listed = records.map(({ key }) => Buffer.from(key).toString()).sort();
  const there = Object.keys(state).filter((key) => state[key] !== absent);
  require(listed.join() ===
    there.sort().join(), `a list has ${listed.join()}, reads have ${there.join()}`);
}

/** Whether a tail was cut that had records in it. */
function isTornAway(store: RotStore, { tornFrom }: Sight): boolean {
  if (tornFrom === undefined) return false;
  const frames = store.live.flatMap((listed) =>
    listed.length === 0n ? (store.frames.get(listed) ?? []) : [],
  );
  return frames.some(({ offset, length }) => offset + length > tornFrom);
}

/** Strictly, a store with damage that an opening sees is refused, and only such a one. */
async function judgeStrict(store: RotStore, image: StoreImage, isDamaged: boolean): Promise<void> {
  const host = hostOf(image, store.clock);
  try {
    const open = await openRotStore(host, { ...store.options, recovery: "strict" });
    await open.close();
    require(!isDamaged, "strict recovery takes a store that is told to be damaged");
  } catch (error) {
    if (error instanceof RotFinding) throw error;
    const isRefused = error instanceof KvixError && error.reason === "STORE_DAMAGED";
    require(isRefused && isDamaged, `strict recovery: ${String(error)}`);
    requireSame(image, imageOf(host.files), "strict recovery");
  }
}

/** A write, a compaction and another opening change nothing of what is known. */
async function liveOn(
  store: RotStore,
  open: LocalStore,
  host: SimHost,
  sight: Sight,
): Promise<void> {
  const keys = Object.keys(store.truth);
  const state = await stateOf(open, keys);
  const { version } = await open.set(bytesOf("new"), bytesOf("1"), { kind: "never" });
  require(version > store.highestVersion || sight.tornFrom !== undefined, "a version given twice");
  const { damage } = open.stats();
  for (let round = 0; round < compactions; round += 1) {
    for await (const { outcome } of open.compact({})) {
      require(outcome !== "failed", "a compaction beside damage failed");
    }
  }
  assert.deepEqual(await stateOf(open, keys), state, "after a compaction");
  await open.hintsWritten();
  await open.close();
  const next = await openRotStore(hostOf(imageOf(host.files), store.clock), store.options);
  assert.deepEqual(await stateOf(next, [...keys, "new"]), { ...state, new: "1" }, "opened again");
  for (const range of damage) {
    const isGone = !next.segments().some(({ file }) => file === range.file);
    const isKnown = next.stats().damage.some((each) => covers(each, range.file, range));
    require(isGone || isKnown, `${range.file} at ${range.offset} is forgotten`);
  }
  await next.close();
}

async function judgeRefusal(
  store: RotStore,
  image: StoreImage,
  host: SimHost,
  error: unknown,
): Promise<CaseOutcome> {
  if (!(error instanceof KvixError)) throw error;
  requireSame(image, imageOf(host.files), `the refusal ${error.reason}`);
  if (error.reason === "STORE_MISMATCH") return { verdict: error.reason, openings: 1, withheld: 0 };
  if (error.reason === "FORMAT_TOO_NEW") {
    await requireUnrepaired(store, image, host);
    return { verdict: error.reason, openings: 1, withheld: 0 };
  }
  require(error.reason === "MANIFEST_DAMAGED", `refused with ${error.message}`);
  const { isRepaired } = await repairStore(store.options, host);
  require(isRepaired, "kvix repair repairs nothing");
  const open = await openRotStore(host, store.options);
  const after = await judgeOpen(store, open, sightOf(store, image));
  require(after.verdict === "everything", `after the repair: ${after.verdict}`);
  await liveOn(store, open, host, sightOf(store, image));
  requireKept(store.strange, image, host, notOurs);
  return { verdict: "MANIFEST_DAMAGED", openings: 3, withheld: after.withheld };
}
