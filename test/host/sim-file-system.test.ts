/** That the simulated disk loses what a real one may lose, and nothing else. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { File } from "../../src/host/file-system.js";
import { patternBytes, rejectsWith } from "../support/file-contract.js";
import { describeFileSystem } from "../support/file-system-contract.js";
import { SimFileSystem } from "../support/sim-file-system.js";
import { SeededScheduler } from "../support/sim-scheduler.js";
import { type CrashPolicy, crashPolicies } from "../support/sim-survival.js";

describeFileSystem("SimFileSystem", async () => {
  const files = new SimFileSystem();
  await files.makeDirectory("/data/kvix");
  return { files, root: "/data/kvix", dispose: async () => undefined };
});
describeFileSystem("SimFileSystem with a seeded scheduler", async () => {
  const files = new SimFileSystem({ scheduler: new SeededScheduler(7) });
  await files.makeDirectory("/data/kvix");
  return { files, root: "/data/kvix", dispose: async () => undefined };
});

const nothing: CrashPolicy = { bytes: "lost", names: "lost" };
const all: CrashPolicy = { bytes: "kept", names: "kept" };

async function contentOf(files: SimFileSystem, path: string): Promise<Uint8Array> {
  const file = await files.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

async function namesOf(files: SimFileSystem, path: string): Promise<string[]> {
  return (await files.list(path)).map((entry) => entry.name).sort();
}

let files: SimFileSystem;
let file: File;
beforeEach(async () => {
  files = new SimFileSystem();
  await files.makeDirectory("/d");
  file = await files.open("/d/a", "create");
  await file.write(patternBytes(1_000), 0);
});

describe("a simulated power cut", () => {
  it("keeps what was synced, name and bytes, under every policy and seed (D1, D2)", async () => {
    await file.syncData();
    await files.syncDirectory("/d");
    await file.write(patternBytes(9_000, 1), 1_000);
    await files.open("/d/b", "create");
    for (const policy of crashPolicies) {
      for (let seed = 0; seed < 20; seed += 1) {
        const bytes = await contentOf(files.crash(policy, seed), "/d/a");
        assert.deepEqual(bytes.subarray(0, 1_000), patternBytes(1_000));
      }
    }
  });

  it("loses the name of a synced file whose directory was not synced (D2)", async () => {
    await file.syncData();
    assert.deepEqual(await namesOf(files.crash(nothing, 1), "/d"), []);
    assert.deepEqual(await contentOf(files.crash(all, 1), "/d/a"), patternBytes(1_000));
  });

  it("loses the bytes of an unsynced file whose directory was synced (D1)", async () => {
    await files.syncDirectory("/d");
    assert.deepEqual(await contentOf(files.crash(nothing, 1), "/d/a"), new Uint8Array(0));
  });

  it("keeps under 'lost' exactly the synced state, names taken away included", async () => {
    await file.syncData();
    await files.syncDirectory("/d");
    await file.truncate(10);
    await files.rename("/d/a", "/d/b");
    await files.link("/d/b", "/d/c");
    const lost = files.crash(nothing, 1);
    assert.deepEqual(await namesOf(lost, "/d"), ["a"]);
    assert.deepEqual(await contentOf(lost, "/d/a"), patternBytes(1_000));
    const kept = files.crash(all, 1);
    assert.deepEqual(await namesOf(kept, "/d"), ["b", "c"]);
    assert.deepEqual(await contentOf(kept, "/d/c"), patternBytes(10));
  });

  it("brings back a removed name until the directory is synced", async () => {
    await file.syncData();
    await files.syncDirectory("/d");
    await files.remove("/d/a");
    assert.deepEqual(await contentOf(files.crash(nothing, 1), "/d/a"), patternBytes(1_000));
  });

  it("leaves nothing pending: what survived one cut survives the next", async () => {
    await file.syncData();
    await files.syncDirectory("/d");
    await file.write(patternBytes(5_000, 3), 1_000);
    for (const policy of crashPolicies) {
      const once = files.crash(policy, 5);
      const bytes = await contentOf(once, "/d/a");
      const names = await namesOf(once, "/d");
      const twice = once.crash(nothing, 6);
      assert.deepEqual(await contentOf(twice, "/d/a"), bytes);
      assert.deepEqual(await namesOf(twice, "/d"), names);
    }
  });

  it("keeps two names of a file one file", async () => {
    await files.link("/d/a", "/d/b");
    await file.syncData();
    await files.syncDirectory("/d");
    const next = files.crash(nothing, 1);
    await (await next.open("/d/a", "write")).write(patternBytes(3_000), 0);
    assert.deepEqual(await contentOf(next, "/d/b"), patternBytes(3_000));
  });

  it("is the same for the same seed", async () => {
    await files.syncDirectory("/d");
    await file.write(patternBytes(50_000), 1_000);
    for (const policy of crashPolicies) {
      const one = await contentOf(files.crash(policy, 77), "/d/a");
      assert.deepEqual(await contentOf(files.crash(policy, 77), "/d/a"), one);
    }
  });
});

describe("the names that a mixed power cut keeps", () => {
  /** Every set of names that is seen under "mixed" with many seeds. */
  async function outcomes(): Promise<string[]> {
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed += 1) {
      const next = files.crash({ bytes: "kept", names: "mixed" }, seed);
      seen.add((await namesOf(next, "/d")).join(" "));
    }
    return [...seen].sort();
  }

  it("are any subset of the unsynced changes", async () => {
    await files.syncDirectory("/d");
    await files.open("/d/b", "create");
    await files.remove("/d/a");
    assert.deepEqual(await outcomes(), ["", "a", "a b", "b"]);
  });

  it("never show half a rename", async () => {
    await files.syncDirectory("/d");
    await files.rename("/d/a", "/d/b");
    assert.deepEqual(await outcomes(), ["a", "b"]);
  });

  it("show a rename over another whole: the old content or the new, never none", async () => {
    const other = await files.open("/d/b", "create");
    await other.write(patternBytes(5), 0);
    await other.syncData();
    await file.syncData();
    await files.syncDirectory("/d");
    await files.rename("/d/a", "/d/b");
    const lengths = new Set<number>();
    for (let seed = 0; seed < 100; seed += 1) {
      const next = files.crash({ bytes: "lost", names: "mixed" }, seed);
      lengths.add((await contentOf(next, "/d/b")).length);
    }
    assert.deepEqual([...lengths].sort(), [1_000, 5].sort());
  });
});

