/**
 * Which tombstones may go (V6). A tombstone hides the older records of its key.
 * It may go when no such record is left anywhere:
 *
 *   version < horizon         every segment that stays and holds dead bytes has
 *                             younger records only
 *   the key is in no elder    the hints of the elders, the segments that stay and
 *                             are not younger, name every key that is in them
 *
 * Keys are compared by a hash of 32 bits. Two keys with one hash only make a
 * tombstone stay that might have gone, and the next compaction asks again.
 *
 * Bound (V11): 2^21 tombstones are asked about at once, in 16 MiB; those beyond
 * stay.
 */
import { HintFlag } from "../../format/hint-layout.js";
import type { HintBlock } from "../../format/hint-reader.js";
import type { FileSystem } from "../../host/file-system.js";
import { loadHint } from "../../storage/hint-file.js";
import { type SegmentRef, segmentOf, type TombstoneRule } from "./copier-orders.js";

const HASHES_MAX = 2 ** 21;
/** Twice as many places as hashes: probes stay short. */
const SLOTS_MAX = 2 * HASHES_MAX;

/** What is known of the tombstones of some segments. */
export class TombstoneCheck {
  readonly #rule: TombstoneRule;
  readonly #files: FileSystem;
  readonly #asked = new HashSet();
  /** From this version on nobody knows. */
  #unknownFrom: number;

  constructor(rule: TombstoneRule, files: FileSystem) {
    this.#rule = rule;
    this.#files = files;
    this.#unknownFrom = rule.unknownFrom;
  }

  /** Reads the hints of `subjects`, whose tombstones it will be asked of, and those of the elders. */
  async learn(subjects: readonly SegmentRef[]): Promise<void> {
    const { horizon, elders } = this.#rule;
    if (elders.length === 0) return;
    for (const subject of subjects) {
      await this.#eachKey(subject, (hash, version, flags) => {
        if ((flags & HintFlag.TOMBSTONE) !== 0 && version >= horizon) this.#asked.add(hash);
      });
    }
    if (this.#asked.size === 0) return;
    for (const elder of elders) {
      const isKnown = await this.#eachKey(elder, (hash) => this.#asked.mark(hash));
      if (!isKnown) this.#unknownFrom = Math.min(this.#unknownFrom, elder.lowestVersion);
    }
  }

  /** Whether the tombstone of the key `bytes[start, end)` hides nothing that stays. */
  mayGo(bytes: Uint8Array, start: number, end: number, version: number): boolean {
    const { horizon } = this.#rule;
    if (version < horizon) return true;
    return version < this.#unknownFrom && this.#asked.isUnmarked(hashOf(bytes, start, end));
  }

  /** How many bytes of the tombstones of a segment that was learnt may go. */
  async droppableBytes(subject: SegmentRef): Promise<number> {
    const { horizon } = this.#rule;
    let bytes = 0;
    await this.#eachKey(subject, (hash, version, flags, length) => {
      if ((flags & HintFlag.TOMBSTONE) === 0) return;
      const isFree = version < this.#unknownFrom && this.#asked.isUnmarked(hash);
      if (version < horizon || isFree) bytes += length;
    });
    return bytes;
  }

  /** Visits the keys of a segment by its hint; false: there is no sound one. */
  async #eachKey(
    ref: SegmentRef,
    visit: (hash: number, version: number, flags: number, length: number) => void,
  ): Promise<boolean> {
    const segment = segmentOf(ref, this.#rule);
    const load = await loadHint(this.#files, this.#rule.storeId, segment, (block) =>
      visitBlock(block, visit),
    );
    return load.kind === "loaded";
  }
}

function visitBlock(
  block: HintBlock,
  visit: (hash: number, version: number, flags: number, length: number) => void,
): void {
  let start = 0;
  for (let index = 0; index < block.count; index += 1) {
    const end = start + block.keyLengths[index]!;
    const version = block.versionsHigh[index]! * 2 ** 32 + block.versionsLow[index]!;
    visit(hashOf(block.keys, start, end), version, block.flags[index]!, block.lengths[index]!);
    start = end;
  }
}

/** FNV-1a, mixed at the end as murmur3 does; never 0, which is an empty slot. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash = (hash ^ (hash >>> 16)) >>> 0;
  return hash === 0 ? 1 : hash;
}

/** Hashes, each marked or not: open addressing, grown by doubling. */
class HashSet {
  #hashes = new Uint32Array(1024);
  #marks = new Uint8Array(1024);
  size = 0;

  add(hash: number): void {
    if (this.size >= HASHES_MAX) return;
    if (2 * this.size >= this.#hashes.length && this.#hashes.length < SLOTS_MAX) this.#grow();
    const slot = this.#slotOf(hash);
    if (this.#hashes[slot] === hash) return;
    this.#hashes[slot] = hash;
    this.size += 1;
  }

  mark(hash: number): void {
    const slot = this.#slotOf(hash);
    if (this.#hashes[slot] === hash) this.#marks[slot] = 1;
  }

  /** Whether the hash was added and never marked. */
  isUnmarked(hash: number): boolean {
    const slot = this.#slotOf(hash);
    return this.#hashes[slot] === hash && this.#marks[slot] === 0;
  }

  #slotOf(hash: number): number {
    const mask = this.#hashes.length - 1;
    let slot = hash & mask;
    while (this.#hashes[slot] !== 0 && this.#hashes[slot] !== hash) slot = (slot + 1) & mask;
    return slot;
  }

  /** Nothing is marked while hashes are still added. */
  #grow(): void {
    const before = this.#hashes;
    this.#hashes = new Uint32Array(2 * before.length);
    this.#marks = new Uint8Array(2 * before.length);
    for (const hash of before) if (hash !== 0) this.#hashes[this.#slotOf(hash)] = hash;
  }
}
