/** The examples run as a user would run them. */
import { strict as assert } from "node:assert";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

test("the session store keeps sessions over a restart and ends them for good", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kvix-sessions-"));
  try {
    const program = fileURLToPath(new URL("../../examples/session-store.js", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program, folder]);
    assert.deepEqual(stdout.trim().split("\n"), [
      "started: true",
      "after a restart: ada with 3 items",
      "ended: true",
      "found after the end: false",
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
