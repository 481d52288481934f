/** The ids in the names of tests against the tables that define them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "../support/paths.js";
import { readSourceTree, type SourceFile, sourceFile } from "./source-tree.js";

const idPattern = /\b[VDRMITBP]\d{1,2}\b/g;

/** The ids that a page defines: the first cells of its tables. */
function definedIds(path: string): string[] {
  const page = readFileSync(join(repositoryRoot, path), "utf8");
  return [...page.matchAll(/^\| ([VDRMITBP]\d{1,2}) \|/gm)].map((match) => match[1] ?? "");
}

const invariants = definedIds("docs/architecture.md");
const properties = definedIds("docs/properties.md");
const defined: ReadonlySet<string> = new Set([...invariants, ...properties]);

/** The names that a file gives to its tests. */
function testNames(file: SourceFile): string[] {
  const starts = file.code.matchAll(/\b(?:test|it|describe|suite)\(\s*(?=["'`])/g);
  return [...starts].map((match) => {
    const at = match.index + match[0].length;
    return file.text.slice(at + 1, file.text.indexOf(file.text.charAt(at), at + 1));
  });
}

function citedIds(files: readonly SourceFile[]): Map<string, string> {
  const cited = new Map<string, string>();
  for (const file of files) {
    for (const name of testNames(file)) {
      for (const [id] of name.matchAll(idPattern)) cited.set(id, `${file.path}: ${name}`);
    }
  }
  return cited;
}

function unknownIds(files: readonly SourceFile[]): string[] {
  return [...citedIds(files)].filter(([id]) => !defined.has(id)).map(([, place]) => place);
}

test("the tables define each id once, without gaps", () => {
  assert.equal(defined.size, invariants.length + properties.length);
  const counts = { V: 16, D: 6, R: 11, M: 14, I: 9, T: 8, B: 3, P: 7 };
  for (const [letter, count] of Object.entries(counts)) {
    for (let number = 1; number <= count; number++) assert.ok(defined.has(`${letter}${number}`));
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  assert.equal(defined.size, total);
});

test("every id in the name of a test stands in a table", (t) => {
  const files = readSourceTree("test");
  assert.deepEqual(unknownIds(files), []);
  const cited = citedIds(files);
  const open = [...defined].filter((id) => !cited.has(id));
  t.diagnostic(`ids without a test: ${open.join(" ") || "none"}`);
});

test("an id that stands in no table is found", () => {
  const file = sourceFile("test/base/a.test.ts", 'test("R99 a record is not lost", run);');
  assert.deepEqual(unknownIds([file]), ["test/base/a.test.ts: R99 a record is not lost"]);
  const known = sourceFile("test/base/a.test.ts", 'test("R9, V13: a record is not lost", run);');
  assert.deepEqual(unknownIds([known]), []);
});
