/** Deletes of what an opening could not read: they hold when another opening can. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Mutation } from "../../src/engine/store.js";
import { injectFault } from "../support/faulty-file-system.js";
import { simHost } from "../support/sim-host.js";
import { bytes, Rig } from "../support/store-rig.js";

const refusal = { op: "read", path: /_00002_.*seg$/, sticky: true } as const;

/** A store that cannot read the segment in which `k` is, after a kill. */
async function illStore(): Promise<Rig> {
  const rig = await Rig.open({ segmentBytesMax: 150 });
  await rig.set("filler", "x".repeat(150));
  await rig.set("fuller", "x".repeat(150));
  await rig.store.hintsWritten();
  await rig.set("k", "1");
  const sim = simHost({ seed: 2, files: rig.sim.files.kill(), clock: rig.sim.clock });
  const fault = injectFault({ kind: "error", code: "EIO" }, refusal);
  const ill = await Rig.open(rig.options, sim, fault);
  assert.equal(await ill.get("k"), undefined, "it cannot be read");
  return ill;
}

const deletes = {
  Delete: async ({ store }: Rig) => {
    const { applied, deleted, version } = await store.delete(bytes("k"), { durability: "sync" });
    assert.deepEqual({ applied, deleted, version }, { applied: true, deleted: false, version: 0 });
  },
  Commit: async ({ store }: Rig) => {
    const mutations: Mutation[] = [{ kind: "delete", key: bytes("k") }];
    const { results } = await store.commit(mutations);
    assert.deepEqual(
      results.map(({ found, version }) => [found, version]),
      [[false, 0]],
    );
  },
};

for (const [name, remove] of Object.entries(deletes)) {
  test(`V1 V13: what a ${name} removed does not come back when the disk can read it again`, async () => {
    const ill = await illStore();
    await remove(ill);
    const well = await ill.killed();
    assert.equal(await well.get("k"), undefined);
    await well.store.close();
  });
}

test("V1: a delete of what is not there appends nothing to a store that could read all", async () => {
  const rig = await Rig.open();
  await rig.set("a", "1");
  const { version } = rig.store;
  for (const remove of Object.values(deletes)) await remove(rig);
  assert.equal(rig.store.version, version);
  await rig.store.close();
});
