/**
 * From the bytes on disk to an index: what a store is after it was opened is a
 * function of them alone (V8).
 *
 *   manifest -> after a clean close: the checkpoint, if that is beyond doubt
 *            -> else every sealed segment, by its hint if that is sound, else by
 *   its frames -> the active segment, by its frames -> torn tail cut, last group
 *   written again and synced
 *
 * Nothing is changed on disk before all of it is read and, under "strict",
 * found sound. What is changed then is the tail of the active segment alone:
 * after a crash the page cache may show frames that a failed sync has lost, so
 * they are written again and synced before anyone sees them.
 */
import {
  type HintRequest,
  type Segment as ListedSegment,
  SegmentState,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { HintFlag } from "../format/hint-layout.js";
import type { HintBlock } from "../format/hint-reader.js";
import { errorCode, type File } from "../host/file-system.js";
import type { Host } from "../host/host.js";
import { readableBytes } from "../storage/byte-window.js";
import type { FilePool } from "../storage/file-pool.js";
import { loadHint } from "../storage/hint-file.js";
import type { StoreDirectories } from "../storage/layout.js";
import type { ManifestFile } from "../storage/manifest-file.js";
import { Segment, SegmentName } from "../storage/segment.js";
import { checksumOf } from "../storage/segment-scan.js";
import type { SegmentSet } from "../storage/segment-set.js";
import { openCheckpoint } from "./checkpoint.js";
import { type DamageRegister, damageFromMessage, knownDamageEnd, unjudgedFrom } from "./damage.js";
import { IndexLoader } from "./index-loader.js";
import type { Keydir } from "./keydir/keydir.js";
import { OpenProgress } from "./open-progress.js";
import type { StoreOptions } from "./options.js";
import type { RequestMemory } from "./requests/request-memory.js";
import { type SegmentFindings, SegmentReader } from "./segment-recovery.js";

const NS_PER_MS = 1_000_000n;

/** What recovery works with. */
export interface RecoveryContext {
  readonly host: Host;
  readonly directories: StoreDirectories;
  readonly manifest: ManifestFile;
  readonly keydir: Keydir;
  /** Is filled with the requests that are remembered. */
  readonly requests: RequestMemory;
  readonly damage: DamageRegister;
  readonly options: StoreOptions;
  /** Has the files of the segments. */
  readonly pool: FilePool;
  /** Is filled with the live segments; the caller closes their files if opening fails. */
  readonly segments: SegmentSet;
}

/** What recovery found. */
export interface Recovered {
  /** The index: the one that was to be filled, or that of the checkpoint. */
  readonly keydir: Keydir;
  readonly active: Segment | undefined;
  readonly sealFirst: boolean;
  /** The first version that may be given. */
  readonly nextVersion: number;
  readonly lostRange: { readonly first: number; readonly last: number } | undefined;
  readonly newestTimestampMs: number;
  /** Sealed segments without a sound hint. */
  readonly withoutHint: readonly Segment[];
  readonly progress: OpenProgress;
}

/** Reads a store. Throws FORMAT_TOO_NEW, STORE_DAMAGED, INDEX_LIMIT_TOO_SMALL. */
export async function recover(context: RecoveryContext): Promise<Recovered> {
  return await new Recovery(context).run();
}

class Recovery {
  readonly #context: RecoveryContext;
  readonly #segments: SegmentSet;
  readonly #loader: IndexLoader;
  readonly #withoutHint: Segment[] = [];
  readonly #progress: OpenProgress;
  #newestTimestampMs = 0;
  #highestVersion = 0;

  constructor(context: RecoveryContext) {
    this.#context = context;
    const { keydir, options, host, manifest, segments, requests } = context;
    this.#segments = segments;
    this.#loader = new IndexLoader(keydir, this.#segments, options.indexBytesMax, requests);
    this.#progress = new OpenProgress(host, manifest.current.segments.length);
  }

  async run(): Promise<Recovered> {
    const { manifest, damage, options, keydir } = this.#context;
    const segments: Segment[] = [];
    for (const listed of manifest.current.segments) {
      const isLive =
        listed.state === SegmentState.ACTIVE ||
        listed.state === SegmentState.SEALED ||
        listed.state === SegmentState.COMPACTED;
      if (!isLive) continue;
      const segment = await this.#open(listed);
      this.#segments.add(segment);
      this.#rememberDamage(segment);
      segments.push(segment);
    }
    const active = segments.find(({ isSealed }) => !isSealed);
    this.#progress.wasClean = manifest.current.clean !== undefined;
    const restored = await this.#openCheckpoint();
    if (restored !== undefined) {
      if (options.recovery === "strict" && damage.count > 0) throw this.#refusal();
      return this.#result(restored, active, undefined);
    }
    for (const segment of segments) {
      if (segment.isSealed) await this.#readSealed(segment);
      this.#progress.entries = this.#loader.entries;
      this.#progress.segmentDone();
    }
    const tail = active === undefined ? undefined : await this.#readActive(active);
    this.#progress.entries = this.#loader.entries;
    this.#loader.finish();
    if (options.recovery === "strict" && damage.count > 0) throw this.#refusal();
    if (active !== undefined && tail !== undefined) await this.#mendTail(active, tail);
    return this.#result(keydir, active, tail);
  }

  /** The index of the checkpoint, if there is one beyond doubt; then no segment is read. */
  async #openCheckpoint(): Promise<Keydir | undefined> {
    const { host, directories, manifest, options, requests } = this.#context;
    const { clean, storeId } = manifest.current;
    if (clean === undefined) return undefined;
    const context = { host, directories, storeId, segments: this.#segments, requests };
    const keydir = await openCheckpoint(context, clean, options.indexBytesMax);
    if (keydir === undefined) return undefined;
    const files = await host.files.list(directories.segments);
    const names = new Set(files.map(({ name }) => name));
    for (const segment of this.#segments) {
      this.#highestVersion = Math.max(this.#highestVersion, segment.highestVersion);
      if (segment.isSealed && !names.has(segment.name.hintName)) this.#withoutHint.push(segment);
    }
    this.#progress.fromCheckpoint = true;
    this.#progress.entries = keydir.count;
    host.log.info({ keys: keydir.count }, "the index was taken from the checkpoint");
    return keydir;
  }

  #result(keydir: Keydir, active: Segment | undefined, tail: ActiveTail | undefined): Recovered {
    const { clean, versionMark, historyFloor, lostRanges } = this.#context.manifest.current;
    const mark = Number(versionMark);
    const cleanTimestampMs = Number((clean?.newestTimestamp ?? 0n) / NS_PER_MS);
    const nextVersion =
      clean === undefined
        ? Math.max(mark, this.#highestVersion + 1)
        : Math.max(Number(clean.lastVersion), this.#highestVersion) + 1;
    // What a compaction took out of the log was durable, and is not lost; nor is what was
    // lost before, up to the version that the store had then, lost again.
    const known = Number(lostRanges.at(-1)?.last ?? 0n);
    const firstLost = Math.max(this.#highestVersion, Number(historyFloor), known) + 1;
    const isLost = clean === undefined && nextVersion > firstLost;
    return {
      keydir,
      active,
      sealFirst: tail?.sealFirst ?? false,
      nextVersion,
      lostRange: isLost ? { first: firstLost, last: nextVersion - 1 } : undefined,
      newestTimestampMs: Math.max(this.#newestTimestampMs, cleanTimestampMs),
      withoutHint: this.#withoutHint,
      progress: this.#progress,
    };
  }

  async #open(listed: ListedSegment): Promise<Segment> {
    const { host, directories, manifest, pool } = this.#context;
    const { storeId } = manifest.current;
    const { id, timestamp, prefix, state } = listed;
    const name = new SegmentName(directories, storeId, prefix, id, timestamp);
    const isActive = state === SegmentState.ACTIVE;
    let file: File | undefined;
    try {
      file = isActive
        ? pool.adopt(await host.files.open(name.path, "write"))
        : await pool.open(name.path);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
    const isLog = state !== SegmentState.COMPACTED;
    const segment = new Segment(name, file, !isActive, isLog);
    if (!isActive) {
      segment.length = Number(listed.length);
      segment.checksum = listed.checksum;
      segment.lowestVersion = Number(listed.lowestVersion);
      segment.highestVersion = Number(listed.highestVersion);
      this.#highestVersion = Math.max(this.#highestVersion, segment.highestVersion);
    }
    return segment;
  }

  #rememberDamage(segment: Segment): void {
    const { manifest, damage } = this.#context;
    for (const range of manifest.current.damagedRanges) {
      if (range.segmentTimestamp !== segment.name.timestampNs) continue;
      damage.add(damageFromMessage(range, segment.name), true);
    }
  }

  async #readSealed(segment: Segment): Promise<void> {
    const { host, manifest, damage } = this.#context;
    const { storeId } = manifest.current;
    const fileLength = (await segment.file?.size()) ?? 0;
    const hint = await loadHint(host.files, storeId, segment, (block) =>
      this.#loadBlock(segment, block),
    );
    if (hint.kind === "loaded") {
      // Before what is missing now: a hint made of a segment that was too short lacks its keys.
      for (const range of hint.summary.damagedRanges) {
        damage.add(damageFromMessage(range, segment.name));
      }
    }
    if (fileLength < segment.length) {
      this.#missing(segment, fileLength, hint.kind !== "loaded");
    }
    if (hint.kind === "loaded") {
      this.#loadRequests(segment, hint.summary.requests);
      const newestMs = Number(hint.summary.newestTimestamp / NS_PER_MS);
      segment.coverTimestamp(newestMs);
      this.#newestTimestampMs = Math.max(this.#newestTimestampMs, newestMs);
      this.#progress.segmentsFromHints += 1;
      return;
    }
    if (hint.kind === "doubtful") {
      const file = segment.name.hintName;
      host.log.warn({ file, why: hint.why }, "a hint is ignored and will be written anew");
    }
    if (segment.file === undefined) return;
    segment.forgetTombstones();
    const judgedLength = unjudgedFrom(segment, damage);
    const findings = await this.#readFrames(segment, {
      fileLength: Math.min(fileLength, segment.length),
      syncedLength: Math.min(fileLength, judgedLength),
      versionCeiling: segment.highestVersion + 1,
    });
    this.#newestTimestampMs = Math.max(this.#newestTimestampMs, findings.newestTimestampMs);
    if (judgedLength === segment.length) this.#withoutHint.push(segment);
  }

  #loadRequests(segment: Segment, requests: readonly HintRequest[]): void {
    for (const { requestId, offset, length } of requests) {
      const request = { requestId, offset: Number(offset), length: Number(length) };
      this.#loader.loadRequest(segment, request);
    }
  }

  #loadBlock(segment: Segment, block: HintBlock): void {
    // One object for all entries: the loader keeps nothing of it.
    const entry = {
      source: block.keys,
      keyStart: 0,
      keyEnd: 0,
      offset: 0,
      length: 0,
      version: 0,
      expiresAtMs: 0,
      isTombstone: false,
      isLost: false,
    };
    for (let index = 0; index < block.count; index += 1) {
      entry.keyEnd = entry.keyStart + block.keyLengths[index]!;
      entry.offset = block.offsets[index]!;
      entry.length = block.lengths[index]!;
      entry.version = block.versionsHigh[index]! * 2 ** 32 + block.versionsLow[index]!;
      entry.expiresAtMs = block.expiriesHigh[index]! * 2 ** 32 + block.expiriesLow[index]!;
      entry.isTombstone = (block.flags[index]! & HintFlag.TOMBSTONE) !== 0;
      entry.isLost = (block.flags[index]! & HintFlag.DAMAGED) !== 0;
      this.#loader.load(segment, entry);
      entry.keyStart = entry.keyEnd;
    }
  }

  async #readFrames(
    segment: Segment,
    range: { fileLength: number; syncedLength: number; versionCeiling: number },
  ): Promise<SegmentFindings> {
    const { damage } = this.#context;
    const findings = await new SegmentReader({ segment, ...range }, this.#loader, damage).read();
    segment.coverTimestamp(findings.newestTimestampMs);
    this.#progress.segmentsScanned += 1;
    this.#progress.bytesScanned += range.fileLength;
    return findings;
  }

  /** The end of a segment is not there; with a sound hint at least its keys are known. */
  #missing(segment: Segment, fileLength: number, keysUnknown: boolean): void {
    this.#context.damage.add({
      segment: segment.name,
      offset: fileLength,
      length: segment.length - fileLength,
      firstVersion: segment.lowestVersion,
      lastVersion: segment.highestVersion,
      keysUnknown,
    });
  }

  async #readActive(segment: Segment): Promise<ActiveTail> {
    const { manifest, damage } = this.#context;
    const { clean, versionMark } = manifest.current;
    const syncedLength = Number(clean?.syncedLength ?? 0n);
    const versionCeiling =
      clean === undefined ? Number(versionMark) : Number(clean.lastVersion) + 1;
    const fileLength = (await segment.file?.size()) ?? 0;
    // Without a clean close nobody knows how long a file was that is missing.
    if ((segment.file === undefined && clean === undefined) || fileLength < syncedLength) {
      const firstVersion = this.#highestVersion + 1;
      damage.add({
        segment: segment.name,
        offset: fileLength,
        length: Math.max(syncedLength - fileLength, 1),
        firstVersion,
        lastVersion: Math.max(firstVersion, versionCeiling - 1),
        keysUnknown: true,
      });
    }
    if (segment.file === undefined) {
      return { fileLength: 0, length: 0, from: 0, sealFirst: true, knownVersion: 0 };
    }
    const findings = await this.#readFrames(segment, {
      fileLength,
      syncedLength: Math.min(
        Math.max(syncedLength, knownDamageEnd(manifest.current, segment.name.timestampNs)),
        fileLength,
      ),
      versionCeiling,
    });
    this.#highestVersion = Math.max(this.#highestVersion, findings.highestVersion);
    this.#newestTimestampMs = Math.max(this.#newestTimestampMs, findings.newestTimestampMs);
    const { length, lastBarrier, hasUnreadable } = findings;
    const from = clean === undefined ? lastBarrier : length;
    const knownVersion = hasUnreadable ? findings.highestVersion : Number.POSITIVE_INFINITY;
    const sealFirst = fileLength < syncedLength || hasUnreadable;
    return { fileLength, length, from, sealFirst, knownVersion };
  }

  /** Cuts what is torn, writes the last group again, and syncs all of it. */
  async #mendTail(segment: Segment, tail: ActiveTail): Promise<void> {
    const { file } = segment;
    const { clean } = this.#context.manifest.current;
    segment.length = tail.length;
    if (file === undefined) return;
    const isUntouched = clean !== undefined && tail.length === tail.fileLength;
    if (!isUntouched) await this.#rewrite(file, tail);
    const isAsClosed = clean !== undefined && BigInt(tail.length) === clean.syncedLength;
    segment.checksum = isAsClosed ? clean.syncedChecksum : await checksumOf(file, tail.length);
    // A record that was guessed from what nobody could read is not known to be there.
    segment.highestVersion = Math.min(segment.highestVersion, tail.knownVersion);
    segment.lowestVersion = Math.min(segment.lowestVersion, segment.highestVersion);
  }

  async #rewrite(file: File, tail: ActiveTail): Promise<void> {
    const { host, directories } = this.#context;
    for await (const { bytes, position } of readableBytes(file, tail.from, tail.length)) {
      await file.write(bytes, position);
    }
    if (tail.fileLength > tail.length) await file.truncate(tail.length);
    await file.syncData();
    await host.files.syncDirectory(directories.segments);
    this.#progress.bytesWrittenAgain += tail.length - tail.from;
    this.#progress.tornBytesCut += tail.fileLength - tail.length;
    if (tail.fileLength > tail.length) {
      const bytes = tail.fileLength - tail.length;
      host.log.warn({ bytes, file: file.path }, "a torn tail was cut: writes nobody was told of");
    }
  }

  #refusal(): KvixError {
    const places = this.#context.damage
      .toStats()
      .slice(0, 8)
      .map(({ file, offset, length, firstVersion, lastVersion }) => {
        return `${file} at ${offset}, ${length} bytes, versions ${firstVersion} to ${lastVersion}`;
      });
    return new KvixError("STORE_DAMAGED", places.join("; "), {
      metadata: { damaged_ranges: this.#context.damage.count },
    });
  }
}

/** What is to be done about the end of the active segment. */
interface ActiveTail {
  readonly fileLength: number;
  /** Where the sound part ends. */
  readonly length: number;
  /** From here to `length` is written again. */
  readonly from: number;
  readonly sealFirst: boolean;
  /** No version above it is known to be there. */
  readonly knownVersion: number;
}
