/** How a test says where a simulated process ends, and how its operations interleave. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { File } from "../../src/host/file-system.js";
import { patternBytes } from "../support/file-contract.js";
import type { OperationFacts } from "../support/file-operation.js";
import { SimFileSystem } from "../support/sim-file-system.js";
import { type CrashMoment, crashAt, SimCrash } from "../support/sim-hook.js";
import { SeededScheduler } from "../support/sim-scheduler.js";
import { crashPolicies } from "../support/sim-survival.js";

async function contentOf(files: SimFileSystem, path: string): Promise<Uint8Array> {
  const file = await files.open(path, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

/** Replaces a file as kvix does, in a directory that it makes: eight mutating operations. */
async function replace(files: SimFileSystem): Promise<void> {
  await files.makeDirectory("/d");
  const file = await files.open("/d/M.tmp", "create");
  await file.write(patternBytes(300), 0);
  await file.syncData();
  await file.close();
  await files.rename("/d/M.tmp", "/d/M");
  await files.syncDirectory("/d");
}

describe("the hook of a simulated file system", () => {
  it("sees every operation, the changing ones counted apart", async () => {
    const seen: OperationFacts[] = [];
    const files = new SimFileSystem({
      onOperation: (facts) => {
        seen.push(facts);
        return undefined;
      },
    });
    await replace(files);
    await files.list("/d");
    await contentOf(files, "/d/M");
    files.freeBytes("/d");
    const shown = seen.map((facts) => `${facts.index} ${facts.op} ${facts.path}`);
    assert.deepEqual(shown, [
      "0 syncDirectory /",
      "1 makeDirectory /d",
      "2 syncDirectory /",
      "3 create /d/M.tmp",
      "4 write /d/M.tmp",
      "5 syncData /d/M.tmp",
      "0 close /d/M.tmp",
      "6 rename /d/M.tmp",
      "7 syncDirectory /d",
      "1 list /d",
      "2 open /d/M",
      "3 size /d/M",
      "4 read /d/M",
      "5 freeBytes /d",
    ]);
    assert.deepEqual([files.mutations, files.readings], [8, 6]);
    assert.deepEqual([seen[4]?.position, seen[4]?.lengthBytes, seen[7]?.target], [0, 300, "/d/M"]);
  });

  it("ends the process before, after, or midway through the operation it names", async () => {
    const lengths: Record<string, number> = {};
    const moments: CrashMoment[] = ["crash-before", "crash-midway", "crash-after"];
    for (const when of moments) {
      const files = new SimFileSystem({ onOperation: crashAt(4, when), seed: 3 });
      await assert.rejects(replace(files), SimCrash);
      assert.equal(files.isDead, true);
      lengths[when] = (await contentOf(files.kill(), "/d/M.tmp")).length;
    }
    assert.equal(lengths["crash-before"], 0);
    assert.equal(lengths["crash-after"], 300);
    const midway = lengths["crash-midway"] ?? 0;
    assert.ok(midway > 0 && midway < 300, `midway: ${midway}`);
  });

  it("makes a sweep over every operation possible, and no crash shows half a replacement", async () => {
    let operations = 0;
    for (; ; operations += 1) {
      const files = new SimFileSystem({ onOperation: crashAt(operations, "crash-after") });
      const end = await replace(files).catch((error: unknown) => error);
      for (const policy of crashPolicies) {
        const left = files.crash(policy, operations);
        const bytes = await contentOf(left, "/d/M").catch(() => undefined);
        // Synced before the rename: whoever sees the name sees all of it.
        if (bytes !== undefined) assert.deepEqual(bytes, patternBytes(300));
        if (end === undefined) assert.notEqual(bytes, undefined);
      }
      if (end === undefined) break;
      assert.ok(end instanceof SimCrash);
    }
    assert.equal(operations, 8);
  });

  it("catches a replacement that forgets the sync of the file", async () => {
    const files = new SimFileSystem();
    await files.makeDirectory("/d");
    await (await files.open("/d/M.tmp", "create")).write(patternBytes(300), 0);
    await files.rename("/d/M.tmp", "/d/M");
    await files.syncDirectory("/d");
    const left = files.crash({ bytes: "lost", names: "lost" }, 1);
    assert.equal((await contentOf(left, "/d/M")).length, 0);
  });

  it("lets a dead process do nothing more, with no file, lock or name", async () => {
    const files = new SimFileSystem();
    await files.makeDirectory("/d");
    const file = await files.open("/d/a", "create");
    const lock = await files.lock("/d/LOCK");
    files.kill();
    await assert.rejects(file.write(new Uint8Array(1), 0), SimCrash);
    assert.throws(() => file.writeSync(new Uint8Array(1), 0), SimCrash);
    assert.throws(() => file.readSync(new Uint8Array(1), 0), SimCrash);
    await assert.rejects(file.syncData(), SimCrash);
    await assert.rejects(file.close(), SimCrash);
    await assert.rejects(files.list("/d"), SimCrash);
    await assert.rejects(files.makeDirectory("/e"), SimCrash);
    await assert.rejects(lock?.release() ?? Promise.resolve(), SimCrash);
    assert.throws(() => files.freeBytes("/d"), SimCrash);
  });

  it("fails an operation with EIO: a write in part, a rename not at all", async () => {
    const files = new SimFileSystem({ seed: 5 });
    await files.makeDirectory("/d");
    const file = await files.open("/d/a", "create");
    files.onOperation = () => "fail";
    await assert.rejects(file.write(patternBytes(1_000), 0), { code: "EIO" });
    await assert.rejects(files.rename("/d/a", "/d/b"), { code: "EIO" });
    files.onOperation = undefined;
    const bytes = await contentOf(files, "/d/a");
    assert.ok(bytes.length > 0 && bytes.length < 1_000, `in part: ${bytes.length}`);
    assert.deepEqual(bytes, patternBytes(bytes.length));
  });
});

