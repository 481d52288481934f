/** That the real file system keeps the contract, and asks the kernel for what it promises. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { NodeFileSystem } from "../../src/host/node-file-system.js";
import { rejectsWith } from "../support/file-contract.js";
import { describeFileSystem } from "../support/file-system-contract.js";
import { runTraced, type TraceOptions, type TraceRun } from "../support/syscall-trace.js";

const files = new NodeFileSystem();
const scratch = mkdtempSync(join(tmpdir(), "kvix-files-"));
let rounds = 0;
let root: string;
beforeEach(() => {
  root = join(scratch, `round-${rounds}`);
  rounds += 1;
  mkdirSync(root);
});
after(() => rmSync(scratch, { recursive: true }));

describeFileSystem("NodeFileSystem", async () => ({
  files,
  root: mkdtempSync(join(scratch, "contract-")),
  dispose: async () => undefined,
}));

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

/** Runs a program that has `files`, and `path` of a file, under trace. */
function traceProgram(
  path: string,
  program: string,
  options: TraceOptions,
  wrapper: readonly string[] = [],
): Promise<TraceRun> {
  const module = new URL("../../src/host/node-file-system.js", import.meta.url).href;
  const prelude = `
    const { NodeFileSystem } = await import(${JSON.stringify(module)});
    const files = new NodeFileSystem();
    const path = ${JSON.stringify(path)};
    const codeOf = (promise) => promise.then(() => "ok", (error) => error.code);
  `;
  const command = [...wrapper, process.execPath, "--input-type=module", "-e", prelude + program];
  return runTraced(command, options);
}

describe("modes", () => {
  for (const mask of [0o000, 0o022, 0o077]) {
    it(`are 0600 and 0700 under umask ${mask.toString(8).padStart(3, "0")}`, async () => {
      const before = process.umask(mask);
      try {
        await files.makeDirectory(join(root, "a/b"));
        await (await files.open(join(root, "a/b/file"), "create")).close();
        await (await files.lock(join(root, "a/b/LOCK")))?.release();
      } finally {
        process.umask(before);
      }
      const made = ["a", "a/b", "a/b/file", "a/b/LOCK"].map((name) => modeOf(join(root, name)));
      assert.deepEqual(made, ["700", "700", "600", "600"]);
    });
  }

  it("of what is there already are left alone", async () => {
    mkdirSync(join(root, "a"));
    chmodSync(join(root, "a"), 0o755);
    await files.makeDirectory(join(root, "a"));
    assert.equal(modeOf(join(root, "a")), "755");
  });
});

describe("the real file system", () => {
  it("does not wait for a pipe that has the name of a file, and refuses it (R9)", async () => {
    const path = join(scratch, "pipe");
    assert.equal(spawnSync("mkfifo", [path]).status, 0);
    await rejectsWith("EINVAL", files.open(path, "read"));
    assert.throws(() => files.openSync(path), { code: "EINVAL" });
  });

  it("says what a link and a device are: something else, opened by nobody", async () => {
    symlinkSync("/dev/null", join(root, "link"));
    assert.deepEqual(await files.list(root), [{ name: "link", kind: "other" }]);
    await rejectsWith("EINVAL", files.open(join(root, "link"), "write"));
  });

  it("counts the free bytes that are for everybody", () => {
    const facts = statfsSync(root);
    const difference = Math.abs(files.freeBytes(root) - facts.bavail * facts.bsize);
    assert.ok(difference < 1e9, `off by ${difference} bytes`);
    assert.ok(files.freeBytes(root) <= facts.bfree * facts.bsize + 1e9);
  });

  it("gives every descriptor back, also after a failed open and a refused lock", async () => {
    const folder = existsSync("/proc/self/fd") ? "/proc/self/fd" : "/dev/fd";
    const countOpen = (): number => readdirSync(folder).length;
    writeFileSync(join(root, "a"), "x");
    const use = async (): Promise<void> => {
      const file = await files.open(join(root, "a"), "write");
      await Promise.all([file.read(new Uint8Array(1), 0), file.close()]);
      await rejectsWith("EISDIR", files.open(root, "read"));
      await files.syncDirectory(root);
      const lock = await files.lock(join(root, "LOCK"));
      assert.equal(await files.lock(join(root, "LOCK")), undefined);
      await lock?.release();
    };
    await use();
    const before = countOpen();
    for (let round = 0; round < 5; round += 1) await use();
    assert.equal(countOpen(), before);
  });
});

