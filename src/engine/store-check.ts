/**
 * The check of a whole store, once it is known that nobody has it open: the
 * manifest, the mark, every segment with its hint, and what else lies there.
 * One segment is open at a time.
 */
import {
  type Segment as ListedSegment,
  type Manifest,
  SegmentState,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { parseSegmentFileName } from "../format/segment-name.js";
import { errorCode, type File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import { dataPath, FileName, type StoreDirectories, segmentPath } from "../storage/layout.js";
import { loadManifest } from "../storage/manifest-file.js";
import { Segment, SegmentName } from "../storage/segment.js";
import { readStoreMark } from "../storage/store-mark.js";
import { WatchedFile } from "../storage/watched-file.js";
import { knownDamageEnd } from "./damage.js";
import { findStrayFiles } from "./directories.js";
import { findYoungerSegment } from "./outdated-manifest.js";
import type { Finding } from "./verify-findings.js";
import { SegmentCheck, type SegmentExpectation } from "./verify-segment.js";

/** What a check has found. */
export interface VerifyReport {
  readonly findings: readonly Finding[];
  readonly segments: number;
  readonly bytes: number;
  readonly records: number;
  /** Whether the store was closed properly; false without a manifest. */
  readonly wasClean: boolean;
}

/** How far a check is. */
export interface VerifyProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** A segment to check. */
interface PlannedSegment {
  readonly name: SegmentName;
  /** Undefined without a manifest. */
  readonly listed: ListedSegment | undefined;
}

/** A segment that was checked, and the versions that were found in it. */
type CheckedSegment = PlannedSegment & Pick<Segment, "lowestVersion" | "highestVersion">;

/** Checks one store. */
export class StoreCheck {
  readonly #host: Host;
  readonly #directories: StoreDirectories;
  readonly #onProgress: (progress: VerifyProgress) => void;
  readonly #findings: Finding[] = [];
  #bytesDone = 0;
  #bytesTotal = 0;
  #records = 0;

  constructor(
    host: Host,
    directories: StoreDirectories,
    onProgress: (progress: VerifyProgress) => void,
  ) {
    this.#host = host;
    this.#directories = directories;
    this.#onProgress = onProgress;
  }

  async run(): Promise<VerifyReport> {
    const manifest = await this.#readManifest();
    const mark = await this.#readMark(manifest);
    const storeId = manifest?.storeId ?? mark;
    const planned = storeId === undefined ? [] : await this.#plan(manifest, storeId);
    const checked: CheckedSegment[] = [];
    for (const each of planned) {
      const expected = expectationOf(manifest, each.listed, storeId ?? new Uint8Array(0));
      const segment = await this.#check(each, expected);
      if (segment !== undefined) checked.push({ ...each, ...segment });
    }
    if (manifest !== undefined) {
      this.#remember(manifest);
      this.#checkOrder(manifest, checked);
      const strays = await findStrayFiles(this.#host, this.#directories, manifest);
      for (const file of strays.names) this.#findings.push({ kind: "STRAY_FILE", file });
    }
    return {
      findings: this.#findings,
      segments: checked.length,
      bytes: this.#bytesTotal,
      records: this.#records,
      wasClean: manifest?.clean !== undefined,
    };
  }

  async #readManifest(): Promise<Manifest | undefined> {
    const file = dataPath(this.#directories, FileName.manifest);
    const verdict = await loadManifest(this.#host.files, this.#directories);
    if (verdict?.kind === "manifest") return await this.#requireCurrent(file, verdict.manifest);
    if (verdict?.kind === "too-new") {
      throw new KvixError("FORMAT_TOO_NEW", `format version ${verdict.formatVersion}`);
    }
    if (verdict === undefined && !(await this.#holdsStore())) {
      throw new KvixError("OPEN_FAILED", `${this.#directories.data} holds no store`);
    }
    if (verdict === undefined) this.#findings.push({ kind: "MANIFEST_MISSING", file });
    else this.#findings.push({ kind: "MANIFEST_DAMAGED", file, detail: verdict.why });
    return undefined;
  }

  /** A manifest that is older than the segments is as good as none. */
  async #requireCurrent(file: string, manifest: Manifest): Promise<Manifest | undefined> {
    const younger = await findYoungerSegment(this.#host, this.#directories, manifest);
    if (younger === undefined) return manifest;
    const detail = `${younger} was begun later`;
    this.#findings.push({ kind: "MANIFEST_OUTDATED", file, detail });
    return undefined;
  }

  async #holdsStore(): Promise<boolean> {
    for (const directory of [this.#directories.data, this.#directories.segments]) {
      const entries = await this.#host.files.list(directory).catch((error: unknown) => {
        if (errorCode(error) === "ENOENT") return [];
        throw error;
      });
      const isOurs = (name: string): boolean =>
        parseSegmentFileName(name) !== undefined ||
        name === FileName.manifestPrevious ||
        name === FileName.store;
      if (entries.some(({ name }) => isOurs(name))) return true;
    }
    return false;
  }

  async #readMark(manifest: Manifest | undefined): Promise<Uint8Array | undefined> {
    const file = segmentPath(this.#directories, FileName.store);
    const mark = await readStoreMark(this.#host.files, this.#directories);
    if (mark === undefined) this.#findings.push({ kind: "MARK_MISSING", file });
    else if (manifest !== undefined && Buffer.compare(mark, manifest.storeId) !== 0) {
      this.#findings.push({ kind: "STORE_MISMATCH", file });
    }
    return mark;
  }

  /** The segments that are there, with their sizes summed up. */
  async #plan(manifest: Manifest | undefined, storeId: Uint8Array): Promise<PlannedSegment[]> {
    const planned =
      manifest === undefined
        ? await this.#segmentsByName(storeId)
        : manifest.segments.filter(isLive).map((listed) => {
            const { prefix, id, timestamp } = listed;
            const name = new SegmentName(this.#directories, storeId, prefix, id, timestamp);
            return { name, listed };
          });
    const there: PlannedSegment[] = [];
    for (const each of planned) {
      const file = await this.#open(each);
      if (file === undefined) continue;
      this.#bytesTotal += await file.size();
      await file.close();
      there.push(each);
    }
    return there;
  }

  /** Without a manifest: every file that is named like a segment. */
  async #segmentsByName(storeId: Uint8Array): Promise<PlannedSegment[]> {
    const entries = await this.#host.files.list(this.#directories.segments);
    return entries.flatMap((entry) => {
      const parsed = parseSegmentFileName(entry.name);
      if (parsed?.kind !== "segment") return [];
      const { prefix, id, timestampNs } = parsed;
      const name = new SegmentName(this.#directories, storeId, prefix, id, timestampNs);
      return [{ name, listed: undefined }];
    });
  }

  async #open({ name, listed }: PlannedSegment): Promise<File | undefined> {
    try {
      return await this.#host.files.open(name.path, "read");
    } catch (error) {
      const detail = errorCode(error);
      if (detail === undefined) throw error;
      const kind = detail === "ENOENT" ? "SEGMENT_MISSING" : "SEGMENT_UNREADABLE";
      const versions = listed === undefined ? {} : listedVersions(listed);
      this.#findings.push({ kind, file: name.path, ...versions, keysUnknown: true, detail });
      return undefined;
    }
  }

  async #check(
    { name, listed }: PlannedSegment,
    expected: SegmentExpectation,
  ): Promise<Pick<Segment, "lowestVersion" | "highestVersion"> | undefined> {
    const file = await this.#open({ name, listed });
    if (file === undefined) return undefined;
    const watched = new WatchedFile(file, (bytes) => this.#progress(bytes));
    const segment = new Segment(name, watched, listed?.state !== SegmentState.ACTIVE);
    const check = new SegmentCheck(this.#host, segment, expected);
    try {
      await check.run();
      this.#bytesDone += await file.size();
    } finally {
      await file.close();
    }
    this.#findings.push(...check.findings);
    this.#records += check.records;
    this.#progress(0);
    const { lowestVersion, highestVersion } = segment;
    return { lowestVersion, highestVersion };
  }

  #progress(bytesOfSegment: number): void {
    const bytesDone = Math.min(this.#bytesDone + bytesOfSegment, this.#bytesTotal);
    this.#onProgress({ bytesDone, bytesTotal: this.#bytesTotal });
  }

  /** Damage that an earlier opening found, where this check found none. */
  #remember(manifest: Manifest): void {
    for (const range of manifest.damagedRanges) {
      const listed = manifest.segments.find(
        ({ id, timestamp }) => id === range.segmentId && timestamp === range.segmentTimestamp,
      );
      if (listed === undefined || !isLive(listed)) continue;
      const { prefix, id, timestamp } = listed;
      const name = new SegmentName(this.#directories, manifest.storeId, prefix, id, timestamp);
      const isKnown = this.#findings.some(
        ({ file, offset = 0, length = 0, kind }) =>
          file === name.path &&
          (kind === "SEGMENT_MISSING" ||
            (offset < Number(range.offset + range.length) &&
              Number(range.offset) < offset + length)),
      );
      if (isKnown) continue;
      this.#findings.push({
        kind: "DAMAGE_REMEMBERED",
        file: name.path,
        offset: Number(range.offset),
        length: Number(range.length),
        firstVersion: Number(range.versions?.first ?? 0n),
        lastVersion: Number(range.versions?.last ?? 0n),
        keysUnknown: range.keysUnknown,
      });
    }
  }

  /**
   * Segments of the log hold versions in the order in which they were made. Up
   * to the history floor that need not be so: there a compaction may have been.
   */
  #checkOrder(manifest: Manifest, segments: readonly CheckedSegment[]): void {
    const log = segments
      .filter(({ listed }) => listed?.state !== SegmentState.COMPACTED)
      .filter(({ lowestVersion }) => BigInt(lowestVersion) > manifest.historyFloor)
      .sort((one, other) => (one.name.timestampNs < other.name.timestampNs ? -1 : 1));
    for (const [index, segment] of log.entries()) {
      const before = log[index - 1];
      if (before === undefined || before.highestVersion < segment.lowestVersion) continue;
      this.#findings.push({
        kind: "VERSIONS_ODD",
        file: segment.name.path,
        firstVersion: segment.lowestVersion,
        lastVersion: before.highestVersion,
        detail: `${before.name.fileName}, which is older, has them too`,
      });
    }
  }
}

