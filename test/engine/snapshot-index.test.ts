/**
 * Snapshots over the index alone: random writes, removals, moves by a compaction
 * and upkeep between the steps of many walks, against copies of a map.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { keyTextOf } from "../../src/engine/accepted-state.js";
import type { Snapshot } from "../../src/engine/snapshots/snapshot.js";
import type { SnapshotCursor, SnapshotEntry } from "../../src/engine/snapshots/snapshot-cursor.js";
import { SNAPSHOT_LEASE_MS } from "../../src/engine/snapshots/snapshots.js";
import { SimRandom } from "../support/sim-random.js";
import { type Known, SnapshotBench } from "../support/snapshot-bench.js";
import { bytes, watch } from "../support/store-rig.js";

/** A snapshot, what it must show, and the walks over it that are under way. */
interface Kept {
  readonly snapshot: Snapshot;
  readonly wanted: ReadonlyMap<string, Known>;
  readonly walks: Walk[];
}

interface Walk {
  readonly cursor: SnapshotCursor;
  readonly wanted: readonly string[];
  readonly found: string[];
}

const factsOf = (entry: SnapshotEntry | undefined): Known | undefined =>
  entry && {
    version: entry.version,
    expiresAtMs: entry.expiresAtMs,
    recordBytes: entry.recordBytes,
  };

function beginWalk({ snapshot, wanted, walks }: Kept, random: SimRandom): void {
  const bound = (): string => String.fromCharCode(random.below(256));
  const [one, other] = [bound(), bound()].sort() as [string, string];
  const start = random.chance(0.5) ? one : undefined;
  const end = random.chance(0.5) ? other : undefined;
  const isReverse = random.chance(0.5);
  const range = {
    start: start === undefined ? undefined : Buffer.from(start, "latin1"),
    end: end === undefined ? undefined : Buffer.from(end, "latin1"),
  };
  const keys = [...wanted.keys()]
    .filter((key) => (start === undefined || key >= start) && (end === undefined || key < end))
    .sort();
  if (isReverse) keys.reverse();
  walks.push({ cursor: snapshot.cursor(range, isReverse), wanted: keys, found: [] });
}

function stepWalk({ wanted }: Kept, walk: Walk): void {
  const entry = walk.cursor.next();
  if (entry === undefined) {
    if (walk.cursor.hasEnded) assert.deepEqual(walk.found, walk.wanted);
    return;
  }
  const key = keyTextOf(entry.key);
  walk.found.push(key);
  assert.equal(key, walk.wanted[walk.found.length - 1], "in order, each once");
  assert.deepEqual(factsOf(entry), wanted.get(key));
}

