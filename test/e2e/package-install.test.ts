/** The package as it is published: what is in it, and that it works where only it is installed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { makeFolder } from "../support/folder.js";
import { repositoryRoot } from "../support/paths.js";
import { plainEnvironment } from "../support/plain-environment.js";

const folder = makeFolder();
after(() => folder.remove());

interface Packed {
  readonly filename: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

/** npm pack without building: this test runs out of a build. */
function pack(...args: readonly string[]): Packed {
  const { status, stdout, stderr } = spawnSync(
    "npm",
    ["pack", "--json", "--ignore-scripts", ...args],
    {
      cwd: repositoryRoot,
      encoding: "utf8",
      env: plainEnvironment(),
      maxBuffer: 2 ** 26,
    },
  );
  assert.equal(status, 0, stderr);
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  assert.ok(packed);
  return packed;
}

test("the package has what it needs and no more", () => {
  const { files, unpackedSize } = pack("--dry-run");
  const paths = files.map(({ path }) => path);
  for (const needed of [
    ...["package.json", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"],
    ...["dist/src/index.js", "dist/src/index.d.ts", "dist/src/cli/main.js"],
    ...["dist/src/client/connect.js", "proto/kvix/v1/service-config.json", "docs/client.md"],
    ...["dist/gen/kvix/v1/kvix_pb.js", "gen/descriptors.binpb", "proto/kvix/v1/kvix.proto"],
    ...["proto/google/LICENSE", "proto/grpc/LICENSE", "docs/api.md", "docs/operations.md"],
  ]) {
    assert.ok(paths.includes(needed), `${needed} is missing`);
  }
  const known =
    /^(?:dist\/(?:src|gen)\/.*\.(?:js|d\.ts)|docs\/.*\.md|proto\/.*|gen\/descriptors\.binpb|[A-Z]+(?:\.md)?|package\.json)$/;
  assert.deepEqual(
    paths.filter((path) => !known.test(path)),
    [],
  );
  for (const path of paths) assert.doesNotMatch(path, /\.map$|\.test\.|releases|node_modules/);
  assert.ok(unpackedSize < 3_500_000, `${unpackedSize} bytes`);
});

/** The packages that an installation brings, by the lock file: those that are not for development. */
function installedPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(repositoryRoot, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev, devOptional }]) => path !== "" && dev !== true && devOptional !== true)
    .map(([path]) => path)
    .filter((path) => path.lastIndexOf("node_modules/") === 0);
}

/** The tarball unpacked into node_modules, beside nothing but what it depends on. */
function install(): string {
  const { filename } = pack("--pack-destination", folder.path);
  const modules = join(folder.path, "node_modules");
  mkdirSync(join(modules, "kvix"), { recursive: true });
  const target = join(modules, "kvix");
  const unpacked = spawnSync("tar", [
    ...["-xzf", join(folder.path, filename), "-C", target, "--strip-components=1"],
  ]);
  assert.equal(unpacked.status, 0, String(unpacked.stderr));
  for (const path of installedPackages()) {
    const link = join(folder.path, path);
    mkdirSync(dirname(link), { recursive: true });
    if (!existsSync(link)) symlinkSync(join(repositoryRoot, path), link);
  }
  return target;
}

function node(...args: readonly string[]) {
  return spawnSync(process.execPath, args, {
    cwd: folder.path,
    encoding: "utf8",
    env: plainEnvironment(),
  });
}

test("installed alone, the command and the embedded store run with what package.json asks for", () => {
  const target = install();
  const { bin } = JSON.parse(readFileSync(join(target, "package.json"), "utf8")) as {
    bin: { kvix: string };
  };
  const command = join(target, bin.kvix);
  const version = node(command, "version");
  assert.deepEqual([version.status, version.stderr], [0, ""]);
  assert.match(version.stdout, /^kvix \d+\.\d+\.\d+\n$/);
  writeFileSync(
    join(folder.path, "embedded.mjs"),
    `import { open } from "kvix";
     const kvix = await open({ dataDir: "./data" });
     await kvix.set("a", "1");
     console.log((await kvix.get("a")).text());
     await kvix.close();`,
  );
  const embedded = node("embedded.mjs");
  assert.deepEqual([embedded.stdout, embedded.stderr], ["1\n", ""]);
  writeFileSync(
    join(folder.path, "remote.mjs"),
    `import { readFileSync } from "node:fs";
     import { createRequire } from "node:module";
     import { connect, KvixError } from "kvix/client";
     const config = createRequire(import.meta.url).resolve("kvix/service-config.json");
     console.log(JSON.parse(readFileSync(config, "utf8")).methodConfig.length);
     const kvix = connect({ address: "127.0.0.1:1", attemptsMax: 1 });
     await kvix.get("a").catch((error) => console.log(error instanceof KvixError, error.reason));
     await kvix.close();`,
  );
  const remote = node("remote.mjs");
  assert.deepEqual([remote.stdout, remote.stderr], ["1\ntrue UNREACHABLE\n", ""]);
  // Every verb loads what it needs, and finds it: those that fail say why in their own words.
  const verify = node(command, "verify", "data");
  assert.equal(verify.status, 0, verify.stderr);
  const config = node(command, "config", "check");
  assert.equal(config.status, 0, config.stderr);
  const get = node(command, "get", "a", "--endpoint", "127.0.0.1:1", "--timeout", "5s");
  assert.equal(get.status, 5, get.stderr);
  const locked = node(command, "serve", "--data-dir", "/dev/null/x", "--log-format", "pretty");
  assert.equal(locked.status, 1);
  assert.match(locked.stderr, /OPEN_FAILED/);
});
