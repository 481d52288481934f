/** One signal for many calls. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/client/connect.js";
import { refusal } from "../conformance/suite.js";
import { startFakeKv } from "./fake-kv.js";

const timeout = 60_000;

for (const batching of [true, false]) {
  test(`twenty calls under way that share a signal are no leak to Node, and all end with it, batching ${batching}`, {
    timeout,
  }, async (t) => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => void warnings.push(name);
    process.on("warning", onWarning);
    t.after(() => process.off("warning", onWarning));
    const never = () => new Promise(() => undefined);
    const silent = { onRequest: () => {}, onHalfClose: () => {}, onStop: () => {} };
    const fake = await startFakeKv(t, {
      get: never,
      pipeline: { begin: () => silent },
    } as never);
    const kvix = connect({ address: fake.address, batching });
    const caller = new AbortController();
    const calls = Array.from({ length: 20 }, (_, at) =>
      refusal(kvix.get(`key ${at}`, { signal: caller.signal }), "CANCELLED"),
    );
    // A warning comes in a turn of its own.
    await new Promise((resolve) => setTimeout(resolve, 50));
    caller.abort();
    await Promise.all(calls);
    await kvix.close();
    assert.deepEqual(warnings, []);
  });
}