describe("system calls", () => {
  let path: string;
  beforeEach(() => {
    path = join(root, "a.seg");
    writeFileSync(path, "0123456789");
  });

  it("go on where a short write stopped, both ways", async () => {
    const run = await traceProgram(
      path,
      `const file = await files.open(path, "write");
       file.writeSync(Buffer.from("abcdefghij"), 100);
       await file.write(Buffer.from("abcdefghij"), 200);`,
      { paths: [path], inject: ["pwrite64:retval=3:when=1"] },
    );
    assert.equal(run.stderr, "");
    const writes = run.calls.filter((call) => call.call === "pwrite64");
    assert.deepEqual(
      writes.map((call) => [call.text, Number(call.given.split(", ").at(-1)), call.result]),
      [
        ["abcdefghij", 100, 3],
        ["defghij", 103, 7],
        ["abcdefghij", 200, 3],
        ["defghij", 203, 7],
      ],
    );
  });

  it("that take a part of a write and refuse the rest make it fail, both ways (D6)", async () => {
    // A limit on the size of files: the kernel writes up to it, then says EFBIG.
    const limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"];
    const run = await traceProgram(
      path,
      `process.on("SIGXFSZ", () => undefined);
       const file = await files.open(path, "write");
       try { file.writeSync(new Uint8Array(100_000), 0); } catch (error) { console.log(error.code); }
       console.log(await codeOf(file.write(new Uint8Array(100_000), 0)));`,
      { paths: [path] },
      limited,
    );
    assert.equal(run.stdout, "EFBIG\nEFBIG\n");
    const lengths = run.calls.filter((call) => call.call === "pwrite64").map((call) => call.result);
    assert.ok((lengths[0] ?? 0) > 0 && (lengths[0] ?? 0) < 100_000, `first: ${lengths[0]}`);
  });

  it("that take no byte of a write make it fail with EIO, not go on for ever (D6)", async () => {
    const run = await traceProgram(
      path,
      `const file = await files.open(path, "write");
       try { file.writeSync(Buffer.from("abc"), 0); } catch (error) { console.log(error.code); }
       console.log(await codeOf(file.write(Buffer.from("abc"), 0)));`,
      { paths: [path], inject: ["pwrite64:retval=0"] },
    );
    assert.equal(run.stdout, "EIO\nEIO\n");
    assert.equal(run.calls.filter((call) => call.call === "pwrite64").length, 2);
  });

  it("go on where a short read stopped, to the end of the file", async () => {
    const run = await traceProgram(
      path,
      `const file = await files.open(path, "read");
       console.log(file.readSync(new Uint8Array(20), 0), await file.read(new Uint8Array(20), 4));`,
      { paths: [path], calls: ["pread64"], inject: ["pread64:retval=3:when=1"] },
    );
    assert.equal(run.stdout, "10 6\n");
    const reads = run.calls.filter((call) => call.call === "pread64");
    const positions = reads.map((call) => Number(call.given.split(", ").at(-1)));
    assert.deepEqual(positions, [0, 3, 10, 4, 7, 10]);
  });

  it("that say EAGAIN are made again, sixteen times at most (V11)", async () => {
    const program = `const file = await files.open(path, "write");
       try { console.log(file.readSync(new Uint8Array(10), 0)); }
       catch (error) { console.log(error.code); }
       console.log(await file.read(new Uint8Array(10), 0).catch((error) => error.code));`;
    const options = { paths: [path], calls: ["pread64"] };
    const few = await traceProgram(path, program, {
      ...options,
      inject: ["pread64:error=EAGAIN:when=1..15"],
    });
    assert.equal(few.stdout, "10\n10\n");
    const always = await traceProgram(path, program, {
      ...options,
      inject: ["pread64:error=EAGAIN"],
    });
    assert.equal(always.stdout, "EAGAIN\nEAGAIN\n");
    assert.equal(always.calls.filter((call) => call.call === "pread64").length, 32);
  });

  it("that fail to sync are not made again, of a file or a directory (D3)", async () => {
    const run = await traceProgram(
      path,
      `const file = await files.open(path, "write");
       file.writeSync(Buffer.from("abc"), 0);
       console.log(await codeOf(file.syncData()));
       console.log(await codeOf(files.syncDirectory(${JSON.stringify(root)})));
       await file.close();`,
      { paths: [path, root], inject: ["fdatasync:error=EIO", "fsync:error=EIO"] },
    );
    assert.equal(run.stdout, "EIO\nEIO\n");
    const syncs = run.calls.filter((call) => call.call.endsWith("sync"));
    assert.deepEqual(
      syncs.map((call) => [call.call, call.path, call.error]),
      [
        ["fdatasync", path, "EIO"],
        ["fsync", root, "EIO"],
      ],
    );
    const closed = run.calls.filter((call) => call.call === "close").map((call) => call.path);
    assert.deepEqual(closed, [root, path]);
  });

  it("sync data by fdatasync, which has returned before the promise resolves (D1)", async () => {
    const run = await traceProgram(
      path,
      `const file = await files.open(path, "write");
       file.writeSync(Buffer.from("abc"), 0);
       await file.syncData();
       file.writeSync(Buffer.from("done"), 0);`,
      { paths: [path] },
    );
    const order = run.calls.map((call) => call.text ?? call.call);
    assert.deepEqual(order, ["openat", "abc", "fdatasync", "done"]);
    assert.equal(readFileSync(path, "latin1"), "done456789");
  });

  it("sync the parent of each directory made, and of the deepest that was there (D2)", async () => {
    const run = await traceProgram(
      path,
      `await files.makeDirectory(${JSON.stringify(join(root, "x/y"))});`,
      { paths: [scratch, root, join(root, "x"), join(root, "x/y")] },
    );
    assert.equal(run.stderr, "");
    const shown = run.calls
      .filter((call) => call.call.startsWith("mkdir") || call.call === "fsync")
      .map((call) => `${call.call.replace(/at$/, "")} ${call.path?.slice(root.length)}`);
    assert.equal(run.calls.find((call) => call.call === "fsync")?.path, scratch);
    assert.deepEqual(shown.slice(1), ["mkdir /x", "fsync ", "mkdir /x/y", "fsync /x"]);
  });

  it("make it anew after a sync that failed: a second one may lie (D2 D3)", async () => {
    const made = join(root, "x");
    const program = `const make = () => codeOf(files.makeDirectory(${JSON.stringify(made)}));
      console.log(await make(), await make());`;
    const options = { paths: [scratch, root, made], inject: ["fsync:error=EIO:when=2"] };
    const run = await traceProgram(path, program, options);
    assert.equal(run.stdout.trim(), "EIO ok");
    const shown = run.calls
      .filter(({ call }) => call.startsWith("mkdir") || call === "fsync")
      .map((call) => `${call.call.replace(/at$/, "")} ${call.path?.slice(scratch.length)}`);
    const name = root.slice(scratch.length);
    const once = ["fsync ", `mkdir ${name}/x`, `fsync ${name}`];
    assert.deepEqual(shown, [...once, ...once]);
  });

  it("may be refused the sync of a directory that was there, of one that was made never", async () => {
    const made = join(root, "x");
    const outcome = async (injected: string): Promise<string> => {
      const program = `console.log(await codeOf(files.makeDirectory(${JSON.stringify(made)})));`;
      const options = { paths: [scratch, root, made], inject: [`fsync:error=${injected}`] };
      const run = await traceProgram(path, program, options);
      rmSync(made, { recursive: true, force: true });
      return run.stdout.trim();
    };
    assert.equal(await outcome("EROFS:when=1"), "ok");
    assert.equal(await outcome("EIO:when=1"), "EIO");
    assert.equal(await outcome("EROFS:when=2"), "EROFS");
  });
});
