/** Touch: what it changes, what it leaves alone, and what it refuses. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { EXPIRES_AT_MS_MAX } from "../../src/base/limits.js";
import type { StoredRecord, TouchExpiry } from "../../src/engine/store.js";
import { flipBitAtRest } from "../support/faulty-file-system.js";
import { bytes, Rig, rejects, segmentFiles, text } from "../support/store-rig.js";

const ttl = (ttlMs: number): TouchExpiry => ({ kind: "ttl", ttlMs });
const at = (atMs: number): TouchExpiry => ({ kind: "at", atMs });
const persist: TouchExpiry = { kind: "never" };
const KiB = 1024;

async function read(rig: Rig, key: string): Promise<StoredRecord> {
  const record = await rig.store.get(bytes(key));
  assert.ok(record, `${key} is there`);
  return record;
}

/** Spoils the newest frame of `key` where it lies. */
async function spoil(rig: Rig, key: string): Promise<void> {
  const frame = (await rig.frames()).findLast(({ records }) => records[0]?.key === key);
  assert.ok(frame);
  const path = `/store/segments/${frame.segment}`;
  await flipBitAtRest(rig.sim.files, path, (frame.offset + frame.length - 30) * 8);
}

test("T1: a touch sets, replaces and takes away the expiry, and leaves the value alone", async () => {
  const rig = await Rig.open();
  const nowMs = rig.sim.clock.wallMs();
  const set = await rig.set("a", "value");
  const steps = [
    [ttl(5000), nowMs + 5000],
    [ttl(1.5), nowMs + 2],
    [at(nowMs + 9000.2), nowMs + 9001],
    [persist, 0],
    [persist, 0],
    [at(EXPIRES_AT_MS_MAX), EXPIRES_AT_MS_MAX],
  ] as const;
  let before = set.version;
  for (const [expiry, expiresAtMs] of steps) {
    const answer = await rig.touch("a", expiry);
    const { version } = answer;
    const expected = { applied: true, found: true, version, expiresAtMs, current: undefined };
    assert.deepEqual(answer, expected);
    assert.ok(version > before, "a touch has a version of its own");
    before = version;
    const record = await read(rig, "a");
    assert.deepEqual([record.version, record.expiresAtMs], [version, expiresAtMs]);
    assert.equal(text(record.value), "value");
    assert.equal(rig.store.exists(bytes("a"))?.expiresAtMs, expiresAtMs);
  }
  const { keys, liveBytes } = rig.store.stats();
  assert.equal(keys, 1);
  const next = await rig.reopened();
  assert.equal((await read(next, "a")).version, before);
  assert.equal(next.store.stats().liveBytes, liveBytes);
  await next.store.close();
});

test("T1: a touched record goes by its new expiry alone, also through a restart and the sweep", async () => {
  const rig = await Rig.open();
  await rig.set("longer", "1", { expiry: ttl(1000) });
  await rig.set("shorter", "1", { expiry: ttl(60_000) });
  await rig.set("kept", "1", { expiry: ttl(1000) });
  await rig.touch("longer", ttl(10_000));
  await rig.touch("shorter", ttl(500));
  await rig.touch("kept", persist);
  await rig.sim.clock.advance(2000);
  assert.deepEqual(await rig.values("longer", "shorter", "kept"), { longer: "1", kept: "1" });
  assert.equal(rig.store.stats().expired, 1);
  const next = await rig.reopened();
  assert.deepEqual(await next.values("longer", "shorter", "kept"), { longer: "1", kept: "1" });
  await next.sim.clock.advance(8000);
  assert.deepEqual(await next.values("longer", "kept"), { kept: "1" });
  await next.store.close();
});

test("T4: a touch with an expiry that no record can have is refused; one in the past hides the record", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const { version } = rig.store;
  for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    const error = await rejects(rig.touch("a", ttl(ttlMs)), "FIELD_INVALID", "not-applied");
    assert.equal(error.metadata["field"], "ttl");
  }
  await rejects(rig.touch("a", ttl(EXPIRES_AT_MS_MAX)), "FIELD_INVALID", "not-applied");
  await rejects(rig.touch("a", at(EXPIRES_AT_MS_MAX + 1)), "FIELD_INVALID", "not-applied");
  await rejects(rig.touch("", ttl(1)), "KEY_EMPTY");
  await rejects(rig.touch("x".repeat(65_536), ttl(1)), "KEY_TOO_LARGE");
  assert.equal(rig.store.version, version);
  const { found, expiresAtMs } = await rig.touch("a", at(0));
  assert.deepEqual([found, expiresAtMs], [true, 1]);
  assert.equal(await rig.get("a"), undefined);
  assert.equal((await rig.touch("a", persist)).found, false, "what is over is over");
  await rig.store.close();
});

test("T1: a touch of an absent or an expired key finds nothing and appends nothing", async () => {
  const rig = await Rig.open();
  rig.sim.clock.stepWall(120_000); // pauses the sweep
  await rig.set("expired", "1", { expiry: ttl(100) });
  await rig.set("deleted", "1");
  await rig.delete("deleted");
  rig.sim.clock.stepWall(100);
  const { version, bytesAppended } = rig.store.stats();
  const nothing = { applied: true, found: false, version: 0, expiresAtMs: 0, current: undefined };
  for (const key of ["expired", "deleted", "never was"]) {
    for (const condition of [undefined, { kind: "absent" }] as const) {
      assert.deepEqual(await rig.touch(key, persist, { condition }), nothing);
    }
    const unmet = await rig.touch(key, persist, { condition: { kind: "present" } });
    assert.deepEqual(unmet, { ...nothing, applied: false });
  }
  assert.equal(rig.store.version, version);
  assert.equal(rig.store.stats().bytesAppended, bytesAppended);
  await rig.store.close();
});

