/** What the lab's kills are refused for: a part that is none, and a machine that lacks something. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { killInstrument } from "./instrument.js";
import { demand } from "./tools.js";

test("a part that is none is refused, with the names of those that are", () => {
  const only = "fire";
  assert.throws(() => killInstrument.start({ only }), /no part is called fire; .*full-xfs/);
});

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
