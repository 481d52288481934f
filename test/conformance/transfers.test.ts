/** Values piece by piece, wherever the store is. */
import assert from "node:assert/strict";
import { all, conforms, refusal } from "./suite.js";

const pattern = (bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, at) => at % 251);

conforms(
  "a value is uploaded whole or in pieces, and downloaded the same (G-CLIENT-1)",
  async ({ store }) => {
    const value = pattern(700_000);
    const whole = await store.upload("whole", value, { ttlMs: 60_000 });
    assert.equal(whole.applied, true);
    async function* pieces() {
      yield value.subarray(0, 10);
      yield value.subarray(10, 600_000);
      yield value.subarray(600_000);
    }
    await store.upload("pieces", pieces(), { valueBytes: value.length });
    await store.upload("text", "hello");
    await store.upload("empty", new Uint8Array(0));
    for (const key of ["whole", "pieces"]) {
      const download = await store.download(key);
      assert.equal(download?.valueBytes, value.length);
      assert.deepEqual(Buffer.from((await download?.bytes()) ?? []), Buffer.from(value));
    }
    const download = await store.download("whole");
    assert.equal(download?.version, whole.version);
    assert.deepEqual(download?.expireTime, whole.expireTime);
    const got = Buffer.concat(await all(download ?? assert.fail()));
    assert.deepEqual(got, Buffer.from(value));
    assert.equal(await (await store.download("text"))?.text(), "hello");
    assert.equal((await (await store.download("empty"))?.bytes())?.length, 0);
    assert.equal(await store.download("nothing"), undefined);
    assert.deepEqual(Buffer.from((await store.get("whole"))?.value ?? []), Buffer.from(value));
  },
);

conforms(
  "an upload that is not what was announced, or fails, leaves nothing",
  async ({ store }) => {
    const announced = { valueBytes: 10 };
    await refusal(store.upload("k", [pattern(9)], announced), "UPLOAD_MISMATCH");
    await refusal(store.upload("k", [pattern(6), pattern(6)], announced), "UPLOAD_MISMATCH");
    await refusal(store.upload("k", pattern(9), announced), "UPLOAD_MISMATCH");
    await refusal(store.upload("k", [pattern(9)]), "FIELD_INVALID");
    async function* broken() {
      yield pattern(5);
      throw new RangeError("the source is broken");
    }
    await assert.rejects(store.upload("k", broken(), announced), RangeError);
    assert.equal(await store.exists("k"), false);
  },
);

conforms(
  "an upload whose condition is not met is an answer, with the record that stands",
  async ({ store }) => {
    await store.set("k", "here");
    const refused = await store.upload("k", pattern(500_000), { ifAbsent: true });
    assert.equal(refused.applied, false);
    assert.equal(refused.current?.text(), "here");
  },
);

conforms("a download that is left lets go", async ({ store }) => {
  await store.upload("k", pattern(900_000));
  {
    await using download = await store.download("k");
    assert.equal(download?.valueBytes, 900_000);
  }
  for await (const piece of (await store.download("k")) ?? []) {
    assert.ok(piece.length > 0);
    break;
  }
  assert.equal((await store.delete("k")).deleted, true);
});
