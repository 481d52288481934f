/**
 * Checks one segment: its frames, as an opening would judge them; its whole,
 * against what was sealed; and its hint, entry by entry, against its frames.
 *
 * It holds the index of one segment at a time in memory, as an opening holds
 * that of all.
 */
import { type Segment as ListedSegment, SegmentState } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { HintFlag } from "../format/hint-layout.js";
import type { HintBlock } from "../format/hint-reader.js";
import type { Host } from "../host/host.js";
import { loadHint } from "../storage/hint-file.js";
import type { Segment } from "../storage/segment.js";
import { checksumOf } from "../storage/segment-scan.js";
import { SegmentSet } from "../storage/segment-set.js";
import { type Damage, DamageRegister } from "./damage.js";
import { IndexLoader, type LoadedEntry, TOMBSTONE_MARK } from "./index-loader.js";
import { Keydir, NO_ENTRY } from "./keydir/keydir.js";
import { salvageRun } from "./salvage.js";
import { SegmentReader } from "./segment-recovery.js";
import {
  DAMAGED_KEYS_MAX,
  type Finding,
  type FindingKind,
  type FindingPlace,
} from "./verify-findings.js";

const SEED_BYTES = 16;

/** What a segment is checked against. */
export interface SegmentExpectation {
  /** As the manifest has it; undefined: there is no manifest. */
  readonly listed: ListedSegment | undefined;
  readonly storeId: Uint8Array;
  /** Bytes below this were synced for certain; damage there is rot. Infinity: all there are. */
  readonly syncedLength: number;
  /** Where the last damage ends that the manifest knows: it is no torn tail. */
  readonly knownDamageEnd: number;
  /** CRC-32 of those bytes, where it is known. */
  readonly syncedChecksum: number | undefined;
  /** The first version that the segment cannot have; Infinity if that is not known. */
  readonly versionCeiling: number;
}

/** Checks one segment whose file is open. */
export class SegmentCheck {
  readonly findings: Finding[] = [];
  records = 0;
  readonly #host: Host;
  readonly #segment: Segment;
  readonly #expected: SegmentExpectation;
  readonly #keydir: Keydir;
  readonly #damage = new DamageRegister();

  constructor(host: Host, segment: Segment, expected: SegmentExpectation) {
    this.#host = host;
    this.#segment = segment;
    this.#expected = expected;
    this.#keydir = new Keydir({ seed: host.entropy.bytes(SEED_BYTES) });
  }

