/** That files share descriptors within their bound, and never lose one that is in use. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import type { File } from "../../src/host/file-system.js";
import { NodeFileSystem } from "../../src/host/node-file-system.js";
import { FilePool } from "../../src/storage/file-pool.js";
import { FaultyFileSystem, type Injector, injectFault } from "../support/faulty-file-system.js";
import { patternBytes, rejectsWith, throwsWith } from "../support/file-contract.js";
import { describeFileSystem } from "../support/file-system-contract.js";
import { PooledFileSystem } from "../support/pooled-file-system.js";
import { SimFileSystem } from "../support/sim-file-system.js";
import { Gate, watch } from "../support/store-rig.js";

const scratch = mkdtempSync(join(tmpdir(), "kvix-pool-"));
after(() => rmSync(scratch, { recursive: true }));

describeFileSystem("A pool over NodeFileSystem", async () => ({
  files: new PooledFileSystem(new NodeFileSystem(), 16),
  root: mkdtempSync(join(scratch, "contract-")),
  dispose: async () => undefined,
}));

const names = ["a", "b", "c", "d", "e", "f"];
const bytesOf = (name: string): Uint8Array => patternBytes(40, names.indexOf(name) * 1000);

/** Lets every operation come to rest that is not held back. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let files: FaultyFileSystem;
let injector: Injector | undefined;
/** "+a" for a descriptor of a that was opened, "-a" for one that was closed. */
let trace: string[];
beforeEach(async () => {
  files = new FaultyFileSystem(new SimFileSystem());
  await files.makeDirectory("/d");
  for (const name of names) {
    const file = await files.open(`/d/${name}`, "create");
    await file.write(bytesOf(name), 0);
    await file.close();
  }
  trace = [];
  injector = undefined;
  files.injector = (operation) => {
    const name = operation.path.slice("/d/".length);
    if (operation.op === "open" || operation.op === "create") trace.push(`+${name}`);
    if (operation.op === "close") trace.push(`-${name}`);
    return injector?.(operation);
  };
});

/** Files of a pool by their names. */
function poolOf(openFilesMax: number): { pool: FilePool; file: (name: string) => File } {
  const pool = new FilePool(files, openFilesMax);
  const opened = new Map<string, File>();
  const file = (name: string): File => {
    const known = opened.get(name) ?? pool.file(`/d/${name}`);
    opened.set(name, known);
    return known;
  };
  return { pool, file };
}

function checkSync(file: File): void {
  const target = new Uint8Array(40);
  assert.equal(file.readSync(target, 0), 40);
  assert.deepEqual(target, bytesOf(file.path.slice(-1)));
}

async function check(file: File): Promise<void> {
  const target = new Uint8Array(40);
  assert.equal(await file.read(target, 0), 40);
  assert.deepEqual(target, bytesOf(file.path.slice(-1)));
}

/** Holds back every read of a file. */
function holdReads(name: string): Gate {
  const gate = new Gate();
  const before = injector;
  injector = (operation) => {
    if (operation.op === "read" && operation.path === `/d/${name}`) return gate.fault;
    return before?.(operation);
  };
  return gate;
}

