/** What becomes of an answer that is made when its caller is gone: nothing is held for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import type { Store } from "../../src/engine/store.js";
import { startMemoryServer } from "./memory-server.js";

const { set } = KvService.method;
const key = Buffer.from("k");
const timeout = 30_000;

async function until(condition: () => boolean): Promise<void> {
  const dueMs = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < dueMs, `never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("an answer that comes when its caller has given up is held for nobody (V11)", {
  timeout,
}, async (t) => {
  let go: (() => void) | undefined;
  const { client, server, store } = await startMemoryServer(t, {
    wrap: (below) => {
      const slowSet: Store["set"] = async (...args) => {
        const result = await below.set(...args);
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        return result;
      };
      return new Proxy(below, {
        get(target, name) {
          if (name === "set") return slowSet;
          const member: unknown = Reflect.get(target, name);
          return typeof member === "function" ? member.bind(target) : member;
        },
      });
    },
  });
  const expiry = { kind: "never" } as const;
  const first = store.set(key, Buffer.alloc(20_000, 1), expiry);
  await until(() => go !== undefined);
  go?.();
  await first;
  go = undefined;
  const giveUp = new AbortController();
  const request = { key, value: key, returnPrevious: true };
  const call = client.call(set, request, { signal: giveUp.signal });
  await until(() => go !== undefined);
  giveUp.abort();
  await assert.rejects(call);
  await until(() => server.figures.calls === 0);
  assert.equal(server.figures.heldBytes, 0);
  (go as (() => void) | undefined)?.();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(server.figures.heldBytes, 0);
});
