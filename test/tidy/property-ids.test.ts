/** The ids in the names of tests, and those that instruments name, against the table of properties. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { instruments } from "../lab/catalogue.js";
import { openProperties, properties } from "../lab/properties.js";
import { repositoryRoot } from "../support/paths.js";
import { citedIds } from "./property-tables.js";
import { readSourceTree, type SourceFile, sourceFile } from "./source-tree.js";

const defined: ReadonlySet<string> = new Set(Object.keys(properties));

function unknownIds(files: readonly SourceFile[]): string[] {
  return [...citedIds(files)]
    .filter(([id]) => !defined.has(id))
    .flatMap(([, places]) => [...places].map(([path, name]) => `${path}: ${name}`));
}

test("the table defines each id, without gaps", () => {
  const counts = { V: 16, D: 6, R: 11, M: 14, I: 9, T: 8, B: 3, P: 7 };
  for (const [letter, count] of Object.entries(counts)) {
    for (let number = 1; number <= count; number++) assert.ok(defined.has(`${letter}${number}`));
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  assert.equal(defined.size, total);
});

test("every id in the name of a test stands in the table, and every id of the table in the name of a test", () => {
  const files = readSourceTree("test");
  assert.deepEqual(unknownIds(files), []);
  const cited = citedIds(files);
  const untested = [...defined].filter((id) => !cited.has(id));
  assert.deepEqual(untested, Object.keys(openProperties), "untested, and said to be open");
});

test("every instrument names what it can find a break of", () => {
  for (const { name, properties: ids } of instruments) {
    assert.ok(ids.length > 0, name);
    assert.equal(new Set(ids).size, ids.length, name);
  }
});

test("every test that the track record names is there", () => {
  const page = readFileSync(join(repositoryRoot, "docs/testing.md"), "utf8");
  const from = page.indexOf("## Track record");
  const record = page.slice(from, page.indexOf("\n## ", from));
  const rows = record.split("\n").filter((line) => line.startsWith("| "));
  assert.ok(rows.length > 10);
  const named = rows
    .slice(1)
    .map((row) => [...(row.split("|").at(-2) ?? "").matchAll(/`([^`]+)`/g)]);
  for (const tests of named) {
    assert.ok(tests.length > 0);
    for (const [, name] of tests)
      assert.ok(existsSync(join(repositoryRoot, `test/${name}.test.ts`)), name);
  }
});

test("an id that stands in no table is found", () => {
  const file = sourceFile("test/base/a.test.ts", 'test("R99 a record is not lost", run);');
  assert.deepEqual(unknownIds([file]), ["test/base/a.test.ts: R99 a record is not lost"]);
  const known = sourceFile("test/base/a.test.ts", 'test("R9, V13: a record is not lost", run);');
  assert.deepEqual(unknownIds([known]), []);
});
