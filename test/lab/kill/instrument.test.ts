/** What the lab's kills are refused for, what they fall short of, and what they leave behind. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { killInstrument } from "./instrument.js";
import { makeFolder, removeFolder, removeLeftFolders } from "./life-folder.js";
import { demand } from "./tools.js";

test("a part is refused with all that the machine lacks for it, and never left out", () => {
  const lacked = { command: "mkfs.nothing", package: "nothingprogs" };
  const says =
    process.platform === "linux"
      ? /part full-nothing needs mkfs.nothing \(package nothingprogs\)/
      : /needs Linux/;
  assert.throws(() => demand("full-nothing", [lacked], false), says);
});

test("runs of CI that met no kill, or filled no disk, say so", () => {
  const missing = killInstrument.shortcomings?.({}) ?? [];
  assert.ok(missing.includes("0 kills") && missing.includes("0 disks filled"));
});

test("the folder of a process that was killed is taken away, and no other", (t) => {
  const parent = mkdtempSync(join(tmpdir(), "kvix-folders-"));
  t.after(() => removeFolder(parent));
  const { pid } = spawnSync(process.execPath, ["--version"]);
  const left = join(parent, `kvix-lab-kill-${pid}-abcdef`);
  mkdirSync(join(left, "loop"), { recursive: true });
  const own = makeFolder(parent);
  const other = join(parent, "kvix-lab-kill");
  mkdirSync(other);
  removeLeftFolders(parent);
  assert.deepEqual([left, own, other].map(existsSync), [false, true, true]);
});
