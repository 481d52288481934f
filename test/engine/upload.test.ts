/** Uploads: what is written and when it shows, what is refused, and that nothing is left. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { RecordSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { UPLOADS_MAX } from "../../src/engine/uploads.js";
import { verifyStore } from "../../src/engine/verify.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";
import { begin, checksumOf, downloaded, send, uploadTo } from "../support/transfers.js";

const key = bytes("k");
const random = new SimRandom(9);

async function stagingFiles(rig: Rig): Promise<string[]> {
  const names = await rig.sim.files.list("/store/segments");
  return names.map(({ name }) => name).filter((name) => name.startsWith("upload_"));
}

/** Nothing is left of an upload that was not applied. */
async function requireNothing(rig: Rig, version = 0): Promise<void> {
  await rig.settle();
  assert.deepEqual(await stagingFiles(rig), []);
  assert.deepEqual(
    { uploads: rig.store.stats().uploads, version: rig.store.version },
    { uploads: 0, version },
  );
  assert.equal(rig.store.exists(key), undefined);
}

test("an upload of any length is a record like any other, also after a restart (G-UP-1, D1, V2)", async () => {
  let rig = await Rig.open({ segmentBytesMax: 5_000 });
  const lengths = [0, 1, 127, 128, 4_000, 6_000, 16_384, 300_000, 3 * 1024 * 1024 + 1];
  const values = new Map(lengths.map((length) => [`k${length}`, random.bytes(length)]));
  for (const [name, value] of values) {
    const { applied, version } = await uploadTo(rig.store, bytes(name), value, {
      pieceBytes: 100_000,
    });
    assert.deepEqual({ applied, version }, { applied: true, version: rig.store.version });
    await rig.set(`small ${name}`, "1");
  }
  assert.deepEqual(await stagingFiles(rig), []);
  const check = async (where: string): Promise<void> => {
    for (const [name, value] of values) {
      const record = await rig.store.get(bytes(name));
      assert.ok(
        record !== undefined && Buffer.from(record.value).equals(value),
        `${where} ${name}`,
      );
      const decoded = fromBinary(RecordSchema, record.payload);
      assert.equal(text(decoded.key), name);
      const download = await rig.store.download(bytes(name));
      assert.ok(download !== undefined && (await downloaded(download)).equals(value), where);
    }
    const frames = await rig.frames();
    assert.equal(frames.length, 2 * values.size);
  };
  await check("written");
  rig = await rig.reopened();
  await check("reopened");
  rig = await rig.powerCut();
  await check("power cut");
  await rig.store.close();
});

test("the checksum of a segment is that of its bytes, those of uploads too (G-UP-1, V3)", async () => {
  for (const segmentBytesMax of [5_000, 1024 * 1024 * 1024]) {
    const rig = await Rig.open({ segmentBytesMax });
    for (const length of [1, 4_000, 300_000]) {
      await rig.set(`before ${length}`, "1");
      await uploadTo(rig.store, bytes(`k${length}`), random.bytes(length), { pieceBytes: 100_000 });
      await rig.set(`after ${length}`, "1");
    }
    await rig.store.hintsWritten();
    await rig.store.close();
    const { findings } = await verifyStore(rig.options, rig.sim);
    assert.deepEqual(findings, []);
  }
});

test("nothing of an upload shows before it is finished and durable (G-UP-2, V1, V14)", async () => {
  const rig = await Rig.open();
  await rig.set("other", "1");
  const value = random.bytes(5_000);
  const upload = await begin(rig.store, key, value.length);
  await send(upload, value, 1_000);
  assert.equal(await rig.get("k"), undefined);
  assert.equal(rig.store.version, 1);
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const finished = watch(upload.finish(checksumOf(value)));
  await rig.settle();
  assert.deepEqual([finished.state, gate.held, await rig.get("k")], ["pending", 1, undefined]);
  gate.open();
  await rig.settle();
  assert.equal(finished.value?.version, 2);
  assert.ok(Buffer.from((await rig.store.get(key))?.value ?? []).equals(value));
  await rig.store.close();
});

