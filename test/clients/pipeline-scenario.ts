/** Pipeline: operations of one key in order, and one that fails alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../support/foreign-client.js";
import { base64, type World } from "./suite.js";

export function pipelineScenario({ call }: World): void {
  test("a pipeline answers every operation, in order for one key, and ends when it was half-closed (G-PIPE-1, G-PIPE-5)", async () => {
    const key = base64("pipeline");
    const requests = [
      { operations: [{ id: "1", set: { key, value: base64("one") } }] },
      {
        operations: [
          { id: "2", increment: { key } },
          { id: "3", set: { key, value: base64("two") } },
          { id: "4", get: { key } },
        ],
      },
    ];
    // What it answers last is the read, which waits for all that was sent before it.
    const { results } = await call("KvService/Pipeline", {}, { requests });
    const last = (results as Json[]).at(-1) as Json;
    assert.equal(last["id"], "4");
    const { record } = last["get"] as Json;
    assert.equal((record as Json)["value"], base64("two"));
  });
}
