/** The part of the file system contract that is about open files; see file-system-contract.ts. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { File, FileSystem } from "../../src/host/file-system.js";

/** A subject, and the files that a test has open. */
export interface FileTrial {
  readonly files: FileSystem;
  /** The path of a name in the empty directory. */
  at(name: string): string;
  /** Opens and closes again after the test. */
  open(name: string, access: "read" | "write" | "create"): Promise<File>;
  /** Makes a file that holds `bytes`. */
  make(name: string, bytes: Uint8Array): Promise<void>;
  /** All bytes of a file. */
  bytesOf(name: string): Promise<Uint8Array>;
}

/** Bytes that tell where they belong. */
export function patternBytes(length: number, start = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => ((index + start) * 131 + 7) % 251);
}

/** Fails unless the system error with this code comes. */
export function rejectsWith(code: string, promise: Promise<unknown>): Promise<void> {
  return assert.rejects(promise, (error: unknown) => {
    assert.equal((error as { code?: unknown }).code, code);
    return true;
  });
}

/** Fails unless the system error with this code comes. */
export function throwsWith(code: string, call: () => unknown): void {
  assert.throws(call, (error: unknown) => {
    assert.equal((error as { code?: unknown }).code, code);
    return true;
  });
}

export function testReadsAndWrites(trial: FileTrial): void {
  for (const kind of ["synchronously", "asynchronously"] as const) {
    const write = async (file: File, bytes: Uint8Array, position: number): Promise<void> =>
      kind === "synchronously" ? file.writeSync(bytes, position) : file.write(bytes, position);
    const read = async (file: File, target: Uint8Array, position: number): Promise<number> =>
      kind === "synchronously" ? file.readSync(target, position) : file.read(target, position);

    it(`gives back, ${kind}, what was written, at every position`, async () => {
      const file = await trial.open("a", "create");
      const bytes = patternBytes(100_000);
      await write(file, bytes.subarray(0, 60_000), 0);
      await write(file, bytes.subarray(60_000), 60_000);
      assert.equal(await file.size(), bytes.length);
      for (const position of [0, 1, 511, 59_999, 60_000, 99_999]) {
        const target = new Uint8Array(Math.min(700, bytes.length - position));
        assert.equal(await read(file, target, position), target.length);
        assert.deepEqual(target, bytes.subarray(position, position + target.length));
      }
    });

    it(`reads fewer bytes, ${kind}, at the end of the file only`, async () => {
      const file = await trial.open("a", "create");
      await write(file, patternBytes(10), 0);
      const target = new Uint8Array(8).fill(255);
      assert.equal(await read(file, target, 7), 3);
      assert.deepEqual(target.subarray(0, 3), patternBytes(10).subarray(7));
      assert.deepEqual(target.subarray(3), new Uint8Array(5).fill(255));
      assert.equal(await read(file, target, 10), 0);
      assert.equal(await read(file, target, 5_000_000_000), 0);
      assert.equal(await read(file, new Uint8Array(0), 0), 0);
    });

    it(`overwrites, ${kind}, in place`, async () => {
      const file = await trial.open("a", "create");
      await write(file, new Uint8Array(10).fill(1), 0);
      await write(file, new Uint8Array(3).fill(2), 4);
      await write(file, new Uint8Array(0), 900);
      assert.deepEqual(await trial.bytesOf("a"), Uint8Array.of(1, 1, 1, 1, 2, 2, 2, 1, 1, 1));
    });

    it(`fills a hole with zeros after a write past the end, ${kind}`, async () => {
      const file = await trial.open("a", "create");
      await write(file, Uint8Array.of(9), 0);
      await write(file, Uint8Array.of(8), 4);
      assert.deepEqual(await trial.bytesOf("a"), Uint8Array.of(9, 0, 0, 0, 8));
    });
  }

  it("shows one handle at once what another wrote, before any sync", async () => {
    const writer = await trial.open("a", "create");
    const reader = await trial.open("a", "read");
    writer.writeSync(patternBytes(50), 0);
    const target = new Uint8Array(50);
    assert.equal(reader.readSync(target, 0), 50);
    assert.deepEqual(target, patternBytes(50));
  });

  it("cuts and grows by truncation, with zeros where nothing was written", async () => {
    const file = await trial.open("a", "create");
    await file.write(patternBytes(10), 0);
    await file.truncate(4);
    assert.deepEqual(await trial.bytesOf("a"), patternBytes(4));
    await file.truncate(6);
    const grown = new Uint8Array(6);
    grown.set(patternBytes(4));
    assert.deepEqual(await trial.bytesOf("a"), grown);
  });

  it("reads many places at once", async () => {
    const bytes = patternBytes(20_000);
    await trial.make("a", bytes);
    const file = await trial.open("a", "read");
    const targets = Array.from({ length: 64 }, () => new Uint8Array(300));
    await Promise.all(targets.map((target, index) => file.read(target, index * 300)));
    for (const [index, target] of targets.entries()) {
      assert.deepEqual(target, bytes.subarray(index * 300, index * 300 + 300));
    }
  });

  it("syncs, also what is open twice and what is empty", async () => {
    const file = await trial.open("a", "create");
    await file.syncData();
    await file.write(patternBytes(5), 0);
    await file.syncData();
    assert.deepEqual(await trial.bytesOf("a"), patternBytes(5));
  });
}

