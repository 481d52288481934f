/** What an upload is to other writes while its frame is on its way to the log. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { STAGED_SLICE_BYTES } from "../../src/engine/staged-value.js";
import { SimRandom } from "../support/sim-random.js";
import { bytes, Gate, Rig, rejects, segmentFiles, text, watch } from "../support/store-rig.js";
import { begin, checksumOf, downloaded, send, uploadTo } from "../support/transfers.js";

const key = bytes("k");
const random = new SimRandom(11);
const stagingFile = /upload_[0-9a-f]+_[0-9a-f]+\.tmp$/;

/** A store whose next sync of a segment waits, with an upload of `value` accepted and not durable. */
async function withPending(value: Uint8Array, rig: Rig) {
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const uploading = watch(uploadTo(rig.store, key, value));
  await rig.settle();
  assert.deepEqual([uploading.state, gate.held], ["pending", 1]);
  return { gate, uploading };
}

test("a Touch of an upload that is not durable yet keeps its value (G-UP-9, V14)", async () => {
  const rig = await Rig.open();
  await rig.set("k", "old");
  const value = random.bytes(300_000);
  const { gate, uploading } = await withPending(value, rig);
  const touching = watch(rig.touch("k", { kind: "ttl", ttlMs: 60_000 }));
  await rig.settle();
  assert.equal(touching.state, "pending");
  assert.equal(await rig.get("k"), "old");
  gate.open();
  await rig.settle();
  assert.deepEqual([uploading.value?.version, touching.value?.version], [2, 3]);
  assert.equal(touching.value?.expiresAtMs, rig.sim.clock.wallMs() + 60_000);
  const next = await rig.powerCut();
  assert.ok(Buffer.from((await next.store.get(key))?.value ?? []).equals(value));
  await next.store.close();
});

test("a Touch accepted before the upload is written reads it from its staging file, or is refused if that is damaged (G-UP-9)", async () => {
  for (const isDamaged of [false, true]) {
    const rig = await Rig.open();
    await rig.set("k", "old");
    const gate = new Gate();
    rig.injector = ({ op, path }) =>
      op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
    // Its sync holds the next group back, so that the upload is accepted and in no log yet.
    const before = watch(rig.set("x", "1"));
    await rig.settle();
    const value = random.bytes(2_000);
    const upload = await begin(rig.store, key, value.length);
    await send(upload, value);
    const uploading = watch(upload.finish(checksumOf(value)));
    await rig.settle();
    if (isDamaged) await damageStaging(rig);
    const touching = rig.touch("k", { kind: "never" });
    const watched = watch(touching);
    await rig.settle();
    const kept = watch(rig.set("k2", "1", { expiry: { kind: "keep" } }));
    await rig.settle();
    gate.open();
    await rig.settle();
    assert.equal(before.state, "resolved");
    assert.equal(kept.state, "resolved");
    if (isDamaged) {
      assert.equal(uploading.state, "rejected");
      await rejects(touching, "WRITE_FAILED", "not-applied");
      assert.equal(await rig.get("k"), "old");
    } else {
      assert.equal(uploading.state, "resolved");
      assert.equal(watched.value?.found, true);
      assert.ok(Buffer.from((await rig.store.get(key))?.value ?? []).equals(value));
    }
    await rig.store.close();
  }
});

async function damageStaging(rig: Rig): Promise<void> {
  const names = await rig.sim.files.list("/store/segments");
  const name = names.map((entry) => entry.name).find((each) => stagingFile.test(each));
  assert.ok(name);
  const file = await rig.sim.files.open(`/store/segments/${name}`, "write");
  const byte = new Uint8Array(1);
  await file.read(byte, 700);
  byte[0] = (byte[0] as number) ^ 0x10;
  await file.write(byte, 700);
  await file.close();
}

test("answers that carry a record, and kept expiries, see an upload that is pending (G-UP-9, C1)", async () => {
  const rig = await Rig.open();
  const value = random.bytes(100_000);
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const uploading = watch(
    uploadTo(rig.store, key, value, { expiry: { kind: "ttl", ttlMs: 5_000 } }),
  );
  await rig.settle();
  const unmet = watch(rig.set("k", "no", { condition: { kind: "absent" } }));
  const replaced = watch(rig.set("k", "next", { returnPrevious: true, expiry: { kind: "keep" } }));
  await rig.settle();
  assert.deepEqual(
    [uploading.state, unmet.state, replaced.state],
    ["pending", "pending", "pending"],
  );
  gate.open();
  await rig.settle();
  assert.ok(Buffer.from(unmet.value?.current?.value ?? []).equals(value));
  assert.ok(Buffer.from(replaced.value?.previous?.value ?? []).equals(value));
  assert.equal(replaced.value?.expiresAtMs, uploading.value?.expiresAtMs);
  await rig.store.close();
});

