/** The page of the client, run as it stands there: each block, and what it prints. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeFolder } from "../support/folder.js";
import { repositoryRoot } from "../support/paths.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
after(() => folder.remove());

const page = readFileSync(join(repositoryRoot, "docs", "client.md"), "utf8");
const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text]) => text as string);

/** What the page says that is printed: the comments of the blocks. */
const expected = blocks.flatMap((block) =>
  block
    .split("\n")
    .filter((line) => line.startsWith("// "))
    .map((line) => line.slice(3)),
);

test("the blocks of docs/client.md compile, run, and print what stands behind them", {
  timeout: 180_000,
}, async (t) => {
  assert.ok(blocks.length >= 7);
  const server = await ServerProcess.start(join(folder.path, "data"));
  t.after(() => server.end("SIGTERM"));
  const modules = join(folder.path, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  symlinkSync(repositoryRoot, join(modules, "kvix"));
  const nodeTypes = join(repositoryRoot, "node_modules", "@types", "node");
  symlinkSync(nodeTypes, join(modules, "@types", "node"));
  writeFileSync(join(folder.path, "package.json"), '{ "type": "module" }');
  const text = blocks.join("\n").replaceAll("127.0.0.1:5849", server.address);
  writeFileSync(join(folder.path, "page.ts"), text);
  const run = (program: string, ...args: readonly string[]) => {
    const result = spawnSync(program, args, { cwd: folder.path, encoding: "utf8" });
    assert.equal(result.status, 0, result.stdout + result.stderr);
    return result.stdout;
  };
  run(
    join(repositoryRoot, "node_modules", ".bin", "tsc"),
    ...["--strict", "--target", "ES2022", "--module", "NodeNext", "--types", "node"],
    ...["--lib", "ES2023,ESNext.Disposable", "--skipLibCheck", "page.ts"],
  );
  assert.deepEqual(run(process.execPath, "page.js").trim().split("\n"), expected);
});
