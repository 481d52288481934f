/** Upload and Download: values in chunks, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import type { Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

const chunk = Buffer.alloc(300_000, "chunk of a value ");
const value = Buffer.concat([chunk, chunk, chunk]);

/** The requests of an upload of `value`. */
function requestsOf(key: string, header: Json = {}, checksum = crc32(value)): Json[] {
  const chunks = [chunk, chunk, chunk].map((each) => ({ chunk: each.toString("base64") }));
  const first = { header: { key, valueBytes: `${value.length}`, ...header } };
  return [first, ...chunks, { end: { crc32: checksum } }];
}

export function transferScenario({ call, refused }: World): void {
  test("a value goes up in chunks and comes down in chunks, with its checksum at the end (G-UP-1, G-DOWN-1)", async () => {
    const key = base64("transfer");
    const requests = requestsOf(key, { ttl: "3600s" });
    const written = await call("KvService/Upload", {}, { requests });
    assert.equal(written["applied"], true);
    assert.ok(written["expireTime"]);
    const { record } = await call("KvService/Get", { key });
    assert.ok(Buffer.from((record as Json)["value"] as string, "base64").equals(value));
    const end = await call("KvService/Download", { key });
    assert.deepEqual(end, { end: { crc32: crc32(value) } });
  });

  test("an unmet precondition of an upload is answered, and a wrong checksum refused (G-UP-3, G-UP-6)", async () => {
    const key = base64("transfer-unmet");
    const { version } = await call("KvService/Set", { key, value: "MQ==" });
    const unmet = requestsOf(key, { precondition: { absent: true } });
    const kept = await call("KvService/Upload", {}, { requests: unmet });
    assert.deepEqual([kept["applied"], (kept["current"] as Json)["version"]], [undefined, version]);
    const requests = requestsOf(key, {}, (crc32(value) ^ 1) >>> 0);
    const error = await refused("KvService/Upload", {}, { requests });
    assert.equal(error.code, "INVALID_ARGUMENT");
    assert.equal(error.details[0]?.["reason"], "UPLOAD_MISMATCH");
    const { record } = await call("KvService/Get", { key });
    assert.equal((record as Json)["value"], "MQ==");
  });

  test("a download of an absent key is a header without a record (G-DOWN-2)", async () => {
    const only = await call("KvService/Download", { key: base64("transfer-absent") });
    assert.equal((only["header"] as Json)["record"], undefined);
  });
}
