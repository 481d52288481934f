/** That a lock keeps other processes out, and ends with its holder however that ends. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { lockFile } from "../../src/host/node-lock.js";

const scratch = mkdtempSync(join(tmpdir(), "kvix-lock-"));
let rounds = 0;
let path: string;
beforeEach(() => {
  path = join(scratch, `LOCK-${rounds}`);
  rounds += 1;
});
after(() => rmSync(scratch, { recursive: true }));

/** A process that took the lock, or was refused it, and now waits. */
async function startHolder(): Promise<{ child: ChildProcess; said: string }> {
  const module = new URL("../../src/host/node-lock.js", import.meta.url).href;
  const program = `
    const { lockFile } = await import(${JSON.stringify(module)});
    const lock = await lockFile(${JSON.stringify(path)});
    process.stdout.write(lock === undefined ? "refused" : "held");
    process.stdin.resume();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [said] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return { child, said: said.toString() };
}

async function endHolder(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

function refusesToLock(promise: Promise<unknown>, detail: RegExp): Promise<void> {
  return assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof KvixError);
    assert.equal(error.reason, "LOCK_UNAVAILABLE");
    assert.match(error.message, detail);
    return true;
  });
}

describe("a lock", () => {
  it("is refused at once while another process has it, both ways (P1, V4)", async () => {
    const { child, said } = await startHolder();
    try {
      assert.equal(said, "held");
      assert.equal(await lockFile(path), undefined);
    } finally {
      await endHolder(child, "SIGTERM");
    }
    const lock = await lockFile(path);
    assert.ok(lock !== undefined);
    const second = await startHolder();
    await endHolder(second.child, "SIGTERM");
    assert.equal(second.said, "refused");
    await lock.release();
  });

  it("is free at once after kill -9 of its holder, again and again (P1, V4)", async () => {
    for (let round = 0; round < 3; round += 1) {
      const { child, said } = await startHolder();
      assert.equal(said, "held");
      await endHolder(child, "SIGKILL");
      const lock = await lockFile(path);
      assert.ok(lock !== undefined, `round ${round}`);
      await lock.release();
    }
  });

  it("follows no link to another file", async () => {
    const other = join(scratch, "other");
    symlinkSync(other, path);
    await assert.rejects(lockFile(path), { code: "ELOOP" });
    assert.equal(existsSync(other), false);
  });

  it("is refused by name where the platform has none", async () => {
    await refusesToLock(lockFile(path, "win32"), /win32/);
    assert.equal(existsSync(path), false);
  });
});

describe("flock(1)", () => {
  /** Runs with a PATH that holds nothing but the given flock. */
  async function withFlock(script: string | undefined, run: () => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(scratch, "bin-"));
    mkdirSync(folder, { recursive: true });
    if (script !== undefined) {
      writeFileSync(join(folder, "flock"), `#!/bin/sh\n${script}\n`);
      chmodSync(join(folder, "flock"), 0o755);
    }
    const before = process.env["PATH"];
    process.env["PATH"] = folder;
    try {
      await run();
    } finally {
      process.env["PATH"] = before;
    }
  }

  it("that is missing is LOCK_UNAVAILABLE, not a lock", async () => {
    await withFlock(undefined, () => refusesToLock(lockFile(path, "linux"), /no flock command/));
  });

  it("that fails otherwise is LOCK_UNAVAILABLE, whatever its status", async () => {
    await withFlock("exit 65", () => refusesToLock(lockFile(path, "linux"), /65/));
    await withFlock("echo no locks here >&2; exit 1", () =>
      refusesToLock(lockFile(path, "linux"), /no locks here/),
    );
    await withFlock("exit 1", async () => {
      assert.equal(await lockFile(path, "linux"), undefined);
    });
    await withFlock("kill -9 $$", () => refusesToLock(lockFile(path, "linux"), /SIGKILL/));
  });
});