describe("a file of a pool", () => {
  for (const kind of ["synchronously", "asynchronously"] as const) {
    const read = async (file: File): Promise<void> =>
      kind === "synchronously" ? checkSync(file) : check(file);

    it(`is opened when it is first read, ${kind}, and stays open while there is room (M11)`, async () => {
      const { pool, file } = poolOf(3);
      file("a");
      assert.deepEqual([trace, pool.openFiles], [[], 0]);
      await read(file("a"));
      await read(file("a"));
      await read(file("b"));
      assert.deepEqual([trace, pool.openFiles], [["+a", "+b"], 2]);
    });

    it(`that was read longest ago is closed for the next, ${kind} (M11)`, async () => {
      const { pool, file } = poolOf(3);
      for (const name of ["a", "b", "c", "a", "d", "a", "c", "e", "b"]) await read(file(name));
      assert.deepEqual(trace, ["+a", "+b", "+c", "-b", "+d", "-d", "+e", "-a", "+b"]);
      assert.equal(pool.openFiles, 3);
    });
  }

  it("keeps its descriptor while it is read, whatever else is opened (M11)", async () => {
    const { pool, file } = poolOf(2);
    const gate = holdReads("a");
    const reading = check(file("a"));
    await settle();
    for (const name of ["b", "c", "d"]) await check(file(name));
    assert.deepEqual(trace, ["+a", "+b", "-b", "+c", "-c", "+d"]);
    gate.open();
    await reading;
    await check(file("e"));
    assert.deepEqual(trace.slice(6), ["-d", "+e"]);
    assert.equal(pool.openFiles, 2);
  });

  it("that is read on the event loop as well meanwhile is still in use (M11)", async () => {
    const { pool, file } = poolOf(2);
    const gate = holdReads("a");
    const reading = check(file("a"));
    await settle();
    await check(file("b"));
    injector = undefined;
    checkSync(file("a"));
    for (const name of ["c", "d"]) await check(file(name));
    assert.deepEqual(trace, ["+a", "+b", "-b", "+c", "-c", "+d"]);
    gate.open();
    await reading;
    assert.equal(pool.openFiles, 2);
  });

  it("is opened once for all reads that come meanwhile", async () => {
    const { pool, file } = poolOf(2);
    const gate = new Gate();
    injector = (operation) => (operation.op === "open" ? gate.fault : undefined);
    const reads = Array.from({ length: 5 }, () => check(file("a")));
    await settle();
    injector = undefined;
    checkSync(file("a"));
    assert.deepEqual(trace, ["+a", "+a", "-a"]);
    gate.open();
    await Promise.all(reads);
    assert.deepEqual([trace.length, pool.openFiles], [3, 1]);
  });

  it("tells its size, and takes no write", async () => {
    const { file } = poolOf(1);
    assert.equal(await file("a").size(), 40);
    throwsWith("EBADF", () => file("a").writeSync(Uint8Array.of(1), 0));
    await rejectsWith("EBADF", file("a").write(Uint8Array.of(1), 0));
    await rejectsWith("EBADF", file("a").syncData());
    await rejectsWith("EINVAL", file("a").truncate(1));
    await check(file("a"));
  });

  it("that is missing is told when it is opened, by each way", async () => {
    const { pool, file } = poolOf(1);
    await rejectsWith("ENOENT", pool.open("/d/none"));
    await rejectsWith("ENOENT", file("none").read(new Uint8Array(1), 0));
    throwsWith("ENOENT", () => file("none").readSync(new Uint8Array(1), 0));
    assert.equal(pool.openFiles, 0);
    await check(await pool.open("/d/a"));
  });
});

describe("a pool whose files are all in use", () => {
  it("opens one more for a synchronous read alone, and lets the others wait (V11, M11)", async () => {
    const { pool, file } = poolOf(2);
    const gates = [holdReads("a"), holdReads("b")];
    const held = [check(file("a")), check(file("b"))];
    await settle();
    checkSync(file("c"));
    checkSync(file("c"));
    assert.deepEqual(trace, ["+a", "+b", "+c", "-c", "+c", "-c"]);
    const waiting = watch(check(file("d")));
    await settle();
    assert.deepEqual([waiting.state, pool.openFiles, trace.length], ["pending", 2, 6]);
    gates[1]?.open();
    await settle();
    await settle();
    assert.equal(waiting.state, "resolved");
    assert.deepEqual(trace.slice(6), ["-b", "+d"]);
    gates[0]?.open();
    await Promise.all(held);
  });

  it("serves those that wait in order, so that a file that is always read keeps no place for ever (M11)", async () => {
    const { pool, file } = poolOf(1);
    const gate = holdReads("a");
    const first = check(file("a"));
    await settle();
    const order: string[] = [];
    const note = (name: string): Promise<unknown> => check(file(name)).then(() => order.push(name));
    const others = [note("b"), note("a"), note("c"), note("a")];
    await settle();
    assert.deepEqual([order, trace], [[], ["+a"]]);
    gate.open();
    await Promise.all([first, ...others]);
    assert.deepEqual(order, ["b", "a", "c", "a"]);
    assert.deepEqual(trace, ["+a", "-a", "+b", "-b", "+a", "-a", "+c", "-c", "+a"]);
    assert.equal(pool.openFiles, 1);
  });

  it("lets the next one go when an opening fails", async () => {
    const { pool, file } = poolOf(1);
    injector = injectFault({ kind: "error", code: "EIO" }, { op: "open" });
    const failing = rejectsWith("EIO", file("a").read(new Uint8Array(1), 0));
    await Promise.all([failing, check(file("b")), check(file("c"))]);
    assert.equal(pool.openFiles, 1);
    await check(file("d"));
    assert.deepEqual(trace, ["+a", "+b", "-b", "+c", "-c", "+d"]);
  });
});

