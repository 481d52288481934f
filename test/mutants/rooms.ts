/**
 * Which files are mutated, and which tests are asked about each: those that are about it,
 * the quick ones first. A test that takes half a minute would take it for every mutant.
 *
 *   format    all
 *   storage   all; named, since most of it is tested through an open store
 *   engine    a sample: what decides whether something is lost, or comes back
 */

/** A file and the tests that are asked about its mutants; paths from the repository on. */
export interface Subject {
  readonly source: string;
  readonly tests: readonly string[];
  /** How much of a core the tests of one mutant may take, in milliseconds; the cheapest are asked. */
  readonly effortMs: number;
  /** Tests that are not even tried, by a pattern of their names: their loops would take minutes. */
  readonly except?: string;
}

const hint = ["format/golden", "format/hint-bounds", "format/hint-damage", "format/hint"];

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

const tail = ["engine/recovery-tail", "engine/damage-remembered", "engine/damage-displaced"];
const loss = [...tail, "engine/damage-loss"];
const hints = ["engine/hint-refused", "engine/verify-hint", "engine/damage-remembered"];
const pool = ["storage/file-pool", "storage/file-pool-random", "engine/open-files"];
const failures = ["engine/write-sync-failure", "engine/write-append-failure"];
const compaction = ["engine/compaction/resurrection", "engine/compaction/compactor"];
const checkpoint = ["engine/checkpoint-doubt", "crash/checkpoint-crash"];

const storage: Readonly<Record<string, readonly string[]>> = {
  "byte-window": ["storage/byte-window", "engine/hint-refused"],
  "checkpoint-file": checkpoint,
  descriptors: pool,
  "file-pool": pool,
  "file-tools": ["engine/directories", "engine/write-sync-failure"],
  "hint-file": [...hints, "engine/hint-doubt"],
  layout: ["engine/directories", "engine/repair"],
  "manifest-file": ["engine/write-sync-failure", "engine/recovery-versions"],
  "recency-list": ["storage/file-pool", "storage/file-pool-random"],
  segment: [...compaction, "engine/recovery-versions"],
  "segment-scan": ["storage/segment-scan", "engine/hint-refused"],
  "segment-set": [...compaction, "engine/recovery-versions"],
  "store-mark": ["engine/directories", "engine/repair"],
  "watched-file": ["engine/verify"],
};

const order = ["engine/write-order", "engine/visibility", "engine/write-overlap"];

const engine: Readonly<Record<string, readonly string[]>> = {
  "acceptance-rules": ["engine/ttl", "engine/write-order", "engine/touch"],
  "accepted-state": ["engine/accepted-state", "engine/write-order"],
  checkpoint: [...checkpoint, "engine/checkpoint"],
  "compaction/judge": [...compaction, "engine/compaction/judge"],
  "compaction/remover": [
    "engine/compaction/compactor",
    "engine/compaction/removal-readers",
    "engine/compaction/step-faults",
    "engine/log-reader-removal",
  ],
  "compaction/tombstones": [
    "engine/compaction/resurrection",
    "engine/compaction/tombstone-bytes",
    "engine/compaction/tombstones",
  ],
  evaluator: [...order, "engine/ttl", "engine/touch", "engine/callers-bytes"],
  "group-publisher": [...order, ...failures, "engine/group-publisher", "engine/snapshot-index"],
  "group-writer": ["engine/group-writer", "engine/write-order"],
  "hint-keeper": [...hints, ...compaction, "engine/hint-doubt", "engine/damage-displaced"],
  "key-range": ["engine/list", "engine/list-model"],
  latch: ["engine/latch", "engine/write-sync-failure"],
  "manifest-edits": ["engine/manifest-edits", "engine/compaction/compactor"],
  "manifest-keeper": ["engine/manifest-keeper", ...failures],
  pins: ["engine/pins", "engine/pins-tickets"],
  publisher: [
    ...compaction,
    "engine/visibility",
    "engine/snapshot-index",
    "engine/group-publisher",
  ],
  recovery: [...tail, "engine/recovery-versions", "engine/hint-refused", "engine/checkpoint-doubt"],
  retention: ["engine/retention"],
  salvage: [...loss, "engine/damage-bits"],
  "segment-namer": ["engine/directories", "engine/recovery-versions"],
  "segment-recovery": ["engine/segment-recovery", "engine/damage-displaced"],
  sweep: ["engine/ttl", "engine/ttl-clock"],
  versions: ["engine/versions", "engine/group-writer"],
  "write-queue": [...order, ...failures, "engine/visibility-order", "engine/touch-order"],
};

const except: Readonly<Record<string, string>> = {
  "src/format/bit-flip.ts": "in a long frame|every pair|of 1041 bytes",
};

/** The rooms by name. */
export const rooms: Readonly<Record<string, readonly Subject[]>> = {
  format: subjectsOf("format", format, 6000),
  storage: subjectsOf("storage", storage, 1500),
  engine: subjectsOf("engine", engine, 1500),
};

function subjectsOf(
  room: string,
  table: Readonly<Record<string, readonly string[]>>,
  effortMs: number,
): Subject[] {
  return Object.entries(table).map(([name, tests]) => {
    const source = `src/${room}/${name}.ts`;
    const pattern = except[source];
    return {
      source,
      effortMs,
      tests: [...new Set(tests)].map((test) => `test/${test}.test.ts`),
      ...(pattern === undefined ? {} : { except: pattern }),
    };
  });
}
