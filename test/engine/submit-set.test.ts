/** A set that tells an outcome of its end: when it does, and that it does so once. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Outcome, SetResult } from "../../src/engine/store.js";
import { bytes, Gate, Rig, segmentFiles } from "../support/store-rig.js";

const never = { kind: "never" } as const;

/** Notes what it hears. */
function listener(): { readonly heard: unknown[]; readonly outcome: Outcome<SetResult> } {
  const heard: unknown[] = [];
  const outcome: Outcome<SetResult> = {
    resolve: ({ version }) => heard.push(version),
    reject: (error) => heard.push((error as { reason?: string }).reason),
  };
  return { heard, outcome };
}

test("V1 V14: outcomes hear of their sets in order, once the sync has returned and all are visible", async () => {
  const rig = await Rig.open();
  const { store } = rig;
  const gate = new Gate();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? gate.fault : undefined;
  const heard: unknown[] = [];
  for (const name of ["a", "b", "c"]) {
    store.submitSet(
      bytes(name),
      bytes("1"),
      never,
      {},
      {
        resolve: () => heard.push([name, store.exists(bytes("c")) !== undefined]),
        reject: (error) => heard.push(error),
      },
    );
  }
  await rig.settle();
  assert.equal(gate.held, 1);
  assert.deepEqual(heard, []);
  assert.equal(store.exists(bytes("a")), undefined);
  gate.open();
  await rig.settle();
  assert.deepEqual(heard, [
    ["a", true],
    ["b", true],
    ["c", true],
  ]);
  await store.close();
});

test("V10: after a failed sync an outcome hears an error, and one that comes later does so at once", async () => {
  const rig = await Rig.open();
  rig.injector = ({ op, path }) =>
    op === "syncData" && segmentFiles.test(path) ? { kind: "error", code: "EIO" } : undefined;
  const first = listener();
  rig.store.submitSet(bytes("a"), bytes("1"), never, {}, first.outcome);
  await rig.settle();
  assert.deepEqual(first.heard, ["SYNC_FAILED"]);
  const second = listener();
  rig.store.submitSet(bytes("b"), bytes("1"), never, {}, second.outcome);
  assert.deepEqual(second.heard, ["STORE_READ_ONLY"]);
});

test("what is wrong with a request is thrown, and its outcome hears nothing", async () => {
  const rig = await Rig.open();
  const { heard, outcome } = listener();
  assert.throws(() => rig.store.submitSet(bytes(""), bytes("1"), never, {}, outcome), {
    reason: "KEY_EMPTY",
  });
  await rig.settle();
  assert.deepEqual(heard, []);
  await rig.store.close();
});