test("a touch whose condition is not met answers with the record that stands, and appends nothing", async () => {
  const rig = await Rig.open();
  const { version } = await rig.set("a", "1");
  for (const condition of [{ kind: "absent" }, { kind: "version", version: 99 }] as const) {
    const { applied, found, current } = await rig.touch("a", ttl(1000), { condition });
    assert.deepEqual([applied, found], [false, false]);
    assert.deepEqual([current?.version, current?.expiresAtMs], [version, 0]);
    assert.equal(current && text(current.value), "1");
  }
  assert.equal(rig.store.version, version);
  for (const condition of [{ kind: "version", version }, { kind: "present" }] as const) {
    assert.equal((await rig.touch("a", ttl(1000), { condition })).found, true);
  }
  await rig.store.close();
});

test("I5 I6: keys and values of every length are touched byte for byte", async () => {
  const rig = await Rig.open({ segmentBytesMax: 512 * KiB });
  const keys = [1, 127, 128, 16_383, 16_384, 65_535].map((length) => "k".repeat(length));
  const lengths = [0, 1, 127, 128, 60_000, 65_500, 70_000, 300_000, 600_000];
  for (const [index, valueBytes] of lengths.entries()) {
    const key = keys[index % keys.length] as string;
    const value = new Uint8Array(valueBytes).map((_, each) => each * 7 + index);
    for (const isPending of [true, false]) {
      const set = rig.store.set(bytes(key), value, { kind: "never" });
      // Behind the set the frame is in memory; later it is read from the disk.
      if (!isPending) await set;
      const { found, version } = await rig.touch(key, ttl(60_000));
      await set;
      assert.equal(found, true);
      const record = await read(rig, key);
      assert.equal(record.version, version);
      assert.deepEqual(Buffer.from(record.value), Buffer.from(value));
    }
  }
  await rig.store.close();
});

test("a record that lies in a batch is touched like any other", async () => {
  const rig = await Rig.open();
  await rig.store.commit([
    { kind: "set", key: bytes("a"), value: bytes("1") },
    { kind: "set", key: bytes("b"), value: bytes("2"), expiry: { kind: "ttl", ttlMs: 500 } },
  ]);
  await rig.touch("b", persist);
  await rig.sim.clock.advance(1000);
  const next = await rig.killed();
  assert.deepEqual(await next.values("a", "b"), { a: "1", b: "2" });
  await next.store.close();
});

for (const valueBytes of [10, 100 * KiB]) {
  test(`V13: a touch of a damaged record of ${valueBytes} bytes is DATA_LOSS of that key, and nothing is appended`, async () => {
    const rig = await Rig.open();
    await rig.set("sound", "1");
    await rig.set("a", "x".repeat(valueBytes));
    await rig.set("last", "1");
    await spoil(rig, "a");
    const { version, bytesAppended } = rig.store.stats();
    const error = await rejects(rig.touch("a", ttl(1000)), "RECORD_CORRUPT", "not-applied");
    assert.match(String(error.metadata["file"]), segmentFiles);
    assert.equal(rig.store.version, version);
    assert.equal(rig.store.stats().bytesAppended, bytesAppended);
    assert.equal(rig.store.stats().damage.length, 1);
    assert.equal((await rig.touch("sound", ttl(1000))).found, true);
    const current = rig.touch("a", ttl(1000), { condition: { kind: "absent" } });
    await rejects(current, "RECORD_CORRUPT");
    await rig.set("a", "new");
    assert.equal((await rig.touch("a", ttl(1000))).found, true);
    assert.equal(await rig.get("a"), "new");
    await rig.store.close();
  });

  test(`a touch of a record of ${valueBytes} bytes that the disk refuses to read appends nothing`, async () => {
    const rig = await Rig.open();
    await rig.set("a", "x".repeat(valueBytes));
    const { version } = rig.store;
    rig.injector = ({ op, path }) =>
      op === "read" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
    await rejects(rig.touch("a", ttl(1000)), "READ_FAILED", "not-applied");
    rig.injector = undefined;
    assert.equal(rig.store.version, version);
    assert.equal((await rig.touch("a", ttl(1000))).found, true);
    await rig.store.close();
  });
}

test("D6 P7: a touch needs space like the Set that it is", async () => {
  const MiB = KiB * KiB;
  const rig = await Rig.open({ diskReserveBytes: 16 * MiB });
  await rig.set("a", "1");
  const used = rig.sim.files.capacityBytes - rig.sim.files.freeBytes("/store");
  rig.sim.files.capacityBytes = used + 16 * MiB - 1;
  await rig.sim.clock.advance(300);
  await rejects(rig.touch("a", ttl(1000)), "NO_SPACE", "not-applied");
  assert.equal((await rig.touch("b", ttl(1000))).found, false, "this one appends nothing");
  await rig.store.close();
});
