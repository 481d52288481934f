/**
 * A manifest that is older than the segments beside it, as it is when somebody
 * puts back a copy: it knows nothing of what was written since, so it is not
 * believed.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { openStore } from "../../src/engine/open-store.js";
import { repairStore } from "../../src/engine/repair.js";
import {
  fileOf,
  hostOf,
  imageOf,
  manifestPath,
  type StoreImage,
  segmentDir,
  withFile,
} from "../support/store-image.js";
import {
  buildStore,
  openImage,
  put,
  refusalOf,
  smallStore,
  stateOf,
} from "../support/store-life.js";
import { check, kindsOf } from "../support/verify-image.js";

const previousPath = "/store/MANIFEST.prev";
const keys = ["a", "b", "c", "d", "e", "f", "g", "h"];

/** A store that was killed, and its manifest as it was before the last segment was begun. */
async function withOutdated(): Promise<{ image: StoreImage; outdated: StoreImage }> {
  const { image } = await buildStore(async (store) => {
    for (const key of keys) await put(store, key, `old ${key}`.padEnd(40, "."));
    for (const key of keys) await put(store, key, `new ${key}`.padEnd(40, "."));
  }, "killed");
  return { image, outdated: withFile(image, manifestPath, fileOf(image, previousPath)) };
}

test("V13 V5: a manifest that is older than a segment of the store is refused, and nothing changes", async () => {
  const { outdated } = await withOutdated();
  const { error, host } = await refusalOf(outdated);
  assert.equal(error.reason, "MANIFEST_DAMAGED");
  assert.match(error.message, /older than .*\.seg/);
  assert.deepEqual(imageOf(host.files), outdated);
});

test("V13: the check tells of a manifest that is older than the segments, and checks them all", async () => {
  const { image, outdated } = await withOutdated();
  const report = await check(outdated);
  assert.deepEqual(kindsOf(report), ["MANIFEST_OUTDATED"]);
  assert.equal(report.segments, (await check(image)).segments);
});

test("V9 V16: a repair takes in what an outdated manifest does not name, and keeps the manifest", async () => {
  const { image, outdated } = await withOutdated();
  const host = hostOf(outdated);
  assert.equal((await repairStore(smallStore, host)).isRepaired, true);
  assert.ok(imageOf(host.files).has("/store/MANIFEST.damaged"));
  const store = await openStore(smallStore, host);
  const whole = await openImage(image);
  assert.deepEqual(await stateOf(store, keys), await stateOf(whole.store, keys));
  await store.close();
});

test("V9: a later segment without a frame of this store is none, and stays where it is", async () => {
  const { image } = await withOutdated();
  for (const bytes of [new Uint8Array(0), new Uint8Array(64), new Uint8Array(64).fill(1)]) {
    const path = `${segmentDir}/segment_00099_9000000000000000000.seg`;
    const { host, store } = await openImage(withFile(image, path, bytes));
    assert.deepEqual(store.stats().open.strayFiles, ["segment_00099_9000000000000000000.seg"]);
    await store.close();
    assert.ok(imageOf(host.files).has(path));
  }
});
