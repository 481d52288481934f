/**
 * The store for express-session against a server: express-session's own tests with it in
 * place of their MemoryStore, and what connect-redis tests of its store.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import {
  type SessionMethods,
  type StoredSession,
  sessionStore,
} from "../../src/adapters/session.js";
import { connect, type KvixClient } from "../../src/client/connect.js";
import { makeFolder } from "../support/folder.js";
import { repositoryRoot } from "../support/paths.js";
import { plainEnvironment } from "../support/plain-environment.js";
import { runProgram, ServerProcess } from "../support/server-process.js";
import { mustRun } from "../support/tool-cache.js";
import { packagesWithKvix } from "./adapters/tools.js";

const EXPRESS_SESSION = "1.19.0";
/** What its own tests need, as its package.json has them. */
const PACKAGES = [
  `express-session@${EXPRESS_SESSION}`,
  "after@0.8.2",
  "cookie-parser@1.4.6",
  "express@4.17.3",
  "mocha@10.8.2",
  "supertest@6.3.4",
];

/** How many tests it has. */
const SUITE_TESTS = 142;

const data = makeFolder();
let server: ServerProcess;
let kvix: KvixClient;
let folder = "";

before(async () => {
  folder = await packagesWithKvix(`express-session-${EXPRESS_SESSION}`, PACKAGES);
  server = await ServerProcess.start(data.path);
  kvix = connect({ address: server.address });
});

after(async () => {
  await kvix.close();
  await server.end("SIGTERM");
  data.remove();
});

test("express-session's own tests pass with kvix as its MemoryStore", {
  timeout: 600_000,
}, async () => {
  const home = join(folder, "node_modules", "express-session");
  cpSync(join(repositoryRoot, "test/fixtures/express-session"), join(home, "test"), {
    recursive: true,
  });
  mkdirSync(join(home, "test", "fixtures"), { recursive: true });
  const [key, certificate] = ["server.key", "server.crt"].map((name) =>
    join(home, "test", "fixtures", name),
  ) as [string, string];
  const request = ["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"];
  const subject = ["-subj", "/CN=express-session.local"];
  await mustRun("openssl", [...request, "-keyout", key, "-out", certificate, ...subject]);
  const setup = join(folder, "session-setup.mjs");
  cpSync(join(repositoryRoot, "test/clients/adapters/session-setup.mjs"), setup);
  const mocha = join(folder, "node_modules", "mocha", "bin", "mocha.js");
  const preloads = ["--require", join(home, "test/support/env.js"), "--require", setup];
  const args = [mocha, ...preloads, "--timeout", "60000", "--reporter", "json"];
  const env = { ...plainEnvironment(), KVIX_TEST_ADDRESS: server.address };
  const suite = join(home, "test", "session.js");
  const { code, stdout, stderr } = await runProgram(process.execPath, [...args, suite], env);
  assert.equal(code, 0, `${stdout}${stderr}`.slice(-6000));
  const { stats } = JSON.parse(stdout.slice(stdout.indexOf("{\n"), stdout.lastIndexOf("}") + 1));
  assert.equal(stats.failures + stats.pending, 0);
  assert.equal(stats.passes, SUITE_TESTS);
  const stores = Number(/stores of kvix: (\d+)/.exec(stdout)?.[1]);
  assert.ok(stores > 100, `${stores} stores were of kvix`);
});

/** The store under a prefix of its own, and each of its calls as a promise. */
function makeStore(prefix: string) {
  const require = createRequire(join(folder, "package.json"));
  const { Store } = require("express-session") as { Store: new () => object };
  const store = sessionStore(Store, kvix, { prefix });
  return {
    store,
    call: <Name extends keyof SessionMethods>(name: Name, ...args: unknown[]) =>
      new Promise<unknown>((resolve, reject) => {
        const method = store[name] as (...all: unknown[]) => void;
        method.call(store, ...args, (error: unknown, answer: unknown) =>
          error ? reject(error) : resolve(answer),
        );
      }),
  };
}

