/**
 * Which files are mutated, and which tests are asked about each: those that are about it,
 * the quick ones first. A test that takes half a minute would take it for every mutant.
 *
 *   format    all
 *   storage   all; named, since most of it is tested through an open store
 *   engine    a sample: where a promise is kept in a few lines
 */

/** A file and the tests that are asked about its mutants; paths from the repository on. */
export interface Subject {
  readonly source: string;
  readonly tests: readonly string[];
}

const hint = ["format/hint", "format/hint-damage", "format/golden"];

const format: Readonly<Record<string, readonly string[]>> = {
  batch: ["format/batch", "format/golden"],
  "bit-flip": ["format/bit-flip"],
  checkpoint: ["format/checkpoint", "format/golden"],
  checksum: ["format/checksum", "format/frame"],
  frame: ["format/frame", "format/batch", "format/golden"],
  "hint-layout": hint,
  "hint-reader": hint,
  "hint-writer": hint,
  manifest: ["format/manifest", "format/golden"],
  "manifest-rules": ["format/manifest"],
  record: ["format/record", "format/golden"],
  "segment-name": ["format/segment-name"],
  timestamp: ["format/timestamp", "format/frame", "format/record"],
  varint: ["format/varint", "format/record", "format/batch"],
};

const recovery = ["engine/recovery-tail", "engine/damage-bits", "engine/damage-loss"];
const hints = ["engine/hint-doubt", "engine/verify-hint"];

const storage: Readonly<Record<string, readonly string[]>> = {
  "byte-window": [...recovery, "engine/damage-remembered", "engine/recovery-versions"],
  "checkpoint-file": ["engine/checkpoint", "engine/checkpoint-doubt", "crash/checkpoint-crash"],
  descriptors: ["storage/file-pool", "storage/file-pool-random", "engine/open-files"],
  "file-pool": ["storage/file-pool", "storage/file-pool-random", "engine/open-files"],
  "file-tools": ["engine/directories", "engine/disk-full", "crash/checkpoint-crash"],
  "hint-file": [...hints, "engine/damage-remembered", "crash/crash-sweep"],
  layout: ["engine/directories", "engine/repair"],
  "manifest-file": ["engine/directories", "engine/write-sync-failure", "crash/crash-sweep"],
  "recency-list": ["storage/file-pool", "storage/file-pool-random"],
  segment: ["engine/compaction/safety", "engine/recovery-tail", "engine/checkpoint"],
  "segment-scan": [...recovery, "engine/segment-walk"],
  "segment-set": ["engine/directories", "engine/compaction/safety", "engine/recovery-versions"],
  "store-mark": ["engine/directories", "engine/repair"],
  "watched-file": ["cli/files", "engine/verify"],
};

const engine: Readonly<Record<string, readonly string[]>> = {
  "acceptance-rules": ["engine/ttl", "engine/write-order", "engine/touch"],
  "compaction/judge": ["engine/compaction/safety", "engine/compaction/compactor"],
  "compaction/tombstones": ["engine/compaction/resurrection", "engine/compaction/tombstone-bytes"],
  "key-range": ["engine/list", "engine/list-model"],
  latch: ["engine/write-sync-failure", "engine/write-append-failure"],
  "manifest-edits": ["engine/recovery-versions", "engine/compaction/safety"],
  pins: ["engine/pins", "engine/pins-tickets"],
  publisher: ["engine/visibility", "engine/snapshot-index", "engine/compaction/safety"],
  retention: ["engine/retention"],
  "segment-namer": ["engine/directories", "engine/recovery-versions"],
  versions: ["engine/recovery-versions", "engine/write-append-failure"],
};

/** The rooms by name. */
export const rooms: Readonly<Record<string, readonly Subject[]>> = {
  format: subjectsOf("format", format),
  storage: subjectsOf("storage", storage),
  engine: subjectsOf("engine", engine),
};

function subjectsOf(room: string, table: Readonly<Record<string, readonly string[]>>): Subject[] {
  return Object.entries(table).map(([name, tests]) => ({
    source: `src/${room}/${name}.ts`,
    tests: tests.map((test) => `test/${test}.test.ts`),
  }));
}
