/**
 * A store as compaction sees it, without its bytes: segments are lists of keys and
 * versions, and every frame, hint and copy is counted. The policy that chooses is the
 * store's own.
 *
 * What it models: one active segment that is never a victim; a tombstone for each
 * delete, copied as long as a segment holds an older record of its key; a hint for each
 * segment when it is sealed, with an entry for each key, so that what was overwritten
 * within the segment has none; the newest part of the log that is kept for watchers.
 *
 * What it leaves out: time, so a compaction is over before the next write; the head
 * and the summary of hints, a few hundred bytes of megabytes.
 */
import {
  type Candidate,
  chooseVictims,
  isOverDead,
  type PolicyInput,
} from "../src/engine/compaction/policy.js";

/** What is modelled. */
export interface ModelOptions {
  readonly keys: number;
  readonly segmentBytesMax: number;
  /** The frame of a record; all are of one size. */
  readonly recordBytes: number;
  readonly tombstoneBytes: number;
  readonly hintEntryBytes: number;
  readonly deadPercent: number;
  /** The newest sealed bytes of the log that are no victims. */
  readonly retainedBytes: number;
  /** Another policy, to compare with. */
  readonly choose?: typeof chooseVictims | undefined;
}

/** A segment: its frames in order, by key and version. */
interface ModelSegment {
  readonly id: number;
  readonly isCompacted: boolean;
  readonly keys: number[];
  readonly versions: number[];
  /** Whether a frame is a tombstone, by its place. */
  readonly tombstones: Set<number>;
  bytes: number;
  liveBytes: number;
  /** Bytes of tombstones that still hide a record. */
  tombstoneBytes: number;
  hintBytes: number;
  lowestVersion: number;
  highestVersion: number;
}

/** What was written since the start, and what is there. */
export interface ModelFigures {
  /** Frames that the user's calls appended. */
  readonly appendedBytes: number;
  /** Everything written: those frames, all hints, all outputs. */
  readonly writtenBytes: number;
  /** All segments and hints. */
  readonly diskBytes: number;
  /** Frames of records that can be read. */
  readonly liveBytes: number;
  readonly segments: number;
  /** The most that the output and the hint of one step took beside its victims. */
  readonly stepBytesMax: number;
}

