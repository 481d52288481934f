/**
 * The gate that protects old clients and old data directories, shown to be able
 * to fail: buf compares a copy of the contract, changed and unchanged, with an
 * image of the contract as it is.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { repositoryRoot } from "../support/paths.js";

const folder = mkdtempSync(join(tmpdir(), "kvix-contract-"));
after(() => rmSync(folder, { recursive: true, force: true }));

cpSync(join(repositoryRoot, "proto"), join(folder, "proto"), { recursive: true });
cpSync(join(repositoryRoot, "buf.yaml"), join(folder, "buf.yaml"));
const contract = join(folder, "proto", "kvix", "v1", "kvix.proto");
const asItIs = readFileSync(contract, "utf8");

function buf(...args: readonly string[]): { status: number | null; output: string } {
  const command = join(repositoryRoot, "node_modules", ".bin", "buf");
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  return { status, output: stdout + stderr };
}

const image = join(folder, "image.binpb");
assert.equal(buf("build", "-o", image).status, 0, "the contract as it is does not build");

/** What `buf breaking` says of the contract after a change to its text. */
function judge(change: (text: string) => string): { status: number | null; output: string } {
  const changed = change(asItIs);
  writeFileSync(contract, changed);
  return buf("breaking", "--against", image);
}

/** A change that must find what it changes. */
const replacing =
  (from: string | RegExp, to: string) =>
  (text: string): string => {
    const changed = text.replace(from, to);
    assert.notEqual(changed, text, `nothing in the contract is ${from}`);
    return changed;
  };

test("the contract is compatible with itself, and with a new field", () => {
  assert.deepEqual(
    judge((text) => text),
    { status: 0, output: "" },
  );
  const added = judge(replacing("message GetRequest {", "message GetRequest {\n  bool x = 99;"));
  assert.deepEqual(added, { status: 0, output: "" });
});

test("a field that is removed from the service or from the disk breaks the contract", () => {
  const wire = judge(replacing(/\n {2}bool return_previous = 7;/, ""));
  assert.equal(wire.status, 100);
  assert.match(wire.output, /return_previous.*was deleted/);
  const disk = judge(replacing(/\n {2}uint64 version_mark = 4;/, ""));
  assert.equal(disk.status, 100);
  assert.match(disk.output, /version_mark.*was deleted/);
});

test("a changed number, type, rpc or reason breaks the contract", () => {
  const changes: readonly (readonly [string | RegExp, string])[] = [
    ["bytes value = 2;", "bytes value = 9;"],
    ["uint64 version = 3;", "string version = 3;"],
    ["rpc Exists(ExistsRequest)", "rpc Present(ExistsRequest)"],
    ["ERROR_REASON_KEY_EMPTY = 1;", "ERROR_REASON_KEY_MISSING = 1;"],
  ];
  for (const [from, to] of changes) assert.equal(judge(replacing(from, to)).status, 100, to);
});
