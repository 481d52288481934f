/** That faults come where they were asked for, and do there what they say. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { File } from "../../src/host/file-system.js";
import {
  type Fault,
  FaultyFileSystem,
  flipBitAtRest,
  injectFault,
} from "../support/faulty-file-system.js";
import { patternBytes, rejectsWith, throwsWith } from "../support/file-contract.js";
import { describeFileSystem } from "../support/file-system-contract.js";
import { SimFileSystem } from "../support/sim-file-system.js";

describeFileSystem("FaultyFileSystem without a fault", async () => {
  const files = new FaultyFileSystem(new SimFileSystem());
  await files.makeDirectory("/data/kvix");
  return { files, root: "/data/kvix", dispose: async () => undefined };
});

let inner: SimFileSystem;
let files: FaultyFileSystem;
let file: File;
beforeEach(async () => {
  inner = new SimFileSystem();
  files = new FaultyFileSystem(inner);
  await files.makeDirectory("/d");
  file = await files.open("/d/a", "create");
  await file.write(patternBytes(100), 0);
});

async function contentOf(path: string): Promise<Uint8Array> {
  const reader = await inner.open(path, "read");
  const bytes = new Uint8Array(await reader.size());
  await reader.read(bytes, 0);
  return bytes;
}

const refusal: Fault = { kind: "error", code: "EIO" };

describe("an injected fault", () => {
  it("hits the n-th operation that matches, once", async () => {
    files.injector = injectFault(refusal, { op: "write", nth: 2 });
    file.writeSync(Uint8Array.of(1), 0);
    await file.syncData();
    await file.write(Uint8Array.of(1), 1);
    throwsWith("EIO", () => file.writeSync(Uint8Array.of(1), 2));
    await file.write(Uint8Array.of(1), 3);
    const expected = patternBytes(100);
    expected.set([1, 1], 0);
    expected.set([1], 3);
    assert.deepEqual(await contentOf("/d/a"), expected);
  });

  it("hits all that come after too, if it is sticky", async () => {
    const injector = injectFault(
      { kind: "error", code: "ENOSPC" },
      { op: "write", nth: 1, sticky: true },
    );
    files.injector = injector;
    await file.write(Uint8Array.of(1), 0);
    await rejectsWith("ENOSPC", file.write(Uint8Array.of(1), 0));
    await rejectsWith("ENOSPC", file.write(Uint8Array.of(1), 0));
    assert.equal(injector.seen, 3);
    files.injector = undefined;
    await file.write(Uint8Array.of(1), 0);
  });

  it("hits a path, also as the target of a rename, and several kinds of operation", async () => {
    files.injector = injectFault(refusal, {
      op: ["rename", "remove"],
      path: /MANIFEST$/,
      sticky: true,
    });
    await rejectsWith("EIO", files.rename("/d/a", "/d/MANIFEST"));
    await files.rename("/d/a", "/d/b");
    await (await files.open("/d/MANIFEST", "create")).close();
    await rejectsWith("EIO", files.remove("/d/MANIFEST"));
    await files.remove("/d/b");
  });

  it("of every kind of operation leaves the disk as it was", async () => {
    await (await files.open("/d/b", "create")).close();
    const lock = await files.lock("/d/LOCK");
    const before = await inner.list("/d");
    files.injector = () => ({ kind: "error", code: "EMFILE" });
    await rejectsWith("EMFILE", files.open("/d/c", "create"));
    await rejectsWith("EMFILE", files.open("/d/a", "read"));
    await rejectsWith("EMFILE", files.list("/d"));
    await rejectsWith("EMFILE", files.makeDirectory("/d/e"));
    await rejectsWith("EMFILE", files.rename("/d/a", "/d/c"));
    await rejectsWith("EMFILE", files.link("/d/a", "/d/c"));
    await rejectsWith("EMFILE", files.remove("/d/a"));
    await rejectsWith("EMFILE", files.syncDirectory("/d"));
    await rejectsWith("EMFILE", files.lock("/d/OTHER"));
    throwsWith("EMFILE", () => files.freeBytes("/d"));
    await rejectsWith("EMFILE", file.size());
    await rejectsWith("EMFILE", file.read(new Uint8Array(1), 0));
    throwsWith("EMFILE", () => file.readSync(new Uint8Array(1), 0));
    await rejectsWith("EMFILE", file.write(new Uint8Array(1), 0));
    throwsWith("EMFILE", () => file.writeSync(new Uint8Array(1), 0));
    await rejectsWith("EMFILE", file.truncate(0));
    await rejectsWith("EMFILE", file.syncData());
    assert.deepEqual(await inner.list("/d"), before);
    assert.deepEqual(await contentOf("/d/a"), patternBytes(100));
    const lost = inner.kill().crash({ bytes: "lost", names: "kept" }, 1);
    assert.equal(await (await lost.open("/d/a", "read")).size(), 0);
    assert.ok(lock !== undefined);
  });

  it("counts changing operations and others apart", async () => {
    const [mutations, readings] = [files.mutations, files.readings];
    const seen: string[] = [];
    files.injector = (facts) => {
      seen.push(`${facts.op} ${facts.index} ${facts.position} ${facts.lengthBytes}`);
      return undefined;
    };
    await file.read(new Uint8Array(7), 3);
    await file.write(new Uint8Array(5), 9);
    await file.truncate(2);
    assert.deepEqual(seen, [
      `read ${readings} 3 7`,
      `write ${mutations} 9 5`,
      `truncate ${mutations + 1} 2 undefined`,
    ]);
  });

  it("can come after the operation was done: refused, yet there", async () => {
    files.injector = () => ({ kind: "error", code: "EIO", done: true });
    await rejectsWith("EIO", files.rename("/d/a", "/d/b"));
    await rejectsWith("EIO", file.write(Uint8Array.of(9), 0));
    throwsWith("EIO", () => file.writeSync(Uint8Array.of(8), 1));
    await rejectsWith("EIO", files.open("/d/c", "create"));
    await rejectsWith("EIO", files.lock("/d/LOCK"));
    assert.deepEqual((await contentOf("/d/b")).subarray(0, 2), Uint8Array.of(9, 8));
    assert.equal((await contentOf("/d/c")).length, 0);
    assert.ok((await inner.lock("/d/LOCK")) !== undefined, "the lock was given back");
  });

  it("closes and releases all the same, and says so once", async () => {
    const lock = await files.lock("/d/LOCK");
    files.injector = injectFault(refusal, { op: ["close", "release"], sticky: true });
    await rejectsWith("EIO", file.close());
    await rejectsWith("EIO", file.close());
    await rejectsWith("EIO", lock?.release() ?? Promise.resolve());
    files.injector = undefined;
    await rejectsWith("EBADF", file.size());
    assert.ok((await files.lock("/d/LOCK")) !== undefined);
  });

  it("writes a part and then fails, both ways; reads a part and is silent", async () => {
    files.injector = () => ({ kind: "short", lengthBytes: 3, code: "ENOSPC" });
    await rejectsWith("ENOSPC", file.write(new Uint8Array(10).fill(7), 0));
    throwsWith("ENOSPC", () => file.writeSync(new Uint8Array(10).fill(8), 10));
    const target = new Uint8Array(10);
    assert.equal(await file.read(target, 20), 3);
    assert.equal(file.readSync(target, 20), 3);
    const expected = patternBytes(100);
    expected.fill(7, 0, 3).fill(8, 10, 13);
    assert.deepEqual(await contentOf("/d/a"), expected);
    assert.deepEqual(target.subarray(3), new Uint8Array(7));
  });

  it("flips one bit of what is read, of nothing else", async () => {
    files.injector = () => ({ kind: "flip", bit: 19 });
    for (const isAsync of [true, false]) {
      const target = new Uint8Array(10);
      const count = isAsync ? await file.read(target, 5) : file.readSync(target, 5);
      assert.equal(count, 10);
      const expected = patternBytes(100).slice(5, 15);
      expected[2] = (expected[2] as number) ^ 8;
      assert.deepEqual(target, expected);
    }
    assert.deepEqual(await contentOf("/d/a"), patternBytes(100));
  });

  it("makes an operation wait for as long as the test wants", async () => {
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    files.injector = injectFault({ kind: "wait", until: () => gate }, { op: "syncData" });
    const mutations = inner.mutations;
    let isSynced = false;
    const syncing = file.syncData().then(() => {
      isSynced = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isSynced, false);
    assert.equal(inner.mutations, mutations);
    goOn();
    await syncing;
    assert.equal(isSynced, true);
  });

  it("that an operation cannot have is an error of the test", async () => {
    files.injector = () => ({ kind: "flip", bit: 0 });
    await assert.rejects(file.write(new Uint8Array(1), 0), TypeError);
    await assert.rejects(file.syncData(), TypeError);
    files.injector = () => ({ kind: "wait", until: () => Promise.resolve() });
    assert.throws(() => file.writeSync(new Uint8Array(1), 0), TypeError);
    assert.throws(() => file.readSync(new Uint8Array(1), 0), TypeError);
    assert.throws(() => files.freeBytes("/d"), TypeError);
  });
});

describe("a bit flipped at rest", () => {
  it("is flipped for every later reader, and after a power cut", async () => {
    await inner.syncDirectory("/d");
    await file.syncData();
    await flipBitAtRest(inner, "/d/a", 8 * 42 + 5);
    const expected = patternBytes(100);
    expected[42] = (expected[42] as number) ^ 32;
    assert.deepEqual(await contentOf("/d/a"), expected);
    const left = inner.crash({ bytes: "lost", names: "lost" }, 1);
    const bytes = new Uint8Array(100);
    await (await left.open("/d/a", "read")).read(bytes, 0);
    assert.deepEqual(bytes, expected);
  });

  it("must lie in the file", async () => {
    await assert.rejects(flipBitAtRest(inner, "/d/a", 800), RangeError);
  });
});