  async run(): Promise<void> {
    const { file } = this.#segment;
    if (file === undefined) throw new Error("a missing segment cannot be checked");
    const fileLength = await file.size();
    const syncedLength = this.#syncedLengthOf(fileLength);
    const isActive = this.#isActive();
    if (fileLength < syncedLength) {
      this.#add("SEGMENT_SHORT", {
        offset: fileLength,
        length: syncedLength - fileLength,
        ...this.#listedVersions(),
        keysUnknown: true,
      });
    } else if (!isActive && fileLength > syncedLength) {
      this.#add("SEGMENT_LONG", { offset: syncedLength, length: fileLength - syncedLength });
    }
    const length = isActive ? fileLength : Math.min(fileLength, syncedLength);
    const isReadable = await this.#readFrames(length);
    for (const damage of this.#damage.of(this.#segment.name)) await this.#tellDamage(damage);
    const isSound = isReadable && this.#damage.count === 0 && fileLength >= syncedLength;
    if (!isSound) return;
    this.#checkVersions();
    await this.#checkWhole();
    if (!isActive && this.#expected.listed !== undefined) await this.#checkHint();
  }

  #syncedLengthOf(fileLength: number): number {
    const { syncedLength } = this.#expected;
    return Number.isFinite(syncedLength) ? syncedLength : fileLength;
  }

  /** Reads all frames into the index; false: there is one of an unknown kind. */
  async #readFrames(fileLength: number): Promise<boolean> {
    const segment = this.#segment;
    const segments = new SegmentSet();
    segments.add(segment);
    const loader = new IndexLoader(this.#keydir, segments, Number.POSITIVE_INFINITY);
    const sink = {
      load: (_: Segment, entry: LoadedEntry): void => {
        this.records += 1;
        loader.load(segment, entry);
      },
      loadRequest: () => undefined,
    };
    const { syncedLength, knownDamageEnd, versionCeiling } = this.#expected;
    const reading = {
      segment,
      fileLength,
      syncedLength: Math.min(Math.max(syncedLength, knownDamageEnd), fileLength),
      versionCeiling,
    };
    try {
      const { length } = await new SegmentReader(reading, sink, this.#damage).read();
      loader.flush();
      if (length < fileLength)
        this.#add("TORN_TAIL", { offset: length, length: fileLength - length });
      return true;
    } catch (error) {
      if (!(error instanceof KvixError) || error.reason !== "FORMAT_TOO_NEW") throw error;
      this.#add("FRAME_UNKNOWN", { offset: Number(error.metadata["offset"] ?? 0) });
      return false;
    }
  }

  async #tellDamage(damage: Damage): Promise<void> {
    const { offset, length, firstVersion, lastVersion, keysUnknown } = damage;
    const { lost } = await salvageRun({
      segment: this.#segment,
      offset,
      length,
      versionBefore: firstVersion - 1,
      versionAfter: lastVersion + 1,
    });
    const keys = lost.slice(0, DAMAGED_KEYS_MAX).map(({ bytes, fields, isCertain }) => ({
      key: bytes.slice(fields.keyStart, fields.keyEnd),
      version: fields.version,
      isCertain,
    }));
    this.#add("FRAMES_DAMAGED", { offset, length, firstVersion, lastVersion, keys, keysUnknown });
  }

  #checkVersions(): void {
    const { lowestVersion, highestVersion } = this.#segment;
    const { listed, versionCeiling } = this.#expected;
    const found = { firstVersion: lowestVersion, lastVersion: highestVersion };
    if (highestVersion >= versionCeiling) {
      const detail = `versions from ${versionCeiling} on were never given`;
      this.#add("VERSIONS_ODD", { ...found, detail });
    } else if (listed !== undefined && !this.#isActive()) {
      const isAsListed =
        BigInt(lowestVersion) === listed.lowestVersion &&
        BigInt(highestVersion) === listed.highestVersion;
      const detail = `the manifest says ${listed.lowestVersion} to ${listed.highestVersion}`;
      if (!isAsListed) this.#add("VERSIONS_ODD", { ...found, detail });
    }
  }

  /** All frames are sound; are they those that were sealed? */
  async #checkWhole(): Promise<void> {
    const { file } = this.#segment;
    const { syncedLength, syncedChecksum } = this.#expected;
    if (file === undefined || syncedChecksum === undefined || syncedLength === 0) return;
    if ((await checksumOf(file, syncedLength)) === syncedChecksum) return;
    this.#add("SEGMENT_CHANGED", { offset: 0, length: syncedLength, ...this.#listedVersions() });
  }

  async #checkHint(): Promise<void> {
    const { files } = this.#host;
    const { listed, storeId } = this.#expected;
    this.#segment.length = Number(listed?.length ?? 0n);
    this.#segment.checksum = listed?.checksum ?? 0;
    let newest = 0;
    let wrong = 0;
    const hint = await loadHint(files, storeId, this.#segment, (block) => {
      const seen = this.#compare(block);
      newest += seen.newest;
      wrong += seen.wrong;
    });
    const file = this.#segment.name.hintPath;
    if (hint.kind === "missing") this.findings.push({ kind: "HINT_MISSING", file });
    else if (hint.kind === "doubtful") {
      this.findings.push({ kind: "HINT_DAMAGED", file, detail: hint.why });
    } else if (wrong > 0 || newest !== this.#keydir.count) {
      const missing = this.#keydir.count - newest;
      const detail = `${wrong} entries are wrong, ${missing} are missing`;
      this.findings.push({ kind: "HINT_WRONG", file, detail });
    }
  }

  /** How many entries of a block say what the segment says of its newest records, and how many lie. */
  #compare(block: HintBlock): { newest: number; wrong: number } {
    const keydir = this.#keydir;
    let newest = 0;
    let wrong = 0;
    let keyStart = 0;
    for (let index = 0; index < block.count; index += 1) {
      const keyEnd = keyStart + (block.keyLengths[index] as number);
      const entry = keydir.findIn(block.keys, keyStart, keyEnd);
      keyStart = keyEnd;
      const version = join48(block.versionsHigh[index], block.versionsLow[index]);
      if (entry === NO_ENTRY || version > keydir.versionOf(entry)) {
        wrong += 1;
        continue;
      }
      // An older record of the key may stand beside the newest: the index takes the newest.
      if (version < keydir.versionOf(entry)) continue;
      const isTombstone = ((block.flags[index] as number) & HintFlag.TOMBSTONE) !== 0;
      const expiresAtMs = join48(block.expiriesHigh[index], block.expiriesLow[index]);
      const isSame =
        keydir.offsetOf(entry) === block.offsets[index] &&
        keydir.lengthOf(entry) === block.lengths[index] &&
        keydir.expiresAtMsOf(entry) === (isTombstone ? TOMBSTONE_MARK : expiresAtMs);
      if (isSame) newest += 1;
      else wrong += 1;
    }
    return { newest, wrong };
  }

  #isActive(): boolean {
    return this.#expected.listed?.state === SegmentState.ACTIVE;
  }

  #listedVersions(): { firstVersion?: number; lastVersion?: number } {
    const { listed } = this.#expected;
    if (listed === undefined || listed.highestVersion === 0n) return {};
    return {
      firstVersion: Number(listed.lowestVersion),
      lastVersion: Number(listed.highestVersion),
    };
  }

  #add(kind: FindingKind, place: FindingPlace): void {
    this.findings.push({ kind, file: this.#segment.name.path, ...place });
  }
}

function join48(high: number | undefined, low: number | undefined): number {
  return (high ?? 0) * 2 ** 32 + (low ?? 0);
}