test("an upload that is not what was announced is refused, and leaves nothing (G-UP-3)", async () => {
  const rig = await Rig.open();
  const value = random.bytes(1_000);
  const short = await begin(rig.store, key, 1_001);
  await send(short, value);
  const tooShort = await rejects(short.finish(checksumOf(value)), "UPLOAD_MISMATCH", "not-applied");
  assert.equal(tooShort.metadata["field"], "value_bytes");
  const long = await begin(rig.store, key, 999);
  await rejects(long.write(value), "UPLOAD_MISMATCH", "not-applied");
  await rejects(long.finish(0), "UPLOAD_MISMATCH");
  const other = await begin(rig.store, key, 1_000);
  await send(other, value);
  const wrong = await rejects(
    other.finish(checksumOf(value) ^ 1),
    "UPLOAD_MISMATCH",
    "not-applied",
  );
  assert.equal(wrong.metadata["field"], "crc32");
  const empty = await begin(rig.store, key, 0);
  await rejects(empty.finish(1), "UPLOAD_MISMATCH", "not-applied");
  await requireNothing(rig);
  await rig.store.close();
});

test("an upload that is given up leaves nothing, whenever that is (G-UP-4)", async () => {
  const rig = await Rig.open();
  const value = random.bytes(1_000);
  for (const sent of [0, 1, 1_000]) {
    const upload = await begin(rig.store, key, 1_000);
    await send(upload, value.subarray(0, sent));
    assert.equal((await stagingFiles(rig)).length, sent === 0 ? 0 : 1);
    await upload.abort();
    assert.deepEqual(await stagingFiles(rig), []);
    await rejects(upload.write(value), "CANCELLED", "not-applied");
  }
  const given = new AbortController();
  const upload = await begin(rig.store, key, 1_000, { signal: given.signal });
  const writing = upload.write(value);
  given.abort();
  await rejects(writing, "CANCELLED", "not-applied");
  await rejects(upload.finish(checksumOf(value)), "CANCELLED", "not-applied");
  const late = new AbortController();
  late.abort();
  await rejects(
    rig.store.upload(key, 1, { kind: "never" }, { signal: late.signal }).then(async (start) => {
      assert.equal(start.kind, "begun");
      await start.upload.write(value);
    }),
    "CANCELLED",
    "not-applied",
  );
  await requireNothing(rig);
  await rig.store.close();
});

test("a store that closes ends uploads that are being received, and finishes those that are not (G-UP-4)", async () => {
  let rig = await Rig.open();
  const value = random.bytes(1_000);
  const open = await begin(rig.store, key, 1_000);
  await send(open, value.subarray(0, 500));
  const done = await begin(rig.store, bytes("done"), 1_000);
  await send(done, value);
  const finishing = done.finish(checksumOf(value));
  const closing = rig.store.close();
  await rejects(open.write(value), "STORE_CLOSING", "not-applied");
  assert.equal((await finishing).applied, true);
  await closing;
  assert.deepEqual(await stagingFiles(rig), []);
  rig = await Rig.open(rig.options, rig.sim);
  assert.equal(rig.store.stats().open.wasClean, true);
  assert.deepEqual(rig.store.exists(key), undefined);
  assert.equal(rig.store.exists(bytes("done"))?.version, 1);
  await rig.store.close();
});

test("a store that closes finishes uploads that wait for their turn, too (G-UP-4)", async () => {
  let rig = await Rig.open();
  // One is larger than all that may be queued beside another (G-UP-11).
  const value = random.bytes(9 * 1024 * 1024);
  const names = ["a", "b", "c"];
  const finishing = [];
  for (const name of names) {
    const upload = await begin(rig.store, bytes(name), value.length);
    await send(upload, value, 1024 * 1024);
    finishing.push(upload.finish(checksumOf(value)));
  }
  await rig.store.close();
  for (const finished of finishing) assert.equal((await finished).applied, true);
  assert.deepEqual(await stagingFiles(rig), []);
  rig = await Rig.open(rig.options, rig.sim);
  assert.equal(rig.store.stats().open.wasClean, true);
  assert.deepEqual(
    names.map((name) => rig.store.exists(bytes(name))?.version),
    [1, 2, 3],
  );
  await rig.store.close();
});

