/** Changes of the manifest: what goes along with each, and what a failed one comes to. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Manifest, ManifestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { DamageRegister } from "../../src/engine/damage.js";
import type { DiskSpace } from "../../src/engine/disk-space.js";
import { Latch } from "../../src/engine/latch.js";
import { ManifestKeeper } from "../../src/engine/manifest-keeper.js";
import { type ManifestFile, ManifestUncertainError } from "../../src/storage/manifest-file.js";
import { SegmentName } from "../../src/storage/segment.js";
import { simHost } from "../support/sim-host.js";

const directories = { data: "/store", segments: "/store/segments" };
const segment = new SegmentName(directories, new Uint8Array(16), "segment", 1, 1n);

/** A keeper of a manifest in memory. */
function setUp() {
  const host = simHost({ seed: 1 });
  const draft = create(ManifestSchema);
  let changes = 0;
  const file = {
    failure: undefined as unknown,
    /** Is called when an edit is made and not yet durable. */
    onEdited: (): void => undefined,
    change: async (edit: (draft: Manifest) => void) => {
      await undefined;
      if (file.failure !== undefined) throw file.failure;
      edit(draft);
      changes += 1;
      file.onEdited();
      await undefined;
    },
  };
  let exhausted = 0;
  const space = {
    exhausted: async () => {
      exhausted += 1;
    },
  };
  const latch = new Latch(host.log);
  const damage = new DamageRegister();
  const keeper = new ManifestKeeper({
    host,
    manifest: file as unknown as ManifestFile,
    latch,
    damage,
    space: space as unknown as DiskSpace,
  });
  const find = (offset: number, lastVersion: number): void => {
    damage.add({
      segment,
      offset,
      length: 10,
      firstVersion: 1,
      lastVersion,
      keysUnknown: false,
    });
  };
  return {
    draft,
    file,
    latch,
    damage,
    keeper,
    find,
    changes: () => changes,
    exhausted: () => exhausted,
  };
}

const offsetsOf = ({ damagedRanges }: Manifest): number[] =>
  damagedRanges.map(({ offset }) => Number(offset));

const name = (draft: Manifest): void => {
  draft.segmentId = 7;
};

test("V13: damage that is known goes along with every change, and raises the floor of the history", async () => {
  const { draft, keeper, damage, find } = setUp();
  find(100, 40);
  await keeper.change(name);
  assert.equal(draft.segmentId, 7);
  assert.deepEqual(offsetsOf(draft), [100]);
  assert.equal(draft.historyFloor, 40n);
  assert.ok(!damage.hasUnsaved);
  find(200, 30);
  await keeper.change(name);
  assert.deepEqual(offsetsOf(draft), [100, 200]);
  assert.equal(draft.historyFloor, 40n);
});

test("V13: damage that is found while a change is under way is saved by the next one", async () => {
  const { draft, file, keeper, damage, find, changes } = setUp();
  find(100, 40);
  file.onEdited = () => {
    file.onEdited = () => undefined;
    find(200, 50);
  };
  await keeper.change(name);
  assert.deepEqual(offsetsOf(draft), [100]);
  assert.ok(damage.hasUnsaved);
  keeper.hasBegun = true;
  keeper.saveDamageSoon();
  await keeper.idle();
  assert.deepEqual(offsetsOf(draft), [100, 200]);
  assert.equal(draft.historyFloor, 50n);
  assert.ok(!damage.hasUnsaved);
  keeper.saveDamageSoon();
  await keeper.idle();
  assert.equal(changes(), 2);
});

test("P5: before the session has begun, damage that a read finds changes nothing on disk", async () => {
  const { keeper, damage, find, changes } = setUp();
  find(100, 40);
  keeper.saveDamageSoon();
  await keeper.idle();
  assert.equal(changes(), 0);
  assert.ok(damage.hasUnsaved);
});

test("V11: damage is saved by one change at a time, and found meanwhile by the same saving", async () => {
  const { draft, file, keeper, damage, find, changes } = setUp();
  keeper.hasBegun = true;
  let offset = 0;
  const findNext = (): void => {
    offset += 100;
    if (offset > 500) return;
    find(offset, offset);
    keeper.saveDamageSoon();
  };
  file.onEdited = findNext;
  findNext();
  await keeper.idle();
  assert.deepEqual(offsetsOf(draft), [100, 200, 300, 400, 500]);
  assert.equal(changes(), 5);
  assert.ok(!damage.hasUnsaved);
});

test("D6: a change that a full disk refused, or that could not be written, left the old manifest standing", async () => {
  for (const [code, reason] of [
    ["ENOSPC", "NO_SPACE"],
    ["EDQUOT", "NO_SPACE"],
    ["EIO", "WRITE_FAILED"],
  ] as const) {
    const { file, latch, keeper, damage, find, exhausted } = setUp();
    find(100, 40);
    const cause = Object.assign(new Error(code), { code });
    file.failure = cause;
    await assert.rejects(keeper.change(name), (error) => {
      return error instanceof KvixError && error.reason === reason && error.cause === cause;
    });
    assert.equal(exhausted(), reason === "NO_SPACE" ? 1 : 0);
    assert.ok(!latch.isClosed);
    assert.ok(damage.hasUnsaved);
    file.failure = undefined;
    await keeper.change(name);
    assert.ok(!damage.hasUnsaved);
  }
});

test("an error that says itself what it is stays what it is", async () => {
  const { file, keeper } = setUp();
  const failure = new KvixError("STORE_CLOSING");
  file.failure = failure;
  await assert.rejects(keeper.change(name), (error) => error === failure);
});

test("D3 V10: after a change of which nobody knows whether it stands, the latch closes and no other is made", async () => {
  const { file, latch, keeper, damage, find, changes } = setUp();
  find(100, 40);
  file.failure = new ManifestUncertainError("it may or may not have changed");
  await assert.rejects(keeper.change(name), { reason: "STORE_READ_ONLY" });
  assert.ok(latch.isClosed);
  assert.ok(damage.hasUnsaved);
  file.failure = undefined;
  await assert.rejects(keeper.change(name), { reason: "STORE_READ_ONLY" });
  keeper.hasBegun = true;
  keeper.saveDamageSoon();
  await keeper.idle();
  assert.equal(changes(), 0);
});

test("damage that could not be saved is saved when it is tried again", async () => {
  const { draft, file, keeper, find } = setUp();
  keeper.hasBegun = true;
  find(100, 40);
  file.failure = Object.assign(new Error("EIO"), { code: "EIO" });
  keeper.saveDamageSoon();
  await keeper.idle();
  assert.deepEqual(offsetsOf(draft), []);
  file.failure = undefined;
  keeper.saveDamageSoon();
  await keeper.idle();
  assert.deepEqual(offsetsOf(draft), [100]);
});

test("V4: a keeper that is closed has finished what it was saving, and changes nothing more", async () => {
  const { keeper, damage, find, changes } = setUp();
  keeper.hasBegun = true;
  find(0, 5);
  keeper.saveDamageSoon();
  await keeper.close();
  assert.equal(changes(), 1);
  assert.equal(damage.hasUnsaved, false);
  find(20, 6);
  keeper.saveDamageSoon();
  await keeper.idle();
  const error = await keeper.change(name).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof KvixError && error.reason === "STORE_CLOSING");
  assert.equal(changes(), 1);
});
