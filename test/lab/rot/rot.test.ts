/** The instrument can find what it is there for, and what it states of damage is stated of all of it. */
import { strict as assert } from "node:assert";
import { type TestContext, test } from "node:test";
import { DamageRegister } from "../../../src/engine/damage.js";
import { IndexLoader } from "../../../src/engine/index-loader.js";
import { LocalStore } from "../../../src/engine/local-store.js";
import { SimRandom } from "../../support/sim-random.js";
import { hostOf, withFile } from "../../support/store-image.js";
import { Damager, damageKinds, fileKinds, pathsOf } from "./damage.js";
import { RotTally } from "./instrument.js";
import { smallDamages } from "./rot-cases.js";
import { judgeCase } from "./rot-judge.js";
import { buildRotStores, type RotMode, type RotStore, rotModes, smallSize } from "./rot-store.js";
import { requireKept } from "./strange-files.js";
import { rotTable, statedFor, statements, verdicts } from "./verdicts.js";

const shallow = { isChecked: false, isLived: false };
const built = buildRotStores(new SimRandom(5), smallSize);

async function storeOf(mode: RotMode): Promise<RotStore> {
  const store = (await built).find((each) => each.mode === mode);
  assert.ok(store);
  return store;
}

/** Judges every `stride`th damage of a store in that mode. */
async function tallyOf(mode: RotMode, stride: number): Promise<RotTally> {
  const store = await storeOf(mode);
  const tally = new RotTally();
  let index = 0;
  for (const damage of smallDamages(store, new SimRandom(3))) {
    index += 1;
    if (index % stride !== 0) continue;
    await tally.judge(store, damage, { isChecked: index % 2 === 0, isLived: index % 5 === 0 });
  }
  return tally;
}

test("V13 R2 R3 R4 R7: some of all damages come to what is stated of them", async () => {
  for (const mode of rotModes) {
    const { counts, findings } = await tallyOf(mode, 997);
    assert.deepEqual(findings, []);
    assert.ok((counts["cases"] ?? 0) > 0, mode);
  }
});

test("a store that forgets what it found damaged is found", async (t: TestContext) => {
  t.mock.method(DamageRegister.prototype, "add", () => false);
  assert.ok((await tallyOf("bare", 997)).findings.length > 0);
});

test("a store that leaves out the keys of lost frames, and so shows older values, is found", async (t: TestContext) => {
  const load = IndexLoader.prototype.load;
  t.mock.method(
    IndexLoader.prototype,
    "load",
    function (this: IndexLoader, ...[segment, entry]: Parameters<typeof load>) {
      if (!entry.isLost) load.call(this, segment, entry);
    },
  );
  const { findings } = await tallyOf("bare", 299);
  assert.match(findings.join("\n"), /nothing tells that version/);
});

test("R7: a store that takes its index from a checkpoint that was changed is found", async (t: TestContext) => {
  const store = await storeOf("checkpoint");
  const path = "/store/CHECKPOINT";
  const flipped = new Damager(store).flip(path, 8 * 5000).apply(store.image);
  await judgeCase(store, flipped, shallow);
  const stats = LocalStore.prototype.stats;
  t.mock.method(LocalStore.prototype, "stats", function (this: LocalStore) {
    const told = stats.call(this);
    return { ...told, open: { ...told.open, fromCheckpoint: true } };
  });
  await judgeCase(store, store.image, shallow);
  await assert.rejects(judgeCase(store, flipped, shallow), /R7: the index is taken/);
});

test("R9: a file that is not the store's is found out when it is changed, taken away or made", async () => {
  const { image, strange } = await storeOf("bare");
  const [path = ""] = strange;
  const others = withFile(image, path, Uint8Array.of(1));
  requireKept(strange, image, hostOf(image), "it is not ours");
  for (const [before, after] of [
    [image, others],
    [image, withFile(image, path)],
    [withFile(image, path), image],
  ] as const) {
    const found = (): void => requireKept(strange, before, hostOf(after), "it is not ours");
    assert.throws(found, /was changed: it is not ours/);
  }
});

test("R10: a file of a later format is whole, and no file of this one", async () => {
  const store = await storeOf("bare");
  const damager = new Damager(store);
  const seen = new Set<string>();
  for (const path of pathsOf(store)) {
    for (const damage of damager.whole(path, new SimRandom(1))) {
      if (damage.kind !== "of a later format") continue;
      seen.add(damage.file);
      const { verdict } = await judgeCase(store, damage.apply(store.image), shallow);
      const isDecisive = !["manifest before", "checkpoint", "hint"].includes(damage.file);
      assert.equal(verdict, isDecisive ? "FORMAT_TOO_NEW" : "everything", damage.where);
    }
  }
  assert.ok(["sealed segment", "active segment", "manifest"].every((file) => seen.has(file)));
});

test("of every damage of every kind of file something is stated, in words that are explained", async () => {
  const seen = new Set<string>();
  for (const mode of rotModes) {
    const store = await storeOf(mode);
    for (const damage of smallDamages(store, new SimRandom(3))) {
      for (const verdict of statedFor(damage, mode)) assert.ok(verdict in verdicts);
      seen.add(damage.file).add(damage.kind);
    }
  }
  assert.deepEqual([...seen].sort(), [...fileKinds, ...damageKinds].sort());
  assert.equal(
    rotTable().filter((line) => line.startsWith("| ")).length,
    statements.length + Object.keys(verdicts).length + 2,
  );
});
