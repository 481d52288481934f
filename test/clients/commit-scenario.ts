/** Commit and Increment, and repeats of both under a request id. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

const key = (name: string): string => base64(`commit-${name}`);

export function commitScenario({ call }: World): void {
  const readBack = async (name: string): Promise<string | undefined> => {
    const { record } = await call("KvService/Get", { key: key(name) });
    return record === undefined ? undefined : atob((record as Json)["value"] as string);
  };

  test("an Increment counts, and a repeat under its request_id does not (G-INC-1, G-REQID-1)", async () => {
    const first = await call("KvService/Increment", { key: key("n"), initial: "40", delta: "2" });
    assert.equal(first["value"], "42");
    const named = { key: key("n"), delta: "-50", requestId: base64("commit-scenario-1") };
    const once = await call("KvService/Increment", named);
    const again = await call("KvService/Increment", named);
    assert.deepEqual([once["value"], again["value"]], ["-8", "-8"]);
    assert.deepEqual([once["repeated"], again["repeated"]], [undefined, true]);
    assert.equal(await readBack("n"), "-8");
  });

  test("a Commit is all or nothing, and tells what stood in its way (G-COMMIT-1, G-COMMIT-4)", async () => {
    const mutations = [
      { set: { key: key("a"), value: base64("1") } },
      { delete: { key: key("b") } },
      { increment: { key: key("c") } },
    ];
    const conditions = [{ key: key("a"), precondition: { absent: true } }];
    const made = await call("KvService/Commit", { conditions, mutations });
    assert.equal(made["applied"], true);
    const [set, gone, count] = made["results"] as [Json, Json, Json];
    assert.deepEqual([gone["version"], count["value"]], [undefined, "1"]);
    assert.equal(BigInt(count["version"] as string), BigInt(set["version"] as string) + 1n);
    const refused = await call("KvService/Commit", { conditions, mutations });
    assert.equal(refused["applied"], undefined);
    const [unmet] = refused["unmet"] as [Json];
    assert.equal(unmet["index"], undefined);
    assert.equal((unmet["current"] as Json)["version"], set["version"]);
    assert.equal(await readBack("c"), "1");
  });
}
