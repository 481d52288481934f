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
  "plain-frames": ["format/plain-frames"],
  "batch-result": ["format/batch-result"],
  "manifest-rules": ["format/manifest"],
  record: ["format/record", "format/golden", "format/plain-frames"],
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
  "checkpoint-file": ["storage/checkpoint-file", ...checkpoint],
  descriptors: pool,
  "file-pool": pool,
  "file-tools": ["storage/whole-files", "engine/directories", "engine/write-sync-failure"],
  "hint-file": ["storage/hint-file", ...hints, "engine/hint-doubt"],
  layout: ["storage/small-parts", "engine/directories", "engine/repair"],
  "manifest-file": ["storage/whole-files", "engine/write-sync-failure", "engine/recovery-versions"],
  "recency-list": ["storage/small-parts", "storage/file-pool", "storage/file-pool-random"],
  segment: ["storage/segment", ...compaction, "engine/recovery-versions"],
  "segment-scan": ["storage/segment-scan", "engine/hint-refused"],
  "segment-set": ["storage/segment", ...compaction, "engine/recovery-versions"],
  "store-mark": ["storage/whole-files", "engine/directories", "engine/repair"],
  "watched-file": ["storage/small-parts", "engine/verify"],
};

const order = ["engine/write-order", "engine/visibility", "engine/write-overlap"];

const recovering = [
  "engine/recovery",
  "engine/recovery-end",
  ...loss,
  "engine/recovery-versions",
  "engine/hint-refused",
  "engine/checkpoint-doubt",
];
const requests = ["engine/requests/request-id"];
const scans = ["engine/window-reader", "engine/scan-scattered", "engine/scan"];
const snapshots = ["engine/snapshot-bounds", "engine/snapshot-index", "engine/scan"];
const watches = ["engine/watch/watch", "engine/watch/watch-bounds"];
const keydir = ["engine/keydir/keydir", "engine/keydir/hash-table", "engine/keydir/key-order"];

const engine: Readonly<Record<string, readonly string[]>> = {
  "acceptance-rules": ["engine/conditions", "engine/ttl", "engine/write-order", "engine/touch"],
  "accepted-state": ["engine/accepted-state", "engine/write-order"],
  checkpoint: ["engine/checkpoint-image", "engine/checkpoint-doubt"],
  "compaction/judge": [...compaction, "engine/compaction/judge"],
  "compaction/remover": [
    "engine/compaction/remover",
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
  evaluator: [
    "engine/conditions",
    "engine/increment",
    "engine/submit-set",
    "engine/disk-full",
    "engine/touch",
    "engine/ttl",
  ],
  "group-publisher": [...order, ...failures, "engine/group-publisher", "engine/snapshot-index"],
  "group-writer": ["engine/group-writer", "engine/write-order"],
  damage: ["engine/damage", "engine/manifest-keeper"],
  "frame-loader": ["engine/segment-recovery", "engine/recovery"],
  "index-loader": ["engine/index-loader", "engine/recovery"],
  "hint-keeper": [
    "engine/hint-keeper",
    ...hints,
    ...compaction,
    "engine/hint-doubt",
    "engine/damage-displaced",
  ],
  "keydir/collision-list": keydir,
  "keydir/entry-table": keydir,
  "keydir/expiry-bounds": keydir,
  "keydir/hash-partitions": keydir,
  "keydir/hash-table": keydir,
  "keydir/key-order": keydir,
  "keydir/key-table": keydir,
  "keydir/keydir": keydir,
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
  recovery: [...recovering, "engine/compaction/sealing", "engine/compaction/repair"],
  "requests/repeat-reader": ["engine/requests/repeat-reader", ...requests],
  "requests/request-digest": ["engine/requests/request-digest", ...requests],
  "requests/request-memory": ["engine/requests/request-memory", ...requests],
  "requests/request-table": ["engine/requests/request-table"],
  retention: ["engine/retention"],
  salvage: ["engine/salvage", "engine/damage-displaced"],
  "scan/read-ahead": scans,
  "scan/scan-part": scans,
  "scan/scan-window": scans,
  "scan/scanner": scans,
  "scan/window-reader": scans,
  "segment-namer": ["engine/directories", "engine/recovery-versions"],
  "segment-recovery": ["engine/segment-recovery", "engine/damage-displaced", ...tail],
  "set-run": ["engine/set-run", "engine/submit-set"],
  "set-run-evaluator": ["engine/set-run", "engine/submit-set"],
  "snapshots/snapshot": snapshots,
  "snapshots/snapshot-cursor": snapshots,
  "snapshots/snapshots": snapshots,
  "snapshots/sorted-keys": ["engine/sorted-keys", ...snapshots],
  "snapshots/undo-keeper": ["engine/undo-keeper", ...snapshots],
  "snapshots/undo-list": ["engine/undo-keeper", ...snapshots],
  sweep: ["engine/sweep", "engine/ttl", "engine/ttl-clock"],
  versions: ["engine/versions", "engine/group-writer"],
  "watch/current-state": watches,
  "watch/key-intervals": ["engine/watch/key-intervals", ...watches],
  "watch/shared-tail": watches,
  "watch/watch": watches,
  "watch/watch-rules": watches,
  "watch/watch-steps": watches,
  "watch/watches": watches,
  "write-queue": [
    "engine/compaction/sealing",
    ...order,
    ...failures,
    "engine/visibility-order",
    "engine/bounds",
    "engine/disk-full",
    "engine/pins-tickets",
    "engine/submit-set",
    "engine/write-first-failure",
  ],
};

const except: Readonly<Record<string, string>> = {
  "src/engine/evaluator.ts": "where a disk has filled up",
  "src/engine/write-queue.ts":
    "whatever append fails|100,000 concurrent|more calls than may wait|lets go of its value|full in calls|where a disk has filled up",
  "src/format/bit-flip.ts": "in a long frame|every pair|of 1041 bytes",
};

/** Of more effort than their room: whole stores decide here, and there are many cases. */
const efforts: Readonly<Record<string, number>> = {
  "src/engine/recovery.ts": 4000,
  "src/engine/segment-recovery.ts": 4000,
  "src/engine/set-run-evaluator.ts": 6000,
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
      effortMs: efforts[source] ?? effortMs,
      tests: [...new Set(tests)].map((test) => `test/${test}.test.ts`),
      ...(pattern === undefined ? {} : { except: pattern }),
    };
  });
}
