/**
 * The guarantees that docs/api.md and docs/client.md give, one sentence each, and the
 * tests that stand behind them: `- **G-SCAN-1** A scan ...` has a test whose name
 * bears the id, and no test bears an id that no page gives.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "../support/paths.js";
import { testNames } from "./property-tables.js";
import { readSourceTree, type SourceFile, sourceFile } from "./source-tree.js";

const pages = ["docs/api.md", "docs/client.md"];

/** The ids that a page gives a sentence, in its order. */
function given(page: string): string[] {
  return [...page.matchAll(/^- \*\*(G-[A-Z]+-\d+)\*\* \S/gm)].map(([, id]) => id as string);
}

/** The ids that tests bear in their names. */
function borne(files: readonly SourceFile[]): Set<string> {
  const names = files.flatMap(testNames);
  return new Set(names.flatMap((name) => name.match(/\bG-[A-Z]+-\d+\b/g) ?? []));
}

function textOf(page: string): string {
  const path = join(repositoryRoot, page);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

test("every guarantee has a test that bears its id, and every id in the name of a test is given", () => {
  const ids = pages.flatMap((page) => given(textOf(page)));
  assert.deepEqual([...new Set(ids)].sort(), [...ids].sort(), "given once each");
  assert.deepEqual([...borne(readSourceTree("test"))].sort(), ids.sort());
});

test("a guarantee without a test is found, and a test of none", () => {
  const page = "- **G-SCAN-1** A scan shows one version.\n- **G-SCAN-2** It ends.\n";
  assert.deepEqual(given(page), ["G-SCAN-1", "G-SCAN-2"]);
  const files = [sourceFile("test/a.test.ts", 'test("a scan ends (G-SCAN-2, V7)", run);')];
  assert.deepEqual([...borne(files)], ["G-SCAN-2"]);
});
