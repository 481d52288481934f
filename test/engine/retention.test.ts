/** The retention window: which part of the log compaction leaves alone. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { dateSegments, type RetentionInput, retainedSegments } from "../../src/engine/retention.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { SimClock } from "../support/sim-clock.js";
import { Rig } from "../support/store-rig.js";

const directories = { data: "/store", segments: "/store/segments" };
const nowMs = 1_000_000;

/** What there is of a segment, in the order in which they were made. */
interface Made {
  readonly kind: "log" | "active" | "output";
  readonly ageMs: number;
  readonly bytes: number;
}

function made({ kind, ageMs, bytes }: Made, index: number): Segment {
  // Ids come back in another order than timestamps.
  const id = (index * 7 + 3) % 16;
  const name = new SegmentName(directories, new Uint8Array(16), "segment", id, BigInt(index + 1));
  const segment = new Segment(name, undefined, kind !== "active", kind !== "output");
  segment.length = bytes;
  segment.newestTimestampMs = nowMs - ageMs;
  return segment;
}

const log = (ageMs: number, bytes = 10): Made => ({ kind: "log", ageMs, bytes });
const active = (ageMs: number, bytes = 10): Made => ({ kind: "active", ageMs, bytes });
const output = (ageMs: number, bytes = 10): Made => ({ kind: "output", ageMs, bytes });

/** Segments, what differs from the usual, and the indices of those that are kept. */
const cases: readonly (readonly [string, readonly Made[], Partial<RetentionInput>, number[]])[] = [
  ["nothing is there", [], {}, []],
  ["only the active one is there", [active(0)], {}, []],
  ["all are recent", [log(900), log(500), active(0)], {}, [0, 1]],
  ["the window ends in the middle", [log(1500), log(1000), log(999), active(0)], {}, [2]],
  ["all are old", [log(5000), log(4000), active(0)], {}, []],
  ["outputs lie between", [log(900), output(800), log(700), output(1), active(0)], {}, [0, 2]],
  ["an older one is newer by the clock", [log(10), log(2000), log(500), active(0)], {}, [2]],
  ["of one nobody knows how old it is", [log(1001), log(900), log(nowMs), active(0)], {}, [1, 2]],
  ["of the one before an old one nobody knows", [log(nowMs), log(2000), log(9)], {}, [2]],
  ["the clock was set back", [log(-500), log(-100), active(0)], {}, [0, 1]],
  ["they are as large as may be", [log(900, 40), log(500, 60), active(0, 999)], {}, [0, 1]],
  ["they are larger than may be", [log(900, 41), log(500, 60), active(0)], {}, [1]],
  ["one is larger than may be", [log(900, 1), log(500, 101), active(0)], {}, []],
  ["the disk is full", [log(900), log(500), active(0)], { diskIsShort: true }, []],
  ["nothing is to be kept", [log(-1), log(0), active(0)], { retentionMs: 0 }, []],
];

for (const [what, list, differing, kept] of cases) {
  test(`the retention window when ${what}`, () => {
    const segments = list.map(made);
    const clock = new SimClock({ wallMs: nowMs });
    const input = { clock, retentionMs: 1000, bytesMax: 100, diskIsShort: false, ...differing };
    const shuffled = [...segments].sort((one, other) => one.name.id - other.name.id);
    const retained = retainedSegments({ segments: shuffled, ...input });
    const expected = new Set(kept.map((index) => segments[index] as Segment));
    assert.deepEqual(retained, expected);
  });
}

test("T6 I2: what an opening has found gets older by a clock that nobody sets", async () => {
  const clock = new SimClock({ wallMs: nowMs });
  const list = [log(900), log(500), log(-5000), active(0)].map(made);
  const rules = { segments: list, clock, retentionMs: 1000, bytesMax: 100, diskIsShort: false };
  const kept = (): number[] => {
    const retained = retainedSegments(rules);
    return list.flatMap((segment, index) => (retained.has(segment) ? [index] : []));
  };
  dateSegments(list, clock);
  clock.stepWall(5500);
  assert.deepEqual(kept(), [0, 1, 2]);
  await clock.advance(100);
  assert.deepEqual(kept(), [1, 2]);
  clock.stepWall(-3_600_000);
  await clock.advance(400);
  assert.deepEqual(kept(), [2], "one from the future is as old as the wall clock says");
  clock.stepWall(3_600_000);
  await clock.advance(1);
  assert.deepEqual(kept(), []);
});

test("I2: a segment knows when its newest frame was accepted, after a restart and without a hint too", async () => {
  const rig = await Rig.open({ segmentBytesMax: 400 });
  const times: number[] = [];
  for (const stepMs of [1000, 1000, -700, 1000, 1000, -900, 100]) {
    rig.sim.clock.stepWall(stepMs);
    times.push(rig.sim.clock.wallMs());
    await rig.set(`k${times.length}`, "v".repeat(80));
  }
  const newest = (of: Rig): number[] =>
    of.store.segments().map(({ newestTimestampMs }) => newestTimestampMs);
  const { highestVersion = 0 } = rig.store.segments()[0] ?? {};
  assert.equal(highestVersion, 3);
  const expected = [0, 3, 6].map((from) => Math.max(...times.slice(from, from + 3)));
  assert.deepEqual(newest(rig), expected);
  const next = await rig.reopened();
  assert.equal(next.store.stats().open.segmentsFromHints, 2);
  assert.deepEqual(newest(next), expected, "from hints");
  await next.store.close();
  for (const { name } of await rig.sim.files.list("/store/segments")) {
    if (name.endsWith(".hint")) await rig.sim.files.remove(`/store/segments/${name}`);
  }
  const scanned = await Rig.open(rig.options, rig.sim);
  assert.equal(scanned.store.stats().open.segmentsScanned, 3);
  assert.deepEqual(newest(scanned), expected, "from frames");
  await scanned.store.close();
});
