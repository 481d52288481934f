/** The documents against the code that they describe. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";
import { readSection, replaceSection } from "../../bench/page-section.js";
import { errorCatalogue } from "../../src/base/error-catalogue.js";
import * as limits from "../../src/base/limits.js";
import { storeOptionTable } from "../../src/engine/options.js";
import { repositoryRoot } from "../support/paths.js";
import { limitNames, renderTables } from "./generated-tables.js";
import { listFiles } from "./source-tree.js";

const read = (path: string): string => readFileSync(join(repositoryRoot, path), "utf8");
const pages = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"],
  ...listFiles("docs", ".md"),
];

/** The cells of a table's rows, without head and rule. */
function tableRows(table: string): string[][] {
  const lines = table.trim().split("\n").slice(2);
  return lines.map((line) =>
    line
      .slice(2, -2)
      .split(" | ")
      .map((cell) => cell.trim()),
  );
}

test("the tables of limits, options and errors are what the code says", () => {
  for (const { page, section, content } of renderTables()) {
    if (process.env["KVIX_WRITE_PAGES"] === "1") {
      writeFileSync(join(repositoryRoot, page), replaceSection(read(page), section, content));
    }
    assert.equal(readSection(read(page), section), content, `${section} in ${page} is stale`);
  }
});

test("docs/api.md lists every reason of the catalogue and no other", () => {
  const rows = tableRows(readSection(read("docs/api.md"), "errors") ?? "");
  assert.deepEqual(
    rows.map(([reason]) => reason),
    Object.keys(errorCatalogue),
  );
  for (const [reason, status, outcome, retry] of rows) {
    const row = errorCatalogue[reason as keyof typeof errorCatalogue];
    assert.deepEqual([status, outcome, retry], [row.status, row.outcome, row.retry]);
  }
});

test("README.md lists every limit of the contract and every bounded option", () => {
  const names = tableRows(readSection(read("README.md"), "limits") ?? "").map((row) => row[4]);
  const numbers = Object.entries(storeOptionTable).filter(([, option]) => option.kind === "number");
  const expected = [...limitNames, ...numbers.map(([name]) => name)].map((name) => `\`${name}\``);
  assert.deepEqual(names, expected);
  // What is not a bound that a user can meet needs no row.
  const unlisted = Object.keys(limits).filter((name) => !limitNames.includes(name));
  assert.deepEqual(unlisted, ["PAGE_RECORDS_DEFAULT", "REQUEST_ID_BYTES_MIN", "STORE_ID_BYTES"]);
});

/** The links of a page that lead to no file, or to no heading of one. */
function brokenLinks(path: string, page: string): string[] {
  const targets = [...page.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  return targets.flatMap((target) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [file = "", anchor] = target.split("#");
    const to = file === "" ? path : posix.join(dirname(path), file);
    if (!existsSync(join(repositoryRoot, to))) return [`${path}: ${target}`];
    if (anchor === undefined) return [];
    return headings(file === "" ? page : read(to)).includes(anchor) ? [] : [`${path}: ${target}`];
  });
}

function headings(page: string): string[] {
  const titles = [...page.matchAll(/^#+ (.*)$/gm)].map((match) => match[1] ?? "");
  return titles.map((title) =>
    title
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("every link in a document leads somewhere", () => {
  assert.deepEqual(
    pages.flatMap((path) => brokenLinks(path, read(path))),
    [],
  );
});

test("a broken link is found, to a file and to a heading", () => {
  assert.equal(brokenLinks("docs/a.md", "[x](gone.md)").length, 1);
  assert.equal(brokenLinks("README.md", "[x](docs/api.md#gone)").length, 1);
  assert.equal(brokenLinks("README.md", "[x](#gone)\n# Here").length, 1);
  assert.deepEqual(brokenLinks("README.md", "[x](#here-i-am)\n# Here I am"), []);
});

test("README.md names the commands that package.json has", () => {
  const { scripts, engines } = JSON.parse(read("package.json")) as {
    scripts: Record<string, string>;
    engines: { node: string };
  };
  const readme = read("README.md");
  assert.ok(readme.includes("npm ci && npm start") && readme.includes("npm ci && npm test"));
  assert.ok(readme.includes(`Node ${engines.node.replace(">=", "")} or newer`));
  for (const page of pages) {
    for (const [, script = ""] of read(page).matchAll(/npm run ([a-z:-]+)/g)) {
      assert.ok(script in scripts, `${page} names npm run ${script}`);
    }
  }
});