describe("a pool that gets no descriptor from the system", () => {
  const refusal = { kind: "error", code: "EMFILE" } as const;
  const reads: Readonly<Record<string, (file: File) => Promise<void>>> = {
    synchronously: async (file) => checkSync(file),
    asynchronously: check,
  };

  for (const [kind, read] of Object.entries(reads)) {
    it(`gives back half of what it does not use, and tries once more, ${kind} (M11)`, async () => {
      for (const code of ["EMFILE", "ENFILE"]) {
        const { pool, file } = poolOf(10);
        for (const name of ["a", "b", "c", "d"]) await read(file(name));
        trace.length = 0;
        injector = injectFault({ kind: "error", code }, { op: "open" });
        await read(file("e"));
        assert.deepEqual(trace, ["+e", "-a", "-b", "+e"]);
        assert.equal(pool.openFiles, 3);
      }
    });

    it(`gives nothing back for another failure, ${kind} (M11)`, async () => {
      const { pool, file } = poolOf(10);
      for (const name of ["a", "b", "c"]) await read(file(name));
      trace.length = 0;
      injector = injectFault({ kind: "error", code: "EIO" }, { op: "open" });
      await assert.rejects(read(file("d")), { code: "EIO" });
      assert.deepEqual([trace, pool.openFiles], [["+d"], 3]);
    });

    it(`fails that read alone with the system's word, ${kind} (M11)`, async () => {
      const { pool, file } = poolOf(10);
      for (const name of ["a", "b"]) await read(file(name));
      injector = injectFault(refusal, { op: "open", sticky: true });
      await assert.rejects(read(file("e")), { code: "EMFILE" });
      await read(file("b"));
      injector = undefined;
      await read(file("e"));
      assert.equal(pool.openFiles, 2);
    });
  }
});

describe("a file of a pool that is closed", () => {
  it("gives its descriptor back, and cannot be read again (M11)", async () => {
    const { pool, file } = poolOf(2);
    await check(file("a"));
    await Promise.all([file("a").close(), file("a").close()]);
    await file("a").close();
    file("a").closeSync();
    file("b").closeSync();
    assert.deepEqual([trace, pool.openFiles], [["+a", "-a"], 0]);
    for (const name of ["a", "b"]) {
      throwsWith("EBADF", () => file(name).readSync(new Uint8Array(1), 0));
      await rejectsWith("EBADF", file(name).read(new Uint8Array(1), 0));
      await rejectsWith("EBADF", file(name).size());
    }
    assert.deepEqual(trace, ["+a", "-a"]);
  });

  it("is closed after the reads under way and those that wait, which succeed (M10, M11)", async () => {
    const { pool, file } = poolOf(1);
    const gate = holdReads("a");
    const reading = check(file("a"));
    await settle();
    const waiting = check(file("b"));
    const other = check(file("c"));
    throwsWith("EBUSY", () => file("c").closeSync());
    const closing = ["a", "b"].map((name) => watch(file(name).close()));
    await settle();
    assert.deepEqual(
      closing.map(({ state }) => state),
      ["pending", "pending"],
    );
    throwsWith("EBADF", () => checkSync(file("a")));
    gate.open();
    await Promise.all([reading, waiting, other]);
    await settle();
    assert.deepEqual(
      closing.map(({ state }) => state),
      ["resolved", "resolved"],
    );
    file("c").closeSync();
    assert.deepEqual([trace, pool.openFiles], [["+a", "-a", "+b", "-b", "+c", "-c"], 0]);
  });

  it("is closed after all of the reads under way, not after the first (M10, M11)", async () => {
    const { file } = poolOf(1);
    const gates = [new Gate(), new Gate()];
    let reads = 0;
    injector = ({ op }) => (op === "read" ? gates[reads++]?.fault : undefined);
    const reading = [check(file("a")), check(file("a"))];
    await settle();
    const closing = watch(file("a").close());
    gates[0]?.open();
    await reading[0];
    await settle();
    assert.deepEqual([closing.state, trace], ["pending", ["+a"]]);
    gates[1]?.open();
    await Promise.all(reading);
    await settle();
    assert.deepEqual([closing.state, trace], ["resolved", ["+a", "-a"]]);
  });

  it("is out of the pool's hands although its close failed", async () => {
    const { pool, file } = poolOf(1);
    await check(file("a"));
    injector = injectFault({ kind: "error", code: "EIO" }, { op: "close", sticky: true });
    await rejectsWith("EIO", file("a").close());
    assert.equal(pool.openFiles, 0);
    await check(file("b"));
    await check(file("c"));
    assert.equal(pool.openFiles, 1);
  });
});

