/** The real command: its options, its exit codes, its log, its end. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { runKvix, ServerProcess } from "../support/server-process.js";
import { makeDataDir } from "./data-dir.js";

const { get, set } = KvService.method;
const key = Buffer.from("k");

function connectTo(t: TestContext, server: ServerProcess): RpcClient {
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  return client;
}

async function startServer(t: TestContext, dataDir: string, ...args: string[]) {
  const server = await ServerProcess.start(dataDir, ...args);
  t.after(() => server.end("SIGKILL"));
  return server;
}

test("kvix version prints the version and exits with 0", async () => {
  const { code, stdout } = await runKvix("version");
  assert.equal(code, 0);
  assert.match(stdout, /^kvix \d+\.\d+\.\d+\n$/);
});

test("kvix --help lists the verbs and the exit codes and exits with 0", async () => {
  const { code, stdout } = await runKvix("--help");
  assert.equal(code, 0);
  for (const text of ["serve", "version", "0  done", "1  the store", "2  a command"]) {
    assert.ok(stdout.includes(text), `the help says nothing of ${text}`);
  }
});

test("kvix serve --help lists every option with its range and exits with 0", async () => {
  const { code, stdout } = await runKvix("serve", "--help");
  assert.equal(code, 0);
  const flags = ["data-dir", "listen", "segment-dir", "segment-prefix", "segment-bytes-max"];
  flags.push("durability", "flush-interval", "max-index-bytes", "max-message-bytes", "recovery");
  flags.push("trust-clock", "disk-reserve-bytes", "lift-floors", "log-level");
  for (const flag of flags) assert.ok(stdout.includes(`--${flag}`), flag);
  assert.match(stdout.replaceAll(/\s+/g, " "), /512MiB to 4GiB/);
});

const wrongUsages: readonly string[][] = [
  [],
  ["frobnicate"],
  ["--no-such-flag"],
  ["serve", "--listen"],
];

for (const args of wrongUsages) {
  test(`kvix ${args.join(" ")} is wrong usage: exit code 2 and a word on stderr`, async () => {
    const { code, stdout, stderr } = await runKvix(...args);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.notEqual(stderr, "");
  });
}

test("all wrong options are told at once, each with its value and its range", async () => {
  const { code, stderr } = await runKvix(
    ...["serve", "--listen", "localhost", "--segment-bytes-max", "7", "--durability", "maybe"],
    ...["--flush-interval", "1.5", "--max-message-bytes", "1e9", "--log-level", "loud"],
    ...["--segment-prefix", "a/b", "--recovery", "none", "--frobnicate", "yes", "stray"],
  );
  assert.equal(code, 2);
  const wrong: [flag: string, value: string, range: RegExp][] = [
    ["--listen", "localhost", /HOST:PORT .*0 to 65535/],
    ["--segment-bytes-max", "7", /536870912 to 4294967296/],
    ["--durability", "maybe", /sync or buffered/],
    ["--flush-interval", "1.5", /1 to 1000/],
    ["--max-message-bytes", "1e9", /1048576 to 105906176/],
    ["--log-level", "loud", /debug or info or warn or error or silent/],
    ["--segment-prefix", "a/b", /A-Z a-z 0-9/],
    ["--recovery", "none", /degraded or strict/],
    ["--frobnicate", "", /not an option/],
    ["stray", "", /not an option/],
  ];
  const lines = stderr.trim().split("\n");
  assert.equal(lines.length, wrong.length + 1, stderr);
  for (const [flag, value, range] of wrong) {
    const line = lines.find((each) => each.trim().startsWith(`${flag} `));
    assert.ok(line?.includes(value), `${flag} in ${stderr}`);
    assert.match(line ?? "", range);
  }
});

for (const [listen, isGood] of [
  ["127.0.0.1:0", true],
  ["[::1]:0", true],
  ["localhost:0", true],
  ["127.0.0.1:65536", false],
  ["::1:0", false],
  [":5849", false],
  ["127.0.0.1", false],
  ["host name:1", false],
] as const) {
  test(`--listen ${listen} is ${isGood ? "taken" : "refused"}`, async (t) => {
    const dataDir = makeDataDir(t);
    if (isGood) {
      const server = await startServer(t, dataDir, "--listen", listen);
      assert.match(server.address, /:\d+$/);
      assert.doesNotMatch(server.address, /:0$/);
      assert.equal((await connectTo(t, server).call(get, { key })).record, undefined);
    } else {
      const { code, stderr } = await runKvix("serve", "--data-dir", dataDir, "--listen", listen);
      assert.equal(code, 2);
      assert.match(stderr, /--listen is/);
    }
  });
}

test("the start-up line says version, directory, address, durability, keys, segments and time", async (t) => {
  const dataDir = makeDataDir(t);
  const server = await startServer(t, dataDir, "--durability", "buffered");
  const line = server.startLine;
  assert.match(String(line["version"]), /^\d+\.\d+\.\d+$/);
  assert.equal(line["dataDir"], dataDir);
  assert.equal(line["segmentDir"], join(dataDir, "segments"));
  assert.match(String(line["address"]), /^127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(line["durability"], "buffered");
  assert.equal(line["keys"], 0);
  for (const name of ["segments", "openMs", "storeVersion"]) {
    assert.equal(typeof line[name], "number", name);
  }
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} drains, closes and exits with 0; a restart has what was written (P2, D5)`, async (t) => {
    const dataDir = makeDataDir(t);
    const server = await startServer(t, dataDir);
    const written = await connectTo(t, server).call(set, { key, value: Buffer.from("v") });
    assert.deepEqual(await server.end(signal), { code: 0, signal: null });
    assert.deepEqual(
      server.log.map((line) => line["msg"]),
      ["listening", "serving", "stopping", "stopped"],
    );
    const again = await startServer(t, dataDir);
    assert.equal(again.startLine["keys"], 1);
    // After an unclean end the next versions would begin at the mark, far above.
    assert.equal(again.startLine["wasClean"], true);
    assert.equal(again.startLine["storeVersion"], Number(written.version));
    const { record } = await connectTo(t, again).call(get, { key });
    assert.equal(record?.version, written.version);
  });
}

test("a call that never ends holds the stop up, and a second signal cuts it short with 1", async (t) => {
  const server = await startServer(t, makeDataDir(t));
  const session = connect(`http://${server.address}`);
  t.after(() => session.destroy());
  session.on("error", () => undefined);
  const headers = { ":method": "POST", ":path": "/kvix.v1.KvService/Get", te: "trailers" };
  const stream = session.request({ ...headers, "content-type": "application/grpc" });
  stream.on("error", () => undefined);
  stream.write(Buffer.from([0]));
  // A call on the same connection afterwards shows that the server has taken the one before.
  await connectTo(t, server).call(get, { key });
  server.signal("SIGTERM");
  const stillThere = Symbol("still there");
  const later = new Promise((resolve) => setTimeout(() => resolve(stillThere), 500));
  assert.equal(await Promise.race([server.exited, later]), stillThere);
  assert.deepEqual(await server.end("SIGTERM"), { code: 1, signal: null });
});

test("a second server on the same directory exits with 1 and says why (P1)", async (t) => {
  const dataDir = makeDataDir(t);
  await startServer(t, dataDir);
  const args = ["--data-dir", dataDir, "--listen", "127.0.0.1:0"];
  const { code, stderr } = await runKvix("serve", ...args);
  assert.equal(code, 1);
  const last = stderr.trim().split("\n").at(-1) ?? "";
  const line = JSON.parse(last) as { reason: string; operator: string };
  assert.equal(line.reason, "STORE_LOCKED");
  assert.notEqual(line.operator, "");
});

test("a port that is taken ends the command with 1, and the store is closed again", async (t) => {
  const server = await startServer(t, makeDataDir(t));
  const dataDir = makeDataDir(t);
  const args = ["--data-dir", dataDir, "--listen", server.address];
  const { code, stderr } = await runKvix("serve", ...args);
  assert.equal(code, 1);
  assert.ok(stderr.includes(server.address));
  // All of stderr is JSON lines, also what goes wrong in the transport.
  for (const line of stderr.trim().split("\n")) assert.doesNotThrow(() => JSON.parse(line), line);
  await startServer(t, dataDir);
});

test("without its manifest a store is refused with the repair to run, and kvix repair brings it back (V9)", async (t) => {
  const dataDir = makeDataDir(t);
  const server = await startServer(t, dataDir);
  await connectTo(t, server).call(set, { key, value: key });
  await server.end("SIGKILL");
  rmSync(join(dataDir, "MANIFEST"));
  const refused = await runKvix("serve", "--data-dir", dataDir, "--listen", "127.0.0.1:0");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /MANIFEST_DAMAGED.*kvix repair --data-dir/);
  const repaired = await runKvix("repair", "--data-dir", dataDir);
  assert.deepEqual([repaired.code, repaired.stderr], [0, ""]);
  assert.match(repaired.stdout, /rebuilt from 1 segments/);
  const again = await runKvix("repair", "--data-dir", dataDir);
  assert.match(again.stdout, /nothing was changed/);
  const { record } = await connectTo(t, await startServer(t, dataDir)).call(get, { key });
  assert.deepEqual(record?.value, key);
});

test("neither keys nor values stand in the log, at any level (V12)", async (t) => {
  const server = await startServer(t, makeDataDir(t), "--log-level", "debug");
  const client = connectTo(t, server);
  const name = Buffer.from("secret-key");
  await client.call(set, { key: name, value: Buffer.from("secret-value") });
  await client.call(get, { key: name });
  const precondition = { condition: { case: "version", value: 0n } } as const;
  await assert.rejects(
    client.call(set, { key: name, value: Buffer.from("secret-value"), precondition }),
  );
  await server.end("SIGTERM");
  assert.ok(server.log.length >= 3);
  assert.doesNotMatch(JSON.stringify(server.log), /secret|c2VjcmV0|736563726574/);
});
