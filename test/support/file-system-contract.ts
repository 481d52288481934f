/**
 * What every file system must do, run against each of them: the real one, the
 * simulated one, the faulty one without a fault. What only a power cut can show
 * is tested where a power cut can be had (test/host/sim-file-system.test.ts).
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { File, FileSystem } from "../../src/host/file-system.js";
import {
  type FileTrial,
  patternBytes,
  rejectsWith,
  testClosing,
  testOpening,
  testReadsAndWrites,
  throwsWith,
} from "./file-contract.js";

/** A file system to try, and an empty directory in it. */
export interface ContractSubject {
  readonly files: FileSystem;
  readonly root: string;
  /** Removes what was left. */
  dispose(): Promise<void>;
}

/** Registers the suite for the file systems that `setUp` gives, a fresh one for each test. */
export function describeFileSystem(name: string, setUp: () => Promise<ContractSubject>): void {
  describe(`${name} keeps the contract of a file system`, () => {
    const trial = {} as FileTrial;
    let subject: ContractSubject;
    let opened: File[];
    beforeEach(async () => {
      subject = await setUp();
      opened = [];
      Object.assign(trial, makeTrial(subject, opened));
    });
    afterEach(async () => {
      for (const file of opened) await file.close();
      await subject.dispose();
    });
    testReadsAndWrites(trial);
    testOpening(trial);
    testClosing(trial);
    testNames(trial);
    testDirectories(trial);
    testLocks(trial);
  });
}

function makeTrial({ files, root }: ContractSubject, opened: File[]): FileTrial {
  const at = (name: string): string => `${root}/${name}`;
  const open: FileTrial["open"] = async (name, access) => {
    const file = await files.open(at(name), access);
    opened.push(file);
    return file;
  };
  const make: FileTrial["make"] = async (name, bytes) => {
    const file = await open(name, "create");
    await file.write(bytes, 0);
    await file.close();
  };
  const bytesOf: FileTrial["bytesOf"] = async (name) => {
    const file = await open(name, "read");
    const bytes = new Uint8Array(await file.size());
    assert.equal(await file.read(bytes, 0), bytes.length);
    await file.close();
    return bytes;
  };
  return { files, at, open, make, bytesOf };
}

function testNames(trial: FileTrial): void {
  const namesOf = async (name: string): Promise<string[]> =>
    (await trial.files.list(trial.at(name))).map((entry) => `${entry.kind} ${entry.name}`).sort();

  it("lists every name and what it is, and nothing else", async () => {
    assert.deepEqual(await namesOf("."), []);
    await trial.make("b", patternBytes(1));
    await trial.make("a", patternBytes(1));
    await trial.files.makeDirectory(trial.at("d"));
    await trial.make("d/inner", patternBytes(1));
    assert.deepEqual(await namesOf("."), ["directory d", "file a", "file b"]);
    await rejectsWith("ENOENT", trial.files.list(trial.at("none")));
    await rejectsWith("ENOTDIR", trial.files.list(trial.at("a")));
  });

  it("renames, replacing what has the name; who has it open keeps what he had", async () => {
    await trial.make("old", patternBytes(3));
    await trial.make("new", patternBytes(4));
    const replaced = await trial.open("new", "read");
    const renamed = await trial.open("old", "write");
    await trial.files.rename(trial.at("old"), trial.at("new"));
    assert.deepEqual(await namesOf("."), ["file new"]);
    assert.deepEqual(await trial.bytesOf("new"), patternBytes(3));
    assert.equal(await replaced.size(), 4);
    await renamed.write(patternBytes(9), 0);
    assert.deepEqual(await trial.bytesOf("new"), patternBytes(9));
    await rejectsWith("ENOENT", trial.files.rename(trial.at("old"), trial.at("new")));
    await trial.files.rename(trial.at("new"), trial.at("new"));
    assert.deepEqual(await namesOf("."), ["file new"]);
  });

  it("links a second name to the same file, and never over another", async () => {
    await trial.make("a", patternBytes(3));
    await trial.make("taken", patternBytes(1));
    await trial.files.link(trial.at("a"), trial.at("b"));
    const file = await trial.open("b", "write");
    await file.write(patternBytes(7), 0);
    assert.deepEqual(await trial.bytesOf("a"), patternBytes(7));
    await rejectsWith("EEXIST", trial.files.link(trial.at("a"), trial.at("taken")));
    await rejectsWith("ENOENT", trial.files.link(trial.at("none"), trial.at("c")));
    await trial.files.rename(trial.at("a"), trial.at("b"));
    assert.deepEqual(await namesOf("."), ["file a", "file b", "file taken"]);
    await trial.files.remove(trial.at("a"));
    assert.deepEqual(await trial.bytesOf("b"), patternBytes(7));
  });

  it("removes a name; who has the file open reads on", async () => {
    await trial.make("a", patternBytes(300));
    const file = await trial.open("a", "write");
    await trial.files.remove(trial.at("a"));
    assert.deepEqual(await namesOf("."), []);
    const target = new Uint8Array(300);
    assert.equal(await file.read(target, 0), 300);
    assert.deepEqual(target, patternBytes(300));
    await file.write(patternBytes(4), 300);
    assert.equal(await file.size(), 304);
    await rejectsWith("ENOENT", trial.files.remove(trial.at("a")));
    await trial.make("a", patternBytes(2));
    assert.deepEqual(await trial.bytesOf("a"), patternBytes(2));
  });
}