test("a staging file that was damaged never becomes a record, and costs its own upload only (G-UP-10, V2)", async () => {
  for (const damage of ["bytes", "length", "read"] as const) {
    const rig = await Rig.open();
    await rig.set("k", "old");
    const gate = new Gate();
    rig.injector = ({ op, path }) =>
      op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
    const before = watch(rig.set("x", "1"));
    await rig.settle();
    const value = random.bytes(2_000);
    const one = watch(rig.set("one", "1"));
    const upload = await begin(rig.store, key, value.length);
    await send(upload, value);
    const finishing = upload.finish(checksumOf(value));
    const uploading = watch(finishing);
    await rig.settle();
    const other = watch(rig.set("other", "1", { condition: { kind: "absent" } }));
    const onTop = watch(rig.delete("k"));
    if (damage === "bytes") await damageStaging(rig);
    else if (damage === "length") await cutStaging(rig);
    rig.injector = ({ op, path }) =>
      damage === "read" && op === "read" && stagingFile.test(path)
        ? { kind: "error", code: "EIO" }
        : undefined;
    gate.open();
    await rig.settle();
    await rejects(finishing, "WRITE_FAILED", "not-applied");
    for (const each of [before, one, other, onTop]) assert.equal(each.state, "resolved", damage);
    assert.equal(onTop.value?.deleted, true);
    assert.equal(rig.store.stats().condition.latched, false);
    const next = await rig.powerCut();
    assert.deepEqual(await next.values("k", "x", "one", "other"), { x: "1", one: "1", other: "1" });
    assert.deepEqual(next.store.stats().damage, []);
    assert.equal(uploading.state, "rejected");
    await next.store.close();
  }
});

async function cutStaging(rig: Rig): Promise<void> {
  const names = await rig.sim.files.list("/store/segments");
  const name = names.map((entry) => entry.name).find((each) => stagingFile.test(each));
  const file = await rig.sim.files.open(`/store/segments/${name}`, "write");
  await file.truncate(100);
  await file.close();
}

test("a write waits for one large upload at most, however many are finished (G-UP-11)", async () => {
  const rig = await Rig.open();
  const value = random.bytes(9 * STAGED_SLICE_BYTES);
  const uploads = [];
  for (const name of ["a", "b", "c"]) {
    const upload = await begin(rig.store, bytes(name), value.length);
    await send(upload, value);
    uploads.push(upload);
  }
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const finishing = uploads.map((upload) => upload.finish(checksumOf(value)));
  await rig.settle();
  const small = rig.set("small", "1");
  await rig.settle();
  gate.open();
  const versions = [(await small).version];
  for (const each of finishing) versions.push((await each).version);
  assert.deepEqual(versions, [2, 1, 3, 4]);
  const download = await rig.store.download(bytes("c"));
  assert.ok(download !== undefined && (await downloaded(download)).equals(value));
  await rig.store.close();
});

test("V11: an upload on its way counts for what it takes of memory, and keeps no write from being accepted (G-UP-11)", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 1024 * 1024 });
  await rig.set("first", "1");
  const { gate, uploading } = await withPending(random.bytes(3 * STAGED_SLICE_BYTES), rig);
  assert.ok(rig.store.stats().inFlightBytes < 1024, "its value lies in a file");
  const beside = watch(rig.set("beside", "1"));
  await rig.settle();
  assert.equal(rig.store.stats().waitingCalls, 0);
  gate.open();
  await rig.settle();
  assert.deepEqual([uploading.state, beside.state], ["resolved", "resolved"]);
  assert.equal(rig.store.stats().inFlightBytes, 0);
  await rig.store.close();
});

test("an upload whose group fails is not applied, and service goes on; after a failed sync it is unknown (D4, V10)", async () => {
  const value = random.bytes(3_000);
  for (const failing of ["write", "syncData"] as const) {
    const rig = await Rig.open();
    await rig.set("a", "1");
    let failures = 0;
    rig.injector = ({ op, path, lengthBytes = 0 }) => {
      const isHit = op === failing && segmentFiles.test(path) && failures === 0;
      if (!isHit || (op === "write" && lengthBytes < 3_000)) return undefined;
      failures += 1;
      return { kind: "error", code: "EIO" };
    };
    const outcome = failing === "write" ? "not-applied" : "unknown";
    const reason = failing === "write" ? "WRITE_FAILED" : "SYNC_FAILED";
    await rejects(uploadTo(rig.store, key, value), reason, outcome);
    assert.equal(failures, 1);
    await rig.settle();
    assert.equal(rig.store.stats().uploads, 0);
    if (failing === "write") await uploadTo(rig.store, key, value);
    else
      await rejects(rig.store.upload(key, 3, { kind: "never" }), "STORE_READ_ONLY", "not-applied");
    assert.equal(text((await rig.store.get(bytes("a")))?.value ?? key), "1");
    await rig.store.close().catch(() => undefined);
  }
});

test("D5: an upload whose condition is looked at while the store closes is not begun, and the close ends", async () => {
  const rig = await Rig.open({ inFlightBytesMax: 1000 });
  await rig.set("first", "1");
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const before = watch(rig.set("large", "v".repeat(2000)));
  await rig.settle();
  assert.deepEqual([before.state, gate.held], ["pending", 1]);
  const expiry = { kind: "never" } as const;
  const condition = { kind: "absent" } as const;
  const begun = rejects(rig.store.upload(key, 3000, expiry, { condition }), "STORE_CLOSING");
  await rig.settle();
  assert.equal(rig.store.stats().waitingCalls, 1);
  const closed = watch(rig.store.close());
  gate.open();
  await begun;
  await rig.settle();
  assert.equal(closed.state, "resolved");
});
