/** Many records in one call: BatchGet, Scan and DeleteRange. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { base64, type World } from "./suite.js";

type Fields = Record<string, string>;

interface Listed {
  readonly record?: Fields;
  readonly recordBytes?: number;
}

export function rangeScenario({ call, refused }: World): void {
  const fill = async (prefix: string, count: number): Promise<string[]> => {
    const keys = Array.from({ length: count }, (_, at) => base64(`${prefix}${at}`));
    for (const key of keys) await call("KvService/Set", { key, value: key, durability: 2 });
    return keys;
  };

  test("BatchGet has an entry for each key, in their order (G-BGET-1)", async () => {
    const [one, two] = await fill("range-batch-", 2);
    const keys = [two, base64("range-none"), one];
    const entries = (await call("KvService/BatchGet", { keys }))["entries"] as Listed[];
    assert.deepEqual(
      entries.map(({ record }) => record?.["value"]),
      [two, undefined, one],
    );
    const error = await refused("KvService/BatchGet", {});
    assert.equal(error.code, "INVALID_ARGUMENT");
  });

  test("Scan streams a range in the order of its keys, up and down (G-SCAN-1)", async () => {
    const keys = await fill("range-scan-", 9);
    const request = { prefix: base64("range-scan-"), limit: "5" };
    for (const [reverse, expected] of [
      [false, keys.slice(0, 5)],
      [true, keys.toReversed().slice(0, 5)],
    ] as const) {
      const answer = await call("KvService/Scan", { ...request, reverse });
      assert.deepEqual(
        (answer["records"] as Listed[]).map(({ record }) => record?.["key"]),
        expected,
      );
    }
    const error = await refused("KvService/Scan", { prefix: "YQ==", start: "YQ==" });
    assert.equal(error.code, "INVALID_ARGUMENT");
  });

  test("DeleteRange counts and removes a range, and refuses to remove what was not named (G-DELRANGE-2)", async () => {
    await fill("range-delete-", 7);
    const prefix = base64("range-delete-");
    const counted = await call("KvService/DeleteRange", { prefix, dryRun: true, limit: 3 });
    assert.deepEqual([counted["count"], counted["more"]], [3, true]);
    const removed = await call("KvService/DeleteRange", { prefix });
    assert.deepEqual([removed["count"], removed["more"]], [7, undefined]);
    assert.equal((await call("KvService/DeleteRange", { prefix }))["count"], undefined);
    assert.equal((await refused("KvService/DeleteRange", {})).code, "INVALID_ARGUMENT");
  });
}