describe("the end of a process alone", () => {
  it("loses nothing that was written, and makes nothing durable", async () => {
    const next = files.kill();
    assert.deepEqual(await contentOf(next, "/d/a"), patternBytes(1_000));
    assert.deepEqual(await namesOf(next.crash(nothing, 1), "/d"), []);
    const synced = files.kill();
    await (await synced.open("/d/a", "write")).syncData();
    await synced.syncDirectory("/d");
    assert.deepEqual(await contentOf(synced.crash(nothing, 1), "/d/a"), patternBytes(1_000));
  });

  it("frees its locks (V4), as a power cut does", async () => {
    const lock = await files.lock("/d/LOCK");
    assert.ok(lock !== undefined);
    assert.ok((await files.kill().lock("/d/LOCK")) !== undefined);
    assert.ok((await files.crash(all, 1).lock("/d/LOCK")) !== undefined);
  });

  it("leaves its successors apart from each other", async () => {
    const one = files.kill();
    const other = files.kill();
    await (await one.open("/d/a", "write")).truncate(3);
    assert.deepEqual(await contentOf(other, "/d/a"), patternBytes(1_000));
  });

  it("does not make durable a directory that it left unsynced; making it again does", async () => {
    files.onOperation = (facts) => (facts.path === "/d/e" ? "crash-after" : undefined);
    await assert.rejects(files.makeDirectory("/d/e/f"), { name: "SimCrash" });
    assert.deepEqual(await namesOf(files.kill().crash(nothing, 1), "/d"), []);
    const next = files.kill();
    await next.makeDirectory("/d/e/f");
    assert.deepEqual(await namesOf(next.crash(nothing, 1), "/d/e"), ["f"]);
  });
});

