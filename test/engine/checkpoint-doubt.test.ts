/**
 * A checkpoint is believed only when it is whole and of this very close;
 * otherwise the store is as it would be without one. And one that cannot be
 * written costs nothing but itself.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { openStore } from "../../src/engine/open-store.js";
import { CheckpointHeadAt } from "../../src/format/checkpoint.js";
import { crc32 } from "../../src/format/checksum.js";
import {
  checkpointPath,
  checkpointTemporaryPath,
  closedImage,
  openChecked,
  recoveredFrom,
  withoutCheckpoint,
} from "../support/checkpoint-life.js";
import { type Fault, FaultyFileSystem, injectFault } from "../support/faulty-file-system.js";
import type { FileOperation } from "../support/file-operation.js";
import type { SimClock } from "../support/sim-clock.js";
import { SimRandom } from "../support/sim-random.js";
import {
  fileOf,
  flipped,
  hostOf,
  imageOf,
  manifestOf,
  type StoreImage,
  segmentPathOf,
  withFile,
  withManifest,
  withoutHints,
} from "../support/store-image.js";
import { buildStore, bytesOf, put, smallStore, stateOf } from "../support/store-life.js";

type Recovered = Awaited<ReturnType<typeof recoveredFrom>>;

const CHANGES = 150;

async function judgeDoubt(
  image: StoreImage,
  clock: SimClock,
  plain: Recovered["state"],
  where: string,
): Promise<void> {
  const found = await recoveredFrom(image, clock);
  assert.ok(!found.fromCheckpoint, where);
  assert.deepEqual(found.state, plain, where);
}

test("R7: a checkpoint that is cut, longer than it was, or has a flipped bit is as good as none", async () => {
  const { image, clock } = await closedImage(new SimRandom(21), 50);
  const plain = (await recoveredFrom(withoutCheckpoint(image), clock)).state;
  const whole = fileOf(image, checkpointPath);
  const random = new SimRandom(22);
  // The front in small steps, the pages, which are mostly zeros, here and there.
  const places = [0, 1, 55, 56, 57, whole.length - 1];
  while (places.length < CHANGES) {
    places.push(random.below(places.length % 2 === 0 ? 4_000 : whole.length));
  }
  for (const place of places) {
    const cut = withFile(image, checkpointPath, whole.slice(0, place));
    await judgeDoubt(cut, clock, plain, `cut at ${place}`);
    const bit = place * 8 + random.below(8);
    const rotten = withFile(image, checkpointPath, flipped(whole, bit));
    await judgeDoubt(rotten, clock, plain, `bit ${bit}`);
  }
  const long = withFile(image, checkpointPath, Buffer.concat([whole, Uint8Array.of(0)]));
  await judgeDoubt(long, clock, plain, "a byte longer");
  assert.ok((await recoveredFrom(image, clock)).fromCheckpoint);
});

test("I8 R7: the checkpoint of another store, or of an earlier close, is ignored", async () => {
  const { image, clock } = await closedImage(new SimRandom(23), 50);
  const host = hostOf(image, clock);
  const store = await openChecked(host);
  await put(store, "key1", "later");
  await store.delete(bytesOf("key2"));
  await store.close();
  const later = imageOf(host.files);
  const plain = (await recoveredFrom(withoutCheckpoint(later), clock)).state;
  const earlier = fileOf(image, checkpointPath);
  await judgeDoubt(withFile(later, checkpointPath, earlier), clock, plain, "an earlier close");
  // Also where the manifest would name it: its segments are others.
  const named = withManifest(withFile(later, checkpointPath, earlier), (draft) => {
    if (draft.clean !== undefined) draft.clean.checkpointChecksum = crc32(earlier);
  });
  await judgeDoubt(named, clock, plain, "an earlier close, named");
  const foreign = patched(later, (bytes) => {
    bytes[CheckpointHeadAt.STORE_ID]! ^= 1;
  });
  await judgeDoubt(foreign, clock, plain, "another store");
});

test("R7 V9: a checkpoint of another format version or byte order is ignored", async () => {
  const { image, clock } = await closedImage(new SimRandom(24), 50);
  const plain = (await recoveredFrom(withoutCheckpoint(image), clock)).state;
  const newer = patched(image, (bytes) => {
    bytes[CheckpointHeadAt.FORMAT_VERSION]! += 1;
  });
  await judgeDoubt(newer, clock, plain, "newer");
  const other = patched(image, (bytes) => {
    bytes.subarray(CheckpointHeadAt.BYTE_ORDER, CheckpointHeadAt.STORE_ID).reverse();
  });
  await judgeDoubt(other, clock, plain, "another byte order");
  const same = patched(image, () => undefined);
  assert.ok((await recoveredFrom(same, clock)).fromCheckpoint);
});

/** The image with the checkpoint's head changed, and every checksum made right again. */
function patched(image: StoreImage, change: (bytes: Uint8Array) => void): StoreImage {
  const bytes = fileOf(image, checkpointPath).slice();
  change(bytes);
  const head = bytes.subarray(0, CheckpointHeadAt.CRC);
  new DataView(bytes.buffer).setUint32(CheckpointHeadAt.CRC, crc32(head), true);
  return withManifest(withFile(image, checkpointPath, bytes), (draft) => {
    assert.ok(draft.clean);
    draft.clean.checkpointChecksum = crc32(bytes);
  });
}