function testDirectories(trial: FileTrial): void {
  it("makes a directory with its missing parents, again without complaint", async () => {
    await trial.files.makeDirectory(trial.at("x/y/z"));
    await trial.files.makeDirectory(trial.at("x/y/z"));
    await trial.files.makeDirectory(trial.at("x/y/w"));
    await trial.make("x/y/z/a", patternBytes(1));
    const entries = await trial.files.list(trial.at("x/y"));
    assert.deepEqual(entries.map((entry) => entry.name).sort(), ["w", "z"]);
  });

  it("makes no directory where a file is", async () => {
    await trial.make("a", patternBytes(1));
    await rejectsWith("ENOTDIR", trial.files.makeDirectory(trial.at("a")));
    await rejectsWith("ENOTDIR", trial.files.makeDirectory(trial.at("a/b")));
  });

  it("syncs a directory, and only one that exists", async () => {
    await trial.make("a", patternBytes(1));
    await trial.files.syncDirectory(trial.at("."));
    await rejectsWith("ENOENT", trial.files.syncDirectory(trial.at("none")));
    await rejectsWith("ENOTDIR", trial.files.syncDirectory(trial.at("a")));
  });

  it("knows how many bytes are free", () => {
    const free = trial.files.freeBytes(trial.at("."));
    assert.ok(Number.isSafeInteger(free) && free > 1_000_000, `free: ${free}`);
    throwsWith("ENOENT", () => trial.files.freeBytes(trial.at("none")));
  });
}

function testLocks(trial: FileTrial): void {
  it("locks a file against a second opener in the same process, until released (P1, V4)", async () => {
    const first = await trial.files.lock(trial.at("LOCK"));
    assert.ok(first !== undefined);
    assert.equal(await trial.files.lock(trial.at("LOCK")), undefined);
    assert.equal(await trial.files.lock(trial.at("LOCK")), undefined);
    const other = await trial.files.lock(trial.at("LOCK2"));
    assert.ok(other !== undefined);
    await first.release();
    await first.release();
    const second = await trial.files.lock(trial.at("LOCK"));
    assert.ok(second !== undefined);
    assert.equal(await trial.files.lock(trial.at("LOCK2")), undefined);
    await second.release();
    await other.release();
  });

  it("takes an empty or a garbage lock file like a new one, and leaves it as it is (P1)", async () => {
    await trial.make("EMPTY", new Uint8Array(0));
    await trial.make("GARBAGE", patternBytes(777));
    for (const [name, length] of [
      ["EMPTY", 0],
      ["GARBAGE", 777],
    ] as const) {
      const lock = await trial.files.lock(trial.at(name));
      assert.ok(lock !== undefined);
      await lock.release();
      assert.deepEqual(await trial.bytesOf(name), patternBytes(length));
    }
  });

  it("locks nothing where there is no directory", async () => {
    await rejectsWith("ENOENT", trial.files.lock(trial.at("none/LOCK")));
  });
}
