/** What package.json promises against what a build writes and what the package ships. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { repositoryRoot } from "../support/paths.js";

interface Package {
  readonly bin: Record<string, string>;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly types: string;
  readonly files: readonly string[];
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
}

const manifest = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as Package;

/** The folder of the build that this test is part of: dist, or another one. */
const buildFolder = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

const builtPath = (path: string): string => {
  const plain = path.replace(/^\.\//, "");
  const inBuild = /^dist\/(.*)$/.exec(plain)?.[1];
  return inBuild === undefined ? join(repositoryRoot, plain) : join(buildFolder, inBuild);
};

/** The paths that do not exist after this build. */
function missingPaths(paths: readonly string[]): string[] {
  return paths.filter((path) => !existsSync(builtPath(path)));
}

test("everything that package.json points at exists after a build", () => {
  const exported = Object.values(manifest.exports).flatMap((target) =>
    typeof target === "string" ? [target] : Object.values(target),
  );
  const shipped = manifest.files.filter((path) => !/^!|^dist/.test(path));
  const paths = [...exported, ...Object.values(manifest.bin), manifest.types, ...shipped];
  assert.deepEqual(missingPaths(paths), []);
});

test("a path that is not there is found", () => {
  assert.deepEqual(missingPaths(["./dist/src/gone.js", "./package.json"]), ["./dist/src/gone.js"]);
});

test("what is exported is also shipped", () => {
  const shipped = [...manifest.files, "package.json"];
  const exported = Object.values(manifest.exports).flatMap((target) =>
    typeof target === "string" ? [target] : Object.values(target),
  );
  for (const path of exported) {
    const plain = relative(".", path);
    assert.ok(
      shipped.some((folder) => plain === folder || plain.startsWith(`${folder}/`)),
      `${path} is exported and not shipped`,
    );
  }
});

test("the command can be run as it is", () => {
  for (const path of Object.values(manifest.bin)) {
    const text = readFileSync(builtPath(path), "utf8");
    assert.ok(text.startsWith("#!/usr/bin/env node\n"), `${path} has no first line for the shell`);
  }
});

test("every dependency is pinned to one version", () => {
  const all = { ...manifest.dependencies, ...manifest.devDependencies };
  for (const [name, version] of Object.entries(all)) assert.match(version, /^\d+\.\d+\.\d+$/, name);
  assert.equal(all["@bufbuild/protobuf"], all["@bufbuild/protoc-gen-es"]);
});

test("the peers of the benches are no dependency of kvix", () => {
  const peers = JSON.parse(
    readFileSync(join(repositoryRoot, "bench/peers/package.json"), "utf8"),
  ) as Package;
  for (const name of Object.keys(peers.dependencies)) {
    assert.ok(!(name in manifest.dependencies) && !(name in manifest.devDependencies), name);
  }
  assert.ok(statSync(join(repositoryRoot, "bench/peers/package-lock.json")).isFile());
});
