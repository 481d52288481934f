/** Writes and what reads make of them: KvService, bytes in and bytes out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

type Fields = Record<string, string>;

const key = (name: string): string => base64(`write-${name}`);
const versionOf = (answer: Json): bigint => BigInt(answer["version"] as string);

/** Calls until `isDone` holds of the answer, for some seconds. */
async function until(ask: () => Promise<Json>, isDone: (answer: Json) => boolean): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (isDone(await ask())) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("it did not come to pass within 10 s");
}

export function writeScenario({ call }: World): void {
  const get = async (name: string): Promise<Fields | undefined> =>
    (await call("KvService/Get", { key: key(name) }))["record"] as Fields | undefined;

  test("Set, Get, Exists and Delete carry any bytes, the empty value included (I5, I6)", async () => {
    const values: readonly (readonly number[])[] = [[], [0], [0x80, 0xff, 0xfe], [0xc3, 0x28, 0]];
    for (const [index, value] of values.entries()) {
      const name = base64([0xff, 0, index]);
      const written = await call("KvService/Set", { key: name, value: base64(value) });
      assert.equal(written["applied"], true);
      assert.equal(written["storeVersion"], written["version"]);
      const answer = await call("KvService/Get", { key: name });
      const record = answer["record"] as Fields;
      assert.equal(record["key"], name);
      assert.equal(record["value"] ?? "", base64(value));
      assert.equal(record["version"], written["version"]);
      assert.ok(Math.abs(Date.parse(record["updateTime"] as string) - Date.now()) < 60_000);
      assert.equal(record["expireTime"], undefined);
      assert.equal(answer["storeVersion"], written["version"]);
      const facts = await call("KvService/Exists", { key: name });
      assert.deepEqual([facts["exists"], facts["version"]], [true, written["version"]]);
      assert.ok((facts["recordBytes"] as number) > value.length);
      const removed = await call("KvService/Delete", { key: name, returnPrevious: true });
      assert.deepEqual([removed["applied"], removed["deleted"]], [true, true]);
      assert.ok(versionOf(removed) > versionOf(written));
      assert.deepEqual(removed["previous"], record);
    }
  });

  test("a miss is OK: no record, not there, nothing deleted", async () => {
    const request = { key: key("miss") };
    const { storeVersion } = await call("KvService/Get", request);
    assert.ok(Number(storeVersion) > 0);
    assert.deepEqual(await call("KvService/Get", request), { storeVersion });
    assert.deepEqual(await call("KvService/Exists", request), { storeVersion });
    const removed = await call("KvService/Delete", request);
    assert.deepEqual(removed, { applied: true, storeVersion });
  });

  test("a ttl hides the record when it is over; a plain Set clears it; keep_ttl keeps it (T1, T2)", async () => {
    const before = Date.now();
    const long = await call("KvService/Set", { key: key("ttl"), value: "MQ==", ttl: "3600.5s" });
    const expireMs = Date.parse(long["expireTime"] as string);
    assert.ok(expireMs >= before + 3_600_000 && expireMs <= Date.now() + 3_600_501);
    assert.equal((await get("ttl"))?.["expireTime"], long["expireTime"]);
    const facts = await call("KvService/Exists", { key: key("ttl") });
    assert.equal(facts["expireTime"], long["expireTime"]);
    const kept = await call("KvService/Set", { key: key("ttl"), value: "Mg==", keepTtl: true });
    assert.equal(kept["expireTime"], long["expireTime"]);
    const plain = await call("KvService/Set", { key: key("ttl"), value: "Mw==" });
    assert.equal(plain["expireTime"], undefined);
    assert.equal((await get("ttl"))?.["expireTime"], undefined);
    await call("KvService/Set", { key: key("short"), value: "MQ==", ttl: "0.300s" });
    const ask = () => call("KvService/Get", { key: key("short") });
    await until(ask, (answer) => answer["record"] === undefined);
    const gone = await call("KvService/Exists", { key: key("short") });
    assert.equal(gone["exists"], undefined);
  });

  test("an instant is rounded up to milliseconds; one in the past is applied and invisible", async () => {
    const expireTime = "2100-01-01T00:00:00.000000001Z";
    const set = { key: key("at"), value: "MQ==" };
    const future = await call("KvService/Set", { ...set, expireTime });
    assert.equal(future["expireTime"], "2100-01-01T00:00:00.001Z");
    const past = await call("KvService/Set", { ...set, expireTime: "2000-01-01T00:00:00Z" });
    assert.equal(past["applied"], true);
    assert.equal(await get("at"), undefined);
  });

  test("preconditions of Set and Delete: applied when they hold, else the record that stands", async () => {
    const set = (value: string, precondition: Json) =>
      call("KvService/Set", { key: key("if"), value, precondition });
    const missed = await set("MA==", { present: true });
    assert.deepEqual([missed["applied"], missed["current"]], [undefined, undefined]);
    assert.equal((await set("MA==", { version: "1" }))["applied"], undefined);
    const first = await set("MQ==", { absent: true });
    assert.equal(first["applied"], true);
    const refused = await set("Mg==", { absent: true });
    assert.deepEqual([refused["applied"], refused["version"]], [undefined, undefined]);
    assert.deepEqual(refused["current"], await get("if"));
    const version = String(versionOf(first) + 1n);
    assert.equal((await set("Mg==", { version }))["applied"], undefined);
    const second = await set("Mg==", { version: first["version"] });
    assert.equal(second["applied"], true);
    assert.equal((await set("Mw==", { present: true }))["applied"], true);
    const remove = (precondition: Json) =>
      call("KvService/Delete", { key: key("if"), precondition });
    const kept = await remove({ version: first["version"] });
    assert.equal(kept["applied"], undefined);
    assert.equal((kept["current"] as Fields)["value"], "Mw==");
    assert.equal((await remove({ absent: true }))["applied"], undefined);
    assert.equal((await remove({ present: true }))["deleted"], true);
    assert.equal((await remove({ absent: true }))["applied"], true);
  });

  test("return_previous answers what was replaced; DURABILITY_BUFFERED and _SYNC are taken", async () => {
    const set = (value: string, durability: string) =>
      call("KvService/Set", { key: key("prev"), value, durability, returnPrevious: true });
    assert.equal((await set("MQ==", "DURABILITY_BUFFERED"))["previous"], undefined);
    const second = await set("Mg==", "DURABILITY_SYNC");
    assert.equal((second["previous"] as Fields)["value"], "MQ==");
    const third = await set("Mw==", "DURABILITY_UNSPECIFIED");
    assert.equal((third["previous"] as Fields)["value"], "Mg==");
    const removed = await call("KvService/Delete", {
      key: key("prev"),
      returnPrevious: true,
      durability: "DURABILITY_BUFFERED",
    });
    assert.equal((removed["previous"] as Fields)["value"], "Mw==");
  });

  test("a compressed request and a value of 3 MiB pass both ways (P4)", async () => {
    const value = Buffer.alloc(3 * 1024 * 1024, "kvix").toString("base64");
    for (const gzip of [true, false]) {
      await call("KvService/Set", { key: key("large"), value }, { gzip });
      assert.equal((await get("large"))?.["value"], value);
    }
  });

  test("400 calls at once on one channel are all answered, each with a version of its own (V15)", async () => {
    const calls = Array.from({ length: 400 }, (_, index) =>
      call("KvService/Set", { key: key(`many-${index}`), value: "MQ==" }),
    );
    const versions = new Set((await Promise.all(calls)).map(versionOf));
    assert.equal(versions.size, calls.length);
  });
}