describe("a sync that fails", () => {
  it("rejects once, shows the bytes, succeeds the next time, and loses them (V10, D3)", async () => {
    await files.syncDirectory("/d");
    let failures = 0;
    files.onOperation = ({ op }) => (op === "syncData" && failures++ === 0 ? "fail" : undefined);
    await rejectsWith("EIO", file.syncData());
    assert.deepEqual(await contentOf(files, "/d/a"), patternBytes(1_000));
    await file.write(patternBytes(4, 1_000), 1_000);
    await file.syncData();
    assert.deepEqual(await contentOf(files, "/d/a"), patternBytes(1_004));
    // Also for the next process, which sees a page cache that lies.
    const next = files.kill();
    assert.deepEqual(await contentOf(next, "/d/a"), patternBytes(1_004));
    const left = new Uint8Array(1_004);
    left.set(patternBytes(4, 1_000), 1_000);
    assert.deepEqual(await contentOf(next.crash(all, 1), "/d/a"), left);
    next.disk.evictCleanPages();
    assert.deepEqual(await contentOf(next.kill(), "/d/a"), left);
  });

  it("of a directory loses the names in the same way", async () => {
    files.onOperation = ({ op }) => (op === "syncDirectory" ? "fail" : undefined);
    await rejectsWith("EIO", files.syncDirectory("/d"));
    files.onOperation = undefined;
    await files.syncDirectory("/d");
    assert.deepEqual(await namesOf(files, "/d"), ["a"]);
    assert.deepEqual(await namesOf(files.crash(all, 1), "/d"), []);
  });

  it("can be healed by writing again what it lost", async () => {
    await files.syncDirectory("/d");
    files.onOperation = ({ op }) => (op === "syncData" ? "fail" : undefined);
    await rejectsWith("EIO", file.syncData());
    files.onOperation = undefined;
    await file.write(patternBytes(1_000), 0);
    await file.syncData();
    assert.deepEqual(await contentOf(files.crash(nothing, 1), "/d/a"), patternBytes(1_000));
  });
});

describe("a full disk", () => {
  it("takes the part of a write that fits, then says ENOSPC (D6)", async () => {
    files.capacityBytes = 1_600;
    assert.equal(files.freeBytes("/d"), 600);
    await rejectsWith("ENOSPC", file.write(patternBytes(1_000, 1_000), 1_000));
    assert.deepEqual(await contentOf(files, "/d/a"), patternBytes(1_600));
    assert.equal(files.freeBytes("/d"), 0);
    await file.write(patternBytes(1_600, 9), 0);
    await rejectsWith("ENOSPC", file.truncate(1_601));
    await file.truncate(100);
    assert.equal(files.freeBytes("/d"), 1_500);
  });

  it("gets bytes back when the last name and the last handle are gone, not before", async () => {
    files.capacityBytes = 10_000;
    await files.link("/d/a", "/d/b");
    await files.remove("/d/a");
    assert.equal(files.freeBytes("/d"), 9_000);
    const other = await files.open("/d/c", "create");
    await other.write(patternBytes(2_000), 0);
    await files.rename("/d/c", "/d/b");
    assert.equal(files.freeBytes("/d"), 7_000);
    await file.close();
    assert.equal(files.freeBytes("/d"), 8_000);
    await files.remove("/d/b");
    assert.equal(files.freeBytes("/d"), 8_000);
    await other.close();
    assert.equal(files.freeBytes("/d"), 10_000);
  });

  it("gets the bytes of a nameless file back when the process that has it open ends", async () => {
    files.capacityBytes = 10_000;
    await files.remove("/d/a");
    assert.equal(files.freeBytes("/d"), 9_000);
    assert.equal(files.kill().freeBytes("/d"), 10_000);
  });
});
