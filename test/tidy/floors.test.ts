/** The direction of imports, shown to hold and shown to be able to fail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apiImportsBelowService,
  apiNames,
  danglingImports,
  importCycles,
  upwardImports,
} from "./floor-rules.js";
import { readSourceTree, sourceFile } from "./source-tree.js";

const src = readSourceTree("src");
const everything = [...src, ...readSourceTree("gen", "test", "bench", "examples")];

test("the tree that the rules see is not empty", () => {
  assert.ok(src.length > 5);
  assert.ok(src.some((file) => file.imports.length > 0));
});

test("imports only point down the floors", () => {
  assert.deepEqual(upwardImports(src), []);
});

test("an import that points up, sideways or out of src is found", () => {
  const broken: readonly (readonly [string, string, RegExp])[] = [
    ["src/engine/a.ts", 'import { x } from "../service/b.js";', /src\/engine must not import/],
    [
      "src/rpc/a.ts",
      'import type { Store } from "../engine/store.js";',
      /must not import src\/eng/,
    ],
    ["src/format/a.ts", 'import { x } from "../host/host.js";', /must not import src\/host/],
    ["src/base/a.ts", 'export { x } from "../format/b.js";', /must not import src\/format/],
    ["src/storage/a.ts", 'const x = await import("../engine/b.js");', /must not import src\/eng/],
    ["src/cli/a.ts", 'import { x } from "../index.js";', /must not import src\/top/],
    ["src/cli/a.ts", "const x = await import(name);", /only running it/],
    ["src/engine/a.ts", 'import "../../test/support/paths.js";', /leaves src/],
    ["src/helpers/a.ts", "export const x = 1;", /is no floor/],
    ["src/loose.ts", "export const x = 1;", /lies on no floor/],
  ];
  for (const [path, text, expected] of broken) {
    const found = upwardImports([sourceFile(path, text)]);
    assert.equal(found.length, 1, path);
    assert.match(found[0] ?? "", expected);
  }
});

test("every relative import leads to a file", () => {
  const known = new Set(everything.map((file) => file.path));
  assert.deepEqual(danglingImports(src, known), []);
  const broken = sourceFile("src/base/a.ts", 'import { x } from "./gone.js";');
  assert.equal(danglingImports([broken], known).length, 1);
});

test("no import cycle exists, not even inside a room", () => {
  assert.deepEqual(importCycles([...src, ...readSourceTree("bench")]), []);
});

test("an import cycle is found, also through a type and through three files", () => {
  const cycle = [
    sourceFile("src/engine/a.ts", 'import type { B } from "./b.js";'),
    sourceFile("src/engine/b.ts", 'import { c } from "./c.js";'),
    sourceFile("src/engine/c.ts", 'export { a } from "./a.js";'),
  ];
  assert.deepEqual(importCycles(cycle), [
    "src/engine/a.ts > src/engine/b.ts > src/engine/c.ts > src/engine/a.ts",
  ]);
});

test("the engine and the floors below it see no message of the API", () => {
  assert.ok(apiNames.has("SetRequestSchema") && apiNames.has("KvService"));
  assert.ok(!apiNames.has("HintRequest") && !apiNames.has("Record"));
  assert.deepEqual(apiImportsBelowService(src), []);
});

test("an API message in the engine is found, alone and with all of gen", () => {
  const gen = "../../gen/kvix/v1/kvix_pb.js";
  const named = sourceFile("src/engine/a.ts", `import { type SetRequest } from "${gen}";`);
  assert.match(apiImportsBelowService([named])[0] ?? "", /SetRequest is a message of the API/);
  const whole = sourceFile("src/storage/a.ts", `import * as pb from "${gen}";`);
  assert.match(apiImportsBelowService([whole])[0] ?? "", /imports all of gen/);
  const disk = sourceFile("src/engine/a.ts", `import { ManifestSchema } from "${gen}";`);
  assert.deepEqual(apiImportsBelowService([disk]), []);
});