test("R7: a checkpoint that the disk cannot read is ignored", async () => {
  const { image, clock } = await closedImage(new SimRandom(25), 50);
  const eio: Fault = { kind: "error", code: "EIO" };
  for (const target of [{ op: "open" }, { op: "read", nth: 0 }, { op: "read", nth: 5 }] as const) {
    const host = hostOf(image, clock);
    const path = /CHECKPOINT$/;
    const files = new FaultyFileSystem(host.files, injectFault(eio, { ...target, path }));
    const store = await openStore(smallStore, { ...host, files }, { checkpointKeysMin: 0 });
    assert.equal(store.stats().open.fromCheckpoint, false);
    assert.ok(store.stats().keys > 0);
    await store.close();
  }
});

test("D5 D6: a checkpoint that cannot be written leaves a clean close and nothing else", async () => {
  const operations: readonly FileOperation[] = ["create", "write", "syncData", "rename"];
  for (const op of operations) {
    for (const code of ["ENOSPC", "EIO"]) {
      const { image, clock } = await closedImage(new SimRandom(26), 50);
      const host = hostOf(image, clock);
      const path = /CHECKPOINT\.tmp$/;
      const files = new FaultyFileSystem(
        host.files,
        injectFault({ kind: "error", code }, { op, path }),
      );
      const store = await openStore(smallStore, { ...host, files }, { checkpointKeysMin: 0 });
      await put(store, "key1", "after all");
      await store.close();
      const closed = imageOf(host.files);
      const where = `${op} ${code}`;
      assert.ok(!closed.has(checkpointPath) && !closed.has(checkpointTemporaryPath), where);
      const { clean } = manifestOf(closed);
      assert.ok(clean !== undefined && clean.checkpointChecksum === undefined, where);
      const next = await openChecked(hostOf(closed, clock));
      assert.equal(next.stats().open.wasClean, true, where);
      assert.deepEqual(await stateOf(next, ["key1"]), { key1: "after all" }, where);
      await next.close();
    }
  }
});

test("D6: a checkpoint that would take what is kept free of the disk is not written, and writes go on", async () => {
  const { image, clock } = await closedImage(new SimRandom(26), 50);
  const host = hostOf(image, clock);
  const options = { ...smallStore, diskReserveBytes: 16 * 1024 * 1024 };
  const store = await openStore(options, host, { checkpointKeysMin: 0 });
  await put(store, "key1", "after all");
  const { files } = host;
  files.capacityBytes += options.diskReserveBytes + 65_536 - files.freeBytes("/store");
  await store.close();
  assert.ok(!imageOf(files).has(checkpointPath));
  const next = await openStore(options, host, { checkpointKeysMin: 0 });
  await put(next, "key1", "and on");
  await next.close();
});

test("D6: an outdated checkpoint that cannot be removed stops no write, and does not count later", async () => {
  const { image, clock } = await closedImage(new SimRandom(28), 30);
  const host = hostOf(image, clock);
  const fault = injectFault({ kind: "error", code: "EIO" }, { op: "remove", path: /CHECKPOINT$/ });
  const files = new FaultyFileSystem(host.files, fault);
  const store = await openStore(smallStore, { ...host, files }, { checkpointKeysMin: 0 });
  await put(store, "key1", "after all");
  assert.equal(fault.seen, 1);
  const killed = imageOf(host.files);
  assert.ok(killed.has(checkpointPath));
  const plain = (await recoveredFrom(withoutCheckpoint(killed), clock)).state;
  await judgeDoubt(killed, clock, plain, "left behind");
  await store.close();
});

test("R9 V9: the checkpoint's files are no strays", async () => {
  const { image, clock } = await closedImage(new SimRandom(27), 30);
  const abandoned = withFile(image, checkpointTemporaryPath, bytesOf("half a checkpoint"));
  const host = hostOf(abandoned, clock);
  const store = await openChecked(host);
  assert.deepEqual(store.stats().open.strayFiles, []);
  await put(store, "key1", "1");
  await store.close();
  const closed = imageOf(host.files);
  assert.ok(closed.has(checkpointPath) && !closed.has(checkpointTemporaryPath));
});

test("V1 V13 I8: an index that lacks what the disk refused to read is not kept for the next opening", async () => {
  const keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const built = await buildStore(async (store) => {
    for (const value of ["old", "new"]) {
      for (const key of keys) await put(store, key, value.padEnd(40, "."));
    }
  }, "killed");
  const host = hostOf(withoutHints(built.image), built.clock);
  const refused = built.sealed.at(-1);
  assert.ok(refused);
  const isRefused = ({ op, path }: { op: FileOperation; path: string }): Fault | undefined =>
    op === "read" && path === segmentPathOf(refused) ? { kind: "error", code: "EIO" } : undefined;
  const files = new FaultyFileSystem(host.files, isRefused);
  const store = await openStore(smallStore, { ...host, files }, { checkpointKeysMin: 0 });
  assert.ok(store.stats().condition.degraded);
  await put(store, "z", "1");
  await store.close();
  const again = await openStore(smallStore, host, { checkpointKeysMin: 0 });
  const expected = Object.fromEntries(keys.map((key) => [key, "new".padEnd(40, ".")]));
  assert.deepEqual(await stateOf(again, keys), expected);
  await again.close();
});