const inSeconds = (seconds: number): Date => new Date(Date.now() + seconds * 1000);
const ttlOf = async (key: string): Promise<number> =>
  Number((await kvix.get(key))?.expireTime) - Date.now();

test("a life of sessions, as connect-redis tests its store", async () => {
  const { call } = makeStore("life:");
  const first = { foo: "bar", cookie: { originalMaxAge: null } };
  await call("set", "123", first);
  assert.deepEqual(await call("get", "123"), first);
  assert.ok((await ttlOf("life:123")) > 86_000_000);
  const expires = inSeconds(60);
  await call("set", "456", { cookie: { originalMaxAge: null, expires } });
  assert.ok((await ttlOf("life:456")) <= 60_000);
  const later = inSeconds(90);
  await call("touch", "456", { cookie: { originalMaxAge: null, expires: later } });
  assert.ok((await ttlOf("life:456")) > 60_000);
  assert.equal(await call("length"), 2);
  assert.deepEqual(await call("all"), [
    { ...first, id: "123" },
    { id: "456", cookie: { originalMaxAge: null, expires: later.toISOString() } },
  ]);
  await call("destroy", "456");
  assert.equal(await call("length"), 1);
  await call("clear");
  assert.equal(await call("length"), 0);
  const session = { cookie: { expires: inSeconds(3600) } };
  await Promise.all(Array.from({ length: 1000 }, (_, at) => call("set", `s${at}`, session)));
  assert.equal(await call("length"), 1000);
  await call("clear");
  await call("set", "789", { cookie: { expires: inSeconds(90) } });
  assert.equal(await call("length"), 1);
  await call("set", "789", { cookie: { expires: inSeconds(-90) } });
  assert.equal(await call("length"), 0);
});

test("a touch undoes no change, and brings back no session that was destroyed", async () => {
  const { call } = makeStore("touch:");
  const cookie = { expires: inSeconds(60) };
  const old: StoredSession & { cart: number } = { cart: 0, cookie };
  await call("set", "a", { ...old, cart: 1 });
  await call("touch", "a", old);
  assert.equal(((await call("get", "a")) as { cart: number }).cart, 1);
  await call("destroy", "a");
  await call("touch", "a", old);
  assert.equal(await call("get", "a"), undefined);
});

test("stores under different prefixes do not meet", async () => {
  const [one, two] = [makeStore("one:"), makeStore("two:")];
  await one.call("set", "a", { cookie: {} });
  await two.call("set", "a", { cookie: {} });
  await one.call("clear");
  assert.equal(await two.call("length"), 1);
  assert.throws(() => makeStore(""), { name: "RangeError" });
});

test("an error reaches the callback, and what a callback throws is no rejection of the store", async () => {
  const closed = connect({ address: server.address });
  await closed.close();
  const store = sessionStore(class {}, closed);
  const error = await new Promise((resolve) => store.get("a", resolve));
  assert.ok(error instanceof Error);
});

test("the example's sessions outlive it, and end at a logout", async () => {
  const program = join(folder, "example.mjs");
  cpSync(join(repositoryRoot, "examples", "express-session", "server.mjs"), program);
  const start = async () => {
    const child = spawn(process.execPath, [program, server.address], {
      env: plainEnvironment(),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    const ask = async (path: string): Promise<string> => {
      const headers = { cookie: known, connection: "close" };
      const response = await fetch(new URL(path, line), { headers });
      known = response.headers.get("set-cookie")?.split(";")[0] ?? known;
      return (await response.text()).trim();
    };
    const end = async () => {
      child.kill("SIGTERM");
      await closed;
    };
    return { ask, end };
  };
  let known = "";
  const first = await start();
  assert.equal(await first.ask("/"), "visits: 1");
  assert.equal(await first.ask("/"), "visits: 2");
  await first.end();
  const second = await start();
  try {
    assert.equal(await second.ask("/"), "visits: 3");
    assert.equal(await second.ask("/logout"), "bye");
    assert.equal(await second.ask("/"), "visits: 1");
  } finally {
    await second.end();
  }
});