/** The versions of a segment as the manifest has them. */
function listedVersions(listed: ListedSegment): { firstVersion?: number; lastVersion?: number } {
  if (listed.highestVersion === 0n) return {};
  return { firstVersion: Number(listed.lowestVersion), lastVersion: Number(listed.highestVersion) };
}

function isLive({ state }: ListedSegment): boolean {
  return (
    state === SegmentState.ACTIVE ||
    state === SegmentState.SEALED ||
    state === SegmentState.COMPACTED
  );
}

function expectationOf(
  manifest: Manifest | undefined,
  listed: ListedSegment | undefined,
  storeId: Uint8Array,
): SegmentExpectation {
  if (manifest === undefined || listed === undefined) {
    const syncedChecksum = undefined;
    const versionCeiling = Number.POSITIVE_INFINITY;
    const syncedLength = Number.POSITIVE_INFINITY;
    return { listed, storeId, syncedLength, knownDamageEnd: 0, syncedChecksum, versionCeiling };
  }
  const knownDamage = knownDamageEnd(manifest, listed.timestamp);
  const { clean, versionMark } = manifest;
  if (listed.state !== SegmentState.ACTIVE) {
    return {
      listed,
      storeId,
      syncedLength: Number(listed.length),
      knownDamageEnd: knownDamage,
      syncedChecksum: listed.checksum,
      versionCeiling: Number(listed.highestVersion) + 1,
    };
  }
  return {
    listed,
    storeId,
    syncedLength: Number(clean?.syncedLength ?? 0n),
    knownDamageEnd: knownDamage,
    syncedChecksum: clean?.syncedChecksum,
    versionCeiling: clean === undefined ? Number(versionMark) : Number(clean.lastVersion) + 1,
  };
}