describe("a file of the simulation", () => {
  it("reports a write, truncation or sync that meets another on the same file", async () => {
    const files = new SimFileSystem();
    await files.makeDirectory("/d");
    const file = await files.open("/d/a", "create");
    const other = await files.open("/d/a", "write");
    const syncing = file.syncData();
    assert.throws(() => file.writeSync(new Uint8Array(1), 0), /overlap: writeSync during syncData/);
    const refused = [other.write(new Uint8Array(1), 0), other.truncate(0), file.syncData()];
    const reading = file.read(new Uint8Array(1), 0);
    for (const promise of refused) await assert.rejects(promise, /overlap: \w+ during syncData/);
    assert.equal(await reading, 0);
    await syncing;
    file.writeSync(new Uint8Array(1), 0);
    await other.write(new Uint8Array(1), 1);
    assert.equal(await file.size(), 2);
  });

  it("takes the bytes of an asynchronous write when it is performed, not when it is called", async () => {
    const files = new SimFileSystem();
    await files.makeDirectory("/d");
    const file = await files.open("/d/a", "create");
    const bytes = Uint8Array.of(1);
    const writing = file.write(bytes, 0);
    bytes[0] = 2;
    await writing;
    assert.deepEqual(await contentOf(files, "/d/a"), Uint8Array.of(2));
  });

  it("keeps what was written, whatever becomes of the writer's buffer", async () => {
    const files = new SimFileSystem();
    await files.makeDirectory("/d");
    await files.syncDirectory("/");
    const file = await files.open("/d/a", "create");
    const buffer = Buffer.from([1]);
    await file.write(buffer, 0);
    await file.syncData();
    await files.syncDirectory("/d");
    buffer[0] = 2;
    await file.write(buffer, 1);
    const left = files.crash({ bytes: "lost", names: "lost" }, 1);
    assert.deepEqual(await contentOf(left, "/d/a"), Uint8Array.of(1));
  });

  it("interleaves by the scheduler's seed alone", async () => {
    const orderOf = async (seed: number): Promise<string> => {
      const files = new SimFileSystem({ scheduler: new SeededScheduler(seed) });
      const names = Array.from({ length: 8 }, (_, index) => `/f${index}`);
      const order: string[] = [];
      await Promise.all(
        names.map(async (name) => {
          const file: File = await files.open(name, "create");
          await file.write(Uint8Array.of(1), 0);
          order.push(name);
        }),
      );
      return order.join(" ");
    };
    const orders = await Promise.all([1, 1, 2, 3].map(orderOf));
    assert.equal(orders[0], orders[1]);
    assert.equal(new Set(orders).size, 3);
  });
});