test("I9 M10: every snapshot shows what was there when it was opened, whatever is written, moved or closed meanwhile", async () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    const random = new SimRandom(seed);
    const bench = new SnapshotBench();
    const nowMs = bench.clock.wallMs();
    const someKey = (): string => {
      const length = random.chance(0.1) ? 2 : 1;
      return Array.from({ length }, () => String.fromCharCode(random.below(256) & 0xdd)).join("");
    };
    const open: Kept[] = [];
    for (let step = 0; step < 2500; step += 1) {
      const choice = random.below(100);
      const kept = open[random.below(Math.max(open.length, 1))];
      if (choice < 35) {
        const expiresAtMs = random.chance(0.2) ? nowMs + random.below(3) - 1 : 0;
        bench.set(someKey(), 50 + random.below(100), expiresAtMs);
      } else if (choice < 50) bench.delete(someKey());
      else if (choice < 60) bench.move(someKey(), random.below(4));
      else if (choice < 63) {
        const visible = [...bench.map].filter(
          ([, { expiresAtMs }]) => expiresAtMs === 0 || nowMs < expiresAtMs,
        );
        if (open.length < 12) {
          open.push({ snapshot: bench.snapshots.open(), wanted: new Map(visible), walks: [] });
        }
      } else if (choice < 65) {
        if (kept === undefined) continue;
        open.splice(open.indexOf(kept), 1);
        kept.snapshot.close();
      } else if (choice < 67) bench.keydir.maintain();
      else if (choice < 68) await bench.clock.settle();
      else if (kept === undefined) continue;
      else if (choice < 72) beginWalk(kept, random);
      else if (choice < 80) {
        const key = someKey();
        const found = kept.snapshot.get(Buffer.from(key, "latin1"));
        assert.deepEqual(factsOf(found), kept.wanted.get(key));
      } else {
        const walk = kept.walks[random.below(Math.max(kept.walks.length, 1))];
        if (walk !== undefined)
          for (let count = random.below(9); count > 0; count -= 1) stepWalk(kept, walk);
      }
    }
    for (const kept of open) {
      for (const walk of kept.walks) while (!walk.cursor.hasEnded) stepWalk(kept, walk);
      for (const [key, known] of kept.wanted) {
        assert.deepEqual(factsOf(kept.snapshot.get(Buffer.from(key, "latin1"))), known);
      }
    }
    // In any order, and what only the closed ones saw goes with them.
    while (open.length > 0) open.splice(random.below(open.length), 1)[0]?.snapshot.close();
    assert.equal(bench.snapshots.undoBytes, 0);
    assert.equal(bench.pins.count, 0);
    assert.equal(bench.publisher.undo, undefined, "writes cost nothing more");
  }
});

test("M10 V7: a snapshot keeps every segment that goes while it is open, outputs of a compaction too, and no later one keeps it longer", async () => {
  const bench = new SnapshotBench();
  const { pins, segments } = bench;
  bench.set("a");
  bench.set("b");
  const snapshot = bench.snapshots.open();
  const cursor = snapshot.cursor();
  bench.move("a", 3);
  const victim = watch(pins.released(segments.at(1)));
  const place = cursor.next();
  assert.equal(place?.segment, 3, "the output");
  bench.move("a", 0);
  const output = watch(pins.released(segments.at(3)));
  bench.set("b");
  assert.equal(snapshot.get(bytes("b"))?.segment, 2, "where it was before it was replaced");
  const replaced = watch(pins.released(segments.at(2)));
  const later = bench.snapshots.open();
  await bench.clock.settle();
  const states = (): string[] => [victim, output, replaced].map(({ state }) => state);
  assert.deepEqual(states(), ["pending", "pending", "pending"]);
  snapshot.close();
  await bench.clock.settle();
  assert.deepEqual(states(), ["resolved", "resolved", "resolved"]);
  assert.ok(later.isOpen);
  const held = watch(pins.released(segments.at(1)));
  await bench.clock.advance(SNAPSHOT_LEASE_MS);
  assert.equal(held.value, true, "one that is stuck is ended");
  assert.ok(!later.isOpen);
});

test("V11: an entry is kept as long as an open snapshot sees it, and no longer", async () => {
  const bench = new SnapshotBench();
  const cost = 256 + 1;
  bench.set("a");
  const first = bench.snapshots.open();
  bench.set("a");
  bench.set("a");
  assert.equal(bench.snapshots.undoBytes, cost, "the second was seen by nobody");
  const second = bench.snapshots.open();
  const third = bench.snapshots.open();
  bench.set("a");
  bench.delete("a");
  assert.equal(bench.snapshots.undoBytes, 2 * cost);
  second.close();
  assert.equal(bench.snapshots.undoBytes, 2 * cost, "the third sees what the second saw");
  first.close();
  assert.equal(bench.snapshots.undoBytes, cost);
  assert.equal(third.get(bytes("a"))?.version, 3);
  const fourth = bench.snapshots.open();
  bench.set("b");
  third.close();
  assert.equal(bench.snapshots.undoBytes, 0, "the fourth never saw it");
  assert.equal(fourth.get(bytes("b")), undefined);
  fourth.close();
});
