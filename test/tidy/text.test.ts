/** The rules about the text of files, shown to hold and shown to be able to fail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { blankNonCode, readSourceTree, type SourceFile, sourceFile } from "./source-tree.js";
import {
  anonymousExports,
  consoleUse,
  headlessFiles,
  linesGood,
  linesMax,
  longFiles,
  machineOutsideHost,
  poorNames,
  selectedTests,
  unfinishedWork,
} from "./text-rules.js";

const src = readSourceTree("src");
const written = [...src, ...readSourceTree("test", "bench", "examples")];

/** Asserts that a rule finds a violation in each example. */
function assertEachFound(
  rule: (files: readonly SourceFile[]) => string[],
  path: string,
  examples: readonly string[],
): void {
  for (const text of examples) {
    assert.notEqual(rule([sourceFile(path, text)]).length, 0, `in ${path}: ${text}`);
  }
}

test("files, time and randomness come from src/host only", () => {
  assert.deepEqual(machineOutsideHost(src), []);
});

test("files, time and randomness taken elsewhere are found", () => {
  assertEachFound(machineOutsideHost, "src/engine/a.ts", [
    'import { readFileSync } from "node:fs";',
    'import { readFile } from "fs/promises";',
    'import { setTimeout as sleep } from "node:timers/promises";',
    'import { performance } from "node:perf_hooks";',
    'import { spawnSync } from "node:child_process";',
    'import { createHash, randomBytes } from "node:crypto";',
    'import * as crypto from "node:crypto";',
    "setTimeout(run, 5);",
    "globalThis.setInterval(run, 5);",
    "const id = `" + "$" + "{setImmediate(run)}`;",
    "const now = Date.now();",
    "const now = new Date();",
    "const now = performance.now();",
    "const now = process.hrtime.bigint();",
    "const dice = Math.random();",
    "const dice = crypto.randomUUID();",
    "const signal = AbortSignal.timeout(5);",
  ]);
});

test("what only looks like the machine is left alone, and so is the host itself", () => {
  const innocent = [
    'import { createHash } from "node:crypto";',
    "// Date.now() is the host's",
    '/* setTimeout( */ const text = "Math.random()";',
    "const at = new Date(ms);",
    "const half = a / Number(b); const other = c / 2;",
    "const pattern = /Date.now()/;",
    "host.clock.setTimeout;",
  ];
  for (const text of innocent) {
    assert.deepEqual(machineOutsideHost([sourceFile("src/engine/a.ts", text)]), [], text);
  }
  const host = sourceFile("src/host/node-host.ts", "const now = Date.now();");
  assert.deepEqual(machineOutsideHost([host]), []);
});

test("nothing is exported by default or wholesale", () => {
  assert.deepEqual(anonymousExports(written), []);
  assertEachFound(anonymousExports, "src/base/a.ts", [
    "export default function run() {}",
    "export { run as default };",
    'export * from "./b.js";',
    'export type * from "./b.js";',
    'export * as b from "./b.js";',
  ]);
});

test("no work is left undone", () => {
  assert.deepEqual(unfinishedWork(written), []);
  const mark = "TO" + "DO";
  assertEachFound(unfinishedWork, "src/base/a.ts", [`// ${mark}: later`, `const x = "${mark}";`]);
});

test("no test runs alone and none is left out", () => {
  assert.deepEqual(
    selectedTests(
      written.filter(({ path }) => !path.startsWith("test/lab/") || path.endsWith(".test.ts")),
    ),
    [],
  );
  assertEachFound(selectedTests, "test/base/a.test.ts", [
    'test.only("x", run);',
    'describe.skip("x", run);',
    't.skip("later");',
    'test("x", { skip: true }, run);',
    'test("x", { todo: "later" }, run);',
  ]);
});

test("nothing in src writes to the console", () => {
  assert.deepEqual(consoleUse(src), []);
  assertEachFound(consoleUse, "src/cli/a.ts", ['console.log("x");', 'console["error"]("x");']);
});

test("no file is too long to read in one sitting", (t) => {
  assert.deepEqual(longFiles(written, linesMax), []);
  for (const file of longFiles(written, linesGood)) t.diagnostic(file);
  const long = sourceFile("src/base/a.ts", "x;\n".repeat(linesMax + 1));
  assert.equal(longFiles([long], linesMax).length, 1);
  const full = sourceFile("src/base/a.ts", "x;\n".repeat(linesMax));
  assert.deepEqual(longFiles([full], linesMax), []);
});

test("files are named in kebab-case by what they hold", () => {
  assert.deepEqual(poorNames(written), []);
  for (const name of ["fooBar", "foo_bar", "utils", "helper", "types", "index", "Manifest"]) {
    assert.equal(poorNames([sourceFile(`src/base/${name}.ts`, "")]).length, 1, name);
  }
});

test("every file starts with what it is", () => {
  assert.deepEqual(headlessFiles(written), []);
  assertEachFound(headlessFiles, "src/base/a.ts", ['import { x } from "./b.js";', "\n/** late */"]);
});

test("the lexer tells code from text, comments and patterns", () => {
  // A template's placeholder is written #{ }, so that these strings hold none of their own.
  const cases: readonly (readonly [string, string])[] = [
    ['a("b") // c', 'a(" ")     '],
    ["`a#{b}c`", "` #{b} `"],
    ["`#{`x#{y}`}` + z", "`#{` #{y}`}` + z"],
    ['x = /a[/]"/.test(y)', "x = /     /.test(y)"],
    ["x / y / z", "x / y / z"],
    ["'it\\'s' + q", "'     ' + q"],
    ["/* a\nb */ c", "    \n     c"],
  ];
  const placed = (text: string) => text.replaceAll("#{", "$" + "{");
  for (const [text, code] of cases) assert.equal(blankNonCode(placed(text)), placed(code));
});