/** A modelled store. */
export class CompactionModel {
  readonly #options: ModelOptions;
  readonly #choose: typeof chooseVictims;
  /** In the order in which they were made; the active one is among them. */
  #segments: ModelSegment[] = [];
  readonly #byId = new Map<number, ModelSegment>();
  #active: ModelSegment;
  /** Where the newest frame of each key lies; -1: it has none. */
  readonly #segmentOf: Int32Array;
  readonly #placeOf: Int32Array;
  /** How many records of each key lie in segments, dead ones too. */
  readonly #recordsOf: Uint32Array;
  #nextId = 0;
  #version = 0;
  #storeBytes = 0;
  #liveBytes = 0;
  #tombstoneBytes = 0;
  #hintBytes = 0;
  #appendedBytes = 0;
  #hintBytesWritten = 0;
  #outputBytes = 0;
  #stepBytesMax = 0;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#choose = options.choose ?? chooseVictims;
    this.#segmentOf = new Int32Array(options.keys).fill(-1);
    this.#placeOf = new Int32Array(options.keys);
    this.#recordsOf = new Uint32Array(options.keys);
    this.#active = this.#create(false);
  }

  figures(): ModelFigures {
    return {
      appendedBytes: this.#appendedBytes,
      writtenBytes: this.#appendedBytes + this.#hintBytesWritten + this.#outputBytes,
      diskBytes: this.#storeBytes + this.#hintBytes,
      liveBytes: this.#liveBytes,
      segments: this.#segments.length,
      stepBytesMax: this.#stepBytesMax,
    };
  }

  set(key: number): void {
    this.#write(key, false);
  }

  /** Appends nothing if the key is absent. */
  delete(key: number): void {
    const segment = this.#byId.get(this.#segmentOf[key]!);
    if (segment === undefined || segment.tombstones.has(this.#placeOf[key]!)) return;
    this.#write(key, true);
  }

  /** Runs steps until the policy chooses nothing. */
  compact(extent: PolicyInput["extent"]): void {
    const { segmentBytesMax, deadPercent } = this.#options;
    for (;;) {
      const store = { storeBytes: this.#storeBytes, storeLiveBytes: this.#neededBytes() };
      if (extent === "due" && !isOverDead({ ...store, deadPercent })) return;
      const choice = this.#choose({
        ...store,
        candidates: this.#candidates(),
        storeVersion: this.#version,
        segmentBytesMax,
        deadPercent,
        roomBytes: Number.MAX_SAFE_INTEGER,
        extent,
      });
      if (choice.kind !== "victims") return;
      this.#step(new Set(choice.ids));
    }
  }

  #neededBytes(): number {
    return this.#liveBytes + this.#tombstoneBytes;
  }

  #write(key: number, isTombstone: boolean): void {
    const bytes = this.#frameBytes(isTombstone);
    if (this.#active.bytes + bytes > this.#options.segmentBytesMax) {
      this.#seal(this.#active);
      this.#active = this.#create(false);
    }
    this.#forget(key);
    this.#append(this.#active, key, ++this.#version, isTombstone);
    this.#appendedBytes += bytes;
  }

  #frameBytes(isTombstone: boolean): number {
    return isTombstone ? this.#options.tombstoneBytes : this.#options.recordBytes;
  }

  #create(isCompacted: boolean): ModelSegment {
    const segment: ModelSegment = {
      id: this.#nextId++,
      isCompacted,
      keys: [],
      versions: [],
      tombstones: new Set(),
      bytes: 0,
      liveBytes: 0,
      tombstoneBytes: 0,
      hintBytes: 0,
      lowestVersion: Number.MAX_SAFE_INTEGER,
      highestVersion: 0,
    };
    this.#segments.push(segment);
    this.#byId.set(segment.id, segment);
    return segment;
  }

  #append(segment: ModelSegment, key: number, version: number, isTombstone: boolean): void {
    const place = segment.keys.push(key) - 1;
    segment.versions.push(version);
    if (isTombstone) segment.tombstones.add(place);
    else this.#recordsOf[key]! += 1;
    this.#segmentOf[key] = segment.id;
    this.#placeOf[key] = place;
    segment.bytes += this.#frameBytes(isTombstone);
    this.#storeBytes += this.#frameBytes(isTombstone);
    this.#count(segment, isTombstone, 1);
    segment.lowestVersion = Math.min(segment.lowestVersion, version);
    segment.highestVersion = Math.max(segment.highestVersion, version);
  }

  /** The newest frame of the key is not needed any longer. */
  #forget(key: number): void {
    const segment = this.#byId.get(this.#segmentOf[key]!);
    if (segment === undefined) return;
    this.#count(segment, segment.tombstones.has(this.#placeOf[key]!), -1);
    this.#segmentOf[key] = -1;
  }

  #count(segment: ModelSegment, isTombstone: boolean, frames: 1 | -1): void {
    const bytes = frames * this.#frameBytes(isTombstone);
    if (isTombstone) {
      segment.tombstoneBytes += bytes;
      this.#tombstoneBytes += bytes;
    } else {
      segment.liveBytes += bytes;
      this.#liveBytes += bytes;
    }
  }

  #seal(segment: ModelSegment): void {
    const { recordBytes, tombstoneBytes, hintEntryBytes } = this.#options;
    const entries = segment.liveBytes / recordBytes + segment.tombstoneBytes / tombstoneBytes;
    segment.hintBytes = entries * hintEntryBytes;
    this.#hintBytes += segment.hintBytes;
    this.#hintBytesWritten += segment.hintBytes;
  }

  #candidates(): Candidate[] {
    let retained = 0;
    let firstRetained = Number.MAX_SAFE_INTEGER;
    for (let at = this.#segments.length - 1; at >= 0; at--) {
      const segment = this.#segments[at]!;
      if (segment.isCompacted || segment === this.#active) continue;
      retained += segment.bytes;
      if (retained > this.#options.retainedBytes) break;
      firstRetained = segment.id;
    }
    return this.#segments
      .filter((each) => each !== this.#active && (each.isCompacted || each.id < firstRetained))
      .map((each) => ({
        id: each.id,
        bytes: each.bytes,
        liveBytes: each.liveBytes,
        keptBytes: each.tombstoneBytes,
        lowestVersion: each.lowestVersion,
        highestVersion: each.highestVersion,
        isCompacted: each.isCompacted,
      }));
  }

  #step(ids: ReadonlySet<number>): void {
    const victims = this.#segments.filter(({ id }) => ids.has(id));
    this.#segments = this.#segments.filter(({ id }) => !ids.has(id));
    for (const victim of victims) this.#release(victim);
    const output = this.#create(true);
    for (const victim of victims) {
      this.#copy(victim, output);
      this.#byId.delete(victim.id);
      this.#storeBytes -= victim.bytes;
      this.#hintBytes -= victim.hintBytes;
    }
    if (output.keys.length === 0) {
      this.#segments.pop();
      this.#byId.delete(output.id);
      return;
    }
    this.#seal(output);
    this.#outputBytes += output.bytes;
    this.#stepBytesMax = Math.max(this.#stepBytesMax, output.bytes + output.hintBytes);
  }

  /** The records of a victim go: tombstones that hid the last of a key hide nothing any longer. */
  #release(victim: ModelSegment): void {
    for (const [place, key] of victim.keys.entries()) {
      if (victim.tombstones.has(place)) continue;
      this.#recordsOf[key]! -= 1;
      const newest = this.#byId.get(this.#segmentOf[key]!);
      const isHidden = newest?.tombstones.has(this.#placeOf[key]!) === true;
      if (isHidden && this.#recordsOf[key] === 0) this.#forget(key);
    }
  }

  /** Copies the newest frames of their keys. */
  #copy(victim: ModelSegment, output: ModelSegment): void {
    for (const [place, key] of victim.keys.entries()) {
      if (this.#segmentOf[key] !== victim.id || this.#placeOf[key] !== place) continue;
      this.#forget(key);
      this.#append(output, key, victim.versions[place]!, victim.tombstones.has(place));
    }
  }
}