describe("a file that is written", () => {
  it("keeps the descriptor it came with until it is sealed, beside the bound (M11)", async () => {
    const { pool, file } = poolOf(1);
    const written = pool.adopt(await files.open("/d/w", "create"));
    written.writeSync(Uint8Array.of(1, 2, 3), 0);
    for (const name of ["a", "b", "c"]) await check(file(name));
    await written.write(Uint8Array.of(4), 3);
    await written.syncData();
    assert.equal(pool.openFiles, 2);
    assert.ok(!trace.includes("-w"));
    pool.seal(written);
    assert.equal(pool.openFiles, 1);
    assert.deepEqual(trace.slice(-1), ["-c"]);
    throwsWith("EBADF", () => written.writeSync(Uint8Array.of(9), 0));
    await check(file("a"));
    assert.deepEqual(trace.slice(-2), ["-w", "+a"]);
    const target = new Uint8Array(4);
    assert.equal(await written.read(target, 0), 4);
    assert.deepEqual(target, Uint8Array.of(1, 2, 3, 4));
  });

  it("that is read while it is sealed is read to the end (M11)", async () => {
    const { pool, file } = poolOf(1);
    const written = pool.adopt(await files.open("/d/w", "create"));
    written.writeSync(Uint8Array.of(1, 2, 3), 0);
    const gate = holdReads("w");
    const target = new Uint8Array(3);
    const reading = written.read(target, 0);
    pool.seal(written);
    checkSync(file("a"));
    const waiting = check(file("b"));
    await settle();
    assert.deepEqual(trace, ["+w", "+a", "-a"]);
    gate.open();
    assert.equal(await reading, 3);
    assert.deepEqual(target, Uint8Array.of(1, 2, 3));
    await waiting;
    assert.deepEqual([trace.slice(3), pool.openFiles], [["-w", "+b"], 1]);
  });

  for (const kind of ["synchronously", "asynchronously"] as const) {
    it(`gives its descriptor back if it is closed unsealed, ${kind}, and the bound stays what it was (M11)`, async () => {
      const { pool, file } = poolOf(1);
      const written = pool.adopt(await files.open("/d/w", "create"));
      if (kind === "synchronously") written.closeSync();
      else await written.close();
      pool.seal(written);
      assert.deepEqual([trace, pool.openFiles], [["+w", "-w"], 0]);
      for (const name of ["a", "b"]) await check(file(name));
      assert.deepEqual([trace.slice(2), pool.openFiles], [["+a", "-a", "+b"], 1]);
    });
  }

  it("gives its place back if it is closed at once after it was sealed (M11)", async () => {
    const { pool, file } = poolOf(2);
    const written = pool.adopt(await files.open("/d/w", "create"));
    pool.seal(written);
    written.closeSync();
    for (const name of ["a", "b", "c"]) await check(file(name));
    assert.deepEqual([trace.slice(2), pool.openFiles], [["+a", "+b", "-a", "+c"], 2]);
  });
});
