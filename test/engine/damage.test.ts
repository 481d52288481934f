/** The register of damage: each range once, nothing of it forgotten, and bounded. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ManifestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import {
  type Damage,
  DamageRegister,
  damageFromMessage,
  damageMessage,
  knownDamageEnd,
} from "../../src/engine/damage.js";
import { SegmentName } from "../../src/storage/segment.js";

const directories = { data: "/store", segments: "/store/segments" };
const nameOf = (id: number, timestampNs = BigInt(id + 1)): SegmentName =>
  new SegmentName(directories, new Uint8Array(16), "segment", id, timestampNs);
const one = nameOf(1);

const rangeOf = (offset: number, length: number, more: Partial<Damage> = {}): Damage => ({
  ...{ segment: one, offset, length, firstVersion: 5, lastVersion: 9, keysUnknown: false },
  ...more,
});

/** A register with these ranges, and what it holds as `offset+length first-last`, "?" if keys are unknown. */
function registerOf(...ranges: readonly Damage[]) {
  const register = new DamageRegister();
  let news = 0;
  register.onNews = () => {
    news += 1;
  };
  const added = ranges.map((range) => register.add(range));
  const held = () =>
    register.toStats().map((range) => {
      const { offset, length, firstVersion, lastVersion, keysUnknown } = range;
      return `${offset}+${length} ${firstVersion}-${lastVersion}${keysUnknown ? "?" : ""}`;
    });
  return { register, added, held, news: () => news };
}

test("V13: ranges are told apart, and one that is known already is no news", () => {
  const { register, added, held, news } = registerOf(
    rangeOf(100, 50),
    rangeOf(150, 50),
    rangeOf(100, 50),
    rangeOf(100, 50, { segment: nameOf(2) }),
  );
  assert.deepEqual(added, [true, true, false, true]);
  assert.deepEqual(held(), ["100+50 5-9", "150+50 5-9", "100+50 5-9"]);
  assert.deepEqual([register.count, register.changes, news()], [3, 3, 3]);
});

test("V13: what lies inside a range that is known, or begins where it does, is joined with it, and nothing is unlearnt", () => {
  for (const [more, expected] of [
    [rangeOf(110, 20), "100+50 5-9"],
    [rangeOf(100, 50, { firstVersion: 2 }), "100+50 2-9"],
    [rangeOf(130, 20, { lastVersion: 12 }), "100+50 5-12"],
    [rangeOf(100, 80, { firstVersion: 6, lastVersion: 7 }), "100+80 5-9"],
    [rangeOf(100, 10, { keysUnknown: true }), "100+50 5-9?"],
  ] as const) {
    const { register, added, held } = registerOf(rangeOf(100, 50), more);
    assert.deepEqual(held(), [expected]);
    assert.deepEqual([added[1], register.changes], [expected !== "100+50 5-9", added[1] ? 2 : 1]);
  }
  const unknown = registerOf(rangeOf(100, 50, { keysUnknown: true }), rangeOf(100, 50));
  assert.deepEqual([unknown.held(), unknown.added[1]], [["100+50 5-9?"], false]);
  // One that reaches out of it is another.
  for (const other of [rangeOf(99, 10), rangeOf(140, 11)]) {
    assert.equal(registerOf(rangeOf(100, 50), other).register.count, 2);
  }
});

test("V11 V13: past 4096 ranges those of one segment are joined", () => {
  const many = Array.from({ length: 4096 }, (_, index) => rangeOf(index * 10, 5));
  const { register, held } = registerOf(...many);
  assert.equal(register.count, 4096);
  register.add(rangeOf(90_000, 5, { keysUnknown: true }));
  assert.equal(register.count, 4096);
  assert.ok(held().includes("0+90005 5-9?"));
  register.add(rangeOf(3, 1, { segment: nameOf(2) }));
  assert.equal(register.count, 4097);
});

test("V13: what the manifest lacks is known until it is said to have it, and what it had is no news", () => {
  const { register, news } = registerOf();
  assert.ok(!register.hasUnsaved);
  assert.ok(register.add(rangeOf(100, 50), true));
  assert.deepEqual([register.hasUnsaved, register.changes, news()], [false, 0, 0]);
  register.add(rangeOf(200, 50));
  assert.ok(register.hasUnsaved);
  const { changes } = register;
  register.add(rangeOf(300, 50));
  register.markSaved(changes);
  assert.ok(register.hasUnsaved);
  register.markSaved(register.changes);
  register.markSaved(changes);
  assert.ok(!register.hasUnsaved);
});

test("V13: a range is the same in the manifest's form, and of its segment", () => {
  const range = rangeOf(100, 50, { keysUnknown: true });
  const message = damageMessage(range);
  assert.deepEqual(damageFromMessage(message, one), range);
  assert.deepEqual([message.segmentId, message.segmentTimestamp], [1, 2n]);
  message.versions = undefined;
  const { firstVersion, lastVersion } = damageFromMessage(message, one);
  assert.deepEqual([firstVersion, lastVersion], [0, 0]);
  // An id that was given again is another segment.
  const { register } = registerOf(range, rangeOf(7, 3, { segment: nameOf(1, 99n) }));
  assert.deepEqual(
    [one, nameOf(1, 99n), nameOf(2)].map((segment) =>
      register.of(segment).map((each) => each.offset),
    ),
    [[100], [7], []],
  );
  assert.deepEqual(
    register.toMessages().map(({ offset }) => offset),
    [100n, 7n],
  );
});

test("R2: the end of the last damage that a manifest knows of a segment", () => {
  const ranges = [rangeOf(300, 20), rangeOf(100, 50), rangeOf(900, 50, { segment: nameOf(2) })];
  const manifest = create(ManifestSchema, { damagedRanges: ranges.map(damageMessage) });
  assert.equal(knownDamageEnd(manifest, one.timestampNs), 320);
  assert.equal(knownDamageEnd(manifest, nameOf(2).timestampNs), 950);
  assert.equal(knownDamageEnd(manifest, 77n), 0);
});
