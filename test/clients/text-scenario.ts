/** KvTextService: the same store for those who type. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { base64, type World } from "./suite.js";

type Fields = Record<string, string>;

export function textScenario({ call, refused }: World): void {
  test("text is set, read, found and deleted, and is what KvService has as bytes", async () => {
    const key = "schl\u00fcssel";
    const value = "\u503c \u{1f511}";
    const written = await call("KvTextService/Set", { key, value, ttl: "60s" });
    assert.equal(written["applied"], true);
    const { record } = (await call("KvTextService/Get", { key })) as { record: Fields };
    assert.deepEqual([record["key"], record["value"]], [key, value]);
    assert.equal(record["version"], written["version"]);
    assert.equal(record["expireTime"], written["expireTime"]);
    const bytes = await call("KvService/Get", { key: base64(key) });
    assert.equal((bytes["record"] as Fields)["value"], base64(value));
    const facts = await call("KvTextService/Exists", { key });
    assert.deepEqual([facts["exists"], facts["version"]], [true, written["version"]]);
    const precondition = { absent: true };
    const kept = await call("KvTextService/Set", { key, value: "2", precondition });
    assert.deepEqual(kept["current"], record);
    const keep = { key, value: "2", keepTtl: true, returnPrevious: true };
    const replaced = await call("KvTextService/Set", keep);
    assert.deepEqual(replaced["previous"], record);
    assert.equal(replaced["expireTime"], written["expireTime"]);
    const touched = await call("KvTextService/Touch", { key, persist: true });
    assert.deepEqual([touched["found"], touched["expireTime"]], [true, undefined]);
    const removed = await call("KvTextService/Delete", { key, returnPrevious: true });
    assert.equal((removed["previous"] as Fields)["value"], "2");
    const { storeVersion } = removed;
    assert.deepEqual(await call("KvTextService/Get", { key }), { storeVersion });
    assert.deepEqual(await call("KvTextService/Exists", { key }), { storeVersion });
  });

  test("a stored value that is no text is NOT_TEXT, and left out of current and previous", async () => {
    const key = "no-text";
    await call("KvService/Set", { key: base64(key), value: base64([0xff]) });
    const error = await refused("KvTextService/Get", { key });
    assert.equal(error.code, "FAILED_PRECONDITION");
    assert.equal(error.details[0]?.["reason"], "NOT_TEXT");
    const unmet = { key, value: "1", precondition: { absent: true } };
    const kept = await call("KvTextService/Set", unmet);
    assert.deepEqual([kept["applied"], kept["valueOmitted"]], [undefined, true]);
    assert.equal((kept["current"] as Fields)["value"], undefined);
    const removed = await call("KvTextService/Delete", { key, returnPrevious: true });
    assert.deepEqual([removed["deleted"], removed["valueOmitted"]], [true, true]);
    assert.ok((removed["recordBytes"] as number) > 0);
  });
}
