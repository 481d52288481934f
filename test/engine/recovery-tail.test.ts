/**
 * The end of the log after a crash and after a clean close: what is torn is cut,
 * what was synced stays, and an opening can fail and be tried again.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { openStore } from "../../src/engine/open-store.js";
import { isMutating, type OperationFacts } from "../support/file-operation.js";
import {
  fileOf,
  hostOf,
  imageOf,
  type StoreImage,
  segmentDir,
  segmentPathOf,
  withFile,
  withoutHints,
} from "../support/store-image.js";
import {
  type BuiltStore,
  buildStore,
  bytesOf,
  expectedState,
  openImage,
  put,
  recordsOf,
  richLife,
  smallStore,
  soundState,
  stateOf,
} from "../support/store-life.js";

function withTail(built: BuiltStore, tail: Uint8Array): StoreImage {
  const path = segmentPathOf(built.active);
  const bytes = fileOf(built.image, path);
  const longer = new Uint8Array(bytes.length + tail.length);
  longer.set(bytes);
  longer.set(tail, bytes.length);
  return withFile(built.image, path, longer);
}

test("R1 R6 B1 V8: cut at any byte, the active segment gives exactly the frames that are whole", async () => {
  const built = await buildStore(richLife, "killed");
  const path = segmentPathOf(built.active);
  const bytes = fileOf(built.image, path);
  for (let left = 0; left <= bytes.length; left += 1) {
    const image = withFile(built.image, path, bytes.subarray(0, left));
    const { host, store } = await openImage(image, {}, built.clock);
    const whole = recordsOf(
      built,
      (frame, listed) => listed !== built.active || frame.offset + frame.length <= left,
    );
    const expected = expectedState(built, whole);
    assert.deepEqual(await stateOf(store, built.keys), expected, `${left} bytes`);
    const { damage, open } = store.stats();
    assert.deepEqual(damage, [], `${left} bytes: a torn tail is no damage`);
    const kept = fileOf(imageOf(host.files), path);
    assert.equal(kept.length, left - open.tornBytesCut, `${left} bytes`);
    await put(store, "new", "1");
    await store.close();
    const again = await openImage(imageOf(host.files), {}, built.clock);
    assert.deepEqual(await stateOf(again.store, built.keys), expected, `${left} bytes, again`);
    assert.deepEqual(await stateOf(again.store, ["new"]), { new: "1" });
    await again.store.close();
  }
});

test("R5 R2: a tail of zeros or ones is the end of the log, whatever its length, and no flood of log lines", async () => {
  for (const end of ["closed", "killed"] as const) {
    const built = await buildStore(richLife, end);
    const expected = soundState(built);
    for (const length of [1, 17, 4096, 1024 * 1024]) {
      for (const fill of [0, 0xff]) {
        const where = `${length} bytes of ${fill} after the store was ${end}`;
        const image = withTail(built, new Uint8Array(length).fill(fill));
        const { host, store } = await openImage(image, { recovery: "strict" }, built.clock);
        assert.deepEqual(await stateOf(store, built.keys), expected, where);
        assert.equal(store.stats().open.tornBytesCut, length, where);
        assert.ok(host.log.lines.length <= 2, `${where}: ${host.log.lines.length} lines`);
        const path = segmentPathOf(built.active);
        const cut = fileOf(imageOf(host.files), path);
        assert.deepEqual(cut, fileOf(built.image, path), `${where}: cut to what was whole`);
        await store.close();
      }
    }
  }
});

test("R6: a length that cannot be asks for no more bytes than the file has", async () => {
  const built = await buildStore(richLife, "killed");
  for (const claim of [0xffffffff, 0x7fffffff, 134_217_728, 1000]) {
    const header = new Uint8Array(40);
    const view = new DataView(header.buffer);
    view.setUint32(4, claim, true);
    view.setUint8(8, 0x01);
    header.set([0x0a, 0x01, 0x61], 17);
    const image = withoutHints(withTail(built, header));
    const host = hostOf(image, built.clock);
    let largest = 0;
    host.files.onOperation = ({ op, lengthBytes = 0, path }: OperationFacts) => {
      if (op === "read" && path.endsWith(".seg")) largest = Math.max(largest, lengthBytes);
      return undefined;
    };
    const store = await openStore(smallStore, host);
    assert.ok(largest > 0 && largest <= 400, `${largest} bytes were asked for`);
    assert.deepEqual(await stateOf(store, built.keys), soundState(built));
    assert.equal(store.stats().open.tornBytesCut, header.length);
    await store.close();
  }
});

test("R8 V8: an opening that nothing was written in can be repeated, and finds and leaves the same", async () => {
  const built = await buildStore(richLife, "killed");
  const path = segmentPathOf(built.active);
  const bytes = fileOf(built.image, path);
  for (let left = 0; left < bytes.length; left += 9) {
    const torn = withFile(withoutHints(built.image), path, bytes.subarray(0, left));
    const first = await openImage(torn, {}, built.clock);
    const state = await stateOf(first.store, built.keys);
    const { version } = first.store;
    await first.store.hintsWritten();
    await first.store.close();
    const left1 = imageOf(first.host.files);
    const second = await openImage(left1, {}, built.clock);
    assert.deepEqual(await stateOf(second.store, built.keys), state);
    assert.equal(second.store.version, version);
    await second.store.close();
    assert.deepEqual(imageOf(second.host.files), left1);
  }
});

test("D5 R11: a close makes everything durable, and the opening after it changes nothing and is no recovery", async () => {
  const host = hostOf(new Map());
  const store = await openStore(smallStore, host);
  for (let index = 0; index < 12; index += 1) {
    const never = { kind: "never" } as const;
    await store.set(bytesOf(`k${index}`), bytesOf("1"), never, { durability: "buffered" });
  }
  await store.hintsWritten();
  await store.close();
  const files = host.files.crash({ bytes: "lost", names: "lost" }, 1);
  const image = imageOf(files);
  const next = hostOf(image, host.clock);
  const changed: string[] = [];
  next.files.onOperation = ({ op, path }) => {
    if (isMutating(op) && op !== "syncDirectory") changed.push(`${op} ${path}`);
    return undefined;
  };
  const again = await openStore(smallStore, next);
  const keys = Array.from({ length: 12 }, (_, index) => `k${index}`);
  assert.deepEqual(
    Object.values(await stateOf(again, keys)),
    keys.map(() => "1"),
  );
  const { open, damage } = again.stats();
  assert.equal(open.wasClean, true);
  assert.equal(open.bytesWrittenAgain, 0);
  assert.equal(open.segmentsFromHints, open.segments - 1);
  assert.deepEqual(damage, []);
  await again.close();
  assert.deepEqual(changed, []);
  assert.deepEqual(imageOf(next.files), image);
});

test("R11 R8 V4: an opening that fails at any file operation lets go of its locks, and the next one succeeds", async () => {
  for (const end of ["closed", "killed"] as const) {
    const built = await buildStore(richLife, end);
    const path = segmentPathOf(built.active);
    const image =
      end === "closed"
        ? built.image
        : withFile(built.image, path, fileOf(built.image, path).subarray(0, 200));
    const sound = await openImage(image, {}, built.clock);
    const state = await stateOf(sound.store, built.keys);
    let refused = 0;
    for (let at = 0; ; at += 1) {
      const host = hostOf(image, built.clock);
      let operations = 0;
      let failed = "";
      host.files.onOperation = ({ op, path: where }) => {
        if (op === "release" || op === "close" || operations++ !== at) return undefined;
        failed = `${op} ${where}`;
        return "fail";
      };
      const attempt = await openStore(smallStore, host).catch((error: unknown) => error);
      if (failed === "") break;
      if (attempt instanceof Error) {
        assert.ok(attempt instanceof KvixError, `${failed}: ${attempt.stack}`);
        assert.equal(attempt.reason, "OPEN_FAILED", failed);
        refused += 1;
      } else {
        await (attempt as Awaited<ReturnType<typeof openStore>>).close();
      }
      const store = await openStore(smallStore, host);
      assert.deepEqual(await stateOf(store, built.keys), state, failed);
      assert.deepEqual(store.stats().damage, [], failed);
      await store.close();
    }
    assert.ok(refused >= 10, `${refused} openings were refused`);
  }
});

test("R11 V3: an opening after a crash writes to the active segment alone", async () => {
  const built = await buildStore(richLife, "killed");
  const host = hostOf(built.image, built.clock);
  const written = new Set<string>();
  host.files.onOperation = ({ op, path }) => {
    if (isMutating(op) && op !== "syncDirectory") written.add(path);
    if (op === "syncDirectory" && path === segmentDir) written.add(path);
    return undefined;
  };
  const store = await openStore(smallStore, host);
  assert.deepEqual([...written].sort(), [segmentDir, segmentPathOf(built.active)]);
  await store.close();
});
