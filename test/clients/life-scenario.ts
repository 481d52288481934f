/** A server that is stopped, killed and started again, under the eyes of one channel. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { base64, type World } from "./suite.js";

type Fields = Record<string, string>;

export function lifeScenario({ call, refused, restart }: World): void {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    test(`after ${signal} and a restart the channel finds the server and all it acknowledged (V1)`, async () => {
      const key = base64(`life-${signal}`);
      const ttl = "3600s";
      const first = await call("KvService/Set", { key, value: "MQ==", ttl });
      const buffered = {
        key: base64("buffered"),
        value: "MQ==",
        durability: "DURABILITY_BUFFERED",
      };
      await call("KvService/Set", buffered);
      await restart(signal);
      const again = await call("KvService/Get", { key }, { waitForReady: true });
      const record = again["record"] as Fields;
      assert.equal(record["value"], "MQ==");
      assert.equal(record["version"], first["version"]);
      assert.equal(record["expireTime"], first["expireTime"]);
      // Neither a stop nor the death of the process takes what was written.
      assert.ok((await call("KvService/Get", { key: buffered.key }))["record"]);
      const next = await call("KvService/Set", { key, value: "Mg==" });
      assert.ok(BigInt(next["version"] as string) > BigInt(first["version"] as string) + 1n);
    });
  }

  test("under a smaller message limit a record comes without its value, and a Get of it is RECORD_TOO_LARGE (P4)", async () => {
    const set = { key: base64("shrunk"), value: Buffer.alloc(1024 * 1024, 7).toString("base64") };
    const written = await call("KvService/Set", set);
    const { recordBytes } = await call("KvService/Exists", { key: set.key });
    await restart("SIGTERM", "--max-message-bytes", "1048576");
    const error = await refused("KvService/Get", { key: set.key }, { waitForReady: true });
    assert.equal(error.code, "FAILED_PRECONDITION");
    const { reason, domain, metadata } = error.details[0] as Record<string, unknown>;
    assert.deepEqual([reason, domain], ["RECORD_TOO_LARGE", "kvix"]);
    assert.equal((metadata as Fields)["outcome"], "none");
    const small = { key: set.key, value: "MQ==" };
    const unmet = { ...small, precondition: { absent: true } };
    const kept = await call("KvService/Set", unmet);
    assert.deepEqual([kept["applied"], kept["valueOmitted"]], [undefined, true]);
    assert.equal(kept["recordBytes"], recordBytes);
    const current = kept["current"] as Fields;
    assert.deepEqual([current["version"], current["value"]], [written["version"], undefined]);
    const replaced = await call("KvService/Set", { ...small, returnPrevious: true });
    assert.deepEqual([replaced["applied"], replaced["valueOmitted"]], [true, true]);
    assert.equal(replaced["recordBytes"], recordBytes);
    await restart("SIGTERM");
    const again = await call("KvService/Get", { key: set.key }, { waitForReady: true });
    assert.equal((again["record"] as Fields)["value"], "MQ==");
  });
}