export function testOpening(trial: FileTrial): void {
  it("creates only what does not exist, and opens only what does", async () => {
    await rejectsWith("ENOENT", trial.open("a", "read"));
    await rejectsWith("ENOENT", trial.open("a", "write"));
    await rejectsWith("ENOENT", trial.open("none/a", "create"));
    await trial.make("a", patternBytes(5));
    await rejectsWith("EEXIST", trial.open("a", "create"));
    assert.deepEqual(await trial.bytesOf("a"), patternBytes(5));
    const file = await trial.open("a", "write");
    assert.equal(file.path, trial.at("a"));
    await file.write(Uint8Array.of(0), 5);
    assert.equal(await file.size(), 6);
  });

  it("opens no directory, and nothing below a file", async () => {
    await trial.files.makeDirectory(trial.at("d"));
    await trial.make("a", patternBytes(1));
    await rejectsWith("EISDIR", trial.open("d", "read"));
    await rejectsWith("EISDIR", trial.open("d", "write"));
    await rejectsWith("EEXIST", trial.open("d", "create"));
    await rejectsWith("ENOTDIR", trial.open("a/b", "read"));
  });

  it("opens a file to be read on the event loop, and refuses what the other way refuses", async () => {
    throwsWith("ENOENT", () => trial.files.openSync(trial.at("a")));
    await trial.make("a", patternBytes(5));
    await trial.files.makeDirectory(trial.at("d"));
    throwsWith("EISDIR", () => trial.files.openSync(trial.at("d")));
    throwsWith("ENOTDIR", () => trial.files.openSync(trial.at("a/b")));
    const file = trial.files.openSync(trial.at("a"));
    assert.equal(file.path, trial.at("a"));
    const target = new Uint8Array(5);
    assert.equal(file.readSync(target, 0), 5);
    assert.deepEqual(target, patternBytes(5));
    throwsWith("EBADF", () => file.writeSync(Uint8Array.of(1), 0));
    assert.equal(await file.read(target, 1), 4);
    await file.close();
  });

  it("lets a file that was opened to be read be read only", async () => {
    await trial.make("a", patternBytes(5));
    const file = await trial.open("a", "read");
    throwsWith("EBADF", () => file.writeSync(Uint8Array.of(1), 0));
    await rejectsWith("EBADF", file.write(Uint8Array.of(1), 0));
    await rejectsWith("EINVAL", file.truncate(0));
    assert.deepEqual(await trial.bytesOf("a"), patternBytes(5));
  });
}

export function testClosing(trial: FileTrial): void {
  it("closes once, however often it is asked, and does nothing more after that", async () => {
    await trial.make("a", patternBytes(5));
    const file = await trial.open("a", "write");
    await Promise.all([file.close(), file.close()]);
    await file.close();
    throwsWith("EBADF", () => file.readSync(new Uint8Array(1), 0));
    throwsWith("EBADF", () => file.writeSync(new Uint8Array(1), 0));
    await rejectsWith("EBADF", file.read(new Uint8Array(1), 0));
    await rejectsWith("EBADF", file.write(new Uint8Array(1), 0));
    await rejectsWith("EBADF", file.syncData());
    await rejectsWith("EBADF", file.truncate(0));
    await rejectsWith("EBADF", file.size());
  });

  it("closes on the event loop what nothing uses, once, and says so of what is used", async () => {
    await trial.make("a", patternBytes(5));
    const file = await trial.open("a", "read");
    const target = new Uint8Array(5);
    const reading = file.read(target, 0);
    throwsWith("EBUSY", () => file.closeSync());
    assert.equal(await reading, 5);
    assert.equal(await file.size(), 5);
    file.closeSync();
    file.closeSync();
    await file.close();
    throwsWith("EBADF", () => file.readSync(target, 0));
    await rejectsWith("EBADF", file.read(target, 0));
  });

  it("closes after the operations under way, which succeed", async () => {
    const bytes = patternBytes(50_000);
    await trial.make("a", bytes);
    const file = await trial.open("a", "read");
    const targets = Array.from({ length: 32 }, () => new Uint8Array(50_000));
    const done: string[] = [];
    const reads = targets.map(async (target) => {
      assert.equal(await file.read(target, 0), 50_000);
      done.push("read");
    });
    const closing = file.close().then(() => done.push("close"));
    await rejectsWith("EBADF", file.read(new Uint8Array(1), 0));
    await Promise.all([...reads, closing]);
    assert.equal(done.indexOf("close"), 32);
    for (const target of targets) assert.deepEqual(target, bytes);
  });

  it("never lets a late read hit the file that got a closed one's number", async () => {
    await trial.make("mine", new Uint8Array(4096).fill(1));
    await trial.make("other", new Uint8Array(4096).fill(2));
    for (let round = 0; round < 50; round += 1) {
      const mine = await trial.files.open(trial.at("mine"), "read");
      const target = new Uint8Array(4096);
      const reading = mine.read(target, 0);
      const closing = mine.close();
      const other = await trial.files.open(trial.at("other"), "read");
      await Promise.all([reading, closing]);
      assert.deepEqual(target, new Uint8Array(4096).fill(1));
      await other.close();
    }
  });
}
