/** The adapter for Keyv: Keyv's published test suite against a server, and what that leaves open. */
import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KvixKeyvStore } from "../../src/adapters/keyv.js";
import { connect, type KvixClient } from "../../src/client/connect.js";
import { makeFolder } from "../support/folder.js";
import { repositoryRoot } from "../support/paths.js";
import { plainEnvironment } from "../support/plain-environment.js";
import { runProgram, ServerProcess } from "../support/server-process.js";
import { mustRun } from "../support/tool-cache.js";
import { packagesWithKvix } from "./adapters/tools.js";

const KEYV = "5.6.0";
const SUITE = "2.1.2";
/** What the suite has: its calls, values and namespaces, and its iterators. */
const SUITE_TESTS = 42;

/** What compiles only if the adapter has the shape that Keyv asks for. */
const TYPED = `
import Keyv, { type KeyvStoreAdapter } from "keyv";
import { connect } from "kvix/client";
import { KvixKeyvStore } from "kvix/keyv";
const adapter: KeyvStoreAdapter = new KvixKeyvStore(connect({ address: "127.0.0.1:5849" }));
export const keyv = new Keyv(adapter);
`;

const data = makeFolder();
let server: ServerProcess;
let kvix: KvixClient;
let folder = "";

before(async () => {
  const packages = [`keyv@${KEYV}`, `@keyv/test-suite@${SUITE}`, "vitest@4"];
  folder = await packagesWithKvix(`keyv-${KEYV}-suite-${SUITE}`, packages);
  server = await ServerProcess.start(data.path);
  kvix = connect({ address: server.address });
});

after(async () => {
  await kvix.close();
  await server.end("SIGTERM");
  data.remove();
});

test("Keyv's published test suite passes, its iterators included", {
  timeout: 600_000,
}, async () => {
  const suite = join(repositoryRoot, "test", "clients", "adapters", "keyv-suite.mjs");
  copyFileSync(suite, join(folder, "kvix.test.mjs"));
  const vitest = join(folder, "node_modules", "vitest", "vitest.mjs");
  const args = [vitest, "run", "--root", folder, "--reporter=json", "--testTimeout=60000"];
  const env = { ...plainEnvironment(), KVIX_TEST_ADDRESS: server.address };
  const { code, stdout, stderr } = await runProgram(process.execPath, args, env);
  assert.equal(code, 0, `${stdout}${stderr}`.slice(-4000));
  const result = JSON.parse(stdout.slice(stdout.indexOf("{")));
  assert.deepEqual(
    [result.numPassedTests, result.numFailedTests, result.numTotalTests],
    [SUITE_TESTS, 0, SUITE_TESTS],
  );
});

test("the adapter has the type that Keyv asks for", async () => {
  const program = join(folder, "kvix-types.mts");
  writeFileSync(program, TYPED);
  const tsc = join(repositoryRoot, "node_modules", ".bin", "tsc");
  const options = [
    "--strict",
    "--noEmit",
    "--ignoreConfig",
    "--target",
    "ES2022",
    "--module",
    "NodeNext",
  ];
  const types = ["--skipLibCheck", "--lib", "ES2023,ESNext.Disposable", "--types", "node"];
  const roots = ["--typeRoots", join(repositoryRoot, "node_modules", "@types")];
  const { code, stdout } = await runProgram(tsc, [...options, ...types, ...roots, program]);
  assert.equal(code, 0, stdout);
});

test("clear leaves what is not of its namespace, and what is not of the adapter", async () => {
  const store = new KvixKeyvStore(kvix, { prefix: "a:" });
  await kvix.set("other", "1");
  await store.set("n:1", "1");
  await store.set("m:1", "1");
  store.namespace = "n";
  await store.clear();
  assert.deepEqual(await store.hasMany(["n:1", "m:1"]), [false, true]);
  store.namespace = undefined;
  await store.clear();
  assert.equal(await store.has("m:1"), false);
  assert.equal(await kvix.exists("other"), true);
});

test("many values come in their order, also if one answer has no room for all", async () => {
  const store = new KvixKeyvStore(kvix);
  const keys = ["1", "2", "none", "3"];
  const large = "x".repeat(1_500_000);
  await Promise.all(["1", "2", "3"].map((key) => store.set(key, key + large)));
  const expected = ["1", "2", undefined, "3"].map((key) => key && key + large);
  assert.ok((await kvix.batchGet(keys.map((key) => `keyv:${key}`))).entries.includes("unread"));
  assert.deepEqual(await store.getMany(keys), expected);
});

test("a record lives in the store itself as long as Keyv says, and no longer (T1)", async () => {
  const store = new KvixKeyvStore(kvix);
  await store.set("timed", "1", 60_000);
  assert.ok((await kvix.get("keyv:timed"))?.expireTime);
  await store.set("timed", "1");
  assert.equal((await kvix.get("keyv:timed"))?.expireTime, undefined);
});

test("what cannot be read is an error and an event, not a miss", async () => {
  const closed = connect({ address: server.address });
  await closed.close();
  const store = new KvixKeyvStore(closed);
  await assert.rejects(store.get("key"));
  const heard: unknown[] = [];
  store.on("error", (error) => heard.push(error));
  await assert.rejects(store.get("key"));
  assert.equal(heard.length, 1);
});

test("the example shows what it says", async () => {
  const program = join(folder, "example.mjs");
  copyFileSync(join(repositoryRoot, "examples", "keyv", "main.mjs"), program);
  const printed = await mustRun(process.execPath, [program, server.address], plainEnvironment());
  assert.deepEqual(printed.trimEnd().split("\n"), [
    "ada: Ada",
    "many: [ 'Ada', '?', undefined ]",
    "stored: ada",
    "stored: visitor",
    "expires: true",
    "left: false",
  ]);
});