test("the next opening takes away what a killed process was uploading, and no other file (G-UP-5, V9)", async () => {
  let rig = await Rig.open();
  await rig.set("a", "1");
  const upload = await begin(rig.store, key, 1_000);
  await send(upload, random.bytes(900));
  const [name] = await stagingFiles(rig);
  assert.ok(name);
  const foreign = name.replace(/^upload_../, "upload_zz");
  const files = rig.sim.files.kill();
  for (const other of [foreign, "upload_.tmp", `${name}.tmp`, "notes.tmp"]) {
    await (await files.open(`/store/segments/${other}`, "create")).close();
  }
  rig = await Rig.open(rig.options, { ...rig.sim, files });
  const left = (await files.list("/store/segments")).map((entry) => entry.name);
  assert.equal(left.includes(name), false);
  assert.deepEqual(
    [...rig.store.stats().open.strayFiles].sort(),
    [foreign, "upload_.tmp", `${name}.tmp`, "notes.tmp"].sort(),
  );
  for (const other of rig.store.stats().open.strayFiles) assert.ok(left.includes(other), other);
  assert.equal(await rig.get("a"), "1");
  await rig.store.close();
});

test("a condition is looked at before the bytes are sent, and decided when all are there (G-UP-6, C1)", async () => {
  const rig = await Rig.open();
  await rig.set("k", "standing");
  const value = random.bytes(1_000);
  const early = await uploadTo(rig.store, key, value, { condition: { kind: "absent" } });
  assert.equal(early.applied, false);
  assert.equal(text(early.current?.value ?? bytes("")), "standing");
  assert.equal(rig.store.stats().uploads, 0);
  const upload = await begin(rig.store, key, value.length, {
    condition: { kind: "version", version: 1 },
  });
  await send(upload, value);
  await rig.set("k", "changed");
  const late = await upload.finish(checksumOf(value));
  assert.deepEqual([late.applied, late.version], [false, 0]);
  assert.equal(text(late.current?.value ?? bytes("")), "changed");
  const met = await uploadTo(rig.store, key, value, { condition: { kind: "version", version: 2 } });
  assert.deepEqual([met.applied, met.version], [true, 3]);
  await rig.settle();
  assert.deepEqual(await stagingFiles(rig), []);
  await rig.store.close();
});

test("an expiry counts from when all of the value is there (G-UP-7, T1)", async () => {
  const rig = await Rig.open();
  const value = random.bytes(1_000);
  const upload = await begin(rig.store, key, value.length, { expiry: { kind: "ttl", ttlMs: 500 } });
  await send(upload, value);
  await rig.sim.clock.advance(10_000);
  const nowMs = rig.sim.clock.wallMs();
  assert.equal((await upload.finish(checksumOf(value))).expiresAtMs, nowMs + 500);
  const kept = await uploadTo(rig.store, key, value, { expiry: { kind: "keep" } });
  assert.equal(kept.expiresAtMs, nowMs + 500);
  assert.equal((await uploadTo(rig.store, key, value)).expiresAtMs, 0);
  await rig.store.close();
});

test("a wrong header is refused before a byte is sent (G-UP-8)", async () => {
  const rig = await Rig.open();
  const never = { kind: "never" } as const;
  const { store } = rig;
  await rejects(store.upload(bytes(""), 1, never), "KEY_EMPTY", "not-applied");
  await rejects(store.upload(new Uint8Array(65_536), 1, never), "KEY_TOO_LARGE", "not-applied");
  await rejects(store.upload(key, 104_857_601, never), "VALUE_TOO_LARGE", "not-applied");
  await rejects(store.upload(key, 0.5, never), "FIELD_INVALID", "not-applied");
  await rejects(store.upload(key, 1, { kind: "ttl", ttlMs: 0 }), "FIELD_INVALID", "not-applied");
  const condition = { kind: "version", version: 0 } as const;
  await rejects(store.upload(key, 1, never, { condition }), "FIELD_INVALID", "not-applied");
  await requireNothing(rig);
  await rig.store.close();
});

test("uploads under way are bounded (V11)", async () => {
  const rig = await Rig.open();
  const uploads = [];
  for (let number = 0; number < UPLOADS_MAX; number += 1) {
    uploads.push(await begin(rig.store, bytes(`k${number}`), 10));
  }
  await rejects(rig.store.upload(key, 1, { kind: "never" }), "OVERLOADED", "not-applied");
  await uploads[0]?.abort();
  await uploadTo(rig.store, key, random.bytes(10));
  for (const upload of uploads) await upload.abort();
  await rig.store.close();
});
