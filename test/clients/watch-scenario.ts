/** Watch: a stream that lasts until its client leaves, and what it is refused with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { base64, type World } from "./suite.js";

export function watchScenario({ call, refused }: World): void {
  test("Watch lasts as long as its deadline, and is refused a version that was never given (G-WATCH-9)", async () => {
    const key = base64("watch-key");
    const { version } = await call("KvService/Set", { key, value: key });
    const lasting = call("KvService/Watch", { afterVersion: version }, { timeoutMs: 1500 });
    await assert.rejects(lasting, /DEADLINE_EXCEEDED/);
    const future = await refused("KvService/Watch", { afterVersion: String(2 ** 40) });
    assert.equal(future.code, "OUT_OF_RANGE");
    const both = { afterVersion: "0", includeCurrent: true };
    assert.equal((await refused("KvService/Watch", both)).code, "INVALID_ARGUMENT");
  });
}
