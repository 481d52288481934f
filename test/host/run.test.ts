/** The runner behind `npm test`, tried on a small package of its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const compiledSupport = join(dirname(dirname(fileURLToPath(import.meta.url))), "support");
const scratch = mkdtempSync(join(tmpdir(), "kvix-run-"));
after(() => rmSync(scratch, { recursive: true }));

let root: string;
let rounds = 0;

/** Puts a test into the package, source and output. */
function addTest(name: string, body: string): void {
  const code = `import { it } from "node:test"; ${body}\n`;
  for (const path of [`test/${name}.ts`, `dist/test/${name}.js`]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), code);
  }
}

function run(...given: string[]): { status: number | null; output: string; totals: string[] } {
  const script = join(root, "dist/test/support/run.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...given], {
    cwd: root,
    encoding: "utf8",
  });
  const totals = stdout.split("\n").filter((line) => /^# (tests|pass|fail) /.test(line));
  return { status, output: stdout + stderr, totals };
}

beforeEach(() => {
  root = join(scratch, `round-${rounds}`);
  rounds += 1;
  mkdirSync(join(root, "dist/test/support"), { recursive: true });
  mkdirSync(join(root, "test"));
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  for (const name of ["run.js", "paths.js", "untracked.js"]) {
    copyFileSync(join(compiledSupport, name), join(root, "dist/test/support", name));
  }
});

describe("the test runner", () => {
  it("runs every test at any depth, and prints the totals", () => {
    addTest("a.test", `it("works", () => {});`);
    addTest("deep/er/b.test", `it("works too", () => {}); it("and more", () => {});`);
    addTest("support/no-test", `throw new Error("this is no test");`);
    const { status, totals, output } = run();
    assert.equal(status, 0, output);
    assert.deepEqual(totals, ["# tests 3", "# pass 3", "# fail 0"]);
    assert.match(output, /works too/);
  });

  it("fails when a test fails, names it and says why", () => {
    addTest("a.test", `it("works", () => {});`);
    addTest("b.test", `it("breaks", () => { throw new Error("for this reason"); });`);
    const { status, totals, output } = run();
    assert.equal(status, 1);
    assert.deepEqual(totals, ["# tests 2", "# pass 1", "# fail 1"]);
    assert.match(output, /breaks[\s\S]*for this reason/);
  });

  it("fails when an error is caught nowhere, and says where it was thrown", () => {
    const late = (error: string) => `it("begins", () => new Promise(setImmediate));
      it("passes", () => { ${error}; return new Promise((go) => setTimeout(go, 50)); });`;
    addTest("a.test", late(`setTimeout(() => { throw new Error("of a timer"); })`));
    addTest("b.test", late(`void Promise.reject(new Error("of a promise"))`));
    const { status, totals, output } = run();
    assert.equal(status, 1);
    assert.equal(totals[2], "# fail 2");
    assert.match(output, /caught nowhere: Error: of a timer\s+at \S+ \(?\S+a\.test\.js:2:/);
    assert.match(output, /caught nowhere: Error: of a promise\s+at \S+ \(?\S+b\.test\.js:2:/);
  });

  it("does not follow promises, which takes longer than many a test", () => {
    addTest(
      "a.test",
      `import { executionAsyncId } from "node:async_hooks";
      it("begins", () => new Promise(setImmediate));
      it("works", async () => {
        console.log("followed", await Promise.resolve().then(executionAsyncId));
      });`,
    );
    assert.match(run().output, /followed 0\s/);
  });

  it("leaves tests in their suites, and their hooks around them", () => {
    addTest(
      "a.test",
      `import { before, beforeEach, describe } from "node:test";
      const told = [];
      before(() => told.push("all"));
      describe("outer", () => {
        beforeEach(() => told.push("each"));
        it("first", () => {});
        describe("inner", () => { it("second", () => console.log(told.join())); });
      });`,
    );
    const { output } = run();
    assert.match(output, /all,each,each\s/);
    assert.match(output, /^ {4}. second/m);
  });

  it("narrows to folders and files, by source or output, and hands on options", () => {
    addTest("one/a.test", `it("first", () => {}); it("second", () => {});`);
    addTest("one/b.test", `it("third", () => {});`);
    addTest("two/c.test", `it("fourth", () => { throw new Error("not meant"); });`);
    const testsOf = (...given: string[]): string | undefined => run(...given).totals[0];
    assert.equal(testsOf("test/one"), "# tests 3");
    assert.equal(testsOf("dist/test/one/"), "# tests 3");
    assert.equal(testsOf("test/one/b.test.ts"), "# tests 1");
    assert.equal(testsOf("dist/test/one/b.test.js", "test/one/a.test.ts"), "# tests 3");
    const { totals } = run("test/one/a.test.ts", "--test-name-pattern=second");
    assert.equal(totals[1], "# pass 1");
  });

  it("fails when there is no test, or none where it is told to look", () => {
    assert.deepEqual([run().status, run().output], [1, "no test was found\n"]);
    addTest("a.test", `it("works", () => {});`);
    const { status, output } = run("test/a.test.ts", "test/nothing");
    assert.deepEqual([status, output], [1, "no test there: test/nothing\n"]);
  });

  it("leaves out what needs the tools of other languages, says so, and runs it when it is named", () => {
    addTest("a.test", `it("works", () => {});`);
    addTest("clients/go.test", `it("speaks", () => { throw new Error("no tools"); });`);
    const all = run();
    assert.deepEqual([all.status, all.totals[0]], [0, "# tests 1"]);
    assert.match(
      all.output,
      /1 files of test\/clients need Go and Python: npm test -- test\/clients/,
    );
    const named = run("test/clients");
    assert.deepEqual([named.status, named.totals[2]], [1, "# fail 1"]);
    assert.doesNotMatch(run("test/a.test.ts").output, /clients/);
  });

  it("does not run the output of a test whose source is gone", () => {
    addTest("a.test", `it("works", () => {});`);
    addTest("old.test", `it("is gone", () => { throw new Error("old"); });`);
    rmSync(join(root, "test/old.test.ts"));
    const { status, totals } = run();
    assert.equal(status, 0);
    assert.deepEqual(totals, ["# tests 1", "# pass 1", "# fail 0"]);
  });
});
