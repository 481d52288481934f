/** Victims: what is taken of them over many slices, what is read of them twice, and which need no copy. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { SegmentState } from "../../../gen/kvix/v1/kvix_pb.js";
import { type CandidateContext, Candidates } from "../../../src/engine/compaction/candidates.js";
import type { Choice, PolicyInput } from "../../../src/engine/compaction/policy.js";
import { DamageRegister } from "../../../src/engine/damage.js";
import { crc32 } from "../../../src/format/checksum.js";
import { Segment, SegmentName } from "../../../src/storage/segment.js";
import { SegmentSet } from "../../../src/storage/segment-set.js";
import { compact, compacted, onDemand } from "../../support/compaction-rig.js";
import type { Injector } from "../../support/faulty-file-system.js";
import { simHost } from "../../support/sim-host.js";
import { fileOf, imageOf, manifestOf } from "../../support/store-image.js";
import { Rig } from "../../support/store-rig.js";

const MiB = 1024 * 1024;

/** A policy that takes one segment as long as it is there. */
const only =
  (id: number) =>
  ({ candidates }: PolicyInput): Choice =>
    candidates.some((each) => each.id === id)
      ? { kind: "victims", ids: [id] }
      : { kind: "nothing" };

test("M1 V6 V16: of a victim whose first slice is all dead, what comes behind it is taken", async () => {
  const options = { ...onDemand, segmentBytesMax: MiB };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, { chooseVictims: only(1) });
  await rig.set("k", "older");
  await rig.set("full", "x".repeat(MiB - 200));
  const dead = Array.from({ length: 4200 }, () =>
    rig.set("often", "1", { durability: "buffered" }),
  );
  await Promise.all(dead);
  await rig.delete("k");
  await rig.set("l", "stays");
  await rig.set("often", "x".repeat(MiB - 200));
  await rig.store.hintsWritten();
  const [, victim] = rig.store.segments();
  assert.ok(victim && victim.lowestVersion === 3 && victim.highestVersion === 4204);
  await compacted(rig);
  assert.equal(rig.store.stats().compaction.segmentsRemoved, 1);
  for (const { name } of await rig.sim.files.list("/store/segments")) {
    if (name.endsWith(".hint")) await rig.sim.files.remove(`/store/segments/${name}`);
  }
  const again = await rig.killed();
  assert.deepEqual(await again.values("k", "l"), { l: "stays" });
});

test("V2 V13 M12: a large record that reads wrong the second time is not made sound by copying it", async () => {
  const options = { ...onDemand, segmentBytesMax: 4 * MiB };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, { chooseVictims: only(0) });
  const large = "x".repeat(3 * MiB);
  await rig.set("large", large);
  await rig.set("small", "1");
  await rig.set("small", "2".repeat(2 * MiB));
  await rig.store.hintsWritten();
  let reads = 0;
  const flipsLast: Injector = ({ op, path, position }) => {
    if (op !== "read" || !/_00000_.*seg$/.test(path) || position !== 0) return undefined;
    reads += 1;
    return reads === 3 ? { kind: "flip", bit: 8 * MiB } : undefined;
  };
  rig.injector = flipsLast;
  await compact(rig);
  rig.injector = undefined;
  assert.equal(reads, 3, "its beginning, all of it, and once more to copy it");
  assert.ok(
    rig.store.segments().some(({ id }) => id === 0),
    "it is kept",
  );
  assert.ok((await rig.get("large")) === large);
});

test("V3 M5: the manifest knows length, checksum and versions of an output, and no frame of it says that it is the log's", async () => {
  const options = { ...onDemand, segmentBytesMax: 3 * MiB };
  const rig = await Rig.open(options, simHost({ seed: 1 }), undefined, { chooseVictims: only(0) });
  for (const key of ["a", "b", "c", "d"]) await rig.set(key, key.repeat(700_000));
  await rig.set("b", "x".repeat(MiB));
  await rig.store.hintsWritten();
  await compacted(rig);
  const { segments } = manifestOf(imageOf(rig.sim.files));
  const listed = segments.find(({ state }) => state === SegmentState.COMPACTED);
  const output = rig.store.segments().find(({ role }) => role === "compacted");
  assert.ok(listed && output);
  const bytes = fileOf(imageOf(rig.sim.files), `/store/segments/${output.file}`);
  assert.ok(bytes.length > MiB, "more than one piece");
  assert.deepEqual(
    [listed.length, listed.checksum, listed.lowestVersion, listed.highestVersion],
    [BigInt(bytes.length), crc32(bytes), 1n, 4n],
  );
  const frames = (await rig.frames()).filter(({ segment }) => segment === output.file);
  assert.deepEqual(
    frames.map(({ records, isBarrier }) => [records[0]?.key, isBarrier]),
    [
      ["a", false],
      ["c", false],
      ["d", false],
    ],
  );
});

/** A sealed segment: versions from `lowest` on, so many dead bytes, and a tombstone of `tombstone`. */
function sealed(id: number, lowest: number, tombstone = 0): Segment {
  const directories = { data: "/store", segments: "/store" };
  const name = new SegmentName(directories, new Uint8Array(16), "s", id, BigInt(id + 1));
  const file = {} as NonNullable<Segment["file"]>;
  const segment = new Segment(name, file, true);
  segment.length = 100;
  segment.lowestVersion = lowest;
  segment.highestVersion = 200;
  if (tombstone > 0) segment.coverTombstone(tombstone, 30);
  return segment;
}

test("M1 V6: a segment goes uncopied only if its tombstones are older than all that others have", () => {
  const keptOf = (...all: readonly Segment[]): number | undefined => {
    const segments = new SegmentSet();
    for (const segment of all) segments.add(segment);
    const context = {
      segments,
      damage: new DamageRegister(),
      hints: { isPending: () => false },
      publisher: { version: 1000 },
      retained: () => new Set(),
    } as unknown as CandidateContext;
    return new Candidates(context).candidates().find(({ id }) => id === 5)?.keptBytes;
  };
  // The segment asked about holds the oldest version itself, or another does.
  for (const lowest of [1, 60]) {
    const asked = sealed(5, lowest, 100);
    assert.equal(keptOf(asked), 0, "it is alone");
    for (const id of [4, 6]) {
      assert.equal(keptOf(asked, sealed(id, 50)), 30, "what it hides may lie there");
      assert.equal(keptOf(asked, sealed(id, 101)), 0, "all is younger there");
      assert.equal(keptOf(asked, sealed(id, 50), sealed(9, 101), sealed(2, 120)), 30);
    }
  }
});
