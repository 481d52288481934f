/** The end of a log that an opening could not read, and so could not call torn: another can. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Mutation } from "../../src/engine/store.js";
import { injectFault } from "../support/faulty-file-system.js";
import { simHost } from "../support/sim-host.js";
import { bytes, Rig } from "../support/store-rig.js";

const requestId = bytes("a request of seconds ago");
const mutations: Mutation[] = [
  { kind: "delete", key: bytes("a") },
  { kind: "set", key: bytes("b"), value: bytes("y".repeat(100)), expiry: { kind: "never" } },
];

/**
 * A store whose opening could not read its log, of which the last `cutBytes` had never
 * been written: the end of a commit. The disk reads again now.
 */
async function illStore(cutBytes: number): Promise<Rig> {
  const rig = await Rig.open();
  await rig.set("a", "1");
  await rig.store.commit(mutations, { requestId });
  const [frame] = await rig.frames();
  const path = `/store/segments/${frame?.segment}`;
  const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
  const file = await sim.files.open(path, "write");
  await file.truncate((await file.size()) - cutBytes);
  await file.close();
  const refusal = { op: "read", path: new RegExp(`${frame?.segment}$`), sticky: true } as const;
  const fault = injectFault({ kind: "error", code: "EIO" }, refusal);
  const ill = await Rig.open(rig.options, sim, fault);
  assert.deepEqual(await ill.values("a", "b"), {});
  ill.injector = undefined;
  await ill.set("c", "1");
  await ill.store.hintsWritten();
  return ill;
}

test("B1 R1: of a commit that was cut short nothing is applied, though another opening could not read its end", async () => {
  const well = await (await illStore(40)).killed();
  assert.deepEqual(await well.values("a", "b", "c"), { a: "1", c: "1" });
  await well.store.hintsWritten();
  const again = await well.reopened();
  assert.deepEqual(await again.values("a", "b", "c"), { a: "1", c: "1" });
  assert.equal((await again.store.commit(mutations, { requestId })).repeated, false);
  await again.store.close();
});

test("V1 R3: what is whole in the end of a log counts, though another opening could not read it", async () => {
  const well = await (await illStore(0)).killed();
  assert.deepEqual(await well.values("a", "b", "c"), { b: "y".repeat(100), c: "1" });
  await well.store.hintsWritten();
  const again = await well.reopened();
  assert.deepEqual(await again.values("a", "b", "c"), { b: "y".repeat(100), c: "1" });
  assert.equal((await again.store.commit(mutations, { requestId })).repeated, true);
  await again.store.close();
});
